"""Actions: factories of the map from a policy's output in [-1, 1] to actuator commands."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from realitygap_core.errors import CoreError, unknown
from realitygap_core.robot import Robot
from realitygap_core.terms.term import Action


def affine(
    robot: Robot, *, actuators: Sequence[str] | None = None, limits: Sequence[float] | None = None, scale: float | None = None
) -> Action:
    """-1 is the smallest command, +1 the largest, 0 halfway.

    `limits` [low, high] in the actuators' unit narrows the model's own control range, and is needed where an actuator has none. `scale`
    instead gives the command of action +1 about the middle of the range; what leaves the range is cut off.

    Raises:
        CoreError: no such actuator, no actuator at all, limits missing, out of order, or outside the model's control range.
    """
    names = tuple(actuators) if actuators is not None else robot.names("actuator")
    if not names:
        raise CoreError("the model has no named actuator for the action to drive", where=robot.where, pointer="/actuators")
    if len(set(names)) != len(names):
        raise CoreError("an actuator is named twice", pointer="/actuators")
    ranges = [_range(robot, name, limits, index) for index, name in enumerate(names)]
    low, high = np.array(ranges).T
    middle, half = (low + high) / 2, (high - low) / 2
    slope = half if scale is None else np.full_like(half, scale)

    def command(action_n: jax.Array) -> jax.Array:
        return jnp.clip(middle + slope * jnp.clip(action_n, -1, 1), low, high)

    return Action(actuators=names, command=command, low=tuple(low.tolist()), high=tuple(high.tolist()))


def pose_offset(robot: Robot, *, scale: float, keyframe: str | None = None, actuators: Sequence[str] | None = None) -> Action:
    """Action 0 is the command of a keyframe (the model's first), action +-1 is `scale` away from it; what leaves the range is cut off.

    Raises:
        CoreError: no keyframe, or as for `affine`.
    """
    whole = affine(robot, actuators=actuators)
    model = robot.model
    names = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_KEY, index) or "" for index in range(model.nkey)]
    if (keyframe is not None and keyframe not in names) or not names:
        raise unknown("keyframe", keyframe or "", names, pointer="/keyframe")
    key_ctrl = model.key_ctrl[names.index(keyframe) if keyframe is not None else 0]
    middle = np.array([key_ctrl[robot.actuator(name).id] for name in whole.actuators])

    def command(action_n: jax.Array) -> jax.Array:
        return jnp.clip(middle + scale * jnp.clip(action_n, -1, 1), np.array(whole.low), np.array(whole.high))

    return Action(actuators=whole.actuators, command=command, low=whole.low, high=whole.high)


def _range(robot: Robot, name: str, limits: Sequence[float] | None, index: int) -> tuple[float, float]:
    actuator = robot.actuator(name, pointer=f"/actuators/{index}")
    own = tuple(float(v) for v in robot.model.actuator_ctrlrange[actuator.id]) if robot.model.actuator_ctrllimited[actuator.id] else None
    if limits is None:
        if own is None:
            raise CoreError(
                f"actuator '{name}' has no control range in the model",
                pointer="/limits",
                hint="give the action `limits: [low, high]` in its params, or the actuator a `ctrlrange` in the model",
            )
        return own[0], own[1]
    if len(limits) != 2 or not limits[0] < limits[1]:
        raise CoreError(f"limits must be [low, high] with low < high, they are {list(limits)}", pointer="/limits")
    low, high = float(limits[0]), float(limits[1])
    if own is not None and (low < own[0] - 1e-9 or high > own[1] + 1e-9):
        raise CoreError(
            f"limits [{low:g}, {high:g}] lie outside the control range [{own[0]:g}, {own[1]:g}] of actuator '{name}'",
            pointer="/limits",
            hint="the model cuts off what lies outside its range; narrow the limits",
        )
    return low, high
