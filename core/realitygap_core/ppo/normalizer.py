"""Running mean and variance of vectors, merged batch by batch (Chan, Golub & LeVeque 1979)."""

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp

LIMIT = 10.0
"""Standard deviations at which a normalised vector is cut off."""


class Normalizer(eqx.Module):
    """Statistics of everything seen so far; the first batch replaces the initial mean 0 and variance 1."""

    count: jax.Array
    """Number of vectors seen, a float: exact up to 2^24 batches where all have the same size, as in a training; else up to 2^24 vectors."""
    mean: jax.Array
    """[n]"""
    m2: jax.Array
    """Sum of squared deviations from the mean [n]."""

    def __init__(self, size: int) -> None:
        self.count = jnp.zeros((), jnp.float32)
        self.mean = jnp.zeros(size, jnp.float32)
        self.m2 = jnp.zeros(size, jnp.float32)

    @property
    def std(self) -> jax.Array:
        """Standard deviation [n]; 1 before anything was seen, and never below 1e-4, so that a constant channel stays small."""
        return jnp.where(self.count > 0, jnp.sqrt(jnp.maximum(self.m2 / jnp.maximum(self.count, 1.0), 1e-8)), 1.0)

    def update(self, batch_bn: jax.Array) -> Normalizer:
        """With the vectors of `batch_bn` [..., n] included."""
        batch_bn = batch_bn.reshape(-1, self.mean.shape[0])
        count = jnp.asarray(batch_bn.shape[0], jnp.float32)
        mean = batch_bn.mean(0)
        m2 = ((batch_bn - mean) ** 2).sum(0)
        total = self.count + count
        shift = mean - self.mean
        updated: Normalizer = eqx.tree_at(
            lambda n: (n.count, n.mean, n.m2),
            self,
            (total, self.mean + shift * (count / total), self.m2 + m2 + shift**2 * (self.count * count / total)),
        )
        return updated

    def normalize(self, x: jax.Array, *, limit: float = LIMIT) -> jax.Array:
        """(x - mean) / std [..., n], clipped to `limit` standard deviations."""
        return jnp.clip((x - self.mean) / self.std, -limit, limit)

    def denormalize(self, x: jax.Array) -> jax.Array:
        """The inverse of `normalize` inside its limits [..., n]."""
        return x * self.std + self.mean
