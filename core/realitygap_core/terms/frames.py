"""Bodies and their frames: the base of a robot, velocities in its axes, its tilt."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from realitygap_core.errors import CoreError, unknown
from realitygap_core.robot import Robot
from realitygap_core.sensors import Need
from realitygap_core.terms.term import View

_FREE = int(mujoco.mjtJoint.mjJNT_FREE)


def base(robot: Robot, body: str | None, *, pointer: str = "/body") -> str:
    """The body named, else that of the first free joint, else the first below the world. Raises CoreError for no such body."""
    if body is not None:
        robot.id("body", body, pointer=pointer)
        return body
    model = robot.model
    if model.nbody < 2:
        raise CoreError("the model has no body", where=robot.where, pointer=pointer)
    free = np.flatnonzero(model.jnt_type == _FREE)
    name = model.body(int(model.jnt_bodyid[free[0]]) if free.size else 1).name
    if not name:
        raise CoreError("the first body of the model has no name", where=robot.where, pointer=pointer, hint="name it, or name another body")
    return str(name)


def free_joint(robot: Robot, joint: str | None, *, pointer: str = "/joint") -> str:
    """The free joint named, or the first. Raises CoreError where there is none."""
    model = robot.model
    if joint is not None:
        index = robot.id("joint", joint, pointer=pointer)
        if int(model.jnt_type[index]) != _FREE:
            raise CoreError(f"joint '{joint}' is not a free joint", pointer=pointer)
        return joint
    free = [model.joint(int(index)).name for index in np.flatnonzero(model.jnt_type == _FREE)]
    if not free:
        raise CoreError("the model has no free joint", where=robot.where, hint="this term moves a robot with a floating base")
    if not free[0]:
        raise CoreError("the free joint of the model has no name", where=robot.where, hint="name it in the model")
    return str(free[0])


def known(robot: Robot, kind: str, names: Sequence[str], *, pointer: str) -> tuple[str, ...]:
    """The names, each checked to be one of the model's. Raises CoreError with the nearest."""
    for index, name in enumerate(names):
        robot.id(kind, name, pointer=f"{pointer}/{index}")
    return tuple(names)


def world_axis(name: str, *, pointer: str = "/axis") -> int:
    """0, 1 or 2 for x, y or z. Raises CoreError for anything else."""
    if name not in ("x", "y", "z"):
        raise unknown("axis", name, ("x", "y", "z"), pointer=pointer)
    return "xyz".index(name)


def rotate(quat: jax.Array, vector: jax.Array) -> jax.Array:
    """`vector` [3], given in the frame whose orientation in the world is `quat` [4] (w first), in the axes of the world."""
    w, axis = quat[0], quat[1:]
    return vector + 2 * jnp.cross(axis, jnp.cross(axis, vector) + w * vector)


def into(quat: jax.Array, vector: jax.Array) -> jax.Array:
    """`vector` [3], given in the axes of the world, in the frame whose orientation is `quat`."""
    return rotate(quat * jnp.array([1.0, -1.0, -1.0, -1.0]), vector)


def product(one: jax.Array, other: jax.Array) -> jax.Array:
    """The quaternion product [4]: first `other`, then `one`."""
    w, v = one[0], one[1:]
    x, u = other[0], other[1:]
    return jnp.concatenate([jnp.array([w * x - v @ u]), w * u + x * v + jnp.cross(v, u)])


def yaw(quat: jax.Array) -> jax.Array:
    """Heading: angle about the world's z of the frame's x axis, rad."""
    w, x, y, z = quat
    return jnp.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))


class Base:
    """The sensors of one body's motion, and what is made of them."""

    def __init__(self, robot: Robot, body: str | None) -> None:
        """Raises CoreError for no such body."""
        self.body = base(robot, body)
        self.position = Need("framepos", self.body)
        self.orientation = Need("framequat", self.body)
        self.linear = Need("framelinvel", self.body)
        self.angular = Need("frameangvel", self.body)

    @property
    def motion(self) -> tuple[Need, ...]:
        """Sensors of `velocity` and `rate`."""
        return self.orientation, self.linear, self.angular

    def velocity(self, view: View) -> jax.Array:
        """Velocity of the body's origin [3] in its own axes, m/s."""
        return into(view.sensor(self.orientation), view.sensor(self.linear))

    def rate(self, view: View) -> jax.Array:
        """Angular velocity [3] in the body's own axes, rad/s."""
        return into(view.sensor(self.orientation), view.sensor(self.angular))

    def up(self, view: View) -> jax.Array:
        """The world's vertical [3] in the body's axes; its last entry is the cosine of the tilt."""
        return into(view.sensor(self.orientation), jnp.array([0.0, 0.0, 1.0]))

    def height(self, view: View) -> jax.Array:
        """Height of the body's origin, m."""
        return view.sensor(self.position)[2]
