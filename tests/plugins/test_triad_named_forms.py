"""Groups of named members as collections write them: names of several words, boxes, comments, docstrings, headings."""

from __future__ import annotations

import pytest

from realitygap_plugins.triads.prose import find_claims
from realitygap_plugins.triads.text import Text
from realitygap_plugins.triads.verdicts import judge


def groups(text: str) -> list[tuple[list[tuple[str, int | None]], str]]:
    found = find_claims(Text(text), path="x.md")
    return [([(one.name, one.trit) for one in claim.members], judge(claim, {}).truth) for claim in found]


@pytest.mark.parametrize("mark", ["⊗", "+", "→", "×"])
def test_a_name_beside_its_trit_may_have_several_words(mark: str) -> None:
    expected = [("Long", 1), ("Market Maker", 0), ("Short Term Loss", -1)]
    assert groups(f"Long (+1) {mark} Market Maker (0) {mark} Short Term Loss (-1) = 0 ✓") == [(expected, "true")]
    assert groups(f"a (+1) {mark} Bob Jones (0) {mark} c (0) = 0 ✓") == [([("a", 1), ("Bob Jones", 0), ("c", 0)], "false")]
    assert groups(f"- `a` (+1) {mark} **gamma cells** (-1) = 0") == [([("a", 1), ("gamma cells", -1)], "true")]


@pytest.mark.parametrize("before", ["", "- ", "1. ", "| x | ", "**Triad**: ", "> "])
def test_the_first_name_may_have_several_words_where_they_are_capitalised(before: str) -> None:
    expected = [("Gay MCP", 1), ("ACSets", 0), ("Three Match", -1)]
    assert groups(f"{before}Gay MCP (+1) ⊗ ACSets (0) ⊗ Three Match (-1) = 0 ✓") == [(expected, "true")]


@pytest.mark.parametrize("before", ["Use ", "The bundle ", "We load Some "])
def test_words_before_the_first_name_are_no_part_of_it(before: str) -> None:
    ((members, truth),) = groups(f"{before}fit-walk (+1) ⊗ look (0) ⊗ train (-1) = 0")
    assert (members[0], truth) == (("fit-walk", 1), "true")


@pytest.mark.parametrize(
    "second",
    [
        *(
            "b and c (+1)",
            "b plus c (+1)",
            "two others (+1)",
            "b needs one (+1)",
            "b is now (+1)",
            "c 2 (+1)",
            "3 cells (+1)",
            "b × c d (+1)",
        ),
        *("a name of five words (+1)", "b, c d (+1)", "Bob (+1)x", "Bob Jones [+1]"),
    ],
)
def test_words_that_are_no_name_of_one_member_leave_a_group_unread(second: str) -> None:
    assert [truth for _, truth in groups(f"a (-1) + {second} = 1")] == []


@pytest.mark.parametrize("text", ["a (+1), Some Scenes (0), c (+1) = 0", "a foo (1) + b bar (0) = 1", "ate a (+1) and then b c (-1) = 0"])
def test_prose_and_calls_with_numbers_in_brackets_stay_unread(text: str) -> None:
    assert groups(text) == []


BOX, COMMENT, SLASHES = "│   {}   │", "# {}", "// {}"


@pytest.mark.parametrize("frame", ["{}", "> {}", BOX, COMMENT, SLASHES, "┃ {}", "-- {}", ";; {}", "    ║ {} ║"])
def test_a_group_goes_on_in_the_next_line_of_a_box_or_a_comment(frame: str) -> None:
    def framed(*lines: str) -> str:
        return "```\n" + "\n".join(frame.format(line) for line in lines) + "\n```\n"

    three = [("a", 1), ("b", 0), ("c", -1)]
    assert groups(framed("a (+1) ⊗ b (0)", "⊗ c (-1) = 0")) == [(three, "true")]
    assert groups(framed("a (+1)", "⊗ b (0)", "⊗ c (-1)", "= 0 ✓")) == [(three, "true")]
    assert groups(framed("a (+1) ⊗ b (0) ⊗ c (-1)", "= +1 ✓")) == [(three, "false")]
    assert groups(framed("a (+1) ⊗ b (-1) = 0", "⊗ c (+1) = 0")) == [([("a", 1), ("b", -1)], "true")]


