"""Resets of a free joint: where a floating robot begins, and how it moves."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.terms.frames import free_joint, product, rotate
from realitygap_core.terms.term import Reset, Scene

_STILL = (0.0, 0.0)


def base_pose_uniform(
    scene: Scene,
    *,
    x: Sequence[float] = _STILL,
    y: Sequence[float] = _STILL,
    z: Sequence[float] = _STILL,
    roll: Sequence[float] = _STILL,
    pitch: Sequence[float] = _STILL,
    yaw: Sequence[float] = _STILL,
    joint: str | None = None,
) -> Reset:
    """Moves a free joint in the world (m), rolls and pitches it in its own frame and turns it about the vertical (rad), each uniform in
    [low, high], on top of what earlier resets set. A velocity that it has keeps its direction in the world."""
    low, high = _spans(x=x, y=y, z=z, roll=roll, pitch=pitch, yaw=yaw)
    joint = free_joint(scene.robot, joint)
    start, dof = int(scene.robot.joint(joint).qposadr[0]), int(scene.robot.joint(joint).dofadr[0])

    def apply(key: jax.Array, qpos: jax.Array, qvel: jax.Array) -> tuple[jax.Array, jax.Array]:
        draw = jax.random.uniform(key, (6,), qpos.dtype, low, high)
        old = qpos[start + 3 : start + 7]
        turned = product(_about(2, draw[5]), product(old, product(_about(1, draw[4]), _about(0, draw[3]))))
        turned = turned / jnp.linalg.norm(turned)
        qpos = qpos.at[start : start + 3].add(draw[:3]).at[start + 3 : start + 7].set(turned)
        spin = rotate(turned * jnp.array([1.0, -1.0, -1.0, -1.0]), rotate(old, qvel[dof + 3 : dof + 6]))
        return qpos, qvel.at[dof + 3 : dof + 6].set(spin)

    return Reset(apply=apply)


def base_velocity_uniform(
    scene: Scene, *, linear: Sequence[float] = _STILL, angular: Sequence[float] = _STILL, joint: str | None = None
) -> Reset:
    """Velocity of a free joint, each axis uniform in [low, high]: linear in the world's axes (m/s), angular in the body's (rad/s)."""
    low, high = _spans(linear=linear, angular=angular)
    dof = int(scene.robot.joint(free_joint(scene.robot, joint)).dofadr[0])
    lows, highs = np.repeat(low, 3), np.repeat(high, 3)

    def apply(key: jax.Array, qpos: jax.Array, qvel: jax.Array) -> tuple[jax.Array, jax.Array]:
        return qpos, qvel.at[dof : dof + 6].set(jax.random.uniform(key, (6,), qvel.dtype, lows, highs))

    return Reset(apply=apply)


def _about(axis: int, angle: jax.Array) -> jax.Array:
    """The quaternion of a turn about one axis."""
    return jnp.zeros(4).at[0].set(jnp.cos(angle / 2)).at[1 + axis].set(jnp.sin(angle / 2))


def _spans(**spans: Sequence[float]) -> tuple[np.ndarray[tuple[int], np.dtype[np.float32]], np.ndarray[tuple[int], np.dtype[np.float32]]]:
    for name, span in spans.items():
        if len(span) != 2 or not span[0] <= span[1]:
            raise CoreError(f"{name} must be [low, high], it is {list(span)}", pointer=f"/{name}")
    low, high = np.array(list(spans.values()), np.float32).T
    return low, high
