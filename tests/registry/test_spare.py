"""The folder of a run that is made before the run: a run in it is as any other, and nothing of it is left over."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from workbench import until

from realitygap import runs
from realitygap.resident import Residents
from realitygap.run_store import RunStore
from realitygap.spare import NEXT, Spare, move_in, tidy
from realitygap.workspace import is_locked, lock, write_json

ENDED_WITH_ITS_RUN = {"supervisor.json", "workers.json", "workers.log"}
"""Of a supervisor of its own: who owned the run is told there as long as the folder is."""


def files(folder: Path) -> set[str]:
    """All but what is written only where a step takes a fifth of a second."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")} - {"progress.json"}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("REALITYGAP_RUN", raising=False)
    return tmp_path / "home"


def test_a_run_in_a_folder_made_before_has_the_files_of_any_other_and_no_more(home: Path) -> None:
    residents = Residents(home)
    residents.prepare()
    until(lambda: list(home.glob(f"spare/*/steps/{NEXT}/log.txt")))
    (made,) = home.glob("spare/*")
    until(lambda: len(list(made.rglob(".*.tmp"))) == 9)
    before = {path.stat().st_ino for path in made.rglob("*")}
    warm = [runs.start("check-triads", {}, residents=residents) for _ in range(3)]
    cold = runs.start("check-triads", {})
    for handle in (cold, *warm):
        assert handle.wait(60).state == "done"
        until(lambda handle=handle: not is_locked(handle.folder / "lock"))
    assert residents.count == 3
    for handle in warm:
        assert files(handle.folder) == files(cold.folder) - ENDED_WITH_ITS_RUN
    # Nothing but the page was made while the client waited.
    step = "steps/check-triads"
    used = ("lock", "run.json", "plan.json", "events.jsonl", "result.json", step, f"{step}/outputs.json", f"{step}/step.json")
    assert {(warm[0].folder / name).stat().st_ino for name in used} <= before
    residents.close()
    until(lambda: list(home.glob("spare/*")) == [])


def test_what_was_made_is_used_by_name_and_what_was_not_is_removed(home: Path) -> None:
    home.mkdir()
    spare, run = Spare(home), home / "runs" / "one"
    spare.make(4194304)
    held = spare.take(run)
    assert held is not None
    assert is_locked(run / "lock")
    before = {path.stat().st_ino for path in run.rglob("*")}
    move_in(run / "steps" / "check")
    write_json(run / "run.json", {}, durable=False)
    write_json(run / "steps" / "check" / "key.json", {}, durable=False)
    assert {path.stat().st_ino for path in (run / "run.json", run / "steps" / "check" / "key.json")} < before
    tidy(run)
    used = {"lock", "events.jsonl", "supervisor.log", "run.json", "steps", "steps/check"}
    assert files(run) == used | {"steps/check/log.txt", "steps/check/artifacts", "steps/check/key.json"}
    os.close(held)


def test_a_folder_of_an_earlier_attempt_and_the_second_step_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "steps" / NEXT).mkdir(parents=True)
    (tmp_path / "steps" / "begun").mkdir()
    (tmp_path / "steps" / "begun" / "attempts").mkdir()
    move_in(tmp_path / "steps" / "begun")
    assert files(tmp_path / "steps") == {NEXT, "begun", "begun/attempts"}
    move_in(tmp_path / "steps" / "first")
    move_in(tmp_path / "steps" / "second")
    assert files(tmp_path / "steps") == {"first", "begun", "begun/attempts"}


def test_a_folder_that_cannot_be_made_or_used_is_done_without(home: Path) -> None:
    home.mkdir()
    spare = Spare(home)
    assert spare.take(home / "runs" / "one") is None  # nothing was made
    spare.make(None)
    (home / "runs" / "taken" / "inside").mkdir(parents=True)
    assert spare.take(home / "runs" / "taken") is None
    (home / "spare").rename(home / "elsewhere")
    spare.make(None)
    assert spare.take(home / "runs" / "two") is None
    assert not (home / "spare").exists()


KILLED = """
import os, sys
from pathlib import Path
from realitygap.spare import Spare
Spare(Path(sys.argv[1])).make(None)
os.kill(os.getpid(), 9)
"""


def test_a_folder_whose_lock_is_not_there_any_more_is_no_folder_for_a_run(home: Path) -> None:
    home.mkdir()
    spare = Spare(home)
    spare.make(None)
    (made,) = home.glob("spare/*")
    (made / "lock").unlink()
    assert spare.take(home / "runs" / "one") is None
    assert not (home / "runs" / "one").exists()
    assert not made.exists()


def test_what_somebody_else_is_writing_into_a_run_stays(tmp_path: Path) -> None:
    (tmp_path / ".stop.json.77.tmp").write_text("{}")
    (tmp_path / ".result.json.77.tmp").touch()
    tidy(tmp_path)
    assert files(tmp_path) == {".stop.json.77.tmp"}


def test_the_folder_of_a_process_that_was_killed_goes_and_that_of_a_living_one_stays(home: Path) -> None:
    home.mkdir()
    living = home / "spare" / "1"
    living.mkdir(parents=True)
    held = lock(living / "lock")
    subprocess.run([sys.executable, "-c", KILLED, str(home)], check=False)
    assert len(list((home / "spare").iterdir())) == 2
    Spare(home)
    assert list((home / "spare").iterdir()) == [living]
    assert held is not None
    os.close(held)
    assert RunStore().ids() == []
