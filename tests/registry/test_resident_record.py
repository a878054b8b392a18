"""When a run that a resident owns is on record, what is told of it, and what is left where it never was."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from residentbench import Lab, laboratory
from workbench import until

from realitygap import runs
from realitygap.discovery import Registry
from realitygap.workspace import is_locked


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    with laboratory(tmp_path, monkeypatch) as lab:
        yield lab


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
