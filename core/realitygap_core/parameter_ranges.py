"""Bounds for fits and searches, from the nominal value and the size of the robot; not a statement about it."""

from __future__ import annotations

import math
from typing import Literal

import mujoco
import numpy as np

from realitygap_core.parameter_kinds import COM_AXIS, FRICTION, IMU_TILT, PSEUDO_INERTIA, SIZES, TARGETS, is_hinge
from realitygap_core.parameter_units import channel_unit
from realitygap_core.robot import Robot

_RATIO_RANGES: dict[str, tuple[float, float]] = {
    "inertia_scale": (0.2, 5.0),
    "command_scale": (0.5, 2.0),
    "sensor_scale": (0.8, 1.25),
}
_TIME_RANGE = (0.0, 0.05)
_TILT = 0.1
"""rad; 6 degrees is a mount that one sees is crooked."""
_SHAPE = 0.35
"""Of the logarithms of density and length: a factor of 1.4, a mass of twice or half."""


def default_range(robot: Robot, kind: str, target: str, nominal: float) -> tuple[float, float, Literal["log", "linear"]]:
    """Bounds for fits and searches: factors about a nominal value that is there, else what is large for a robot of this size."""
    model, target_kind = robot.model, TARGETS[kind]
    if kind in _RATIO_RANGES:
        low, high = _RATIO_RANGES[kind]
        return min(low, low * nominal), max(high, high * nominal), "log"
    if kind in ("delay", "sensor_delay", "latency"):
        return _TIME_RANGE[0], max(_TIME_RANGE[1], 2 * nominal), "linear"
    if kind in ("mass", "gravity"):
        factor = 4.0 if kind == "mass" else 1.2
        return nominal / factor, nominal * factor, "log"
    if kind in COM_AXIS:
        body = model.body(target).id
        reach = max(float(np.abs(model.body_ipos[body]).max()), _radius_of_gyration(model, body))
        return nominal - reach, nominal + reach, "linear"
    if kind in PSEUDO_INERTIA:
        wide = _radius_of_gyration(model, model.body(target).id) / 2 if kind[-2] == "t" else _SHAPE
        return -wide, wide, "linear"
    if kind in IMU_TILT or kind in ("gravity_tilt_x", "gravity_tilt_y"):
        return -_TILT, _TILT, "linear"
    if target_kind == "geom":
        return _geom_range(model, kind, nominal)
    if target_kind == "joint":
        return _joint_range(model, kind, model.joint(target).id, nominal)
    if target_kind == "channel":
        wide = {"rad": 0.2, "m": 0.05}.get(channel_unit(robot, target), 1.0)
        return (nominal - wide, nominal + wide, "linear") if kind == "sensor_offset" else (0.0, max(wide, 2 * nominal), "linear")
    actuator = model.actuator(target).id
    span = float(np.ptp(model.actuator_ctrlrange[actuator])) if model.actuator_ctrllimited[actuator] else 2.0
    if kind == "command_offset":
        return nominal - 0.15 * span, nominal + 0.15 * span, "linear"
    if kind == "command_rate":
        slowest, fastest = (nominal / 10, nominal * 10) if math.isfinite(nominal) else (span, span)
        return min(span, slowest), max(1000.0 * span, fastest), "log"
    if kind == "force_limit":
        strongest = abs(float(model.actuator_gainprm[actuator, 0])) * span / 2
        reference = nominal if math.isfinite(nominal) else strongest
        return reference / 20, reference * 2, "log"
    if nominal > 0:
        return nominal / (4.0 if kind == "gain" else 10.0), nominal * (4.0 if kind == "gain" else 10.0), "log"
    if kind == "gain":
        return nominal - 4 * abs(nominal), nominal + 4 * abs(nominal), "linear"
    return min(0.0, 4 * nominal), _inertia_of_actuator(model, actuator) * 100, "linear"


def _radius_of_gyration(model: mujoco.MjModel, body: int) -> float:
    return math.sqrt(float(model.body_inertia[body].sum()) / 2 / float(model.body_mass[body]))


def _geom_range(model: mujoco.MjModel, kind: str, nominal: float) -> tuple[float, float, Literal["log", "linear"]]:
    if kind in FRICTION:
        least, most = (0.01, 0.1) if kind == "friction" else (1e-5, 1e-3)
        low = max(nominal / 5, least)
        return min(low, nominal) if nominal > 0 else low, max(nominal * 3, most), "log"
    if kind in SIZES:
        return nominal / 1.5, nominal * 1.5, "log"
    if kind == "contact_time":  # below two physics steps MuJoCo takes two
        least = 2 * float(model.opt.timestep)
        return min(max(nominal / 3, least), nominal), max(nominal * 3, 3 * least), "log"
    return 0.0, 0.9, "linear"


def _joint_range(model: mujoco.MjModel, kind: str, joint: int, nominal: float) -> tuple[float, float, Literal["log", "linear"]]:
    """From the inertia that the joint moves: a time constant of 10 ms, an own frequency of 5 Hz, an acceleration of 100 rad/s^2 or
    m/s^2."""
    inertia = float(model.dof_M0[model.jnt_dofadr[joint]])
    if kind == "zero_offset":
        wide = _TILT if is_hinge(model, joint) else 0.02
        return -wide, wide, "linear"
    if kind == "springref":
        if model.jnt_limited[joint]:
            low, high = model.jnt_range[joint]
            return float(min(low, nominal)), float(max(high, nominal)), "linear"
        wide = math.pi if is_hinge(model, joint) else 1.0
        return nominal - wide, nominal + wide, "linear"
    high = {"damping": 100.0, "frictionloss": 100.0, "armature": 5.0, "stiffness": 1000.0}[kind] * inertia
    return 0.0, max(high, 4 * nominal), "linear"


def _inertia_of_actuator(model: mujoco.MjModel, actuator: int) -> float:
    if model.actuator_trntype[actuator] != mujoco.mjtTrn.mjTRN_JOINT:
        return float(model.stat.meaninertia)
    return float(model.dof_M0[model.jnt_dofadr[model.actuator_trnid[actuator, 0]]])
