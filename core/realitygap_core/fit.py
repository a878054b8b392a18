"""Parameters of a robot from its logs: bounded nonlinear least squares on replay, intervals, and what the logs cannot tell apart.

All columns of the finite-difference Jacobian are plants of one batch. Parameters are searched in the unit box between their bounds,
those of scale `log` by their logarithm. A weak prior (`FitConfig.prior_sd` of the box about the start) keeps directions that the logs
do not show where they were.

Intervals: the residual of a replay is mostly model error and strongly correlated in time, so the usual covariance s^2 (J'J)^-1 is far
too narrow. Here it is the sandwich H^-1 (sum over blocks of g g') H^-1 with g = J_b' r_b the gradient of a block of consecutive
samples (White 1980, doi:10.2307/1912934; clustered as in Liang and Zeger 1986, doi:10.1093/biomet/73.1.13), blocks longer than the
correlation, Student's t of the number of blocks. On top comes the error of the start: a replay begins at one noisy sample,
and what that does to the estimate is propagated to first order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.stats import t as student

from realitygap_core.errors import CoreError
from realitygap_core.gap import ChannelGap, gaps
from realitygap_core.parameters import Applier, ParameterInfo, describe
from realitygap_core.plant import Floats, Plant
from realitygap_core.replay import Replay

_MOST_STARTS = 64
"""Recorded start positions beyond which their noise is not propagated: it then averages out over the logs."""


@dataclass(frozen=True, kw_only=True)
class FitConfig:
    """How a fit goes about its work."""

    max_iterations: int = 30
    """Most Jacobians."""
    tolerance: float = 1e-4
    """Relative change of the cost below which the fit has converged."""
    step: float = 2e-5
    """Finite difference, as a part of the unit box."""
    prior_sd: float = 0.3
    """Standard deviation of the weak prior, as a part of the unit box."""
    level: float = 0.95
    """Level of the intervals."""
    min_blocks: int = 12
    """Fewest blocks of the sandwich, over all logs."""
    max_blocks: int = 60
    """Most blocks; more would be shorter than the correlation."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """One identified parameter."""

    name: str
    """As in `parameters`."""
    value: float
    """In `unit`."""
    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    unit: str
    """SI."""
    sd: float
    """Standard deviation in search coordinates: of the logarithm for a `log` parameter, else of the value."""
    log: bool
    """Whether `sd` is of the logarithm."""
    at_bound: bool
    """The search ended on a bound; the interval then says little."""
    identified: bool
    """Whether the logs say more about it than the bounds did."""


@dataclass(frozen=True, kw_only=True)
class Direction:
    """A combination of parameters that the logs do not fix."""

    parts: Mapping[str, float]
    """Parameter to its share (of its bounds' width), largest first; the sum of squares is 1."""
    sd: float
    """Standard deviation along it, as a part of the unit box."""
    text: str
    """In plain words."""


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What a fit found."""

    values: dict[str, float]
    """Identified values by name."""
    estimates: tuple[Estimate, ...]
    """The same with intervals, in the order of the names."""
    covariance: Floats
    """Covariance of the estimates in search coordinates [k, k] (see `Estimate.sd`)."""
    gap: dict[str, ChannelGap]
    """Gap that is left on the logs of the fit."""
    cost: float
    """Sum of squares of the weighted residuals, the prior not counted."""
    effective_samples: float
    """How many independent samples the residuals are worth, all channels together."""
    unidentified: tuple[Direction, ...]
    """What the logs do not fix, worst first."""
    evaluations: int
    """Replays of one plant through all logs."""
    converged: bool
    """False when the iterations ran out first."""


class Problem:
    """Residuals of a set of parameters on the logs of a replay, in the unit box."""

    def __init__(
        self,
        replay: Replay,
        names: Sequence[str],
        *,
        bounds: Mapping[str, tuple[float, float]] | None = None,
        weights: Mapping[str, float] | None = None,
        fixed: Mapping[str, float] | None = None,
    ) -> None:
        """`weights` divide the residuals of a channel (None: the spread of its recorded values); `fixed` are values of parameters not
        searched.

        Raises:
            CoreError: unknown names, bounds that are no interval.
        """
        self.replay = replay
        self.names = tuple(names)
        self.fixed = {name: value for name, value in (fixed or {}).items() if name not in self.names}
        self.infos = tuple(describe(replay.robot, name) for name in self.names)
        self.weights = dict(weights) if weights is not None else channel_scales(replay)
        self.low, self.high, self.log = _bounds(self.infos, bounds or {})
        self._applier = Applier(replay.robot, (*self.names, *self.fixed))
        self._plants: list[Plant] = []
        self._real = replay.real
        self._last: tuple[Floats, float, Floats, Floats] | None = None
        self.evaluations = 0

    def values(self, z: Floats) -> Floats:
        """Parameter values [..., k] at points [..., k] of the unit box."""
        y = self._y_low + (self._y_high - self._y_low) * np.asarray(z)
        with np.errstate(over="ignore"):
            return np.clip(np.where(self.log, np.exp(np.where(self.log, y, 0.0)), y), self.low, self.high)

    def unit(self, values: Mapping[str, float]) -> Floats:
        """Point [k] of the unit box of `values`, nominal ones where a name is missing; clipped to the bounds."""
        x = np.array([values.get(info.name, info.nominal) for info in self.infos], dtype=float)
        x = np.clip(np.where(np.isfinite(x), x, self.high), self.low, self.high)
        return np.clip((self._y(x) - self._y_low) / (self._y_high - self._y_low), 0.0, 1.0)

    @property
    def width(self) -> Floats:
        """Width of the box in search coordinates [k]."""
        return self._y_high - self._y_low

    @property
    def _y_low(self) -> Floats:
        return self._y(self.low)

    @property
    def _y_high(self) -> Floats:
        return self._y(self.high)

    def _y(self, x: Floats) -> Floats:
        return np.where(self.log, np.log(np.where(self.log, x, 1.0)), x)

    def residuals(self, z_bk: Floats) -> Floats:
        """Weighted residuals [B, samples of all channels] at points [B, k]."""
        return self.weighted(self.simulate(z_bk))

    def simulate(self, z_bk: Floats, start_shifts: Floats | None = None) -> dict[str, Floats]:
        """What the plants at points [B, k] show, by channel [B, samples]; `start_shifts` as in `Replay.simulate`."""
        values = self.values(z_bk)
        fixed = np.tile(list(self.fixed.values()), (len(values), 1)).reshape(len(values), -1)
        full = np.concatenate([values, fixed], axis=1)
        if len(self._plants) < len(full):
            self._plants = self._applier.plants(full)
            plants = self._plants
        else:
            plants = self._applier.plants(full, into=self._plants)
        self.evaluations += len(plants)
        return self.replay.simulate(plants, start_shifts)

    def start_effects(self, z: Floats, residual: Floats) -> Floats:
        """What one standard deviation of measurement noise in each recorded start position does to the residuals [n, starts].

        The noise of a channel is that of its residual from sample to sample: model error is smooth.
        """
        replay, at = self.replay, 0
        noise = {}
        for name in replay.channels:
            part = residual[at : at + len(self._real[name])] * self.weights[name]
            at += len(part)
            noise[name] = float(np.sqrt(np.mean(np.diff(part) ** 2) / 2)) if len(part) > 1 else 0.0
        moved = [(s, name, address) for s in range(len(replay.segments)) for name, address in replay.start_addresses if noise.get(name)]
        if not moved or len(moved) > _MOST_STARTS:
            return np.zeros((len(residual), 0))
        shifts = np.zeros((len(moved), len(replay.segments), replay.robot.model.nq))
        for row, (segment, name, address) in enumerate(moved):
            shifts[row, segment, address] = noise[name]
        shown = self.simulate(np.repeat(z[None], len(moved), axis=0), shifts)
        return np.asarray((self.weighted(shown) - residual).T)

    def weighted(self, simulated: Mapping[str, Floats]) -> Floats:
        """Residuals over the channels' weights [B, samples of all channels]."""
        parts = [(simulated[name] - self._real[name]) / self.weights[name] for name in self.replay.channels]
        return np.clip(np.concatenate(parts, axis=1), -1e3, 1e3)

    def linearise(self, z: Floats, step: float, *, central: bool = False) -> tuple[Floats, Floats]:
        """Residuals [n] and Jacobian [n, k] at a point, one batch.

        One-sided differences point into the box. Central ones, where the box allows them, are for judging: an error of a tenth of a per
        cent in a column already hides that two parameters do the same.
        """
        if not central and self._last is not None and self._last[1] == step and np.array_equal(self._last[0], z):
            return self._last[2], self._last[3]
        up, down = np.minimum(z + step, 1.0), np.maximum(z - step, 0.0) if central else np.where(z + step <= 1.0, z, z - step)
        up = np.where(z + step <= 1.0, z + step, z) if not central else up
        moved = [index for index in range(len(z)) if down[index] != z[index]]
        rows = self.residuals(np.stack([z, *(_moved(z, i, up[i]) for i in range(len(z))), *(_moved(z, i, down[i]) for i in moved)]))
        below = np.repeat(rows[:1], len(z), axis=0)
        below[moved] = rows[1 + len(z) :]
        jacobian = ((rows[1 : 1 + len(z)] - below) / (up - down)[:, None]).T
        if not central:
            self._last = (z.copy(), step, rows[0], jacobian)
        return rows[0], jacobian


def _moved(z: Floats, index: int, value: float) -> Floats:
    out = z.copy()
    out[index] = value
    return out


def _bounds(infos: Sequence[ParameterInfo], bounds: Mapping[str, tuple[float, float]]) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    low = np.array([bounds.get(info.name, (info.low, info.high))[0] for info in infos], dtype=float)
    high = np.array([bounds.get(info.name, (info.low, info.high))[1] for info in infos], dtype=float)
    log = np.array([info.scale == "log" for info in infos]) & (low > 0)
    for info, a, b in zip(infos, low, high, strict=True):
        if not (math.isfinite(a) and math.isfinite(b) and a < b):
            raise CoreError(
                f"the bounds of '{info.name}' are {a:g} to {b:g}; they must be finite and the first smaller", pointer=f"/{info.name}"
            )
        if a < info.physical_low or b > info.physical_high:
            raise CoreError(
                f"the bounds of '{info.name}', {a:g} to {b:g} {info.unit}, go beyond what is possible",
                pointer=f"/{info.name}",
                hint=f"at least {info.physical_low:g}",
            )
    return low, high, log


def channel_scales(replay: Replay) -> dict[str, float]:
    """Spread of the recorded values of each channel: what makes residuals of different units comparable."""
    return {name: float(np.std(values)) or 1.0 for name, values in replay.real.items()}


def fit(
    replay: Replay,
    names: Sequence[str],
    *,
    start: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    weights: Mapping[str, float] | None = None,
    fixed: Mapping[str, float] | None = None,
    config: FitConfig | None = None,
    check: Callable[[], None] | None = None,
) -> Fit:
    """Least squares over the parameters `names` on all logs of `replay`.

    Args:
        replay: logs and channels to fit to.
        names: parameters to search.
        start: values to begin at; nominal ones where a name is missing.
        bounds: (low, high) by name; the parameter's own where a name is missing.
        weights: what a residual of a channel is divided by; None: `channel_scales`.
        fixed: values of parameters that are not searched.
        config: None: the defaults.
        check: called before every iteration; may raise to stop.

    Raises:
        CoreError: unknown names, impossible bounds, nothing to search.
    """
    if not names:
        raise CoreError("no parameters to fit", hint="name at least one, or let `auto` choose")
    settings = config or FitConfig()
    problem = Problem(replay, names, bounds=bounds, weights=weights, fixed=fixed)
    z0 = problem.unit(start or {})
    z, converged = solve(problem, z0, settings, check=check)
    return conclude(problem, z, settings, converged=converged)


def solve(problem: Problem, z0: Floats, config: FitConfig, *, check: Callable[[], None] | None = None) -> tuple[Floats, bool]:
    """The optimum in the unit box from `z0`, and whether it converged.

    Levenberg-Marquardt with the exact bounded step (`scipy.optimize.lsq_linear`) and several dampings tried in one batch. Friction,
    damping and stiffness often end on their bound 0, where a reflective trust region crawls; here a bound costs nothing, and a batch
    uses every core.
    """
    z = np.clip(np.asarray(z0, dtype=float), 0.0, 1.0)
    damping = 1e-3
    residual: Floats | None = None
    start = z.copy()
    for _ in range(config.max_iterations):
        if check is not None:
            check()
        residual, jacobian = problem.linearise(z, config.step)
        # One standard deviation of the prior weighs as much as one more sample with the error that there is now: it fades as the fit
        # closes in.
        prior = math.sqrt(float(residual @ residual) / len(residual)) / config.prior_sd
        cost = float(residual @ residual) + float(np.sum((prior * (z - start)) ** 2))
        jacobian = np.concatenate([jacobian, prior * np.eye(len(z))])
        augmented = np.concatenate([residual, prior * (z - start)])
        best_cost, best_z = cost, z
        q, r, norms = reduced(jacobian)
        for _ in range(3):
            trials = damping * np.array([0.02, 0.3, 5.0])
            points = np.stack([z + bounded_step(r, q.T @ augmented, norms, z, trial) for trial in trials])
            rows = problem.residuals(points)
            costs = np.sum(rows**2, axis=1) + np.sum((prior * (points - start)) ** 2, axis=1)
            best = int(np.argmin(costs))
            if costs[best] < cost:
                best_cost, best_z, damping = float(costs[best]), points[best], float(np.clip(trials[best], 1e-9, 1e3))
                break
            damping *= 200.0
        moved = float(np.max(np.abs(best_z - z)))
        z = best_z
        if cost - best_cost <= config.tolerance * cost or moved < 1e-9:
            return z, True
    return z, False


def reduced(jacobian: Floats) -> tuple[Floats, Floats, Floats]:
    """(q, r, norms): the QR decomposition of the Jacobian with its columns scaled to norm 1, and the norms [k]."""
    norms = np.linalg.norm(jacobian, axis=0)
    norms = np.maximum(norms, 1e-8 * max(float(norms.max()), 1e-300))
    q, r = np.linalg.qr(jacobian / norms)
    return q, r, norms


def bounded_step(r: Floats, projected: Floats, norms: Floats, z: Floats, damping: float) -> Floats:
    """The step d [k] of least |residual + J d|^2 + damping |D d|^2 with z + d in the unit box, D^2 the diagonal of J'J (Marquardt).

    `r`, `norms` from `reduced(J)`, `projected` is q' residual.
    """
    matrix = np.concatenate([r, math.sqrt(damping) * np.eye(len(z))])
    target = np.concatenate([-projected, np.zeros(len(z))])
    low, high = -z * norms, (1.0 - z) * norms
    solved = lsq_linear(matrix, target, bounds=(np.minimum(low, -1e-300), np.maximum(high, 1e-300)), method="bvls")
    return np.asarray(np.clip(z + solved.x / norms, 0.0, 1.0) - z)


def conclude(problem: Problem, z: Floats, config: FitConfig, *, converged: bool = True) -> Fit:
    """Intervals, identifiability and gap at a point of the unit box."""
    residual, jacobian = problem.linearise(z, config.step, central=True)
    simulated = problem.simulate(z[None])
    blocks, effective = blocks_of(problem, residual, config)
    variance = float(residual @ residual) / len(residual)
    # In the units of the residual, a prior that knows no more than the bounds do (a uniform one has sd 1 / sqrt(12)).
    hessian = jacobian.T @ jacobian
    inflation = len(residual) / effective
    precision = hessian / (variance * inflation) + 12.0 * np.eye(len(z))
    covariance = _sandwich(jacobian, residual, blocks, 12.0 * variance)
    started = np.linalg.solve(hessian + 12.0 * variance * np.eye(len(z)), jacobian.T @ problem.start_effects(z, residual))
    covariance = covariance + started @ started.T
    bayes: Floats = np.asarray(np.linalg.inv(precision), dtype=np.float64)
    # The sandwich is blind to directions without any information; the Bayes covariance with the effective sample size is a floor.
    covariance = _at_least(covariance, bayes)
    freedom = max(1, len(np.unique(blocks)) - 1)
    quantile = float(student.ppf(0.5 + config.level / 2, freedom))
    estimates = []
    sd = np.sqrt(np.diag(covariance))
    for index, info in enumerate(problem.infos):
        ends = problem.values(np.clip(np.stack([z - quantile * sd, z + quantile * sd]), 0.0, 1.0))[:, index]
        estimates.append(
            Estimate(
                name=info.name,
                value=float(problem.values(z)[index]),
                low=float(ends[0]),
                high=float(ends[1]),
                unit=info.unit,
                sd=float(sd[index] * problem.width[index]),
                log=bool(problem.log[index]),
                at_bound=bool(z[index] < 1e-4 or z[index] > 1 - 1e-4),
                identified=bool(sd[index] < 0.5 / math.sqrt(12)),
            )
        )
    values = dict(zip(problem.names, problem.values(z).tolist(), strict=True)) | problem.fixed
    return Fit(
        values=values,
        estimates=tuple(estimates),
        covariance=covariance * np.outer(problem.width, problem.width),
        gap=gaps(problem.replay, {name: shown[0] for name, shown in simulated.items()}),
        cost=float(residual @ residual),
        effective_samples=effective,
        unidentified=directions(problem.names, bayes),
        evaluations=problem.evaluations,
        converged=converged,
    )


def blocks_of(problem: Problem, residual: Floats, config: FitConfig) -> tuple[NDArray[np.intp], float]:
    """(block of each residual [n], effective number of samples): blocks of consecutive time, the same for all channels.

    A block is at least four times the integrated autocorrelation time of the slowest channel, unless that leaves fewer than `min_blocks`.
    """
    replay = problem.replay
    longest, effective, at = 0.0, 0.0, 0
    spans: list[tuple[Floats, NDArray[np.intp]]] = []
    for name in replay.channels:
        owners, times = replay.segment_of(name), replay.times(name)
        part = residual[at : at + len(owners)]
        at += len(owners)
        spans.append((times, owners))
        for segment in np.unique(owners):
            mine = part[owners == segment]
            tau = correlation_time(mine)
            interval = float(np.median(np.diff(times[owners == segment]))) if len(mine) > 1 else 0.0
            longest = max(longest, tau * interval)
            effective += len(mine) / tau
    total = sum(segment.steps for segment in replay.segments) * replay.dt
    count = int(np.clip(total / max(4.0 * longest, 1e-9), config.min_blocks, config.max_blocks))
    length = total / count
    labels = []
    for times, owners in spans:
        starts = np.array([segment.start for segment in replay.segments])
        labels.append(owners * (count + 1) + np.floor((times - starts[owners]) / length + 1e-9).astype(np.intp))
    _, blocks = np.unique(np.concatenate(labels), return_inverse=True)
    return blocks.astype(np.intp), max(effective, float(len(problem.names)) + 1.0)


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


def _sandwich(jacobian: Floats, residual: Floats, blocks: NDArray[np.intp], prior: float) -> Floats:
    count = int(blocks.max()) + 1
    scores = np.zeros((count, jacobian.shape[1]))
    np.add.at(scores, blocks, jacobian * residual[:, None])
    k = jacobian.shape[1]
    meat = scores.T @ scores * (count / max(1, count - 1)) * (len(residual) - 1) / max(1, len(residual) - k)
    bread = np.linalg.inv(jacobian.T @ jacobian + prior * np.eye(k))
    return np.asarray(bread @ meat @ bread)


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
