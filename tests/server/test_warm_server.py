"""What makes the server quick: a light start, a list that is made once, processes that are there already. And stdout under load."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client

from realitygap_server.bridge import Bridge
from realitygap_server.listing import KeptList

MOST_CPU_S, MOST_OF_THE_SDK = 1.5, 1.6
CALLS = 30


class Raw:
    """`skills serve` over stdio, and a client that writes and reads lines."""

    def __init__(self, home: Path) -> None:
        self.process: Any = subprocess.Popen(
            [sys.executable, "-m", "realitygap.cli", "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            cwd=home,
            env={**os.environ, "REALITYGAP_HOME": str(home / "runs")},
        )

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def send(self, **message: Any) -> None:
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self.process.stdin.flush()

    def read(self) -> dict[str, Any]:
        message: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert message["jsonrpc"] == "2.0"
        return message

    def greet(self) -> None:
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
        self.send(id=0, method="initialize", params=about)
        assert self.read()["id"] == 0

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_a_client_is_greeted_after_little_work(tmp_path: Path) -> None:
    # Sources are compiled once, which is no part of a start: the better of two. On a slow or busy machine a second of CPU does less; there
    # the import of the protocol's SDK, which is most of a start, says how much.
    used, sdk = [], []
    for _ in range(2):
        with Raw(tmp_path) as server:
            server.greet()
            used.append(server.cpu_s())
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "import mcp.server"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        sdk.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    assert min(used) <= max(MOST_CPU_S, MOST_OF_THE_SDK * min(sdk))


def test_every_line_on_stdout_is_json_rpc_under_load(tmp_path: Path) -> None:
    with Raw(tmp_path) as server:
        server.greet()
        server.send(method="notifications/initialized")
        for number in range(1, CALLS + 1):
            name, arguments = ("check_triads", {"path": str(tmp_path)}) if number % 3 == 0 else ("run_list", {})
            server.send(id=number, method="tools/call", params={"name": name, "arguments": arguments})
        answered = {server.read()["id"] for _ in range(CALLS)}
        assert answered == set(range(1, CALLS + 1))
        server.process.stdin.close()
        assert server.process.stdout.read() == ""


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_list_of_tools_is_made_once_and_is_the_same_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any) -> None:
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path))
    bridge = Bridge()
    made = 0
    entry = bridge.server.get_request_handler("tools/list")
    assert entry is not None

    async def counted(ctx: Any, params: Any) -> Any:
        nonlocal made
        made += 1
        return await entry.handler(ctx, params)

    bridge.server.add_request_handler("tools/list", entry.params_type, counted)

    async def talk() -> None:
        for _ in range(2):
            async with Client(bridge.server, mode=mode) as client:
                # It is there before a client has asked for it.
                assert made == 1
                lists = [(await client.list_tools()).model_dump_json() for _ in range(2)]
            assert lists[0] == lists[1]
        assert made == 1
        # What is kept is what the SDK makes of the answer: without the middleware that keeps it each request goes all the way.
        assert isinstance(bridge.server.middleware.pop(), KeptList)
        async with Client(bridge.server, mode=mode) as client:
            assert (await client.list_tools()).model_dump_json() == lists[0]
        assert made == 2

    anyio.run(talk)


def test_quick_skills_one_after_another_are_served_by_the_same_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path))
    bridge = Bridge()

    async def talk() -> list[tuple[int, int]]:
        found = []
        async with Client(bridge.server) as client:
            for _ in range(3):
                document = (await client.call_tool("check_triads", {})).structured_content or {}
                lines = (bridge.jobs.store.folder(document["run_id"]) / "events.jsonl").read_text().splitlines()
                events = {event["event"]: event for event in map(json.loads, lines)}
                found.append((events["run-started"]["pid"], events["step-started"]["pid"]))
                with anyio.fail_after(30):
                    while not bridge.jobs.residents.idle("light"):
                        await anyio.sleep(0.01)
        return found

    processes = anyio.run(talk)
    bridge.close()
    assert len(set(processes)) == 1
    assert os.getpid() not in processes[0]
