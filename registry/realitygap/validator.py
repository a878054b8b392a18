"""JSON Schema, draft 2020-12, for values that come from outside: the time is linear in their size.

Two libraries: jsonschema-rs says quickly that a value fits, as nearly all do; of what may not, jsonschema has the last word and the words.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from realitygap.nodes import MAX_DEPTH

_SCALARS = frozenset((str, int, bool, type(None)))


def fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether jsonschema-rs says that a value fits; else jsonschema has to be asked. Nothing is fetched for a reference.

    The two differ in corners, where the first is right by the standard: patterns as ECMAScript has them (`$` is not before a last line
    feed, `\\d` is ASCII), decimal multiples (0.3 of 0.1).
    """
    return admits(value, lambda: quick(schema))


def admits(value: Any, made: Callable[[], Any]) -> bool:
    """Whether the quick validator that `made` gives admits a value."""
    try:
        return is_json(value) and bool(made().is_valid(value))
    except ValueError:  # a schema or a value that it cannot read: half a surrogate, a pattern of Python's own
        return False


def is_json(value: Any, depth: int = 0) -> bool:
    """Whether a value is of JSON's types, finite, and no deeper than documents may be: jsonschema-rs takes tuples, enumerations and
    infinities as well, and has no bound on depth."""
    kind = type(value)
    if kind in _SCALARS:
        return True
    if kind is float:
        return math.isfinite(value)
    if depth > MAX_DEPTH or (kind is not list and kind is not dict):
        return False
    if kind is dict and not all(type(name) is str for name in value):
        return False
    parts = value if kind is list else value.values()
    return all(is_json(part, depth + 1) for part in parts if type(part) not in _SCALARS)


def quick(schema: Mapping[str, Any], others: Sequence[dict[str, Any]] = ()) -> Any:
    """A validator of jsonschema-rs; `others` are schemas that this one may refer to by their `$id`. Raises ValueError."""
    from jsonschema_rs import Draft202012Validator, Registry

    known = Registry([(one["$id"], one) for one in others]) if others else None
    return Draft202012Validator(dict(schema), registry=known, validate_formats=False, offline=True)


def validator(schema: Mapping[str, Any]) -> Any:
    """A validator of jsonschema, whose own `uniqueItems` compares every object of a list with every other."""
    return _kind()(dict(schema))


@lru_cache
def _kind() -> Any:
    from jsonschema import Draft202012Validator, ValidationError  # 0.2 s to import, and the first answer to a client must not wait for it
    from jsonschema.validators import extend

    def unique(_: Any, wanted: bool, items: Any, __: Any) -> Iterator[ValidationError]:
        seen: set[str] = set()
        for item in items if wanted and isinstance(items, list) else ():
            text = json.dumps(_whole(item), sort_keys=True)
            if text in seen:
                yield ValidationError(f"{text} is there twice")
                return
            seen.add(text)

    return extend(Draft202012Validator, {"uniqueItems": unique})  # type: ignore[no-untyped-call]


def _whole(value: Any) -> Any:
    """The value with 1.0 as 1: one number to JSON Schema."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return {name: _whole(part) for name, part in value.items()} if isinstance(value, dict) else value
