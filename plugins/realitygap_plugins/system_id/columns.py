"""What the columns of a log look like: words and units in their names, steps, ranges, derivatives of each other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from realitygap_core.importing import NotANumber, numbers
from realitygap_core.recording_checks import derivative_slope
from realitygap_core.units import ALIASES, UNITS

LEAST_ROWS = 3
"""Fewest rows that say anything of a column."""

Kind = Literal["position", "velocity", "acceleration", "torque", "voltage", "current", "unknown"]

_COMMAND = {
    "cmd",
    "command",
    "commands",
    "commanded",
    "goal",
    "target",
    "desired",
    "des",
    "ref",
    "reference",
    "setpoint",
    "action",
    "ctrl",
    "control",
    "u",
}
_KINDS: dict[Kind, set[str]] = {
    "velocity": {"vel", "velocity", "speed", "qvel", "dq", "qd", "dot", "omega", "rate"},
    "acceleration": {"acc", "accel", "acceleration", "qacc", "ddq"},
    "torque": {"tau", "torque", "effort", "moment"},
    "voltage": {"volt", "volts", "voltage"},
    "current": {"current", "amp", "amps", "amperage"},
    "position": {"pos", "position", "positions", "angle", "q", "qpos", "theta", "alpha", "phi", "enc", "encoder", "present"},
}
_IGNORED = {
    "temp",
    "temperature",
    "enable",
    "enabled",
    "mode",
    "status",
    "error",
    "battery",
    "load",
    "input",
    "id",
    "index",
    "seq",
    "frame",
}
_TIME = {"t", "time", "timestamp", "stamp", "stamps", "secs", "clock", "sec", "nsec"}
_TIME_UNITS = ("s", "ms", "us", "ns")


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of numbers, and what its name says."""

    name: str
    """As in the log."""
    base: str
    """Without the index: `pos` of `pos[1]`."""
    index: int | None
    """Index in its group, None without one."""
    words: tuple[str, ...]
    """Words of the base name, lower case."""
    values_t: NDArray[np.float64]
    """Values of one log."""
    unit: str | None
    """Unit that the name states, None without one."""

    @property
    def is_command(self) -> bool:
        """Whether the name says that this was sent to the robot."""
        return bool(_COMMAND & set(self.words))

    @property
    def is_ignored(self) -> bool:
        """Whether the name says that no model has it: temperatures, flags, counters."""
        return bool(_IGNORED & set(self.words)) and not self.is_command

    @property
    def kind(self) -> Kind:
        """What name or unit say that it is; `position` last, since its words also stand in names of other kinds."""
        if self.unit is not None and UNITS[self.unit].quantity in _KINDS:
            return UNITS[self.unit].quantity  # type: ignore[return-value]
        return next((kind for kind, words in _KINDS.items() if words & set(self.words)), "unknown")

    @property
    def rest(self) -> str:
        """The words that say neither kind nor role nor unit: what is left may name a joint."""
        said = _COMMAND.union(*_KINDS.values()) - {"theta", "alpha", "phi"}
        return " ".join(word for word in self.words if word not in said and word != (self.unit or "").lower())


def describe(table: Mapping[str, NDArray[Any]]) -> list[Column]:
    """The columns of a log that hold numbers, a signal of them."""
    columns = []
    for name, values in table.items():
        values_t = numbers(values)
        if isinstance(values_t, NotANumber) or len(values_t) < LEAST_ROWS:
            continue
        match = re.fullmatch(r"(.*?)[\[_.]?(\d+)\]?", name)
        base, index = (match.group(1), int(match.group(2))) if match and match.group(1) else (name, None)
        words, unit = _words(name if index is None else base)
        columns.append(Column(name=name, base=base, index=index, words=words, values_t=values_t, unit=unit))
    return columns


@dataclass(frozen=True, kw_only=True)
class Clock:
    """A column that runs like time."""

    column: Column
    """The column."""
    unit: str
    """`s`, `ms`, `us` or `ns`."""
    reason: str
    """Why, with the figures."""


def clocks(columns: Sequence[Column]) -> list[Clock]:
    """Columns that only grow and whose name or steps fit a clock, the most likely first."""
    found: list[tuple[float, Clock]] = []
    for column in columns:
        values_t = column.values_t
        finite_t = values_t[np.isfinite(values_t)]
        # A few missing stamps do not make it another column either.
        if len(finite_t) < max(LEAST_ROWS, 0.9 * len(values_t)):
            continue
        steps_t = np.diff(finite_t)
        median = float(np.median(steps_t))
        # A few wrong stamps do not make it another column; the import names them by row.
        if median <= 0 or float(np.mean(steps_t > 0)) < 0.9:
            continue
        named = bool(_TIME & set(column.words))
        even = float(np.mean(np.abs(steps_t - median) < 0.5 * median))
        if not named and even < 0.9:
            continue
        unit, reason = _time_unit(column, median)
        integers = not named and np.array_equal(steps_t, np.ones_like(steps_t))
        score = 2.0 * named + even - 1.5 * integers - 0.5 * column.is_command
        found.append((score, Clock(column=column, unit=unit, reason=reason)))
    return [clock for _, clock in sorted(found, key=lambda item: -item[0])]


