"""What a skill gives back becomes plain JSON."""

from __future__ import annotations

import json
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realitygap import outputs as outputs_module
from realitygap.outputs import SkillDefect, _plain

LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
KEYS = st.text() | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner))


def plain(value: Any, name: str) -> Any:
    """One output, as it is given on and as it is written."""
    outputs, text = outputs_module.plain({name: value})
    assert json.loads(text) == outputs
    return outputs[name]


def test_outputs_become_plain_json() -> None:
    numpy = pytest.importorskip("numpy")
    value = {"a": numpy.float32(0.5), "b": numpy.arange(2), "c": Path("x"), "d": (1, True, None)}
    assert plain(value, "out") == {"a": 0.5, "b": [0, 1], "c": "x", "d": [1, True, None]}
    assert plain(MappingProxyType({"e": numpy.int64(1)}), "out") == {"e": 1}


@pytest.mark.parametrize("bad", [float("inf"), float("nan"), object(), b"bytes", {1, 2}])
def test_what_json_cannot_hold_is_refused_with_its_place(bad: Any) -> None:
    with pytest.raises(SkillDefect, match=r"output 'out\.rows\[1\]\.value' is"):
        plain({"rows": [{"value": 1}, {"value": bad}]}, "out")


def test_a_number_of_an_array_that_json_cannot_hold_is_refused_with_its_place() -> None:
    numpy = pytest.importorskip("numpy")
    with pytest.raises(SkillDefect, match=r"output 'out\.curve\[2\]' is nan"):
        plain({"curve": numpy.array([0.0, 1.0, numpy.nan])}, "out")


def test_keys_that_are_no_texts_become_some() -> None:
    assert plain({2: 0, None: 1, True: 2, Path("x"): 3}, "out") == {"2": 0, "null": 1, "true": 2, "x": 3}


def test_of_two_keys_that_are_one_name_in_json_the_last_is_written_alone() -> None:
    outputs, text = outputs_module.plain({"rows": {1: "a", "1": "b"}})
    assert outputs == {"rows": {"1": "b"}}
    assert text.count('"1"') == 1


def test_texts_of_a_kind_of_their_own_become_plain_ones_beside_a_key_that_needs_the_slow_way() -> None:
    class Name(str):
        def __str__(self) -> str:
            return "Name." + self

    outputs, text = outputs_module.plain({"odd": {Path("x"): 1}, "name": Name("b")})
    assert outputs == {"odd": {"x": 1}, "name": "b"}
    assert json.loads(text) == outputs


def test_a_number_too_long_to_write_is_a_defect_of_the_skill() -> None:
    with pytest.raises(SkillDefect, match="cannot be written"):
        outputs_module.plain({"count": 10**5000})


@given(VALUES)
def test_the_quick_way_gives_what_the_slow_one_does(value: Any) -> None:
    assert plain(value, "out") == _plain(value, "out")
    json.dumps(plain(value, "out"), allow_nan=False)
