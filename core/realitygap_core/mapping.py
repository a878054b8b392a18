"""A mapping: which columns of a log are which commands and measurements of a robot, in which units, on which clock.

    schema: 1
    name: qube
    time: {column: t, unit: s}
    channels:
      u: {column: "u[0]", role: command, unit: V, actuator: motor, hold: zoh}
      theta: {column: "state[0]", role: sensor, unit: rad, joint: arm}

A stored value is `si(sign * scale * raw + offset)`, where `si` converts from the channel's unit. The unit `counts` needs a `scale`, SI
units a count. This module reads such a document, already parsed to plain data, and checks it against a robot; `importing` applies it to
logs.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import mujoco
import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError, nearest
from realitygap_core.recording import ROLES, Channel, Hold, Role, Target, TargetKind
from realitygap_core.robot import Robot
from realitygap_core.units import QUANTITIES, SI_OF_QUANTITY, TIME_UNITS, unit

_KEYS = (
    "schema", "name", "summary", "provenance", "format", "log_column", "logs", "time", "command_time", "initial", "on_backward_time",
    "on_missing", "on_gap", "channels", "model",
)  # fmt: skip
_CHANNEL_KEYS = (
    "column", "role", "unit", "quantity", "sign", "scale", "offset", "actuator", "joint", "sensor", "index", "hold", "time", "stream",
    "guess", "summary",
)  # fmt: skip
_TIME_KEYS = ("column", "unit", "rate_hz", "guess")
_TARGETS: tuple[TargetKind, ...] = get_args(TargetKind)
_NAMES_TAKEN = ("log", "t")


@dataclass(frozen=True, kw_only=True)
class TimeColumn:
    """A clock of a log."""

    column: str
    """Column that holds its stamps."""
    unit: str = "s"
    """`s`, `ms`, `us` or `ns`."""
    rate_hz: float | Mapping[str, float] | None = None
    """Declared sampling rate, Hz; by glob pattern of the log's name where logs differ; None when it is not known."""


