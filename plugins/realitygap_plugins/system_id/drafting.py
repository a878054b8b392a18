"""Drafts a mapping document from a log and a robot model: best guesses, each with its reason, each marked as a guess."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError
from realitygap_core.importing import NotANumber, numbers
from realitygap_core.mapping import actuator_expects
from realitygap_core.readers import Tables
from realitygap_core.robot import Robot
from realitygap_core.units import UNITS
from realitygap_plugins.system_id.columns import LEAST_ROWS, Column, angle_unit, clocks, describe, held_share, velocity_of
from realitygap_plugins.system_id.draft_text import Entry, draft_document, draft_text

_SI = {"position": "rad", "velocity": "rad/s", "acceleration": "rad/s^2", "torque": "N m", "voltage": "V", "current": "A", "unknown": "1"}
_SLIDE_SI = {"position": "m", "velocity": "m/s", "acceleration": "m/s^2", "torque": "N"}


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A drafted mapping."""

    text: str
    """The YAML document, with comments."""
    document: Mapping[str, Any]
    """The same as plain data."""
    entries: tuple[Entry, ...]
    """Its channels."""
    unmapped: tuple[str, ...]
    """Numeric columns that were left out."""
    notes: tuple[str, ...] = field(default=())
    """What could not be settled, a sentence each."""


def draft_mapping(tables: Tables, robot: Robot, *, name: str, model: str, form: str | None = None) -> Draft:
    """The draft for the logs in `tables`, by the longest of them.

    Args:
        tables: Logs as `read_table` gives them.
        robot: The model whose joints and actuators the columns are matched to.
        name: Name of the recording.
        model: What the document says about the model's file.
        form: Name of the reader, when the log's extension does not tell.

    Raises:
        CoreError: no column runs like time, or no column can be matched to any joint.
    """
    log = max(tables, key=lambda key: max((len(column) for column in tables[key].values()), default=0))
    if (rows := max((len(column) for column in tables[log].values()), default=0)) < LEAST_ROWS:
        raise CoreError(
            f"log '{log}' has {rows} row{'' if rows == 1 else 's'}; a draft needs at least {LEAST_ROWS}",
            where=f"log '{log}'",
            hint="the log is empty or truncated; draft from a longer one",
        )
    columns = describe(tables[log])
    no_numbers = "".join(
        f"; '{name}' holds {content.cell} in row {content.row}"
        for name, values in tables[log].items()
        if isinstance(content := numbers(values), NotANumber)
    )
    found = clocks(columns)
    if not found:
        raise CoreError(
            f"no column of log '{log}' runs like time",
            where=f"log '{log}'",
            hint=f"a log needs a column of stamps; it has: {', '.join(tables[log])}{no_numbers}",
        )
    command_clock = next((clock for clock in found if clock.column.is_command), None)
    clock = next((one for one in found if one is not command_clock), found[0])
    if command_clock is clock:
        command_clock = None
    times = {
        one.column.name for one in found if set(one.column.words) & {"t", "time", "timestamp", "stamp"} or one in (clock, command_clock)
    }
    rest = [column for column in columns if column.name not in times]
    drafting = _Drafting(robot, rest, clock.column.values_t * _seconds(clock.unit))
    entries = drafting.entries()
    if not any(entry.keys["role"] != "command" for entry in entries):
        raise CoreError(
            f"no column of log '{log}' looks like the position of a joint of model '{robot.name}'",
            where=f"log '{log}'",
            hint=f"columns: {', '.join(column.name for column in rest)}; joints: {', '.join(robot.names('joint'))}{no_numbers}",
        )
    used = {entry.column for entry in entries}
    unmapped = tuple(column.name for column in rest if column.name not in used)
    document = draft_document(name, model, form, clock, command_clock, entries)
    text = draft_text(document, clock, command_clock, entries, unmapped, drafting.notes)
    return Draft(text=text, document=document, entries=tuple(entries), unmapped=unmapped, notes=tuple(drafting.notes))


