"""A replay fitted jointly in everything that is uncertain: parameters within their priors, faults without one, and the noisy starts.

Gauss-Newton in the unit box of the parameters, maximum a posteriori. A replay starts from one noisy sample of each position, so every
start is a nuisance parameter too: it moves by one standard deviation of the sensor's noise, and its effect on the residual is linear.
Left out, a start that is off by two standard deviations looks like an offset, a spring or a delay of a model that is right.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from realitygap_core.fit import Problem
from realitygap_core.hypotheses import Believed, Hypothesis
from realitygap_core.information import resolution
from realitygap_core.least_squares import bounded_step, reduced
from realitygap_core.parameters import ParameterInfo
from realitygap_core.replay import Replay
from realitygap_core.statistics import correlated_sample_size

Floats = NDArray[np.float64]

_FARTHEST_START = 6.0
"""Most standard deviations that a start is moved by."""


@dataclass
class Fitted:
    """A point that was fitted."""

    z: Floats
    """[parameters, starts]: parameters in the unit box, starts in standard deviations."""
    residual: Floats
    """[samples of all channels], in the channels' units."""
    columns: Floats
    """Jacobian [samples, parameters and starts], as far as known."""
    covariance: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """Of the free ones."""


class JointFit:
    """The residual of a replay as a function of parameters and starts, with what is believed of each."""

    def __init__(
        self,
        replay: Replay,
        names: Sequence[str],
        beliefs: Mapping[str, Believed],
        infos: Mapping[str, ParameterInfo],
        *,
        default_spread: float,
        least_samples: float,
    ) -> None:
        """`names` are all parameters, of which `beliefs` are uncertain; one without an interval by `default_spread`, relative.

        A channel of a log counts for at least `least_samples` effective samples.
        """
        self.names = tuple(names)
        self.least_samples = least_samples
        self.parts = _parts(replay)
        """Rows of the residual by channel and segment."""
        self.resolution = {c: max(resolution(replay.real[c]), 1e-9 * float(np.ptp(replay.real[c])) + 1e-12) for c in replay.channels}
        """Smallest step of each channel."""
        bounds = {n: _bounds(infos[n], beliefs[n]) for n in beliefs}
        own_units: dict[str, float] = dict.fromkeys(replay.channels, 1.0)
        self.problem = Problem(replay, names, bounds=bounds, weights=own_units)
        parameters = self.problem.unit({n: b.value for n, b in beliefs.items()})
        sds = [self._sd(i, beliefs[n], default_spread) if n in beliefs else 0.0 for i, n in enumerate(names)]
        self._starts = self.problem.start_effects(parameters, self.problem.residuals(parameters[None])[0])
        starts = np.zeros(self._starts.shape[1])
        self.base = np.concatenate([parameters, starts])
        """What is believed, as `Fitted.z`."""
        self.tight = np.concatenate([sds, starts + 1.0])
        """Standard deviations of the priors; 0 for what is not free without a fault."""
        self.low = np.concatenate([np.zeros(len(names)), starts - _FARTHEST_START])
        self.high = np.concatenate([np.ones(len(names)), starts + _FARTHEST_START])

    def residuals(self, z_bk: Floats) -> Floats:
        """Residuals [B, samples] at points [B, parameters and starts]."""
        k = len(self.names)
        return self.problem.residuals(np.clip(z_bk[:, :k], 0.0, 1.0)) + z_bk[:, k:] @ self._starts.T

    def columns(self, z: Floats, residual: Floats, which: Sequence[int]) -> Floats:
        """Columns [samples, which] of the Jacobian."""
        k = len(self.names)
        out = np.empty((len(residual), len(which)))
        starts = [at for at, index in enumerate(which) if index >= k]
        out[:, starts] = self._starts[:, [which[at] - k for at in starts]]
        moved = [at for at, index in enumerate(which) if index < k]
        if moved:
            step = np.array([1e-4 if z[which[at]] + 1e-4 <= 1 else -1e-4 for at in moved])
            points = np.repeat(z[None], len(moved), axis=0)
            points[np.arange(len(moved)), [which[at] for at in moved]] += step
            out[:, moved] = ((self.residuals(points) - residual) / step[:, None]).T
        return out

    def value(self, index: int, at: float) -> float:
        """The value of parameter `index` at the place `at` of its unit box, within its bounds."""
        z = self.base[: len(self.names)].copy()
        z[index] = np.clip(at, 0.0, 1.0)
        return float(self.problem.values(z)[index])

    def widened(self, factor: float) -> Floats:
        """`tight` with the parameters' deviations times `factor`, at most half the box; the starts keep theirs."""
        k = len(self.names)
        wide = np.minimum(self.tight[:k] * factor, np.maximum(self.tight[:k], 0.5))
        return np.concatenate([wide, self.tight[k:]])

    def free(self, faults: Sequence[Hypothesis]) -> tuple[NDArray[np.intp], Floats]:
        """Indices of the free parameters and their prior precisions in the unit box, wide for those of a fault."""
        sd = self.tight.copy()
        for name in {n for h in faults for n in h.names}:
            sd[self.names.index(name)] = 0.5
        free = np.flatnonzero(sd > 0)
        return free, 1 / sd[free] ** 2

    def noise(self, residual: Floats) -> tuple[Floats, float]:
        """Weight of each sample, n_eff / (n sigma^2), and the effective number of samples over all channels."""
        weights = np.empty_like(residual)
        total = 0.0
        for channel, logs in self.parts.items():
            n = sum(len(rows) for rows in logs)
            square = sum(float(np.sum(residual[rows] ** 2)) for rows in logs) / n
            sigma2 = max(square, self.resolution[channel] ** 2 / 12)
            # At least a few a log: an error that drifts would else count for so little that a fit gives the channel up.
            effective = sum(max(self.least_samples, correlated_sample_size(residual[rows])) for rows in logs)
            for rows in logs:
                weights[rows] = effective / n / sigma2
            total += effective
        return weights, total

    def score(self, residual: Floats, z: Floats, weights: Floats, free: NDArray[np.intp], precision: Floats) -> float:
        """Weighted sum of squares of the residual, and of how far the free parameters are from what is believed."""
        return float(np.sum(weights * residual**2) + np.sum(precision * (z - self.base)[free] ** 2))

    def own_noise_score(self, at: Fitted) -> float:
        """-2 log likelihood of a fit with the noise that its own residual has, up to a constant."""
        return sum(
            sum(map(len, logs)) * math.log(max(sum(float(np.sum(at.residual[r] ** 2)) for r in logs), 1e-300))
            for logs in self.parts.values()
        )

    def step(self, at: Fitted, weights: Floats, free: NDArray[np.intp], precision: Floats) -> tuple[Floats, Floats]:
        """Gauss-Newton step of the free parameters, within the box, and the covariance of the linearisation."""
        rows, prior = np.sqrt(weights), np.sqrt(precision)
        jacobian = np.concatenate([at.columns[:, free] * rows[:, None], np.diag(prior)])
        residual = np.concatenate([at.residual * rows, prior * (at.z - self.base)[free]])
        q, r, norms = reduced(jacobian)
        step = bounded_step(r, q.T @ residual, norms, (self.low - at.z)[free], (self.high - at.z)[free], 0.0)
        return step, np.asarray(np.linalg.pinv(jacobian.T @ jacobian, hermitian=True), dtype=np.float64)

    def improve(
        self, at: Fitted, faults: Sequence[Hypothesis], iterations: int, weights: Floats | None = None, refresh: Sequence[int] = ()
    ) -> Fitted:
        """Gauss-Newton from `at`. `refresh` are the columns that are taken anew at every step; the others stay. Without `weights` they
        follow the residual.
        """
        free, precision = self.free(faults)
        for _ in range(iterations):
            w = self.noise(at.residual)[0] if weights is None else weights
            step, _ = self.step(at, w, free, precision)
            before = self.score(at.residual, at.z, w, free, precision)
            tried: list[tuple[float, Floats, Floats]] = []
            for factors in ((1.0,), (0.5, 0.2)):
                points = np.repeat(at.z[None], len(factors), axis=0)
                for row, factor in enumerate(factors):
                    points[row, free] = np.clip(at.z[free] + factor * step, self.low[free], self.high[free])
                rows = self.residuals(points)
                tried += [(self.score(r, z, w, free, precision), z, r) for r, z in zip(rows, points, strict=True)]
                if min(s for s, _, _ in tried) < before:
                    break
            score, z, residual = min(tried, key=lambda item: item[0])
            if score >= before - 1e-3:
                break
            columns = at.columns.copy()
            if len(refresh):
                columns[:, list(refresh)] = self.columns(z, residual, refresh)
            at = Fitted(z=z, residual=residual, columns=columns)
            if before - score < 0.1:
                break
        w = self.noise(at.residual)[0] if weights is None else weights
        return replace(at, covariance=self.step(at, w, free, precision)[1])

    def _sd(self, index: int, belief: Believed, default_spread: float) -> float:
        """Standard deviation of the prior in the unit box."""
        width = float(self.problem.width[index])
        log = bool(self.problem.log[index])
        if belief.low is not None and belief.high is not None and belief.high > belief.low:
            low, high = (max(x, 1e-300) for x in (belief.low, belief.high)) if log else (belief.low, belief.high)
            distance = math.log(high / low) if log else high - low
            return max(distance / (2 * 1.96) / width, 1e-6)
        if not log and belief.value == 0:
            return 0.01
        return max(default_spread if log else default_spread * abs(belief.value), 1e-9) / width


def _bounds(info: ParameterInfo, belief: Believed) -> tuple[float, float]:
    """The search bounds, wide enough for what is believed."""
    values = [x for x in (belief.value, belief.low, belief.high) if x is not None and math.isfinite(x)]
    low, high = min([info.low, *values]), max([info.high, *values])
    return max(low, info.physical_low), min(high, info.physical_high)


def _parts(replay: Replay) -> dict[str, list[NDArray[np.intp]]]:
    """Rows of the residual by channel and segment."""
    parts: dict[str, list[NDArray[np.intp]]] = {}
    start = 0
    for name in replay.channels:
        owner = replay.segment_of(name)
        parts[name] = [start + np.flatnonzero(owner == s) for s in np.unique(owner)]
        start += len(owner)
    return parts
