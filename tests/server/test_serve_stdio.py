"""`skills serve` over stdin and stdout, driven by the SDK's client in both protocol eras and by raw JSON-RPC."""

from __future__ import annotations

import base64
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters
from mcp.types import ImageContent, TextContent
from servebench import SECRET, SERVE, environment_with_skills


@pytest.fixture
def workspace(tmp_path: Path) -> dict[str, str]:
    return environment_with_skills(tmp_path)


@asynccontextmanager
async def connected(environment: dict[str, str], mode: str = "auto", folder: Path | None = None) -> AsyncIterator[Client]:
    parameters = StdioServerParameters(command=SERVE[0], args=SERVE[1:], env=environment, cwd=folder)
    async with Client(parameters, mode=mode) as client:
        yield client


def told(result: Any) -> dict[str, Any]:
    document: dict[str, Any] = result.structured_content
    return document


def text(result: Any) -> str:
    return "".join(part.text for part in result.content if isinstance(part, TextContent))


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_client_of_either_era_lists_calls_follows_and_reads(workspace: dict[str, str], mode: str) -> None:
    async def talk() -> None:
        async with connected(workspace, mode) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
            assert {"check_triads", "entropy_sim2real", "run_status", "run_result", "run_cancel", "run_list", "artifact_read"} <= set(tools)
            assert list(tools)[:-6] == sorted(list(tools)[:-6])
            assert all(len(tool.description or "") <= 2048 for tool in tools.values())

            quick = await client.call_tool("check_triads", {})
            assert not quick.is_error
            assert told(quick)["state"] == "done"
            assert told(quick)["outputs"]["false_claims"] == 0
            assert json.loads(text(quick)) == told(quick)

            for arguments, expected in (
                ({"pth": "."}, "no argument 'pth'; did you mean 'path'?"),
                ({"path": 3}, "path: 3 is not of type 'string'"),
                ({"path": "nowhere"}, "no file, folder or collection named 'nowhere'"),
                ({"path": "/nowhere"}, "leads out of the workspace"),
            ):
                refused = await client.call_tool("check_triads", arguments)
                assert refused.is_error
                assert expected in text(refused)
            with pytest.raises(MCPError, match="Unknown tool: check_triad") as caught:
                await client.call_tool("check_triad", {})
            assert caught.value.code == -32602

            started = await client.call_tool("count_slowly", {"n": 40, "pause_s": 0.02, "wait_s": 0})
            assert told(started)["state"] == "running"
            assert told(started)["poll_after_s"] > 0
            run_id = told(started)["run_id"]
            step = told(started)["next_steps"][0]
            assert (step["tool"], step["arguments"]["run_id"]) == ("run_status", run_id)
            done = await client.call_tool(step["tool"], step["arguments"])
            assert told(done)["state"] == "done"
            assert told(done)["outputs"] == {"counted": 40, "summary": "40 counted."}
            assert told(done)["summary"] == "40 counted."
            assert len(text(done)) < 40_000

            # An output too large for an answer is read in windows, and nothing of it is lost.
            (name,) = told(done)["omitted"]
            call = told(done)["omitted"][name]
            read, offset = "", 0
            while offset is not None:
                window = told(await client.call_tool(call["tool"], {**call["arguments"], "offset": offset, "limit": 20_000}))
                read, offset = read + window["json"], window["next_offset"]
            assert json.loads(read) == ["x" * 100] * 400

            # Text comes in windows that join without loss, also where they cut a character in two; an image comes as an image.
            assert set(told(done)["artifacts"]) >= {"notes/long.txt", "dot.png"}
            read, offset = "", 0
            while offset is not None:
                window = told(
                    await client.call_tool("artifact_read", {"run_id": run_id, "name": "notes/long.txt", "offset": offset, "limit": 101})
                )
                read, offset = read + window["untrusted_text"], window["next_offset"]
            assert read == "äöü" * 500
            (image,) = (await client.call_tool("artifact_read", {"run_id": run_id, "name": "dot.png"})).content
            assert isinstance(image, ImageContent)
            assert image.mime_type == "image/png"
            assert base64.b64decode(image.data).startswith(b"\x89PNG")

            listed = told(await client.call_tool("run_list", {"limit": 1}))
            assert listed["runs"][0]["run_id"] == run_id
            assert listed["total"] == 2

    anyio.run(talk)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_refusal_is_told_and_the_text_of_a_crash_is_not(workspace: dict[str, str], mode: str) -> None:
    async def talk() -> None:
        async with connected(workspace, mode) as client:
            refused = await client.call_tool("refuse_it", {})
            assert refused.is_error
            assert told(refused)["error"] == {"message": "the mass is -1 kg", "where": "robot.xml:3", "hint": "give 0.1 to 5 kg"}
            # Nothing came of it, and the client has been told.
            assert list((Path(workspace["REALITYGAP_HOME"]) / "runs").iterdir()) == []
            crashed = await client.call_tool("crash_it", {})
            assert crashed.is_error
            assert "RuntimeError" in text(crashed)
            listed = await client.call_tool("run_list", {})
            again = await client.call_tool("run_result", {"run_id": told(crashed)["run_id"]})
            crashed_id = told(crashed)["run_id"]
            (Path(workspace["REALITYGAP_HOME"]) / "runs" / crashed_id / "steps" / "crash-it" / "artifacts").mkdir(exist_ok=True)
            way_out = [f"steps/crash-it/artifacts/../{name}" for name in ("log.txt", "../../supervisor.log", "../../plan.json")]
            for name in ("steps/crash-it/log.txt", "result.json", "events.jsonl", "report.html", "outcome.json", *way_out):
                kept = await client.call_tool("artifact_read", {"run_id": crashed_id, "name": name})
                assert kept.is_error, name
            for answer in (crashed, listed, again):
                assert SECRET not in answer.model_dump_json()

    anyio.run(talk)


