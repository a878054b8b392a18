"""A drafted mapping as a document: each guess marked, its reason in a comment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from realitygap_plugins.system_id.columns import Clock


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One channel of the draft."""

    name: str
    """Name of the channel."""
    column: str
    """Column of the log."""
    keys: Mapping[str, Any]
    """Its other keys, in order."""
    reason: str
    """Why, in a line."""


def draft_document(
    name: str, model: str, form: str | None, clock: Clock, command_clock: Clock | None, entries: Sequence[Entry]
) -> dict[str, Any]:
    """The drafted mapping as plain data."""
    document: dict[str, Any] = {
        "schema": 1,
        "name": name,
        "model": model,
        **({"format": form} if form else {}),
        "time": {"column": clock.column.name, "unit": clock.unit, "guess": True},
    }
    if command_clock is not None:
        document["command_time"] = {"column": command_clock.column.name, "unit": command_clock.unit, "guess": True}
    document["initial"] = {"velocity": "zero"}
    document["channels"] = {entry.name: {"column": entry.column, **entry.keys, "guess": True} for entry in entries}
    return document


def draft_text(
    document: Mapping[str, Any],
    clock: Clock,
    command_clock: Clock | None,
    entries: Sequence[Entry],
    unmapped: Sequence[str],
    notes: Sequence[str],
) -> str:
    """The same as YAML, with a comment above each channel on why it is what it is."""
    lines = [
        "# Drafted from the log's columns and the model. Check every line with `guess: true`, then remove that mark.",
        "# Signs and zero positions cannot be seen in a log: `sign: -1` turns a channel round, `offset:` shifts it.",
        "schema: 1",
        f"name: {_scalar(document['name'])}",
        f"model: {_scalar(document['model'])}",
        *([f"format: {_scalar(document['format'])}"] if "format" in document else []),
        f"time: {_flow(document['time'])}  # {clock.reason}",
    ]
    if command_clock is not None:
        lines.append(f"command_time: {_flow(document['command_time'])}  # {command_clock.reason}")
    lines.append("initial: {velocity: zero}  # at the start of a replay: zero, or measured")
    lines.append("channels:")
    for entry in entries:
        lines.append(f"  # {entry.reason}" if entry.reason else "  # by its name")
        lines.append(f"  {_scalar(entry.name)}: {_flow(document['channels'][entry.name])}")
    if unmapped:
        lines.append(f"# not mapped: {', '.join(unmapped)}")
    lines += [f"# open: {note}" for note in notes]
    return "\n".join(line.replace("\n", " ") for line in lines) + "\n"


def _flow(mapping: Mapping[str, Any]) -> str:
    return "{" + ", ".join(f"{key}: {_scalar(value)}" for key, value in mapping.items()) + "}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    plain = text.replace("_", "").replace("-", "").replace("/", "").replace(" ", "")
    ambiguous = text.lower() in ("true", "false", "yes", "no", "on", "off", "null", "y", "n") or text[:1] in "-0123456789 "
    return text if plain.isascii() and plain.isalnum() and not ambiguous else json.dumps(text, ensure_ascii=False)
