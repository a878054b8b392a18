"""Terminations: factories of -1 (failure), 0 (go on) or +1 (success)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError
from realitygap_core.sensors import Need
from realitygap_core.terms.joints import joint_range, scalar_joint
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
