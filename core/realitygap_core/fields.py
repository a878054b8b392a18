"""Fields of a plain mapping, as a document gives them, with their types checked. Every error is a CoreError with its JSON pointer."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from realitygap_core.errors import CoreError, unknown


def entries(spec: Mapping[str, Any], key: str, pointer: str = "", *, required: bool = False) -> list[tuple[Mapping[str, Any], str]]:
    """The terms listed under a key, each with its pointer; an empty list where nothing is given and nothing required."""
    given = spec.get(key)
    if given is None and not required:
        return []
    if not isinstance(given, Sequence) or isinstance(given, str) or (required and not given):
        raise CoreError(
            f"`{key}` is a list of terms" + (" with at least one" if required else ""),
            pointer=f"{pointer}/{key}" if key in spec else pointer,
        )
    for index, entry in enumerate(given):
        if not isinstance(entry, Mapping):
            raise CoreError(f"a term is a mapping with `term`, not {type(entry).__name__}", pointer=f"{pointer}/{key}/{index}")
    return [(entry, f"{pointer}/{key}/{index}") for index, entry in enumerate(given)]


def keys(spec: Mapping[str, Any], known: Iterable[str], pointer: str) -> None:
    """Raises for a key that is not known, with the nearest that is."""
    if not isinstance(spec, Mapping):
        raise CoreError(f"expected a mapping, not {type(spec).__name__}", pointer=pointer)
    for key in spec:
        if key not in known:
            raise unknown("key", str(key), known, pointer=f"{pointer}/{escape(str(key))}")


def field(spec: Mapping[str, Any], key: str, kind: Any, pointer: str, *, default: Any = None, required: bool = False) -> Any:
    """The value of a key, of a type. Null counts as not given."""
    if spec.get(key) is None:
        if required:
            raise CoreError(f"`{key}` is missing", pointer=pointer)
        return default
    value = spec[key]
    if not isinstance(value, kind) or (kind is Sequence and isinstance(value, str)):
        raise CoreError(f"`{key}` is a {kind.__name__.lower()}, not {value!r}", pointer=f"{pointer}/{key}")
    return value


def number(spec: Mapping[str, Any], key: str, pointer: str, *, default: float | None = None, above: float = -math.inf) -> float:
    """A finite number."""
    value = spec.get(key, default)
    if value is None:
        raise CoreError(f"`{key}` is missing", pointer=pointer)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not value > above:
        raise CoreError(f"`{key}` is a number{f' above {above:g}' if above > -math.inf else ''}, not {value!r}", pointer=f"{pointer}/{key}")
    return float(value)


def span(spec: Mapping[str, Any], key: str, pointer: str, *, low: float = 0.0) -> tuple[float, float]:
    """A number (both ends) or [low, high]; zero by default."""
    value = spec.get(key, 0.0)
    ends = [value, value] if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    numbers = isinstance(ends, Sequence) and len(ends) == 2 and all(isinstance(e, (int, float)) and not isinstance(e, bool) for e in ends)
    if not numbers or not low <= ends[0] <= ends[1] < math.inf:
        hint = f"{low:g} <= low <= high" if low > -math.inf else "low <= high"
        raise CoreError(f"`{key}` is [low, high], not {value!r}", pointer=f"{pointer}/{key}", hint=hint)
    return float(ends[0]), float(ends[1])


def per_value(value: Any, size: int, pointer: str) -> tuple[float, ...]:
    """One number for all of `size` values, or one for each."""
    values = [value] * size if isinstance(value, (int, float)) and not isinstance(value, bool) else value
    if not isinstance(values, Sequence) or len(values) != size or not all(isinstance(v, (int, float)) for v in values):
        raise CoreError(f"scale is one number or {size} of them, not {value!r}", pointer=pointer)
    return tuple(float(v) for v in values)


def whole_multiple(span: float, step: float, what: str, steps: str, pointer: str) -> int:
    """How many steps make up a span of time."""
    count = round(span / step)
    if count < 1 or abs(span / step - count) > 1e-6 * count:
        fitting = [f"{number * step:.12g}" for number in (math.floor(span / step), math.floor(span / step) + 1) if number > 0]
        raise CoreError(
            f"{what} of {span:g} s is not a whole number of {steps} of {step:g} s", pointer=pointer, hint=f"give {' or '.join(fitting)} s"
        )
    return count


def escape(key: str) -> str:
    """A key as a token of a JSON pointer (RFC 6901)."""
    return key.replace("~", "~0").replace("/", "~1")
