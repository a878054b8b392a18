"""The static check of pipelines: each rule with its place."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from realitygap.document import parse
from realitygap.errors import InputError, unknown
from realitygap.graph import draw
from realitygap.pipeline import fits, output_schema
from realitygap.pipeline_check import PipelineCheck, check_pipeline
from realitygap.skill import Skill


def leaf(name: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Skill:
    common: dict[str, Any] = {"version": "0.1.0", "trit": 1, "summary": "", "directory": Path(), "plugin": "demo", "distribution": "demo"}
    return Skill(name=name, entry="demo:run", inputs=inputs, outputs=outputs, **common)


class Skills:
    """A registry of three skills and one pipeline."""

    def __init__(self) -> None:
        self.skills = {
            "train": leaf(
                "train",
                {"steps": {"type": "integer", "default": 1}, "task": {"type": "string", "format": "task"}},
                {
                    "policy": {"type": "string", "format": "policy"},
                    "score": {"type": "number"},
                    "updates": {"type": "integer"},
                    "note": {"type": "string", "x-optional": True},
                },
            ),
            "judge": leaf(
                "judge",
                {
                    "policy": {"type": "string", "format": "policy"},
                    "level": {"type": "number", "default": 1},
                    "mode": {"enum": ["a", "b"], "default": "a"},
                },
                {"verdict": {"type": "string"}},
            ),
            "pool": leaf("pool", {"scores": {"type": "array", "items": {"type": "number"}}}, {"best": {"type": "number"}}),
        }

    def skill(self, name: str) -> Skill:
        if name not in self.skills:
            raise unknown("skill", name, self.skills)
        return self.skills[name]


HEAD = """schema: 1
name: demo
version: 0.1.0
trit: 0
summary: For a test.
inputs:
  task: {type: string, format: task, default: pendulum}
  seeds: {type: array, items: {type: integer}, default: [1]}
  extra: {type: integer, x-optional: true}
