"""Kinds of parameters: what each belongs to, which parts of a model can have it, and its value in the model file."""

from __future__ import annotations

import math
from typing import Literal

import mujoco
import numpy as np

from realitygap_core.plant import ACTUATOR_PATH, PATH_FIELDS, channel_names, signal_path
from realitygap_core.robot import Robot

Target = Literal["body", "geom", "joint", "actuator", "channel", "none"]

TARGETS: dict[str, Target] = {
    "mass": "body",
    "inertia_scale": "body",
    "com_x": "body",
    "com_y": "body",
    "com_z": "body",
    "friction": "geom",
    "damping": "joint",
    "frictionloss": "joint",
    "armature": "joint",
    "stiffness": "joint",
    "springref": "joint",
    "gain": "actuator",
    "velocity_gain": "actuator",
    "force_limit": "actuator",
    "command_offset": "actuator",
    "command_scale": "actuator",
    "command_rate": "actuator",
    "delay": "actuator",
    "sensor_offset": "channel",
    "sensor_scale": "channel",
    "sensor_delay": "channel",
    "sensor_noise": "channel",
    "gravity": "none",
    "latency": "none",
}
"""What each kind of parameter belongs to."""

POSITIVE = {"mass", "inertia_scale", "force_limit", "command_rate", "command_scale", "sensor_scale"}
NON_NEGATIVE = {
    "friction",
    "damping",
    "frictionloss",
    "armature",
    "stiffness",
    "delay",
    "sensor_delay",
    "sensor_noise",
    "gravity",
    "latency",
}
COM_AXIS = {"com_x": 0, "com_y": 1, "com_z": 2}


def is_position_servo(model: mujoco.MjModel, actuator: int) -> bool:
    """Whether the actuator pulls towards its command: an affine bias that takes off gain times the position."""
    affine = model.actuator_biastype[actuator] == mujoco.mjtBias.mjBIAS_AFFINE
    return bool(
        affine and model.actuator_gainprm[actuator, 0] != 0 and model.actuator_biasprm[actuator, 1] == -model.actuator_gainprm[actuator, 0]
    )


def dofs(model: mujoco.MjModel, joint: int) -> int:
    """Degrees of freedom of a joint: 1, 3 or 6."""
    return {mujoco.mjtJoint.mjJNT_FREE: 6, mujoco.mjtJoint.mjJNT_BALL: 3}.get(mujoco.mjtJoint(model.jnt_type[joint]), 1)


def is_hinge(model: mujoco.MjModel, joint: int) -> bool:
    """Whether the joint turns about one axis."""
    return bool(model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE)


def targets_of(robot: Robot, kind: str, target_kind: Target) -> tuple[str, ...]:
    """Names that a parameter of this kind can have in this model."""
    model = robot.model
    if target_kind == "body":
        return tuple(n for n in robot.names("body") if model.body_mass[model.body(n).id] > 0 and model.body_weldid[model.body(n).id] > 0)
    if target_kind == "geom":
        collides = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        return tuple(n for n in robot.names("geom") if collides[model.geom(n).id])
    if target_kind == "joint":
        single = [n for n in robot.names("joint") if dofs(model, model.joint(n).id) == 1]
        return tuple(single)
    if target_kind == "actuator":
        affine = [n for n in robot.names("actuator") if kind in ACTUATOR_PATH or _is_affine(model, model.actuator(n).id)]
        return tuple(n for n in affine if kind != "force_limit" or _is_symmetric(model, model.actuator(n).id))
    if target_kind == "channel":
        return channel_names(robot)
    if kind == "gravity":
        return ("",) if np.linalg.norm(model.opt.gravity) > 0 else ()
    return ("",) if model.nu else ()


def _is_affine(model: mujoco.MjModel, actuator: int) -> bool:
    """Whether force = gain * input + bias with constant gain and at most an affine bias: the kinds of actuator that have these
    parameters."""
    affine = (int(mujoco.mjtBias.mjBIAS_NONE), int(mujoco.mjtBias.mjBIAS_AFFINE))
    return bool(model.actuator_gaintype[actuator] == mujoco.mjtGain.mjGAIN_FIXED and int(model.actuator_biastype[actuator]) in affine)


def _is_symmetric(model: mujoco.MjModel, actuator: int) -> bool:
    """Whether one number says the limit of the force: the same to either side, or none."""
    low, high = model.actuator_forcerange[actuator]
    return bool(not model.actuator_forcelimited[actuator] or low == -high)


def nominal_value(robot: Robot, kind: str, target: str) -> float:
    """The value of `kind[target]` in the model file; inf for a limit that is not there."""
    model = robot.model
    target_kind = TARGETS[kind]
    if target not in targets_of(robot, kind, target_kind):
        return 1.0  # `check` refuses the name
    if target_kind == "body":
        body = model.body(target).id
        if kind in COM_AXIS:
            return float(model.body_ipos[body, COM_AXIS[kind]])
        return float(model.body_mass[body]) if kind == "mass" else 1.0
    if target_kind == "geom":
        return float(model.geom_friction[model.geom(target).id, 0])
    if target_kind == "joint":
        joint = model.joint(target).id
        dof = model.jnt_dofadr[joint]
        fields = {"damping": model.dof_damping, "frictionloss": model.dof_frictionloss, "armature": model.dof_armature}
        if kind in fields:
            return float(fields[kind][dof])
        return float(model.jnt_stiffness[joint]) if kind == "stiffness" else float(model.qpos_spring[model.jnt_qposadr[joint]])
    if kind == "gravity":
        return float(np.linalg.norm(model.opt.gravity))
    path = signal_path(robot)
    if kind == "latency":
        return float(path.delay_u.max())
    if kind in PATH_FIELDS:
        names = path.channels if target_kind == "channel" else path.actuators
        return float(getattr(path, PATH_FIELDS[kind])[names.index(target)])
    index = model.actuator(target).id
    if kind == "gain":
        return float(model.actuator_gainprm[index, 0])
    if kind == "velocity_gain":
        return float(-model.actuator_biasprm[index, 2]) if model.actuator_biastype[index] == mujoco.mjtBias.mjBIAS_AFFINE else 0.0
    return float(np.max(np.abs(model.actuator_forcerange[index]))) if model.actuator_forcelimited[index] else math.inf
