"""Where and how a guide declares its own trit, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from realitygap_plugins.triads.claims import SkillRecord
from realitygap_plugins.triads.guide_reader import read_guide
from realitygap_plugins.triads.prose import body_trits
from realitygap_plugins.triads.text import Text


@pytest.mark.parametrize(
    ("text", "trit"),
    [
        ("**Trit**: -1 (MINUS - analysis)", -1),
        ("**Trit:** +1", 1),
        ("Trit: −1", -1),
        ("> **Trit**: 0 (ERGODIC)", 0),
        ("- **Trit**: 1", 1),
        ("## GF(3) Trit: +1 (Generator)", 1),
        ("**Trit Assignment**: 0 (ERGODIC) - Coordinator role.", 0),
        ("- Trit Value: -1", -1),
        ("**Trit Role**: +1 (PLUS)", 1),
        ("*GF(3) Trit: -1 (VALIDATOR — preventing it)*", -1),
        ("*Trit*: 0", 0),
        ("_Trit_: 0", 0),
        ("# Cat# Skill (ERGODIC 0)\n\n**Trit**: 0", 0),
        ("## Skill ↔ Cat# Mapping\n\n**Trit**: 0", 0),
        ("| Trit | -1 (MINUS) |", -1),
        ("| **Trit** | 0 |", 0),
        ("Trit: ⊖", -1),
        ("Trit: PLUS (+1)", 1),
        ("- **Trit**: ERGODIC (0) - coordination/synthesis skill", 0),
        ("**Trit**: MINUS (−1), checks", -1),
        ("**Trit**: PLUS (+1) (generator)", 1),
        ("**Trit**: **PLUS (+1)** — makes", 1),
        ("Trit: PLUS +1", 1),
        ("Trit: (+1)", 1),
        ("## GF(3) Assignment\n\n```\nTrit: 0 (ERGODIC)\n```", 0),
        ("---\nname: me\ntrit: 1\ncolor: red\n---", 1),
        ("```yaml\nname: me\ntrit: -1  # validator\n```", -1),
    ],
)
def test_a_declaration_in_the_body(text: str, trit: int) -> None:
    assert [(one.trit, one.injected) for one in body_trits(Text(text), name="me")] == [(trit, False)]


@pytest.mark.parametrize(
    "text",
    [
        "trit: int = 1",
        "```python\nTrit: 0\n```",
        "```yaml\nname: another\ntrit: -1\n```",
        "| Trit | Skill | Role |\n|--|--|--|\n| -1 | a | x |",
        "| **Trit** | 0 (ERGODIC) | +1 (PLUS) |",
        "Trit::AttrType",
        "Trit: Computed from the colour",
        "- Trit Assignment: MINUS (-1), ERGODIC (0), PLUS (+1)",
        "Trit: ERGODIC (0) between MINUS (-1) and the others",
        "Trit: PLUS (+1) or MINUS",
        "Trit: PLUS (+1) × 3",
        "Trit: PLUS (0) - makes",
        "Trit: plus 1 more",
        "Trit: (-1) + (0) + (+1) = 0",
        "Trit: (2)",
        "The Trit: of a skill",
        "trit = 1",
        "## Cat# Integration\n\n```python\ntrit: int = 1\nTrit: 0\n```",
    ],
)
def test_other_trits_in_the_body_are_no_declarations(text: str) -> None:
    assert body_trits(Text(text), name="me") == []


@pytest.mark.parametrize("heading", ["Cat# Integration", "Cat# Integration (v3.0)", "Cat-sharp Integration", "SDF Interleaving"])
def test_what_stands_below_the_heading_of_a_generator_is_injected(heading: str) -> None:
    text = Text(f"# Cat# for all\n\n**Trit**: -1\n\n## {heading}\n\n**Trit**: 0\n\n### More\n\n**Trit**: 0\n\n## Next\n\n**Trit**: +1\n")
    assert [(one.trit, one.injected) for one in body_trits(text)] == [(-1, False), (0, True), (0, True), (1, False)]


TEMPLATE = "```\nTrit: +1 (PLUS - expansion/velocity)\nHome: Presheaves\nPoly Op: ⊗\nKan Role: Lan\n```"


@pytest.mark.parametrize(
    ("heading", "injected"),
    [
        ("## Trit Assignment", False),
        ("## GF(3) Trit", False),
        ("## GF(3) Integration", True),
        ("## Commands", True),
        ("## Cat# Integration\n\n### Trit Assignment", True),
    ],
)
def test_the_block_of_a_tool_below_a_heading_of_an_assignment_is_a_declaration(heading: str, injected: bool) -> None:
    assert [(one.trit, one.injected) for one in body_trits(Text(f"# Me\n\n{heading}\n\n{TEMPLATE}\n"))] == [(1, injected)]


def test_the_line_of_the_sdf_template_is_injected_whatever_its_heading() -> None:
    text = Text("## Trit Assignment\n\na (○) + SDF.Ch5 (−) + [balancer] (+) = 0\n\n**Skill Trit**: 0 (ERGODIC)\n")
    assert [(one.trit, one.injected) for one in body_trits(text)] == [(0, True)]


def properties(*trits: int, heading: str = "### Part {}") -> str:
    return "".join(
        f"{heading.format(number)}\n\n| Property | Value |\n|--|--|\n| GF(3) Trit | {trit} |\n\n" for number, trit in enumerate(trits)
    )


@pytest.mark.parametrize(
    ("text", "trits"),
    [
        ("**Trit**: +1\n\n" + properties(1, 0, -1), [1]),
        ("**Trit**: +1\n\n" + properties(0, 0), [1]),
        (properties(1, 0, -1), []),
        (properties(1, 1), [1, 1]),
        # One table is of the skill, and so is what stands below the title or a heading of an assignment.
        ("**Trit**: +1\n\n" + properties(0), [1, 0]),
        (properties(1, heading="") + properties(0, -1), [1]),
        (properties(1, heading="## Trit Assignment") + properties(0, -1), [1]),
        # A line is none of a table: the last one stands in whatever section is last.
        (properties(0, -1) + "**Trit**: +1\n", [1]),
    ],
)
def test_tables_of_several_sections_whose_trits_differ_are_of_the_sections(text: str, trits: list[int]) -> None:
    assert [one.trit for one in body_trits(Text(f"# Me\n\n{text}"), name="me")] == trits


def record(folder: Path, frontmatter: str, body: str = "") -> SkillRecord:
    (folder / "SKILL.md").write_text(f"---\n{frontmatter}\n---\n\n{body}\n", "utf-8")
    return read_guide(folder / "SKILL.md", None).record


@pytest.mark.parametrize("key", ["gf3-trit", "gf3_trit"])
def test_a_trit_may_stand_in_the_metadata_by_the_name_of_its_field(tmp_path: Path, key: str) -> None:
    made = record(tmp_path, f"name: a\nmetadata:\n  {key}: -1")
    assert [(one.source, one.trit, one.line) for one in made.authored] == [(f"metadata.{key}", -1, 4)]
    both = record(tmp_path, f"name: a\nmetadata:\n  {key}: -1\n  trit: 0", "Trit: +1")
    assert [(one.source, one.trit) for one in both.authored] == [("metadata.trit", 0), (f"metadata.{key}", -1), ("body", 1)]
    wrong = record(tmp_path, f"name: a\nmetadata:\n  {key}: ±1\n  {key}s: 0\n  trit-role: PLUS (makes)")
    assert [(one.trit, one.problem is not None) for one in wrong.declarations] == [(None, True)]


@pytest.mark.parametrize(("other", "trits"), [("±1", [None, None]), ("0", [0, 0]), ("-1", [0, -1])])
def test_of_a_trit_given_twice_none_is_picked(tmp_path: Path, other: str, trits: list[int | None]) -> None:
    made = record(tmp_path, f"name: a\nmetadata:\n  trit: 0\n  version: 1\n  trit: {other}")
    assert [one.trit for one in made.declarations] == trits
    assert made.trit == (0 if other == "0" else None)


@pytest.mark.parametrize("name", ["933133", "1_000", "1.10", "on", "true"])
def test_a_name_that_yaml_takes_for_a_number_is_the_name_as_written(tmp_path: Path, name: str) -> None:
    assert record(tmp_path, f"name: {name}").name == name
