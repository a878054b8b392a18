"""`-i key=value`, defaults, formats, validation."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realitygap.errors import InputError
from realitygap.inputs import parse_assignments, parse_text, parse_texts, prepare, read_inputs
from realitygap.skill import Skill


def skill(**inputs: Any) -> Skill:
    common = {"name": "demo", "version": "0.1.0", "trit": 0, "summary": "", "entry": "demo:run", "outputs": {}}
    return Skill(**common, inputs=inputs, directory=Path(), plugin="demo", distribution="demo")  # type: ignore[arg-type]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@given(st.integers())
def test_an_integer_reads_back(value: int) -> None:
    assert parse_text("n", str(value), {"type": "integer"}) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_reads_back(value: float) -> None:
    assert parse_text("x", repr(value), {"type": "number"}) == value


@given(st.text())
def test_a_text_is_taken_as_it_is(value: str) -> None:
    assert parse_text("t", value, {"type": "string"}) == value


@given(st.lists(json_values, max_size=5))
def test_a_list_as_json_reads_back(value: list[Any]) -> None:
    assert parse_texts("l", [json.dumps(value)], {"type": "array"}) == value


@given(st.dictionaries(st.text(max_size=5), json_values, max_size=5))
def test_an_object_as_json_reads_back(value: dict[str, Any]) -> None:
    assert parse_text("o", json.dumps(value), {"type": "object"}) == value


@given(st.lists(st.integers(), min_size=2, max_size=6))
def test_a_repeated_key_is_a_list_of_its_items(values: list[int]) -> None:
    schema = {"type": "array", "items": {"type": "integer"}}
    assert parse_texts("l", [str(value) for value in values], schema) == values


@given(st.text(), st.sampled_from(["integer", "number", "boolean", "array", "object", "null"]))
def test_any_text_gives_a_value_of_the_type_or_an_explained_error(text: str, kind: str) -> None:
    python = {"integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict, "null": type(None)}
    try:
        value = parse_texts("v", [text], {"type": kind})
    except InputError as error:
        message = error.message
    else:
        message = "'v'"
        assert isinstance(value, python[kind])  # type: ignore[arg-type]
        assert not (isinstance(value, float) and not math.isfinite(value))
    assert "'v'" in message


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1.5.2", "", "one"])
def test_what_is_no_finite_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="should be a number"):
        parse_text("x", text, {"type": "number"})


def test_a_value_may_hold_equal_signs_and_one_item_makes_a_list() -> None:
    demo = skill(text={"type": "string"}, logs={"type": "array", "items": {"type": "string"}})
    assert parse_assignments(["text=a=b", "logs=chirp*"], demo) == {"text": "a=b", "logs": ["chirp*"]}


def test_several_types_are_tried_and_text_comes_last() -> None:
    schema = {"anyOf": [{"type": "number"}, {"type": "string", "enum": ["auto"]}]}
    assert parse_text("fit", "auto", schema) == "auto"
    assert parse_text("fit", "0.5", schema) == 0.5


@pytest.mark.parametrize(
    ("assignments", "message", "hint"),
    [
        (["recordin=x"], "unknown input of demo 'recordin'", "did you mean 'recording'?"),
        (["recording"], "'recording' is not key=value", None),
        (["recording=a", "recording=b"], "input 'recording' was given 2 times and is not a list", None),
        (["trials=3.5"], "input 'trials' should be an integer, not '3.5'", None),
        (["flag=yes"], "input 'flag' should be true or false, not 'yes'", "write true or false"),
    ],
)
def test_a_wrong_assignment_names_the_input_and_what_was_expected(assignments: list[str], message: str, hint: str | None) -> None:
    demo = skill(recording={"type": "string"}, trials={"type": "integer"}, flag={"type": "boolean"})
    with pytest.raises(InputError) as caught:
        parse_assignments(assignments, demo)
    assert caught.value.message == message
    if hint:
        assert caught.value.hint == hint


def test_defaults_assets_and_relative_paths_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "walk.csv").write_text("t\n0\n")
    demo = skill(
        recording={"type": "string", "format": "recording", "default": "qube"},
        logs={"type": "array", "items": {"type": "string", "format": "path"}},
        out={"type": "string", "format": "path", "x-new": True, "default": "later.xml"},
        seed={"type": "integer", "x-optional": True},
    )
    prepared = prepare(demo, {"logs": ["walk.csv"]}, {"recording": {"qube": "/assets/qube.recording"}}, tmp_path)
    assert prepared == {"recording": "/assets/qube.recording", "logs": [str(tmp_path / "walk.csv")], "out": str(tmp_path / "later.xml")}


def test_a_path_that_does_not_exist_is_named_with_the_nearest_that_does(tmp_path: Path) -> None:
    (tmp_path / "walk.csv").touch()
    demo = skill(log={"type": "string", "format": "recording"})
    with pytest.raises(InputError, match=r"input 'log': no such file or folder: wakl\.csv") as caught:
        prepare(demo, {"log": "wakl.csv"}, {}, tmp_path)
    assert caught.value.hint == "did you mean 'walk.csv'?"
    with pytest.raises(InputError) as caught:
        prepare(demo, {"log": "qub"}, {"recording": {"qube": "/x"}}, tmp_path)
    assert caught.value.hint == "did you mean 'qube'?"


def test_validation_says_which_input_and_what_was_expected() -> None:
    demo = skill(trials={"type": "integer", "minimum": 1}, engine={"enum": ["mujoco", "mjx"], "default": "mjx"})
    with pytest.raises(InputError, match="input 'trials'"):
        prepare(demo, {"trials": 0}, {})
    with pytest.raises(InputError, match=r"input 'engine' should be one of mujoco, mjx, not \"mujuco\"") as caught:
        prepare(demo, {"trials": 1, "engine": "mujuco"}, {})
    assert caught.value.hint == "did you mean 'mujoco'?"
    with pytest.raises(InputError, match="demo needs the input 'trials'"):
        prepare(demo, {}, {})


def test_a_file_of_inputs_refuses_a_key_that_occurs_twice(tmp_path: Path) -> None:
    file = tmp_path / "inputs.yaml"
    file.write_text("a: 1\nb: [2, 3]\n")
    assert read_inputs(str(file)) == {"a": 1, "b": [2, 3]}
    for text in ("a: 1\na: 2\n", '{"a": 1, "a": 2}'):
        file.write_text(text)
        with pytest.raises(InputError):
            read_inputs(str(file))


@pytest.mark.parametrize("name", ["deep.json", "deep.yaml", "deep"])
def test_inputs_nested_too_deeply_are_refused_with_their_place(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text('{"a": ' + "[" * 100_000 + "]" * 100_000 + "}")
    with pytest.raises(InputError, match="nested deeper than 64 levels") as caught:
        read_inputs(str(tmp_path / name))
    assert caught.value.where is not None
    assert caught.value.where.startswith(f"{tmp_path / name}:1:")
    for schema in ({}, {"type": "array"}, {"type": "object"}):
        text = "[" * 50_000
        if schema:
            with pytest.raises(InputError, match="should be"):
                parse_text("a", text, schema)
        else:
            assert parse_text("a", text, schema) == text


def test_a_file_of_inputs_that_is_a_pipe_is_refused_and_json_needs_no_suffix(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="neither a plain file nor a folder"):
        read_inputs(str(tmp_path / "pipe"))
    (tmp_path / "inputs").write_text('{"a": "\\ud83d\\ude00"}')
    assert read_inputs(str(tmp_path / "inputs")) == {"a": "\U0001f600"}
    (tmp_path / "inputs.yaml").write_text("{a: 1}")
    assert read_inputs(str(tmp_path / "inputs.yaml")) == {"a": 1}


def test_a_word_that_the_schema_names_beside_a_path_is_not_taken_for_a_file(tmp_path: Path) -> None:
    choice = {"anyOf": [{"const": "auto"}, {"type": "string", "format": "path"}]}
    assert prepare(skill(fit=choice), {"fit": "auto"}, {}, base=tmp_path)["fit"] == "auto"
    (tmp_path / "fit.yaml").write_text("x: 1\n", encoding="utf-8")
    assert prepare(skill(fit=choice), {"fit": "fit.yaml"}, {}, base=tmp_path)["fit"] == str(tmp_path / "fit.yaml")
    with pytest.raises(InputError, match="no such file"):
        prepare(skill(fit=choice), {"fit": "missing.yaml"}, {}, base=tmp_path)


def test_a_pipe_an_empty_and_an_overlong_path_are_refused_in_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for text, words in (("pipe", "neither a plain file"), ("", "is empty"), ("x" * 5000, "cannot be a path|no file")):
        with pytest.raises(InputError, match=words):
            prepare(skill(log={"type": "string", "format": "path"}), {"log": text}, {}, base=tmp_path)
