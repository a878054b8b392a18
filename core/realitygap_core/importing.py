"""Raw logs to a recording, by a mapping: units, signs, clocks, and everything that is wrong with the logs named by row and channel."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError, nearest
from realitygap_core.mapping import ChannelMapping, LogMapping, TimeColumn
from realitygap_core.readers import ReaderFactory, Table, read_table
from realitygap_core.recording import Finding, Log, Recording, Signal, Stream
from realitygap_core.recording_checks import check_derivatives, check_ranges, check_signal
from realitygap_core.robot import Robot

_NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}


def import_recording(
    source: str | os.PathLike[str],
    mapping: Mapping[str, Any] | LogMapping | None = None,
    robot: Robot | None = None,
    *,
    name: str | None = None,
    readers: Mapping[str, ReaderFactory] | None = None,
) -> Recording:
    """The recording in a file or folder of logs, or an existing `.recording` folder, which is checked.

    Args:
        source: A log file, a folder of them, or a recording.
        mapping: The mapping document as plain data, or parsed; needed unless `source` is a recording.
        robot: Checks the mapping's targets, and the values against the joints' and actuators' ranges.
        name: Name of the recording; else the mapping's, else the source's.
        readers: Readers by format, asked before the built-in ones.

    Raises:
        CoreError: whatever is wrong with source, mapping or logs: what, in which log, row and channel, and what to do.
    """
    path = Path(source)
    if (path / "recording.json").is_file():
        return Recording.open(path)
    if mapping is None:
        raise CoreError(
            f"'{path.name}' is a raw log and needs a mapping",
            where=str(path),
            hint="write one after the example in the guide of import-recording (`skills show import-recording --guide`), or draft it with "
            f"`skills init-robot MODEL {path.name}`; then give it as `mapping`",
        )
    parsed = mapping if isinstance(mapping, LogMapping) else LogMapping.parse(mapping, robot)
    tables = read_table(path, format=parsed.format, log_column=parsed.log_column, readers=readers)
    title = name or parsed.name or path.stem
    streams = _streams(parsed)
    logs: dict[str, Log] = {}
    findings: list[Finding] = []
    for log in _select(tables, parsed.logs, path.name):
        found, noticed = _log(log, tables[log], streams, parsed, title)
        logs[log] = found
        findings += noticed + check_derivatives(found) + (check_ranges(found, robot) if robot is not None else [])
    return Recording(
        name=title,
        streams=tuple(
            Stream(name=stream, channels=tuple(item.channel for item in items), rate_hz=_declared(items[0].time))
            for stream, items in streams.items()
        ),
        data=logs,
        initial_velocity=parsed.initial_velocity,
        findings=tuple(findings),
        provenance={"file": path.name, **_digest(path), **parsed.provenance},
    )


def _streams(mapping: LogMapping) -> dict[str, list[ChannelMapping]]:
    """Channels by stream: as named, else `commands` and `states`, one for each time column."""
    streams: dict[str, list[ChannelMapping]] = {}
    clocks: dict[str, str] = {}
    for item in mapping.channels:
        base = "commands" if item.channel.role == "command" else "states"
        stream = item.stream or base
        if item.stream is None and clocks.get(stream, item.time.column) != item.time.column:
            stream = f"{base}_{item.time.column}".replace("/", "_")
        if clocks.setdefault(stream, item.time.column) != item.time.column:
            raise CoreError(
                f"stream '{stream}' has two clocks, '{clocks[stream]}' and '{item.time.column}'",
                pointer=item.pointer,
                hint="channels of a stream share a time column",
            )
        streams.setdefault(stream, []).append(item)
    return streams


def _select(tables: Mapping[str, Table], patterns: tuple[str, ...], source: str) -> list[str]:
    chosen: set[str] = set()
    for pattern in patterns:
        matched = {log for log in tables if log == pattern or fnmatch.fnmatchcase(log, pattern)}
        if not matched:
            close = nearest(pattern, tables)
            hint = f"did you mean '{close}'?" if close else f"there are: {', '.join(tables)}"
            raise CoreError(f"no log of '{source}' matches '{pattern}'", pointer="/logs", hint=hint)
        chosen |= matched
    return [log for log in tables if log in chosen]


def _log(log: str, table: Table, streams: Mapping[str, list[ChannelMapping]], mapping: LogMapping, title: str) -> tuple[Log, list[Finding]]:
    origins = {}
    for items in streams.values():
        clock = items[0].time
        origins[clock.column] = _origin(_column(table, clock.column, log, title, None), clock.unit)
    start = min(origins.values())
    signals, findings = {}, []
    checked: set[str] = set()
    for stream, items in streams.items():
        signal, noticed = _stream(log, table, stream, items, start, mapping, title)
        rate = _rate(items[0].time, log)
        findings += noticed
        about_clock = check_signal(signal, recording=title, log=log, rate_hz=rate, stream=stream, on_gap=mapping.on_gap)
        # Streams on one time column would say the same of it.
        findings += about_clock if items[0].time.column not in checked else []
        checked.add(items[0].time.column)
        signals[stream] = signal
    return Log(name=log, signals=signals, meta={"start": float(start)}), findings


def _stream(
    log: str, table: Table, stream: str, items: list[ChannelMapping], start: Fraction, mapping: LogMapping, title: str
) -> tuple[Signal, list[Finding]]:
    place = f"recording '{title}', log '{log}'"
    clock = items[0].time
    raw_t = _column(table, clock.column, log, title, None)
    t_t = _seconds(raw_t, clock, start, place)
    columns = [_floats(_column(table, item.column, log, title, item), item.column, place) for item in items]
    for item, column in zip(items, columns, strict=True):
        # T commands are held over the intervals between T + 1 states.
        if len(column) not in (len(t_t), len(t_t) - 1) or (len(column) < len(t_t) and item.channel.role != "command"):
            raise CoreError(
                f"{place}, channel '{item.channel.name}': {len(column)} rows where time column '{clock.column}' has {len(t_t)}",
                hint="the log is truncated or the channel belongs to another time column",
            )
    rows = min(len(column) for column in columns)
    t_t, values_tc = t_t[:rows], np.column_stack([item.convert(column[:rows]) for item, column in zip(items, columns, strict=True)])
    if items[0].channel.role == "command" and rows > 1 and np.isnan(values_tc[-1]).all() and np.isfinite(values_tc[:-1]).all():
        t_t, values_tc = t_t[:-1], values_tc[:-1]  # the last row of T + 1 has no command
    findings = []
    kept_t = np.arange(len(t_t))
    if mapping.on_missing == "drop":
        missing = np.isnan(values_tc).any(axis=1) | np.isnan(t_t)
        if missing.any():
            findings.append(_dropped("missing", "without a value", missing, log, stream))
            kept_t = kept_t[~missing]
    if mapping.on_backward_time == "drop":
        latest = np.maximum.accumulate(np.concatenate([[-np.inf], t_t[kept_t][:-1]]))
        back = t_t[kept_t] <= latest
        if back.any():
            flagged = np.zeros(len(t_t), dtype=bool)
            flagged[kept_t[back]] = True
            findings.append(_dropped("dropped", "whose time does not go forward", flagged, log, stream))
            kept_t = kept_t[~back]
    return Signal(t_t=t_t[kept_t], values_tc=values_tc[kept_t], channels=tuple(item.channel for item in items)), findings


def _dropped(kind: str, what: str, flagged: NDArray[np.bool_], log: str, stream: str) -> Finding:
    count, row = int(flagged.sum()), int(np.argmax(flagged))
    message = f"stream '{stream}': {count} of {len(flagged)} rows {what} were dropped, the first is row {row}"
    return Finding(
        kind=kind, log=log, stream=stream, row=row, message=message, figures={"count": float(count), "rows": float(len(flagged))}
    )


def _column(table: Table, name: str, log: str, title: str, item: ChannelMapping | None) -> NDArray[Any]:
    if name in table:
        return table[name]
    what = f"channel '{item.channel.name}'" if item else "time"
    close = nearest(name, table)
    raise CoreError(
        f"recording '{title}', log '{log}': no column '{name}' for {what}",
        pointer=f"{item.pointer}/column" if item else "/time/column",
        hint=f"did you mean '{close}'?" if close else f"the log has: {', '.join(table)}",
    )


def _floats(column: NDArray[Any], name: str, place: str) -> NDArray[np.float64]:
    values = numbers(column)
    if isinstance(values, NotANumber):
        hint = (
            "is it a second header line? remove it, or map another column" if values.row == 0 else "repair the row, or map another column"
        )
        raise CoreError(f"{place}, row {values.row}, column '{name}': {values.cell} is not a number", hint=hint)
    return values


@dataclass(frozen=True, kw_only=True)
class NotANumber:
    """The first cell of a column that is no number."""

    row: int
    """From 0."""
    cell: str
    """What it holds, quoted and shortened."""


def numbers(column: NDArray[Any]) -> NDArray[np.float64] | NotANumber:
    """A column of a log as numbers, NaN where a cell is blank; or what it holds instead."""
    if column.dtype.kind in "fiub":
        return column.astype(np.float64)
    values = np.empty(len(column))
    for row, cell in enumerate(column.tolist()):
        text = cell.decode("utf-8", errors="replace") if isinstance(cell, bytes) else "" if cell is None else str(cell)
        try:
            values[row] = float(text.strip() or "nan")
        except ValueError:
            return NotANumber(row=row, cell=repr(text[:40]))
    return values


def _origin(raw_t: NDArray[Any], unit: str) -> Fraction:
    """The first usable stamp, exact, in seconds."""
    if raw_t.dtype.kind in "iu":
        return Fraction(int(raw_t[0]) * _NANOSECONDS[unit], 10**9) if len(raw_t) else Fraction(0)
    finite = raw_t[np.isfinite(raw_t)] if raw_t.dtype.kind == "f" else np.empty(0)
    return Fraction(float(finite[0])) * Fraction(_NANOSECONDS[unit], 10**9) if len(finite) else Fraction(0)


def _seconds(raw_t: NDArray[Any], clock: TimeColumn, start: Fraction, place: str) -> NDArray[np.float64]:
    """Stamps in seconds after `start`. Integers are subtracted as integers: nanoseconds since 1970 do not fit a double."""
    step = _NANOSECONDS[clock.unit] / 1e9
    if raw_t.dtype.kind in "iu" and len(raw_t):
        exact = raw_t.astype(np.int64)
        since_t: NDArray[np.float64] = (exact - exact[0]).astype(np.float64) * step + float(_origin(raw_t, clock.unit) - start)
        return since_t
    values_t = _floats(raw_t, clock.column, place)
    scaled_t: NDArray[np.float64] = (values_t if clock.unit == "s" else values_t * step) - float(start)
    return scaled_t


def _rate(clock: TimeColumn, log: str) -> float | None:
    if isinstance(clock.rate_hz, Mapping):
        for pattern, rate in clock.rate_hz.items():
            if fnmatch.fnmatchcase(log, pattern):
                return rate
        return None
    return clock.rate_hz


def _declared(clock: TimeColumn) -> float | None:
    """The rate of all logs, when there is one."""
    return None if isinstance(clock.rate_hz, Mapping) else clock.rate_hz


def _digest(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    with path.open("rb") as file:
        return {"sha256": hashlib.file_digest(file, "sha256").hexdigest()}
