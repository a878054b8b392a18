"""Every divergence with its null, interval and p-value, by relabelling and leaving out whole trajectories.

A trajectory `[t, d]` is the unit. Logs of the same name in sim and real are a pair, and under the hypothesis that sim and real do not
differ each pair may be swapped; without pairs all trajectories may be dealt anew. Where a statistic is a function of per-trajectory sums
(moments, sums of a kernel between trajectories) these are formed once, so that a relabelling costs microseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from realitygap_core import divergences, information
from realitygap_core.errors import CoreError
from realitygap_core.statistics import as_json, jackknife_interval, permutation_p_value, relabellings

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Statistic = Callable[[Mask, Mask], float]
"""`statistic(sim, real)`: its value when the units in mask `sim` are simulated and those in `real` are real."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One measure and what it is worth."""

    value: float
    """The estimate, sim against real."""
    null: float
    """Median of the same estimate when sim and real are interchangeable."""
    null_high: float
    """95 % quantile of the same."""
    low: float
    """Lower end of the 95 % interval of the value (delete-one-trajectory jackknife); NaN from a single trajectory."""
    high: float
    """Upper end."""
    p_value: float
    """Permutation p-value over whole trajectories."""
    minimum_p: float
    """The smallest p-value that so few trajectories can give; above 0.05 nothing can be decided."""
    unit: str
    association: bool = False
    """Whether null and p-value are of sim and real having nothing to do with each other, not of them being alike."""

    @property
    def verdict(self) -> str:
        """`differs`, `same` (no difference found at 5 %) or `undecided` (too few trajectories to find one).

        For an association `related` or `unrelated`.
        """
        if self.minimum_p > 0.05:
            return "undecided"
        if self.association:
            return "related" if self.p_value <= 0.05 else "unrelated"
        return "differs" if self.p_value <= 0.05 else "same"

    def to_mapping(self) -> dict[str, Any]:
        """Plain numbers, None where there is none."""
        numbers = {name: as_json(getattr(self, name)) for name in ("value", "null", "null_high", "low", "high", "p_value", "minimum_p")}
        return {**numbers, "unit": self.unit, "verdict": self.verdict}


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """Trajectories of both sides, thinned, dithered and standardised together."""

    units: tuple[Floats, ...]
    """The sim trajectories, then the real ones, each [t, d], in pooled standard deviations."""
    raw: tuple[Floats, ...]
    """The same in the channels' own units."""
    n_sim: int
    channels: tuple[str, ...]
    stride: int
    """Every `stride`-th sample was used."""
    dithered: tuple[str, ...]
    """Channels that are quantised and were dithered."""
    dropped: tuple[str, ...]
    """Channels that never move in either and were left out."""

    def side(self, real: bool, scaled: bool = True) -> list[Floats]:
        """The simulated or the real trajectories."""
        chosen = self.units if scaled else self.raw
        return list(chosen[self.n_sim :] if real else chosen[: self.n_sim])


def prepare(
    sim: Sequence[Floats], real: Sequence[Floats], channels: Sequence[str], rng: np.random.Generator, *, max_samples: int = 1500
) -> Prepared:
    """Thins both sides by one common stride to at most about `max_samples` each, dithers quantised channels, scales by the pooled spread.

    Mean and spread are those of both sides pooled, so that relabelling leaves them alone. Raises `CoreError` when nothing moves.
    """
    if not sim or not real:
        raise CoreError("a comparison needs at least one trajectory on each side")
    stride = max(1, math.ceil(max(sum(map(len, sim)), sum(map(len, real))) / max_samples))
    thinned = [np.asarray(x, dtype=np.float64)[::stride] for x in (*sim, *real)]
    sides = np.concatenate(thinned[: len(sim)]), np.concatenate(thinned[len(sim) :])
    steps = np.array([max(information.resolution(side[:, i]) for side in sides) for i in range(len(channels))])
    pooled = np.concatenate(sides)
    spread = pooled.std(axis=0)
    moving = spread > 1e-12 * np.maximum(1.0, np.abs(pooled).max(axis=0))
    if not np.any(moving):
        raise CoreError("no channel moves in either recording", where=", ".join(channels))
    raw = [information.dither(x, steps, rng)[:, moving] for x in thinned]
    centre = pooled.mean(axis=0)[moving]
    return Prepared(
        units=tuple((x - centre) / spread[moving] for x in raw),
        raw=tuple(raw),
        n_sim=len(sim),
        channels=tuple(c for c, keep in zip(channels, moving, strict=True) if keep),
        stride=stride,
        dithered=tuple(c for c, step, keep in zip(channels, steps, moving, strict=True) if keep and step > 0),
        dropped=tuple(c for c, keep in zip(channels, moving, strict=True) if not keep),
    )


