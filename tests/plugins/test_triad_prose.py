"""Prose about triads at the edge: what is surely read, and what is left alone because a false alarm is worse than a missed claim."""

from __future__ import annotations

import pytest

from realitygap_plugins.triads.claims import Claim
from realitygap_plugins.triads.prose import body_trits, find_claims
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
        *("`a (+1)`, b (0), c (-1) = 0 ✓", "`a (+1)` → b (0) → c (-1) = 0", "**a (+1)** → **b (0)** → **c (-1)** = 0"),
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
    "text",
    [
        "a (+1) ⊗ b (-1) = 0 ✗",
        "a (+1) ⊗ b (0) = 0 ✓",
        "a (+1) ⊗ b (0) = +1 balanced",
        "(+1) + (+1) = -1 + 1 = 0 ✓",
        "a (+1) ⊗ b (0) ⟹ Σ = 0",
        "a (+1) ⊗ b (0) [Σ = 0]",
    ],
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


FALSE = "a (-1) ⊗ b (0) ⊗ c (0) = 0"


@pytest.mark.parametrize(
    "text",
    [
        *(
            f"{before}{FALSE}"
            for before in ("Incorrect: ", "**Incorrect**: ", "Invalid: ", "Falsch: ", "- **Wrong** — ", "🚫 ", "⛔ ", "| Bad | ")
        ),
        *(
            f"{before} {FALSE}"
            for before in ("Don't write", "Do not claim that", "It is false that", "never `", "Not", "If", "The wrong formula")
        ),
        *(f"{FALSE}{behind}" for behind in ("   # WRONG", " ← wrong", " is false", " (false)", " would be wrong", '" was the old claim')),
        *(f"{FALSE}{behind}" for behind in (" only if c (+1) joins", " iff c (+1) joins", " unless d joins", " is a mistake")),
        *(f"```python\n{mark} {FALSE}\n```" for mark in ("# WRONG:", "# wrong\n#", "// wrong\n//")),
        *(f"{heading}\n\n{FALSE}" for heading in ("### ❌ Wrong", "# Wrong examples", "## Incorrect")),
        *(f"{above}\n{FALSE}" for above in ("Wrong:", "**Incorrect**:", "// wrong")),
    ],
)
def test_what_is_called_wrong_is_no_claim(text: str) -> None:
    assert truths(text) == []


def test_what_is_denied_beside_a_claim_leaves_the_claim() -> None:
    assert truths("(-1) + (0) + (+1) = 0 ✓, not (-1) + (0) + (0) = 0") == ["true"]
    assert truths("## Invalid\n\n(+1) + (+1) = 2 ≠ 0 (mod 3) ✗") == ["true"]


@pytest.mark.parametrize(
    "text",
    [
        *(f"{before}{FALSE}" for before in ("It does not matter, ", "No wrong sums. ", "Never fails: ", "Notable: ")),
        *(f"{FALSE}{behind}" for behind in (". Wrong sums are found.", " ✓ falsifiable")),
        f"## Falsified claims\n\n{FALSE}",
        f"- ❌ Bad: x (+1) ⊗ y (0) = 0\n- {FALSE}",
        f"Wrong units were used before.\n{FALSE}",
    ],
)
def test_a_word_of_denial_that_speaks_of_something_else_refuses_nothing(text: str) -> None:
    assert truths(text) == ["false"]


def trit_table(*rows: str, header: str = "Skill | Trit") -> str:
    return "\n".join([f"| {header} |", "|---" * (header.count("|") + 1) + "|", *(f"| {row} |" for row in rows), "", ""])