@dataclass(frozen=True, kw_only=True)
class ChannelMapping:
    """A column and what it is."""

    channel: Channel
    """As it will be stored."""
    column: str
    """Column of the log."""
    factor: float
    """SI units in one raw unit: the stored value is `factor * raw + shift`."""
    shift: float
    """SI value at raw 0."""
    time: TimeColumn
    """Its clock."""
    stream: str | None
    """Stream asked for by name; None: by role and clock."""
    pointer: str
    """Where in the document it stands."""

    def convert(self, raw_t: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raw values [T] to SI."""
        if self.factor == 1.0 and self.shift == 0.0:
            return raw_t
        return raw_t * self.factor + self.shift


@dataclass(frozen=True, kw_only=True)
class LogMapping:
    """A parsed mapping document. Make it with `LogMapping.parse`."""

    channels: tuple[ChannelMapping, ...]
    """In the order of the document."""
    name: str = ""
    """Name of the recording; empty: the source's."""
    format: str | None = None
    """Name of the reader, when the extension does not tell."""
    log_column: str = "log"
    """Column that names the log of each row."""
    logs: tuple[str, ...] = ("*",)
    """Glob patterns of the logs to take."""
    initial_velocity: Literal["zero", "measured"] = "zero"
    """Velocity at the start of a replay."""
    on_backward_time: Literal["error", "drop"] = "error"
    """Rows whose stamp is not later than the one before: an error, or dropped and counted."""
    on_missing: Literal["error", "drop"] = "error"
    """Rows with a blank or NaN: an error, or dropped from their stream and counted."""
    on_gap: Literal["report", "error"] = "report"
    """Gaps in time: reported, or an error."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Copied into the recording: source, licence."""
    guesses: tuple[str, ...] = ()
    """What is still marked `guess: true`, by name."""

    @staticmethod
    def parse(document: Mapping[str, Any], robot: Robot | None = None) -> LogMapping:
        """Reads a mapping; with a robot also checks that every target exists and fits.

        Raises:
            CoreError: unknown key, unit, joint, actuator or sensor (with the nearest name), a missing or contradicting entry; `pointer` is
                the place in the document.
        """
        if not isinstance(document, Mapping):
            raise CoreError(f"a mapping document is a mapping, not {type(document).__name__}", pointer="")
        _known_keys(document, _KEYS, "")
        if document.get("schema") != 1:
            raise CoreError(
                f"schema is {document.get('schema')!r}; this version reads 1", pointer="/schema" if "schema" in document else ""
            )
        if "time" not in document:
            raise CoreError("no time column is named", pointer="", hint="add `time: {column: NAME, unit: s}`")
        time = _time(document["time"], "/time")
        command_time = _time(document["command_time"], "/command_time") if "command_time" in document else time
        entries = document.get("channels")
        if not isinstance(entries, Mapping) or not entries:
            raise CoreError(
                "no channels", pointer="/channels", hint="name at least one: `channels: {NAME: {column: ..., role: ..., unit: ...}}`"
            )
        channels, guesses = (
            [],
            [key for key in ("time", "command_time") if isinstance(document.get(key), Mapping) and document[key].get("guess")],
        )
        for name, entry in entries.items():
            pointer = f"/channels/{_escape(str(name))}"
            if not isinstance(entry, Mapping):
                raise CoreError(f"channel '{name}' is not a mapping", pointer=pointer)
            channels.append(_channel(str(name), entry, pointer, time, command_time, robot))
            if entry.get("guess"):
                guesses.append(str(name))
        initial = document.get("initial", {})
        if not isinstance(initial, Mapping):
            raise CoreError("`initial` is a mapping: {velocity: zero|measured}", pointer="/initial")
        _known_keys(initial, ("velocity",), "/initial")
        logs = document.get("logs", ["*"])
        if not isinstance(logs, (str, list, tuple)) or not logs:
            raise CoreError("`logs` is a list of glob patterns", pointer="/logs")
        provenance = document.get("provenance", {})
        if not isinstance(provenance, Mapping):
            raise CoreError("`provenance` is a mapping", pointer="/provenance")
        form = document.get("format")
        if form is not None and not isinstance(form, str):
            raise CoreError(f"`format` is the name of a reader, not {form!r}", pointer="/format")
        return LogMapping(
            channels=tuple(channels),
            name=str(document.get("name", "")),
            format=form,
            log_column=str(document.get("log_column", "log")),
            logs=(logs,) if isinstance(logs, str) else tuple(str(pattern) for pattern in logs),
            initial_velocity=_choice(initial, "velocity", ("zero", "measured"), "zero", "/initial"),
            on_backward_time=_choice(document, "on_backward_time", ("error", "drop"), "error", ""),
            on_missing=_choice(document, "on_missing", ("error", "drop"), "error", ""),
            on_gap=_choice(document, "on_gap", ("report", "error"), "report", ""),
            provenance=dict(provenance),
            guesses=tuple(guesses),
        )


def actuator_expects(model: mujoco.MjModel, index: int) -> Literal["position", "velocity", "torque"] | None:
    """What the command of an actuator is: a position servo's, a velocity servo's, a plain motor's; None for anything else."""
    # Arrays hold plain integers, which do not equal MuJoCo's enums.
    if int(model.actuator_gaintype[index]) != int(mujoco.mjtGain.mjGAIN_FIXED):
        return None
    if int(model.actuator_dyntype[index]) != int(mujoco.mjtDyn.mjDYN_NONE):
        return None
    gain, bias = float(model.actuator_gainprm[index, 0]), model.actuator_biasprm[index]
    biastype = int(model.actuator_biastype[index])
    if biastype == int(mujoco.mjtBias.mjBIAS_NONE):
        return "torque" if gain == 1.0 else None
    if biastype == int(mujoco.mjtBias.mjBIAS_AFFINE) and gain != 0:
        if math.isclose(bias[1], -gain):
            return "position"
        if bias[1] == 0 and math.isclose(bias[2], -gain):
            return "velocity"
    return None


def _channel(
    name: str, entry: Mapping[str, Any], pointer: str, time: TimeColumn, command_time: TimeColumn, robot: Robot | None
) -> ChannelMapping:
    _known_keys(entry, _CHANNEL_KEYS, pointer)
    if name in _NAMES_TAKEN or not name:
        raise CoreError(
            f"a channel cannot be named '{name}'", pointer=pointer, hint=f"the names {', '.join(_NAMES_TAKEN)} are the recording's own"
        )
    role: Role = _choice(entry, "role", ROLES, None, pointer)
    hold: Hold = _choice(entry, "hold", get_args(Hold), "zoh", pointer)
    target = _target(name, entry, pointer, role)
    scale = _number(entry, "scale", 1.0, pointer)
    sign = _number(entry, "sign", 1.0, pointer)
    offset = _number(entry, "offset", 0.0, pointer)
    if _number(entry, "index", 0.0, pointer) % 1 != 0:
        raise CoreError(f"channel '{name}': index is a whole number", pointer=f"{pointer}/index")
    if sign not in (-1.0, 1.0):
        raise CoreError(f"channel '{name}': sign is 1 or -1, not {sign:g}", pointer=f"{pointer}/sign")
    if scale == 0:
        raise CoreError(f"channel '{name}': scale is 0", pointer=f"{pointer}/scale")
    si, quantity, factor, zero = _unit(name, entry, pointer)
    channel = Channel(name=name, role=role, unit=si, quantity=quantity, target=target, hold=hold)
    if robot is not None:
        channel = _checked_target(channel, robot, pointer, counts=entry.get("unit") == "counts")
    stream = entry.get("stream")
    if stream is not None and (not isinstance(stream, str) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", stream)):
        raise CoreError(f"channel '{name}': {stream!r} is no name for a stream", pointer=f"{pointer}/stream")
    own = _time(entry["time"], f"{pointer}/time") if "time" in entry else None
    return ChannelMapping(
        channel=channel,
        column=str(entry.get("column", name)),
        factor=factor * sign * scale,
        shift=factor * offset + zero,
        time=own or (command_time if role == "command" else time),
        stream=stream,
        pointer=pointer,
    )


def _unit(name: str, entry: Mapping[str, Any], pointer: str) -> tuple[str, str, float, float]:
    """SI unit, quantity, factor and zero of a channel."""
    asked = entry.get("quantity")
    if asked is not None and asked not in QUANTITIES:
        close = nearest(str(asked), QUANTITIES)
        hint = f"did you mean '{close}'?" if close else f"there are: {', '.join(QUANTITIES)}"
        raise CoreError(f"channel '{name}': no quantity '{asked}'", pointer=f"{pointer}/quantity", hint=hint)
    if "unit" not in entry:
        raise CoreError(f"channel '{name}' has no unit", pointer=pointer, hint="add `unit:` (`1` for a number without one)")
    written = str(entry["unit"])
    if written in ("counts", "count", "ticks"):
        if "scale" not in entry or asked is None:
            raise CoreError(
                f"channel '{name}' is in counts",
                pointer=f"{pointer}/unit",
                hint="add `scale:` (SI units a count) and `quantity:` (what it measures)",
            )
        return SI_OF_QUANTITY[asked], asked, 1.0, 0.0
    known = unit(written, pointer=f"{pointer}/unit")
    # A ratio may stand for any quantity: a gripper's opening is a position from 0 to 1.
    if asked is not None and asked != known.quantity and known.si != "1":
        raise CoreError(
            f"channel '{name}': '{written}' is a unit of {known.quantity}, not of {asked}",
            pointer=f"{pointer}/unit",
            hint="correct one of the two",
        )
    return known.si, asked or known.quantity, known.factor, known.zero


def _target(name: str, entry: Mapping[str, Any], pointer: str, role: Role) -> Target | None:
    named: list[TargetKind] = [kind for kind in _TARGETS if entry.get(kind) is not None]
    if len(named) > 1:
        raise CoreError(
            f"channel '{name}' names {' and '.join(named)}", pointer=f"{pointer}/{named[1]}", hint="a channel belongs to one of them"
        )
    if not named:
        return None
    kind = named[0]
    if (kind == "actuator") != (role == "command"):
        wanted = "an actuator" if role == "command" else "a joint or a sensor"
        raise CoreError(f"channel '{name}': a {role} belongs to {wanted}, not to a {kind}", pointer=f"{pointer}/{kind}")
    return Target(kind=kind, name=str(entry[kind]), index=int(_number(entry, "index", 0.0, pointer)))


def _checked_target(channel: Channel, robot: Robot, pointer: str, *, counts: bool) -> Channel:
    """The channel, with the SI unit of a sliding joint where it was counts. Raises CoreError where model and mapping contradict."""
    target = channel.target
    if target is None:
        return channel
    place = f"{pointer}/{target.kind}"
    index = robot.id(target.kind, target.name, pointer=place)
    if target.kind == "joint":
        kind = mujoco.mjtJoint(int(robot.model.jnt_type[index]))
        if kind not in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE):
            raise CoreError(
                f"channel '{channel.name}': joint '{target.name}' is not a hinge or slide",
                pointer=place,
                hint="map the column to a named sensor",
            )
        slide = kind == mujoco.mjtJoint.mjJNT_SLIDE
        units = {"rad": "m", "rad/s": "m/s", "rad/s^2": "m/s^2", "N m": "N"}
        if counts and slide and channel.unit in units:
            return Channel(
                name=channel.name, role=channel.role, unit=units[channel.unit], quantity=channel.quantity, target=target, hold=channel.hold
            )
        wrong = units.keys() if slide else set(units.values())
        if channel.unit in wrong:
            kind_name = "a slide" if slide else "a hinge"
            raise CoreError(
                f"channel '{channel.name}': joint '{target.name}' is {kind_name}, its unit cannot be {channel.unit}", pointer=place
            )
    elif target.kind == "sensor":
        dim = int(robot.model.sensor_dim[index])
        if not 0 <= target.index < dim:
            raise CoreError(
                f"channel '{channel.name}': sensor '{target.name}' has {dim} components, there is no index {target.index}",
                pointer=f"{pointer}/index",
            )
    else:
        expected = actuator_expects(robot.model, index)
        contradicts = {
            "position": ("torque", "force", "voltage", "current", "velocity"),
            "velocity": ("torque", "force", "voltage", "current", "position"),
            "torque": ("position", "velocity"),
        }
        if expected and channel.quantity in contradicts[expected]:
            kind_name = "a plain motor" if expected == "torque" else f"a {expected} servo"
            raise CoreError(
                f"channel '{channel.name}' is a {channel.quantity}, but actuator '{target.name}' of the model is {kind_name}",
                pointer=place,
                hint="change the actuator in the model, or map the column to another one",
            )
    return channel


def _time(entry: Any, pointer: str) -> TimeColumn:
    if isinstance(entry, str):
        return TimeColumn(column=entry)
    if not isinstance(entry, Mapping) or "column" not in entry:
        raise CoreError("a time needs its column", pointer=pointer, hint="write `{column: NAME, unit: s}`")
    _known_keys(entry, _TIME_KEYS, pointer)
    rate = entry.get("rate_hz")
    if isinstance(rate, Mapping):
        rate = {str(pattern): _number(rate, pattern, None, f"{pointer}/rate_hz") for pattern in rate}
    elif rate is not None:
        rate = _number(entry, "rate_hz", None, pointer)
    for value in rate.values() if isinstance(rate, dict) else [rate]:
        if value is not None and value <= 0:
            raise CoreError("a rate is positive", pointer=f"{pointer}/rate_hz")
    return TimeColumn(column=str(entry["column"]), unit=_choice(entry, "unit", TIME_UNITS, "s", pointer), rate_hz=rate)


def _known_keys(entry: Mapping[str, Any], known: Sequence[str], pointer: str) -> None:
    for key in entry:
        if key not in known:
            close = nearest(str(key), known)
            hint = f"did you mean '{close}'?" if close else f"there are: {', '.join(known)}"
            raise CoreError(f"unknown key '{key}'", pointer=f"{pointer}/{_escape(str(key))}", hint=hint)


def _choice(entry: Mapping[str, Any], key: str, known: Sequence[str], default: str | None, pointer: str) -> Any:
    value = entry.get(key, default)
    if value in known:
        return value
    if value is None:
        raise CoreError(f"no `{key}`", pointer=pointer, hint=f"one of {', '.join(known)}")
    close = nearest(str(value), known)
    hint = f"did you mean '{close}'?" if close else f"one of {', '.join(known)}"
    raise CoreError(f"`{key}` cannot be '{value}'", pointer=f"{pointer}/{key}", hint=hint)


def _number(entry: Mapping[str, Any], key: str, default: float | None, pointer: str) -> float:
    value = entry.get(key, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise CoreError(f"`{key}` is a finite number, not {value!r}", pointer=f"{pointer}/{_escape(str(key))}")
    return float(value)


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