def _of_moments(units: Sequence[Floats], function: Callable[..., float], corrected: bool = False) -> Statistic:
    """A statistic of the two sides' means and covariances, from per-trajectory sums."""
    counts = np.array([len(x) for x in units], dtype=np.float64)
    sums = np.array([x.sum(0) for x in units])
    squares = np.array([x.T @ x for x in units])

    def moments(chosen: Mask) -> tuple[float, Floats, Floats]:
        n = float(counts[chosen].sum())
        mean = sums[chosen].sum(0) / n
        return n, mean, (squares[chosen].sum(0) - n * np.outer(mean, mean)) / (n - 1)

    def statistic(sim: Mask, real: Mask) -> float:
        (n, *a), (m, *b) = moments(real), moments(sim)
        return function(*a, *b) - (divergences.gaussian_kl_bias(len(a[0]), n, m) if corrected else 0.0)

    return statistic


def _of_pairs(units: Sequence[Floats], kernel: Callable[[Floats, Floats], Floats], sign: float) -> Statistic:
    """The U-statistic sign * (E k(X, X') + E k(Y, Y') - 2 E k(X, Y)), from sums of the kernel between trajectories."""
    counts = np.array([len(x) for x in units], dtype=np.float64)
    pooled = np.concatenate(units)
    starts = np.concatenate([[0], np.cumsum(counts[:-1])]).astype(int)
    matrix = kernel(pooled, pooled)
    np.fill_diagonal(matrix, 0.0)
    sums = np.add.reduceat(np.add.reduceat(matrix, starts, axis=0), starts, axis=1)

    def statistic(sim: Mask, real: Mask) -> float:
        n, m = counts[sim].sum(), counts[real].sum()
        within = sums[np.ix_(sim, sim)].sum() / (n * (n - 1)) + sums[np.ix_(real, real)].sum() / (m * (m - 1))
        return float(sign * (within - 2 * sums[np.ix_(sim, real)].sum() / (n * m)))

    return statistic


def _of_samples(units: Sequence[Floats], function: Callable[[Floats, Floats], float]) -> Statistic:
    """Any function of the two samples, evaluated anew each time: real first, as in KL(real || sim)."""

    def pick(chosen: Mask) -> Floats:
        return np.concatenate([x for x, keep in zip(units, chosen, strict=True) if keep])

    return lambda sim, real: function(pick(real), pick(sim))


def _of_sorted(units: Sequence[Floats], directions_kd: Floats, function: Callable[[Floats, Floats], float]) -> Statistic:
    """The mean over directions of a function of two sorted one-dimensional samples; the pooled projections are sorted once."""
    owner = np.repeat(np.arange(len(units)), [len(x) for x in units])
    projected = np.concatenate(units) @ directions_kd.T
    order = np.argsort(projected, axis=0, kind="stable")
    values, owners = np.take_along_axis(projected, order, axis=0), owner[order]

    def statistic(sim: Mask, real: Mask) -> float:
        return float(np.mean([function(v[real[o]], v[sim[o]]) for v, o in zip(values.T, owners.T, strict=True)]))

    return statistic


MEASURES = ("gaussian_w2", "gaussian_kl", "knn_kl", "sliced_w2", "mmd2", "energy", "ks", "w1", "r2", "nrmse")
"""The measures there are; `ks`, `w1`, `r2` and `nrmse` are taken channel by channel, the last two on paired logs only."""

DIRECTED = ("gaussian_kl", "knn_kl")
"""Divergences of sim from real that are not those of real from sim."""
PAIRED_ONLY = ("r2", "nrmse")


