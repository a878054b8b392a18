"""Named physical parameters of a robot: what there is, what it is now, and models with other values.

A parameter is `kind[target]` (`mass[pole]`, `delay[motor]`) or `kind` alone (`gravity`, `latency`). Values are physical, in SI, never
multipliers unless the kind ends in `_scale`. `apply` keeps a model consistent: rotational inertia follows mass, and every derived constant
equals that of the edited and recompiled file (`mj_setConst`). Values are always put in place of the nominal ones, so draws do not compound;
several parameters may act on one field.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import mujoco
import numpy as np
from numpy.typing import NDArray

from realitygap_core.base_model import base_model, copy_fields
from realitygap_core.errors import CoreError, nearest, unknown
from realitygap_core.model_fields import group_of, writer
from realitygap_core.parameter_kinds import SIZES, TARGETS, may_be_unlimited, nominal_value, physical_bounds, targets_of
from realitygap_core.parameter_ranges import default_range
from realitygap_core.parameter_units import parameter_unit
from realitygap_core.plant import PATH_FIELDS, Floats, Plant, signal_path
from realitygap_core.robot import Robot


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
        for target in targets_of(robot, kind, target_kind):
            info = describe(robot, f"{kind}[{target}]" if target else kind)
            found[info.name] = info
    return found


def describe(robot: Robot, name: str, *, pointer: str | None = None) -> ParameterInfo:
    """One parameter of the robot by name.

    Raises:
        CoreError: no such kind or target, with the nearest name.
    """
    kind, target = split(name)
    targets = targets_of(robot, kind, TARGETS[kind])
    if target not in targets:
        every = [f"{k}[{t}]" if t else k for k, where in TARGETS.items() for t in targets_of(robot, k, where)]
        close = nearest(name, every)
        hint = f"did you mean '{close}'?" if close else f"{kind} is there for: {', '.join(targets) or 'nothing in this model'}"
        raise CoreError(f"no parameter '{name}' in model '{robot.name}'", where=robot.where, pointer=pointer, hint=hint)
    nominal = nominal_value(robot, kind, target)
    low, high, scale = default_range(robot, kind, target, nominal)
    physical_low, physical_high = physical_bounds(kind)
    return ParameterInfo(
        name=name,
        kind=kind,
        target=target,
        unit=parameter_unit(robot, kind, target),
        nominal=nominal,
        low=low,
        high=high,
        scale=scale,
        physical_low=physical_low,
        physical_high=physical_high,
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
    infinite_is_off = may_be_unlimited(info.kind) and value == math.inf
    if not (math.isfinite(value) or infinite_is_off) or not info.physical_low <= value <= info.physical_high:
        at_most = f"at most {info.physical_high:g}" if value > info.physical_high else "positive" if info.physical_low > 0 else "at least 0"
        bound = at_most if math.isfinite(value) else "finite"
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
        check(robot, {name: nominal_value(robot, *split(name)) for name in names})
        self._infos = [describe(robot, name) for name in names]
        self._base = base_model(robot, [(info.kind, info.target) for info in self._infos])
        self._data = mujoco.MjData(self._base)
        self._sizes = {(info.kind, info.target): column for column, info in enumerate(self._infos) if info.kind in SIZES}
        self._writers = [(columns, writer(self._base, group, target)) for (group, target), columns in _grouped(self._infos).items()]
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
        models = [plant.model for plant in into[: len(values_bn)]] if into is not None else [self._base.__copy__() for _ in values_bn]
        plants = []
        for model, values in zip(models, values_bn.tolist(), strict=True):
            base = self._base
            if self._sizes:
                sizes = {key: values[column] for key, column in self._sizes.items()}
                base = base_model(self.robot, [(info.kind, info.target) for info in self._infos], sizes)
                copy_fields(model, base)
            for columns, write in self._writers:
                write(model, base, {kind: values[column] for kind, column in columns.items()})
            if self._writers:
                mujoco.mj_setConst(model, self._data)
            path = self._path.changed((info.kind, info.target, values[column]) for column, info in self._path_columns)
            plants.append(Plant(model=model, path=path))
        return plants


def _on_path(info: ParameterInfo) -> bool:
    return info.kind in PATH_FIELDS or info.kind == "latency"


def _grouped(infos: Sequence[ParameterInfo]) -> dict[tuple[str, str], dict[str, int]]:
    """(group, target) to kind and column, for what is written into a compiled model."""
    groups: dict[tuple[str, str], dict[str, int]] = {}
    for column, info in enumerate(infos):
        if not _on_path(info) and info.kind not in SIZES:
            groups.setdefault((group_of(info.kind), info.target), {})[info.kind] = column
    return groups
