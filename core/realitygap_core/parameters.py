"""Named physical parameters of a robot: what there is, what it is now, and models with other values.

A parameter is `kind[target]` (`mass[pole]`, `delay[motor]`) or `kind` alone (`gravity`, `latency`). Values are physical, in SI, never
multipliers unless the kind ends in `_scale`. `apply` keeps a model consistent: rotational inertia follows mass, and every derived constant
equals that of the edited and recompiled file (`mj_setConst`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError, nearest, unknown
from realitygap_core.plant import ACTUATOR_PATH, CHANNEL_PATH, Floats, Plant, SignalPath, channel_names, signal_path
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

_POSITIVE = {"mass", "inertia_scale", "force_limit", "command_rate", "command_scale", "sensor_scale"}
_NON_NEGATIVE = {
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
_COM_AXIS = {"com_x": 0, "com_y": 1, "com_z": 2}
_TINY = np.finfo(float).tiny


@dataclass(frozen=True, kw_only=True)
class ParameterInfo:
    """One parameter of one robot."""

    name: str
    """`kind[target]`, or `kind` alone."""
    kind: str
    """A key of `TARGETS`."""
    target: str
    """Name of the body, geom, joint, actuator or channel; '' for a global one."""
    unit: str
    """SI, `1` for a ratio."""
    nominal: float
    """Value in the model file; inf for a limit that is not there."""
    low: float
    """A generous bound for fits and searches, from the size of the robot; not a statement about it."""
    high: float
    """As `low`."""
    scale: Literal["log", "linear"]
    """How the parameter is best searched and drawn."""
    physical_low: float
    """Below this no robot can be; `apply` refuses it."""
    physical_high: float
    """Above this no robot can be; `apply` refuses it."""


def split(name: str) -> tuple[str, str]:
    """`("mass", "pole")` of `mass[pole]`, `("gravity", "")` of `gravity`. Raises CoreError with the nearest kind."""
    match = re.fullmatch(r"([a-z_]+)(?:\[(.+)\])?", name)
    kind, target = (match.group(1), match.group(2) or "") if match else (name, "")
    if match is None or kind not in TARGETS:
        raise unknown("kind of parameter", kind, TARGETS)
    if bool(target) == (TARGETS[kind] == "none"):
        form = kind if TARGETS[kind] == "none" else f"{kind}[{TARGETS[kind]}]"
        raise CoreError(f"parameter '{name}' is written '{form}'")
    return kind, target


def read(robot: Robot) -> dict[str, float]:
    """Nominal value of every parameter of the robot."""
    return {name: info.nominal for name, info in enumerate_parameters(robot).items()}


def enumerate_parameters(robot: Robot) -> dict[str, ParameterInfo]:
    """Every parameter of the robot, nominal or not in use yet (a joint without friction loss has one of 0), in the order of `TARGETS`."""
    found: dict[str, ParameterInfo] = {}
    for kind, target_kind in TARGETS.items():
        for target in _targets(robot, kind, target_kind):
            info = describe(robot, f"{kind}[{target}]" if target else kind)
            found[info.name] = info
    return found


def describe(robot: Robot, name: str, *, pointer: str | None = None) -> ParameterInfo:
    """One parameter of the robot by name.

    Raises:
        CoreError: no such kind or target, with the nearest name.
    """
    kind, target = split(name)
    targets = _targets(robot, kind, TARGETS[kind])
    if target not in targets:
        every = [f"{k}[{t}]" if t else k for k, where in TARGETS.items() for t in _targets(robot, k, where)]
        close = nearest(name, every)
        hint = f"did you mean '{close}'?" if close else f"{kind} is there for: {', '.join(targets) or 'nothing in this model'}"
        raise CoreError(f"no parameter '{name}' in model '{robot.name}'", where=robot.where, pointer=pointer, hint=hint)
    nominal = _nominal(robot, kind, target)
    low, high, scale = _default_range(robot, kind, target, nominal)
    physical_low = _TINY if kind in _POSITIVE else 0.0 if kind in _NON_NEGATIVE else -math.inf
    return ParameterInfo(
        name=name,
        kind=kind,
        target=target,
        unit=_unit(robot, kind, target),
        nominal=nominal,
        low=low,
        high=high,
        scale=scale,
        physical_low=physical_low,
        physical_high=math.inf,
    )


def check(robot: Robot, values: Mapping[str, float], *, pointer: str = "") -> None:
    """Refuses names that do not exist and values that no robot can have.

    Raises:
        CoreError: which, with the nearest name or the bound; its `pointer` is `pointer` + `/<name>`.
    """
    for name, value in values.items():
        place = f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}" if pointer else None
        try:
            info = describe(robot, name, pointer=place)
        except CoreError as error:
            raise CoreError(error.message, where=error.where or robot.where, pointer=place, hint=error.hint) from None
        _check_value(info, float(value), place)
    if "latency" in values and (double := [name for name in values if name.startswith("delay[")]):
        raise CoreError(f"'latency' sets every delay, and '{double[0]}' is given too", where=robot.where, hint="give one of them")


def _check_value(info: ParameterInfo, value: float, place: str | None) -> None:
    infinite_is_off = info.kind in ("force_limit", "command_rate") and value == math.inf
    if not (math.isfinite(value) or infinite_is_off) or not info.physical_low <= value <= info.physical_high:
        bound = "finite" if not math.isfinite(value) else "positive" if info.kind in _POSITIVE else "at least 0"
        raise CoreError(
            f"'{info.name}' is {value:g} {info.unit}, it must be {bound}", pointer=place, hint=f"its nominal value is {info.nominal:g}"
        )


def apply(robot: Robot, values: Mapping[str, float]) -> Plant:
    """The plant of the robot with `values` in place of the nominal ones.

    Raises:
        CoreError: an unknown name (with the nearest), or a value outside the physical bounds.
    """
    return Applier(robot, tuple(values)).plants(np.array([list(values.values())], dtype=float).reshape(1, -1))[0]


def apply_many(
    robot: Robot, names: Sequence[str], values_bn: NDArray[np.floating[Any]], *, into: Sequence[Plant] | None = None
) -> list[Plant]:
    """Plants of `values_bn` [plants, len(names)]; `into` are plants from an earlier call with the same names, whose models are overwritten.

    Raises:
        CoreError: as `apply`.
    """
    return Applier(robot, tuple(names)).plants(np.asarray(values_bn, dtype=float), into=into)


class Applier:
    """Applies values of a fixed set of parameters again and again: names are looked up once, models can be reused."""

    def __init__(self, robot: Robot, names: tuple[str, ...]) -> None:
        """Looks the names up. Raises CoreError for one that does not exist."""
        self.robot = robot
        self.names = names
        if len(set(names)) != len(names):
            raise CoreError(f"a parameter is named twice: {', '.join(names)}")
        check(robot, {name: _nominal(robot, *split(name)) for name in names})
        self._infos = [describe(robot, name) for name in names]
        self._base = _base_model(robot, {info.target for info in self._infos if info.kind in _COM_AXIS})
        self._data = mujoco.MjData(self._base)
        self._setters = [(column, _setter(self._base, info)) for column, info in enumerate(self._infos) if not _on_path(info)]
        self._inertial = _inertial_columns(self._base, self._infos)
        self._path = signal_path(robot)
        self._path_columns = [(column, info) for column, info in enumerate(self._infos) if _on_path(info)]

    def plants(self, values_bn: Floats, *, into: Sequence[Plant] | None = None) -> list[Plant]:
        """Plants of `values_bn` [plants, names]; `into` are plants of this applier or of one with the same robot and names.

        Raises:
            CoreError: a value outside the physical bounds.
        """
        for column, info in enumerate(self._infos):
            outside = (
                ~(values_bn[:, column] >= info.physical_low)
                | ~(values_bn[:, column] <= info.physical_high)
                | ~np.isfinite(values_bn[:, column])
            )
            for value in values_bn[outside, column]:
                _check_value(info, float(value), None)
        if into is not None and len(into) < len(values_bn):
            raise CoreError(f"{len(values_bn)} draws do not fit into {len(into)} plants")
        models = [plant.model for plant in into[: len(values_bn)]] if into is not None else [_copy(self._base) for _ in values_bn]
        plants = []
        for model, values in zip(models, values_bn.tolist(), strict=True):
            for column, setter in self._setters:
                setter(model, values[column])
            for body, mass_column, scale_column in self._inertial:
                self._set_inertia(model, body, values, mass_column, scale_column)
            if self._setters or self._inertial:
                mujoco.mj_setConst(model, self._data)
            plants.append(Plant(model=model, path=self._with_path(values)))
        return plants

    def _set_inertia(
        self, model: mujoco.MjModel, body: int, values: list[float], mass_column: int | None, scale_column: int | None
    ) -> None:
        nominal = self._base.body_mass[body]
        mass = nominal if mass_column is None else values[mass_column]
        model.body_mass[body] = mass
        model.body_inertia[body] = self._base.body_inertia[body] * (
            mass / nominal * (1.0 if scale_column is None else values[scale_column])
        )

    def _with_path(self, values: list[float]) -> SignalPath:
        if not self._path_columns:
            return self._path
        path = self._path
        arrays = {
            "delay": path.delay_u.copy(),
            "command_offset": path.offset_u.copy(),
            "command_scale": path.scale_u.copy(),
            "command_rate": path.rate_u.copy(),
            "sensor_offset": path.sensor_offset_c.copy(),
            "sensor_scale": path.sensor_scale_c.copy(),
            "sensor_delay": path.sensor_delay_c.copy(),
            "sensor_noise": path.sensor_noise_c.copy(),
        }
        for column, info in self._path_columns:
            if info.kind == "latency":
                arrays["delay"][:] = values[column]
            else:
                index = path.actuators.index(info.target) if info.kind in ACTUATOR_PATH else path.channels.index(info.target)
                arrays[info.kind][index] = values[column]
        return SignalPath(
            actuators=path.actuators,
            channels=path.channels,
            delay_u=arrays["delay"],
            offset_u=arrays["command_offset"],
            scale_u=arrays["command_scale"],
            rate_u=arrays["command_rate"],
            sensor_offset_c=arrays["sensor_offset"],
            sensor_scale_c=arrays["sensor_scale"],
            sensor_delay_c=arrays["sensor_delay"],
            sensor_noise_c=arrays["sensor_noise"],
        )


def _on_path(info: ParameterInfo) -> bool:
    return info.kind in ACTUATOR_PATH or info.kind in CHANNEL_PATH or info.kind == "latency"


def _copy(model: mujoco.MjModel) -> mujoco.MjModel:
    return model.__copy__()


def _base_model(robot: Robot, shifted_bodies: set[str]) -> mujoco.MjModel:
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


def _inertial_columns(model: mujoco.MjModel, infos: Sequence[ParameterInfo]) -> list[tuple[int, int | None, int | None]]:
    """(body, column of its mass, column of its inertia_scale) for every body that has either."""
    columns: dict[int, list[int | None]] = {}
    for column, info in enumerate(infos):
        if info.kind in ("mass", "inertia_scale"):
            columns.setdefault(model.body(info.target).id, [None, None])[0 if info.kind == "mass" else 1] = column
    return [(body, mass, scale) for body, (mass, scale) in columns.items()]


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


def _setter(base: mujoco.MjModel, info: ParameterInfo) -> Callable[[mujoco.MjModel, float], None]:
    """A function that writes the value into a model's own (not derived) fields. Mass and inertia are set apart, since they share a
    field."""
    kind = info.kind
    if kind in ("mass", "inertia_scale"):
        return lambda model, value: None
    if kind in _COM_AXIS:
        body, axis = base.body(info.target).id, _COM_AXIS[kind]

        def set_com(model: mujoco.MjModel, value: float) -> None:
            ipos = np.array(model.body_ipos[body])
            ipos[axis] = value
            _move_com(model, body, ipos)

        return set_com
    if kind == "friction":
        geom = base.geom(info.target).id
        return lambda model, value: model.geom_friction.__setitem__((geom, 0), value)
    if TARGETS[kind] == "joint":
        return _joint_setter(base, info)
    if TARGETS[kind] == "actuator":
        return _actuator_setter(base, info)
    down = np.array(base.opt.gravity)
    down = down / np.linalg.norm(down)

    def set_gravity(model: mujoco.MjModel, value: float) -> None:
        model.opt.gravity[:] = down * value

    return set_gravity


def _joint_setter(base: mujoco.MjModel, info: ParameterInfo) -> Callable[[mujoco.MjModel, float], None]:
    joint = base.joint(info.target)
    index, dof, qpos = int(joint.id), int(base.jnt_dofadr[joint.id]), int(base.jnt_qposadr[joint.id])
    dofs = slice(dof, dof + _dofs(base, index))
    if info.kind == "springref":
        return lambda model, value: model.qpos_spring.__setitem__(qpos, value)
    if info.kind == "stiffness":
        return lambda model, value: model.jnt_stiffness.__setitem__(index, value)
    field = {"damping": "dof_damping", "frictionloss": "dof_frictionloss", "armature": "dof_armature"}[info.kind]
    return lambda model, value: getattr(model, field).__setitem__(dofs, value)


def _actuator_setter(base: mujoco.MjModel, info: ParameterInfo) -> Callable[[mujoco.MjModel, float], None]:
    index = int(base.actuator(info.target).id)
    servo = is_position_servo(base, index)
    if info.kind == "gain":

        def set_gain(model: mujoco.MjModel, value: float) -> None:
            model.actuator_gainprm[index, 0] = value
            if servo:
                model.actuator_biasprm[index, 1] = -value

        return set_gain
    if info.kind == "velocity_gain":

        def set_velocity_gain(model: mujoco.MjModel, value: float) -> None:
            model.actuator_biastype[index] = mujoco.mjtBias.mjBIAS_AFFINE
            model.actuator_biasprm[index, 2] = -value

        return set_velocity_gain

    def set_force_limit(model: mujoco.MjModel, value: float) -> None:
        limited = math.isfinite(value)
        model.actuator_forcelimited[index] = limited
        model.actuator_forcerange[index] = (-value, value) if limited else (0.0, 0.0)

    return set_force_limit


def is_position_servo(model: mujoco.MjModel, actuator: int) -> bool:
    """Whether the actuator pulls towards its command: an affine bias that takes off gain times the position."""
    affine = model.actuator_biastype[actuator] == mujoco.mjtBias.mjBIAS_AFFINE
    return bool(
        affine and model.actuator_gainprm[actuator, 0] != 0 and model.actuator_biasprm[actuator, 1] == -model.actuator_gainprm[actuator, 0]
    )


def _dofs(model: mujoco.MjModel, joint: int) -> int:
    return {mujoco.mjtJoint.mjJNT_FREE: 6, mujoco.mjtJoint.mjJNT_BALL: 3}.get(mujoco.mjtJoint(model.jnt_type[joint]), 1)


def _is_hinge(model: mujoco.MjModel, joint: int) -> bool:
    return bool(model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE)


def _targets(robot: Robot, kind: str, target_kind: Target) -> tuple[str, ...]:
    """Names that a parameter of this kind can have in this model."""
    model = robot.model
    if target_kind == "body":
        return tuple(n for n in robot.names("body") if model.body_mass[model.body(n).id] > 0 and model.body_weldid[model.body(n).id] > 0)
    if target_kind == "geom":
        collides = (model.geom_contype != 0) | (model.geom_conaffinity != 0)
        return tuple(n for n in robot.names("geom") if collides[model.geom(n).id])
    if target_kind == "joint":
        single = [n for n in robot.names("joint") if _dofs(model, model.joint(n).id) == 1]
        return tuple(single)
    if target_kind == "actuator":
        return tuple(n for n in robot.names("actuator") if kind in ACTUATOR_PATH or _is_affine(model, model.actuator(n).id))
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


def _nominal(robot: Robot, kind: str, target: str) -> float:
    model = robot.model
    target_kind = TARGETS[kind]
    if target not in _targets(robot, kind, target_kind):
        return 1.0  # `check` refuses the name
    if target_kind == "body":
        body = model.body(target).id
        if kind in _COM_AXIS:
            return float(model.body_ipos[body, _COM_AXIS[kind]])
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
    if target_kind == "channel":
        arrays = {"sensor_offset": path.sensor_offset_c, "sensor_scale": path.sensor_scale_c, "sensor_delay": path.sensor_delay_c}
        return float(arrays.get(kind, path.sensor_noise_c)[path.channel(target)])
    index = model.actuator(target).id
    if kind in ACTUATOR_PATH:
        arrays = {"delay": path.delay_u, "command_offset": path.offset_u, "command_scale": path.scale_u, "command_rate": path.rate_u}
        return float(arrays[kind][index])
    if kind == "gain":
        return float(model.actuator_gainprm[index, 0])
    if kind == "velocity_gain":
        return float(-model.actuator_biasprm[index, 2]) if model.actuator_biastype[index] == mujoco.mjtBias.mjBIAS_AFFINE else 0.0
    return float(np.max(np.abs(model.actuator_forcerange[index]))) if model.actuator_forcelimited[index] else math.inf


def _unit(robot: Robot, kind: str, target: str) -> str:
    target_kind, model = TARGETS[kind], robot.model
    if target_kind == "joint":
        hinge = _is_hinge(model, model.joint(target).id)
        units = {
            "damping": ("N m s/rad", "N s/m"),
            "frictionloss": ("N m", "N"),
            "armature": ("kg m^2", "kg"),
            "stiffness": ("N m/rad", "N/m"),
            "springref": ("rad", "m"),
        }
        return units[kind][0 if hinge else 1]
    if target_kind == "actuator" and kind not in ("delay", "command_scale"):
        return _actuator_unit(model, kind, model.actuator(target).id)
    if kind in ("sensor_offset", "sensor_noise"):
        return channel_unit(robot, target)
    units_of = {
        "mass": "kg",
        "com_x": "m",
        "com_y": "m",
        "com_z": "m",
        "gravity": "m/s^2",
        "latency": "s",
        "delay": "s",
        "sensor_delay": "s",
    }
    return units_of.get(kind, "1")


def _actuator_unit(model: mujoco.MjModel, kind: str, actuator: int) -> str:
    joint = int(model.actuator_trnid[actuator, 0]) if model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_JOINT else -1
    hinge = joint < 0 or _is_hinge(model, joint)
    force, position = ("N m", "rad") if hinge else ("N", "m")
    servo = is_position_servo(model, actuator)
    plain = not servo and model.actuator_gainprm[actuator, 0] == 1.0 and not np.any(model.actuator_biasprm[actuator, 1:3])
    command = position if servo else force if plain else "command"
    return {
        "gain": f"{force}/{command}",
        "velocity_gain": f"{force} s/{position}",
        "force_limit": force,
        "command_offset": command,
        "command_rate": f"{command}/s",
    }[kind]


def channel_unit(robot: Robot, name: str) -> str:
    """SI unit of a channel of the robot (see `channel_names`); '1' where the kind of sensor does not tell."""
    model = robot.model
    if name in robot.names("sensor"):
        sensor = model.sensor(name).id
        kind = mujoco.mjtSensor(model.sensor_type[sensor])
        hinge = int(model.sensor_objtype[sensor]) != mujoco.mjtObj.mjOBJ_JOINT or _is_hinge(model, int(model.sensor_objid[sensor]))
        sensors = mujoco.mjtSensor
        units = {
            sensors.mjSENS_JOINTPOS: "rad" if hinge else "m",
            sensors.mjSENS_JOINTVEL: "rad/s" if hinge else "m/s",
            sensors.mjSENS_JOINTACTFRC: "N m" if hinge else "N",
            sensors.mjSENS_FRAMEPOS: "m",
            sensors.mjSENS_FRAMELINVEL: "m/s",
            sensors.mjSENS_FRAMEANGVEL: "rad/s",
            sensors.mjSENS_GYRO: "rad/s",
            sensors.mjSENS_VELOCIMETER: "m/s",
            sensors.mjSENS_ACCELEROMETER: "m/s^2",
            sensors.mjSENS_FRAMELINACC: "m/s^2",
            sensors.mjSENS_FORCE: "N",
            sensors.mjSENS_TOUCH: "N",
            sensors.mjSENS_TORQUE: "N m",
            sensors.mjSENS_SUBTREECOM: "m",
            sensors.mjSENS_CLOCK: "s",
        }
        return units.get(kind, "1")
    return "rad" if _is_hinge(model, model.joint(name).id) else "m"


_RATIO_RANGES: dict[str, tuple[float, float]] = {
    "inertia_scale": (0.2, 5.0),
    "command_scale": (0.5, 2.0),
    "sensor_scale": (0.8, 1.25),
}
_TIME_RANGE = (0.0, 0.05)


def _default_range(robot: Robot, kind: str, target: str, nominal: float) -> tuple[float, float, Literal["log", "linear"]]:
    """Bounds for fits and searches: factors about a nominal value that is there, else what is large for a robot of this size."""
    model, target_kind = robot.model, TARGETS[kind]
    if kind in _RATIO_RANGES:
        low, high = _RATIO_RANGES[kind]
        return low, high, "log"
    if kind in ("delay", "sensor_delay", "latency"):
        return _TIME_RANGE[0], max(_TIME_RANGE[1], 2 * nominal), "linear"
    if kind in ("mass", "gravity"):
        factor = 4.0 if kind == "mass" else 1.2
        return nominal / factor, nominal * factor, "log"
    if kind in _COM_AXIS:
        body = model.body(target).id
        radius_of_gyration = math.sqrt(float(model.body_inertia[body].sum()) / 2 / float(model.body_mass[body]))
        reach = max(float(np.abs(model.body_ipos[body]).max()), radius_of_gyration)
        return nominal - reach, nominal + reach, "linear"
    if kind == "friction":
        return max(nominal / 5, 0.01), max(nominal * 3, 0.1), "log"
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
        return span, 1000.0 * span, "log"
    if kind == "force_limit":
        strongest = abs(float(model.actuator_gainprm[actuator, 0])) * span / 2
        reference = nominal if math.isfinite(nominal) else strongest
        return reference / 20, reference * 2, "log"
    if nominal > 0:
        return nominal / (4.0 if kind == "gain" else 10.0), nominal * (4.0 if kind == "gain" else 10.0), "log"
    if kind == "gain":
        return nominal - 4 * abs(nominal), nominal + 4 * abs(nominal), "linear"
    return 0.0, _inertia_of_actuator(model, actuator) * 100, "linear"


def _joint_range(model: mujoco.MjModel, kind: str, joint: int, nominal: float) -> tuple[float, float, Literal["log", "linear"]]:
    """From the inertia that the joint moves: a time constant of 10 ms, an own frequency of 5 Hz, an acceleration of 100 rad/s^2 or
    m/s^2."""
    inertia = float(model.dof_M0[model.jnt_dofadr[joint]])
    if kind == "springref":
        if model.jnt_limited[joint]:
            low, high = model.jnt_range[joint]
            return float(min(low, nominal)), float(max(high, nominal)), "linear"
        wide = math.pi if _is_hinge(model, joint) else 1.0
        return nominal - wide, nominal + wide, "linear"
    high = {"damping": 100.0, "frictionloss": 100.0, "armature": 5.0, "stiffness": 1000.0}[kind] * inertia
    return 0.0, max(high, 4 * nominal), "linear"


def _inertia_of_actuator(model: mujoco.MjModel, actuator: int) -> float:
    if model.actuator_trntype[actuator] != mujoco.mjtTrn.mjTRN_JOINT:
        return float(model.stat.meaninertia)
    return float(model.dof_M0[model.jnt_dofadr[model.actuator_trnid[actuator, 0]]])
