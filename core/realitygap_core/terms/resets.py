"""Resets: factories of the state in which an episode begins, applied in order."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from realitygap_core.errors import CoreError, unknown
from realitygap_core.terms.joints import addresses, joint_range, scalar_joints
from realitygap_core.terms.term import Reset, Scene


def keyframe(scene: Scene, *, name: str) -> Reset:
    """The positions and velocities of a keyframe of the model."""
    model = scene.robot.model
    names = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_KEY, index) or "" for index in range(model.nkey)]
    if name not in names:
        raise unknown("keyframe", name, names, pointer="/name")
    index = names.index(name)
    qpos, qvel = np.array(model.key_qpos[index]), np.array(model.key_qvel[index])
    return Reset(apply=lambda key, _qpos, _qvel: (jnp.asarray(qpos, _qpos.dtype), jnp.asarray(qvel, _qvel.dtype)))


def joint_position_uniform(scene: Scene, *, low: float, high: float, joints: Sequence[str] | None = None, around: str = "current") -> Reset:
    """Joint positions uniform in [low, high], rad or m: added to what earlier resets set (`around: current`), or instead (`zero`)."""
    _ordered(low, high)
    if around not in ("current", "zero"):
        raise unknown("value of around", around, ("current", "zero"), pointer="/around")
    positions, _ = addresses(scene.robot, scalar_joints(scene.robot, joints))
    index = np.array(positions)

    def apply(key: jax.Array, qpos: jax.Array, qvel: jax.Array) -> tuple[jax.Array, jax.Array]:
        draw = jax.random.uniform(key, (len(index),), qpos.dtype, low, high)
        return (qpos.at[index].add(draw) if around == "current" else qpos.at[index].set(draw)), qvel

    return Reset(apply=apply)


def joint_velocity_uniform(scene: Scene, *, low: float, high: float, joints: Sequence[str] | None = None) -> Reset:
    """Joint velocities uniform in [low, high], rad/s or m/s."""
    _ordered(low, high)
    _, velocities = addresses(scene.robot, scalar_joints(scene.robot, joints))
    index = np.array(velocities)

    def apply(key: jax.Array, qpos: jax.Array, qvel: jax.Array) -> tuple[jax.Array, jax.Array]:
        return qpos, qvel.at[index].set(jax.random.uniform(key, (len(index),), qvel.dtype, low, high))

    return Reset(apply=apply)


def joint_position_gaussian(scene: Scene, *, std: float, joints: Sequence[str] | None = None) -> Reset:
    """Adds Gaussian noise of standard deviation `std` (rad or m) to joint positions; what leaves a joint's range is cut off."""
    names = scalar_joints(scene.robot, joints)
    positions, _ = addresses(scene.robot, names)
    index = np.array(positions)
    low, high = np.array([joint_range(scene.robot, name) or (-np.inf, np.inf) for name in names], np.float32).T

    def apply(key: jax.Array, qpos: jax.Array, qvel: jax.Array) -> tuple[jax.Array, jax.Array]:
        draw = qpos[index] + std * jax.random.normal(key, (len(index),), qpos.dtype)
        return qpos.at[index].set(jnp.clip(draw, low, high)), qvel

    return Reset(apply=apply)


def _ordered(low: float, high: float) -> None:
    if not low <= high:
        raise CoreError(f"the range is not in order: {low:g}, {high:g}", pointer="/low", hint="give low <= high")
