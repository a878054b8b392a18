"""Parameters of a robot from its logs: bounded nonlinear least squares on replay, intervals, and what the logs cannot tell apart.

All columns of the finite-difference Jacobian are plants of one batch. Parameters are searched in the unit box between their bounds,
those of scale `log` by their logarithm. A weak prior (`FitConfig.prior_sd` of the box about the start) keeps directions that the logs
do not show where they were.

The intervals are those of `intervals`, for errors that are correlated in time. On top comes the error of the start: a replay begins at one
noisy sample, and what that does to the estimate is propagated to first order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError
from realitygap_core.gap import ChannelGap, gaps
from realitygap_core.intervals import Direction, blocks_of, covariance_of, directions, freedom, half_width
from realitygap_core.least_squares import bounded_step, reduced
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
    """Fewest blocks of the sandwich, over all logs; never fewer than two a parameter."""
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
        weights: Mapping[str, Floats | float] | None = None,
    ) -> None:
        """`weights` divide the residuals of a channel (None: `channel_scales`).

        Raises:
            CoreError: unknown names, bounds that are no interval.
        """
        self.replay = replay
        self.names = tuple(names)
        self.infos = tuple(describe(replay.robot, name) for name in self.names)
        self.weights = dict(weights) if weights is not None else channel_scales(replay)
        self.low, self.high, self.log = _bounds(self.infos, bounds or {})
        self._applier = Applier(replay.robot, self.names)
        self._plants: list[Plant] = []
        self._real = replay.real
        self._last: tuple[Floats, float, Floats, Floats] | None = None
        self.evaluations = 0

    def values(self, z: Floats) -> Floats:
        """Parameter values [..., k] at points [..., k] of the unit box."""
        y = self._y_low + (self._y_high - self._y_low) * np.asarray(z)
        with np.errstate(over="ignore"):
            return np.clip(np.where(self.log, np.exp(np.where(self.log, y, 0.0)), y), self.low, self.high)

    def named(self, z: Floats) -> dict[str, float]:
        """Parameter to its value at a point [k] of the unit box."""
        return dict(zip(self.names, self.values(z).tolist(), strict=True))

    def unit(self, values: Mapping[str, float]) -> Floats:
        """Point [k] of the unit box of `values`, nominal ones where a name is missing; clipped to the bounds."""
        x = np.array([values.get(info.name, info.nominal) for info in self.infos], dtype=float)
        x = np.clip(np.where(np.isfinite(x), x, self.high), self.low, self.high)
        return np.clip((self._y(x) - self._y_low) / (self._y_high - self._y_low), 0.0, 1.0)

    @property
    def resolution(self) -> float:
        """Mean square of the weighted residual that a rounding to the smallest step of each channel makes (a step's square / 12): what the
        logs cannot show."""
        total, samples = 0.0, 0
        for name, real in self._real.items():
            steps = np.abs(np.diff(real))
            least = float(np.min(steps[steps > 0], initial=math.inf))
            if math.isfinite(least):
                total += len(real) * float(np.mean((least / self.weights[name]) ** 2)) / 12.0
            samples += len(real)
        return total / samples

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
        if len(self._plants) < len(values):
            self._plants = self._applier.plants(values)
            plants = self._plants
        else:
            plants = self._applier.plants(values, into=self._plants)
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
        places = [z.copy() for _ in range(1 + len(z) + len(moved))]
        for place, index, value in zip(places[1:], [*range(len(z)), *moved], [*up, *down[moved]], strict=True):
            place[index] = value
        rows = self.residuals(np.stack(places))
        below = np.repeat(rows[:1], len(z), axis=0)
        below[moved] = rows[1 + len(z) :]
        jacobian = ((rows[1 : 1 + len(z)] - below) / (up - down)[:, None]).T
        if not central:
            self._last = (z.copy(), step, rows[0], jacobian)
        return rows[0], jacobian


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


def channel_scales(replay: Replay) -> dict[str, Floats]:
    """Spread of a channel's recorded values in the log of each sample [samples], at least a tenth of that over all logs.

    It makes residuals of different units comparable, and logs of small and of large motion: what a model does wrong grows with the motion.
    """
    scales = {}
    for name, values in replay.real.items():
        whole = float(np.std(values)) or 1.0
        scales[name] = np.full(len(values), whole)
        for log in replay.recording.log_names:
            mask = replay.log_mask(name, log)
            if np.any(mask):
                scales[name][mask] = max(float(np.std(values[mask])), 0.1 * whole)
    return scales


def fit(
    replay: Replay,
    names: Sequence[str],
    *,
    start: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    weights: Mapping[str, Floats | float] | None = None,
    config: FitConfig | None = None,
    check: Callable[[], None] | None = None,
) -> Fit:
    """Least squares over the parameters `names` on all logs of `replay`.

    Args:
        replay: logs and channels to fit to.
        names: parameters to search.
        start: values to begin at; nominal ones where a name is missing.
        bounds: (low, high) by name; the parameter's own where a name is missing.
        weights: what the residuals of a channel are divided by [samples]; None: `channel_scales`.
        config: None: the defaults.
        check: called before every iteration; may raise to stop.

    Raises:
        CoreError: unknown names, impossible bounds, nothing to search.
    """
    if not names:
        raise CoreError("no parameters to fit", hint="name at least one, or let `auto` choose")
    settings = config or FitConfig()
    problem = Problem(replay, names, bounds=bounds, weights=weights)
    z, converged = solve(problem, problem.unit(start or {}), settings, check=check)
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
            points = np.stack([z + bounded_step(r, q.T @ augmented, norms, -z, 1.0 - z, trial) for trial in trials])
            rows = problem.residuals(points)
            costs = np.sum(rows**2, axis=1) + np.sum((prior * (points - start)) ** 2, axis=1)
            best = int(np.argmin(costs))
            if costs[best] < cost:
                best_cost, best_z, damping = float(costs[best]), points[best], float(np.clip(trials[best], 1e-9, 1e3))
                break
            damping *= 200.0
        else:
            # No trial goes down: this is the optimum only if the linear model sees nothing to gain either.
            left = augmented + jacobian @ bounded_step(r, q.T @ augmented, norms, -z, 1.0 - z, 0.0)
            return z, cost - float(left @ left) <= config.tolerance * cost
        moved = float(np.max(np.abs(best_z - z)))
        z = best_z
        if cost - best_cost <= config.tolerance * cost or moved < 1e-9:
            return z, True
    return z, False


def conclude(problem: Problem, z: Floats, config: FitConfig, *, converged: bool = True) -> Fit:
    """Intervals, identifiability and gap at a point of the unit box."""
    residual, jacobian = problem.linearise(z, config.step, central=True)
    simulated = problem.simulate(z[None])
    blocks, effective = _blocks(problem, residual, config)
    covariance, bayes = covariance_of(jacobian, residual, blocks, effective, least_variance=problem.resolution)
    variance = max(float(residual @ residual) / len(residual), problem.resolution)
    hessian = jacobian.T @ jacobian + 12.0 * variance * np.eye(len(z))
    started = np.linalg.solve(hessian, jacobian.T @ problem.start_effects(z, residual))
    covariance = covariance + started @ started.T
    sd = np.sqrt(np.diag(covariance))
    half = half_width(sd, config.level, freedom(blocks, len(z)))
    estimates = []
    for index, info in enumerate(problem.infos):
        ends = problem.values(np.clip(np.stack([z - half, z + half]), 0.0, 1.0))[:, index]
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
    return Fit(
        values=problem.named(z),
        estimates=tuple(estimates),
        covariance=covariance * np.outer(problem.width, problem.width),
        gap=gaps(problem.replay, {name: shown[0] for name, shown in simulated.items()}),
        cost=float(residual @ residual),
        effective_samples=effective,
        unidentified=directions(problem.names, bayes),
        evaluations=problem.evaluations,
        converged=converged,
    )


def _blocks(problem: Problem, residual: Floats, config: FitConfig) -> tuple[NDArray[np.intp], float]:
    replay = problem.replay
    owners = [replay.segment_of(name) for name in replay.channels]
    parts = np.split(residual, np.cumsum([len(owner) for owner in owners])[:-1])
    k = len(problem.names)
    blocks, effective = blocks_of(
        parts,
        [replay.times(name) for name in replay.channels],
        owners,
        np.array([segment.start for segment in replay.segments]),
        sum(segment.steps for segment in replay.segments) * replay.dt,
        least=max(config.min_blocks, 2 * k),
        most=max(config.max_blocks, 2 * k),
    )
    return blocks, max(effective, k + 1.0)
