"""Intervals and tests that say how much a finite sample can carry.

The exchangeable unit of a permutation test is a whole trajectory (a log), or a stated block of one: samples of one robot log are strongly
autocorrelated, and permuting them one by one rejects almost always (measured: 100 % at the 5 % level for an AR(1) process with rho 0.9).
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from realitygap_core.errors import CoreError

Floats = NDArray[np.float64]


def wilson(successes: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of a success rate: `(low, high)` in [0, 1]; `(0, 1)` when there were no trials.

    Wilson (1927), J. Am. Stat. Assoc. 22, 209. Raises `CoreError` when `successes` is not in [0, n].
    """
    if n < 0 or not 0 <= successes <= n:
        raise CoreError(f"{successes} successes in {n} trials is impossible")
    if n == 0:
        return 0.0, 1.0
    z = float(special.ndtri(0.5 + confidence / 2))
    rate = successes / n
    centre = (rate + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(rate * (1 - rate) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    # At 0 and n the exact bounds are 0 and 1; rounding must not move them.
    return (0.0 if successes == 0 else centre - half), (1.0 if successes == n else centre + half)


def interquartile_mean(values: ArrayLike, axis: int = -1) -> Floats:
    """Mean of the middle half of `values` along `axis`: robust like the median, less noisy (Agarwal et al. 2021, arXiv 2108.13264)."""
    return np.asarray(stats.trim_mean(np.asarray(values, float), 0.25, axis=axis))


def interquartile_mean_interval(values: ArrayLike, *, confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Bootstrap interval (BCa, Efron 1987; percentile where that is not defined) of the interquartile mean of `values` [n].

    `(nan, nan)` for fewer than four values, whose middle half is no sample. The values are taken as independent.
    """
    sample = np.asarray(values, float)
    if sample.size < 4:
        return math.nan, math.nan
    if np.ptp(sample) == 0:
        return float(sample[0]), float(sample[0])
    for method in ("BCa", "percentile"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            result = stats.bootstrap(
                (sample,), interquartile_mean, confidence_level=confidence, n_resamples=2000, batch=200, method=method, rng=seed
            )
        low, high = float(result.confidence_interval.low), float(result.confidence_interval.high)
        if math.isfinite(low) and math.isfinite(high):
            break
    return low, high


def jackknife_interval(value: float, *leave_one_out: ArrayLike, confidence: float = 0.95) -> tuple[float, float]:
    """Delete-one-trajectory interval around `value`: Student t on the jackknife standard error.

    Each of `leave_one_out` is one independent sample, whose entry i is the statistic without its unit i. The variances of the samples add
    up, with the degrees of freedom of Welch (1947) and Satterthwaite (1946); of one sample they are n - 1. No sample, or one of fewer
    than two units: (nan, nan). Efron and Stein (1981); Arvesen (1969), Ann. Math. Stat. 40, 2076, for several samples.
    """
    samples = [np.asarray(sample, dtype=np.float64) for sample in leave_one_out]
    if not samples or min(sample.size for sample in samples) < 2:
        return math.nan, math.nan
    n = np.array([sample.size for sample in samples])
    variances = (n - 1) * np.array([sample.var() for sample in samples])
    if not np.any(variances):
        return value, value
    degrees = float(variances.sum() ** 2 / np.sum(variances**2 / (n - 1)))
    half = float(stats.t.ppf(0.5 + confidence / 2, degrees)) * math.sqrt(float(variances.sum()))
    return value - half, value + half


@dataclass(frozen=True, kw_only=True)
class Relabelling:
    """Ways to say which units are 'real' that are equally likely when sim and real do not differ."""

    is_real: NDArray[np.bool_]
    """[ways, units]; units are the sim ones, then the real ones; row 0 is the labelling that was observed."""
    exhaustive: bool
    """Whether the rows are all ways there are; otherwise they are a random sample that contains the observed one."""

    @property
    def minimum_p(self) -> float:
        """The smallest p-value a statistic that is symmetric in sim and real can reach: nothing that differs can go below it."""
        observed = self.is_real[0]
        same = np.all(self.is_real == observed, axis=1) | np.all(self.is_real == ~observed, axis=1)
        return float(np.mean(same)) if self.exhaustive else 1.0 / len(self.is_real)


def relabellings(n_sim: int, n_real: int, rng: np.random.Generator, *, paired: bool, limit: int = 1024) -> Relabelling:
    """The relabellings of whole units: swaps within pairs (unit i of sim with unit i of real), or any split of all units when unpaired.

    All of them when there are at most `limit`, else `limit` of which the first is the observed one (Phipson and Smyth 2010).
    """
    if n_sim < 1 or n_real < 1 or (paired and n_sim != n_real):
        raise CoreError(f"cannot relabel {n_sim} simulated and {n_real} real logs" + (" in pairs" if paired else ""))
    units = n_sim + n_real
    observed = np.arange(units) >= n_sim
    count = 2**n_sim if paired else math.comb(units, n_real)
    exhaustive = count <= limit
    if paired:
        if exhaustive:
            swaps = np.array(list(itertools.product([False, True], repeat=n_sim)), dtype=bool)
        else:
            swaps = rng.random((limit, n_sim)) < 0.5
            swaps[0] = False
        rows = np.concatenate([swaps, ~swaps], axis=1)
    elif exhaustive:
        chosen = sorted(itertools.combinations(range(units), n_real), reverse=True)  # the last n_real units, as observed, come first
        rows = np.zeros((count, units), dtype=bool)
        rows[np.arange(count)[:, None], np.array(chosen)] = True
    else:
        rows = np.array([observed, *(rng.permutation(observed) for _ in range(limit - 1))])
    return Relabelling(is_real=rows, exhaustive=exhaustive)


def permutation_p_value(values: ArrayLike) -> float:
    """Share of relabellings whose statistic is at least the observed one; `values[0]` is the observed one and counts itself.

    So the p-value is never zero and the test is exact: P(p <= a) <= a (Phipson and Smyth 2010). Ties up to rounding count as at least.
    """
    table = np.asarray(values, dtype=np.float64)
    if np.any(np.isnan(table)):
        return 1.0
    slack = 1e-9 * float(np.max(np.abs(table[np.isfinite(table)]), initial=0.0))
    return float(np.mean(table >= table[0] - slack))


def autocorrelation(series: ArrayLike, lags: int) -> Floats:
    """Sample autocorrelation at lags 0..`lags` (biased normalisation, 1 at lag 0); a constant series gives 1, 0, 0, ..."""
    x = np.asarray(series, dtype=np.float64).ravel()
    x = x - x.mean()
    n = x.size
    size = 1 << (2 * n - 1).bit_length()
    spectrum = np.fft.rfft(x, size)
    raw = np.fft.irfft(spectrum * np.conj(spectrum), size)[: min(lags, n - 1) + 1]
    if raw[0] <= 0:
        return np.concatenate([[1.0], np.zeros(len(raw) - 1)])
    return np.asarray(raw / raw[0], dtype=np.float64)


def effective_sample_size(series: ArrayLike) -> float:
    """How many independent samples carry as much about the mean as this autocorrelated series `[n]`.

    n / tau with tau = 1 + 2 sum rho(k), summed over Geyer's (1992) initial positive monotone sequence of pairs; between 1 and n. For
    AR(1) with coefficient r it tends to n (1 - r) / (1 + r).
    """
    x = np.asarray(series, dtype=np.float64).ravel()
    n = x.size
    if n < 4:
        return float(n)
    rho = autocorrelation(x, n - 1)
    if np.ptp(x) == 0:
        return 1.0
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    stop = int(np.argmax(pairs <= 0)) if np.any(pairs <= 0) else len(pairs)
    pairs = np.minimum.accumulate(pairs[:stop])
    tau = max(1.0, 2 * float(pairs.sum()) - 1)
    return float(min(n, max(1.0, n / tau)))


def ljung_box(series: ArrayLike, lags: int | None = None, *, fitted: int = 0) -> tuple[float, float]:
    """Ljung-Box test of whiteness: `(Q, p)`; small p means that the series is correlated in time.

    `lags` defaults to min(10, n // 5). `fitted` is the number of parameters fitted to the series, taken off the degrees of freedom.
    Ljung and Box (1978), Biometrika 65, 297.
    """
    x = np.asarray(series, dtype=np.float64).ravel()
    n = x.size
    lags = min(10, n // 5) if lags is None else lags
    if lags < 1 or n <= lags + 1:
        raise CoreError(f"a whiteness test over {lags} lags needs more than {n} samples")
    rho = autocorrelation(x, lags)[1:]
    q = n * (n + 2) * float(np.sum(rho**2 / (n - np.arange(1, lags + 1))))
    return q, float(stats.chi2.sf(q, max(1, lags - fitted)))


def blocks(trajectories: Sequence[Floats], length: int) -> list[Floats]:
    """Cuts each trajectory `[t, ...]` into contiguous blocks of `length` samples; a rest shorter than that is left out."""
    if length < 1:
        raise CoreError(f"a block of {length} samples is not possible")
    return [x[start : start + length] for x in trajectories for start in range(0, len(x) - length + 1, length)]


def as_json(value: float) -> float | None:
    """The number, or None where it is not finite, which JSON cannot hold."""
    return float(value) if math.isfinite(value) else None


def correlated_sample_size(series: ArrayLike) -> float:
    """How many independent samples carry as much about a fit as this residual `[n]`: n / (1 + 2 sum rho(k)^2), between 1 and n.

    Bartlett's (1946) formula for two series with the same correlation; unlike `effective_sample_size` it also counts a residual that
    oscillates as correlated. For AR(1) with coefficient r it tends to n (1 - r^2) / (1 + r^2).
    """
    x = np.asarray(series, dtype=np.float64).ravel()
    n = x.size
    if n < 8:
        return float(n)
    rho = autocorrelation(x, n // 4)[1:]
    # White noise has rho^2 of 1 / n at each lag; what is left is correlation. Sokal's window, five correlation times, keeps the noise
    # of far lags out.
    tau = 1 + 2 * np.cumsum(rho**2 - 1 / n)
    wide = np.arange(1, len(tau) + 1) >= 5 * tau
    window = int(np.argmax(wide)) if np.any(wide) else len(tau) - 1
    return float(np.clip(n / max(1.0, float(tau[window])), 1.0, n))