def test_only_files_of_the_run_are_read(workspace: dict[str, str], tmp_path: Path) -> None:
    async def talk() -> None:
        async with connected(workspace) as client:
            done = told(await client.call_tool("count_slowly", {"n": 1}))
            run_id = done["run_id"]
            outside = tmp_path / "outside.txt"
            outside.write_text("not yours")
            (tmp_path / "home" / "runs" / run_id / "link.txt").symlink_to(outside)
            for name in (
                "../outside.txt", "../../../outside.txt", str(outside), "link.txt", "notes/../../../../../../outside.txt", "a\0b", "~/x",
                "steps", "/etc/passwd",
            ):  # fmt: skip
                answer = await client.call_tool("artifact_read", {"run_id": run_id, "name": name})
                assert answer.is_error, name
                assert "not yours" not in text(answer)
            # A beginning of an id, `last`, and paths are no ids.
            for other in ("last", run_id[:-3], run_id[:4], f"../runs/{run_id}", "", "x" * 50):
                answer = await client.call_tool("run_status", {"run_id": other})
                assert answer.is_error, other
                assert run_id not in text(answer)

    anyio.run(talk)


def test_a_run_is_cancelled_by_its_tool(workspace: dict[str, str]) -> None:
    async def talk() -> None:
        async with connected(workspace) as client:
            run_id = told(await client.call_tool("count_slowly", {"n": 10_000, "pause_s": 0.05, "wait_s": 0}))["run_id"]
            assert told(await client.call_tool("run_cancel", {"run_id": run_id}))["state"] == "cancelled"
            assert told(await client.call_tool("run_status", {"run_id": run_id}))["state"] == "cancelled"

    anyio.run(talk)


def test_one_run_is_cancelled_by_many_at_once(workspace: dict[str, str]) -> None:
    async def talk() -> None:
        async with connected(workspace) as client:
            run_id = told(await client.call_tool("count_slowly", {"n": 10_000, "pause_s": 0.05, "wait_s": 0}))["run_id"]
            answers: list[Any] = []

            async def cancel() -> None:
                answers.append(await client.call_tool("run_cancel", {"run_id": run_id}))

            async with anyio.create_task_group() as group:
                for _ in range(12):
                    group.start_soon(cancel)
            assert [told(one)["state"] for one in answers] == ["cancelled"] * 12

    anyio.run(talk)