@pytest.mark.parametrize(
    ("header", "rows", "said"),
    [
        ("Skill | Trit | Count", ("a | -1 | 3", "b | +1 | 6"), "**Sum**: -3 + 6 = 3 ≡ 0 ✓"),
        ("Role | Trit | Agents", ("v | -1 | 3", "g | +1 | 4"), "**Σ = +1** → needs -1"),
        ("Role | Trit | Skills", ("v | -1 | 3", "g | +1 | 4"), "**Σ = +1**"),
        *(("Skill | Trit", (f"{cell} | -1", "c | +1"), "Sum = -1") for cell in ("a / b", "a and b", "skills 1-5", "7 others")),
        *(("Skill | Trit", (f"{cell} | -1", "c | +1"), "Sum = -1") for cell in ("a ×2", "a (2)")),
        ("Skill | Trit", ("a | -1", "b | 0", "[7 more] | 0"), "Σ = 0 ✓"),
        ("Skill | Trit", ("a | -1", "b | +1", "**Sum** | **0**", "c | +1"), ""),
    ],
)  # fmt: skip
def test_a_table_whose_rows_stand_for_several_is_not_judged(header: str, rows: tuple[str, ...], said: str) -> None:
    assert truths(trit_table(*rows, header=header) + said) == []


@pytest.mark.parametrize(
    ("header", "rows"),
    [
        ("N | Skill | Trit", ("1 | a | -1", "2 | b | 0")),
        ("Skill | Trit | Count", ("a | -1 | 1", "b, c | 0 | 2")),
        ("PR | Trit", ("7 | -1", "8 | 0")),
        ("Skill | Trit", ("max2 | -1", "model-3-5 | 0", "c (2024) | 0")),
    ],
)
def test_a_column_that_numbers_the_rows_or_counts_the_names_changes_nothing(header: str, rows: tuple[str, ...]) -> None:
    assert truths(trit_table(*rows, header=header) + "Sum = 0") == ["false"]


@pytest.mark.parametrize("cell", ["?", "???", "…", "TBD"])
def test_an_open_cell_of_a_role_is_a_placeholder(cell: str) -> None:
    (claim,) = claims(f"| MINUS | ERGODIC | PLUS | Sum |\n|--|--|--|--|\n| a | b | {cell} | 0 |\n")
    assert (claim.vacuous, judge(claim, {}).truth) == (True, "true")


@pytest.mark.parametrize("row", ["a | b | 42 | 0", "a / b | c | d | -1", "a ×2 | c | d, e | 0"])
def test_a_row_with_an_unclear_number_of_skills_is_not_judged(row: str) -> None:
    assert truths(f"| MINUS | ERGODIC | PLUS | Sum |\n|--|--|--|--|\n| {row} |\n") == []


@pytest.mark.parametrize(
    "line",
    [
        *(
            "Workloads are balanced across nodes.",
            "The registry as a whole is balanced.",
            "Workflows are GF(3)-balanced.",
            "Total cost = 0",
        ),
        *("Total = 3 skills", "Balanced workflow: `create >> delete` = 0", "Conservation: total = 0 per day", "- [ ] sum = 0"),
        *("∀ channel: Σ participant.trit ≡ 0 (mod 3)", "Σ trit(edit_i) ≡ 0", "Σ trits ≡ 0 ⟺ balanced edit", "Sum: 4 files", "Total: 3"),
    ],
)
def test_a_law_or_another_number_below_a_table_is_not_its_sum(line: str) -> None:
    assert truths(f"{TABLE}\n{line}\n") == []


@pytest.mark.parametrize("line", ["Sum: 0", "Total trit sum: 0", "**Sum**: +1", "Σ: 0 (mod 3)", "Sum = 0 in GF(3)"])
def test_the_sum_below_a_table_may_follow_a_colon(line: str) -> None:
    assert truths(f"{TABLE}\n{line}\n") == ["false"]
    assert truths(f"{TABLE}\nSum: -1\n") == ["true"]


def test_a_table_of_two_columns_needs_no_outer_pipes() -> None:
    assert truths("Skill | Trit\n---|---\na | -1\nb | 0\n\nSum = 0\n") == ["false"]


@pytest.mark.parametrize(
    "text",
    [
        *(f"{mark} (-1) + (0) + (0) = 0" for mark in ("//", "--", "/*", "-", "*", "> -", "1.", "#", "Triad —", "Triad –", "x := 0 //")),
        *("# -1 + 1 = 1", "L P R = -1 + 0 + 0 = 0 ✓", "- -1 + 0 + 0 = 0 (mod 3)"),
        *("Σ(-1, 0, 0) = 0", "Sum: Σ( −1,0 ) ≡ 0 (mod 3)"),
    ],
)
def test_a_sum_behind_the_mark_of_a_list_or_a_comment_is_read(text: str) -> None:
    assert truths(text) == ["false"]


