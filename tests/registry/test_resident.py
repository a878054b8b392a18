"""Supervisors that stay: what they keep between two runs, and what they must not."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from workbench import endless, reads, until

from realitygap import resident, runs
from realitygap.discovery import Registry
from realitygap.errors import RunFailed
from realitygap.executor import Kind
from realitygap.fence import VARIABLE, started
from realitygap.plan import Options
from realitygap.resident import HEAVY_NICE, Residents
from realitygap.runs import RunHandle
from realitygap.workspace import is_locked, read_json

CODE = """
import os, subprocess, sys, time
VERSION = 1

def share():
    try:
        with open("/proc/self/autogroup") as file:
            return int(file.read().split()[-1])
    except OSError:  # the kernel has none
        return os.nice(0)

def where(inputs, run):
    if inputs["leave"]:
        own = inputs["leave"] == "in a session of its own"
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=own)
    os.environ["LEFT_BEHIND"] = "1"
    if inputs["crash"]:
        raise RuntimeError("on purpose")
    with open(inputs["journal"], "a") as file:
        file.write("begun\\n")
    run.progress(1, 4, "told once")
    end = time.monotonic() + inputs["wait_s"]
    while time.monotonic() < end:
        run.check_cancelled()
        time.sleep(0.01)
    return {"pid": os.getpid(), "version": VERSION, "run": os.environ["REALITYGAP_RUN"], "nice": os.nice(0), "share": share(),
        "rows": [{str(column): row for column in range(9)} for row in range(inputs["rows"])]}
"""
MANIFEST = """\
schema: 1
name: {name}
version: 0.1.0
trit: 0
summary: Says which process it is.
entry: whereabouts:where
runtime: quick
effects: run
cache: false
extras: {extras}
inputs:
  journal: {{type: string}}
  log: {{type: string, format: path, x-optional: true}}
  wait_s: {{type: number, default: 0}}
  leave: {{type: string, default: ''}}
  crash: {{type: boolean, default: false}}
  rows: {{type: integer, default: 0}}
outputs:
  rows: {{type: array, items: {{type: object}}}}
  pid: {{type: integer}}
  version: {{type: integer}}
  run: {{type: string}}
  nice: {{type: integer}}
  share: {{type: integer}}
"""
SKILLS: dict[Kind, str] = {"light": "where", "heavy": "where-heavy"}


class Lab:
    """A home with a light skill and a heavy one, and residents for them."""

    def __init__(self, root: Path) -> None:
        self.code = root / "code" / "whereabouts.py"
        self.journal = root / "journal"
        self.home = root / "home"
        self.registry = Registry.discover()
        self.residents = Residents(self.home)

    def start(self, *, options: Options | None = None, kind: Kind = "light", **inputs: Any) -> RunHandle:
        given = {"journal": str(self.journal), **inputs}
        return runs.start(SKILLS[kind], given, registry=self.registry, residents=self.residents, options=options)

    def finish(self, handle: RunHandle, kind: Kind = "light") -> dict[str, Any]:
        """The result, once the resident is free for another run."""
        handle.wait(30)
        result = handle.result()
        until(lambda: bool(self.residents.idle(kind)))
        return result

    def outputs(self, *, kind: Kind = "light", **inputs: Any) -> dict[str, Any]:
        result = self.finish(self.start(kind=kind, **inputs), kind)
        assert result["status"] == "done", result["error"]
        outputs: dict[str, Any] = result["outputs"]
        return outputs

    def begun(self, times: int) -> None:
        until(lambda: self.journal.is_file() and len(self.journal.read_text().splitlines()) >= times)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "whereabouts.py").write_text(CODE)
    for kind, name in SKILLS.items():
        (tmp_path / "skills" / name).mkdir(parents=True)
        extras = "[sim]" if kind == "heavy" else "[]"
        (tmp_path / "skills" / name / "skill.yaml").write_text(MANIFEST.format(name=name, extras=extras))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"))
    monkeypatch.syspath_prepend(str(tmp_path / "code"))
    monkeypatch.setenv("REALITYGAP_SKILLS_DIR", str(tmp_path / "skills"))
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("REALITYGAP_RUN", raising=False)
    lab = Lab(tmp_path)
    lab.residents.prepare()
    yield lab
    lab.residents.close()


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


@pytest.mark.parametrize("end", ["done", "failed", "cancelled", "large"])
def test_what_is_told_of_the_end_of_a_run_is_what_its_folder_says(lab: Lab, end: str) -> None:
    told: list[Any] = []
    handle = lab.start(wait_s=60 if end == "cancelled" else 0.5, crash=end == "failed", rows=3000 if end == "large" else 3)
    lab.residents.at_end(handle.id, lambda: told.append(lab.residents.ended(handle.id)))
    if end == "cancelled":
        lab.begun(1)
        handle.cancel()
    until(lambda: told)
    (status,) = told
    if end == "large":
        assert status is None
    else:
        assert status == handle.status()
        assert (status.state, status.result) == (end, handle.result())
    until(lambda: bool(lab.residents.idle("light")))
    assert lab.residents.ended(handle.id) is None


def test_a_run_is_on_record_while_its_step_works_and_its_only_word_of_progress_is_not_lost(lab: Lab) -> None:
    handle = lab.start(wait_s=60)
    assert {"plan.json", "run.json"} <= {path.name for path in handle.folder.iterdir()}
    assert [(one.id, one.state) for one in runs.RunStore().list()] == [(handle.id, "running")]
    until(lambda: handle.status().message == "told once")
    assert handle.status().progress == 0.25
    handle.cancel()
    assert handle.wait(10).state == "cancelled"


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


EAGER = """
import os, subprocess, sys
from pathlib import Path

