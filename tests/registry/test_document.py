"""The one reader of documents."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realitygap.document import LocatedError, join, load, parse
from realitygap.errors import InputError

scalars = (
    st.none() | st.booleans() | st.integers(-(10**18), 10**18) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4), max_leaves=15
)


def pointers(value: Any, pointer: str = "") -> list[str]:
    found = [pointer]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += pointers(inner, join(pointer, key))
    return found


def at(value: Any, pointer: str) -> Any:
    for token in pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        value = value[int(token)] if isinstance(value, list) else value[token]
    return value


@settings(deadline=None)
@given(values)
def test_json_is_read_as_the_standard_library_reads_it(value):
    text = json.dumps(value)
    assert parse(text, "x.json").data == json.loads(text)


@settings(deadline=None)
@given(values, st.integers(0, 3))
def test_every_value_of_json_is_located_where_it_is_written(value, indent):
    text = json.dumps(value, indent=indent or None)
    document = parse(text, "x.json")
    lines = text.split("\n")
    for pointer in pointers(value):
        line, column = document.locate(pointer)
        inner = at(value, pointer)
        rest = lines[line - 1][column - 1 :]
        assert rest.startswith(json.dumps(inner) if not isinstance(inner, dict | list) else "[" if isinstance(inner, list) else "{")


@settings(deadline=None)
@given(values)
def test_yaml_written_by_pyyaml_comes_back_as_it_was(value):
    import yaml

    # Every scalar quoted and tagged, because unquoted PyYAML writes what the two versions of YAML read differently, such as 0E0.
    text = yaml.safe_dump(value, default_style='"', allow_unicode=True, sort_keys=False)
    assert json.dumps(parse(text).data) == json.dumps(value)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=80) | st.text(alphabet="{}[]:,-&*!|>'\"#%@` \n\tab1.0~<?", max_size=60))
def test_any_text_gives_a_document_or_an_error_with_a_place(text):
    for path in ("x.yaml", "x.json"):
        caught = None
        try:
            json.dumps(parse(text, path).data)
        except LocatedError as error:
            caught = error
        if caught is not None:
            assert caught.rule.startswith("RG0")
            assert caught.line >= 1
            assert caught.column >= 1
            assert caught.where == f"{path}:{caught.line}:{caught.column}"


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_give_a_document_or_an_input_error(raw):
    with contextlib.suppress(InputError):
        parse(raw, "x.yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("0x1f", 31),
        ("0o17", 15),
        ("2026-11-20", "2026-11-20"),
        ("12:30", "12:30"),
        ("1_000", "1_000"),
        ("~", None),
        (".inf", float("inf")),
        ("-.inf", float("-inf")),
        ("'1.10'", "1.10"),
        ("!!str 1.10", "1.10"),
        ("!!float 1", 1.0),
        ("+1", 1),
        ("-0", 0),
    ],
)
def test_plain_words_have_the_types_of_yaml_1_2(text, value):
    data = parse(f"a: {text}").data["a"]
    assert data == value
    assert type(data) is type(value)


def test_keys_are_texts_whatever_they_look_like():
    assert parse("no: 1\n1: 2\ntrue: 3\n'': 4").data == {"no": 1, "1": 2, "true": 3, "": 4}


@pytest.mark.parametrize(
    ("text", "rule", "line", "column", "words"),
    [
        ("a: 1\nb: 2\na: 3", "RG003", 3, 1, "'a' is given twice"),
        ("a: {x: 1, x: 2}", "RG003", 1, 11, "'x' is given twice"),
        ("a: 012", "RG004", 1, 4, "octal"),
        ("a: .nan", "RG004", 1, 4, "nan"),
        ("a: " + "9" * 400, "RG004", 1, 4, "400 digits"),
        ("a: &x [1, *x]", "RG005", 1, 4, "contains it"),
        ("a: *b", "RG001", 1, 4, "no anchor"),
        ("a: !!python/object/apply:os.system [ls]", "RG001", 1, 4, "not allowed"),
        ("a: !secret x", "RG001", 1, 4, "!secret"),
        ("a: 1\n---\nb: 2", "RG001", 2, 1, "second document"),
        ("a: &x {b: 1}\nc:\n  <<: *x", "RG001", 3, 3, "merge keys"),
        ("? [1]\n: 2", "RG001", 1, 3, "plain word"),
        ("a: b: c", "RG001", 1, 5, "not YAML"),
        ("a:\n\tb: 1", "RG001", 2, 1, "not YAML"),
        ("a: \x07", "RG002", 1, 4, "does not allow"),
        ("ü: é\x07", "RG002", 1, 5, "does not allow"),
        ("[" * 5000, "RG006", 1, 65, "deeper"),
        ("- " * 5000 + "1", "RG006", 1, 129, "deeper"),
    ],
)
def test_what_is_refused_is_refused_with_its_place(text, rule, line, column, words):
    with pytest.raises(LocatedError) as caught:
        parse(text, "x.yaml")
    assert (caught.value.rule, caught.value.line, caught.value.column) == (rule, line, column)
    assert words in str(caught.value)


def test_an_alias_bomb_is_refused_and_honest_aliases_are_not():
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))
    with pytest.raises(LocatedError, match="200000 values"):
        parse(bomb)
    document = parse("base: &b {gain: 1}\nuse: *b\nagain: [*b]")
    assert document.data["again"] == [{"gain": 1}]
    document.data["use"]["gain"] = 2
    assert document.data["base"]["gain"] == 1, "each alias is its own copy"


def test_a_byte_order_mark_changes_nothing_and_other_encodings_are_named():
    assert parse("\ufeffa: 1".encode()).locate("/a", key=True) == (1, 1)
    with pytest.raises(InputError, match="UTF-16"):
        parse("a: 1".encode("utf-16"))
    with pytest.raises(LocatedError, match="0xe9") as caught:
        parse(b"a: 1\nb: \xe9", "x.yaml")
    assert caught.value.where == "x.yaml:2:4"


def test_a_document_that_is_too_large_is_refused():
    with pytest.raises(InputError, match="8 MiB"):
        parse("a" * (8 * 1024 * 1024 + 1))


def test_what_is_missing_is_located_at_what_should_hold_it():
    document = parse("steps:\n  - id: a\n    with: {x: 1}\nlast: 1\n")
    assert document.locate("/steps/0/with/x") == (3, 15)
    assert document.locate("/steps/0/with/x", key=True) == (3, 12)
    assert document.locate("/steps/0/with/y") == (3, 5), "the key of the mapping that lacks it"
    assert document.locate("/steps/7/id") == (1, 1)
    assert document.locate("/nothing") == (1, 1)
    assert parse("").locate("/a") == (1, 1)


class Fault(Exception):
    def __init__(self, pointer: str, hint: str | None) -> None:
        super().__init__("no joint 'hip_l'")
        self.pointer, self.hint = pointer, hint


def test_a_pointer_becomes_file_line_and_column_with_the_line_shown(tmp_path):
    file = tmp_path / "robot-task.yaml"
    file.write_text("rewards:\n  - joint: hip_l\n")
    document = load(file)
    with pytest.raises(InputError) as caught, document.locating():
        raise Fault("/rewards/0/joint", "did you mean 'left_hip'?")
    assert str(caught.value).split("\n") == [
        f"{file}:2:12: no joint 'hip_l'",
        "    2 |   - joint: hip_l",
        "      |            ^^^^^",
        "  hint: did you mean 'left_hip'?",
    ]
    with pytest.raises(InputError) as caught, document.locating("/rewards"):
        raise Fault("/0/joint", None)
    assert caught.value.where == f"{file}:2:12"
    with pytest.raises(ZeroDivisionError), document.locating():
        raise ZeroDivisionError


def test_a_link_to_nothing_is_not_advised_as_itself(tmp_path):
    (tmp_path / "skill.yaml").symlink_to("gone")
    with pytest.raises(InputError, match="a link to 'gone', which is not there") as caught:
        load(tmp_path / "skill.yaml")
    assert caught.value.hint == "correct the link, or put a file in its place"


def test_missing_files_folders_and_yml_are_explained(tmp_path):
    (tmp_path / "task.yml").write_text("a: 1")
    with pytest.raises(InputError, match=r"'task.yml' is there; only '.yaml' is read"):
        load(tmp_path / "task.yaml")
    with pytest.raises(InputError, match="a folder"):
        load(tmp_path)
    with pytest.raises(InputError, match="did you mean"):
        load(tmp_path / "tasc.yml")
