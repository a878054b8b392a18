"""Distances and divergences between two samples, each a few lines of NumPy, each with its unit.

All take samples `x [n, d]` and `y [m, d]`. None of them knows how large it is when nothing differs: in several dimensions every sample
estimate is biased, so `comparison` reports each next to its null. Values of a distance are in the unit of the samples; standardise
channels of different units.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.spatial import cKDTree
from scipy.spatial.distance import cdist

from realitygap_core.errors import CoreError

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Divergence:
    """A divergence from outside, for `comparison.compare`, which adds null, interval and p-value.

    A component of kind `divergence` is a factory: its parameters in, one of these out.
    """

    compute: Callable[[Floats, Floats], float]
    """`compute(real [n, d], sim [m, d])`: finite numbers, at least two rows each; a finite number comes out."""
    unit: str
    """Of the value. Distances between joint samples are in pooled standard deviations; empty, channel by channel, is the channel's own."""
    by_channel: bool = False
    """True: one value a channel, of samples [n, 1] in its unit. False: one of all channels, each scaled by its pooled spread."""
    directed: bool = False
    """Whether exchanging real and sim changes the value, as in KL(real || sim)."""


def samples(x: ArrayLike) -> Floats:
    """`x` as a float64 matrix [n, d]; a vector becomes [n, 1]. Raises `CoreError` on NaN, infinity or fewer than two rows."""
    matrix = np.asarray(x, dtype=np.float64)
    matrix = matrix[:, None] if matrix.ndim == 1 else matrix
    if matrix.ndim != 2 or len(matrix) < 2:
        raise CoreError(f"need at least two samples [n, d], not an array of shape {np.shape(x)}")
    if not np.all(np.isfinite(matrix)):
        row, column = np.argwhere(~np.isfinite(matrix))[0]
        raise CoreError("a sample is not a finite number", where=f"row {row}, column {column}")
    return matrix


def _root(matrix: Floats) -> Floats:
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def gaussian_w2_of_moments(mean_x: Floats, cov_x: Floats, mean_y: Floats, cov_y: Floats) -> float:
    """2-Wasserstein distance of two Gaussians: sqrt(|m - n|^2 + tr(S + T - 2 (S^1/2 T S^1/2)^1/2)); Dowson and Landau (1982)."""
    root = _root(cov_x)
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ cov_y @ root), 0.0)).sum()
    squared = float(np.sum((mean_x - mean_y) ** 2) + np.trace(cov_x) + np.trace(cov_y) - 2 * cross)
    return math.sqrt(max(squared, 0.0))


def gaussian_kl_of_moments(mean_x: Floats, cov_x: Floats, mean_y: Floats, cov_y: Floats) -> float:
    """KL(N(m, S) || N(n, T)) in nats; infinity when T is singular."""
    sign_y, log_det_y = np.linalg.slogdet(cov_y)
    sign_x, log_det_x = np.linalg.slogdet(cov_x)
    if sign_y <= 0 or sign_x <= 0:
        return math.inf
    delta = mean_y - mean_x
    trace = float(np.trace(np.linalg.solve(cov_y, cov_x)))
    return 0.5 * (trace + float(delta @ np.linalg.solve(cov_y, delta)) - len(delta) + float(log_det_y - log_det_x))


def gaussian_kl_bias(d: int, n: float, m: float) -> float:
    """Leading bias of the plug-in Gaussian KL from n and m independent samples in d dimensions when nothing differs: d (d + 3) / 4 (1/n
    + 1/m) nats.
    """
    return d * (d + 3) / 4 * (1 / n + 1 / m)


def knn_kl(x: ArrayLike, y: ArrayLike, k: int = 5) -> float:
    """KL(X || Y) in nats from k-th neighbour distances; Wang, Kulkarni and Verdu (2009), eq. 5.

    d / n sum log(nu_k(i) / rho_k(i)) + log(m / (n - 1)), rho within x without the point itself, nu in y. Good up to about six dimensions.
    """
    a, b = samples(x), samples(y)
    if len(a) <= k or len(b) < k:
        raise CoreError(f"{k} nearest neighbours need more than {k} samples, not {min(len(a), len(b))}")
    rho = cKDTree(a).query(a, k=[k + 1])[0][:, 0]
    nu = cKDTree(b).query(a, k=[k])[0][:, 0]
    if np.any(rho <= 0) or np.any(nu <= 0):
        raise CoreError("samples repeat exactly, so distances to neighbours are zero", hint="dither quantised channels: information.dither")
    return float(a.shape[1] * np.mean(np.log(nu / rho)) + math.log(len(b) / (len(a) - 1)))


def directions(d: int, count: int, rng: np.random.Generator) -> Floats:
    """`count` random unit vectors [count, d]; in one dimension just the one there is."""
    if d == 1:
        return np.ones((1, 1))
    raw = rng.standard_normal((count, d))
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True))


def w2_squared_1d(x_sorted: Floats, y_sorted: Floats) -> float:
    """Squared 2-Wasserstein distance between two sorted one-dimensional samples, exact also for different sizes."""
    n, m = len(x_sorted), len(y_sorted)
    if n == m:
        return float(np.mean((x_sorted - y_sorted) ** 2))
    edges = np.union1d(np.arange(1, n + 1) / n, np.arange(1, m + 1) / m)
    middle = edges - 0.5 * np.diff(edges, prepend=0.0)
    gap = x_sorted[np.minimum((middle * n).astype(int), n - 1)] - y_sorted[np.minimum((middle * m).astype(int), m - 1)]
    return float(np.sum(np.diff(edges, prepend=0.0) * gap**2))


def median_bandwidth(x: ArrayLike) -> float:
    """Median distance between distinct samples of `x`, the usual bandwidth of a Gaussian kernel; 1 when all coincide."""
    a = samples(x)
    distance = cdist(a, a)[np.triu_indices(len(a), 1)]
    median = float(np.median(distance))
    return median if median > 0 else 1.0


def kolmogorov_smirnov(x: ArrayLike, y: ArrayLike) -> float:
    """Largest difference between two one-dimensional empirical distribution functions, in [0, 1]."""
    a, b = np.sort(samples(x)[:, 0]), np.sort(samples(y)[:, 0])
    pooled = np.concatenate([a, b])
    return float(np.max(np.abs(np.searchsorted(a, pooled, side="right") / len(a) - np.searchsorted(b, pooled, side="right") / len(b))))


def wasserstein1(x: ArrayLike, y: ArrayLike) -> float:
    """1-Wasserstein distance of two one-dimensional samples: mean distance that mass must travel, in the unit of the channel."""
    return float(stats.wasserstein_distance(samples(x)[:, 0], samples(y)[:, 0]))