def compare(
    data: Prepared,
    measures: Sequence[str],
    rng: np.random.Generator,
    *,
    paired: bool,
    units: Mapping[str, str] | None = None,
    more: Mapping[str, divergences.Divergence] | None = None,
    on_measure: Callable[[str], None] = lambda name: None,
) -> dict[str, Measured]:
    """Every measure with null, interval and p-value. Divergences that have a direction are of the sim from the real: KL(real || sim).

    `units` gives each channel's unit, `more` divergences from outside by name.
    `on_measure` is called before each measure, for progress; what it raises goes up.
    """
    names = units or {}
    statistics: dict[str, tuple[Statistic, str, int]] = {}
    for measure in measures:
        if measure not in MEASURES:
            raise CoreError(f"no measure '{measure}'", hint=f"there are: {', '.join(MEASURES)}")
        statistics.update(_statistics(measure, data, rng, names))
    directed = set(DIRECTED)
    for name, divergence in (more or {}).items():
        added = _from_outside(name, divergence, data, names)
        statistics.update(added)
        directed.update(added if divergence.directed else ())
    results: dict[str, Measured] = {}
    n_units = len(data.units)
    for name, (statistic, unit, limit) in statistics.items():
        on_measure(name)
        ways = relabellings(data.n_sim, n_units - data.n_sim, rng, paired=paired, limit=limit)
        values = np.array([statistic(~row, row) for row in ways.is_real])
        # A divergence with a direction changes when all labels are exchanged, so only the observed labelling equals itself.
        least = 1 / len(values) if name in directed else ways.minimum_p
        results[name] = _measured(values, _leave_one_out(statistic, ways.is_real[0], paired), least, unit)
    if paired:
        for measure in (m for m in measures if m in PAIRED_ONLY):
            for channel in range(len(data.channels)):
                on_measure(f"{measure}[{data.channels[channel]}]")
                results[f"{measure}[{data.channels[channel]}]"] = _association(data, measure, channel, rng)
    return results


def _statistics(measure: str, data: Prepared, rng: np.random.Generator, names: Mapping[str, str]) -> dict[str, tuple[Statistic, str, int]]:
    """Name to (statistic, unit, most relabellings)."""
    x = data.units
    if measure == "gaussian_w2":
        return {measure: (_of_moments(x, divergences.gaussian_w2_of_moments), "pooled standard deviations", 1024)}
    if measure == "gaussian_kl":
        return {measure: (_of_moments(x, divergences.gaussian_kl_of_moments, corrected=True), "nats", 1024)}
    if measure == "knn_kl":
        return {measure: (_of_samples(x, divergences.knn_kl), "nats", 128)}
    if measure == "sliced_w2":
        squared = _of_sorted(x, divergences.directions(x[0].shape[1], 64, rng), divergences.w2_squared_1d)
        return {measure: (lambda sim, real: math.sqrt(squared(sim, real)), "pooled standard deviations", 128)}
    if measure == "mmd2":
        h = divergences.median_bandwidth(np.concatenate(x))
        return {measure: (_of_pairs(x, lambda a, b: np.exp(cdist(a, b, "sqeuclidean") / (-2 * h * h)), 1.0), "1", 1024)}
    if measure == "energy":
        return {measure: (_of_pairs(x, lambda a, b: np.asarray(cdist(a, b)), -1.0), "pooled standard deviations", 1024)}
    one_by_one: dict[str, tuple[Statistic, str, int]] = {}
    if measure in ("ks", "w1"):
        function = divergences.kolmogorov_smirnov if measure == "ks" else divergences.wasserstein1
        for i, channel in enumerate(data.channels):
            unit = "1" if measure == "ks" else names.get(channel, "")
            one_by_one[f"{measure}[{channel}]"] = (_of_samples([r[:, [i]] for r in data.raw], function), unit, 256)
    return one_by_one


def _from_outside(
    name: str, divergence: divergences.Divergence, data: Prepared, names: Mapping[str, str]
) -> dict[str, tuple[Statistic, str, int]]:
    """As `_statistics`, for a divergence that is not one of this module's. Raises `CoreError` for a value that is not finite."""

    def finite(real: Floats, sim: Floats) -> float:
        value = float(divergence.compute(real, sim))
        if not math.isfinite(value):
            raise CoreError(f"divergence '{name}' is {value}", hint="it must give a finite number for any finite samples")
        return value

    if not divergence.by_channel:
        return {name: (_of_samples(data.units, finite), divergence.unit, 128)}
    return {
        f"{name}[{channel}]": (_of_samples([x[:, [i]] for x in data.raw], finite), divergence.unit or names.get(channel, ""), 256)
        for i, channel in enumerate(data.channels)
    }


def _leave_one_out(statistic: Statistic, is_real: Mask, paired: bool) -> list[list[float]]:
    """The statistic without each pair, or without each simulated and without each real trajectory; empty where a side would be left with
    none."""
    n_real = int(is_real.sum())
    n_sim = len(is_real) - n_real
    if min(n_sim, n_real) < 2:
        return []
    values = []
    for i in range(n_sim if paired else len(is_real)):
        keep = np.ones(len(is_real), dtype=bool)
        keep[i] = False
        if paired:
            keep[n_sim + i] = False
        values.append(statistic(~is_real & keep, is_real & keep))
    return [values] if paired else [values[:n_sim], values[n_sim:]]


