"""Arguments of a call against the schema of its tool, in words that a model can act on."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

from realitygap.validator import fits, validator

MOST_ERRORS = 8
"""Errors, and unknown names, that are named in one answer."""
MOST_COUNTED = 200
"""Errors that are looked for: a request can hold a hundred thousand."""
_SHOWN = 120


def problems(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """What is wrong with the arguments, one line each; empty if nothing is."""
    if fits(arguments, schema):
        return []
    found = list(islice(validator(schema).iter_errors(dict(arguments)), MOST_COUNTED))
    found.sort(key=lambda error: [str(part) for part in error.absolute_path])
    lines = [_line(error) for error in found[:MOST_ERRORS]]
    if len(found) > MOST_ERRORS:
        lines.append("and many more" if len(found) == MOST_COUNTED else f"and {len(found) - MOST_ERRORS} more")
    return lines


def not_finite(value: Any, place: str = "") -> list[str]:
    """The numbers that JSON does not have, which some clients send all the same, one line each."""
    if isinstance(value, float) and not math.isfinite(value):
        return [f"{_clipped(place)}: {value} is not finite"]
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    found = (line for name, part in parts for line in not_finite(part, f"{place}.{name}" if place else str(name)))
    return list(islice(found, MOST_ERRORS))


def _line(error: Any) -> str:
    where = _clipped(".".join(str(part) for part in error.absolute_path)) or "arguments"
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{where}: {', '.join(missing)} missing" + _described(error.schema, missing)
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        extra = sorted(set(error.instance) - set(known))
        told = [f"{where}: no argument '{_clipped(name)}'{_nearest(name, known)}" for name in extra[:MOST_ERRORS]]
        return "; ".join(told) + (f"; and {len(extra) - MOST_ERRORS} more" if len(extra) > MOST_ERRORS else "")
    if error.validator == "enum":
        nearest = _nearest(error.instance, error.validator_value)
        return f"{where}: {_short(error.instance)} is not one of {_short(error.validator_value)}{nearest}"
    return f"{where}: {_clipped(error.message)}"


def _described(schema: Mapping[str, Any], names: list[str]) -> str:
    parts = [f"{name}: {schema['properties'][name].get('description', '')}" for name in names if name in schema.get("properties", {})]
    return f" ({'; '.join(parts)})" if parts else ""


def _nearest(name: object, known: list[Any]) -> str:
    close = get_close_matches(str(name)[:_SHOWN], [str(one) for one in known], n=1, cutoff=0.6)
    if close:
        return f"; did you mean '{close[0]}'?"
    return f"; there are: {', '.join(str(one) for one in known) or 'none'}"


def _short(value: object) -> str:
    return _clipped(json.dumps(value, ensure_ascii=False, default=str))


def _clipped(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
