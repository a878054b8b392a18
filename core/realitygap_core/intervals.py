"""Intervals of a fit whose residual is correlated, and the directions that the logs do not fix.

The residual of a replay is mostly model error and strongly correlated in time, so the usual covariance s^2 (J'J)^-1 is far too narrow.
Here it is the sandwich H^-1 (sum over blocks of g g') H^-1 with g = J_b' r_b the gradient of a block of consecutive samples (White 1980,
doi:10.2307/1912934; clustered as in Liang and Zeger 1986, doi:10.1093/biomet/73.1.13), blocks longer than the correlation. With few
blocks G it is too small, since the k fitted parameters take up part of every block's gradient: it gets the factor G / (G - k), in place of
N / (N - k) of independent samples, and the intervals are Student's with G - k degrees of freedom (Donald and Lang 2007,
doi:10.1162/rest.89.2.221; Cameron and Miller 2015, section VI, doi:10.3368/jhr.50.2.317).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from realitygap_core.plant import Floats


@dataclass(frozen=True, kw_only=True)
class Direction:
    """A combination of parameters that the logs do not fix."""

    parts: Mapping[str, float]
    """Parameter to its share (of its bounds' width), largest first; the sum of squares is 1."""
    sd: float
    """Standard deviation along it, as a part of the unit box."""
    text: str
    """In plain words."""


def blocks_of(
    residual: Sequence[Floats],
    times: Sequence[Floats],
    owners: Sequence[NDArray[np.intp]],
    starts: Floats,
    total: float,
    *,
    least: int,
    most: int,
) -> tuple[NDArray[np.intp], float]:
    """(block of each residual, effective number of samples): blocks of consecutive time, the same for all channels.

    A block is at least four times the integrated autocorrelation time of the slowest channel, unless that leaves fewer than `least`.

    Args:
        residual: of each channel [samples].
        times: stamps of the same, s.
        owners: segment of each sample.
        starts: time at which each segment starts [segments], s.
        total: length of all segments together, s.
        least: fewest blocks.
        most: most blocks.
    """
    longest, effective = 0.0, 0.0
    for part, t, owner in zip(residual, times, owners, strict=True):
        for segment in np.unique(owner):
            mine = part[owner == segment]
            tau = correlation_time(mine)
            interval = float(np.median(np.diff(t[owner == segment]))) if len(mine) > 1 else 0.0
            longest = max(longest, tau * interval)
            effective += len(mine) / tau
    count = int(np.clip(total / max(4.0 * longest, 1e-9), least, most))
    length = total / count
    labels = [
        owner * (count + 1) + np.floor((t - starts[owner]) / length + 1e-9).astype(np.intp) for t, owner in zip(times, owners, strict=True)
    ]
    _, blocks = np.unique(np.concatenate(labels), return_inverse=True)
    return blocks.astype(np.intp), effective


def correlation_time(values: Floats) -> float:
    """Integrated autocorrelation time in samples, at least 1: 1 + 2 sum rho, cut where tau < lag / 5 (Sokal 1997)."""
    n = len(values)
    if n < 4 or not np.any(values):
        return 1.0
    # About zero, not about the mean: a constant residual is perfectly correlated.
    spectrum = np.fft.rfft(values, 2 * n)
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[:n] / float(values @ values)
    tau = 2.0 * np.cumsum(correlation) - 1.0
    window = np.flatnonzero(np.arange(n) >= 5.0 * tau)
    return float(np.clip(tau[window[0]] if len(window) else tau[-1], 1.0, n))


def covariance_of(
    jacobian: Floats, residual: Floats, blocks: NDArray[np.intp], effective: float, *, least_variance: float = 0.0
) -> tuple[Floats, Floats]:
    """(covariance, its Bayesian floor) of the parameters [k, k] in the unit box, under a prior as wide as the box.

    The floor is that of `effective` independent samples with the variance of the residual, at least `least_variance`: the sandwich is blind
    to directions without any information.
    """
    k = jacobian.shape[1]
    variance = max(float(residual @ residual) / len(residual), least_variance)
    hessian = jacobian.T @ jacobian
    # A prior that knows no more than the bounds do: a uniform one has variance 1 / 12.
    bayes = np.asarray(np.linalg.inv(hessian * effective / (variance * len(residual)) + 12.0 * np.eye(k)), dtype=np.float64)
    count = int(blocks.max()) + 1
    scores = np.zeros((count, k))
    np.add.at(scores, blocks, jacobian * residual[:, None])
    bread = np.linalg.inv(hessian + 12.0 * variance * np.eye(k))
    meat = scores.T @ scores * count / freedom(blocks, k)
    return _at_least(np.asarray(bread @ meat @ bread), bayes), bayes


def freedom(blocks: NDArray[np.intp], parameters: int) -> int:
    """Degrees of freedom that the blocks leave, at least 1."""
    return max(1, int(blocks.max()) + 1 - parameters)


def half_width(sd: Floats, level: float, degrees: int) -> Floats:
    """Half of Student's interval of a level, from the standard deviation."""
    return np.asarray(sd * float(student.ppf(0.5 + level / 2, degrees)))


def _at_least(covariance: Floats, floor: Floats) -> Floats:
    """Covariance with no variance along any direction below that of `floor`: larger of both along their common axes."""
    root = np.linalg.cholesky(floor + 1e-18 * np.eye(len(floor)))
    inner = np.linalg.solve(root, np.linalg.solve(root, covariance).T)
    values, vectors = np.linalg.eigh((inner + inner.T) / 2)
    half = root @ vectors
    return np.asarray(half * np.maximum(values, 1.0) @ half.T)


def directions(names: Sequence[str], covariance: Floats) -> tuple[Direction, ...]:
    """Eigenvectors of the posterior covariance (unit box) along which the logs halve the prior's spread at most, worst first."""
    values, vectors = np.linalg.eigh(covariance)
    found = []
    for index in np.argsort(values)[::-1]:
        sd = math.sqrt(float(values[index]))
        if sd < 0.5 / math.sqrt(12):
            break
        vector = vectors[:, index]
        order = np.argsort(np.abs(vector))[::-1]
        main = [int(i) for i in order if abs(vector[i]) > 0.25]
        sign = 1.0 if vector[main[0]] > 0 else -1.0
        parts = {names[i]: float(sign * vector[i]) for i in main}
        found.append(Direction(parts=parts, sd=sd, text=_in_words(parts)))
    return tuple(found)


def _in_words(parts: Mapping[str, float]) -> str:
    names = list(parts)
    if len(names) == 1:
        return f"the logs say next to nothing about {names[0]}"
    first, *others = names
    moves = ", ".join(f"{'raising' if parts[other] > 0 else 'lowering'} {other}" for other in others)
    return f"raising {first} together with {moves} changes next to nothing that the logs show; they cannot be told apart"
