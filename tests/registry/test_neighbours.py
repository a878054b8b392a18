"""One skill of a collection is checked with those beside it that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from realitygap.check import check_paths
from realitygap.discovery import Registry


def write(root: Path, name: str, more: str) -> None:
    (root / name).mkdir(exist_ok=True)
    head = f"schema: 1\nname: {name}\nversion: 0.1.0\ntrit: 0\nsummary: Does it.\n"
    (root / name / "skill.yaml").write_text(head + more)
    (root / name / "SKILL.md").write_text(f'---\nname: {name}\ndescription: Does it.\nmetadata:\n  trit: "0"\n---\n\nText.\n')


PORTS = "entry: json:loads\ninputs: {x: {type: integer}}\noutputs: {y: {type: integer}}\n"


@pytest.fixture
def collection(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "look", f"depends_on: [fit]\n{PORTS}")
    write(tmp_path, "fit", f"enables: [gone]\n{PORTS}")
    step = "{id: a, uses: inner, with: {x: 1}}"
    write(tmp_path, "outer", f'inputs: {{}}\nsteps: [{step}]\noutputs: {{y: "${{{{ steps.a.outputs.y }}}}"}}\n')
    inner = '{id: b, uses: fit, with: {x: "${{ inputs.x }}"}}'
    write(tmp_path, "inner", f'inputs: {{x: {{type: integer}}}}\nsteps: [{inner}]\noutputs: {{y: "${{{{ steps.b.outputs.y }}}}"}}\n')
    return tmp_path


def found(*paths: str) -> list[tuple[str, str]]:
    return [(one.path, one.rule) for one in check_paths([Path(one) for one in paths], Registry([], [])).findings]


def test_what_a_skill_names_is_found_beside_it_and_not_itself_checked(collection):
    assert found("look") == []
    assert found("look/skill.yaml") == []
    assert found("fit") == [("fit/skill.yaml", "RG203")], "its own fault shows when it is checked"


def test_skills_of_skills_are_found_too(collection):
    assert found("outer") == []


def test_a_neighbour_that_is_broken_hostile_or_called_otherwise_is_none(collection):
    (collection / "fit" / "skill.yaml").write_text("[")
    assert found("look") == [("look/skill.yaml", "RG203")]
    write(collection, "fit", PORTS)
    (collection / "fit" / "skill.yaml").write_text((collection / "fit" / "skill.yaml").read_text().replace("name: fit", "name: other"))
    assert found("look") == [("look/skill.yaml", "RG203")]
    write(collection, "look", f"depends_on: ['../look', '/etc']\n{PORTS}")
    assert {rule for _, rule in found("look")} <= {"RG101", "RG203"}
