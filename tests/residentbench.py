"""A light and a heavy skill that say which process they are, and residents for them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from workbench import until

from realitygap import runs
from realitygap.discovery import Registry
from realitygap.executor import Kind
from realitygap.plan import Options
from realitygap.resident import Residents
from realitygap.runs import RunHandle

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


@contextmanager
def laboratory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """One in a folder, with a resident that waits."""
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
