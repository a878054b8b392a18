"""Observations of time as a cycle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError
from realitygap_core.terms.term import Observation, Scene, View


def phase(scene: Scene, *, period_s: float, offsets: Sequence[float] | None = None) -> Observation:
    """Sines, then cosines, of 2 pi (t / period + offset), t the time since the episode began."""
    if not period_s > 0:
        raise CoreError(f"the period must be above 0 s, it is {period_s:g}", pointer="/period_s")
    shares = tuple(float(offset) for offset in (offsets or (0.0,)))

    def compute(view: View) -> jax.Array:
        angle_n = 2 * math.pi * (view.episode_time / period_s + jnp.array(shares))
        return jnp.concatenate([jnp.sin(angle_n), jnp.cos(angle_n)])

    names = [f"phase+{share:g}" if share else "phase" for share in shares]
    return Observation(labels=(*(f"sin({n})" for n in names), *(f"cos({n})" for n in names)), unit="1", compute=compute)