class _Drafting:
    """The guesses for one log, in the order in which each helps the next: velocities, commands, joints, units."""

    def __init__(self, robot: Robot, columns: Sequence[Column], t_t: NDArray[np.float64]) -> None:
        self.robot = robot
        self.t_t = t_t
        self.notes: list[str] = []
        types = {"hinge": int(mujoco.mjtJoint.mjJNT_HINGE), "slide": int(mujoco.mjtJoint.mjJNT_SLIDE)}
        self.joints = [joint for joint in robot.names("joint") if int(robot.model.joint(joint).type[0]) in types.values()]
        self.slides = {joint for joint in self.joints if int(robot.model.joint(joint).type[0]) == types["slide"]}
        usable = [column for column in columns if not column.is_ignored]
        self.commands = [column for column in usable if self._commands(column)]
        self.measured = [column for column in usable if column not in self.commands]
        self.kinds: dict[str, str] = {column.name: column.kind for column in self.measured}
        self.reasons: dict[str, list[str]] = {column.name: [] for column in usable}
        self.derivatives: dict[str, str] = {}
        self._by_derivative()
        self._by_name_of_joint()

    def entries(self) -> list[Entry]:
        """Commands first, then by joint position, velocity, torque."""
        positions = [column for column in self.measured if self.kinds[column.name] == "position"]
        joint_of = self._match(positions, self.joints, "joint")
        for column in self.measured:
            source = self.derivatives.get(column.name)
            if source in joint_of:
                joint_of[column.name] = joint_of[source]
        for kind in ("velocity", "torque"):
            left = [column for column in self.measured if self.kinds[column.name] == kind and column.name not in joint_of]
            joint_of.update(self._match(left, self.joints, "joint"))
        entries = self._command_entries(joint_of)
        for column in self.measured:
            joint = joint_of.get(column.name)
            if joint is None:
                continue
            entries.append(self._measured_entry(column, joint))
        return entries

    def _commands(self, column: Column) -> bool:
        if column.is_command:
            return True
        # One sample fewer than the states, or held over several samples while the rest moves.
        return column.kind == "unknown" and (len(column.values_t) == len(self.t_t) - 1 or held_share(column) > 0.6)

    def _by_derivative(self) -> None:
        """Finds velocities by what they are: the derivative of another column."""
        open_kinds = ("unknown", "velocity")
        for column in self.measured:
            if self.kinds[column.name] not in open_kinds:
                continue
            best, slope, best_correlation = "", 0.0, 0.9
            for other in self.measured:
                if other is column or self.kinds[other.name] not in ("unknown", "position"):
                    continue
                candidate, correlation = velocity_of(other, column, self.t_t)
                if abs(correlation) > best_correlation:
                    best, slope, best_correlation = other.name, candidate, abs(correlation)
            if best:
                self.derivatives[column.name] = best
                self.kinds[column.name] = "velocity"
                self.kinds[best] = "position"
                self.reasons[column.name].append(f"{slope:.3g} times the derivative of {best}, correlation {best_correlation:.3f}")

    def _by_name_of_joint(self) -> None:
        """A column that bears a joint's name and says no kind is its position; so are all, when there is one for each joint."""
        unknown = [column for column in self.measured if self.kinds[column.name] == "unknown"]
        named = [column for column in unknown if any(_likeness(column, joint) >= 0.8 for joint in self.joints)]
        if not named and "position" not in self.kinds.values() and len(unknown) == len(self.joints):
            named = unknown
        for column in named:
            self.kinds[column.name] = "position"

    def _match(self, columns: Sequence[Column], names: Sequence[str], kind: str) -> dict[str, str]:
        """Columns to joints or actuators: by likeness of the names, the rest in order where the numbers agree."""
        matched: dict[str, str] = {}
        free = list(names)
        pairs = sorted(
            ((_likeness(column, name), -position, column, name) for position, column in enumerate(columns) for name in names),
            key=lambda item: (item[0], item[1]),
            reverse=True,
        )
        for likeness, _, column, name in pairs:
            if likeness < 0.6 or column.name in matched or name not in free:
                continue
            matched[column.name] = name
            free.remove(name)
            self.reasons[column.name].append(f"its name is like that of {kind} {name}")
        left = [column for column in columns if column.name not in matched]
        if left and len(left) == len(free):
            for column, name in zip(left, free, strict=True):
                matched[column.name] = name
                order = "the only one left" if len(left) == 1 else "by order"
                self.reasons[column.name].append(f"{kind} {name} {order}")
        elif left and free:
            listed = ", ".join(column.name for column in left)
            self.notes.append(f"columns {listed} could not be told apart among the {kind}s {', '.join(free)}; add them by hand")
        return matched

    def _command_entries(self, joint_of: Mapping[str, str]) -> list[Entry]:
        actuators = self.robot.names("actuator")
        if not self.commands:
            self.notes.append("no column looks like a command; without one nothing can be replayed")
        entries = []
        by_joint = {self._driven(name): name for name in actuators}
        positions = {joint: column for column, joint in joint_of.items() if self.kinds[column] == "position"}
        matched = self._match(self.commands, actuators, "actuator")
        for column in self.commands:
            actuator = matched.get(column.name)
            if actuator is None:
                # An actuator may bear another name than its joint.
                joint = max(self.joints, key=lambda name: _likeness(column, name), default=None)
                if joint is None or _likeness(column, joint) < 0.6 or by_joint.get(joint) in (None, *matched.values()):
                    continue
                actuator = by_joint[joint]
                self.reasons[column.name].append(f"its name is like that of joint {joint}")
            entries.append(self._command_entry(column, actuator, positions))
        return entries

    def _command_entry(self, column: Column, actuator: str, positions: Mapping[str, str]) -> Entry:
        index = self.robot.id("actuator", actuator)
        expected = actuator_expects(self.robot.model, index)
        joint = self._driven(actuator)
        reasons = self.reasons[column.name]
        kind = column.kind if column.kind != "unknown" else expected or "unknown"
        position = next((item for item in self.measured if joint and item.name == positions.get(joint)), None)
        if column.kind == "unknown" and position is not None and _tracks(position, column):
            kind = "position"
            reasons.append(f"{position.name} follows it")
        keys: dict[str, Any] = {"role": "command"}
        if column.unit is not None:
            keys["unit"] = column.unit
            reasons.append("the name says the unit")
        elif kind == "position" and joint not in self.slides:
            measured = position or column
            unit, scale, reason = angle_unit(column if scale_differs(column, measured) else measured, self._limits(joint))
            keys["unit"] = unit
            reasons.append(reason)
            if scale is not None:
                keys |= {"scale": round(scale, 9), "quantity": "position"}
        elif kind == "unknown":
            words = set(column.words)
            keys["unit"] = "V" if words & {"u", "v"} else "1"
            reasons.append("the unit cannot be told: it is whatever the actuator's gain expects")
        else:
            keys["unit"] = _SLIDE_SI.get(kind, _SI[kind]) if joint in self.slides else _SI[kind]
            reasons.append(f"actuator {actuator} takes a {kind}" if expected == kind else f"the name says {kind}")
        if expected is not None and kind not in ("unknown", expected) and UNITS.get(keys["unit"], UNITS["1"]).quantity != expected:
            self.notes.append(
                f"column '{column.name}' looks like a {kind} command, but actuator '{actuator}' of the model takes a {expected}: "
                "change the actuator in the model"
            )
        keys |= {"actuator": actuator, "hold": "zoh"}
        if held_share(column) > 0.3:
            reasons.append(f"{held_share(column):.0%} of its samples repeat the one before")
        return Entry(name=_channel_name(column, "cmd", self._all_names()), column=column.name, keys=keys, reason="; ".join(reasons))

    def _measured_entry(self, column: Column, joint: str) -> Entry:
        kind = self.kinds[column.name]
        reasons = self.reasons[column.name]
        keys: dict[str, Any] = {"role": "state" if kind == "velocity" else "sensor"}
        if column.unit is not None:
            keys["unit"] = column.unit
            reasons.append("the name says the unit")
        elif joint in self.slides:
            keys["unit"] = _SLIDE_SI.get(kind, _SI.get(kind, "1"))
            reasons.append(f"joint {joint} slides")
        elif kind == "position":
            unit, scale, reason = angle_unit(column, self._limits(joint))
            keys["unit"] = unit
            reasons.append(reason)
            if scale is not None:
                keys["scale"] = round(scale, 9)
        elif kind == "velocity":
            keys["unit"] = self._velocity_unit(column, joint)
        else:
            keys["unit"] = _SI.get(kind, "1")
        keys |= {"joint": joint, "quantity": kind}
        return Entry(name=_channel_name(column, kind, self._all_names()), column=column.name, keys=keys, reason="; ".join(reasons))

    def _velocity_unit(self, column: Column, joint: str) -> str:
        """Unit that makes the velocity the derivative of the position, whose unit is guessed by its range."""
        source = next((item for item in self.measured if item.name == self.derivatives.get(column.name)), None)
        if source is None:
            return "rad/s"
        position_unit = source.unit or angle_unit(source, self._limits(joint))[0]
        factor = UNITS[position_unit].factor if position_unit in UNITS else angle_unit(source, self._limits(joint))[1] or 1.0
        slope = abs(velocity_of(source, column, self.t_t)[0])
        # velocity = slope * d(position raw)/dt; one raw unit of velocity is factor / slope rad/s.
        wanted = factor / slope
        return min(("rad/s", "deg/s", "rpm", "rev/s"), key=lambda unit: abs(np.log(UNITS[unit].factor / wanted)))

    def _limits(self, joint: str | None) -> tuple[float, float] | None:
        if joint is None:
            return None
        index = self.robot.id("joint", joint)
        if not self.robot.model.jnt_limited[index]:
            return None
        low, high = self.robot.model.jnt_range[index]
        return float(low), float(high)

    def _driven(self, actuator: str) -> str | None:
        """The joint that an actuator drives, None for one that drives something else."""
        model, index = self.robot.model, self.robot.id("actuator", actuator)
        if int(model.actuator_trntype[index]) != int(mujoco.mjtTrn.mjTRN_JOINT):
            return None
        name: str | None = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_JOINT, int(model.actuator_trnid[index, 0]))
        return name

    def _all_names(self) -> set[str]:
        return {column.name for column in (*self.commands, *self.measured)}


