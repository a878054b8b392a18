"""Groups that go on in the next line of a drawn box or of a comment."""

from __future__ import annotations

import pytest

from realitygap_plugins.triads.prose import find_claims
from realitygap_plugins.triads.text import Text
from realitygap_plugins.triads.verdicts import judge


def groups(text: str) -> list[tuple[list[tuple[str, int | None]], str]]:
    found = find_claims(Text(text), path="x.md")
    return [([(one.name, one.trit) for one in claim.members], judge(claim, {}).truth) for claim in found]


BOX, COMMENT, SLASHES = "│   {}   │", "# {}", "// {}"


@pytest.mark.parametrize("frame", ["{}", "> {}", BOX, COMMENT, SLASHES, "┃ {}", "-- {}", ";; {}", "    ║ {} ║"])
def test_a_group_goes_on_in_the_next_line_of_a_box_or_a_comment(frame: str) -> None:
    def framed(*lines: str) -> str:
        return "```\n" + "\n".join(frame.format(line) for line in lines) + "\n```\n"

    three = [("a", 1), ("b", 0), ("c", -1)]
    assert groups(framed("a (+1) ⊗ b (0)", "⊗ c (-1) = 0")) == [(three, "true")]
    assert groups(framed("a (+1) ⊗", "b (0) ⊗", "c (-1) = 0 ✓")) == [(three, "true")]
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
