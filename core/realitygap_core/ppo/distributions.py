"""The action distribution: a diagonal Gaussian, executed through tanh or as it is, or a categorical one on a grid.

Everything speaks of the *executed* action `a`, never of the Gaussian before the squashing: with `a = tanh(u)` the entropy of `u`
grows without bound while that of `a` falls once the samples pile up at the limits (std 3: 2.52 nats before, -1.10 after).
"""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp

ENTROPY_LIMIT_PER_DIM = math.log(2.0)
"""Entropy of the uniform distribution on [-1, 1], nats: no squashed action has more."""

_HALF_LOG_2PI_E = 0.5 * math.log(2.0 * math.pi * math.e)
_HALF_LOG_2PI = 0.5 * math.log(2.0 * math.pi)


def log_tanh_slope(u: jax.Array) -> jax.Array:
    """log(1 - tanh(u)^2), elementwise, exact also where tanh saturates in single precision."""
    return 2.0 * (math.log(2.0) - u - jax.nn.softplus(-2.0 * u))


class Gaussian(eqx.Module):
    """u ~ N(mean, std^2) in each dimension; the executed action is tanh(u) when `squash`, else u."""

    mean: jax.Array
    """Mean of u [..., n]."""
    log_std: jax.Array
    """Natural logarithm of the standard deviation of u [..., n]."""
    squash: bool = eqx.field(static=True)
    """Execute tanh(u), which lies in (-1, 1)."""

    def sample(self, key: jax.Array) -> jax.Array:
        """A reparameterised sample u [..., n], before squashing; keep it for `log_prob`, for tanh cannot be inverted at its limits."""
        return self.mean + jnp.exp(self.log_std) * jax.random.normal(key, self.mean.shape, self.mean.dtype)

    def execute(self, u: jax.Array) -> jax.Array:
        """The action [..., n] that u [..., n] stands for."""
        return jnp.tanh(u) if self.squash else u

    def mode(self) -> jax.Array:
        """The deterministic action [..., n]."""
        return self.execute(self.mean)

    def log_prob(self, u: jax.Array) -> jax.Array:
        """Log density [...] of the executed action, summed over its dimensions, at the sample u [..., n]."""
        z = (u - self.mean) * jnp.exp(-self.log_std)
        log_density = -0.5 * z * z - self.log_std - _HALF_LOG_2PI
        if self.squash:
            log_density = log_density - log_tanh_slope(u)
        return log_density.sum(-1)

    def entropy(self, key: jax.Array) -> jax.Array:
        """Differential entropy [...] of the executed action, nats, summed over its dimensions.

        Exact without squashing. With it, H(a) = H(u) + E[log(1 - tanh^2 u)]: the first part is exact and the second is estimated from one
        reparameterised sample, so the mean over a batch is unbiased and differentiable.
        """
        entropy = self.log_std + _HALF_LOG_2PI_E
        if self.squash:
            entropy = entropy + log_tanh_slope(self.sample(key))
        return entropy.sum(-1)


class Categorical(eqx.Module):
    """Each of n action dimensions takes one of k values, evenly spaced from -1 to 1, independently of the others."""

    logits: jax.Array
    """[..., n, k], up to a constant a dimension."""

    def sample(self, key: jax.Array) -> jax.Array:
        """Indices of values [..., n], int32."""
        return jax.random.categorical(key, self.logits, axis=-1).astype(jnp.int32)

    def execute(self, index: jax.Array) -> jax.Array:
        """The action [..., n] in [-1, 1] that the indices [..., n] stand for."""
        return -1.0 + index.astype(self.logits.dtype) * (2.0 / (self.logits.shape[-1] - 1))

    def mode(self) -> jax.Array:
        """The most likely action [..., n]."""
        return self.execute(jnp.argmax(self.logits, axis=-1))

    def log_prob(self, index: jax.Array) -> jax.Array:
        """Log probability [...] of the indices [..., n], summed over dimensions."""
        log_p = jax.nn.log_softmax(self.logits, axis=-1)
        return jnp.take_along_axis(log_p, index[..., None], axis=-1)[..., 0].sum(-1)

    def entropy(self, key: jax.Array) -> jax.Array:
        """Entropy [...], nats, summed over dimensions: exact, so `key` is not used. Between 0 and n log k, never negative."""
        log_p = jax.nn.log_softmax(self.logits, axis=-1)
        return -(jnp.exp(log_p) * log_p).sum((-2, -1))


ActionDistribution: TypeAlias = Gaussian | Categorical


def entropy_limits(head: Literal["gaussian", "categorical"], *, squash: bool, choices: int) -> tuple[float, float]:
    """Infimum and supremum of the entropy of the executed action, nats per dimension."""
    if head == "categorical":
        return 0.0, math.log(choices)
    return -math.inf, ENTROPY_LIMIT_PER_DIM if squash else math.inf


def kl_divergence(p: ActionDistribution, q: ActionDistribution) -> jax.Array:
    """KL(p || q) [...], nats, of two distributions of one kind. Exact: squashing is a bijection, which leaves the divergence as it is."""
    if isinstance(p, Categorical) or isinstance(q, Categorical):
        assert isinstance(p, Categorical)
        assert isinstance(q, Categorical)
        log_p, log_q = jax.nn.log_softmax(p.logits, axis=-1), jax.nn.log_softmax(q.logits, axis=-1)
        return (jnp.exp(log_p) * (log_p - log_q)).sum((-2, -1))
    ratio = jnp.exp(2.0 * (p.log_std - q.log_std))
    distance = (p.mean - q.mean) * jnp.exp(-q.log_std)
    return (0.5 * (ratio + distance * distance - 1.0) + q.log_std - p.log_std).sum(-1)
