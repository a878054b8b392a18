"""Whether a value surely fits a JSON Schema, said without jsonschema, whose import and use take a quarter of the time of a check.

Most documents are right. Here only the common keywords are known, each read no less strictly than the specification has it. What does not
surely fit is jsonschema's to judge, and only it says what is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

METASCHEMA = "https://json-schema.org/draft/2020-12/schema"


class Scope(NamedTuple):
    """Where the references of a schema lead."""

    document: Any = None
    """The schema in which `#/...` is looked for; without one such a reference leads nowhere."""
    others: Callable[[str], Any] = lambda _: None
    """Gives the schema of another name, None where that is not known."""


_Check = Callable[[Any, Any, Mapping[str, Any], Scope], bool]
"""Of a value, what stands behind the keyword, the schema around it, and the scope."""


NOWHERE = Scope()


def surely_fits(value: Any, schema: Any, scope: Scope = NOWHERE) -> bool:
    """Whether a value surely fits a schema; False also where that cannot be said."""
    if not isinstance(schema, dict):
        return schema is True
    for keyword, wanted in schema.items():
        if keyword in _ANNOTATIONS or keyword[:2] == "x-":
            continue
        check = _CHECKS.get(keyword)
        if check is None or not check(value, wanted, schema, scope):
            return False
    return True


def _type(value: Any, wanted: Any, _: Mapping[str, Any], __: Scope) -> bool:
    names = wanted if isinstance(wanted, list) else [wanted]
    if not all(isinstance(name, str) and name in _TYPES for name in names):
        return False
    return any(type(value) in _TYPES[name] for name in names)


def _enum(value: Any, wanted: Any, _: Mapping[str, Any], __: Scope) -> bool:
    if type(value) not in (str, int, bool, type(None)) or not isinstance(wanted, list):
        return False
    return any(type(one) is type(value) and one == value for one in wanted)


def _const(value: Any, wanted: Any, schema: Mapping[str, Any], scope: Scope) -> bool:
    return _enum(value, [wanted], schema, scope)


def _required(value: Any, wanted: Any, _: Mapping[str, Any], __: Scope) -> bool:
    if not isinstance(wanted, list):
        return False
    return not isinstance(value, dict) or all(isinstance(one, str) and one in value for one in wanted)


def _properties(value: Any, wanted: Any, _: Mapping[str, Any], scope: Scope) -> bool:
    if not isinstance(wanted, dict):
        return False
    return not isinstance(value, dict) or all(surely_fits(value[key], part, scope) for key, part in wanted.items() if key in value)


def _additional(value: Any, wanted: Any, schema: Mapping[str, Any], scope: Scope) -> bool:
    known = schema.get("properties", {})
    if not isinstance(known, dict):
        return False
    return not isinstance(value, dict) or all(surely_fits(part, wanted, scope) for key, part in value.items() if key not in known)


def _names(value: Any, wanted: Any, _: Mapping[str, Any], scope: Scope) -> bool:
    return not isinstance(value, dict) or all(surely_fits(key, wanted, scope) for key in value)


def _items(value: Any, wanted: Any, _: Mapping[str, Any], scope: Scope) -> bool:
    return not isinstance(value, list) or all(surely_fits(one, wanted, scope) for one in value)


def _unique(value: Any, wanted: Any, _: Mapping[str, Any], __: Scope) -> bool:
    if wanted is not True or not isinstance(value, list) or len(value) < 2:
        return isinstance(wanted, bool)
    return all(isinstance(one, str) for one in value) and len(set(value)) == len(value)


def _multiple(value: Any, wanted: Any, _: Mapping[str, Any], __: Scope) -> bool:
    if type(wanted) is not int or wanted < 1:
        return False
    return type(value) not in _NUMBER or (type(value) is int and value % wanted == 0)


def _pattern(value: Any, wanted: Any, _: Mapping[str, Any], __: Scope) -> bool:
    if not isinstance(wanted, str):
        return False
    try:
        return not isinstance(value, str) or re.search(wanted, value) is not None
    except re.error:
        return False


def _any_of(value: Any, wanted: Any, _: Mapping[str, Any], scope: Scope) -> bool:
    return isinstance(wanted, list) and any(surely_fits(value, one, scope) for one in wanted)


def _all_of(value: Any, wanted: Any, _: Mapping[str, Any], scope: Scope) -> bool:
    return isinstance(wanted, list) and all(surely_fits(value, one, scope) for one in wanted)


def _reference(value: Any, wanted: Any, _: Mapping[str, Any], scope: Scope) -> bool:
    if not isinstance(wanted, str):
        return False
    name, __, pointer = wanted.partition("#")
    if name:
        scope = Scope(scope.others(name), scope.others)
    schema = scope.document
    for part in pointer.split("/")[1:]:
        schema = schema.get(part) if isinstance(schema, dict) else None
    return surely_fits(value, schema, scope)


def _limit(kinds: tuple[type, ...], holds: Callable[[Any, Any], bool]) -> _Check:
    """The check of a keyword that limits values of some types."""

    def check(value: Any, wanted: Any, _: Mapping[str, Any], __: Scope) -> bool:
        return type(wanted) in _NUMBER and (type(value) not in kinds or holds(value, wanted))

    return check


_ANNOTATIONS = frozenset({"title", "description", "default", "examples", "format", "$schema", "$comment", "$id", "$defs"})
_NUMBER = (int, float)
_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": _NUMBER,
    "boolean": (bool,),
    "null": (type(None),),
}
_CHECKS: dict[str, _Check] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "required": _required,
    "properties": _properties,
    "additionalProperties": _additional,
    "propertyNames": _names,
    "items": _items,
    "uniqueItems": _unique,
    "pattern": _pattern,
    "anyOf": _any_of,
    "allOf": _all_of,
    "$ref": _reference,
    "multipleOf": _multiple,
    "minimum": _limit(_NUMBER, lambda value, least: bool(value >= least)),
    "maximum": _limit(_NUMBER, lambda value, most: bool(value <= most)),
    "exclusiveMinimum": _limit(_NUMBER, lambda value, bound: bool(value > bound)),
    "exclusiveMaximum": _limit(_NUMBER, lambda value, bound: bool(value < bound)),
    "minLength": _limit((str,), lambda value, least: len(value) >= least),
    "maxLength": _limit((str,), lambda value, most: len(value) <= most),
    "minItems": _limit((list,), lambda value, least: len(value) >= least),
    "maxItems": _limit((list,), lambda value, most: len(value) <= most),
    "minProperties": _limit((dict,), lambda value, least: len(value) >= least),
    "maxProperties": _limit((dict,), lambda value, most: len(value) <= most),
}

_TEXT, _NUMERIC, _COUNT, _LIST = {"type": "string"}, {"type": "number"}, {"type": "integer", "minimum": 0}, {"type": "array"}
_SCHEMA = {"$ref": METASCHEMA}
_SCHEMAS = {"type": "array", "minItems": 1, "items": _SCHEMA}
_TYPE_NAME = {"enum": list(_TYPES)}
_KEYWORDS: dict[str, Any] = {
    **dict.fromkeys(("title", "description", "format", "pattern", "$comment"), _TEXT),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), _NUMERIC),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), _COUNT),
    **dict.fromkeys(("items", "additionalProperties", "propertyNames", "not"), _SCHEMA),
    **dict.fromkeys(("anyOf", "allOf", "oneOf", "prefixItems"), _SCHEMAS),
    **dict.fromkeys(("enum", "examples"), _LIST),
    **dict.fromkeys(("const", "default"), True),
    "type": {"anyOf": [_TYPE_NAME, {"type": "array", "minItems": 1, "uniqueItems": True, "items": _TYPE_NAME}]},
    "required": {"type": "array", "uniqueItems": True, "items": _TEXT},
    "properties": {"type": "object", "additionalProperties": _SCHEMA},
    "uniqueItems": {"type": "boolean"},
    "multipleOf": {"type": "number", "exclusiveMinimum": 0},
}
PLAIN_METASCHEMA: dict[str, Any] = {
    "type": ["object", "boolean"],
    "properties": _KEYWORDS,
    "propertyNames": {"anyOf": [{"enum": list(_KEYWORDS)}, {"type": "string", "pattern": "^x-"}]},
}
"""The schema of schemas that hold nothing but common keywords and `x-...`. All that fit it fit `METASCHEMA`."""
