"""Selecting joints of a robot by name, for the terms that read or set scalar joints."""

from __future__ import annotations

from collections.abc import Sequence

import mujoco

from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot

_HINGE, _SLIDE = int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)


def scalar_joints(robot: Robot, joints: Sequence[str] | None, *, pointer: str = "/joints") -> tuple[str, ...]:
    """The hinge and slide joints named in `joints`, or all that the robot has a name for.

    Raises:
        CoreError: no such joint (with the nearest name), or one with more than one degree of freedom.
    """
    if joints is None:
        return tuple(name for name in robot.names("joint") if _type(robot, name) in (_HINGE, _SLIDE))
    for index, name in enumerate(joints):
        scalar_joint(robot, name, pointer=f"{pointer}/{index}")
    return tuple(joints)


def scalar_joint(robot: Robot, name: str, *, pointer: str = "/joint") -> str:
    """The name of one hinge or slide joint. Raises as `scalar_joints`."""
    robot.id("joint", name, pointer=pointer)
    if _type(robot, name) not in (_HINGE, _SLIDE):
        raise CoreError(
            f"joint '{name}' is neither a hinge nor a slide", pointer=pointer, hint="use a frame sensor for free and ball joints"
        )
    return name


def is_hinge(robot: Robot, name: str) -> bool:
    """True for an angle in rad, False for a slide in m."""
    return _type(robot, name) == _HINGE


def addresses(robot: Robot, joints: Sequence[str]) -> tuple[list[int], list[int]]:
    """Indices of the joints into qpos and qvel."""
    return [int(robot.joint(name).qposadr[0]) for name in joints], [int(robot.joint(name).dofadr[0]) for name in joints]


def joint_range(robot: Robot, name: str) -> tuple[float, float] | None:
    """The joint's limits in rad or m, or None if it has none."""
    joint = robot.joint(name)
    if not robot.model.jnt_limited[joint.id]:
        return None
    low, high = robot.model.jnt_range[joint.id]
    return float(low), float(high)


def _type(robot: Robot, name: str) -> int:
    return int(robot.model.jnt_type[robot.joint(name).id])
