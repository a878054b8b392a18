"""The quick validator says yes only where the thorough one does."""

from __future__ import annotations

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


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(SCHEMAS), st.data())
def test_so_it_is_for_the_schemas_of_the_skills(schema: dict[str, Any], data: st.DataObject) -> None:
    value = data.draw(st.dictionaries(st.sampled_from(sorted(schema.get("properties", {})) or ["x"]), VALUES, max_size=4))
    assert not fits(value, schema) or validator(schema).is_valid(value)


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
    for skill in Registry.discover().skills.values():
        document = load(skill.directory / "skill.yaml")
        kind: Kind = "pipeline" if skill.is_pipeline else "skill"
        assert schemas._fits(document.data, kind)
        assert not list(schemas._problems(document.data, schemas.schema_of(kind), document))