def run(inputs, run):
    marker = Path(os.environ["REALITYGAP_HOME"]).parent / "marker"
    if not marker.exists():
        left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
        marker.write_text(str(left.pid))
        os.kill(os.getppid(), 9)
    return {}
"""
EAGER_MANIFEST = """\
schema: 1
name: eager
version: 0.1.0
trit: 0
summary: Begins at once.
entry: eager:run
runtime: quick
effects: run
cache: false
inputs: {}
outputs: {}
"""


def test_a_run_whose_process_is_killed_before_the_run_is_on_record_is_begun_by_another_and_nothing_of_it_is_left(
    lab: Lab, tmp_path: Path
) -> None:
    (tmp_path / "code" / "eager.py").write_text(EAGER)
    (tmp_path / "skills" / "eager").mkdir()
    (tmp_path / "skills" / "eager" / "skill.yaml").write_text(EAGER_MANIFEST)
    registry = Registry.discover()
    lab.finish(lab.start())
    # Who holds the index for writing keeps the run from being put on record.
    blocker = sqlite3.connect(lab.home / "index.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(lambda: runs.start("eager", registry=registry, residents=lab.residents))
        marker = tmp_path / "marker"
        until(lambda: marker.exists() and marker.read_text())
        blocker.rollback()
        blocker.close()
        handle = started.result(60)
    assert handle.wait(30).state == "done"
    assert [one.skill for one in handle.store.list()] == ["eager", "where"]
    assert len(list((lab.home / "runs").iterdir())) == 2
    until(lambda: not Path(f"/proc/{marker.read_text()}").exists())


def test_a_run_ends_as_it_would_where_the_index_is_lost_meanwhile(lab: Lab) -> None:
    for residents in (lab.residents, None):
        handle = runs.start("where", {"journal": str(lab.journal), "wait_s": 1.0}, registry=lab.registry, residents=residents)
        lab.begun(1 if residents else 2)
        for file in lab.home.glob("index.sqlite*"):
            file.unlink() if file.is_file() else file.rmdir()
        (lab.home / "index.sqlite").mkdir()
        until(lambda handle=handle: not handle.store.is_running(handle.id))
        assert handle.result()["status"] == "done"
        until(lambda handle=handle: not is_locked(handle.folder / "lock"))
        (lab.home / "index.sqlite").rmdir()


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
