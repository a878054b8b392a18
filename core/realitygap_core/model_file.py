"""An identified model as one MJCF file that plain MuJoCo also loads."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import mujoco
import numpy as np

from realitygap_core.base_model import edit_sizes, make_inertia_explicit
from realitygap_core.parameter_kinds import FRICTION, GRAVITY, IMU_TILT, JOINT_FIELDS, SIZES, TARGETS
from realitygap_core.parameters import apply, split
from realitygap_core.robot import NUMERIC_PREFIX, Robot


def save_model(robot: Robot, values: Mapping[str, float], path: str | os.PathLike[str]) -> Path:
    """Writes the robot with `values` as MJCF; what lies on the signal path becomes custom numerics `realitygap/<parameter>`.

    MuJoCo writes six significant digits. Meshes and the like are copied into `<stem>_assets` beside the file.

    Raises:
        CoreError: unknown names, or values outside the physical bounds.
    """
    plant = apply(robot, values)
    spec, model = robot.fresh_spec(), plant.model
    edit_sizes(spec, robot.model, {split(name): value for name, value in values.items() if split(name)[0] in SIZES})
    bodies = {split(name)[1] for name in values if TARGETS[split(name)[0]] == "body"}
    for name in sorted(bodies):
        make_inertia_explicit(spec, name, model, robot.model.body(name).id)
    for name in values:
        _edit(spec, robot, model, *split(name))
    for actuator in spec.actuators:
        if actuator.biasprm[2] > 0:  # a damping ratio, which the compiler turns into a damping for the inertia that it finds
            actuator.biasprm = np.array(model.actuator_biasprm[actuator.id])
    for numeric in list(spec.numerics):
        if numeric.name.startswith(NUMERIC_PREFIX):
            spec.delete(numeric)
    for name, value in plant.path.as_values().items():
        if math.isfinite(value):
            spec.add_numeric(name=NUMERIC_PREFIX + name, data=[value], size=1)
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    _bring_assets(spec, robot, file)
    spec.compile()
    file.write_text(spec.to_xml(), encoding="utf-8")
    return file


def _edit(spec: mujoco.MjSpec, robot: Robot, model: mujoco.MjModel, kind: str, target: str) -> None:
    """Copies one parameter from the compiled model into the spec."""
    if TARGETS[kind] == "joint":
        _edit_joint(spec, robot, model, kind, target)
    elif kind in FRICTION:
        spec.geom(target).friction = np.array(model.geom_friction[robot.id("geom", target)])
    elif kind in ("restitution", "contact_time"):
        spec.geom(target).solref = np.array(model.geom_solref[robot.id("geom", target)])
    elif kind in IMU_TILT:
        spec.site(target).quat = np.array(model.site_quat[robot.id("site", target)])
    elif kind in GRAVITY:
        spec.option.gravity = np.array(model.opt.gravity)
    elif kind in ("gain", "velocity_gain", "force_limit"):
        actuator, index = spec.actuator(target), robot.id("actuator", target)
        actuator.gainprm = np.array(model.actuator_gainprm[index])
        actuator.biasprm = np.array(model.actuator_biasprm[index])
        actuator.biastype = mujoco.mjtBias(int(model.actuator_biastype[index]))
        if kind == "force_limit":
            actuator.forcerange = np.array(model.actuator_forcerange[index])
            actuator.forcelimited = bool(model.actuator_forcelimited[index])


def _edit_joint(spec: mujoco.MjSpec, robot: Robot, model: mujoco.MjModel, kind: str, target: str) -> None:
    joint, index = spec.joint(target), robot.id("joint", target)
    dof, qpos = int(model.jnt_dofadr[index]), int(model.jnt_qposadr[index])
    unit = 180 / math.pi if spec.compiler.degree and model.jnt_type[index] == mujoco.mjtJoint.mjJNT_HINGE else 1.0
    if kind in ("springref", "zero_offset"):
        joint.springref = float(model.qpos_spring[qpos]) * unit
        joint.ref = float(model.qpos0[qpos]) * unit
        joint.range = np.array(model.jnt_range[index]) * unit
    elif kind == "stiffness":
        joint.stiffness = _first(joint.stiffness, float(model.jnt_stiffness[index]))
    else:
        setattr(joint, kind, _first(getattr(joint, kind), float(getattr(model, JOINT_FIELDS[kind])[dof])))


def _first(old: object, value: float) -> object:
    """`value`, in the form of the field: a number, or the linear coefficient of a polynomial."""
    array = np.array(old, dtype=float)
    if array.ndim == 0:
        return value
    array[0] = value
    return array


def _bring_assets(spec: mujoco.MjSpec, robot: Robot, file: Path) -> None:
    if robot.path is None:
        return
    here, place = robot.path.parent, f"{file.stem}_assets"
    moved = False
    for elements, folder in (
        (spec.meshes, spec.compiler.meshdir),
        (spec.textures, spec.compiler.texturedir),
        (spec.hfields, spec.compiler.meshdir),
    ):
        for element in elements:
            if element.file and (source := here / folder / element.file).is_file():
                moved = True
                (file.parent / place).mkdir(exist_ok=True)
                shutil.copyfile(source, file.parent / place / source.name)
                element.file = source.name
    if moved:
        spec.modelfiledir = str(file.parent)
        spec.compiler.meshdir = spec.compiler.texturedir = place
