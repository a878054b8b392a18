"""What a client, a skill of a third party, or a page in a browser must not get. Hosts, origins and tokens are in test_http, paths in
test_containment."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters
from mcp.types import CallToolRequestParams, TextContent

from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.new_run import new_id
from realitygap_server import bridge as bridge_module
from realitygap_server import limits as limits_module
from realitygap_server import task_extension
from realitygap_server.bridge import Bridge
from realitygap_server.environment import without_secrets
from realitygap_server.limits import Limits
from realitygap_server.toolsets import Choice

SECRET = "sk-nobody-may-see-this"
CODE = """
import os, subprocess, sys, time

def tell(inputs, run):
    with open("/proc/self/stat") as file:
        session = file.read().rpartition(")")[2].split()[3]
    return {
        "environment": dict(os.environ),
        "stdin": os.readlink("/proc/self/fd/0"),
        "leads_its_session": int(session) == os.getpid(),
        "summary": "Told.",
    }

def wait(inputs, run):
    # In a session of its own, where no signal to that of the worker finds it; once more, forgotten by who started it.
    code = f"import time; held = b'x' * {inputs['child_mb'] * 1_000_000}; time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    orphan = subprocess.run(["sh", "-c", "setsid sleep 600 >/dev/null 2>&1 & echo $!"], capture_output=True, text=True).stdout
    run.artifact("child.txt").write_text(f"{child.pid} {orphan}")
    held = bytearray(inputs["mb"] * 1_000_000)
    held[::4096] = b"x" * len(held[::4096])
    while True:
        time.sleep(0.05)
"""
MANIFEST = """\
schema: 1
name: {name}
version: 0.1.0
trit: 0
summary: For a test.
entry: odd_skills:{function}
runtime: {runtime}
effects: run
cache: false
inputs:
  mb: {{type: integer, minimum: 0, maximum: 2000, default: 0}}
  child_mb: {{type: integer, minimum: 0, maximum: 2000, default: 0}}
outputs:
  environment: {{type: object, x-optional: true}}
  stdin: {{type: string, x-optional: true}}
  leads_its_session: {{type: boolean, x-optional: true}}
  summary: {{type: string, x-optional: true}}
