"""Observations of the base: pose and velocities of one body, and gravity as it sees it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core.errors import CoreError, unknown
from realitygap_core.sensors import Need
from realitygap_core.terms.frames import Base, into, product
from realitygap_core.terms.term import Observation, Scene, View

_AXES = ("x", "y", "z")


def upper_half(quat: jax.Array) -> jax.Array:
    """The one of a quaternion and its negative, the same orientation, whose w is not negative."""
    return jnp.where(quat[0] < 0, -quat, quat)


def in_body(frame: str) -> bool:
    """Whether `frame` is `body`, else `world`. Raises CoreError for anything else."""
    if frame not in ("body", "world"):
        raise unknown("frame", frame, ("body", "world"), pointer="/frame")
    return frame == "body"


def base_position(scene: Scene, *, body: str | None = None) -> Observation:
    """Position of a body's origin in the world, m."""
    base = Base(scene.robot, body)
    return Observation(
        labels=tuple(f"{axis}({base.body})" for axis in _AXES), unit="m", needs=(base.position,), compute=lambda v: v.sensor(base.position)
    )


def base_orientation(scene: Scene, *, body: str | None = None) -> Observation:
    """Orientation of a body in the world: a quaternion with w first, of its two signs the one with w >= 0."""
    base = Base(scene.robot, body)
    return Observation(
        labels=tuple(f"q{axis}({base.body})" for axis in ("w", *_AXES)),
        unit="1",
        needs=(base.orientation,),
        compute=lambda view: upper_half(view.sensor(base.orientation)),
    )


def base_linear_velocity(scene: Scene, *, body: str | None = None, frame: str = "body") -> Observation:
    """Velocity of a body's origin, m/s, in its own axes or the world's."""
    base, own = Base(scene.robot, body), in_body(frame)
    return Observation(
        labels=tuple(f"v{axis}({base.body})" for axis in _AXES),
        unit="m/s",
        needs=(base.orientation, base.linear) if own else (base.linear,),
        compute=base.velocity if own else lambda view: view.sensor(base.linear),
    )


def base_angular_velocity(scene: Scene, *, body: str | None = None, frame: str = "body") -> Observation:
    """Angular velocity of a body, rad/s, in its own axes or the world's."""
    base, own = Base(scene.robot, body), in_body(frame)
    return Observation(
        labels=tuple(f"w{axis}({base.body})" for axis in _AXES),
        unit="rad/s",
        needs=(base.orientation, base.angular) if own else (base.angular,),
        compute=base.rate if own else lambda view: view.sensor(base.angular),
    )


def projected_gravity(scene: Scene, *, body: str | None = None, lag_s: float = 0.0, bias_rad: float = 0.0) -> Observation:
    """Unit vector of gravity in a body's axes: (0, 0, -1) upright.

    `lag_s` is the time constant of a first-order filter, y += (1 - exp(-control_dt / lag_s)) (x - y), as an attitude estimator has.
    `bias_rad` is the standard deviation, about each axis, of the tilt of a sensor that is mounted askew, drawn once an episode.
    """
    gravity = np.array(scene.robot.model.opt.gravity)
    if not np.linalg.norm(gravity) > 0:
        raise CoreError("the model has no gravity to observe", where=scene.robot.where)
    down = (gravity / np.linalg.norm(gravity)).astype(np.float32)
    base = Base(scene.robot, body)
    gain = 1.0 - float(np.exp(-scene.control_dt / lag_s)) if lag_s > 0 else 1.0

    def seen(view: View, tilt: jax.Array) -> jax.Array:
        return into(product(view.sensor(base.orientation), tilt), jnp.asarray(down))

    def initial(view: View, key: jax.Array) -> dict[str, jax.Array]:
        vector = bias_rad * jax.random.normal(key, (3,))
        angle = jnp.linalg.norm(vector) + 1e-12
        tilt = jnp.concatenate([jnp.cos(angle / 2)[None], jnp.sin(angle / 2) * vector / angle])
        return {"tilt": tilt, "value": seen(view, tilt)}

    def compute(view: View, carry: dict[str, jax.Array]) -> tuple[jax.Array, dict[str, jax.Array]]:
        value = carry["value"] + gain * (seen(view, carry["tilt"]) - carry["value"])
        return value, carry | {"value": value}

    return Observation(
        labels=tuple(f"g{axis}({base.body})" for axis in _AXES), unit="1", needs=(base.orientation,), compute=compute, initial=initial
    )


def sensor_needs(kind: str, names: tuple[str, ...], object_type: str, reference: str) -> tuple[Need, ...]:
    """A frame sensor of each of several objects."""
    return tuple(Need(kind, name, object_type, reference) for name in names)
