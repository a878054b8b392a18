"""Rewards for doing what the command asks for: velocities, heights, positions; and for how the base moves otherwise."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError
from realitygap_core.sensors import Need
from realitygap_core.terms.frames import Base, known, world_axis
from realitygap_core.terms.joints import scalar_joints
from realitygap_core.terms.term import Reward, Scene, View


def track_linear_velocity(scene: Scene, *, width: float, body: str | None = None) -> Reward:
    """exp(-|v - command|^2 / width^2) over the x and y axes of the body; the command's entries are `vx` and `vy`, m/s."""
    base = Base(scene.robot, body)
    index = jnp.array([scene.command_index("vx"), scene.command_index("vy")])

    def compute(view: View) -> jax.Array:
        return jnp.exp(-jnp.sum(jnp.square(base.velocity(view)[:2] - view.command[index])) / width**2)

    return Reward(needs=base.motion, compute=compute)


def track_yaw_rate(scene: Scene, *, width: float, body: str | None = None) -> Reward:
    """exp(-(w - command)^2 / width^2) of the rate about the body's z axis; the command's entry is `wz`, rad/s."""
    base, index = Base(scene.robot, body), scene.command_index("wz")
    return Reward(needs=base.motion, compute=lambda view: jnp.exp(-jnp.square(base.rate(view)[2] - view.command[index]) / width**2))


def track_height(scene: Scene, *, width: float, entry: str = "height", body: str | None = None) -> Reward:
    """exp(-((z - command) / width)^2) of the height of a body's origin; `entry` of the command gives it, m."""
    base, index = Base(scene.robot, body), scene.command_index(entry)
    return Reward(needs=(base.position,), compute=lambda view: jnp.exp(-jnp.square((base.height(view) - view.command[index]) / width)))


def track_position(scene: Scene, *, site: str, width: float, entries: Sequence[str] = ("x", "y", "z")) -> Reward:
    """exp(-(distance / width)^2) from a site to the point of the world that three `entries` of the command give, m."""
    known(scene.robot, "site", [site], pointer="/site")
    if len(entries) != 3:
        raise CoreError(f"a point has three entries, not {len(entries)}", pointer="/entries", hint="name those for x, y and z")
    need, index = Need("framepos", site, "site"), jnp.array([scene.command_index(label) for label in entries])

    def compute(view: View) -> jax.Array:
        return jnp.exp(-jnp.sum(jnp.square(view.sensor(need) - view.command[index])) / width**2)

    return Reward(needs=(need,), compute=compute)


def track_joint_positions(scene: Scene, *, width: float, joints: Sequence[str]) -> Reward:
    """exp(-sum of ((q - command) / width)^2) over joints; the command has an entry of each joint's name, rad or m."""
    names = scalar_joints(scene.robot, joints)
    needs, index = tuple(Need("jointpos", name) for name in names), jnp.array([scene.command_index(name) for name in names])

    def compute(view: View) -> jax.Array:
        position_n = jnp.concatenate([view.sensor(need) for need in needs])
        return jnp.exp(-jnp.sum(jnp.square(position_n - view.command[index])) / width**2)

    return Reward(needs=needs, compute=compute)


def off_axis_velocity(scene: Scene, *, body: str | None = None) -> Reward:
    """Motion that no walking command asks for, in two parts: `vertical`, (m/s)^2, and `roll_pitch`, (rad/s)^2, both in the body's axes."""
    base = Base(scene.robot, body)

    def compute(view: View) -> dict[str, jax.Array]:
        return {"vertical": jnp.square(base.velocity(view)[2]), "roll_pitch": jnp.sum(jnp.square(base.rate(view)[:2]))}

    return Reward(needs=base.motion, compute=compute)


def forward_speed(scene: Scene, *, target: float, body: str | None = None, axis: str = "x") -> Reward:
    """min(v / target, 1), and 0 backwards, of the velocity along an axis of the world."""
    base, index = Base(scene.robot, body), world_axis(axis)
    return Reward(needs=(base.linear,), compute=lambda view: jnp.clip(view.sensor(base.linear)[index] / target, 0.0, 1.0))
