"""Fields of a compiled model that parameters are written into. Every write starts from the nominal model, so draws do not compound."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import mujoco
import numpy as np

from realitygap_core.contact import damping_ratio_of
from realitygap_core.inertial import write_inertia
from realitygap_core.parameter_kinds import FRICTION, GRAVITY, IMU_TILT, INERTIAL, JOINT_FIELDS, TARGETS, dofs, is_position_servo
from realitygap_core.plant import Floats

Writer = Callable[[mujoco.MjModel, mujoco.MjModel, Mapping[str, float]], None]
"""`write(model, base, values)`: the values of one group, by kind, into `model`; what they do not say is as in `base`."""

_GROUPS = {
    **dict.fromkeys(INERTIAL, "inertia"),
    **dict.fromkeys(IMU_TILT, "imu_tilt"),
    **dict.fromkeys(GRAVITY, "gravity"),
    **dict.fromkeys(("springref", "zero_offset"), "zero"),
}


def group_of(kind: str) -> str:
    """Kinds of one group share fields, and are written together."""
    return _GROUPS.get(kind, kind)


def writer(base: mujoco.MjModel, group: str, target: str) -> Writer:
    """What writes a group of parameters of one target into a model's own (not derived) fields."""
    if group == "inertia":
        body = base.body(target).id
        return lambda model, base, values: write_inertia(model, base, body, values)
    if group == "gravity":
        return _write_gravity
    if group == "imu_tilt":
        return _imu_writer(base.site(target).id)
    if TARGETS.get(group) == "geom":
        return _geom_writer(base.geom(target).id, group)
    if TARGETS.get(group) == "actuator":
        return _actuator_writer(base, group, base.actuator(target).id)
    return _joint_writer(base, group, base.joint(target).id)


def _write_gravity(model: mujoco.MjModel, base: mujoco.MjModel, values: Mapping[str, float]) -> None:
    nominal = np.array(base.opt.gravity)
    size = np.linalg.norm(nominal)
    turn = _small_turn(np.array([values.get("gravity_tilt_x", 0.0), values.get("gravity_tilt_y", 0.0), 0.0]))
    turned = np.zeros(3)
    mujoco.mju_rotVecQuat(turned, nominal / size, turn)
    model.opt.gravity[:] = turned * values.get("gravity", size)


def _imu_writer(site: int) -> Writer:
    def write(model: mujoco.MjModel, base: mujoco.MjModel, values: Mapping[str, float]) -> None:
        turned = np.zeros(4)
        mujoco.mju_mulQuat(turned, base.site_quat[site], _small_turn(np.array([values.get(kind, 0.0) for kind in IMU_TILT])))
        model.site_quat[site] = turned

    return write


def _small_turn(vector: Floats) -> Floats:
    """Quaternion of a rotation vector [3], rad."""
    quaternion, angle = np.zeros(4), float(np.linalg.norm(vector))
    mujoco.mju_axisAngle2Quat(quaternion, vector / angle if angle > 0 else np.array([1.0, 0.0, 0.0]), angle)
    return quaternion


def _geom_writer(geom: int, kind: str) -> Writer:
    if kind in FRICTION:
        return lambda model, base, values: model.geom_friction.__setitem__((geom, FRICTION[kind]), values[kind])
    if kind == "contact_time":
        return lambda model, base, values: model.geom_solref.__setitem__((geom, 0), values[kind])
    return lambda model, base, values: model.geom_solref.__setitem__((geom, 1), damping_ratio_of(values[kind]))


def _joint_writer(base: mujoco.MjModel, group: str, joint: int) -> Writer:
    dof, qpos = int(base.jnt_dofadr[joint]), int(base.jnt_qposadr[joint])
    if group == "zero":

        def write_zero(model: mujoco.MjModel, base: mujoco.MjModel, values: Mapping[str, float]) -> None:
            # The joint reads more by the offset in the same pose: so do its reference, its limits and the rest of its spring.
            offset = values.get("zero_offset", 0.0)
            model.qpos0[qpos] = base.qpos0[qpos] + offset
            model.jnt_range[joint] = base.jnt_range[joint] + (offset if base.jnt_limited[joint] else 0.0)
            model.qpos_spring[qpos] = values.get("springref", base.qpos_spring[qpos]) + offset

        return write_zero
    if group == "stiffness":
        return lambda model, base, values: model.jnt_stiffness.__setitem__(joint, values[group])
    rows, field = slice(dof, dof + dofs(base, joint)), JOINT_FIELDS[group]
    return lambda model, base, values: getattr(model, field).__setitem__(rows, values[group])


def _actuator_writer(base: mujoco.MjModel, kind: str, index: int) -> Writer:
    servo = is_position_servo(base, index)

    def write(model: mujoco.MjModel, base: mujoco.MjModel, values: Mapping[str, float]) -> None:
        value = values[kind]
        if kind == "gain":
            model.actuator_gainprm[index, 0] = value
            if servo:
                model.actuator_biasprm[index, 1] = -value
        elif kind == "velocity_gain":
            model.actuator_biastype[index] = mujoco.mjtBias.mjBIAS_AFFINE
            model.actuator_biasprm[index, 2] = -value
        else:
            limited = math.isfinite(value)
            model.actuator_forcelimited[index] = limited
            model.actuator_forcerange[index] = (-value, value) if limited else (0.0, 0.0)

    return write