def scale_differs(command: Column, measured: Column) -> bool:
    """Whether command and measurement have clearly different ranges, so that one's unit says nothing of the other's."""
    a, b = float(np.nanmax(np.abs(command.values_t))), float(np.nanmax(np.abs(measured.values_t)))
    return a == 0 or b == 0 or not 0.2 < a / b < 5


def _tracks(position: Column, command: Column) -> bool:
    """Whether a measured position follows a command: alike in shape and size."""
    rows = min(len(position.values_t), len(command.values_t))
    a, b = position.values_t[:rows], command.values_t[:rows]
    good = np.isfinite(a) & np.isfinite(b)
    if good.sum() < 20 or np.ptp(a[good]) == 0 or np.ptp(b[good]) == 0:
        return False
    return bool(np.corrcoef(a[good], b[good])[0, 1] > 0.9 and 1 / 3 < np.ptp(a[good]) / np.ptp(b[good]) < 3)


def _likeness(column: Column, name: str) -> float:
    """0 to 1: how much the column's name is the element's, with and without the words for kind and role."""
    wanted = name.lower().replace("_", " ").replace("-", " ").strip()
    spoken = [" ".join(column.words), column.rest]
    scores = [difflib.SequenceMatcher(None, spoken_name, wanted).ratio() for spoken_name in spoken if spoken_name]
    whole = wanted in " ".join(column.words) and len(wanted) > 2
    return max([*scores, 0.9 if whole else 0.0])


def _channel_name(column: Column, kind: str, taken: set[str]) -> str:
    """The column's name as a channel's: without brackets, not one of the recording's own."""
    base = re.sub(r"\s*[\[(][^\])]*[\])]\s*$", "", column.base)  # a unit in brackets
    name = base if column.index is None else f"{base}_{column.index}"
    name = "".join(letter if letter.isalnum() or letter in "_.-" else "_" for letter in name).strip("_") or kind
    return f"{name}_{kind}" if name in ("log", "t") or (name != column.name and name in taken) else name


def _seconds(unit: str) -> float:
    return {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}[unit]
