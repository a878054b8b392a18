"""Held-out error: how well a set of parameters predicts what it was not fitted to.

Cross-validation over logs, and over stretches of their time when there are fewer than four. Leaving a part out is done from the fit to all
of them, with its Jacobian: a few Gauss-Newton steps on the others' rows, each checked by a replay. A more complex model is taken by the
one-standard-error rule (Breiman et al. 1984, section 3.4.3; Hastie et al. 2009, section 7.10, doi:10.1007/978-0-387-84858-7). What is
compared is the logarithm of the error in each log and channel, so that each counts the same, whatever its size.

The terms that are compared were proposed by all training logs, so the held-out error is no test error: that needs logs of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from realitygap_core.fit import Problem
from realitygap_core.least_squares import bounded_step, reduced
from realitygap_core.plant import Floats

_PARTS = 4
"""Fewest parts: with fewer logs each is cut into stretches of equal time."""
_STEPS = 2
_DAMPING = 1e-3


def held_out(problem: Problem, z: Floats, step: float) -> Floats:
    """Logarithm of the root mean square weighted residual of each part and channel [units], predicted from the other parts.

    Args:
        problem: parameters on the training logs.
        z: their fit to all of the logs, in the unit box.
        step: of the finite difference.
    """
    fold_n, unit_n = _parts(problem)
    residual, jacobian = problem.linearise(z, step)
    folds = range(int(fold_n.max()) + 1)
    points = np.tile(z, (len(folds), 1))
    rows = np.tile(residual, (len(folds), 1))
    solved = [reduced(jacobian[fold_n != fold]) for fold in folds]
    for _ in range(_STEPS):
        steps = np.stack(
            [
                bounded_step(r, q.T @ rows[fold, fold_n != fold], norms, -points[fold], 1.0 - points[fold], _DAMPING)
                for fold, (q, r, norms) in enumerate(solved)
            ]
        )
        trials = np.stack([points + steps, points + 0.3 * steps])
        shown = problem.residuals(trials.reshape(-1, len(z))).reshape(2, len(folds), -1)
        for fold in folds:
            others = fold_n != fold
            costs = [float(row[others] @ row[others]) for row in (rows[fold], *shown[:, fold])]
            if best := int(np.argmin(costs)):
                points[fold], rows[fold] = trials[best - 1, fold], shown[best - 1, fold]
    predicted = rows[fold_n, np.arange(len(residual))]
    squares = np.bincount(unit_n, predicted**2) / np.bincount(unit_n)
    return np.asarray(0.5 * np.log(squares + problem.resolution))


def better(simple: Floats, complex_: Floats, standard_errors: float) -> bool:
    """Whether the held-out errors [units] of the more complex model are lower, by more than so many standard errors of the mean."""
    gain = simple - complex_
    error = float(np.std(gain, ddof=1)) / np.sqrt(len(gain)) if len(gain) > 1 else 0.0
    return float(np.mean(gain)) > standard_errors * error


def _parts(problem: Problem) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """(part that is left out together, part and channel) of each residual."""
    replay = problem.replay
    names = replay.recording.log_names
    stretches = -(-_PARTS // len(names))
    folds, channels = [], []
    for index, channel in enumerate(replay.channels):
        times = replay.times(channel)
        fold = np.empty(len(times), dtype=np.intp)
        for number, log in enumerate(names):
            mask = replay.log_mask(channel, log)
            t = times[mask]
            place = np.searchsorted(np.linspace(t[0], t[-1], stretches + 1)[1:-1], t, side="right") if len(t) else t
            fold[mask] = number * stretches + place
        folds.append(fold)
        channels.append(np.full(len(fold), index))
    _, fold_n = np.unique(np.concatenate(folds), return_inverse=True)
    _, unit_n = np.unique(fold_n * len(channels) + np.concatenate(channels), return_inverse=True)
    return fold_n, unit_n
