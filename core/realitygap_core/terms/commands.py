"""Commands: factories of what a policy is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError
from realitygap_core.terms.term import Command, Scene


def uniform(scene: Scene, *, ranges: Mapping[str, Sequence[float]], every_s: float | None = None) -> Command:
    """Independent uniform targets, one for each name in `ranges` ([low, high]), drawn each `every_s` seconds or once an episode."""
    for name, limits in ranges.items():
        if len(limits) != 2 or not limits[0] <= limits[1]:
            raise CoreError(f"the range of '{name}' must be [low, high], it is {list(limits)}", pointer=f"/ranges/{name}")
    if every_s is not None and not every_s >= scene.control_dt:
        raise CoreError(f"every_s {every_s:g} s is shorter than the control step {scene.control_dt:g} s", pointer="/every_s")
    low = jnp.array([limits[0] for limits in ranges.values()])
    high = jnp.array([limits[1] for limits in ranges.values()])

    def sample(key: jax.Array) -> jax.Array:
        return jax.random.uniform(key, low.shape, minval=low, maxval=high)

    return Command(labels=tuple(ranges), sample=sample, every_s=float("inf") if every_s is None else float(every_s))
