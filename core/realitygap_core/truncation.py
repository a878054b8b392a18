"""A standard normal distribution cut to an interval."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

HALF_LOG_2PIE = 0.5 * math.log(2 * math.pi * math.e)
"""Entropy of a standard normal, nats."""


class Truncation:
    """A standard normal cut to [a, b], computed on the side of the mean where the tails keep their digits."""

    def __init__(self, a: float, b: float) -> None:
        self.a, self.b = a, b
        # Phi(b) - Phi(a) loses everything to rounding far in the right tail; by symmetry work in the left one there.
        self.flip = a > 0
        self.left, self.right = (-b, -a) if self.flip else (a, b)
        low, high = special.log_ndtr(self.left), special.log_ndtr(self.right)
        self.log_mass = float(high + np.log1p(-np.exp(low - high)))

    def from_normal(self, z: ArrayLike) -> Floats:
        """The points at the quantiles that a standard normal has at `z`."""
        z = -np.asarray(z) if self.flip else np.asarray(z)
        low = special.log_ndtr(self.left)
        inner = np.logaddexp(low, special.log_ndtr(z) + self.log_mass)
        y = np.clip(special.ndtri_exp(np.minimum(inner, -1e-300)), self.left, self.right)
        return np.asarray(-y if self.flip else y)

    def to_normal(self, y: ArrayLike) -> Floats:
        """The inverse of `from_normal`."""
        y = np.clip(-np.asarray(y) if self.flip else np.asarray(y), self.left, self.right)
        low, here = special.log_ndtr(self.left), special.log_ndtr(y)
        with np.errstate(divide="ignore"):
            log_share = here + np.log(-np.expm1(np.minimum(low - here, 0.0))) - self.log_mass
        z = np.asarray(special.ndtri_exp(np.minimum(log_share, 0.0)))
        return -z if self.flip else z

    def _pull(self, y: float) -> float:
        """phi(y) / mass, zero at infinity."""
        return math.exp(-0.5 * y * y - 0.5 * math.log(2 * math.pi) - self.log_mass) if math.isfinite(y) else 0.0

    def mean(self) -> float:
        """Expectation."""
        return self._pull(self.a) - self._pull(self.b)

    def entropy(self) -> float:
        """Differential entropy, nats."""
        edge = (self.a * self._pull(self.a) if math.isfinite(self.a) else 0.0) - (
            self.b * self._pull(self.b) if math.isfinite(self.b) else 0.0
        )
        return HALF_LOG_2PIE + self.log_mass + 0.5 * edge
