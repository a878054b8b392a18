"""Prose about triads at the edge: what is surely read, and what is left alone because a false alarm is worse than a missed claim."""

from __future__ import annotations

import pytest

from realitygap_plugins.triads.claims import Claim
from realitygap_plugins.triads.prose import find_claims
from realitygap_plugins.triads.text import Text
from realitygap_plugins.triads.verdicts import judge


def claims(text: str) -> list[Claim]:
    return find_claims(Text(text), path="x.md")


def truths(text: str) -> list[str]:
    return [judge(claim, {}).truth for claim in claims(text)]


@pytest.mark.parametrize(
    "text",
    [
        "a (+1), Some Scenes (0), c (-1) = 0",
        "a (+1) → some scenes (0) → c (-1) = 0 ✓",
        "[a (+1)](../a) → b (0) → c (-1) = 0",
        "a (+1)[^1] → b (0) → c (-1) = 0",
        "a (+1) → `b` `(0)` → c (-1) → d (0) = 0",
        "some a (**+1**), b (0), c (-1) = 0",
        "some a (`+1`) → b (0) → c (-1) = 0",
        "some a [+1], b (0), c (-1) = 0",
    ],
)
def test_the_rest_of_a_list_with_a_member_that_cannot_be_read_is_not_judged_alone(text: str) -> None:
    assert truths(text) == []


@pytest.mark.parametrize(
    "text",
    [
        *("`a (+1)`, b (0), c (-1) = 0 ✓", "`a (+1)` → b (0) → c (-1) = 0", "**a (+1)** → b (0) → c (-1) = 0 ✓"),
        "`a (+1)` ⊗ `b (0)` ⊗ `c (-1)` = 0",
    ],
)
def test_a_member_may_be_quoted_with_its_trit(text: str) -> None:
    (claim,) = claims(text)
    assert [(member.name, member.trit) for member in claim.members] == [("a", 1), ("b", 0), ("c", -1)]
    assert judge(claim, {}).truth == "true"


@pytest.mark.parametrize(
    "text", ["a (-1) ⊗ b (0) ⊗ (+1) = 0 ✓", "a (-1) + b (-1) + (-1) = 0", "a (-1) ⊗ b (0) ⊗ 42 (0) = 0", "a (-1) ⊗ b (0) ⊗ 42 (+1) ≡ 0"]
)
def test_the_end_of_a_named_group_is_no_sum_without_names(text: str) -> None:
    assert truths(text) == []


@pytest.mark.parametrize(
    "text",
    [
        *(
            "a (+1) ⊗ b (0) = +1 ✓",
            "(+1) + (+1) = 2 ✓",
            "a (+1) ⊗ b (0) ≠ 0 ✓",
            "a (-1) ⊗ b (0) needs +1 ✓",
            "a (+1) ⊗ b (0) ⊗ c (0) = 0 ✗",
        ),
        "(+1) + (+1) = 2 ≡ -1 (mod 3) ✓",
    ],
)
def test_a_mark_behind_what_is_said_confirms_or_denies_it(text: str) -> None:
    assert truths(text) == ["true"]


@pytest.mark.parametrize(
    "text", ["a (+1) ⊗ b (-1) = 0 ✗", "a (+1) ⊗ b (0) = 0 ✓", "a (+1) ⊗ b (0) = +1 balanced", "(+1) + (+1) = -1 + 1 = 0 ✓"]
)
def test_a_mark_or_a_word_that_says_otherwise_is_held_against_the_trits(text: str) -> None:
    assert truths(text) == ["false"]


TABLE = "| Skill | Trit |\n|---|---|\n| a | -1 |\n| b | 0 |\n| c | 0 |\n"


@pytest.mark.parametrize(
    "fence",
    [
        "```python\nassert sum(trits) % 3 == 0\n```",
        "```python\nreturn sum(ts) % 3 == 0\n```",
        "```python\ntotal = 0\n```",
        "```\nΣ trits = 0\n```",
    ],
)
def test_a_fence_below_a_table_is_not_its_sum(fence: str) -> None:
    assert truths(f"{TABLE}\n{fence}\n") == []


def test_a_table_and_its_sum_may_stand_in_one_fence() -> None:
    assert truths(f"```markdown\n{TABLE}\nΣ = (-1) + 0 + 0 = 0 ✓\n```\n") == ["false"]


@pytest.mark.parametrize("trit", ["-1 × 2", "-1, ×2", "-1x2", "-1·2"])
def test_a_multiplicity_beside_a_trit_is_not_read_as_one(trit: str) -> None:
    assert truths(f"a ({trit}) ⊗ b (+1) = -1") == ["undetermined"]


def test_a_placeholder_that_holds_a_group_has_no_trit() -> None:
    assert truths("[a (-1) ⊗ b (0)] ⊗ [c (0) ⊗ d (+1)] = 0") == ["undetermined"]