steps:
"""


def make(steps: str, outputs: str = "{}") -> tuple[Skill, Any]:
    document = parse(f"{HEAD}{steps}\noutputs: {outputs}\n", "demo.yaml")
    return Skill.from_manifest(document.data, directory=Path(), plugin="demo", distribution="demo"), document


def check(steps: str, outputs: str = "{}", skills: Skills | None = None) -> PipelineCheck:
    skill, document = make(steps, outputs)
    return check_pipeline(skill, document, skills or Skills())


GOOD = """  - {id: train, uses: train, foreach: "${{ inputs.seeds }}", with: {task: "${{ inputs.task }}", steps: "${{ item }}"}}
  - {id: pool, uses: pool, with: {scores: "${{ steps.train.outputs.score }}"}}
  - {id: judge, uses: judge, needs: [pool], with: {policy: qube, level: "${{ steps.pool.outputs.best }}"}}"""


def test_a_sound_pipeline_has_no_findings_and_nothing_is_left_unchecked() -> None:
    result = check(GOOD, '{verdict: "${{ steps.judge.outputs.verdict }}", report: "${{ run.report }}"}')
    assert result.findings == []
    assert result.unchecked == []


@pytest.mark.parametrize(
    ("rule", "steps", "marked", "hint"),
    [
        ("RG401", "  - {id: a, uses: trian, with: {}}", "trian", "did you mean 'train'?"),
        ("RG402", '  - {id: a, uses: train, with: {task: "x-${{ inputs.task }}"}}', '"x-${{', None),
        ("RG402", '  - {id: a, uses: train, with: {task: "${{ inputs.task + 1 }}"}}', '"${{', None),
        (
            "RG403",
            '  - {id: a, uses: judge, with: {policy: "${{ steps.trian.outputs.policy }}"}}\n  - {id: train, uses: train, with: {task: x}}',
            '"${{',
            "did you mean 'train'?",
        ),
        ("RG403", "  - {id: a, uses: train, needs: [nothing], with: {task: x}}", "nothing", "there are: a"),
        ("RG404", '  - {id: a, uses: train, with: {task: "${{ inputs.tsk }}"}}', '"${{', "did you mean 'task'?"),
        ("RG404", "  - {id: a, uses: train, with: {task: x, stesp: 1}}", "stesp", "did you mean 'steps'?"),
        (
            "RG405",
            '  - {id: t, uses: train, with: {task: x}}\n  - {id: a, uses: judge, with: {policy: "${{ steps.t.outputs.polcy }}"}}',
            '"${{',
            "did you mean 'policy'?",
        ),
        (
            "RG406",
            '  - {id: t, uses: train, with: {task: x}}\n  - {id: a, uses: train, with: {task: x, steps: "${{ steps.t.outputs.score }}"}}',
            '"${{',
            None,
        ),
        (
            "RG406",
            '  - {id: t, uses: train, with: {task: x}}\n  - {id: a, uses: train, with: {task: "${{ steps.t.outputs.policy }}"}}',
            '"${{',
            None,
        ),
        (
            "RG407",
            "  - {id: a, uses: train, needs: [b], with: {task: x}}\n  - {id: b, uses: train, needs: [a], with: {task: x}}",
            "a,",
            None,
        ),
        ("RG408", "  - {id: a, uses: train}", "train", None),
        (
            "RG408",
            '  - {id: t, uses: train, with: {task: x}}\n  - {id: a, uses: judge, with: {policy: "${{ steps.t.outputs.note }}"}}',
            '"${{',
            "give it a default",
        ),
        ("RG409", "  - {id: a, uses: train, with: {task: x}}\n  - {id: a, uses: train, with: {task: x}}", None, None),
        ("RG410", '  - {id: a, uses: train, with: {task: "${{ item }}"}}', '"${{', None),
        ("RG410", '  - {id: a, uses: train, foreach: "${{ inputs.task }}", with: {task: x}}', '"${{', None),
        ("RG411", "  - {id: a, uses: judge, with: {policy: x, mode: c}}", "c}", None),
    ],
)
def test_each_rule_points_at_the_place(rule: str, steps: str, marked: str | None, hint: str | None) -> None:
    findings = check(steps).findings
    (found,) = [one for one in findings if one.rule == rule]
    lines = f"{HEAD}{steps}".splitlines()
    assert found.path == "demo.yaml"
    if marked is not None:
        assert lines[found.line - 1][found.column - 1 :].startswith(marked)
    if hint is not None:
        assert found.hint == hint


def test_a_pipeline_that_leads_back_to_itself_is_found() -> None:
    skills = Skills()
    skills.skills["demo"], _ = make("  - {id: a, uses: train, with: {task: x}}")
    skills.skills["other"] = Skill.from_manifest(
        {"name": "other", "version": "0.1.0", "trit": 0, "summary": "x", "steps": [{"id": "back", "uses": "demo"}]},
        directory=Path(),
        plugin="demo",
        distribution="demo",
    )
    assert [one.rule for one in check("  - {id: a, uses: other}", skills=skills).findings] == ["RG412"]


def test_what_cannot_be_told_is_reported_as_not_checked_and_not_as_passed() -> None:
    result = check(
        '  - {id: t, uses: train, with: {task: x}}\n  - {id: a, uses: judge, with: {policy: x, mode: "${{ steps.t.outputs.note }}"}}'
    )
    assert result.findings == []
    assert result.unchecked == ["demo.yaml:12:50: steps.t.outputs.note to a.mode"]


@pytest.mark.parametrize(
    ("source", "target", "verdict"),
    [
        ({"type": "integer"}, {"type": "number"}, True),
        ({"type": "number"}, {"type": "integer"}, False),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, True),
        ({"enum": ["a", "c"]}, {"enum": ["a", "b"]}, False),
        ({"type": "string"}, {"enum": ["a", "b"]}, None),
        ({"type": "string", "format": "path"}, {"type": "string", "format": "policy"}, True),
        ({"type": "string", "format": "model"}, {"type": "string", "format": "policy"}, False),
        ({"type": "string"}, {"type": "string", "format": "policy"}, None),
        ({"type": "array", "items": {"type": "integer"}}, {"type": "array", "items": {"type": "number"}}, True),
        ({"type": "array", "items": {"type": "string"}}, {"type": "array", "items": {"type": "number"}}, False),
        ({}, {"type": "number"}, None),
        ({"type": "number"}, {}, True),
        ({"type": "object", "properties": {}, "additionalProperties": False}, {"type": "object", "required": ["a"]}, False),
    ],
)
def test_types_fit_as_json_schema_says(source: dict[str, Any], target: dict[str, Any], verdict: bool | None) -> None:
    assert fits(source, target) is verdict


def test_the_outputs_of_a_pipeline_have_the_schemas_of_what_they_refer_to() -> None:
    skill, _ = make(GOOD, '{scores: "${{ steps.train.outputs.score }}", note: "${{ inputs.extra }}"}')
    schema = output_schema(skill, Skills())
    assert schema["properties"]["scores"] == {"type": "array", "items": {"type": "number"}}
    assert schema["required"] == ["scores"]


def test_the_graph_has_an_edge_for_each_reference_and_need() -> None:
    skill, _ = make(GOOD)
    assert [line.strip() for line in draw(skill, Skills()).splitlines() if "-->" in line] == ["s_train --> s_pool", "s_pool --> s_judge"]
    assert '"train" -> "pool"' in draw(skill, Skills(), "dot")


def test_an_unknown_skill_in_a_graph_is_explained() -> None:
    skill, _ = make("  - {id: a, uses: trian}")
    with pytest.raises(InputError, match="trian"):
        draw(skill, Skills())
