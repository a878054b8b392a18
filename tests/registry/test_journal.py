"""What a supervisor writes down: at once where it must last, else when there is time, in order, and nothing twice."""

from __future__ import annotations

import json
import socket
import sqlite3
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from workbench import until

from realitygap import runs, supervisor
from realitygap.journal import Journal
from realitygap.run_status import read_events, result_document
from realitygap.runs import plan_run
from realitygap.supervisor import Supervisor
from realitygap.workspace import is_locked

ABOUT = {"id": "one", "skill": "noisy", "created": 1.0, "seed": 0}


def events(folder: Path) -> list[str]:
    return [event["event"] for event in read_events(folder)]


@pytest.mark.parametrize("durable", [True, False])
def test_records_wait_only_where_they_need_not_last_and_keep_their_order(tmp_path: Path, durable: bool) -> None:
    journal = Journal(tmp_path, tmp_path, ABOUT, durable=durable)
    journal.put((tmp_path / "first").touch)
    journal.event("second")
    assert (tmp_path / "first").exists() is durable
    journal.event("third")
    journal.catch_up()
    assert events(tmp_path) == ["second", "third"]
    journal.catch_up()
    assert events(tmp_path) == ["second", "third"]


def test_the_end_comes_after_all_that_waits_and_says_what_it_wrote(tmp_path: Path) -> None:
    journal = Journal(tmp_path, tmp_path, ABOUT, durable=False)
    seen: list[bool] = []
    journal.put(lambda: seen.append((tmp_path / "result.json").exists()))
    text = journal.ended(result_document("one", "noisy", "failed", error={"message": "no"}), {"exit_code": 3})
    assert seen == [False]
    assert json.loads((tmp_path / "result.json").read_text()) == json.loads(text)
    assert json.loads((tmp_path / "outcome.json").read_text()) == {"exit_code": 3}
    assert events(tmp_path) == ["run-ended"]


def test_a_record_that_could_not_be_written_is_tried_again_before_those_behind_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path, tmp_path, ABOUT, durable=False)
    full = [True]

    def record() -> None:
        if full.pop() if full else False:
            raise OSError(28, "No space left on device")

    journal.put(record)
    journal.event("behind")
    with pytest.raises(OSError, match="No space"):
        journal.catch_up()
    assert events(tmp_path) == []
    journal.catch_up()
    assert events(tmp_path) == ["behind"]


def test_a_row_that_cannot_be_written_costs_nothing_but_the_row(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").mkdir()
    journal = Journal(tmp_path, tmp_path, ABOUT, durable=False)
    journal.put(lambda: journal.step_row(tmp_path / "steps" / "a", {"key": "k"}))
    journal.put(lambda: journal.row({"state": "running"}))
    journal.ended(result_document("one", "noisy", "done"), None)
    journal.record(result_document("one", "noisy", "done"))
    assert (tmp_path / "result.json").exists()


def test_a_run_without_a_row_is_listed_as_one_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path))
    handles = [runs.start("check-triads", {}) for _ in range(3)]
    for handle in handles:
        handle.wait(60)
        until(lambda handle=handle: not is_locked(handle.folder / "lock"))
    listed = runs.RunStore().list()
    assert [one.id for one in listed] == [handle.id for handle in reversed(handles)]
    with closing(sqlite3.connect(tmp_path / "index.sqlite")) as connection, connection:
        connection.execute("DELETE FROM runs WHERE id = ?", (handles[1].id,))
    assert runs.RunStore().list() == listed


def test_artifacts_are_read_only_when_the_run_is_on_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = Supervisor(tmp_path / "runs" / "one", plan_run("check-triads", {}), ABOUT)
    recorded: list[int] = []
    read: list[list[int]] = []
    monkeypatch.setattr(supervisor, "is_intact", lambda folder, key: read.append(list(recorded)))
    owner.journal.put(lambda: recorded.append(1))
    owner._is_intact(tmp_path, "key")
    assert read == [[1]]


@pytest.mark.parametrize(("effects", "observers", "first"), [("workspace", (), True), ("run", ("watch",), True), ("run", (), False)])
def test_a_step_that_changes_the_workspace_or_is_observed_is_begun_when_the_run_is_on_record(
    tmp_path: Path, effects: str, observers: tuple[str, ...], first: bool
) -> None:
    plan = replace(plan_run("check-triads", {}), observers=observers)
    (leaf,) = plan.pipeline.steps
    step = replace(leaf, skill=replace(leaf.skill, effects=effects))
    ours, _theirs = socket.socketpair()
    recorded: list[bool] = []
    worker = SimpleNamespace(channel=ours, process=SimpleNamespace(pid=1), begin=lambda *_: begun.append(bool(recorded)))
    begun: list[bool] = []
    pool: Any = SimpleNamespace(get=lambda *_: worker, record=lambda: None, keep=True)
    owner = Supervisor(tmp_path / "runs" / "one", replace(plan, pipeline=replace(plan.pipeline, steps=(step,))), ABOUT, pool)
    owner.journal.put(lambda: recorded.append(True))
    owner._start_ready()
    assert begun == [first]


def test_a_line_that_a_kill_cut_short_swallows_no_other(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").write_text('{"event": "whole"}\n{"event": "cu')
    journal = Journal(tmp_path, tmp_path, ABOUT, durable=False)
    journal.event("after")
    journal.catch_up()
    assert events(tmp_path) == ["whole", "after"]


def test_progress_is_written_a_fifth_of_a_second_later_at_most_and_only_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    journal = Journal(tmp_path, tmp_path, ABOUT)
    assert journal.pause_s is None

    def written() -> Any:
        path = tmp_path / "progress.json"
        return json.loads(path.read_text())["step"]["done"] if path.exists() else None

    for done in (1, 2, 3):
        journal.moved("step", done, 10, "")
    assert (written(), journal.pause_s) == (None, pytest.approx(0.2))
    now[0] += 0.25
    journal.catch_up()
    assert (written(), journal.pause_s) == (3, None)
    journal.moved("step", 4, 10, "")
    assert (written(), journal.pause_s) == (3, pytest.approx(0.2))
    now[0] += 1.0
    journal.moved("step", 5, 10, "")
    assert written() == 5
    # Of a step that has ended nothing is told any more.
    now[0] += 1.0
    journal.rested("step")
    assert json.loads((tmp_path / "progress.json").read_text()) == {}
