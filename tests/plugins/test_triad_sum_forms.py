"""Sums of trits without names, as collections write them: each form with a true one, a false one, and what only looks like it."""

from __future__ import annotations

import pytest

from realitygap_plugins.triads.prose import find_claims
from realitygap_plugins.triads.text import Text
from realitygap_plugins.triads.verdicts import judge


def sums(text: str) -> list[tuple[list[int | None], str]]:
    return [([one.trit for one in claim.members], judge(claim, {}).truth) for claim in find_claims(Text(text), path="x.md")]


@pytest.mark.parametrize("label", ["**GF(3) Balance:** ", "*Sum:* ", "***Sum:*** ", "- **Sum:** ", "> **Σ:** ", "__GF(3):__ ", "**Sum**: "])
def test_a_sum_may_follow_a_label_whose_colon_is_emphasised_too(label: str) -> None:
    assert sums(f"{label}1 + 0 + (−1) ≡ 0 (mod 3) ✓") == [([1, 0, -1], "true")]
    assert sums(f"{label}1 + 0 + 1 = 0 ✓") == [([1, 0, 1], "false")]


@pytest.mark.parametrize("text", ["x ** (+1) + (-1) = 0", "a :* b * (+1) + (-1) = 0", "**Σ:** 29 (a) + 3 + 0 + 0 = 32"])
def test_a_star_that_multiplies_ends_no_label(text: str) -> None:
    assert sums(text) == []


def test_the_sum_below_a_table_behind_such_a_label_is_of_other_trits_where_it_writes_others() -> None:
    table = "| Skill | Trit |\n|--|--|\n| a | +1 |\n| b | +1 |\n| c | 0 |\n\n"
    assert sums(f"{table}**Sum:** (+1) + (-1) + (0) = 0 ✓") == [([1, -1, 0], "true")]
    assert sums(f"{table}**Sum:** (+1) + (0) + (+1) = 2 ✓") == [([1, 1, 0], "true")]


@pytest.mark.parametrize(
    "text",
    [
        *("(+1) → (0) + (0) + (-1) ≡ 0", "(-1)   →  (0) + (0) + (+1) ≡ 0", "`(-1)` ⇒ (+1) + (+1) = 0"),
        *("x: -1 -> (+1) + (+1) = 0", "GF(3): (-1) ↦ +1 + 0 = 1"),
    ],
)
def test_the_trits_behind_an_arrow_from_a_trit_are_a_part_of_something_longer(text: str) -> None:
    assert sums(text) == []


def test_an_arrow_from_something_else_stands_before_a_sum() -> None:
    assert sums("Step 1 → (+1) + (0) + (-1) = 0 ✓") == [([1, 0, -1], "true")]
    assert sums("`⊕ ⊗ ⊕` → (+1) + (+1) = 0 ✓") == [([1, 1], "false")]
    # With what stands before the arrow, or without it, this is 0.
    assert [truth for _, truth in sums("(0) → (+1) + (-1) ≡ 0")] == ["true"]
    # What is said of one sum is no trit of the next.
    assert sums("(+1) + (0) = +1 → (+1) + (0) + (-1) = 0 ✓") == [([1, 0], "true"), ([1, 0, -1], "true")]
