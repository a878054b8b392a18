"""What happens to one observation on its way to the policy, always in this order: compute, noise, bias, clip, scale, delay, drop, history.

A sample that is dropped is replaced by the last one that arrived."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from realitygap_core.delay import Delay, capacity, push
from realitygap_core.terms.term import Noise, Observation, View

Carry = dict[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ObservationEntry:
    """One line of a task's observations."""

    name: str
    """Name of the component, unique within its group."""
    term: Observation
    """What is computed."""
    component: str = ""
    """Name of the component that made the term."""
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Its parameters, as the task gives them."""
    noise: Noise | None = None
    """Noise in the term's own unit, before clip and scale."""
    clip: tuple[float, float] | None = None
    """Smallest and largest value, in the term's own unit."""
    scale: tuple[float, ...] | None = None
    """One factor an entry, after clipping."""
    delay_s: tuple[float, float] = (0.0, 0.0)
    """Delay drawn uniformly once an episode, s; fractions of a control step interpolate."""
    drop: float = 0.0
    """Chance that a sample does not arrive, in which case the last one that did is held."""
    history: int = 1
    """How many of the latest values are stacked, newest first."""

    @property
    def size(self) -> int:
        """Number of values the policy gets."""
        return self.term.size * self.history

    @property
    def labels(self) -> tuple[str, ...]:
        """One name a value, history marked `@-1`, `@-2`, ..."""
        return tuple(f"{label}@-{age}" if age else label for age in range(self.history) for label in self.term.labels)


def begin(entry: ObservationEntry, view: View, key: jax.Array, control_dt: float) -> tuple[jax.Array, Carry]:
    """The value [size] at the start of an episode, and the carry from there. Buffers are filled with the first value, never with zeros."""
    carry: Carry = {}
    key_bias, key_delay, key_noise = jax.random.split(key, 3)
    if entry.noise is not None:
        carry["bias"] = entry.noise.bias(key_bias, entry.term.size)
    if entry.term.initial is not None:
        carry["term"] = entry.term.initial(view, jax.random.fold_in(key, 3))
    value_n, carry = _computed(entry, view, carry, key_noise)
    if entry.delay_s[1] > 0:
        low, high = entry.delay_s
        carry["delay_steps"] = jax.random.uniform(key_delay, (), minval=low, maxval=high) / control_dt
        carry["ring"] = _ring(entry, control_dt).init(value_n)
    if entry.drop > 0:
        carry["arrived"] = value_n
    if entry.history > 1:
        carry["history"] = jnp.broadcast_to(value_n, (entry.history, *value_n.shape))
    return jnp.tile(value_n, entry.history), carry


def advance(entry: ObservationEntry, view: View, carry: Carry, key: jax.Array, control_dt: float) -> tuple[jax.Array, Carry]:
    """The value [size] one control step later, and the new carry."""
    value_n, carry = _computed(entry, view, carry, key)
    if entry.delay_s[1] > 0:
        carry["ring"], value_n = _ring(entry, control_dt)(carry["ring"], value_n, carry["delay_steps"])
    if entry.drop > 0:
        lost = jax.random.bernoulli(jax.random.fold_in(key, 1), entry.drop)
        carry["arrived"] = value_n = jnp.where(lost, carry["arrived"], value_n)
    if entry.history > 1:
        carry["history"] = push(carry["history"], value_n)
        value_n = carry["history"].reshape(-1)
    return value_n, carry


def _computed(entry: ObservationEntry, view: View, carry: Carry, key: jax.Array) -> tuple[jax.Array, Carry]:
    carry = dict(carry)
    if entry.term.initial is not None:
        value_n, carry["term"] = entry.term.compute(view, carry["term"])
    else:
        value_n = entry.term.compute(view)
    if entry.noise is not None:
        value_n = entry.noise.sample(key, value_n) + carry["bias"]
    if entry.clip is not None:
        value_n = jnp.clip(value_n, *entry.clip)
    if entry.scale is not None:
        value_n = value_n * jnp.asarray(entry.scale, value_n.dtype)
    return value_n, carry


def _ring(entry: ObservationEntry, control_dt: float) -> Delay:
    return Delay(capacity=capacity(entry.delay_s[1], control_dt))
