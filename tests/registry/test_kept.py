"""What a step keeps for a later attempt: its checkpoints and its curves, made when it asks for them, by one attempt at a time."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from realitygap import worker
from realitygap.context import RunContext
from realitygap.worker import Kept
from realitygap.workspace import is_locked, lock

KILLED = """
import os, sys
from pathlib import Path
from realitygap.context import RunContext
from realitygap.worker import Kept
wanted, folder = map(Path, sys.argv[1:3])
with Kept(wanted, folder) as kept:
    run = RunContext(folder=folder, checkpoint_folder=kept.files)
    for step in range(3):
        run.metric("loss", step, step)
    if "checkpoint" in sys.argv:
        run.checkpoint("state").write_text("two")
    run.metric("loss", 3, 3)
    os.kill(os.getpid(), 9)
"""


class Step:
    """Attempts of one step, each in a folder of its own."""

    def __init__(self, root: Path) -> None:
        self.wanted = root / "checkpoints" / "key"
        self.root = root
        self.count = 0

    def folder(self) -> Path:
        self.count += 1
        folder = self.root / f"attempt-{self.count}"
        folder.mkdir()
        return folder

    def kill(self, *words: str) -> None:
        subprocess.run([sys.executable, "-c", KILLED, str(self.wanted), str(self.folder()), *words], check=False)


@pytest.fixture
def step(tmp_path: Path) -> Step:
    return Step(tmp_path)


def rows(folder: Path) -> list[tuple[float, float]]:
    return [(row["step"], row["value"]) for row in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())]


def test_a_step_that_keeps_nothing_makes_nothing(step: Step) -> None:
    with Kept(step.wanted, step.folder()):
        pass
    assert not step.wanted.parent.exists()


def test_a_curve_goes_on_where_a_killed_attempt_left_it_and_its_checkpoint(step: Step) -> None:
    step.kill("checkpoint")
    folder = step.folder()
    with Kept(step.wanted, folder) as kept:
        run = RunContext(folder=folder, checkpoint_folder=kept.files)
        run.metric("loss", 4, 4)
        assert run.checkpoint("state").read_text() == "two"
    assert rows(folder) == [(number, number) for number in range(5)]


def test_a_curve_told_before_the_first_checkpoint_survives_it(step: Step) -> None:
    folder = step.folder()
    with Kept(step.wanted, folder) as kept:
        run = RunContext(folder=folder, checkpoint_folder=kept.files)
        run.metric("loss", 0, 0)
        run.checkpoint("state").write_text("one")
        run.metric("loss", 1, 1)
    assert rows(folder) == [(0, 0), (1, 1)]


def test_a_curve_without_a_checkpoint_begins_anew(step: Step) -> None:
    step.kill()
    folder = step.folder()
    with Kept(step.wanted, folder) as kept:
        RunContext(folder=folder, checkpoint_folder=kept.files).metric("loss", 7, 0)
    assert rows(folder) == [(0, 7)]


def test_an_attempt_that_asks_for_nothing_has_no_curve_of_the_one_before(step: Step) -> None:
    step.kill("checkpoint")
    folder = step.folder()
    with Kept(step.wanted, folder):
        pass
    assert not (folder / "metrics.jsonl").exists()
    assert (step.wanted / "files" / "state").read_text() == "two"


def test_of_two_attempts_at_once_the_second_keeps_its_own(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "_LOCK_PATIENCE_S", 0.05)
    first, second = step.folder(), step.folder()
    with Kept(step.wanted, first) as one, Kept(step.wanted, second) as other:
        assert one.files() == step.wanted / "files"
        assert other.files() == second / "checkpoints" / "files"
    assert not is_locked(step.wanted.with_name("key.lock"))


def test_threads_of_a_step_share_what_is_kept(step: Step) -> None:
    folder = step.folder()
    with Kept(step.wanted, folder) as kept:
        run = RunContext(folder=folder, checkpoint_folder=kept.files)
        threads = [threading.Thread(target=run.metric, args=("loss", number, number)) for number in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert sorted(rows(folder)) == [(number, number) for number in range(8)]


def test_what_could_not_be_kept_leaves_no_lock_and_may_be_tried_again(step: Step, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = step.folder()
    full: list[Any] = [OSError(28, "No space left on device")]

    def share(*_: Any) -> None:
        if full:
            raise full.pop()

    monkeypatch.setattr(worker, "_share_metrics", share)
    with Kept(step.wanted, folder) as kept:
        with pytest.raises(OSError, match="No space"):
            kept.files()
        assert kept.files() == step.wanted / "files"
    held = lock(step.wanted.with_name("key.lock"))
    assert held is not None
    # A thread that the step has left behind takes it from nobody.
    assert kept.files() == folder / "checkpoints" / "files"
