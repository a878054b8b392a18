"""Observers of steps: called with what the hook specifications promise, and unable to stop anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from workbench import Bench

PLUGIN = """
import json, os
from realitygap import hookimpl

def write(**call):
    with open(os.environ["OBSERVED"], "a") as file:
        file.write(json.dumps(call) + "\\n")

@hookimpl
def realitygap_before_step(run, step, skill, inputs):
    write(hook="before", run=run, step=step, skill=skill, inputs=dict(inputs))

@hookimpl
def realitygap_after_step(run, step, skill, outputs, seconds):
    write(hook="after", run=run, step=step, skill=skill, outputs=dict(outputs), seconds=seconds)

@hookimpl
def realitygap_on_step_error(run, step, skill, error):
    write(hook="error", run=run, step=step, skill=skill, error=dict(error))
    raise RuntimeError("the observer itself is broken")
"""


@pytest.fixture
def watched(bench: Bench) -> Bench:
    """The workbench with a plugin that writes down each call."""
    package = bench.root / "code" / "watcher"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text(PLUGIN)
    hooks = "[realitygap_before_step, realitygap_after_step, realitygap_on_step_error]"
    (package / "plugin.yaml").write_text(f"schema: 1\nname: watcher\napi: 1\nhooks: {hooks}\n")
    metadata = bench.root / "code" / "watcher-0.1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: watcher\nVersion: 0.1\n")
    (metadata / "entry_points.txt").write_text("[realitygap]\nwatcher = watcher\n")
    bench.environment["OBSERVED"] = str(bench.root / "observed.jsonl")
    return bench


def observed(bench: Bench) -> list[dict[str, Any]]:
    place = bench.root / "observed.jsonl"
    return [json.loads(line) for line in place.read_text().splitlines()] if place.exists() else []


def test_each_executed_step_is_announced_with_its_inputs_and_ends_with_its_outputs_and_a_cached_one_is_not(watched: Bench) -> None:
    document = watched.json("run", "chain", *watched.given())
    calls = observed(watched)
    assert [(call["hook"], call["step"], call["skill"]) for call in calls] == [
        ("before", "first", "add"), ("after", "first", "add"),
        ("before", "slow", "count"), ("after", "slow", "count"),
        ("before", "many.0", "add"), ("after", "many.0", "add"),
        ("before", "many.1", "add"), ("after", "many.1", "add"),
    ]  # fmt: skip
    assert {call["run"] for call in calls} == {document["run"]}
    assert calls[0]["inputs"] == {"a": 1, "b": 2, "journal": str(watched.journal)}
    assert calls[1]["outputs"]["sum"] == 3
    assert 0 <= calls[1]["seconds"] <= document["seconds"]
    assert watched.json("run", "chain", *watched.given())["cached"]
    assert len(observed(watched)) == 8


def test_a_failed_step_is_told_with_its_error_and_an_observer_that_raises_changes_nothing(watched: Bench) -> None:
    document = watched.json("run", "late", *watched.given(), code=3)
    before, after, doomed, error = observed(watched)
    assert [call["hook"] for call in (before, after, doomed, error)] == ["before", "after", "before", "error"]
    assert (error["step"], error["skill"]) == ("bad", "fail")
    assert error["error"] == {"message": "no joint 'hip_l'", "where": "robot.xml:3:5", "hint": "did you mean 'left_hip'?"}
    assert document["error"]["message"] == "step 'bad': no joint 'hip_l'"
    (folder,) = watched.folders()
    assert "the observer itself is broken" in (folder / "steps" / "bad" / "log.txt").read_text()