"""


@pytest.fixture
def workspace(tmp_path: Path) -> dict[str, str]:
    """The environment of a server with three odd skills and a home of its own."""
    (tmp_path / "odd_skills.py").write_text(CODE)
    for name, function, runtime in (("tell-all", "tell", "quick"), ("wait-long", "wait", "long"), ("wait-quick", "wait", "quick")):
        folder = tmp_path / "skills" / name
        folder.mkdir(parents=True)
        (folder / "skill.yaml").write_text(MANIFEST.format(name=name, function=function, runtime=runtime))
    return {
        **os.environ,
        "REALITYGAP_HOME": str(tmp_path / "home"),
        "REALITYGAP_SKILLS_DIR": str(tmp_path / "skills"),
        "PYTHONPATH": str(tmp_path),
        "ACME_API_KEY": SECRET,
        "DATABASE_URL": f"postgres://me:{SECRET}@db.example/robots",
        "REALITYGAP_TOKEN": SECRET,
        "SKILL_ACCESS_KEY": "kept",
    }


@asynccontextmanager
async def connected(environment: dict[str, str], *options: str, mode: str = "auto") -> AsyncIterator[Client]:
    parameters = StdioServerParameters(command=sys.executable, args=["-m", "realitygap.cli", "serve", *options], env=environment)
    async with Client(parameters, mode=mode) as client:
        yield client


def told(result: Any) -> dict[str, Any]:
    document: dict[str, Any] = result.structured_content
    return document


def text(result: Any) -> str:
    return "".join(part.text for part in result.content if isinstance(part, TextContent))


def test_a_run_gets_no_secret_no_stdin_and_a_session_of_its_own(workspace: dict[str, str]) -> None:
    async def talk() -> None:
        async with connected(workspace, "--keep-env", "SKILL_ACCESS_KEY") as client:
            answer = await client.call_tool("tell_all", {})
            assert SECRET not in answer.model_dump_json()
            outputs = told(answer)["outputs"]
            assert outputs["environment"]["SKILL_ACCESS_KEY"] == "kept"
            assert outputs["environment"]["PYTHONPATH"] == workspace["PYTHONPATH"]
            assert outputs["stdin"] == "/dev/null"
            assert outputs["leads_its_session"]

    anyio.run(talk)


def test_no_python_file_of_the_workspace_is_run(workspace: dict[str, str], tmp_path: Path) -> None:
    place, mark = tmp_path / "place", tmp_path / "mark"
    place.mkdir()
    # A module of the standard library that every process of a run imports.
    (place / "selectors.py").write_text(f"open({str(mark)!r}, 'w').close()\n")

    async def talk() -> None:
        async with connected(workspace, "--workspace", str(place)) as client:
            assert told(await client.call_tool("tell_all", {}))["state"] == "done"

    anyio.run(talk)
    assert not mark.exists()
    command = [sys.executable, "-P", "-m", "realitygap.cli", "run", "tell-all", "--json"]
    done = subprocess.run(command, cwd=place, env=workspace, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout)["status"] == "done"
    assert not mark.exists()


@pytest.mark.parametrize(
    ("name", "value", "removed"),
    [
        ("OPENAI_API_KEY", "x", True),
        ("AWS_SECRET_ACCESS_KEY", "x", True),
        ("GH_TOKEN", "x", True),
        ("PGPASSWORD", "x", True),
        ("SSH_AUTH_SOCK", "x", True),
        ("PROXY", "http://me:word@proxy.example", True),
        ("DB", "mysql://u:p/w@h", True),
        ("REDIS", "redis://:word@h", True),
        ("STORE", "Endpoint=sb://x/;SharedAccessKey=x", True),
        ("STORE", "Server=db;Uid=me;Pwd=x", True),
        ("STORE", "AccountName=a; AccountKey = x", True),
        ("ODBC", "Driver=x;Password=x;", True),
        *((name, "x", True) for name in ("DB_PASS", "MYSQL_PWD", "GITHUB_PAT", "STRIPE_KEY", "OPENAI_KEY", "WANDB_KEY", "PGPASSFILE")),
        *((name, "x", True) for name in ("ENCRYPTION_KEY", "BEARER", "SSHPASS", "sendgrid_key", "SIGNING_KEYS", "DEPLOY_KEY_2", "NETRC")),
        ("PROXY", "http://proxy.example:80/a@b", False),
        ("ACCOUNT", '{"private_key": "x"}', True),
        ("CERTIFICATE", "-----BEGIN RSA PRIVATE KEY-----", True),
        ("PWD", "/a", False),
        ("OLDPWD", "/a", False),
        ("KEYBOARD", "us", False),
        ("MONKEYS", "3", False),
        ("PATHS", "/a", False),
        ("COMPASS_MODE", "on", False),
        ("XLA_FLAGS", "--xla_force_host_platform_device_count=2", False),
        ("LS_COLORS", "*.key=00;36:*.pwd=01", False),
        ("PATH", "/bin", False),
        ("HOME", "/root", False),
        ("JAX_PLATFORMS", "cpu", False),
        ("REALITYGAP_HOME", "/x", False),
        ("XAUTHORITY", "/x", False),
    ],
)
def test_variables_that_look_like_secrets_are_taken_out(name: str, value: str, removed: bool) -> None:
    environment = {name: value, "A": "b"}
    assert without_secrets(environment) == ([name] if removed else [])
    assert (name not in environment) == removed
    assert without_secrets({name: value}, keep=[name]) == []


def test_cancelling_ends_all_that_a_run_has_started_within_two_seconds(workspace: dict[str, str], tmp_path: Path) -> None:
    async def talk() -> None:
        async with connected(workspace) as client:
            run_id = told(await client.call_tool("wait_long", {"wait_s": 0}))["run_id"]
            note = tmp_path / "home" / "runs" / run_id / "steps" / "wait-long" / "artifacts" / "child.txt"
            until(lambda: note.is_file() and note.read_text())
            children = [int(one) for one in note.read_text().split()]
            assert len(children) == 2
            assert all(map(alive, children))
            cancelled = told(await client.call_tool("run_cancel", {"run_id": run_id}))
            assert cancelled["state"] == "cancelled"
            assert not any(map(alive, children))

    anyio.run(talk)


@pytest.mark.parametrize(
    ("options", "arguments", "message"),
    [
        (["--max-run-time", "1"], {}, "longer than the 1 s that it may"),
        (["--max-run-memory", "200"], {"mb": 400}, "more than the 200 MB that it may"),
        (["--max-run-memory", "200"], {"child_mb": 400}, "more than the 200 MB that it may"),
    ],
)
def test_a_run_beyond_its_time_or_memory_is_ended(
    workspace: dict[str, str], tmp_path: Path, options: list[str], arguments: dict[str, int], message: str
) -> None:
    async def talk() -> None:
        async with connected(workspace, *options) as client:
            answer = await client.call_tool("wait_long", {**arguments, "wait_s": 40})
            assert told(answer)["state"] == "failed"
            assert message in told(answer)["error"]["message"]
            folder = tmp_path / "home" / "runs" / told(answer)["run_id"]
            children = [int(one) for one in (folder / "steps" / "wait-long" / "artifacts" / "child.txt").read_text().split()]
            assert len(children) == 2
            assert not any(map(alive, children))

    anyio.run(talk)


def test_one_long_run_too_many_is_refused_and_quick_ones_are_not(workspace: dict[str, str]) -> None:
    async def talk() -> None:
        async with connected(workspace, "--max-runs", "2") as client:
            answers: list[Any] = []

            async def call() -> None:
                answers.append(await client.call_tool("wait_long", {"wait_s": 0}))

            async with anyio.create_task_group() as group:
                for _ in range(5):
                    group.start_soon(call)
            begun = [told(one)["run_id"] for one in answers if not one.is_error]
            assert len(begun) == 2
            assert all("2 long runs are going on" in text(one) for one in answers if one.is_error)
            assert told(await client.call_tool("tell_all", {}))["state"] == "done"
            for run_id in begun:
                await client.call_tool("run_cancel", {"run_id": run_id})
            again = told(await client.call_tool("wait_long", {"wait_s": 0}))
            assert again["state"] == "running"
            await client.call_tool("run_cancel", {"run_id": again["run_id"]})

    anyio.run(talk)


def test_quick_runs_that_outlive_their_calls_keep_their_places(workspace: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REALITYGAP_HOME", "REALITYGAP_SKILLS_DIR", "PYTHONPATH"):
        monkeypatch.setenv(name, workspace[name])
    for module in (bridge_module, limits_module):
        monkeypatch.setattr(module, "LONGEST_WAIT_S", 2.0)
    bridge = Bridge(limits=Limits(quick_runs=2), choice=Choice.of(toolsets="all"))
    answers: list[Any] = []

    async def talk() -> None:
        async with Client(bridge.server) as client:

            async def call() -> None:
                answers.append(await client.call_tool("wait_quick", {}))

            async with anyio.create_task_group() as group:
                for _ in range(3):
                    group.start_soon(call)
            (refused,) = [one for one in answers if one.is_error]
            assert "2 quick runs are going on" in text(refused)
            first, second = [told(one)["run_id"] for one in answers if not one.is_error]
            assert (await client.call_tool("wait_quick", {})).is_error
            await client.call_tool("run_cancel", {"run_id": first})
            third = told(await client.call_tool("wait_quick", {}))
            assert third["state"] == "running"
            for run_id in (second, third["run_id"]):
                await client.call_tool("run_cancel", {"run_id": run_id})

    anyio.run(talk)
    bridge.close()


def test_a_call_that_is_cancelled_while_its_task_begins_has_the_run_stopped(
    workspace: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REALITYGAP_HOME", "REALITYGAP_SKILLS_DIR", "PYTHONPATH"):
        monkeypatch.setenv(name, workspace[name])
    bridge = Bridge(choice=Choice.of(toolsets="all"))
    jobs, begin = bridge.jobs, bridge.jobs.start
    monkeypatch.setattr(task_extension, "declared", lambda ctx: True)

    async def talk() -> None:
        with anyio.CancelScope() as scope:

            async def start(*arguments: Any) -> str:
                run_id = await begin(*arguments)
                scope.cancel()
                await anyio.sleep(0.1)
                return run_id

            monkeypatch.setattr(jobs, "start", start)
            context: Any = None
            await bridge.call_tool(context, CallToolRequestParams(name="wait_long", arguments={}))
        (run_id,) = jobs.store.ids()
        assert jobs.store.wait(run_id, 10.0).state == "cancelled"

    anyio.run(talk)
    bridge.close()


def test_run_ids_have_130_random_bits_and_a_wrong_one_tells_nothing() -> None:
    ids = [new_id(0.0) for _ in range(200)]
    parts = {one.rpartition("-")[2] for one in ids}
    assert len(parts) == 200
    assert all(re.fullmatch("[a-z2-7]{26}", part) for part in parts)
    jobs = Bridge(Registry([], [])).jobs
    messages = set()
    for wrong in (ids[0], "last", "../x", "", ids[0][:-1]):
        with pytest.raises(InputError) as caught:
            jobs.known(wrong)
        messages.add(str(caught.value))
    assert len(messages) == 1


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_the_text_of_a_crash_inside_the_server_stays_there(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    bridge = Bridge(Registry([], []))

    def crash(*_: Any, **__: Any) -> Any:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(type(bridge), "skills", property(crash))
    monkeypatch.setattr(bridge.jobs, "known", crash)
    monkeypatch.setattr(bridge.guides, "resources", crash)

    async def talk() -> None:
        async with Client(bridge.server, mode=mode) as client:
            asks: list[Callable[[], Any]] = [
                client.list_tools,
                client.list_resources,
                lambda: client.call_tool("run_status", {"run_id": "x"}),
            ]
            for ask in asks:
                try:
                    answer = await ask()
                    refused, seen = answer.is_error, answer.model_dump_json()
                except MCPError as error:
                    refused, seen = error.code == -32603, f"{error} {error.error.model_dump_json()}"
                assert refused
                assert SECRET not in seen

    anyio.run(talk)


def test_every_number_and_text_that_the_servers_own_tools_take_has_bounds() -> None:
    for tool, _ in Bridge(Registry([], [])).handles.tools.values():
        for name, schema in tool.input_schema["properties"].items():
            kind = schema.get("type")
            if kind in ("integer", "number"):
                assert "minimum" in schema, (tool.name, name)
                assert "maximum" in schema, (tool.name, name)
            elif kind == "string":
                assert "maxLength" in schema or "enum" in schema, (tool.name, name)


def test_no_tool_reaches_beyond_this_machine() -> None:
    bridge = Bridge(Registry.discover())
    tools = [*(one.tool for one in bridge.skills.values()), *(tool for tool, _ in bridge.handles.tools.values())]
    assert tools
    assert all(tool.annotations and tool.annotations.open_world_hint is False for tool in tools)


def test_no_file_of_a_user_is_ever_unpickled_or_executed() -> None:
    root = Path(__file__).parents[2]
    for package in ("registry", "core", "plugins", "server"):
        for file in (root / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text("utf-8"))):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                unsafe = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"} & {name.partition(".")[0] for name in names}
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    unsafe |= {"eval", "exec"} & {node.func.id}
                if isinstance(node, ast.keyword) and node.arg == "allow_pickle":
                    unsafe |= {"allow_pickle"} if not (isinstance(node.value, ast.Constant) and node.value.value is False) else set()
                assert not unsafe, f"{file.relative_to(root)}:{getattr(node, 'lineno', 0)} uses {unsafe}"


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds: Callable[[], Any], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
