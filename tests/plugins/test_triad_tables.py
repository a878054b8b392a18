"""Claims in tables: a column of trits with its sum below, a column for each role."""

from __future__ import annotations

import pytest
from triadbench import claims, read

from realitygap_plugins.triads.verdicts import judge


def test_a_table_of_skills_is_judged_by_the_sum_below_it() -> None:
    head = "| Role | Skill | Trit |\n|------|:-----:|------|\n"
    rows = "| VALIDATOR | **obstruction-learning** | -1 |\n| COORDINATOR | [sheaf](x.md) | 0 (ERGODIC) |\n"
    rows += "| GENERATOR | `gf3_check` | PLUS (+1) |\n"
    expected = [("obstruction-learning", -1), ("sheaf", 0), ("gf3_check", 1)]
    assert read(head + rows + "\n**Sum = 0** ✓ GF(3) conserved\n") == ("table", expected, "balanced", "true")
    # The sum written out is the same claim, not another one.
    assert read(head + rows + "\n**Conservation**: (-1) + (0) + (+1) = 0 ✓\n") == ("table", expected, "balanced", "true")
    assert read(head + rows + "| **Sum** | | +1 ✗ |\n") == ("table", expected, "balanced", "false")
    assert claims(head + rows + "\nThey are used together.\n") == []
    assert claims(head + rows + "\nA violation of conservation is when Σ ≢ 0 mod 3.\n") == []


FOUR = "| Skill | Trit |\n|--|--|\n| fit | 0 |\n| look | -1 |\n| walk | -1 |\n| train | +1 |\n\n"


@pytest.mark.parametrize(
    "line",
    [
        "**GF(3)**: fit (0) ⊗ look (-1) ⊗ train (+1) = 0",
        "a (+1) ⊗ b (-1) = 0 is GF(3)-conserved.",
        "Sum of the first two: -1 + 0 = -1",
        "Sum: 0 + (-1) = -1",
        "Skills with trit = 0 are coordinators.",
        "Trit = 1 is a generator.",
        "✓ trits declared",
        "Run `check --net=0` to see the total.",
        "Add c (+1) for a GF(3) balanced triad.",
        "With c (+1) the sum = 0.",
        "GF(3) sum over all 26 worlds: 0 ✓",
        "Weighted sum = -1",
        "Each bundle has GF(3) sum = 0.",
    ],
)
def test_a_line_below_a_table_that_speaks_of_something_else_is_not_its_sum(line: str) -> None:
    assert [claim for claim in claims(FOUR + line) if claim.form == "table"] == []


@pytest.mark.parametrize(
    ("line", "truth"),
    [
        # 0 - 1 - 1 + 1 = -1
        ("**Sum** = -1", "true"),
        ("Total skills = 4, net = -1", "true"),
        ("Total skills = 4, net = +1", "false"),
        ("**GF(3)**: (-1) + (-1) + (0) + (+1) = -1", "true"),
        ("Not yet balanced: needs two +1", "true"),
        ("The trits are not conserved.", "true"),
        ("Balance: = 0 ✓", "false"),
    ],
)
def test_the_sum_below_a_table_is_the_one_of_all_its_trits(line: str, truth: str) -> None:
    (claim,) = claims(FOUR + line)
    assert (claim.form, len(claim.members), judge(claim, {}).truth) == ("table", 4, truth)


def test_a_row_without_a_name_counts_in_the_sum_of_its_table() -> None:
    text = "| PR | Trit | Skill |\n|--|--|--|\n| #1 | 0 | a (+1) |\n| #2 | -1 | b (0) |\n| #3 | +1 | — |\n\n**Σ(PR trits) = 0 ✓**\n"
    assert read(text) == ("table", [("a", 0), ("b", -1), ("", 1)], "balanced", "true")


@pytest.mark.parametrize("joined", [", ", ",", "; ", "<br>", " <br/> "])
def test_a_cell_may_name_several_skills(joined: str) -> None:
    # -1 - 1 + 0 + 1 + 1 = 0
    head = "| Trit | Skills |\n|--|--|\n"
    text = head + f"| -1 | `a`{joined}b-1 |\n| 0 | Makes, and checks, all |\n| +1 | d{joined}e |\n\nSum = 0\n"
    assert read(text)[1:] == ([("a", -1), ("b-1", -1), ("Makes, and checks, all", 0), ("d", 1), ("e", 1)], "balanced", "true")
    roles = f"## Balanced triads\n\n| Minus (-1) | Ergodic (0) | Plus (+1) |\n|---|---|---|\n| a{joined}b | c | d |\n"
    assert read(roles) == ("roles", [("a", -1), ("b", -1), ("c", 0), ("d", 1)], "unbalanced", "false")


def test_each_row_of_a_table_with_a_column_for_each_role_is_a_claim() -> None:
    text = "| Triad | PLUS (+1) | ERGODIC (0) | MINUS (-1) | Sum |\n|---|---|---|---|---|\n"
    text += "| x | `a` | `b` | `c` | 0 ✓ |\n| y | d | e | f | +1 ✗ |\n"
    first, second = claims(text)
    assert [(m.name, m.trit) for m in first.members] == [("c", -1), ("b", 0), ("a", 1)]
    assert [(one.line, judge(one, {}).truth) for one in (first, second)] == [(3, "true"), (4, "false")]
    # Without a sum nothing is claimed, unless the heading claims it.
    plain = "| Minus (-1) | Ergodic (0) | Plus (+1) |\n|---|---|---|\n| a | b | c |\n"
    assert [judge(one, {}).truth for one in claims(plain)] == ["undetermined"]
    assert [judge(one, {}).truth for one in claims("## Balanced triads\n\n" + plain)] == ["true"]
