"""Rewards for how feet meet the ground. Feet are named geoms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.sensors import Need
from realitygap_core.terms.contacts import Contacts
from realitygap_core.terms.frames import known
from realitygap_core.terms.posture_rewards import asked_speed
from realitygap_core.terms.term import Reward, Scene, View


def feet_air_time(
    scene: Scene,
    *,
    geoms: Sequence[str],
    target_s: float,
    ground: Sequence[str] | None = None,
    longest_s: float | None = None,
    above: float = 0.1,
) -> Reward:
    """At each touch-down, min(time in the air, longest) - target, s; its integral over time is the sum over touch-downs.

    With a command of vx, vy and wz it counts only where the norm of these is at least `above`: standing still earns nothing.
    """
    contacts, speed, dt = Contacts(scene.robot, geoms, ground), asked_speed(scene), scene.control_dt

    def compute(view: View, air_n: jax.Array) -> tuple[jax.Array, jax.Array]:
        touching_n = contacts.touching(view)
        landed_n = touching_n & (air_n > 0)
        time_n = air_n if longest_s is None else jnp.minimum(air_n, longest_s)
        value = jnp.sum(jnp.where(landed_n, time_n - target_s, 0.0)) / dt
        asked = 1.0 if speed is None else (speed(view) >= above).astype(jnp.float32)
        return asked * value, jnp.where(touching_n, 0.0, air_n + dt)

    return Reward(needs=contacts.needs, compute=compute, initial=lambda view: jnp.zeros(len(contacts.geoms)))


def feet_slip(scene: Scene, *, geoms: Sequence[str], ground: Sequence[str] | None = None) -> Reward:
    """Sum of squared horizontal speeds of the centres of geoms in contact, (m/s)^2."""
    contacts = Contacts(scene.robot, geoms, ground)
    moving = tuple(Need("framelinvel", name, "geom") for name in contacts.geoms)

    def compute(view: View) -> jax.Array:
        speed_n = jnp.stack([jnp.sum(jnp.square(view.sensor(need)[:2])) for need in moving])
        return jnp.sum(jnp.where(contacts.touching(view), speed_n, 0.0))

    return Reward(needs=(*contacts.needs, *moving), compute=compute)


def foot_clearance(scene: Scene, *, geoms: Sequence[str], height: float) -> Reward:
    """Sum of (z - height)^2 times horizontal speed, m^3/s: a foot that moves must be lifted."""
    names = known(scene.robot, "geom", geoms, pointer="/geoms")
    places = tuple(Need("framepos", name, "geom") for name in names)
    moving = tuple(Need("framelinvel", name, "geom") for name in names)

    def compute(view: View) -> jax.Array:
        terms = [
            jnp.square(view.sensor(place)[2] - height) * jnp.sqrt(jnp.sum(jnp.square(view.sensor(speed)[:2])))
            for place, speed in zip(places, moving, strict=True)
        ]
        return jnp.sum(jnp.stack(terms))

    return Reward(needs=(*places, *moving), compute=compute)


def gait_phase(
    scene: Scene,
    *,
    geoms: Sequence[str],
    offsets: Sequence[float],
    ground: Sequence[str] | None = None,
    period_s: float | None = None,
    duty: float = 0.5,
) -> Reward:
    """Share of feet that touch the ground just when the clock asks: foot i in the first `duty` of a cycle that is `offsets[i]` ahead.

    The clock is the time since the episode began over `period_s`, or that of the command `gait_clock`.
    """
    contacts = Contacts(scene.robot, geoms, ground)
    cycle = _cycle(scene, offsets, len(contacts.geoms), period_s, duty)
    return Reward(
        needs=contacts.needs, compute=lambda view: jnp.mean((contacts.touching(view) == (cycle(view) < duty)).astype(jnp.float32))
    )


def gait_height(
    scene: Scene,
    *,
    geoms: Sequence[str],
    offsets: Sequence[float],
    ground: float,
    lift: float,
    width: float,
    period_s: float | None = None,
    duty: float = 0.5,
) -> Reward:
    """Mean over feet of exp(-((z - asked) / width)^2), z the height of a foot's centre, m.

    Asked is `ground` in stance and ground + lift * sin(pi s) in swing, s from 0 to 1 over the swing. Clock, `offsets` and `duty` as for
    `gait_phase`.
    """
    names = known(scene.robot, "geom", geoms, pointer="/geoms")
    cycle = _cycle(scene, offsets, len(names), period_s, duty)
    places = tuple(Need("framepos", name, "geom") for name in names)

    def compute(view: View) -> jax.Array:
        swing_n = jnp.maximum(cycle(view) - duty, 0.0) / (1 - duty)
        asked_n = ground + lift * jnp.sin(jnp.pi * swing_n)
        height_n = jnp.stack([view.sensor(place)[2] for place in places])
        return jnp.mean(jnp.exp(-jnp.square((height_n - asked_n) / width)))

    return Reward(needs=places, compute=compute)


def _cycle(scene: Scene, offsets: Sequence[float], feet: int, period_s: float | None, duty: float) -> Callable[[View], jax.Array]:
    """Where in its cycle each foot is [feet], in [0, 1)."""
    if len(offsets) != feet:
        raise CoreError(f"{feet} geoms need as many offsets, not {len(offsets)}", pointer="/offsets", hint="give one offset for each geom")
    if not 0 < duty < 1:
        raise CoreError(f"duty lies between 0 and 1, it is {duty:g}", pointer="/duty")
    shares = np.array(offsets, np.float32)
    clock = scene.command_index("phase") if period_s is None else -1
    return lambda view: jnp.mod((view.command[clock] if period_s is None else view.episode_time / period_s) + shares, 1.0)


def contact(scene: Scene, *, geoms: Sequence[str], ground: Sequence[str] | None = None) -> Reward:
    """Number of the geoms that touch the ground."""
    contacts = Contacts(scene.robot, geoms, ground)
    return Reward(needs=contacts.needs, compute=lambda view: jnp.sum(contacts.touching(view).astype(jnp.float32)))


def contact_force_beyond(scene: Scene, *, geoms: Sequence[str], limit: float, ground: Sequence[str] | None = None) -> Reward:
    """Sum over geoms of the normal force beyond `limit`, N."""
    contacts = Contacts(scene.robot, geoms, ground)
    return Reward(needs=contacts.needs, compute=lambda view: jnp.sum(jnp.maximum(contacts.force(view) - limit, 0.0)))
