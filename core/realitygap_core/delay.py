"""Ring buffers: a command or an observation that arrives late, by any real number of steps.

Memory, newest first, after writing x0, x1, x2 with capacity 4:

    index   0    1    2    3
    value   x2   x1   x0   x0      <- before the first write every slot holds the first value, never zero

Commands are held (zero-order hold) and a delay moves the held signal in time; observations are samples and a delay
between two samples interpolates. Both read a buffer of one robot; the environment maps them over the batch.
"""

from __future__ import annotations

import dataclasses
import math

import jax
import jax.numpy as jnp

_WHOLE = 1e-3
"""Delays this close to a whole number of steps are that number, so that 0.02 / 0.001 is 20 also in single precision."""


def capacity(longest_s: float, step_s: float) -> int:
    """Slots that a delay of up to `longest_s` needs when one slot is written every `step_s`."""
    return math.ceil(longest_s / step_s - _WHOLE) + 2 if longest_s > 0 else 1


def push(buffer_cn: jax.Array, value_n: jax.Array) -> jax.Array:
    """Writes `value_n` [n] as the newest slot of `buffer_cn` [capacity, n]; the oldest falls out."""
    return jnp.concatenate([value_n[None], buffer_cn[:-1]])


def held(buffer_cn: jax.Array, delay_n: jax.Array, *, substeps: int) -> jax.Array:
    """The delayed command of each physics step of the control step that begins now.

    The buffer holds one command a control step, newest first, each held for `substeps` physics steps. Physics step j applies the mean
    over its duration of the held command `delay_n` physics steps earlier: exactly that command where the delay is whole, the time-weighted
    mix of two where the delayed edge falls inside the step.

    Args:
      buffer_cn: commands [capacity, n]; `buffer_cn[0]` was given at the start of this control step.
      delay_n: delay of each command, in physics steps [n], at least 0; beyond the buffer the oldest command is used.
      substeps: physics steps in a control step.

    Returns: commands [substeps, n].
    """
    whole = jnp.round(delay_n)
    steps_n = jnp.where(jnp.abs(delay_n - whole) < _WHOLE, whole, delay_n)
    low_n = jnp.floor(steps_n)
    fraction_n = (steps_n - low_n).astype(buffer_cn.dtype)
    position_sn = jnp.arange(substeps)[:, None] - low_n.astype(jnp.int32)[None]
    columns_n = jnp.arange(buffer_cn.shape[1])

    def at(position_sn: jax.Array) -> jax.Array:
        age_sn = jnp.clip(-jnp.floor_divide(position_sn, substeps), 0, buffer_cn.shape[0] - 1)
        return buffer_cn[age_sn, columns_n]

    return (1 - fraction_n) * at(position_sn) + fraction_n * at(position_sn - 1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Delay:
    """Ring buffer that returns what was written some control steps ago, also for a fractional number of them.

    A delay of 1.25 steps reads 0.75 * slot[1] + 0.25 * slot[2].
    """

    capacity: int
    """Slots; the longest delay is `capacity - 1` control steps."""

    def init(self, first_n: jax.Array) -> jax.Array:
        """Buffer [capacity, n] filled with the first value [n]."""
        return jnp.broadcast_to(first_n, (self.capacity, *first_n.shape))

    def __call__(self, buffer_cn: jax.Array, value_n: jax.Array, steps: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Writes `value_n` [n]; returns (buffer [capacity, n], delayed value [n]).

        `steps` is a scalar or [n], in control steps, within [0, capacity - 1].
        """
        buffer_cn = push(buffer_cn, value_n)
        return buffer_cn, self.read(buffer_cn, steps)

    def read(self, buffer_cn: jax.Array, steps: jax.Array) -> jax.Array:
        """The value [n] that was the newest `steps` control steps ago."""
        steps_n = jnp.clip(jnp.broadcast_to(steps, buffer_cn.shape[1:]), 0, self.capacity - 1)
        low_n = jnp.floor(steps_n).astype(jnp.int32)
        fraction_n = (steps_n - low_n).astype(buffer_cn.dtype)
        high_n = jnp.minimum(low_n + 1, self.capacity - 1)
        columns_n = jnp.arange(buffer_cn.shape[1])
        return (1 - fraction_n) * buffer_cn[low_n, columns_n] + fraction_n * buffer_cn[high_n, columns_n]


def lengthen(buffer_bcn: jax.Array, capacity: int) -> jax.Array:
    """Buffers [B, c, n] with at least `capacity` slots: the oldest value is repeated."""
    missing = capacity - buffer_bcn.shape[1]
    if missing <= 0:
        return buffer_bcn
    return jnp.concatenate([buffer_bcn, jnp.repeat(buffer_bcn[:, -1:], missing, axis=1)], axis=1)
