"""Fields of a compiled model that parameters are written into."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mujoco
import numpy as np

from realitygap_core.parameter_kinds import COM_AXIS, TARGETS, dofs, is_position_servo
from realitygap_core.plant import Floats
from realitygap_core.robot import Robot


def base_model(robot: Robot, shifted_bodies: set[str]) -> mujoco.MjModel:
    """The nominal model, compiled so that its centres of mass may move.

    The compiler takes short cuts for a body whose inertial frame equals its own; a shift of `com_*` would then be ignored. Such bodies
    are compiled with a centre that is slightly off, and then set back.
    """
    model = robot.model
    plain = [name for name in sorted(shifted_bodies) if model.body_sameframe[model.body(name).id] or model.body_simple[model.body(name).id]]
    if not plain:
        return model
    spec = robot.fresh_spec()
    for name in plain:
        body_id = model.body(name).id
        make_inertia_explicit(spec, name, model, body_id)
        spec.body(name).ipos = model.body_ipos[body_id] + 1e-6 * np.array([1.0, 1.3, 1.7])
    base = spec.compile()
    for name in plain:
        body_id = model.body(name).id
        _move_com(base, body_id, model.body_ipos[body_id])
    mujoco.mj_setConst(base, mujoco.MjData(base))
    return base


def make_inertia_explicit(spec: mujoco.MjSpec, name: str, model: mujoco.MjModel, body_id: int) -> None:
    """Writes a body's compiled inertial properties into the spec, so that they can be edited one by one."""
    body = spec.body(name)
    if spec.compiler.inertiafromgeom == mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE:
        for other_id in range(1, model.nbody):
            other = spec.bodies[other_id]
            _write_inertia(other, model, other_id)
        spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE
    _write_inertia(body, model, body_id)


def _write_inertia(body: Any, model: mujoco.MjModel, body_id: int) -> None:
    body.explicitinertial = True
    body.mass = model.body_mass[body_id]
    body.ipos = model.body_ipos[body_id]
    body.iquat = model.body_iquat[body_id]
    body.inertia = model.body_inertia[body_id]
    body.fullinertia = [math.nan, 0, 0, 0, 0, 0]


def _move_com(model: mujoco.MjModel, body: int, ipos: Floats) -> None:
    """Sets a centre of mass; the bounding volumes of a body's geoms are stored about it, so they move the other way."""
    shift = np.asarray(ipos) - model.body_ipos[body]
    first, count = int(model.body_bvhadr[body]), int(model.body_bvhnum[body])
    if count:
        back = np.zeros(3)
        inverse = np.zeros(4)
        mujoco.mju_negQuat(inverse, model.body_iquat[body])
        mujoco.mju_rotVecQuat(back, shift, inverse)
        model.bvh_aabb[first : first + count, :3] -= back
    model.body_ipos[body] = ipos


def setter(base: mujoco.MjModel, kind: str, target: str) -> Callable[[mujoco.MjModel, float], None]:
    """A function that writes a value of `kind[target]` into a model's own (not derived) fields. Mass and inertia are set apart, since
    they share a field."""
    if kind in ("mass", "inertia_scale"):
        return lambda model, value: None
    if kind in COM_AXIS:
        body, axis = base.body(target).id, COM_AXIS[kind]

        def set_com(model: mujoco.MjModel, value: float) -> None:
            ipos = np.array(model.body_ipos[body])
            ipos[axis] = value
            _move_com(model, body, ipos)

        return set_com
    if kind == "friction":
        geom = base.geom(target).id
        return lambda model, value: model.geom_friction.__setitem__((geom, 0), value)
    if TARGETS[kind] == "joint":
        return _joint_setter(base, kind, target)
    if TARGETS[kind] == "actuator":
        return _actuator_setter(base, kind, target)
    down = np.array(base.opt.gravity)
    down = down / np.linalg.norm(down)

    def set_gravity(model: mujoco.MjModel, value: float) -> None:
        model.opt.gravity[:] = down * value

    return set_gravity


def _joint_setter(base: mujoco.MjModel, kind: str, target: str) -> Callable[[mujoco.MjModel, float], None]:
    joint = base.joint(target)
    index, dof, qpos = int(joint.id), int(base.jnt_dofadr[joint.id]), int(base.jnt_qposadr[joint.id])
    rows = slice(dof, dof + dofs(base, index))
    if kind == "springref":
        return lambda model, value: model.qpos_spring.__setitem__(qpos, value)
    if kind == "stiffness":
        return lambda model, value: model.jnt_stiffness.__setitem__(index, value)
    field = {"damping": "dof_damping", "frictionloss": "dof_frictionloss", "armature": "dof_armature"}[kind]
    return lambda model, value: getattr(model, field).__setitem__(rows, value)


def _actuator_setter(base: mujoco.MjModel, kind: str, target: str) -> Callable[[mujoco.MjModel, float], None]:
    index = int(base.actuator(target).id)
    servo = is_position_servo(base, index)
    if kind == "gain":

        def set_gain(model: mujoco.MjModel, value: float) -> None:
            model.actuator_gainprm[index, 0] = value
            if servo:
                model.actuator_biasprm[index, 1] = -value

        return set_gain
    if kind == "velocity_gain":

        def set_velocity_gain(model: mujoco.MjModel, value: float) -> None:
            model.actuator_biastype[index] = mujoco.mjtBias.mjBIAS_AFFINE
            model.actuator_biasprm[index, 2] = -value

        return set_velocity_gain

    def set_force_limit(model: mujoco.MjModel, value: float) -> None:
        limited = math.isfinite(value)
        model.actuator_forcelimited[index] = limited
        model.actuator_forcerange[index] = (-value, value) if limited else (0.0, 0.0)

    return set_force_limit
