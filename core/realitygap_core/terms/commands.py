"""Commands: factories of what a policy is asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError
from realitygap_core.terms.frames import Base, yaw
from realitygap_core.terms.term import Command, Scene, View


def uniform(scene: Scene, *, ranges: Mapping[str, Sequence[float]], every_s: float | None = None) -> Command:
    """Independent uniform targets, one for each name in `ranges` ([low, high]), drawn each `every_s` seconds or once an episode."""
    for name, limits in ranges.items():
        if len(limits) != 2 or not limits[0] <= limits[1]:
            raise CoreError(f"the range of '{name}' must be [low, high], it is {list(limits)}", pointer=f"/ranges/{name}")
    interval = _interval(scene, every_s)
    low = jnp.array([limits[0] for limits in ranges.values()])
    high = jnp.array([limits[1] for limits in ranges.values()])

    def sample(key: jax.Array) -> jax.Array:
        return jax.random.uniform(key, low.shape, minval=low, maxval=high)

    return Command(labels=tuple(ranges), sample=sample, every_s=interval)


def choice(scene: Scene, *, name: str, values: Sequence[float], every_s: float | None = None) -> Command:
    """One of several values, each as likely, under one name: a level, a gait, a target."""
    if not values:
        raise CoreError("there is nothing to choose from", pointer="/values", hint="list at least one value")
    given = jnp.asarray(values, jnp.float32)
    return Command(labels=(name,), sample=lambda key: jax.random.choice(key, given, (1,)), every_s=_interval(scene, every_s))


def start_pose(scene: Scene, *, body: str | None = None) -> Command:
    """Where a body was when the episode began, to stay at or to return to: `x`, `y`, `z` (m) and the heading `yaw` (rad) in the world."""
    base = Base(scene.robot, body)

    def update(view: View, value: jax.Array) -> jax.Array:
        here = jnp.append(view.sensor(base.position), yaw(view.sensor(base.orientation)))
        return jnp.where(view.episode_time > 0, value, here)

    return Command(
        labels=("x", "y", "z", "yaw"),
        sample=lambda key: jnp.zeros(4),
        every_s=float("inf"),
        update=update,
        needs=(base.position, base.orientation),
    )


def velocity(
    scene: Scene,
    *,
    vx: Sequence[float],
    vy: Sequence[float] = (0.0, 0.0),
    wz: Sequence[float] = (0.0, 0.0),
    every_s: float | None = None,
    standing: float = 0.0,
    heading: float = 0.0,
    heading_gain: float = 0.5,
    body: str | None = None,
) -> Command:
    """Velocity of a walking robot in its own axes: `vx`, `vy` (m/s) and `wz` (rad/s), uniform in [low, high].

    A share `standing` of draws asks for none. In a share `heading` of the others, wz turns the body to a heading drawn from the whole
    circle: heading_gain * (heading - yaw), within the range of wz, anew every control step.
    """
    spans = {"vx": vx, "vy": vy, "wz": wz}
    for name, span in spans.items():
        if len(span) != 2 or not span[0] <= span[1]:
            raise CoreError(f"the range of '{name}' must be [low, high], it is {list(span)}", pointer=f"/{name}")
    for name, share in (("standing", standing), ("heading", heading)):
        if not 0 <= share <= 1:
            raise CoreError(f"{name} is a share between 0 and 1, not {share:g}", pointer=f"/{name}")
    low, high = jnp.array([span[0] for span in spans.values()]), jnp.array([span[1] for span in spans.values()])
    orientation = Base(scene.robot, body).orientation if heading > 0 else None

    def sample(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, 4)
        moves = ~jax.random.bernoulli(keys[1], standing)
        holds = moves & jax.random.bernoulli(keys[2], heading)
        towards = jax.random.uniform(keys[3], (), minval=-jnp.pi, maxval=jnp.pi)
        asked = jnp.where(moves, jax.random.uniform(keys[0], (3,), minval=low, maxval=high), 0.0)
        return jnp.concatenate([asked, jnp.stack([towards, holds.astype(jnp.float32)])])

    def update(view: View, value: jax.Array) -> jax.Array:
        assert orientation is not None
        error = value[3] - yaw(view.sensor(orientation))
        turn = heading_gain * jnp.arctan2(jnp.sin(error), jnp.cos(error))
        return value.at[2].set(jnp.where(value[4] > 0, jnp.clip(turn, low[2], high[2]), value[2]))

    return Command(
        labels=("vx", "vy", "wz"),
        hidden=("heading", "holds_heading"),
        sample=sample,
        every_s=_interval(scene, every_s),
        update=update if heading > 0 else None,
        needs=(orientation,) if orientation is not None else (),
    )


def gait_clock(scene: Scene, *, frequency: Sequence[float], every_s: float | None = None) -> Command:
    """A clock for a gait: the policy sees sine and cosine of its phase; terms read `phase` (cycles, in [0, 1)) and `frequency` (Hz).

    The frequency is uniform in [low, high] and the phase starts anywhere; a draw within an episode starts both anew.
    """
    if len(frequency) != 2 or not 0 < frequency[0] <= frequency[1]:
        raise CoreError(f"a frequency is [low, high] above 0 Hz, it is {list(frequency)}", pointer="/frequency")

    def shown(phase: jax.Array, rate: jax.Array) -> jax.Array:
        angle = 2 * jnp.pi * phase
        return jnp.stack([jnp.sin(angle), jnp.cos(angle), phase, rate])

    def sample(key: jax.Array) -> jax.Array:
        first, second = jax.random.split(key)
        return shown(jax.random.uniform(first), jax.random.uniform(second, minval=frequency[0], maxval=frequency[1]))

    def update(view: View, value: jax.Array) -> jax.Array:
        return shown(jnp.mod(value[2] + value[3] * scene.control_dt, 1.0), value[3])

    return Command(
        labels=("sin(phase)", "cos(phase)"), hidden=("phase", "frequency"), sample=sample, every_s=_interval(scene, every_s), update=update
    )


def _interval(scene: Scene, every_s: float | None) -> float:
    if every_s is not None and not every_s >= scene.control_dt:
        raise CoreError(f"every_s {every_s:g} s is shorter than the control step {scene.control_dt:g} s", pointer="/every_s")
    return float("inf") if every_s is None else float(every_s)
