"""Clients of both major versions of the SDK, over both transports and in both eras, train a policy to the end through the handle."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

OLD = "1.30.0"
SERVE = ["-m", "realitygap.cli", "serve"]
TINY: dict[str, Any] = {"task": "cartpole-balance", "env_steps": 1536, "num_envs": 16, "hidden": [8], "engine": "mujoco"}
PATIENCE_S = 300


def training(number: int) -> dict[str, Any]:
    """Arguments that no other client of these tests gives, so nobody is answered from the cache. All compile the same programs."""
    return {**TINY, "seed": number}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return {**os.environ, "REALITYGAP_HOME": str(tmp_path_factory.mktemp("clients"))}


@pytest.fixture(scope="module")
def old_python() -> str:
    """A Python with the SDK's first major version, made once in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "realitygap"
    folder = cache / f"mcp-{OLD}-python-{sys.version_info.major}.{sys.version_info.minor}"
    python = folder / "bin" / "python"
    if not (folder / "complete").is_file():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-compile", f"mcp=={OLD}"], check=True, timeout=300)
        (folder / "complete").touch()
    return str(python)


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
            time.sleep(0.1)
        yield found.group()
    finally:
        process.terminate()
        process.wait(timeout=20)


def trained(document: dict[str, Any]) -> None:
    assert document["state"] == "done", document["error"]
    assert document["outputs"]["env_steps"] == TINY["env_steps"]
    assert document["summary"]
    assert document["next_steps"]


async def train(client: Client, arguments: dict[str, Any]) -> dict[str, Any]:
    """The document of a training that was begun, polled and finished."""
    document = (await client.call_tool("train_policy", {**arguments, "wait_s": 0})).structured_content or {}
    assert document["state"] == "running"
    with anyio.fail_after(PATIENCE_S):
        while document["state"] == "running":
            follow = document["next_steps"][0]
            document = (await client.call_tool(follow["tool"], {**follow["arguments"], "wait_s": 20})).structured_content or {}
    return document


@pytest.mark.slow
def test_an_old_client_trains_through_the_handle(environment: dict[str, str], old_python: str) -> None:
    script = Path(__file__).parent / "old_client.py"
    done = subprocess.run(
        [old_python, str(script), sys.executable, json.dumps(training(0))],
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout)
    assert told["protocol"] == "2025-11-25"
    assert {"train_policy", "run_status", "artifact_read"} <= set(told["tools"])
    assert told["polls"] > 0
    assert told["plot"] == "image"
    trained(told["document"])


@pytest.mark.slow
@pytest.mark.parametrize(("number", "mode"), [(1, "auto"), (2, "legacy")])
def test_a_client_trains_over_stdio(environment: dict[str, str], number: int, mode: Any) -> None:
    async def talk() -> None:
        async with Client(StdioServerParameters(command=sys.executable, args=SERVE, env=environment), mode=mode) as client:
            trained(await train(client, training(number)))

    anyio.run(talk)


@pytest.mark.slow
@pytest.mark.parametrize(("number", "mode"), [(3, "auto"), (4, "legacy")])
def test_a_client_trains_over_http(address: str, number: int, mode: Any) -> None:
    async def talk() -> None:
        async with Client(address, mode=mode) as client:
            trained(await train(client, training(number)))

    anyio.run(talk)
