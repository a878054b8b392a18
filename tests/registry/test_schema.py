"""Documents against their schemas."""

from __future__ import annotations

import pytest
from jsonschema import Draft202012Validator

from realitygap.document import parse
from realitygap.errors import InputError
from realitygap.schema import KINDS, problems, require, schema_of, validate

SKILL = """\
schema: 1
name: sense
version: 0.1.0
trit: -1
summary: Look.
entry: acme.sense:run
inputs: {seed: {type: integer, default: 0}}
outputs: {score: {type: number}}
"""


@pytest.mark.parametrize("kind", KINDS)
def test_published_schemas_are_schemas_with_a_versioned_name(kind):
    Draft202012Validator.check_schema(schema_of(kind))
    assert schema_of(kind)["$id"] == f"urn:realitygap:{kind}:1"


def test_a_right_manifest_has_no_findings():
    assert validate(parse(SKILL), "skill") == []


@pytest.mark.parametrize(
    ("old", "new", "rule", "line", "column", "message", "hint"),
    [
        ("trit: -1", "trit: 2", "RG105", 4, 7, "'trit' must be one of -1, 0, 1, not 2", None),
        ("summary: Look.\n", "", "RG103", 1, 1, "'summary' is missing", None),
        ("summary:", "sumary:", "RG102", 5, 1, "unknown key 'sumary'", "did you mean 'summary'?"),
        ("version: 0.1.0", "version: 1.10", "RG104", 3, 10, "'version' must be a text, not 1.1", 'write it in quotes: "1.10"'),
        ("name: sense", "name: Sense_It", "RG101", 2, 7, "'name' is 'Sense_It', which is not allowed", "Lower case letters"),
        ("entry: acme.sense:run", "entry: acme.sense", "RG101", 6, 8, "'entry' is 'acme.sense', which is not allowed", "module:attribute"),
        ("{type: integer, default: 0}", "{type: integr}", "RG105", 7, 23, "'inputs.seed.type' must be one of", "did you mean 'integer'?"),
        ("{seed:", "{Seed:", "RG102", 7, 10, "the key 'Seed' is not allowed", "Lower case"),
        ("schema: 1", "schema: 2", "RG105", 1, 9, "'schema' must be 1, not 2", "a newer realitygap"),
        ("outputs: {score", "runtime: slow\noutputs: {score", "RG105", 8, 10, "'runtime' must be one of 'quick', 'long'", None),
    ],
)
def test_findings_say_what_where_and_what_to_do(old, new, rule, line, column, message, hint):
    assert old in SKILL
    found = [one for one in validate(parse(SKILL.replace(old, new), "skill.yaml"), "skill") if one.rule == rule]
    assert len(found) == 1, found
    assert (found[0].line, found[0].column) == (line, column)
    assert message in found[0].message
    assert hint is None or hint in (found[0].hint or "")


def test_yes_for_true_is_explained():
    (finding,) = validate(parse(SKILL + "cache: no\n"), "skill")
    assert finding.message == "'cache' must be true or false, not 'no'"
    assert finding.hint == "write false"


def test_the_alternative_that_was_meant_is_the_one_reported():
    pipeline = SKILL.replace("entry: acme.sense:run", "steps: [{id: a, uses: sense}]").replace("{score: {type: number}}", "{score: 3}")
    (finding,) = validate(parse(pipeline), "pipeline")
    assert "outputs.score" in finding.message
    wrong_step = pipeline.replace("{score: 3}", "{}").replace("uses: sense", "use: sense")
    found = validate(parse(wrong_step), "pipeline")
    assert {one.message for one in found} == {"'uses' is missing in 'steps[0]'", "unknown key 'use' in 'steps[0]'"}
    assert "did you mean 'uses'?" in {one.hint for one in found}


def test_require_raises_the_first_finding_with_its_place():
    with pytest.raises(InputError, match="'trit' must be one of") as caught:
        require(parse(SKILL.replace("trit: -1", "trit: 5"), "skill.yaml"), "skill")
    assert caught.value.where == "skill.yaml:4:7"
    assert require(parse(SKILL), "skill").data["name"] == "sense"


def test_problems_of_a_value_point_into_it():
    schema = {
        "type": "object",
        "properties": {"mass": {"type": "number", "minimum": 0, "x-unit": "kg"}, "names": {"type": "array", "minItems": 1}},
    }
    found = problems({"mass": -1, "names": []}, schema)
    assert [(one.pointer, one.message) for one in found] == [
        ("/mass", "'mass' must be at least 0 kg, not -1"),
        ("/names", "'names' must not be empty"),
    ]
