"""The quick validator says yes only where the thorough one does."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realitygap import schema as schemas
from realitygap.discovery import Registry
from realitygap.document import load
from realitygap.schema import Kind
from realitygap.validator import fits, validator

SCHEMAS = [one for skill in Registry.discover().skills.values() for one in (skill.input_schema, skill.output_schema)]


class Color(StrEnum):
    RED = "red"


TEXTS = st.text(max_size=6) | st.sampled_from(["auto", "abc\n", "a", "1e3"])
NUMBERS = st.integers(-(10**20), 10**20) | st.floats() | st.sampled_from([0.0, 1.0, 0.3])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4)
)
TYPES = st.sampled_from(["null", "boolean", "integer", "number", "string", "array", "object"])
LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "type": TYPES | st.lists(TYPES, min_size=1, unique=True),
        "enum": st.lists(st.integers(-3, 3) | TEXTS | st.booleans(), min_size=1, max_size=3),
        "minimum": st.integers(-3, 3),
        "exclusiveMaximum": st.integers(-3, 3),
        "minLength": st.integers(0, 3),
        "maxItems": st.integers(0, 3),
        "uniqueItems": st.booleans(),
        "pattern": st.sampled_from(["^[a-z]+$", r"^\d", "a|b"]),
        "format": st.sampled_from(["path", "date"]),
        "x-unit": st.just("rad"),
    },
)
# Without `not`, below which a pattern is read as JSON Schema says and not as Python does.
GENERATED = st.recursive(
    LEAVES,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "properties": st.dictionaries(TEXTS, inner, max_size=3),
            "required": st.lists(TEXTS, max_size=2, unique=True),
            "additionalProperties": st.booleans() | inner,
            "items": inner,
            "anyOf": st.lists(inner, min_size=1, max_size=2),
        },
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(GENERATED, VALUES)
def test_what_the_quick_one_admits_the_thorough_one_does(schema: dict[str, Any], value: Any) -> None:
    assert not fits(value, schema) or validator(schema).is_valid(value)


def near(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values of which a schema says something: its own words, those around its bounds, and any."""
    words = [*schema.get("enum", ()), *(schema[name] for name in ("default", "const") if name in schema)]
    bounds = [schema[name] for name in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum") if name in schema]
    words += [bound + more for bound in bounds for more in (-1, 0, 0.5, 1)]
    inner = [near(one) for name in ("anyOf", "oneOf") for one in schema.get(name, ())]
    if isinstance(items := schema.get("items"), dict):
        inner.append(st.lists(near(items), max_size=3))
    return st.one_of(*([st.sampled_from(words)] if words else []), *inner, VALUES)


PROPERTIES = [(name, part) for schema in SCHEMAS for name, part in schema.get("properties", {}).items()]


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(PROPERTIES), st.data())
def test_so_it_is_for_every_value_that_a_skill_takes_or_gives(named: tuple[str, dict[str, Any]], data: st.DataObject) -> None:
    value = data.draw(near(named[1]))
    assert not fits(value, named[1]) or validator(named[1]).is_valid(value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"maximum": 3}, float("inf")),
        ({"anyOf": [{"const": "auto"}, {"minimum": 0}]}, float("-inf")),
        ({"type": "array"}, ("a", "b")),
        ({"type": "string"}, Color.RED),
        ({"type": "integer"}, Decimal("1")),
    ],
)
def test_what_is_no_json_is_not_admitted(schema: dict[str, Any], value: Any) -> None:
    assert not fits(value, schema)


def test_a_value_without_bottom_is_not_descended_into() -> None:
    value: list[Any] = []
    for _ in range(500_000):
        value = [value]
    assert not fits(value, {"type": "array", "items": {"$ref": "#"}})


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "\ud800"),
        ({"type": "string", "pattern": r"\A[a-z]+\Z"}, "abc"),
        ({"type": "string", "pattern": "^[a-z]+$"}, "abc\n"),
        ({"type": "object"}, {1: 2}),
    ],
)
def test_what_only_the_thorough_one_can_read_is_left_to_it(schema: dict[str, Any], value: Any) -> None:
    assert not fits(value, schema)
    assert validator(schema).is_valid(value)


def test_nothing_is_fetched_for_a_reference() -> None:
    assert not fits(1, {"$ref": "http://127.0.0.1:9/schema.json"})


def test_one_is_one_point_zero_among_unique_items() -> None:
    schema = {"type": "array", "uniqueItems": True}
    for items in ([1, 1.0], [{"a": 1}, {"a": 1.0}]):
        assert not fits(items, schema)
        assert not validator(schema).is_valid(items)


def test_every_shipped_document_is_admitted_quickly_and_thoroughly() -> None:
    kinds: dict[Kind, list[Path]] = {
        "plugin": [one.manifest for one in Registry.discover().plugins.values() if one.manifest],
        "task": [Path(place) for place in Registry.discover().assets["task"].values()],
        "mapping": [Path(place) for place in Registry.discover().assets["mapping"].values()],
    }
    for skill in Registry.discover().skills.values():
        kinds.setdefault("pipeline" if skill.is_pipeline else "skill", []).append(skill.directory / "skill.yaml")
    for kind, paths in kinds.items():
        assert paths
        for path in paths:
            document = load(path)
            assert schemas._fits(document.data, kind), path
            assert not list(schemas._problems(document.data, schemas.schema_of(kind), document))
