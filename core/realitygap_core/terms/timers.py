"""Timers of events: when the next one begins, counted in control steps, drawn anew each time."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError


class Timer:
    """Runs down to an event, which begins again after a time that is uniform in [shortest, longest] s and at least one control step.

    The carry is the number of control steps until the event begins.
    """

    def __init__(self, every_s: Sequence[float], control_dt: float, *, pointer: str = "/every_s") -> None:
        """Raises CoreError for a span that is none."""
        if len(every_s) != 2 or not 0 < every_s[0] <= every_s[1]:
            raise CoreError(f"a time between events is [shortest, longest] above 0 s, it is {list(every_s)}", pointer=pointer)
        self._low, self._high = every_s[0] / control_dt, every_s[1] / control_dt

    def initial(self, key: jax.Array) -> jax.Array:
        """A fresh time, in control steps."""
        return jnp.maximum(jnp.round(jax.random.uniform(key, (), minval=self._low, maxval=self._high)), 1).astype(jnp.int32)

    def advance(self, left: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Whether the event begins with the next control step, and the carry."""
        fires = left <= 1
        return fires, jnp.where(fires, self.initial(key), left - 1)