@pytest.mark.parametrize(
    "text",
    [
        *("x - (-1) + (0) = 0", "2 – (-1) + (0) = 0", "f // (-1 + 0) = 0", "x / (-1) + (0) = 0"),
        *("y + (-1) + (0) = 0", "+ (-1) + (0) = 0", "Σ(-1, 0, 2) = 0", "1 + Σ(-1, 0) = 0"),
    ],
)  # fmt: skip
def test_a_sum_behind_an_operator_is_the_rest_of_a_longer_one(text: str) -> None:
    assert truths(text) == []


@pytest.mark.parametrize(
    "text",
    [
        *(f"a (-1) ⊗ b (0) ⊗ c (0) {said}" for said in ("= **0**", "**= 0**", "**✓**", "`= 0`", "= `0` ✓")),
        *("**a (-1) ⊗ b (0) ⊗ c (0)** = 0", "`a (-1) ⊗ b (0) ⊗ c (0)` = 0", "*a (-1) ⊗ b (0) ⊗ c (0)* = 0"),
        *("Sum: `(-1) + (0) + (0)` = 0", "Sum: **(-1) + (0) + (0)** = **0**", "Sum: (-1) + (0) + (0) = **0** ✓"),
        "a (-1) ⊗ b (0) ⊗ c (0)\n= -1 + 0 + 0\n= 0 ✓",
    ],
)
def test_what_is_said_may_be_bold_or_quoted_or_follow_a_calculation(text: str) -> None:
    assert truths(text) == ["false"]


@pytest.mark.parametrize(
    "text",
    [
        *(f"# Me\n\n### {heading}\n\n**Trit**: -1" for heading in ("fit-walk", "1. `fit`", "[fit](../fit)", "**fit-walk**:")),
        "# Me\n\n## Related skills\n\n- fit-walk\n  - Trit: -1",
        "# Me\n\n- `fit`\n  some words\n  Trit: -1",
        "# Me\n\n<!--\nTrit: -1\n-->",
    ],
)
def test_the_trit_of_another_skill_or_in_a_comment_is_no_declaration(text: str) -> None:
    assert body_trits(Text(text), name="me") == []


@pytest.mark.parametrize(
    "text",
    [
        "# my-other-name\n\n**Trit**: -1",
        "# Title\n\n## me\n\n**Trit**: -1",
        "# Me\n\n## GF(3)\n\n**Trit**: -1",
        "# Me\n\n- `me`\n  - Trit: -1",
        "# Me\n\n- GF(3)\n  - Trit: -1",
        "# Me\n\n<!-- a comment -->\nTrit: -1",
        "# Me\n\n```html\n<!--\n```\n\nTrit: -1\n\n-->",
        "# Me\n\n`<!--` opens a comment\n\nTrit: -1 -->",
        "# Me\n\n<!-- never closed\n\nTrit: -1",
        "# Me\n\n- fit-walk\n- Trit: -1",
    ],
)
def test_the_trit_of_the_skill_itself_is_its_declaration(text: str) -> None:
    assert [one.trit for one in body_trits(Text(text), name="me")] == [-1]


@pytest.mark.parametrize("heading", ["How to find balanced triads", "Finding balanced triads", "Candidates for balanced triads"])
def test_a_heading_that_speaks_of_a_search_claims_nothing(heading: str) -> None:
    assert truths(f"## {heading}\n\n- a (-1) ⊗ b (0) ⊗ c (0)") == ["undetermined"]


@pytest.mark.parametrize(
    "said", ["balanced against c (+1)", "balanced once c (+1) joins", "conserved only with c (+1)", "needs 0 dependencies"]
)
def test_what_is_said_with_a_condition_or_of_other_things_claims_nothing(said: str) -> None:
    assert truths(f"a (-1) ⊗ b (0) {said}") == ["undetermined"]
