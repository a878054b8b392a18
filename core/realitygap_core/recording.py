"""Recordings of robots, real or simulated: logs of commands and measurements, each stream on its own clock.

A log (an episode, a trial) has its rows in each stream. Streams are separate because their clocks are: T commands go with T + 1 states.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError, nearest, unknown

Role = Literal["command", "sensor", "state"]
Hold = Literal["zoh", "linear"]
TargetKind = Literal["actuator", "joint", "sensor"]

ROLES: tuple[Role, ...] = ("command", "sensor", "state")


@dataclass(frozen=True, kw_only=True)
class Target:
    """The part of the robot model that a channel belongs to."""

    kind: TargetKind
    """`actuator` for a command; `joint` (with the channel's quantity) or a named `sensor` for a measurement."""
    name: str
    """Its name in the model."""
    index: int = 0
    """Component of a sensor that has several."""


@dataclass(frozen=True, kw_only=True)
class Channel:
    """One signal of a recording."""

    name: str
    """Unique in the recording."""
    role: Role
    """`command`: what the robot was told; `sensor`: what was measured; `state`: what was measured and then filtered or estimated."""
    unit: str = ""
    """SI unit of the stored values: `rad`, `rad/s`, `V`, `N m`, `1`; empty when it is not known."""
    quantity: str = ""
    """`position`, `velocity`, `acceleration`, `torque`, `force`, `voltage`, `current`, ...; empty when it is not known."""
    target: Target | None = None
    """What it belongs to in the model; None for a signal that the model does not have."""
    hold: Hold = "zoh"
    """Between samples a command is held (`zoh`: the last one) or interpolated (`linear`). Without meaning for the other roles."""


@dataclass(frozen=True, kw_only=True)
class Stream:
    """Channels that share a clock."""

    name: str
    """Name of the stream and of its file."""
    channels: tuple[Channel, ...]
    """In the order of the columns."""
    rate_hz: float | None = None
    """Declared sampling rate of all logs, Hz; None when none was declared, or when logs differ."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something about a log that is worth knowing and does not forbid its use."""

    kind: str
    """`rate`, `jitter`, `gap`, `dropped`, `missing`, `unit`, `sign`, `range`."""
    log: str
    """Name of the log."""
    message: str
    """One line with the figures."""
    stream: str = ""
    """Name of the stream."""
    channel: str = ""
    """Name of the channel, where one is concerned."""
    row: int | None = None
    """First row concerned, from 0, within the log."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """The numbers in `message`, SI."""


@dataclass(frozen=True, kw_only=True)
class Signal:
    """Values of some channels of one log on one clock."""

    t_t: NDArray[np.float64]
    """Times [T], s, strictly increasing."""
    values_tc: NDArray[np.float64]
    """Values [T, C], SI."""
    channels: tuple[Channel, ...]
    """The C channels."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the channels, in column order."""
        return tuple(channel.name for channel in self.channels)

    def column(self, name: str) -> NDArray[np.float64]:
        """Values [T] of the channel `name`. Raises CoreError with the nearest name."""
        if name not in self.names:
            raise unknown("channel", name, self.names)
        return self.values_tc[:, self.names.index(name)]

    def at(self, t_n: NDArray[np.float64]) -> NDArray[np.float64]:
        """Values [N, C] at times [N], by each channel's `hold`; before the first sample the first value, after the last the last."""
        out_nc = np.empty((len(t_n), len(self.channels)))
        # A time that equals a stamp up to rounding belongs to that stamp.
        held = np.clip(np.searchsorted(self.t_t, np.asarray(t_n) + 1e-9, side="right") - 1, 0, len(self.t_t) - 1)
        for index, channel in enumerate(self.channels):
            column_t = self.values_tc[:, index]
            out_nc[:, index] = np.interp(t_n, self.t_t, column_t) if channel.hold == "linear" else column_t[held]
        return out_nc


@dataclass(frozen=True, kw_only=True)
class Log:
    """One episode of a recording."""

    name: str
    """Name of the log, unique in the recording."""
    signals: Mapping[str, Signal]
    """By stream name."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Facts about this log: payload, gain, supply voltage ..."""

    @cached_property
    def commands(self) -> Signal:
        """All command channels on one clock: the stream's own, or, of several streams, the union of their times by each channel's `hold`.

        Raises:
            CoreError: the log has no command channel.
        """
        parts = self._of_roles(("command",))
        if not parts:
            raise CoreError(f"log '{self.name}' has no command channel", hint="give a column the role `command` in the mapping")
        if len(parts) == 1:
            return parts[0]
        t_t = np.unique(np.concatenate([part.t_t for part in parts]))
        return Signal(
            t_t=t_t,
            values_tc=np.concatenate([part.at(t_t) for part in parts], axis=1),
            channels=tuple(channel for part in parts for channel in part.channels),
        )

    @cached_property
    def sensors(self) -> tuple[Signal, ...]:
        """All measured channels (roles `sensor` and `state`), one signal a clock; most recordings have one."""
        return self._of_roles(("sensor", "state"))

    def channel(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Times [T] and values [T] of one channel of any stream. Raises CoreError with the nearest name."""
        for signal in self.signals.values():
            if name in signal.names:
                return signal.t_t, signal.column(name)
        raise unknown("channel", name, [known for signal in self.signals.values() for known in signal.names], where=f"log '{self.name}'")

    @property
    def duration(self) -> float:
        """Seconds from the first stamp of any stream to the last."""
        ends = [(signal.t_t[0], signal.t_t[-1]) for signal in self.signals.values() if len(signal.t_t)]
        return float(max(end for _, end in ends) - min(start for start, _ in ends)) if ends else 0.0

    def _of_roles(self, roles: tuple[Role, ...]) -> tuple[Signal, ...]:
        found = []
        for signal in self.signals.values():
            picked = [index for index, channel in enumerate(signal.channels) if channel.role in roles]
            if picked:
                channels = tuple(signal.channels[index] for index in picked)
                found.append(Signal(t_t=signal.t_t, values_tc=signal.values_tc[:, picked], channels=channels))
        return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A set of logs with the same streams."""

    name: str
    """Name of the recording."""
    streams: tuple[Stream, ...]
    """Streams, the same in every log."""
    data: Mapping[str, Log]
    """Logs by name, in order."""
    initial_velocity: Literal["zero", "measured"] = "zero"
    """Velocity at the start of an open-loop replay; the position is the first one measured."""
    findings: tuple[Finding, ...] = ()
    """What the import noticed and kept."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Where the logs come from: source, licence, conversion."""

    @property
    def log_names(self) -> tuple[str, ...]:
        """Names of all logs, in order."""
        return tuple(self.data)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Channels of all streams, in order."""
        return tuple(channel for stream in self.streams for channel in stream.channels)

    def channel(self, name: str) -> Channel:
        """The channel `name`. Raises CoreError with the nearest name."""
        for channel in self.channels:
            if channel.name == name:
                return channel
        raise unknown("channel", name, [channel.name for channel in self.channels], where=f"recording '{self.name}'")

    def log(self, name: str) -> Log:
        """The log `name`. Raises CoreError with the nearest name."""
        if name not in self.data:
            raise unknown("log", name, self.data, where=f"recording '{self.name}'")
        return self.data[name]

    def logs(self, patterns: str | Sequence[str] | None = None) -> tuple[Log, ...]:
        """Logs whose name matches any of the glob `patterns` (`*`, `?`, `[...]`, case matters), in order; all for None.

        Raises:
            CoreError: a pattern matches no log, and the hint holds the nearest names; there are no patterns.
        """
        if patterns is not None and not patterns:
            raise CoreError("no log is chosen", where=f"recording '{self.name}'", hint=f"name some; there are: {', '.join(self.data)}")
        wanted = [patterns] if isinstance(patterns, str) else ["*"] if patterns is None else list(patterns)
        chosen: set[str] = set()
        for pattern in wanted:
            # A name with brackets in it still means itself.
            matched = {name for name in self.data if name == pattern or fnmatch.fnmatchcase(name, pattern)}
            if not matched:
                close = nearest(pattern, self.data)
                known = ", ".join(self.data)
                raise CoreError(
                    f"no log matches '{pattern}'",
                    where=f"recording '{self.name}'",
                    hint=f"did you mean '{close}'?" if close else f"there are: {known}",
                )
            chosen |= matched
        return tuple(log for name, log in self.data.items() if name in chosen)

    def select(self, patterns: str | Sequence[str] | None) -> Recording:
        """The recording with only the logs that `logs(patterns)` gives."""
        kept = {log.name: log for log in self.logs(patterns)}
        return replace(self, data=kept, findings=tuple(finding for finding in self.findings if finding.log in kept))

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Writes the folder; it appears complete or not at all. Values are stored in single precision where that loses nothing.

        Raises:
            CoreError: the folder exists and `overwrite` is false.
        """
        from realitygap_core.recording_folder import write

        return write(self, Path(path), overwrite=overwrite)

    @staticmethod
    def open(path: str | os.PathLike[str]) -> Recording:
        """Reads and checks the folder. `findings` are those of the import, and what its clocks show now.

        Raises:
            CoreError: not a recording, a file is missing or truncated, or the values break a rule of `recording_checks.check_signal`; the
                message names log, row and channel.
        """
        from realitygap_core.recording_checks import check_signal
        from realitygap_core.recording_folder import read

        folder = Path(path)
        recording = read(folder)
        findings = {(finding.kind, finding.log, finding.message): finding for finding in recording.findings}
        for log in recording.data.values():
            for stream in recording.streams:
                signal = log.signals[stream.name]
                for finding in check_signal(signal, recording=folder.name, log=log.name, rate_hz=stream.rate_hz, stream=stream.name):
                    # Streams on one clock say the same of it, and so did the import.
                    findings.setdefault((finding.kind, finding.log, finding.message), finding)
        return replace(recording, findings=tuple(findings.values()))
