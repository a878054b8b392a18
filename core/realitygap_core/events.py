"""A log of state changes that can be checked: JSON lines, each with the hash before and after, chained like the pages of a bound book.

    {"kind": "events", "schema": 1, ...}                                  the header: what is needed to do it all again
    {"index": 0, "before": h0, "after": h1, "delta": {...}, "trit": 1, "impact": 0, "chain": c0}
    {"index": 1, "before": h1, "after": h2, ...,                                       "chain": c1}

`chain` is the SHA-256 of the chain before it and the rest of the line, the first one's of the header. So a line that is changed, left out,
added or moved shows, and shows where. Floats are written so that they read back exactly. Hash before and after, delta, trit and impact are
what other tools know as a `KsimNaryaEvent`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realitygap_core.errors import CoreError

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Event:
    """One change of state."""

    index: int
    """From 0."""
    before: str
    """SHA-256 of the whole state before."""
    after: str
    """SHA-256 of the whole state after."""
    delta: Mapping[str, Any]
    """What happened between the two, plain data."""
    trit: int
    """+1 better, -1 worse, 0 no difference that the sample could show."""
    impact: int
    """1 when an episode ended within, else 0."""
    chain: str
    """SHA-256 over all up to here."""


def header(**about: Any) -> dict[str, Any]:
    """The first line of a log."""
    return {"kind": "events", "schema": SCHEMA, **about}


def follow(head: Mapping[str, Any], previous: Event | None, **fields: Any) -> Event:
    """The event after `previous` (None: the first one under `head`), with its index and chain."""
    body = {"index": 0 if previous is None else previous.index + 1, **fields}
    return Event(**body, chain=_chain(_start(head) if previous is None else previous.chain, body))


def trit(change: float, *standard_errors: float | None) -> int:
    """Sign of a change, 0 when it is within two of its standard errors, which the `standard_errors` of what it is between make together.

    None is an unknown error, of a sample of one; nothing can be said then, nor of what is not finite: 0.
    """
    standard_error = math.hypot(*(math.inf if error is None else error for error in standard_errors))
    if not (math.isfinite(change) and math.isfinite(standard_error)) or abs(change) <= 2.0 * standard_error:
        return 0
    return 1 if change > 0 else -1


def write_log(path: Path, head: Mapping[str, Any], events: Iterable[Event]) -> Path:
    """Writes the header and the events, one JSON document a line."""
    lines = [_canonical(head), *(_canonical(dataclasses.asdict(event)) for event in events)]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    return path


def read_log(path: Path) -> tuple[dict[str, Any], list[Event]]:
    """The header and the events. Raises CoreError, with the line, for what is no such log; a broken chain is for `first_break`."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CoreError("the event log cannot be read", where=str(path), hint="give the `events` that train-policy put out") from error
    head = _line(lines[0], path, 1) if lines else {}
    if head.get("kind") != "events" or head.get("schema") != SCHEMA:
        raise CoreError(f"this is no event log of schema {SCHEMA}", where=f"{path}:1", hint="give the `events` that train-policy put out")
    names = {field.name for field in dataclasses.fields(Event)}
    events = []
    for number, text in enumerate(lines[1:], start=2):
        row = _line(text, path, number)
        odd = ", ".join(sorted(set(row) ^ names) or [name for name in sorted(names) if not _fits(name, row[name])])
        if odd:
            raise CoreError(f"this line is no event: {odd}", where=f"{path}:{number}", hint="the log is damaged: train anew")
        events.append(Event(**row))
    return head, events


def first_break(head: Mapping[str, Any], events: Sequence[Event]) -> tuple[int, str] | None:
    """Position and reason of the first event that does not follow from what stands before it; None for an intact log.

    A log that was cut at its end is intact as far as it goes: the header's `updates` says how long it is to be.
    """
    chain, after = _start(head), None
    for position, event in enumerate(events):
        body = {name: value for name, value in vars(event).items() if name != "chain"}
        if event.index != position:
            return position, f"it says to be event {event.index}: one is missing, or they are out of order"
        if after is not None and event.before != after:
            return position, "it does not begin with the state that the event before it left"
        if event.chain != _chain(chain, body):
            return position, "its content, or that of the header, is not what was written"
        chain, after = event.chain, event.after
    return None


def _fits(name: str, value: Any) -> bool:
    """Whether a field of an event can have this value."""
    if name == "delta":
        return isinstance(value, dict)
    if name not in ("index", "trit", "impact"):
        return isinstance(value, str)
    allowed = {"trit": (-1, 0, 1), "impact": (0, 1)}
    return type(value) is int and value in allowed.get(name, (value,))


def _start(head: Mapping[str, Any]) -> str:
    return hashlib.sha256(_canonical(head).encode()).hexdigest()


def _chain(previous: str, body: Mapping[str, Any]) -> str:
    return hashlib.sha256((previous + _canonical(body)).encode()).hexdigest()


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _line(text: str, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CoreError("this line is no JSON", where=f"{path}:{number}", hint="the log is damaged: train anew") from error
    if not isinstance(row, dict):
        raise CoreError("this line is no JSON object", where=f"{path}:{number}", hint="the log is damaged: train anew")
    return row
