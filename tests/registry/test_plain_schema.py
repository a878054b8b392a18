"""What surely fits a schema without jsonschema: never what jsonschema would refuse, and every manifest of ours."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from realitygap.document import load
from realitygap.plain_schema import METASCHEMA, PLAIN_METASCHEMA, Scope, surely_fits
from realitygap.schema import schema_of

ROOT = Path(__file__).parent.parent.parent
MANIFESTS = sorted((ROOT / "skills").glob("*/skill.yaml"))
WITHOUT_SCHEMA_LIBRARY = "import sys; from realitygap.cli import main\ntry: main(sys.argv[1:])\nfinally: print('jsonschema' in sys.modules)"

numbers = st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 1.5, float("nan"), float("inf")])
scalars = st.none() | st.booleans() | numbers | st.sampled_from(["", "a", "b", "ab", "x-a"])
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "ab"]), inner, max_size=3), max_leaves=6
)
types = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
counts = st.integers(0, 2)


def keywords(inner: st.SearchStrategy) -> st.SearchStrategy:
    schemas = st.lists(inner, min_size=1, max_size=2)
    named = st.dictionaries(st.sampled_from(["a", "b"]), inner, max_size=2)
    limits = dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), st.integers(-2, 2))
    lengths = dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"), counts)
    return st.fixed_dictionaries(
        {},
        optional={
            **limits,
            **lengths,
            "type": types | st.lists(types, min_size=1, max_size=2, unique=True),
            "enum": st.lists(scalars, max_size=3),
            "const": scalars,
            "required": st.lists(st.sampled_from(["a", "b"]), unique=True),
            "properties": named,
            "patternProperties": named,
            "additionalProperties": inner,
            "propertyNames": inner,
            "items": inner,
            "prefixItems": schemas,
            "uniqueItems": st.booleans(),
            "pattern": st.sampled_from(["^a", "b$", "^x-"]),
            "multipleOf": st.integers(1, 3),
            "anyOf": schemas,
            "allOf": schemas,
            "oneOf": schemas,
            "not": inner,
            "x-unit": scalars,
            "description": st.just("d"),
        },
    )


schemas = st.recursive(st.booleans() | st.builds(dict), keywords, max_leaves=5)


@settings(max_examples=200, deadline=None)
@given(values, schemas)
def test_what_surely_fits_is_valid_to_jsonschema(value, schema):
    if surely_fits(value, schema):
        assert Draft202012Validator(schema).is_valid(value)


@settings(max_examples=200, deadline=None)
@given(st.recursive(values, keywords, max_leaves=5))
def test_what_surely_is_a_schema_is_one_to_jsonschema(value):
    if surely_fits(value, {"$ref": METASCHEMA}, Scope(None, {METASCHEMA: PLAIN_METASCHEMA}.get)):
        assert Draft202012Validator(Draft202012Validator.META_SCHEMA).is_valid(value)


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        (True, {"type": "integer"}),
        (True, {"enum": [1]}),
        (1.0, {"const": 1}),
        (["a", "a"], {"uniqueItems": True}),
        ("a", {"pattern": "("}),
        ("a", {"type": "text"}),
        ("a", {"$ref": "#/$defs/a", "$defs": {"a": True}}),
        ("a", {"minLength": "1"}),
        ({"a": 1}, {"properties": 1, "additionalProperties": True}),
        ("a", {"dependentRequired": {}}),
        ("a", 1),
    ],
)
def test_what_cannot_be_said_is_left_to_jsonschema(value, schema):
    assert not surely_fits(value, schema)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda path: path.parent.name)
def test_checking_a_manifest_of_ours_needs_no_jsonschema(manifest):
    # Else nothing fails, and every check takes a quarter longer.
    from realitygap.schema import _named

    data = load(manifest).data
    schema = schema_of("pipeline" if "steps" in data else "skill")
    assert surely_fits(data, schema, Scope(schema, _named))


def test_check_of_a_folder_without_faults_imports_no_jsonschema():
    command = [sys.executable, "-c", WITHOUT_SCHEMA_LIBRARY, "check", "skills/identify-parameters"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