def velocity_of(position: Column, velocity: Column, t_t: NDArray[np.float64]) -> tuple[float, float]:
    """Slope and correlation of `velocity` over the derivative of `position`; zeros where they do not share the clock."""
    rows = len(t_t)
    if len(position.values_t) != rows or len(velocity.values_t) != rows or rows < 20:
        return 0.0, 0.0
    good = np.concatenate([[True], np.diff(t_t) > 0]) & np.isfinite(position.values_t) & np.isfinite(velocity.values_t)
    if good.sum() < 20:
        return 0.0, 0.0
    return derivative_slope(t_t[good], position.values_t[good], velocity.values_t[good])


def held_share(column: Column) -> float:
    """Share of the samples that repeat the one before, of a column that moves at all."""
    steps_t = np.diff(column.values_t)
    return float(np.mean(steps_t == 0)) if np.any(steps_t != 0) else 0.0


def angle_unit(column: Column, limits: tuple[float, float] | None) -> tuple[str, float | None, str]:
    """Unit of an angle, a scale for counts, and why: by encoder steps, by the joint's limits [rad], by its range."""
    values_t = column.values_t[np.isfinite(column.values_t)]
    largest = float(np.max(np.abs(values_t), initial=0.0))
    whole = bool(np.all(values_t == np.round(values_t)))
    if whole and float(np.ptp(values_t)) > 64:
        turn = 2 ** int(np.ceil(np.log2(float(np.ptp(values_t)) + 1)))
        turn = max(turn, 4096)
        return "counts", 2 * np.pi / turn, f"whole numbers up to {largest:g}; {turn} a turn is assumed"
    turn_steps = {"rad": _steps_a_turn(values_t, 2 * np.pi), "deg": _steps_a_turn(values_t, 360.0)}
    for unit, steps in turn_steps.items():
        if steps is not None:
            return unit, None, f"its steps are 1/{steps} of a turn in {unit}"
    if limits is not None:
        reach = 1.2 * max(abs(limits[0]), abs(limits[1]))
        if largest > reach and np.deg2rad(largest) <= reach:
            return "deg", None, f"values reach {largest:.3g}; the joint's limit is {np.rad2deg(reach / 1.2):.3g} deg"
        if largest <= reach and largest > np.deg2rad(reach):
            return "rad", None, f"values reach {largest:.3g}, within the joint's limit of {reach / 1.2:.3g} rad"
    if largest > 4 * np.pi:
        return "deg", None, f"values reach {largest:.3g}: in radians that would be {largest / 2 / np.pi:.2g} turns"
    return "rad", None, f"values reach {largest:.3g}"


def _steps_a_turn(values_t: NDArray[np.float64], turn: float) -> int | None:
    """Encoder steps a turn when the values lie on the grid of a power of two of them, else None."""
    if len(values_t) < 20 or float(np.ptp(values_t)) == 0:
        return None
    for power in range(8, 17):
        grid_t = (values_t - values_t[0]) / (turn / 2**power)
        if float(np.max(np.abs(grid_t - np.round(grid_t)))) < 0.02:
            return 1 << power
    return None


def _time_unit(column: Column, median: float) -> tuple[str, str]:
    if column.unit in _TIME_UNITS:
        return str(column.unit), f"the name says {column.unit}"
    if column.unit is None and column.words and column.words[-1] in _TIME_UNITS[1:]:
        return column.words[-1], f"the name says {column.words[-1]}"
    # Robots are logged at some hundred hertz; the nearest in ratio wins.
    rates = {unit: 10.0 ** (3 * power) / median for power, unit in enumerate(_TIME_UNITS)}
    unit = min(rates, key=lambda key: abs(np.log(rates[key] / 200.0)))
    return unit, f"steps of {median:.4g}: {rates[unit]:.4g} Hz in {unit}"


def _words(name: str) -> tuple[tuple[str, ...], str | None]:
    """Words of a name in lower case and the unit that it states in brackets or as its last word."""
    unit = None
    bracket = re.search(r"[\[(]([^\])]+)[\])]\s*$", name)
    if bracket and (bracket.group(1) in UNITS or bracket.group(1) in ALIASES):
        unit = ALIASES.get(bracket.group(1), bracket.group(1))
        name = name[: bracket.start()]
    split = re.sub(r"([a-z])([A-Z])", r"\1 \2", name)
    words = [word for word in re.split(r"[^A-Za-z0-9%°]+", split) if word]
    if unit is None and len(words) > 1:
        last = words[-1]
        spelled = "_".join(words[-2:]).replace("_", "/")
        if len(words) > 2 and spelled in UNITS:
            unit, words = spelled, words[:-2]
        elif len(last) > 1 and (last in UNITS or last in ALIASES):
            unit, words = ALIASES.get(last, last), words[:-1]
    return tuple(word.lower() for word in words), unit
