"""What a damaged workspace costs: one clear line where it is used, and nothing else."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from workbench import Bench, until, waiting_pid

from realitygap.cli.execute import execute
from realitygap.journal import Journal
from realitygap.run_status import result_document
from realitygap.run_store import RunStore
from realitygap.runs import plan_run
from realitygap.workspace import lock


def one_error(bench: Bench, *arguments: str, code: int) -> str:
    _, err = bench.run(*arguments, code=code)
    assert err.startswith("error: ")
    assert "fault of the program" not in err
    assert "Traceback" not in err
    return err


def test_an_index_that_is_a_folder_is_told_with_its_place_and_nothing_is_left(bench: Bench) -> None:
    index = bench.workspace / ".skills" / "index.sqlite"
    index.mkdir(parents=True)
    document = bench.json("run", "noisy", code=3)
    assert document["error"]["where"] == str(index)
    assert "move it away" in document["error"]["hint"]
    assert str(index) in one_error(bench, "runs", code=3)
    assert bench.folders() == []
    index.rmdir()
    assert bench.json("run", "noisy")["status"] == "done"


def test_a_run_whose_row_is_not_renewed_yet_is_listed_as_its_folder_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path))
    store, about = RunStore(), {"id": "one", "skill": "noisy", "created": 1.0, "seed": 0}
    store.folder("one").mkdir(parents=True)
    (store.folder("one") / "run.json").write_text(json.dumps(about))
    store.index.put_run({**about, "state": "running"})
    error = {"message": "no luck", "where": None, "hint": None}
    (store.folder("one") / "result.json").write_text(json.dumps(result_document("one", "noisy", "failed", seconds=2.5, error=error)))
    (listed,) = store.list()
    assert (listed.state, listed.seconds, listed.message) == ("failed", 2.5, "no luck")


def test_a_run_ends_well_where_its_row_cannot_be_written_any_more(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"id": "one", "skill": "noisy", "created": 1.0, "seed": 0}))
    journal = Journal(folder, tmp_path, json.loads((folder / "run.json").read_text()))
    (tmp_path / "index.sqlite").mkdir()
    document = result_document("one", "noisy", "done")
    journal.ended(document, None)
    journal.record(document)
    assert json.loads((folder / "result.json").read_text())["status"] == "done"


def test_a_run_that_cannot_be_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path))
    plan = plan_run("check-triads", {})
    monkeypatch.setattr(type(plan), "to_json", lambda self: {"inputs": object()})
    with pytest.raises(TypeError):
        RunStore().create(plan)
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("name", ["run.json", "result.json"])
@pytest.mark.parametrize("damage", ["", '{"status": "do', "[]", "{}", '{"status": 1, "skill": 2}', "[" * 5000])
def test_a_damaged_file_of_a_run_is_named_and_the_other_runs_are_listed(
    name: str, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path))
    for one in ("whole", "damaged"):
        folder = tmp_path / "runs" / one
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps({"id": one, "skill": "noisy", "created": 1.0, "seed": 0}))
        (folder / "result.json").write_text(json.dumps(result_document(one, "noisy", "done")))
    place = tmp_path / "runs" / "damaged" / name
    place.write_text(damage)
    # There is no index: it is built from what is there.
    assert execute(["runs", "--json"]) == 0
    rows = {row["run"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["whole"]["state"] == "done"
    assert f"{place}: damaged" in rows["damaged"]["message"]
    for arguments in (["runs", "show", "damaged"], ["runs", "show", "damaged", "--json"]):
        assert execute(arguments) == 3
        captured = capsys.readouterr()
        assert captured.err.startswith(f"error: {place}: damaged")
        assert captured.out == ""
    assert execute(["runs", "show", "whole"]) == 0
    assert execute(["runs", "prune", "--older-than", "1", "--dry-run"]) == 0
    assert "whole" in capsys.readouterr().out
    assert execute(["runs", "prune", "--keep", "1"]) == 0
    assert os.listdir(tmp_path / "runs") == ["whole"]


def test_a_run_whose_result_is_damaged_is_made_whole_by_resume(bench: Bench) -> None:
    done = bench.json("run", "add", *bench.given(a=1))
    (bench.folders()[0] / "result.json").write_text("{")
    assert f"skills runs resume {done['run']}" in one_error(bench, "runs", "show", "last", code=3)
    assert bench.json("runs", "resume", "last")["outputs"] == done["outputs"]
    assert bench.lines() == ["add 1"], "the finished step is not repeated"


def test_a_plan_that_is_damaged_is_refused_by_resume(bench: Bench) -> None:
    client = bench.start("run", "count", *bench.given(to=5, wait_at=2, gate=bench.gate))
    worker = waiting_pid(bench)
    os.kill(worker, signal.SIGKILL)
    client.communicate(timeout=30)
    (bench.folders()[0] / "plan.json").write_text('{"format": 1}')
    assert "plan is missing or damaged" in one_error(bench, "runs", "resume", "last", code=2)


def test_a_refused_run_leaves_no_run_no_checkpoint_and_no_lock(bench: Bench) -> None:
    bench.run("run", "noisy")
    before = bench.folders()
    assert bench.json("run", "fail", "-i", "how=input", code=2)["status"] == "failed"
    assert bench.folders() == before
    assert list((bench.workspace / ".skills").glob("checkpoints/*")) == []


def test_a_refused_run_that_nobody_follows_removes_itself_and_its_id_says_why(bench: Bench) -> None:
    run = bench.run("run", "fail", "-i", "how=input", "--detach")[0].strip()
    until(lambda: bench.folders() == [])
    assert list((bench.workspace / ".skills").glob("checkpoints/*")) == []
    assert bench.json("runs") == []
    assert f"run {run} was refused: no joint 'hip_l'" in bench.run("runs", "show", run, code=2)[1]


def test_a_step_that_failed_without_a_checkpoint_leaves_no_folder_for_one(bench: Bench) -> None:
    bench.run("run", "fail", "-i", "how=crash", code=3)
    bench.run("run", "fail", "-i", "how=kill", code=3)
    assert list((bench.workspace / ".skills").glob("checkpoints/*")) == []


def killed(bench: Bench, to: int) -> Path:
    """A run of `count` that left a checkpoint."""
    known = set(bench.folders())
    client = bench.start("run", "count", *bench.given(to=to, wait_at=2, gate=bench.gate))
    until(lambda: any(line.startswith("waiting") for line in bench.lines()))
    os.kill(waiting_pid(bench), signal.SIGKILL)
    client.communicate(timeout=30)
    bench.journal.unlink()
    (folder,) = set(bench.folders()) - known
    return folder


def test_prune_keeps_the_checkpoints_that_a_run_can_go_on_from_and_removes_all_others(bench: Bench) -> None:
    killed(bench, 5), killed(bench, 6)
    checkpoints = bench.workspace / ".skills" / "checkpoints"
    (checkpoints / "orphan" / "files").mkdir(parents=True)
    (checkpoints / "lonely.lock").touch()
    names = {path.name for path in checkpoints.iterdir()}
    bench.run("runs", "prune", "--keep", "2", "--dry-run")
    assert {path.name for path in checkpoints.iterdir()} == names
    bench.run("runs", "prune", "--keep", "2")
    assert len(list(checkpoints.glob("*/files/state"))) == 2
    assert not list(checkpoints.glob("orphan*")) + list(checkpoints.glob("lonely*"))
    # The newer run is left, and with it what it can go on from.
    bench.run("runs", "prune", "--keep", "1")
    bench.gate.touch()
    assert bench.json("runs", "resume", "last")["outputs"]["total"] == 6
    assert bench.lines() == ["count from 2"]
    assert list(checkpoints.iterdir()) == []


def test_prune_removes_the_checkpoint_of_a_step_that_another_run_has_finished(bench: Bench) -> None:
    folder = killed(bench, 5)
    checkpoint = next((bench.workspace / ".skills" / "checkpoints").glob("*/files/state")).parents[1]
    kept = checkpoint.with_name("kept")
    checkpoint.rename(kept)
    bench.gate.touch()
    bench.run("run", "count", *bench.given(to=5, wait_at=2, gate=bench.gate))
    kept.rename(checkpoint)
    bench.run("runs", "prune", "--keep", "9")
    assert not checkpoint.exists()
    assert folder.exists()
    # A hit does the same.
    (checkpoint / "files").mkdir(parents=True)
    assert bench.json("run", "count", *bench.given(to=5, wait_at=2, gate=bench.gate))["cached"]
    assert not checkpoint.exists()


def test_a_lock_on_a_file_that_its_holder_removed_excludes_whoever_comes_next(tmp_path: Path) -> None:
    path, taken = tmp_path / "step.lock", []
    held = lock(path)
    assert held is not None
    waiter = threading.Thread(target=lambda: taken.append(lock(path, patience_s=30.0)))
    waiter.start()
    time.sleep(0.05)  # it has opened the file by now; if not, the test is only weaker
    path.unlink()
    os.close(held)
    waiter.join()
    assert lock(path) is None
    os.close(taken[0])


FULL_DISK = """
import sys
if "realitygap.supervisor" in sys.orig_argv:
    from realitygap import journal
    write = journal.write_json
    def write_json(path, value, **how):
        if (path.parent / "steps" / "fail" / "artifacts" / "big").exists():
            raise OSError(28, "No space left on device", str(path))
        write(path, value, **how)
    journal.write_json = write_json
"""


def test_a_full_disk_is_told_although_the_result_could_not_be_written_at_first(bench: Bench) -> None:
    (bench.root / "code" / "sitecustomize.py").write_text(FULL_DISK)
    document = bench.json("run", "fail", "-i", "how=fill", code=3)
    assert document["status"] == "interrupted"
    assert "No space left" in document["error"]["message"] or "disk is full" in document["error"]["message"]
    assert f"skills runs resume {document['run']}" in document["error"]["hint"]
    assert not (bench.folders()[0] / "steps" / "fail" / "artifacts").exists(), "what the step left made room"


def test_a_run_without_a_last_word_on_a_full_disk_says_that_it_is_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "runs" / "cut").mkdir(parents=True)
    (tmp_path / "runs" / "cut" / "run.json").write_text(json.dumps({"id": "cut", "skill": "noisy", "created": 1.0, "seed": 0}))
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path))
    assert "full" not in RunStore().result("cut")["error"]["message"]
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    assert "the disk is full" in RunStore().result("cut")["error"]["message"]