@pytest.mark.slow
def test_a_run_outlives_the_server_and_a_new_one_shows_it(workspace: dict[str, str]) -> None:
    async def start() -> str:
        async with connected(workspace) as client:
            return str(told(await client.call_tool("count_slowly", {"n": 60, "pause_s": 0.05, "wait_s": 0}))["run_id"])

    async def follow(run_id: str) -> dict[str, Any]:
        async with connected(workspace) as client:
            assert told(await client.call_tool("run_list", {}))["runs"][0]["run_id"] == run_id
            return told(await client.call_tool("run_status", {"run_id": run_id, "wait_s": 30}))

    run_id = anyio.run(start)
    assert anyio.run(follow, run_id)["outputs"]["counted"] == 60


@pytest.mark.slow
@pytest.mark.parametrize("number", [None, signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_end_of_the_client_or_of_the_server_does_not_end_a_run_that_a_call_waits_for(
    workspace: dict[str, str], tmp_path: Path, number: int | None
) -> None:
    with Raw(workspace) as server:
        server.initialize()
        server.send("tools/call", {"name": "count_slowly", "arguments": {"n": 30, "pause_s": 0.05, "wait_s": 50}})
        runs = tmp_path / "home" / "runs"
        until(lambda: any(runs.glob("*/steps/*")))
        if number is None:
            server.process.stdin.close()
        else:
            server.process.send_signal(number)
        server.process.wait(timeout=20)
    until(lambda: any(runs.glob("*/result.json")))
    assert [json.loads(path.read_text())["status"] for path in runs.glob("*/result.json")] == ["done"]


def test_every_byte_on_stdout_is_json_rpc(workspace: dict[str, str]) -> None:
    with Raw(workspace) as server:
        server.initialize()
        answers = [server.call("tools/list", {})]
        answers.append(server.call("tools/call", {"name": "count_slowly", "arguments": {"n": 1}}))
        answers.append(server.call("tools/call", {"name": "crash_it", "arguments": {}}))
        server.process.stdin.close()
        rest = server.process.stdout.read()
        assert server.process.wait(timeout=20) == 0
    assert rest == ""
    assert answers[1]["result"]["structuredContent"]["state"] == "done"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_half_a_character_in_a_file_or_its_name_ends_no_connection(workspace: dict[str, str], tmp_path: Path, mode: str) -> None:
    (tmp_path / "guides").mkdir()
    os.symlink("/etc", os.fsencode(tmp_path / "guides") + b"/l\xff")

    async def talk() -> None:
        async with connected(workspace, mode, tmp_path) as client:
            refused = await client.call_tool("import_skills", {"path": "guides"})
            assert refused.is_error
            assert "l?" in text(refused)
            run_id = told(await client.call_tool("halve_it", {}))["run_id"]
            table = await client.call_tool("artifact_read", {"run_id": run_id, "name": "halves.jsonl"})
            assert told(table)["untrusted_rows"] == [{"a": "?"}]

    anyio.run(talk)


def test_a_client_that_probes_and_then_shakes_hands_is_served(workspace: dict[str, str]) -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
    with Raw(workspace) as server:
        for _ in range(2):
            found = server.call("server/discover", {"_meta": meta})["result"]
            assert "2026-07-28" in found["supportedVersions"]
        assert server.initialize()["result"]["protocolVersion"] == "2025-11-25"
        assert len(server.call("tools/list", {})["result"]["tools"]) > 5
    with Raw(workspace) as server:
        server.call("server/discover", {"_meta": meta})
        assert len(server.call("tools/list", {"_meta": meta})["result"]["tools"]) > 5


class Raw:
    """A client that writes and reads lines. Each line that it reads must be JSON-RPC."""

    def __init__(self, environment: dict[str, str]) -> None:
        def reset() -> None:
            # Under `nohup`, or in the background of a script, a process ignores these, and so do those that it starts.
            signal.signal(signal.SIGHUP, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.SIG_DFL)

        self.process: Any = subprocess.Popen(
            SERVE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            preexec_fn=reset,
        )
        self.number = 0

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            stream.close()

    def send(self, method: str, params: dict[str, Any]) -> None:
        self.number += 1
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params}) + "\n")
        self.process.stdin.flush()

    def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self.send(method, params)
        while True:
            message: dict[str, Any] = json.loads(self.process.stdout.readline())
            assert message["jsonrpc"] == "2.0"
            if message.get("id") == self.number:
                return message

    def initialize(self) -> dict[str, Any]:
        about = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "raw", "version": "0"}}
        answer = self.call("initialize", about)
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", "method": "notifications/initialized"}) + "\n")
        self.process.stdin.flush()
        return answer


def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
