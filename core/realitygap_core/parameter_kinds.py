"""Kinds of parameters: what each belongs to, which parts of a model can have it, what a robot can have, and its value in the model file."""

from __future__ import annotations

import math
from typing import Literal

import mujoco
import numpy as np

from realitygap_core.contact import restitution_of
from realitygap_core.plant import ACTUATOR_PATH, PATH_FIELDS, channel_names, signal_path
from realitygap_core.robot import Robot

Target = Literal["body", "geom", "site", "joint", "actuator", "channel", "none"]

TARGETS: dict[str, Target] = {
    "mass": "body",
    "inertia_scale": "body",
    "com_x": "body",
    "com_y": "body",
    "com_z": "body",
    "pseudo_inertia_alpha": "body",
    "pseudo_inertia_dx": "body",
    "pseudo_inertia_dy": "body",
    "pseudo_inertia_dz": "body",
    "pseudo_inertia_sxy": "body",
    "pseudo_inertia_sxz": "body",
    "pseudo_inertia_syz": "body",
    "pseudo_inertia_tx": "body",
    "pseudo_inertia_ty": "body",
    "pseudo_inertia_tz": "body",
    "friction": "geom",
    "friction_spin": "geom",
    "friction_roll": "geom",
    "restitution": "geom",
    "contact_time": "geom",
    "radius": "geom",
    "length": "geom",
    "size_x": "geom",
    "size_y": "geom",
    "size_z": "geom",
    "imu_tilt_x": "site",
    "imu_tilt_y": "site",
    "imu_tilt_z": "site",
    "damping": "joint",
    "frictionloss": "joint",
    "armature": "joint",
    "stiffness": "joint",
    "springref": "joint",
    "zero_offset": "joint",
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
    "gravity_tilt_x": "none",
    "gravity_tilt_y": "none",
    "latency": "none",
}
"""What each kind of parameter belongs to."""

COM_AXIS = {"com_x": 0, "com_y": 1, "com_z": 2}
PSEUDO_INERTIA = tuple(kind for kind in TARGETS if kind.startswith("pseudo_inertia_"))
INERTIAL = ("mass", "inertia_scale", *COM_AXIS, *PSEUDO_INERTIA)
"""Kinds that together make a body's mass, centre and inertia."""
FRICTION = {"friction": 0, "friction_spin": 1, "friction_roll": 2}
IMU_TILT = {"imu_tilt_x": 0, "imu_tilt_y": 1, "imu_tilt_z": 2}
GRAVITY = ("gravity", "gravity_tilt_x", "gravity_tilt_y")
SIZES = ("radius", "length", "size_x", "size_y", "size_z")
"""Kinds that change the shape of a geom; the model is compiled anew for each draw of them."""
JOINT_FIELDS = {"damping": "dof_damping", "frictionloss": "dof_frictionloss", "armature": "dof_armature"}

_TINY = float(np.finfo(float).tiny)
_POSITIVE = {"mass", "inertia_scale", "contact_time", *SIZES, "force_limit", "command_rate", "command_scale", "sensor_scale"}
_ANY = {
    *COM_AXIS, *PSEUDO_INERTIA, *IMU_TILT, "springref", "zero_offset", "gain", "velocity_gain", "command_offset", "sensor_offset",
    "gravity_tilt_x", "gravity_tilt_y",
}  # fmt: skip
_UNLIMITED = {"force_limit", "command_rate"}
_SIZE_SLOTS: dict[str, dict[int, int]] = {
    "radius": {
        int(mujoco.mjtGeom.mjGEOM_SPHERE): 0,
        int(mujoco.mjtGeom.mjGEOM_CAPSULE): 0,
        int(mujoco.mjtGeom.mjGEOM_CYLINDER): 0,
    },
    "length": {int(mujoco.mjtGeom.mjGEOM_CAPSULE): 1, int(mujoco.mjtGeom.mjGEOM_CYLINDER): 1},
    **{
        f"size_{axis}": {int(mujoco.mjtGeom.mjGEOM_BOX): index, int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): index}
        for index, axis in enumerate("xyz")
    },
}


def physical_bounds(kind: str) -> tuple[float, float]:
    """Outside these no robot can be."""
    if kind == "restitution":
        return 0.0, 0.99
    return (-math.inf if kind in _ANY else _TINY if kind in _POSITIVE else 0.0), math.inf


def may_be_unlimited(kind: str) -> bool:
    """Whether infinity is a value: a limit that is not there."""
    return kind in _UNLIMITED


def size_slot(model: mujoco.MjModel, kind: str, geom: int) -> int | None:
    """Index into a geom's sizes that the kind stands for, None where its shape has no such size. A `length` is twice what is stored."""
    return _SIZE_SLOTS[kind].get(int(model.geom_type[geom]))


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
        return tuple(n for n in robot.names("geom") if _has(model, kind, model.geom(n).id))
    if target_kind == "site":
        return robot.names("site")
    if target_kind == "joint":
        single = [n for n in robot.names("joint") if dofs(model, model.joint(n).id) == 1]
        return tuple(single)
    if target_kind == "actuator":
        affine = [n for n in robot.names("actuator") if kind in ACTUATOR_PATH or _is_affine(model, model.actuator(n).id)]
        return tuple(n for n in affine if kind != "force_limit" or _is_symmetric(model, model.actuator(n).id))
    if target_kind == "channel":
        return channel_names(robot)
    if kind in GRAVITY:
        return ("",) if np.linalg.norm(model.opt.gravity) > 0 else ()
    return ("",) if model.nu else ()


def _has(model: mujoco.MjModel, kind: str, geom: int) -> bool:
    if kind in SIZES:
        return size_slot(model, kind, geom) is not None
    # Negative figures in solref are a stiffness and a damping, not a time and a ratio.
    spring = kind in ("restitution", "contact_time") and model.geom_solref[geom, 0] <= 0
    return bool((model.geom_contype[geom] != 0 or model.geom_conaffinity[geom] != 0) and not spring)


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
        return float(model.body_mass[body]) if kind == "mass" else 1.0 if kind == "inertia_scale" else 0.0
    if target_kind == "geom":
        return _of_geom(model, kind, model.geom(target).id)
    if target_kind == "joint":
        joint = model.joint(target).id
        if kind in JOINT_FIELDS:
            return float(getattr(model, JOINT_FIELDS[kind])[model.jnt_dofadr[joint]])
        if kind == "zero_offset":
            return 0.0
        return float(model.jnt_stiffness[joint]) if kind == "stiffness" else float(model.qpos_spring[model.jnt_qposadr[joint]])
    if kind in IMU_TILT or kind in GRAVITY:
        return float(np.linalg.norm(model.opt.gravity)) if kind == "gravity" else 0.0
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


def _of_geom(model: mujoco.MjModel, kind: str, geom: int) -> float:
    if kind in FRICTION:
        return float(model.geom_friction[geom, FRICTION[kind]])
    if kind == "contact_time":
        return float(model.geom_solref[geom, 0])
    if kind == "restitution":
        return restitution_of(max(float(model.geom_solref[geom, 1]), 1e-6))
    slot = size_slot(model, kind, geom)
    return float(model.geom_size[geom, slot]) * (2.0 if kind == "length" else 1.0)
