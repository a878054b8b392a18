"""What a skill function gets."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from realitygap.context import RunContext
from realitygap.errors import Cancelled
from realitygap.execution import step_seed
from realitygap.plan import Plan
from realitygap.protocol import Channel
from realitygap.references import ABSENT, Malformed, parse_reference, substitute
from realitygap.worker import explain


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "", ".", "a\0b"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    run = RunContext(folder=tmp_path / "step")
    for place in (run.artifact, run.checkpoint):
        with pytest.raises(ValueError, match="not a name inside"):
            place(name)


def test_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    run = RunContext(folder=tmp_path / "step")
    run.artifact("x").parent.joinpath("out").symlink_to("/tmp")
    with pytest.raises(ValueError, match="leads out"):
        run.artifact("out/file")


def test_track_reports_and_stops_between_items(tmp_path: Path) -> None:
    told: list[tuple[float, float | None, str]] = []
    stop = threading.Event()
    run = RunContext(folder=tmp_path, on_progress=lambda *what: told.append(what), stop=stop)
    items = run.track([1, 2, 3], "working")
    assert [next(items), next(items)] == [1, 2]
    stop.set()
    with pytest.raises(Cancelled):
        next(items)
    assert told[0] == (0.0, 3.0, "working")


def test_metrics_are_json_lines_also_for_values_that_are_not_finite(tmp_path: Path) -> None:
    run = RunContext(folder=tmp_path)
    run.metric("loss", 0.5, 1)
    run.metric("loss", float("nan"), 2)
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [{"name": "loss", "step": 1.0, "value": 0.5}, {"name": "loss", "step": 2.0, "value": None}]


@pytest.mark.parametrize("layout", [None, "constrained"])
def test_a_figure_shows_all_that_is_drawn(layout: str | None, tmp_path: Path) -> None:
    figure = Figure(figsize=(5, 2), layout=layout)
    axis = figure.subplots()
    axis.plot([0, 1], label="beside the axes", linewidth=20)
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    if layout is None:
        figure.tight_layout()
        figure.suptitle("above the page", y=1.1)
    edge = np.asarray(Image.open(RunContext(folder=tmp_path).figure("one", figure).with_suffix(".png")).convert("L"))
    # Nothing touches the edge of the picture.
    assert min(edge[0].min(), edge[-1].min(), edge[:, 0].min(), edge[:, -1].min()) > 250


def test_a_warning_is_told_once(tmp_path: Path) -> None:
    told: list[str] = []
    run = RunContext(folder=tmp_path, on_warning=told.append)
    run.warn("a")
    run.warn("a")
    assert told == run.warnings == ["a"]


def test_half_a_surrogate_pair_in_what_a_skill_says_costs_nothing_but_that_character(tmp_path: Path) -> None:
    run = RunContext(folder=tmp_path)
    run.warn("\udcff.csv is empty")
    assert run.warnings == ["?.csv is empty"]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        Channel(ours).send({"at": "progress", "message": "reading \udcffé.csv"})
        assert Channel(theirs).receive() == [{"at": "progress", "message": "reading ?é.csv"}]


@pytest.mark.parametrize(
    "text",
    [
        "${{ inputs.a",
        "x ${{ inputs.a }}",
        "${{ inputs.a }} ${{ item }}",
        "${{ steps.a.b }}",
        "${{ secrets.x }}",
        "${{ }}",
        "${{ inputs.a.b }}",
    ],
)
def test_only_whole_known_references_are_references(text: str) -> None:
    with pytest.raises(Malformed):
        parse_reference(text)


def test_a_reference_to_what_is_absent_drops_its_key() -> None:
    values: dict[str, Any] = {"a": 1}
    given = {"x": "${{ inputs.a }}", "y": "${{ inputs.b }}", "z": ["${{ inputs.b }}", {"w": "${{ inputs.a }}"}], "n": 3}
    assert substitute(given, lambda reference: values.get(reference.name, ABSENT)) == {"x": 1, "z": [{"w": 1}], "n": 3}


def test_steps_of_a_pipeline_share_no_seed_and_a_single_skill_has_that_of_the_run() -> None:
    class Of:
        seed, is_pipeline = 7, True

    plan: Plan = Of()  # type: ignore[assignment]
    seeds = {step_seed(plan, name) for name in ("train", "validate", "train.0", "train.1")}
    assert len(seeds) == 4
    Of.is_pipeline = False
    assert step_seed(plan, "train") == 7


def test_an_exception_with_where_and_hint_is_bad_input_and_any_other_a_crash() -> None:
    class Foreign(Exception):
        where, hint, pointer = None, "do that", "/joints/0"

    assert explain(Foreign("no")) == {"kind": "input", "message": "no", "where": "/joints/0", "hint": "do that"}
    assert explain(KeyError("x"))["kind"] == "crash"
    assert explain(OSError(28, "No space left"))["kind"] == "disk"