@pytest.mark.parametrize(
    "text",
    [
        *(
            "│ a (+1) │ │ b (0) │\n│   ⊗    │ │   ⊗   │\n│ c (-1) = 0 │ │ d (0) │",
            "│ a (+1) ⊗ b (0) │\n⊗ c (-1) = 0",
            "# a (+1)\n// ⊗ b (0) = 0",
        ),
        *("# a (+1)\n# → maps to b (0) = 0", "│ f(+1)  │\n│ → Need (-1) │", "- a (+1)\n- ⊗ b (-1) = +1"),
    ],
)
def test_lines_of_different_boxes_or_comments_are_not_joined(text: str) -> None:
    assert [truth for _, truth in groups(text) if truth != "undetermined"] == []


DOCSTRING = '```python\ndef balance():\n    """\n    {}\n    {}\n    """\n```\n'


def test_a_sum_in_a_docstring_that_speaks_of_trits_is_prose() -> None:
    said = "This is the GF(3) balanced state:"
    assert groups(DOCSTRING.format(said, "Riehl(-1) + Bengio(0) + Plus(+1) = 0")) == [([("Riehl", -1), ("Bengio", 0), ("Plus", 1)], "true")]
    assert groups(DOCSTRING.format(said, "Riehl(-1) + Bengio(0) = 0")) == [([("Riehl", -1), ("Bengio", 0)], "false")]
    assert groups(DOCSTRING.format(said, "").replace("    \n", "\n    Riehl(-1) + Bengio(0) = 0\n")) == [
        ([("Riehl", -1), ("Bengio", 0)], "false")
    ]


@pytest.mark.parametrize(
    "text",
    [
        DOCSTRING.format("The sign of a number:", "sign(-1) + sign(+1) = 0"),
        DOCSTRING.format("Trits.", '"""\n    x = sign(-1) + sign(+1) = 0\n    """'),
        '```python\n"""About trits."""\nsign(-1) + sign(+1) = 1\n```\n',
        '"""\n```python\n# trits\nsign(-1) + sign(+1) = 1\n```\n',
    ],
)
def test_calls_in_code_or_in_a_docstring_of_other_things_are_no_sum(text: str) -> None:
    assert groups(text) == []


ROWS = "| Skill | Trit |\n|--|--|\n| a | +1 |\n| b | {} |\n| c | 0 |\n"


@pytest.mark.parametrize("heading", ["### Triad 1: Infrastructure (Σ = 0)", "## Core (sum = 0 ✓)", "# Three (Σ ≡ 0 mod 3)"])
def test_a_sum_in_the_heading_of_a_table_of_skills_is_said_of_it(heading: str) -> None:
    assert [truth for _, truth in groups(f"{heading}\n\n{ROWS.format('-1')}")] == ["true"]
    assert [truth for _, truth in groups(f"{heading}\n\nThese go first.\n\n{ROWS.format('+1')}")] == ["false"]
    # What stands below the table says it better.
    assert [truth for _, truth in groups(f"{heading}\n\n{ROWS.format('+1')}\nSum = +2\n")] == ["true"]


@pytest.mark.parametrize(
    "above",
    [
        *("## Skills with Σ = 0 and others\n\n", "## Balanced triads\n\n", "## Three (Σ = 0)\n\n### Others\n\n", "## Three (Σ ≠ 0?)\n\n"),
        *("## Three (Σ = 0)\n\n| x | y |\n|--|--|\n| 1 | 2 |\n\n", "## Three (Σ = 0)\n\none\n\ntwo\n\nthree\n\nfour\n\n", "(Σ = 0)\n\n"),
        "## Wrong (Σ = 0)\n\n",
    ],
)
def test_a_heading_that_is_not_of_that_table_alone_says_nothing_of_it(above: str) -> None:
    assert groups(f"{above}{ROWS.format('+1')}") == []


@pytest.mark.parametrize("heading", ["## Balanced Triads", "### GF(3)-conserved groups"])
def test_a_named_sum_below_a_heading_that_says_so_claims_to_balance(heading: str) -> None:
    assert [truth for _, truth in groups(f"{heading}\n\n- a (-1) + b (0) + c (0)")] == ["false"]
    assert [truth for _, truth in groups(f"{heading}\n\n- a (-1) + b (0) + c (+1)")] == ["true"]


@pytest.mark.parametrize(
    "text",
    [
        "- a (-1) + b (0)",
        "- a (-1) + b (0) + more",
        "We need a (-1) + b (0) + c (0)",
        "- a (-1), b (0), c (0)",
        "- a (-1) + b (0) + c (0)?",
    ],
)
def test_other_sums_below_such_a_heading_claim_nothing(text: str) -> None:
    assert groups(f"## Balanced Triads\n\n{text}") == []
    assert groups("## Triads\n\n- a (-1) + b (0) + c (0)") == []
