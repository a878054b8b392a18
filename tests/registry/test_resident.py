"""Supervisors that stay: what they keep between two runs, and what they must not."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from residentbench import CODE, Lab, laboratory
from workbench import endless, reads, until

from realitygap import resident, runs
from realitygap.errors import RunFailed
from realitygap.fence import VARIABLE, started
from realitygap.plan import Options
from realitygap.resident import HEAVY_NICE
from realitygap.runs import RunHandle
from realitygap.workspace import is_locked, read_json


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with laboratory(tmp_path, monkeypatch) as lab:
        yield lab


def test_the_page_of_a_run_is_there_when_its_lock_is_free_and_the_next_run_waits_for_it(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    # As long as it takes on a busy machine; a page of many rows takes a while.
    monkeypatch.setattr(resident, "PAGE_S", {"light": 60.0, "heavy": 60.0})
    handles = []
    for _ in range(6):
        handles.append(lab.start(rows=2000))
        while handles[-1].store.is_running(handles[-1].id):
            pass
    until(lambda: not is_locked(handles[-1].folder / "lock"))
    results = [handle.result() for handle in handles]
    assert all("<h1>where</h1>" in Path(one["artifacts"]["report"]).read_text() for one in results)
    assert len({one["outputs"]["pid"] for one in results}) == 1


def test_a_page_that_cannot_be_written_is_told_after_the_end_too(lab: Lab) -> None:
    handle = lab.start(wait_s=1.0)
    lab.begun(1)
    (handle.folder / "report.html").mkdir()
    lab.finish(handle)
    result = handle.result()
    assert result["warnings"] == ["the report could not be written: IsADirectoryError"]
    assert "report" not in result["artifacts"]


def test_runs_in_a_row_share_processes_and_nothing_else(lab: Lab) -> None:
    handles = [lab.start()]
    first = lab.finish(handles[0])["outputs"]
    handles.append(lab.start())
    second = lab.finish(handles[1])["outputs"]
    assert first["pid"] == second["pid"]
    owners = [json.loads((one.folder / "events.jsonl").read_text().splitlines()[0])["pid"] for one in handles]
    assert owners[0] == owners[1]
    # What a step starts is marked as belonging to its own run, and no finished run claims the processes of the next.
    assert [first["run"], second["run"]] == [one.id for one in handles]
    assert not any((one.folder / name).exists() for one in handles for name in ("workers.json", "supervisor.json"))
    assert [one.status().state for one in handles] == ["done", "done"]


def test_a_simulator_is_kept_for_the_next_heavy_run_and_yields_to_light_ones(lab: Lab) -> None:
    first, second, light = lab.outputs(kind="heavy"), lab.outputs(kind="heavy"), lab.outputs()
    assert first["pid"] == second["pid"] != light["pid"]
    assert first["nice"] == min(19, light["nice"] + HEAVY_NICE)
    assert (first["share"], light["share"]) == (first["nice"], light["nice"])


def test_who_waits_for_a_run_is_told_its_end_when_the_result_is_there_also_of_a_killed_resident(lab: Lab) -> None:
    for kill in (False, True):
        told = threading.Event()
        handle = lab.start(wait_s=60 if kill else 2)
        lab.residents.at_end(handle.id, told.set)
        if kill:
            lab.begun(2)
            os.kill(json.loads((handle.folder / "events.jsonl").read_text().splitlines()[0])["pid"], signal.SIGKILL)
        assert told.wait(30)
        assert handle.status().state == ("interrupted" if kill else "done")
    # Of a run that no resident has, nothing is told.
    lab.residents.at_end(handle.id, pytest.fail)


def test_a_changed_source_is_imported_anew(lab: Lab) -> None:
    before = lab.outputs()
    # Of another size: what Python compiled of the first source it takes for that of a second one of the same second and size.
    lab.code.write_text(CODE.replace("VERSION = 1", "VERSION = 22"))
    after = lab.outputs()
    assert (before["version"], after["version"]) == (1, 22)
    assert before["pid"] != after["pid"]


def test_a_cancelled_run_is_over_and_the_next_one_is_not_cancelled(lab: Lab) -> None:
    handle = lab.start(wait_s=60)
    lab.begun(1)
    handle.cancel()
    assert handle.wait(10).state == "cancelled"
    assert lab.outputs()["version"] == 1


def test_a_run_cancelled_while_its_inputs_are_read_is_over_and_the_next_one_is_not(lab: Lab, tmp_path: Path) -> None:
    handle = lab.start(log=str(endless(tmp_path / "log.bin")))
    about = until(lambda: read_json(handle.folder / "supervisor.json"))
    until(lambda: reads(about["pid"], "log.bin"))
    handle.cancel()
    assert handle.wait(5).state == "cancelled"
    assert not lab.journal.exists()
    assert lab.outputs()["version"] == 1


def test_a_signal_that_comes_after_its_run_has_ended_does_not_stop_the_next_one(lab: Lab) -> None:
    lab.outputs()
    (resident,) = lab.residents.idle("light")
    os.kill(resident.process.pid, signal.SIGTERM)
    handle = lab.start(wait_s=0.5)
    lab.begun(2)
    os.kill(resident.process.pid, signal.SIGTERM)
    assert lab.finish(handle)["status"] == "done"
    assert [one.process.pid for one in lab.residents.idle("light")] == [resident.process.pid]


@pytest.mark.parametrize("where", ["in its session", "in a session of its own"])
def test_a_process_that_a_skill_left_behind_ends_with_its_worker(lab: Lab, where: str) -> None:
    first = lab.outputs(leave=where)
    second = lab.outputs()
    assert first["pid"] != second["pid"]
    assert not Path(f"/proc/{first['pid']}").exists()
    sleepers = [one for one in Path("/proc").glob("[0-9]*/environ") if f"REALITYGAP_RUN={first['run']}".encode() in contents(one)]
    assert sleepers == []


def test_a_run_that_a_skill_starts_is_not_ended_with_that_skill() -> None:
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    with (
        subprocess.Popen(sleep, env=environment, start_new_session=True) as another,
        subprocess.Popen(sleep, env={**environment, VARIABLE: ""}, start_new_session=True) as ours,
    ):
        until(lambda: ours.pid in started(os.getpid()))
        assert another.pid not in started(os.getpid())
        another.kill()
        ours.kill()


def test_resuming_a_failed_run_leaves_the_next_run_of_its_processes_alone(lab: Lab) -> None:
    lab.outputs()
    failed = lab.start(crash=True)
    assert lab.finish(failed)["status"] == "failed"
    next_one = lab.start(wait_s=1.0)
    lab.begun(2)
    # This ends whatever a dead supervisor of the failed run could have left.
    assert failed.store.resume(failed.id).wait(30).state == "failed"
    assert lab.finish(next_one)["status"] == "done"


def test_a_killed_resident_costs_its_run_alone(lab: Lab) -> None:
    handle = lab.start(wait_s=60)
    lab.begun(1)
    os.kill(json.loads((handle.folder / "supervisor.json").read_text())["pid"], 9)
    assert handle.wait(10).state == "interrupted"
    assert lab.outputs()["version"] == 1


def test_a_run_with_several_jobs_gets_a_supervisor_of_its_own(lab: Lab) -> None:
    ours = {one.process.pid for one in lab.residents.idle("light")}
    handle = lab.start(options=Options(jobs=2))
    handle.wait(30)
    owner = json.loads((handle.folder / "events.jsonl").read_text().splitlines()[0])["pid"]
    assert handle.status().state == "done"
    assert owner not in ours


def test_a_run_whose_process_cannot_be_started_leaves_nothing(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.residents.close()
    handle = runs.start("where", {"journal": str(lab.journal)}, registry=lab.registry)
    handle.wait(30)

    def refuse(*_: Any, **__: Any) -> Any:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    for residents in (None, lab.residents):
        with pytest.raises(RunFailed, match="could not be started: Resource temporarily unavailable"):
            runs.start("where", {"journal": str(lab.journal)}, registry=lab.registry, residents=residents)
        assert [one.id for one in runs.RunStore().list()] == [handle.id]
        assert [one.name for one in (lab.home / "runs").iterdir()] == [handle.id]


STARTER = """
import os, sys, time
from pathlib import Path
from realitygap import resident, runs
from realitygap.resident import Residents
residents = Residents(Path(os.environ["REALITYGAP_HOME"]))
residents.prepare()
handle = runs.start("where", {"journal": sys.argv[1], "wait_s": 1.0}, residents=residents)
print(handle.id, residents.count, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_run_outlives_the_process_that_keeps_its_resident(lab: Lab) -> None:
    done = subprocess.run([sys.executable, "-c", STARTER, str(lab.journal)], capture_output=True, text=True, timeout=60, check=False)
    run_id, warm = done.stdout.split()
    assert (done.returncode, warm) == (-9, "1")
    handle = RunHandle(run_id, runs.RunStore())
    assert handle.wait(30).state == "done"
    # With nobody to keep it for, the resident ends too.
    owner = json.loads((handle.folder / "events.jsonl").read_text().splitlines()[0])["pid"]
    until(lambda: not Path(f"/proc/{owner}").exists())


def contents(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
