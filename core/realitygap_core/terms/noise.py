"""Noise: factories of what is added to an observation, in its own unit."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError
from realitygap_core.terms.term import Noise, Scene


def gaussian(scene: Scene, *, std: float = 0.0, bias_std: float = 0.0) -> Noise:
    """Independent Gaussian noise of standard deviation `std` each control step, and a bias of `bias_std` drawn once an episode."""
    _not_negative(std=std, bias_std=bias_std)

    def bias(key: jax.Array, size: int) -> jax.Array:
        return bias_std * jax.random.normal(key, (size,)) if bias_std else jnp.zeros(size)

    def sample(key: jax.Array, value: jax.Array) -> jax.Array:
        return value + std * jax.random.normal(key, value.shape, value.dtype) if std else value

    return Noise(bias=bias, sample=sample)


def uniform(scene: Scene, *, half_width: float = 0.0, bias_half_width: float = 0.0) -> Noise:
    """Uniform noise within +-`half_width` each control step, and a bias within +-`bias_half_width` drawn once an episode."""
    _not_negative(half_width=half_width, bias_half_width=bias_half_width)

    def bias(key: jax.Array, size: int) -> jax.Array:
        return jax.random.uniform(key, (size,), minval=-bias_half_width, maxval=bias_half_width) if bias_half_width else jnp.zeros(size)

    def sample(key: jax.Array, value: jax.Array) -> jax.Array:
        return value + jax.random.uniform(key, value.shape, value.dtype, -half_width, half_width) if half_width else value

    return Noise(bias=bias, sample=sample)


def _not_negative(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0:
            raise CoreError(f"{name} must be at least 0, it is {value:g}", pointer=f"/{name}")
