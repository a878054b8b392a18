"""Terminations: factories of -1 (failure), 0 (go on) or +1 (success)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError
from realitygap_core.sensors import Need
from realitygap_core.terms.contacts import Contacts
from realitygap_core.terms.frames import Base, world_axis
from realitygap_core.terms.joints import joint_range, scalar_joint, scalar_joints
from realitygap_core.terms.posture_rewards import site_distance
from realitygap_core.terms.rewards import distance, is_periodic
from realitygap_core.terms.term import Scene, Termination, View


def joint_outside(scene: Scene, *, joint: str, low: float | None = None, high: float | None = None) -> Termination:
    """Failure when a joint leaves [low, high], rad or m; the joint's own range by default."""
    scalar_joint(scene.robot, joint)
    need = Need("jointpos", joint)
    limits = joint_range(scene.robot, joint)
    if limits is None and (low is None or high is None):
        raise CoreError(f"joint '{joint}' has no range in the model", pointer="/joint", hint="give low and high")
    lowest = limits[0] if low is None and limits else low
    highest = limits[1] if high is None and limits else high
    if lowest is None or highest is None or not lowest < highest:
        raise CoreError(f"the limits of joint '{joint}' are not in order: {lowest}, {highest}", pointer="/low", hint="give low < high")

    def compute(view: View) -> jax.Array:
        position = view.sensor(need)[0]
        return -((position < lowest) | (position > highest)).astype(jnp.int32)

    return Termination(needs=(need,), compute=compute)


def joint_too_fast(scene: Scene, *, joint: str, speed: float) -> Termination:
    """Failure when a joint moves faster than `speed`, rad/s or m/s."""
    scalar_joint(scene.robot, joint)
    need = Need("jointvel", joint)
    return Termination(needs=(need,), compute=lambda view: -(jnp.abs(view.sensor(need)[0]) > speed).astype(jnp.int32))


def joint_reached(scene: Scene, *, joint: str, tolerance: float, target: float = 0.0, speed: float | None = None) -> Termination:
    """Success when a joint is within `tolerance` (rad or m) of `target`, and slower than `speed` where one is given."""
    scalar_joint(scene.robot, joint)
    position, velocity, periodic = Need("jointpos", joint), Need("jointvel", joint), is_periodic(scene, joint)

    def compute(view: View) -> jax.Array:
        reached = jnp.abs(distance(view.sensor(position)[0], target, periodic=periodic)) <= tolerance
        if speed is not None:
            reached &= jnp.abs(view.sensor(velocity)[0]) <= speed
        return reached.astype(jnp.int32)

    return Termination(needs=(position,) if speed is None else (position, velocity), compute=compute)


def fallen(scene: Scene, *, angle: float | None = None, height: float | None = None, body: str | None = None) -> Termination:
    """Failure when a body is tilted by more than `angle` (rad), or its origin is lower than `height` (m)."""
    if angle is None and height is None:
        raise CoreError("give `angle`, `height` or both")
    base = Base(scene.robot, body)
    needs = ((base.orientation,) if angle is not None else ()) + ((base.position,) if height is not None else ())
    return Termination(needs=needs, compute=lambda view: -(~_standing(base, view, angle, height)).astype(jnp.int32))


def height_outside(scene: Scene, *, low: float | None = None, high: float | None = None, body: str | None = None) -> Termination:
    """Failure when a body's origin is lower than `low` or higher than `high`, m."""
    if low is None and high is None:
        raise CoreError("give `low`, `high` or both")
    lowest, highest = -math.inf if low is None else low, math.inf if high is None else high
    if not lowest < highest:
        raise CoreError(f"the heights are not in order: {lowest:g}, {highest:g}", pointer="/low", hint="give low < high")
    base = Base(scene.robot, body)

    def compute(view: View) -> jax.Array:
        return -((base.height(view) < lowest) | (base.height(view) > highest)).astype(jnp.int32)

    return Termination(needs=(base.position,), compute=compute)


