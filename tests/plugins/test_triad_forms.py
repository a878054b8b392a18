"""The forms in which collections write trits and claims in lines: each with its traps. Tables have a file of their own."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from triadbench import claims, read

from realitygap_plugins.triads import assertions, members, prose, refusals, sums, tables
from realitygap_plugins.triads.collection import read_collection
from realitygap_plugins.triads.notation import NotATrit, read_trit
from realitygap_plugins.triads.prose import body_trits, find_claims
from realitygap_plugins.triads.text import Text
from realitygap_plugins.triads.verdicts import judge


@pytest.mark.parametrize(
    ("text", "form", "trits", "arithmetic", "truth"),
    [
        ("three-match⊖ ⊗ ducklake-walk○ ⊗ gay-mcp⊕ ⊢ 0", "symbols", [-1, 0, 1], "balanced", "true"),
        ("pr-1○ ⊗ pr-2⊕ ⊗ pr-3⊕ ⊢ Σ = 0 ✓", "symbols", [0, 1, 1], "unbalanced", "false"),
        ("Triad: [+]world, [○]glass, [−]dialectica (Σ=0)", "comma", [1, 0, -1], "balanced", "true"),
        ("[−]a, [○]b, [○]c (Σ=-1)", "comma", [-1, 0, 0], "unbalanced", "true"),
        ("vat-minus (⊖ -1) × vat-zero (⊙ 0) × vat-plus (⊕ +1) = 0 ✓", "line", [-1, 0, 1], "balanced", "true"),
        ("2-monad (0) ⊗ mcp__x__y (-1) ⊗ pkg:skill (+1) = 0 ✓", "line", [0, -1, 1], "balanced", "true"),
        ("a (0) ⊗ b (+1)\n  ⊗ c (-1) = 0 ✓", "line", [0, 1, -1], "balanced", "true"),
        ("a (0) ⊗\n  b (+1) ⊗\n  c (+1)\n= 0 ✓", "line", [0, 1, 1], "unbalanced", "false"),
        ("| x | a (-1) ⊗ b (0) ⊗ c (+1) = 0 ✓ |", "line", [-1, 0, 1], "balanced", "true"),
        ('gf3_triad: "a (-1) ⊗ b (0) ⊗ c (0)"', "line", [-1, 0, 0], "unbalanced", "false"),
        ("a (-1) ⊗ b (-1) ⊗ c (+1) + meta(+1) = 0 ✓", "line", [-1, -1, 1, 1], "balanced", "true"),
        ("j (+1) ⊗ g (+1) ⊗ s (-1) = 1 ✗ (need -1)", "line", [1, 1, -1], "unbalanced", "true"),
        ("i (-1) ⊗ r (-1) ⊗ v (+1) = needs +1 partner", "line", [-1, -1, 1], "unbalanced", "true"),
        ("a (+1) + b (0) + c (-1) ≠ 0", "line", [1, 0, -1], "balanced", "false"),
        ("red(-1) ⊗ yellow(-1) ⊗ blue(+1) = -1", "line", [-1, -1, 1], "unbalanced", "true"),
        ("a (-2 mod 3) ⊗ b (-1) = 0", "line", [1, -1], "balanced", "true"),
        ("a (-1) ⊗ [new-gen(+1)] = 0", "line", [-1, 1], "balanced", "true"),
        ("(-1) + (0) + (+1) ≡ 0 (mod 3)", "numbers", [-1, 0, 1], "balanced", "true"),
        ("Σ(charge) = +1 + 0 + (-1) = 0 ✓", "numbers", [1, 0, -1], "balanced", "true"),
        ("2(+1) + 3(0) + 2(-1) = 0 ✓", "numbers", [1, 1, 0, 0, 0, -1, -1], "balanced", "true"),
        ("(-1) + (-1) + (0) + (+1) = -1 + 1 = 0 ✓", "numbers", [-1, -1, 0, 1], "unbalanced", "false"),
        ("GF(3): -1 + 0 + (-1) = -2 ≡ 1 (mod 3) ⚠️", "numbers", [-1, 0, -1], "unbalanced", "true"),
        ("- `⊕ ⊗ ⊕` → 1 + 1 = 2 ≠ 0 (mod 3) ✗", "numbers", [1, 1], "unbalanced", "true"),
        ("(-1) ⊗ (0) ⊗ (+1) = 0 mod 3", "numbers", [-1, 0, 1], "balanced", "true"),
        ("a ⊗ b ⊗ c = 0 ✓", "names", [None, None, None], "undetermined", "undetermined"),
        ("a (0) ⊗ [MISSING -1] ⊗ b (+1) = ???", "line", [0, None, 1], "undetermined", "undetermined"),
    ],
)  # fmt: skip
def test_a_claim_in_a_line(text: str, form: str, trits: list[int | None], arithmetic: str, truth: str) -> None:
    found, members, *verdicts = read(text)
    assert (found, [trit for _, trit in members], *verdicts) == (form, trits, arithmetic, truth)


@pytest.mark.parametrize(
    "text",
    [
        "(-1) + fit (0) + train (+1) = 0",
        "-1 ⊗ b (0) ⊗ c (0) = -1",
        "a (+1) + foo bar (0) + c (+1) = 0",
        "a (-1) ⊗ foo bar (0) ⊗ c (+1) = 0",
        "a (-1) ⊗ 🤖b (0) ⊗ c (+1) = 0",
        "a (-1) ⊗ b's (0) ⊗ c (+1) = 0",
        "a (1st) ⊗ b (0) ⊗ c (+1) = 0",
        "a (-1)\u2060 ⊗ b (0) ⊗ c (+1) = 0",
        "2×a (+1) + b (+1) = 3 ≡ 0",
        "2*a (+1) + b (+1) = 3 ≡ 0",
        *(f"a (+1){joined}b (-1) ⊗ c (-1) = -1" for joined in (" & ", "; ", " | ", " ↔ ", " / ", " - ", " and ", " ⊗ (")),
    ],
)
def test_the_rest_of_a_longer_sum_is_not_judged_alone(text: str) -> None:
    assert claims(text) == []


@pytest.mark.parametrize(
    "text",
    [
        *(f"a (-1) ⊗ b (0) ⊗ {last}" for last in ("_ (+1) = 0", '"c d" (+1) = 0', "...", "<your-skill> (+1)", "{any} (+1)")),
        "(a (-1) ⊗ b (0)) ⊗ c (+1)",
        "> a (-1) ⊗ b (0) ⊗\n>\n> c (+1) = 0",
    ],
)
def test_the_beginning_of_a_longer_group_is_not_judged_alone(text: str) -> None:
    assert claims(f"## Balanced Triads\n\n{text}\n") == []


@pytest.mark.parametrize("text", ["> a (-1) ⊗ b (0) ⊗\n> c (+1) = 0 ✓", "> a (-1) ⊗ b (0)\n> ⊗ c (+1) = 0 ✓"])
def test_a_quotation_goes_on_in_the_next_line(text: str) -> None:
    assert read(text) == ("line", [("a", -1), ("b", 0), ("c", 1)], "balanced", "true")


@pytest.mark.parametrize(
    "text",
    [
        "a (+1)\n+ b (-1) = 0",
        "a (+1) +  \nb (-1) = 0",
        "a (+1)\n   → b (-1) = 0",
        "(+1) +\n(-1) = 0",
    ],
)
def test_a_group_may_go_on_in_lines_that_hold_none_alone(text: str) -> None:
    (claim,) = claims(f"Before it.\n{text}\nBehind it (0).")
    assert (claim.line, claim.end_line, sum(m.trit or 0 for m in claim.members)) == (2, 2 + text.count("\n"), 0)


@pytest.mark.parametrize("before", ["- ", "+ ", "1. ", "(1) ", "> * ", "Triad 2: ", "| x (0) | ", "a (-1) ⊗ b (+1) = 0, "])
def test_what_stands_before_a_group_that_is_whole_does_not_matter(before: str) -> None:
    assert judge(claims(f"{before}a (-1) ⊗ b (0) ⊗ c (+1) = 0")[-1], {}).truth == "true"


DENIALS = (
    *("GF(3) Not Conserved", "Unconserved", "Non-balanced Triads", "Never balanced: examples", "Balanced vs Unbalanced", "To be balanced"),
    *("Load-balanced routing", "GF(3) ≠ 0 → not conserved", "Cost sums to 0.5", "temperature = 0.3", "Agents (trit = 0)", "Out of balance"),
    *("GF(3) conservation violated", "These aren't balanced", "Sums to zeros"),
)


@pytest.mark.parametrize("group", ["a (-1) ⊗ b (0) ⊗ c (0)", "| Minus (-1) | Ergodic (0) | Plus (+1) |\n|---|---|---|\n| a | b | c |"])
@pytest.mark.parametrize("heading", DENIALS)
def test_a_heading_that_denies_the_balance_or_speaks_of_another_claims_nothing(heading: str, group: str) -> None:
    (claim,) = claims(f"## {heading}\n\n{group}\n")
    assert claim.assertions == ()


@pytest.mark.parametrize("heading", ["Balanced triads", "GF(3)-conserved", "Triads (GF(3) = 0)", "Sums to 0", "Rebalanced: Σ ≡ 0"])
def test_a_heading_that_says_so_claims_that_its_groups_balance(heading: str) -> None:
    (claim,) = claims(f"## {heading}\n\na (-1) ⊗ b (0) ⊗ c (0)\n")
    assert judge(claim, {}).truth == "false"


@pytest.mark.parametrize(
    ("text", "claimed"),
    [
        ("## Balanced triads\n\nOthers\n------\n\n", 0),
        ("Balanced triads\n===============\n\n", 1),
        ("---\nname: x\n\nnote: balanced triads\n---\n\n", 0),
        ("## Balanced triads\n\nSome words.\n\n---\n\n", 1),
        ("## Balanced triads\n\n- some words\n---\n\n", 1),
        ("## Balanced triads\n\n```\n\nsome words\n---\n```\n\n", 1),
    ],
)
def test_a_heading_may_be_underlined(text: str, claimed: int) -> None:
    (claim,) = claims(f"{text}a (-1) ⊗ b (0) ⊗ c (+1)\n")
    assert len(claim.assertions) == claimed


@pytest.mark.parametrize(
    "text",
    [
        "1 + 1 = 2",
        "fib(1) + fib(0) = 1",
        "assert add(0), sub(0) == 0",
        "the epochs 0 - 1 = x",
        "tests (32), GF(3) conservation",
        "Categorical: (-7) + 0 + 1 = -6 ≡ 0 (mod 3) ✓",
        "18 × (+1) = +18",
        "choose a branch (-1, 0, +1)",
        "Power (1D) + Thermal (24D) + EM (1D) = 26",
        "f(0) + g(1) = h",
        "σ: A ⊗ B → B ⊗ A",
        "Poly Op: ⊗ (parallel)",
        "see tmux(1), ssh(1) and rg(1)",
        "(Numbers 1 and 0) = 1",
        "2025-01-01 = 0 (mod 3)",
        "| 🔴 | 1069 | ⊗ tensor | ORDER |",
        "a + b → c",
        "Needs (-2) for balance",
    ],
)
def test_what_only_looks_like_a_claim_is_none(text: str) -> None:
    assert claims(text) == []


@pytest.mark.parametrize(
    "value",
    [
        *("-1, 0, +1", "0 or 1", "-1/0/+1", "int = 1", "generator (2)", "⊕ (-1)", "9" * 5000, "-1..1", "PLUS +1 or MINUS -1"),
        *("ERGODIC 0, then PLUS +1", "(0 + 1) mod 3", "(1 - x)", "(1) + (2)", "(1)..(3)"),
    ],
)
def test_several_numbers_or_none_are_no_trit(value: str) -> None:
    with pytest.raises(NotATrit):
        read_trit(value)


@pytest.mark.parametrize(
    "value",
    [
        *("+1 = generator, -1 = validator", "0 means coordinator, +1 means generator", "-1 for look, +1 for fit"),
        *("-1 (MINUS) for one; 0 for two", "0-indexed"),
    ],
)
def test_a_legend_is_no_trit(value: str) -> None:
    with pytest.raises(NotATrit):
        read_trit(value)


def test_frontmatter_with_a_colon_in_a_text_is_read_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "a"
    folder.mkdir()
    (folder / "SKILL.md").write_text("---\nname: a\ndescription: Use when: always `now`\ntrit: +1\nversion: `1`\n---\nTrit: -1\n")
    (record,) = read_collection(tmp_path).records
    assert [(d.source, d.trit, d.line) for d in record.declarations] == [("frontmatter.trit", 1, 4), ("body", -1, 7)]
    assert (record.trit, record.declared and record.declared.trit, record.conforms) == (None, 1, False)
    assert "not valid YAML" in record.problems[0]


@pytest.mark.parametrize(
    "line",
    [
        *(
            "a (0) ⊗ b (1){}# c",
            "(0) 1{}x",
            "a (0) ⊗ b{}x (1) = 0",
            "a (+1) ⊗ b (-1) ={}x",
            "Σ({}0, 1) = 0",
            "a (+1) +{}",
            "(1) + (0) needs{}x",
        ),
        *("1+1=2 " * 3_000, "[0, 1, 0], " * 1_800, "(+1) + (0) = 0, " * 1_200),
    ],
    ids=lambda line: line[:20],
)
def test_a_line_of_spaces_or_of_sums_keeps_nobody_waiting(line: str) -> None:
    # A pattern that tried the spaces in every way, or looked at all of the line for each sum, took minutes.
    text = Text(line.format(" " * 19_000))
    assert len(find_claims(text, path="x.md")) <= 1_200
    assert body_trits(text) == []


def test_lines_are_counted_as_an_editor_does() -> None:
    # Form feeds and line separators end no line; carriage returns do.
    (claim,) = claims("x\x0c\u2028y\r\nz\r\n\r\na (+1) ⊗ b (-1) = 0\r\n")
    assert claim.line == 4


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.sampled_from(
            [
                "| Skill | Trit |\n",
                "|---|---|\n",
                "| a | +1 |\n",
                "| MINUS | ERGODIC | PLUS |\n",
                "Sum = 0",
                "\n",
                "```",
                "(+1)",
                "(0",
                "2(",
                " + ",
                " ⊗ ",
                "= ",
                "≡",
                "mod 3",
                "[x]",
                "[+]",
                "⊕",
                "a",
                "9999999",
                "±",
                "\u00a0",
                "\t",
                "-\u00a01",
                "`",
                "**",
                "# ",
                "Trit: ",
                "skill://",
                "#12",
                "name: me\n",
                "---\n",
            ]
        ),
        max_size=60,
    )
)
def test_no_text_breaks_the_readers(pieces: list[str]) -> None:
    text = Text("".join(pieces))
    for claim in find_claims(text, path="x.md"):
        found = judge(claim, {})
        assert 1 <= claim.line <= claim.end_line <= len(text.lines)
        assert (found.arithmetic == "undetermined") == (found.total is None)
    body_trits(text, name="me")


def test_a_text_without_groups_is_not_split_into_lines() -> None:
    text = Text("call f(0), then g(1)\n\n## GF(3)\n\nTrits (-1, 0 and +1).\n")
    assert find_claims(text, path="x.md") == []
    assert "lines" not in vars(text)


def test_what_stands_between_marks_of_a_generator_is_injected() -> None:
    begin, end = "<!-- BEGIN GENERATED links (tool.py) -->", "<!-- END GENERATED links -->"
    text = Text(f"{begin}\n## Links\n\n**Trit**: 0\n\na (+1) ⊗ b (-1) = 0\n{end}\n\n**Trit**: -1\n\na (+1) ⊗ c (-1) = 0\n")
    assert [(one.trit, one.injected) for one in body_trits(text)] == [(0, True), (-1, False)]
    assert [claim.injected for claim in find_claims(text, path="x.md")] == [True, False]


@pytest.mark.parametrize("module", [members, sums, tables, assertions, refusals, prose])
def test_importing_the_readers_compiles_no_pattern(module):
    # About eighty of them took a fifth of the time of a check of one folder, which needs a few.
    assert not [name for name, value in vars(module).items() if isinstance(value, re.Pattern)]


@pytest.mark.parametrize("space", ["", " ", "\u00a0", "\u202f", "\t"])
def test_any_space_may_stand_between_a_sign_and_its_number(space: str) -> None:
    text = Text(f"**Trit**: −{space}1\n\na (−{space}1) ⊗ b (+{space}1) ⊗ c (0) = 0\n\n(+1) + (0) = -{space}1 mod 3\n")
    assert [one.trit for one in body_trits(text)] == [-1]
    named, anonymous = find_claims(text, path="x.md")
    assert (judge(named, {}).arithmetic, judge(anonymous, {}).truth) == ("balanced", "false")
