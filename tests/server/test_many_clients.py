"""Sixty-four clients at once with a training running: no error, no lost run, and a server that is killed loses none either.

All call in the same moment, again and again for a minute. Between two such moments they rest, which leaves the machine to other tests:
what is proved is that nothing is lost when all come at once, not how many calls fit into a minute.
"""

from __future__ import annotations

import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

CLIENTS = 64
SECONDS = float(os.environ.get("REALITYGAP_LOAD_S", "60"))
EVERY_S = 12.0
TRAINING = {"task": "cartpole-balance", "env_steps": 500_000_000, "num_envs": 16, "hidden": [8], "engine": "mujoco", "wait_s": 0}
SKILLS = Path(__file__).parents[2] / "skills"


class Server:
    """`skills serve --http` on a free port."""

    def __init__(self, home: Path) -> None:
        log = home / f"server-{time.monotonic_ns()}.log"
        with log.open("wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "realitygap.cli", "serve", "--http", "--port", "0", "--workspace", str(SKILLS)],
                stdout=file,
                stderr=file,
                env={**os.environ, "REALITYGAP_HOME": str(home / "home")},
            )
        deadline = time.monotonic() + 60
        while (found := re.search(r"http://\S+", log.read_text())) is None:
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        self.address = found.group()

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


async def told(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content or {}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_many_clients_at_once_lose_nothing_and_neither_does_a_killed_server(tmp_path: Path) -> None:
    server = Server(tmp_path)
    runs: set[str] = set()
    calls = 0

    async def one(number: int, began: float) -> None:
        nonlocal calls
        async with Client(server.address, mode="legacy" if number % 2 else "auto") as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert "check_triads" in names
            while (now := anyio.current_time()) < began + SECONDS:
                await anyio.sleep_until(began + EVERY_S * math.ceil((now - began) / EVERY_S))
                document = await told(client, "check_triads", path=str(SKILLS / "check-triads"))
                assert document["state"] == "done"
                assert document["run_id"] not in runs
                runs.add(document["run_id"])
                status = await told(client, "run_status", run_id=training)
                assert status["state"] == "running"
                calls += 2

    async def load() -> None:
        nonlocal training
        async with Client(server.address) as client:
            training = (await told(client, "train_policy", **TRAINING))["run_id"]
            began = anyio.current_time()
            async with anyio.create_task_group() as group:
                for number in range(CLIENTS):
                    group.start_soon(one, number, began)
            listed = await told(client, "run_list", limit=1)
            assert listed["total"] == len(runs) + 1

    async def after(address: str) -> None:
        async with Client(address) as client:
            before = (await told(client, "run_status", run_id=training))["progress"]
            assert (await told(client, "run_list", limit=1))["total"] == len(runs) + 1
            with anyio.fail_after(60):
                while (now := await told(client, "run_status", run_id=training, wait_s=1))["progress"] == before:
                    pass
            assert now["state"] == "running"
            assert (await told(client, "run_cancel", run_id=training))["state"] == "cancelled"

    training = ""
    try:
        anyio.run(load)
        assert calls >= 2 * CLIENTS
        server.kill()
        server = Server(tmp_path)
        anyio.run(after, server.address)
    finally:
        server.kill()