def standing(scene: Scene, *, angle: float, height: float | None = None, body: str | None = None) -> Termination:
    """Success while a body is tilted by no more than `angle` (rad), and its origin no lower than `height` (m)."""
    base = Base(scene.robot, body)
    needs = (base.orientation, *((base.position,) if height is not None else ()))
    return Termination(needs=needs, compute=lambda view: _standing(base, view, angle, height).astype(jnp.int32))


def moving(
    scene: Scene, *, speed: float, axis: str = "x", angle: float | None = None, height: float | None = None, body: str | None = None
) -> Termination:
    """Success while a body moves along an axis of the world with at least `speed` (m/s), and is `standing` where `angle` or `height` are
    given."""
    base, index = Base(scene.robot, body), world_axis(axis)
    needs = (
        base.linear,
        *((base.orientation,) if angle is not None else ()),
        *((base.position,) if height is not None else ()),
    )

    def compute(view: View) -> jax.Array:
        return (_standing(base, view, angle, height) & (view.sensor(base.linear)[index] >= speed)).astype(jnp.int32)

    return Termination(needs=needs, compute=compute)


def contact(scene: Scene, *, geoms: Sequence[str], ground: Sequence[str] | None = None, force: float = 0.0) -> Termination:
    """Failure when any of the geoms touches the ground with a normal force beyond `force`, N."""
    contacts = Contacts(scene.robot, geoms, ground)

    def compute(view: View) -> jax.Array:
        return -jnp.any(contacts.touching(view) & (contacts.force(view) > force)).astype(jnp.int32)

    return Termination(needs=contacts.needs, compute=compute)


def bad_state(scene: Scene, *, speed: float = 100.0, body: str | None = None) -> Termination:
    """Failure when a body (m/s) or any hinge or slide joint (rad/s, m/s) is faster than `speed`, or not a number: physics broke down."""
    base = Base(scene.robot, body)
    joints = tuple(Need("jointvel", name) for name in scalar_joints(scene.robot, None))

    def compute(view: View) -> jax.Array:
        speeds = jnp.concatenate([view.sensor(need) for need in (base.linear, *joints)])
        return -(~jnp.all(jnp.abs(speeds) <= speed)).astype(jnp.int32)

    return Termination(needs=(base.linear, *joints), compute=compute)


def far_away(scene: Scene, *, distance: float, body: str | None = None) -> Termination:
    """Failure when a body is further than `distance` (m) from the world's origin, horizontally."""
    base = Base(scene.robot, body)
    return Termination(
        needs=(base.position,), compute=lambda view: -(jnp.linalg.norm(view.sensor(base.position)[:2]) > distance).astype(jnp.int32)
    )


def site_reached(
    scene: Scene, *, site: str, tolerance: float, target: str | None = None, point: Sequence[float] | None = None
) -> Termination:
    """Success when a site is within `tolerance` (m) of another, or of a point of the world."""
    needs, away = site_distance(scene, site, target, point)
    return Termination(needs=needs, compute=lambda view: (away(view) <= tolerance).astype(jnp.int32))


def velocity_tracked(scene: Scene, *, linear: float, yaw: float, body: str | None = None) -> Termination:
    """Success while the body's vx, vy are within `linear` (m/s) and its wz within `yaw` (rad/s) of the command."""
    base = Base(scene.robot, body)
    index = jnp.array([scene.command_index(label) for label in ("vx", "vy", "wz")])

    def compute(view: View) -> jax.Array:
        asked = view.command[index]
        near = jnp.linalg.norm(base.velocity(view)[:2] - asked[:2]) <= linear
        tracked: jax.Array = (near & (jnp.abs(base.rate(view)[2] - asked[2]) <= yaw)).astype(jnp.int32)
        return tracked

    return Termination(needs=base.motion, compute=compute)


def _standing(base: Base, view: View, angle: float | None, height: float | None) -> jax.Array:
    upright = jnp.ones((), bool)
    if angle is not None:
        upright &= base.up(view)[2] >= math.cos(angle)
    if height is not None:
        upright &= base.height(view) >= height
    return upright
