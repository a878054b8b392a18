"""A call that waits tells its progress and can be cancelled by the protocol, over both transports and in both eras; the command line sees
the same runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

CODE = """
import os, subprocess, sys, time

def count(inputs, run):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    run.artifact("child.txt").write_text(str(child.pid))
    for _ in run.track(range(10_000), "counting"):
        time.sleep(0.02)
    return {"summary": "Counted."}
"""
MANIFEST = """\
schema: 1
name: count-on
version: 0.1.0
trit: 0
summary: Counts for minutes.
entry: patient_skills:count
runtime: long
effects: run
cache: false
inputs: {}
outputs: {summary: {type: string}}
"""
SERVE = ["-m", "realitygap.cli", "serve"]
MODES = ("auto", "legacy")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("following")
    (root / "patient_skills.py").write_text(CODE)
    (root / "skills" / "count-on").mkdir(parents=True)
    (root / "skills" / "count-on" / "skill.yaml").write_text(MANIFEST)
    return {
        **os.environ,
        "REALITYGAP_HOME": str(root / "home"),
        "REALITYGAP_SKILLS_DIR": str(root / "skills"),
        "PYTHONPATH": str(root),
    }


@pytest.fixture(scope="module")
def address(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("http") / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, *SERVE, "--http", "--port", "0"], stdout=file, stderr=file, env=environment)
    try:
        deadline = time.monotonic() + 60
        while (found := re.search(r"http://\S+", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield found.group()
    finally:
        process.terminate()
        process.wait(timeout=20)


async def cancelled_call(client: Client, home: Path) -> None:
    """Waits for a run of minutes, gives up after the second word of its progress, and looks at what is left of it."""
    told: list[float] = []
    before = set(home.glob("runs/*"))

    with anyio.CancelScope() as patience:

        async def progress(done: float, total: float | None, message: str | None) -> None:
            assert total == 1.0
            assert message == "counting"
            told.append(done)
            if len(told) == 2:
                patience.cancel()

        await client.call_tool("count_on", {"wait_s": 50}, progress_callback=progress)
    assert patience.cancelled_caught
    assert 0 <= told[0] < told[1] < 1
    (run,) = set(home.glob("runs/*")) - before
    with anyio.fail_after(2.0):
        while not (run / "result.json").is_file():
            await anyio.sleep(0.02)
    child = int((run / "steps" / "count-on" / "artifacts" / "child.txt").read_text())
    assert not alive(child)
    status: Any = (await client.call_tool("run_status", {"run_id": run.name})).structured_content
    assert status["state"] == "cancelled"
    # The run of the server and that of the command line are one.
    shown = subprocess.run(
        [sys.executable, "-m", "realitygap.cli", "runs", "show", run.name, "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "REALITYGAP_HOME": str(home)},
        check=True,
    )
    assert json.loads(shown.stdout)["state"] == "cancelled"


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_over_stdio_a_waiting_call_tells_its_progress_and_its_cancelling_ends_the_run(environment: dict[str, str], mode: Any) -> None:
    async def talk() -> None:
        async with Client(StdioServerParameters(command=sys.executable, args=SERVE, env=environment), mode=mode) as client:
            await cancelled_call(client, Path(environment["REALITYGAP_HOME"]))

    anyio.run(talk)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_over_http_a_waiting_call_tells_its_progress_and_its_cancelling_ends_the_run(
    environment: dict[str, str], address: str, mode: Any
) -> None:
    async def talk() -> None:
        async with Client(address, mode=mode) as client:
            await cancelled_call(client, Path(environment["REALITYGAP_HOME"]))

    anyio.run(talk)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
