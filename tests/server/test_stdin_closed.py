"""A client that closes stdin, or vanishes: who pipes requests in gets the answers, and what was started goes on."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import anyio
import mcp.types as t
import pytest
from mcp.server import Server
from mcp.shared.message import SessionMessage
from servebench import SERVE, environment_with_skills
from workbench import until

from realitygap_server import stdio

ABOUT = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "pipe", "version": "0"}}
GREETING: list[dict[str, Any]] = [{"id": 0, "method": "initialize", "params": ABOUT}, {"method": "notifications/initialized"}]
LARGE = "x" * 100_000


@pytest.fixture
def workspace(tmp_path: Path) -> dict[str, str]:
    return environment_with_skills(tmp_path)


def lines(*messages: dict[str, Any]) -> str:
    return "".join(json.dumps({"jsonrpc": "2.0", **one}) + "\n" for one in (*GREETING, *messages))


def served(*messages: dict[str, Any], takes_s: float = 0.0, reads_after_s: float = 0.0, text: str = "") -> dict[int, dict[str, Any]]:
    """Answers by id of a small server to a client that writes all of this and closes stdin. `tools/list` takes a while and tells a text."""
    requests, answers = os.pipe(), os.pipe()
    closed: list[bool] = []
    said: list[str] = []

    async def listed(ctx: Any, params: Any) -> t.ListToolsResult:
        await anyio.sleep(takes_s)
        return t.ListToolsResult(tools=[t.Tool(name="one", description=text, input_schema={"type": "object"})])

    def read() -> None:
        time.sleep(reads_after_s)
        with open(answers[0], encoding="utf-8") as client:
            said.extend(client)

    reader = threading.Thread(target=read)
    reader.start()
    with open(requests[1], "w", encoding="utf-8") as client:
        client.write(lines(*messages))
    with open(requests[0], encoding="utf-8") as stdin, open(answers[1], "w", encoding="utf-8") as stdout:
        server: Server[Any] = Server("small", on_list_tools=listed)
        anyio.run(stdio.serve, server, stdin, stdout, lambda: closed.append(True))
    reader.join()
    assert closed == [True]
    return {one["id"]: one for one in map(json.loads, said)}


def test_who_closes_stdin_gets_the_answer_to_what_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "LAST_WORDS_S", 5.0)
    assert "result" in served({"id": 1, "method": "tools/list"}, takes_s=0.2)[1]


def test_what_is_not_quick_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "LAST_WORDS_S", 0.1)
    assert "result" not in served({"id": 1, "method": "tools/list"}, takes_s=30.0).get(1, {})


def test_answers_that_wait_for_a_slow_reader_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "LAST_WORDS_S", 1.0)
    asked = [{"id": number, "method": "tools/list"} for number in range(1, 9)]
    found = served(*asked, reads_after_s=2.5, text=LARGE)
    assert sorted(number for number, one in found.items() if "result" in one) == list(range(9))


@pytest.mark.parametrize(
    "other",
    [
        {"id": 1, "method": "ping"},
        {"method": "notifications/cancelled", "params": {"requestId": [1]}},
        {"method": "notifications/cancelled", "params": {"requestId": True}},
        {"id": 2, "method": "no/such/method"},
        {"id": 2, "method": "tools/list", "params": {"cursor": 3}},
    ],
)
def test_no_other_message_keeps_an_answer_from_being_waited_for(other: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stdio, "LAST_WORDS_S", 5.0)
    answers = served({"id": 1, "method": "tools/list"}, other, takes_s=0.2)
    assert any("tools" in one.get("result", {}) for one in answers.values())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("last", [{"id": 1, "method": "tools/list"}, {"id": 1, "method": "no/such/method"}])
def test_nothing_is_waited_for_where_all_is_answered_or_cancelled(last: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    # Waiting would never end.
    monkeypatch.setattr(stdio, "LAST_WORDS_S", 1e9)
    assert 1 in served(last)
    for name in (1, "1"):
        cancelled = {"method": "notifications/cancelled", "params": {"requestId": name}}
        assert 1 not in served({"id": 1, "method": "tools/list"}, cancelled, takes_s=1e9)


def test_requests_from_a_pipe_are_answered_by_the_real_server(workspace: dict[str, str], tmp_path: Path) -> None:
    guide = {"name": "guide_read", "arguments": {"skill": "check-triads"}}
    asked = lines({"id": 1, "method": "tools/list"}, {"id": 2, "method": "tools/call", "params": guide})
    done = subprocess.run(SERVE, input=asked, capture_output=True, text=True, cwd=tmp_path, env=workspace, check=True)
    assert {one["id"] for one in map(json.loads, done.stdout.splitlines()) if "result" in one} == {0, 1, 2}


@pytest.mark.parametrize("skill", ["count_slowly", "check_triads"])
def test_a_client_that_vanishes_ends_the_server_in_order_and_no_run(skill: str, workspace: dict[str, str], tmp_path: Path) -> None:
    arguments = {"n": 200, "pause_s": 0.02, "wait_s": 40} if skill == "count_slowly" else {}
    call = {"name": skill, "arguments": arguments, "_meta": {"progressToken": "p"}}
    server: Any = subprocess.Popen(
        SERVE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=workspace
    )
    with server:
        server.stdin.write(lines({"id": 1, "method": "tools/call", "params": call}))
        server.stdin.flush()
        folder = Path(workspace["REALITYGAP_HOME"]) / "runs"
        (run,) = until(lambda: list(folder.glob("*/run.json")))
        if skill == "count_slowly":
            # An answer comes due after the client has gone.
            server.stdin.write(lines({"id": 2, "method": "tools/list"}).splitlines(keepends=True)[-1])
        server.stdout.close()
        server.stdin.close()
        assert server.wait(30) == 0
        assert "fault of the program" not in server.stderr.read()
    until(lambda: (run.parent / "result.json").exists())
    assert json.loads((run.parent / "result.json").read_text())["status"] == "done"


def test_what_a_client_cancels_before_it_goes_is_stopped(workspace: dict[str, str], tmp_path: Path) -> None:
    call = {"name": "count_slowly", "arguments": {"n": 500, "pause_s": 0.02, "wait_s": 40}}
    cancelled = {"method": "notifications/cancelled", "params": {"requestId": 1}}
    with subprocess.Popen(SERVE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=workspace) as server:
        assert server.stdin is not None
        server.stdin.write(lines({"id": 1, "method": "tools/call", "params": call}))
        server.stdin.flush()
        (step,) = until(lambda: list((tmp_path / "home" / "runs").glob("*/steps/count-slowly/log.txt")))
        server.stdin.write(lines(cancelled).splitlines(keepends=True)[-1])
        server.stdin.close()
        assert server.wait(30) == 0
    result = step.parents[2] / "result.json"
    until(result.exists)
    assert json.loads(result.read_text())["status"] == "cancelled"


@pytest.mark.parametrize("more", [0, 3])
def test_a_server_whose_client_reads_no_more_ends_though_stdin_is_open(more: int, workspace: dict[str, str], tmp_path: Path) -> None:
    with subprocess.Popen(
        SERVE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=workspace
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stderr is not None
        server.stdin.write(lines())
        server.stdin.flush()
        server.stdout.readline()
        server.stdout.close()
        server.stdin.write(lines(*({"id": number, "method": "ping"} for number in range(1, 2 + more))).split("\n", 2)[-1])
        server.stdin.flush()
        assert server.wait(30) == 0
        assert "fault" not in server.stderr.read()


def test_a_question_is_remembered_until_it_is_answered_or_taken_back() -> None:
    def item(**message: Any) -> SessionMessage:
        return SessionMessage(t.jsonrpc_message_adapter.validate_python({"jsonrpc": "2.0", **message}))

    questions = stdio.Questions()
    for number in range(100):
        questions.heard(item(id=number, method="ping"))
        assert questions
        questions.said(item(id=number, result={}))
        assert not questions
    assert questions._open == {}
    for _ in range(2):
        questions.heard(item(id="same", method="ping"))
    questions.said(item(id="same", error={"code": 1, "message": "no"}))
    assert questions
    questions.heard(item(method="notifications/cancelled", params={"requestId": "same"}))
    assert not questions
    questions.said(item(id="same", result={}))
    assert questions._open == {}
