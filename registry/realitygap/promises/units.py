"""Whether every number that a plugin takes or gives says its unit, and says one that its name does not contradict."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from realitygap.errors import nearest

if TYPE_CHECKING:
    from realitygap.plugin_record import PluginRecord
    from realitygap.skill import Skill

_PREFIXES = ("", "n", "u", "m", "c", "d", "k", "M", "G")
_SCALED = ("m", "s", "g", "N", "J", "W", "V", "A", "Hz", "Pa", "rad", "ohm", "H", "F", "T", "B", "bit", "nat")
_PLAIN = (
    "1",
    "%",
    "kg",
    "deg",
    "rev",
    "rpm",
    "min",
    "h",
    "d",
    "K",
    "degC",
    "nats",
    "bits",
    "steps",
    "samples",
    "px",
    "pooled standard deviations",
)
KNOWN = frozenset((*_PLAIN, *(prefix + unit for prefix in _PREFIXES for unit in _SCALED)))
"""Symbols that a unit is made of: SI with prefixes, and what is usual beside it."""

_SUFFIXES = {
    "s": "s", "sec": "s", "seconds": "s", "ms": "ms", "us": "us", "ns": "ns", "hz": "Hz", "khz": "kHz",
    "m": "m", "mm": "mm", "cm": "cm", "km": "km", "rad": "rad", "deg": "deg", "degrees": "deg", "rpm": "rpm",
    "kg": "kg", "percent": "%", "nats": "nats", "bits": "bits",
}  # fmt: skip
"""Last part of a name (`delay_ms`) to the unit that it promises. Not what means something else too: `speed_min`, `quat_w`."""


def problems(skills: list[Skill], record: PluginRecord) -> Iterator[str]:
    """One line for each number without a unit, with a unit that nobody knows, or with another than its name ends in.

    A unit holds for what is below it: of the items of a list, of the properties of an object. Whole numbers may go without: they count.
    """
    for skill in skills:
        ports = {f"input '{name}'": (name, schema) for name, schema in skill.inputs.items()}
        if not skill.is_pipeline:
            ports |= {f"output '{name}'": (name, schema) for name, schema in skill.outputs.items()}
        for what, (name, schema) in ports.items():
            yield from _of(schema, name, f"{skill.name}: {what}", None)
    for component in record.components:
        for name, schema in component.get("parameters", {}).items():
            yield from _of(schema, name, f"{component['kind']} '{component['name']}': parameter '{name}'", None)


def parse(unit: str) -> str | None:
    """What is wrong with a unit such as `rad/s^2`, `N m` or `1`; None if nothing is."""
    if unit in KNOWN:
        return None
    for factor in re.split(r"[ /*]", unit):
        symbol, _, power = factor.partition("^")
        if symbol not in KNOWN:
            close = nearest(symbol, KNOWN)
            return f"'{symbol}' is no unit" + (f"; did you mean '{close}'?" if close else "")
        if power and not re.fullmatch(r"-?[0-9]+", power):
            return f"'{power}' is no power"
    return None


def _of(schema: Any, name: str, where: str, around: str | None) -> Iterator[str]:
    if not isinstance(schema, Mapping):
        return
    unit = schema.get("x-unit", around)
    kinds = schema.get("type")
    kinds = [kinds] if isinstance(kinds, str) else list(kinds or ())
    if "number" in kinds and unit is None:
        yield f'{where} is a number without a unit: add `x-unit: s`, or `x-unit: "1"` if it has none'
    if isinstance(unit, str) and "x-unit" in schema:
        wrong = parse(unit)
        if wrong:
            yield f"{where} has the unit '{unit}': {wrong}"
        promised = _SUFFIXES.get(name.rpartition("_")[2]) if "_" in name else None
        if promised and promised != unit:
            yield f"{where} has the unit '{unit}', and its name says {promised}"
    for key, part in (schema.get("properties") or {}).items() if isinstance(schema.get("properties"), Mapping) else ():
        yield from _of(part, str(key), f"{where}, '{key}'", unit)
    for word in ("items", "additionalProperties"):
        yield from _of(schema.get(word), name, where, unit)
    for word in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(word) or ():
            yield from _of(part, name, where, unit)
