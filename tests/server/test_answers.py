"""What is said of a run that has ended: it stays small, names units, and proposes calls that can be made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from realitygap.discovery import Registry
from realitygap.runs import RunStatus, StepStatus, result_document
from realitygap.skill import Skill
from realitygap_server.answers import handle, outcome, refusal, units
from realitygap_server.sizes import cost
from realitygap_server.task_extension import about

CHARACTERS_A_TOKEN = 3
"""Of JSON with words and numbers, at the least."""


def skill(name: str, tmp_path: Path, **more: Any) -> Skill:
    values = {"inputs": {}, "outputs": {}, "runtime": "quick"} | more
    return Skill(
        name=name, version="0.1.0", trit=0, summary=f"Does {name}.", entry="a:b", directory=tmp_path, plugin="p", distribution="d", **values
    )


def ended(tmp_path: Path, name: str, state: Any = "done", inputs: dict[str, Any] | None = None, **more: Any) -> RunStatus:
    (tmp_path / "plan.json").write_text(json.dumps({"inputs": inputs or {}}))
    values: dict[str, Any] = {"created": 0.0, "seconds": 1.0, "progress": 1.0, "message": "", "eta": None} | more
    return RunStatus(id="r", skill=name, state=state, folder=tmp_path, **values)


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    model = {"type": "string", "format": "model", "x-optional": True}
    return Registry(
        [],
        [
            skill(
                "fit",
                tmp_path,
                enables=("train", "judge"),
                inputs={"model": model, "count": {"type": "integer", "default": 3}, "secret_size": {"type": "integer", "x-optional": True}},
                outputs={
                    "domain": {"type": "string"},
                    "rate": {"type": "number", "x-unit": "Hz"},
                    "gap": {"type": "object", "additionalProperties": {"type": "object", "properties": {"rmse": {"x-unit": "rad"}}}},
                    "times": {"type": "array", "items": {"type": "number", "x-unit": "s"}},
                },
            ),
            skill("train", tmp_path, inputs={"domain": {"type": "string"}, "model": model, "rate": {"type": "string"}}),
            skill("judge", tmp_path, inputs={"policy": {"type": "string"}, "count": {"type": "integer", "default": 3}}),
        ],
    )


def test_next_steps_hand_on_what_fits_and_say_what_is_missing(registry: Registry, tmp_path: Path) -> None:
    status = ended(tmp_path, "fit", inputs={"model": "/robots/a.xml", "count": 5, "secret_size": 1})
    result = result_document("r", "fit", "done", outputs={"domain": "/d.yaml", "rate": 50.0}, artifacts={"curve.png": "x", "a.csv": "y"})
    train, judge, look = outcome(result, status, registry)["next_steps"]
    # `rate` is a number and train wants a text; the model is a file that both are about; `count` is no file.
    assert (train["tool"], train["arguments"]) == ("train", {"model": "/robots/a.xml", "domain": "/d.yaml"})
    assert train["missing"] == ["rate"]
    assert (judge["arguments"], judge["missing"]) == ({}, ["policy"])
    assert (look["tool"], look["arguments"]) == ("artifact_read", {"run_id": "r", "name": "curve.png"})


def test_a_replay_hands_both_its_recordings_to_the_comparison(tmp_path: Path) -> None:
    result = result_document("r", "replay-recording", "done", outputs={"simulated": "/sim.recording", "real": "/real.recording"})
    steps = outcome(result, ended(tmp_path, "replay-recording"), Registry.discover())["next_steps"]
    (compare,) = (step for step in steps if step["tool"] == "compare_domains")
    assert compare["arguments"] == {"sim": "/sim.recording", "real": "/real.recording"}
    assert "missing" not in compare


def test_no_next_step_names_a_tool_that_is_not_offered(registry: Registry, tmp_path: Path) -> None:
    result = result_document("r", "fit", "done", outputs={})
    steps = outcome(result, ended(tmp_path, "fit"), registry, {"fit", "judge"})["next_steps"]
    assert [step["tool"] for step in steps] == ["judge"]


@pytest.mark.parametrize("state", ["interrupted", "cancelled"])
def test_a_run_that_was_stopped_is_called_again_with_its_arguments(registry: Registry, tmp_path: Path, state: str) -> None:
    status = ended(tmp_path, "fit", state, inputs={"model": "/robots/a.xml", "count": 3})
    (step,) = outcome(result_document("r", "fit", state), status, registry)["next_steps"]
    assert (step["tool"], step["arguments"]) == ("fit", {"model": "/robots/a.xml"})


def test_numbers_have_their_units(registry: Registry, tmp_path: Path) -> None:
    outputs = {"rate": 50.0, "gap": {"hip": {"rmse": 0.1}}, "times": [1.0]}
    found = outcome(result_document("r", "fit", "done", outputs=outputs), ended(tmp_path, "fit"), registry)
    assert found["units"] == {"rate": "Hz", "gap.*.rmse": "rad", "times[]": "s"}
    assert dict(units({"x-unit": "s"})) == {}


@pytest.mark.parametrize("letter", ["w", "字", "\x1b", "\n"])
def test_no_answer_about_a_run_exceeds_ten_thousand_tokens(registry: Registry, tmp_path: Path, letter: str) -> None:
    long = letter * 5000
    outputs = {f"output_{i}": letter * 3000 for i in range(40)}
    result = result_document(
        "r", "fit", "failed", outputs={**outputs, "summary": long * 5}, warnings=[long] * 300,
        artifacts={f"steps/{i:04d}/{'n' * 80}.csv": "/nowhere" for i in range(2000)}, error={"message": long, "where": long, "hint": long},
    )  # fmt: skip
    steps = [StepStatus(id=f"train-{i}", skill="train", state="done", seconds=1.0, summary=long) for i in range(500)]
    steps.append(StepStatus(id="judge", skill="judge", state="running", seconds=1.0, summary=long))
    failed = outcome(result, ended(tmp_path, "fit", "failed", steps=steps), registry)
    assert cost(failed) < 10_000 * CHARACTERS_A_TOKEN
    assert failed["warnings"][-1] == "and 292 more"
    assert failed["more_artifacts"]["count"] + len(failed["artifacts"]) == 2000
    running = handle(ended(tmp_path, "fit", "running", steps=steps, warnings=[long] * 300, message=long * 40))
    assert cost(running) < 10_000 * CHARACTERS_A_TOKEN
    assert running["progress"]["steps_begun"] == 501
    assert cost(about(ended(tmp_path, "fit", "running", message=long * 40))) < 1000
    assert cost(refusal(long * 40, hint=long * 40).model_dump_json()) < 10_000 * CHARACTERS_A_TOKEN