def _measured(values: Floats, without: Sequence[Sequence[float]], minimum_p: float, unit: str) -> Measured:
    low, high = jackknife_interval(float(values[0]), *without)
    return Measured(
        value=float(values[0]),
        null=float(np.median(values)),
        null_high=float(np.quantile(values, 0.95)),
        low=low,
        high=high,
        p_value=permutation_p_value(values),
        minimum_p=minimum_p,
        unit=unit,
    )


def shifted(series: Floats, rng: np.random.Generator) -> Floats:
    """The series turned by a random amount, between a tenth and nine tenths of its length: same spectrum, pairing with time destroyed."""
    n = len(series)
    return np.roll(series, int(rng.integers(max(1, n // 10), max(2, n - n // 10))), axis=0)


def _association(data: Prepared, measure: str, channel: int, rng: np.random.Generator, surrogates: int = 199) -> Measured:
    """R^2 or NRMSE of paired logs. Null and p-value are of no association: sim turned in time by random amounts within each log."""
    sim = [x[:, channel] for x in data.side(False, scaled=False)]
    real = [x[:, channel] for x in data.side(True, scaled=False)]
    function, sign = (information.r_squared, 1.0) if measure == "r2" else (information.nrmse, -1.0)

    def value(parts: Sequence[Floats], skip: int = -1) -> float:
        keep = [i for i in range(len(parts)) if i != skip]
        return function(np.concatenate([parts[i] for i in keep]), np.concatenate([real[i] for i in keep]))

    observed = value(sim)
    turned = np.array([value([shifted(x, rng) for x in sim]) for _ in range(surrogates)])
    low, high = jackknife_interval(observed, [value(sim, i) for i in range(len(sim))] if len(sim) > 1 else [])
    return Measured(
        value=observed,
        null=float(np.median(turned)),
        null_high=float(np.quantile(sign * turned, 0.95) * sign),
        low=low,
        high=high,
        p_value=permutation_p_value(sign * np.concatenate([[observed], turned])),
        minimum_p=1.0 / (surrogates + 1),
        unit="1",
        association=True,
    )


def entropies(data: Prepared, *, paired: bool) -> dict[str, Any]:
    """Joint entropies of the channels, nats, by nearest neighbours, in pooled standard deviations; their difference with its 95 % interval.

    The difference does not depend on units. It says which side spreads more, not whether they agree: two signals far apart can have
    equal entropies.
    """

    def spread(sim: Mask, real: Mask) -> float:
        return information.knn_entropy(_pick(data, sim)) - information.knn_entropy(_pick(data, real))

    is_real = np.arange(len(data.units)) >= data.n_sim
    low, high = jackknife_interval(spread(~is_real, is_real), *_leave_one_out(spread, is_real, paired))
    sides = {name: information.knn_entropy(_pick(data, mask)) for name, mask in (("sim", ~is_real), ("real", is_real))}
    return {**sides, "difference": sides["sim"] - sides["real"], "low": as_json(low), "high": as_json(high), "unit": "nats"}


def _pick(data: Prepared, mask: Mask) -> Floats:
    return np.concatenate([x for x, keep in zip(data.units, mask, strict=True) if keep])


def mutual_information(data: Prepared, rng: np.random.Generator, *, surrogates: int = 39) -> dict[str, dict[str, Any]]:
    """Channel by channel on paired logs, nats: Gaussian copula and KSG, with the copula's null (median) and p under random turns in time.

    Blind to scale and offset of a sensor; read it beside R^2 and NRMSE.
    """
    results: dict[str, dict[str, Any]] = {}
    for i, channel in enumerate(data.channels):
        sim, real = ([x[:, i] for x in data.side(side)] for side in (False, True))
        target = np.concatenate(real)
        value = information.gaussian_copula_mi(np.concatenate(sim), target)
        turned = [information.gaussian_copula_mi(np.concatenate([shifted(x, rng) for x in sim]), target) for _ in range(surrogates)]
        results[channel] = {
            "gaussian_copula": as_json(value),
            "ksg": as_json(information.ksg_mi(np.concatenate(sim), target)),
            "null": as_json(float(np.median(turned))),
            "p_value": permutation_p_value([value, *turned]),
            "unit": "nats",
        }
    return results
