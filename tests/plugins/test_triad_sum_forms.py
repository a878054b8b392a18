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


@pytest.mark.parametrize(
    ("text", "trits", "truth"),
    [
        ("- (+1, +1, +1) → 3 ≡ 0 ✓", [1, 1, 1], "true"),
        ("- (+1, +1, 0) → 2 ≡ 0 ✓", [1, 1, 0], "false"),
        ("- Major: (0, +1, -1) → 0 mod 3 ✓", [0, 1, -1], "true"),
        ("- `[1, 0, 0]` → 0 ✓ GF(3)", [1, 0, 0], "false"),
        ("GF(3) balance: [+1, 0, -1] ≡ 0 (mod 3) ✓", [1, 0, -1], "true"),
        ("GF(3) balance: [+1, 0, 0] ≢ 0 (mod 3) ✗", [1, 0, 0], "true"),
        ("trits: [0, 0, 0, 1] = 0 (mod 3) ✓", [0, 0, 0, 1], "false"),
        ("Sum(+1, -1, 0) = 0 ✓", [1, -1, 0], "true"),
        ("Σ[+1, -1] = 0 ✓", [1, -1], "true"),
        ("total(+1, +1, 0) = 0 ✓", [1, 1, 0], "false"),
    ],
)
def test_a_list_of_trits_of_which_something_is_said_is_a_sum(text: str, trits: list[int], truth: str) -> None:
    assert sums(text) == [(trits, truth)]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "choose a branch (-1, 0, +1)",
            "GF(3) = (-1, 0, +1)",
            "trits (-1, 0, +1) → 0",
            "GF(3): (0, +1) → -1 (mod 3)",
            "gf3-mul(-1, -1, 0) = 0 ✓",
        ),
        *("mod 3: (+1, +1, 0) → +1", "H : [0,1] → X ≡ 0", "- (-1, -1, +1) → -1 ≡ 0? → -1 + 3 = 2 ✗ (invalid!)", "dot [1, 0, 1] = 0"),
        *("sum([1, 0, 0]) == 0  # trits", "x × (1, 0, 0) ≡ 0", "(0, 0, 1) ≡ 0 (mod 2)", "median of (-1, +1, +1) = +1 in GF(3)"),
        *("checksum(1, 0, 0) = 0 ✓", "s = [0,0,1] → no error, trit 0", "(+1, 0, 0] ≡ 0", "(0, 1, 0) = 0 in a balanced frame"),
    ],
)
def test_a_list_of_numbers_that_is_no_sum_stays_unread(text: str) -> None:
    assert sums(text) == []


@pytest.mark.parametrize(
    ("text", "trits", "truth"),
    [
        ("# Sum = (+1+0-1) + (+1+0-1) + (+1+0-1) = 0 ✓", [1, 0, -1] * 3, "true"),
        ("# Sum = (+1+0-1) + (+1+0-1) + (+1+0+1) = 0 ✓", [1, 0, -1, 1, 0, -1, 1, 0, 1], "false"),
        ("Σ: (+1 + -1) - (+1 - 1) = 0", [1, -1, -1, 1], "true"),
        ("(+1+1+1) + (0+0+0+0+0) + (-1-1-1) = 3 + 0 + (-3) = 0 ✓ GF(3)", [1] * 3 + [0] * 5 + [-1] * 3, "true"),
        ("│ emit: +1 (nullify)   +   -1 (fee)    +    0 (commit)    =  0 ✓    │", [1, -1, 0], "true"),
        ("emit: +1 (nullify) + 0 (fee) + 0 (commit) = 0 ✓", [1, 0, 0], "false"),
        ("GF(3): (1 + 0 + -1) mod 3 = 0 ✓ VERIFIED", [1, 0, -1], "true"),
        ("GF(3): (1 + 0 + 0) mod 3 = 0 ✓", [1, 0, 0], "false"),
        # -1 is 2 modulo 3
        ("(-1 + 0 + 0) mod 3 = 2", [-1, 0, 0], "true"),
        ("+1        +      0       +      -1    = 0 ✓", [1, 0, -1], "true"),
        ("+1        +      0       +      +1    = 0 ✓", [1, 0, 1], "false"),
        ("(+1 generator) + (-1 backup_validator) + (0 coordinator) = 0 mod 3 ✓", [1, -1, 0], "true"),
        ("(+1 generator) + (0 backup_validator) + (0 coordinator) = 0 mod 3 ✓", [1, 0, 0], "false"),
        ("Sum: 2×(-1) + 3×0 + 2×(+1) = -2 + 0 + 2 = 0 ✓ (mod 3)", [-1, -1, 0, 0, 0, 1, 1], "true"),
        ("Sum: 2×(-1) + 3×0 + 1×1 = 0 ✓ (mod 3)", [-1, -1, 0, 0, 0, 1], "false"),
    ],
)
def test_a_sum_may_have_brackets_notes_counts_and_wide_spaces(text: str, trits: list[int], truth: str) -> None:
    assert sums(text) == [(trits, truth)]


@pytest.mark.parametrize(
    "text",
    [
        *("1 (a) + 1 (b) = 2", "29 (a) + 3 + 0 + 0 = 32", "(1 byte) + (0 bytes) = 1", "+1 (a) + 2 (b) + 0 (c) = 0 ✓", "f(1+0) + (1-1) = 1"),
        *("(1 + 0) * (+1 - 1) = 0", "x + (+1+0-1) + (+1) = 0", "(1+1+2) + (+1) = 5 mod 3", "2^(1+0) + (-1) = 1"),
        *("+1 (a) + 0 (b)", "3×1 + 2×0 = 3", "1.0×1 + (-1) = 0", "version 1 (new) - 0 (old) = 1"),
    ],
)
def test_arithmetic_of_other_numbers_stays_unread(text: str) -> None:
    assert sums(text) == []
