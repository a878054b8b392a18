"""Skills as tools, without a process: schemas, hints, what is left out, and what the server must not import."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, Mock

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp import Client
from mcp.types import CallToolRequestParams, CallToolResult, TextContent

from realitygap import runs
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.inputs import prepare, validate
from realitygap.pipeline import output_schema
from realitygap.runs import RunHandle, RunStatus, result_document
from realitygap.skill import Skill
from realitygap_server import artifacts
from realitygap_server import bridge as bridge_module
from realitygap_server.answers import LARGEST_ANSWER, fitting
from realitygap_server.arguments import MOST_ERRORS, problems
from realitygap_server.bridge import Bridge
from realitygap_server.jobs import Jobs
from realitygap_server.limits import Turn
from realitygap_server.sizes import cost
from realitygap_server.tools import LONGEST_WAIT_S, faults, skill_tool, tool_name
from realitygap_server.toolsets import ALL, Choice

EVERYTHING = Choice(toolsets=(ALL,))


def make(tmp_path: Path, name: str = "measure-gap", **more: Any) -> Skill:
    values = {
        "runtime": "quick",
        "effects": "run",
        "inputs": {"model": {"type": "string", "x-unit": "none"}},
        "outputs": {"gap": {"type": "number"}},
    }
    return Skill(
        name=name,
        version="0.1.0",
        trit=0,
        summary="Measures.",
        entry="a:b",
        directory=tmp_path,
        plugin="p",
        distribution="acme",
        **values | more,
    )


def test_schemas_of_the_manifest_go_out_verbatim() -> None:
    registry = Registry.discover()
    tools = Bridge(registry, choice=EVERYTHING).skills
    assert {tool_name(name) for name in registry.skills} == set(tools)
    for name, skill in registry.skills.items():
        tool = tools[tool_name(name)].tool
        own = {key: value for key, value in tool.input_schema["properties"].items() if key in skill.inputs}
        assert own == skill.input_schema["properties"]
        assert set(tool.input_schema["properties"]) - set(own) <= {"wait_s"}
        assert tool.output_schema is not None
        assert tool.output_schema["properties"]["outputs"]["properties"] == output_schema(skill, registry)["properties"]


def test_hints_follow_from_effects(tmp_path: Path) -> None:
    hints = {
        effects: skill_tool("a", make(tmp_path, effects=effects), outputs={}).tool.annotations for effects in ("none", "run", "workspace")
    }
    assert [(one.read_only_hint, one.destructive_hint) for one in hints.values() if one] == [(True, False), (False, False), (False, True)]


def test_only_a_long_skill_takes_a_wait_and_its_own_argument_of_that_name_wins(tmp_path: Path) -> None:
    assert not skill_tool("a", make(tmp_path), outputs={}).takes_wait
    assert skill_tool("a", make(tmp_path, runtime="long"), outputs={}).takes_wait
    own = skill_tool("a", make(tmp_path, runtime="long", inputs={"wait_s": {"type": "integer"}}), outputs={})
    assert not own.takes_wait
    assert own.tool.input_schema["properties"]["wait_s"] == {"type": "integer"}


def test_the_description_says_what_then_when_and_is_never_too_long(tmp_path: Path) -> None:
    (tmp_path / "SKILL.md").write_text(f"---\nname: measure-gap\ndescription: {'Use it often. ' * 400}\n---\n")
    description = skill_tool("a", make(tmp_path), outputs={}).tool.description or ""
    assert description.startswith("Measures.\n\nUse it often.")
    assert len(description) <= 2048


def test_one_bad_manifest_is_left_out_and_the_list_stays(tmp_path: Path) -> None:
    good = make(tmp_path, "good")
    long_name = make(tmp_path, "x" * 60)
    bad_property = make(tmp_path, "bad-property", inputs={"a b": {"type": "string"}})
    twin = make(tmp_path, "good-twin")
    same = make(tmp_path, "good_twin")
    bad_type = make(tmp_path, "bad-type", inputs={"a": {"type": "array", "items": {"type": "strng"}}})
    elsewhere = make(tmp_path, "elsewhere", inputs={"a": {"$ref": "https://example.org/a.json"}})
    bridge = Bridge(Registry([], [good, long_name, bad_property, bad_type, elsewhere, twin, same]), choice=EVERYTHING)

    async def names() -> list[str]:
        async with Client(bridge.server, mode="legacy") as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    assert anyio.run(names) == ["good", "good_twin", *bridge.handles.tools]


def test_every_tool_can_be_sent_in_every_protocol_version() -> None:
    bridge = Bridge(Registry.discover(), choice=EVERYTHING)
    for tool in [*(one.tool for one in bridge.skills.values()), *(tool for tool, _ in bridge.handles.tools.values())]:
        assert faults(tool) == []


def test_a_tool_whose_output_is_no_object_would_be_found(tmp_path: Path) -> None:
    tool = skill_tool("a", make(tmp_path), outputs={}).tool
    assert faults(tool.model_copy(update={"output_schema": {"type": "array"}})) == ["the output schema is not an object at its root"]
    assert faults(tool.model_copy(update={"input_schema": {"type": "object", "oneOf": []}})) == ["the input schema has 'oneOf' at its root"]


SCHEMA = {
    "type": "object",
    "properties": {
        "model": {"type": "string", "description": "MJCF file"},
        "kind": {"enum": ["mjx", "mujoco"]},
        "n": {"type": "integer", "minimum": 1},
        "logs": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["model"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"model": "a"}, []),
        ({}, ["arguments: model missing (model: MJCF file)"]),
        ({"model": "a", "modle": "b"}, ["arguments: no argument 'modle'; did you mean 'model'?"]),
        ({"model": "a", "kind": "mujcoo"}, ['kind: "mujcoo" is not one of ["mjx", "mujoco"]; did you mean \'mujoco\'?']),
        ({"model": "a", "n": 0}, ["n: 0 is less than the minimum of 1"]),
        ({"model": "a", "logs": ["x", 1]}, ["logs.1: 1 is not of type 'string'"]),
    ],
)
def test_wrong_arguments_are_explained(arguments: dict[str, Any], expected: list[str]) -> None:
    assert problems(arguments, SCHEMA) == expected


def test_a_hundred_thousand_wrong_arguments_are_a_short_answer_at_once() -> None:
    many = {"model": "a", **{f"x{i}": 0 for i in range(100_000)}, "y" * 10_000: 0}
    (told,) = problems(many, SCHEMA)
    assert told.endswith("; and 99993 more")
    assert len(told) < 2000
    (told,) = problems({"model": "a", "y" * 100_000: 0}, SCHEMA)
    assert len(told) < 400
    lines = problems({"model": "a", "logs": [0] * 100_000}, SCHEMA)
    assert (len(lines), lines[-1]) == (MOST_ERRORS + 1, "and many more")


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1.0}], False),
        ([1, True, "1", [1], {"a": True}, {"a": 1}], True),
        ([0, False, None, ""], True),
        ([[1, 2], [2, 1], [1.0, 2]], False),
        ([{"name": f"a{i}"} for i in range(40_000)], True),  # each compared with each would take an hour
    ],
)
def test_items_are_unique_as_json_schema_says_in_a_time_that_is_linear(items: list[Any], unique: bool) -> None:
    schema = {"type": "object", "properties": {"items": {"type": "array", "uniqueItems": True}}}
    assert (problems({"items": items}, schema) == []) is unique
    if unique:
        validate({"items": items}, schema, "input")
    else:
        with pytest.raises(InputError, match="is there twice"):
            validate({"items": items}, schema, "input")


RUN = "20260101T000000Z-" + "a" * 26


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("artifact_read", {"name": "a.txt", "offset": 0.0, "limit": 500.0}, "abc"),
        ("artifact_read", {"name": "a.csv", "offset": 0.0, "limit": 500.0}, "abc"),
        ("artifact_read", {"name": ".", "offset": 0.0, "limit": 500.0}, "a.txt"),
        ("artifact_read", {"name": "a.txt", "offset": 2.0**53}, '"untrusted_text": ""'),
        ("artifact_read", {"name": "a.csv", "offset": 2.0**53}, '"untrusted_rows": []'),
        ("artifact_read", {"name": "a.txt", "offset": 1e20}, "offset: 100000000000000000000 is greater"),
        ("run_result", {"output": "text", "offset": 0.0, "limit": 500.0}, "字"),
        ("run_result", {"output": "text"}, '"next_offset": 6'),
        ("run_status", {"wait_s": float("nan")}, "wait_s: nan is not finite"),
        ("run_status", {"wait_s": float("inf")}, "wait_s: inf is not finite"),
        ("run_status", {"wait_s": 0.0}, "done"),
        ("run_list", {"limit": 5.0}, "total"),
        ("run_list", {"limit": 5.5}, "5.5 is not of type 'integer'"),
    ],
)
def test_every_number_that_a_schema_allows_is_taken_and_every_other_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str, arguments: dict[str, Any], told: str
) -> None:
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path))
    bridge = Bridge(Registry([], []))
    folder = tmp_path / "runs" / RUN
    folder.mkdir(parents=True)
    (folder / "run.json").write_text("{}")
    for name in ("a.txt", "a.csv"):
        (folder / name).write_text("abc\n1\n")
    status = RunStatus(id=RUN, skill="s", state="done", folder=folder, created=0.0, seconds=1.0, progress=1.0, message="", eta=None)
    named = {name: str(folder / name) for name in ("a.txt", "a.csv")}
    result = result_document(RUN, "s", "done", outputs={"text": "字" * 20_000}, artifacts=named)
    monkeypatch.setattr(bridge.jobs.store, "is_running", lambda _: False)
    monkeypatch.setattr(bridge.jobs.store, "get", lambda _: status)
    monkeypatch.setattr(bridge.jobs.store, "result", lambda _: result)

    async def ask() -> str:
        call = CallToolRequestParams(name=tool, arguments={**({} if tool == "run_list" else {"run_id": RUN}), **arguments})
        answer = await bridge.call_tool(None, call)  # type: ignore[arg-type]
        assert isinstance(answer, CallToolResult)
        assert isinstance(answer.content[0], TextContent)
        return answer.content[0].text

    text = anyio.run(ask)
    assert told in text
    assert cost(text) < 40_000


def test_a_whole_number_with_a_point_reaches_a_skill_as_an_integer(tmp_path: Path) -> None:
    number, whole = {"type": "number"}, {"type": "integer"}
    inputs = {
        "n": whole,
        "x": number,
        "either": {"anyOf": [whole, {"type": "string"}]},
        "many": {"type": "array", "items": whole},
        "by_name": {"type": "object", "properties": {"n": whole}, "additionalProperties": number},
        "size": {"type": "integer", "default": 2},
    }
    given = {"n": 3.0, "x": 3.0, "either": 4.0, "many": [1.0, 2], "by_name": {"n": 5.0, "other": 6.0}}
    found = prepare(make(tmp_path, inputs=inputs), given, {})
    assert repr(found) == repr({"n": 3, "x": 3.0, "either": 4, "many": [1, 2], "by_name": {"n": 5, "other": 6.0}, "size": 2})


def test_outputs_too_large_are_left_out_largest_first() -> None:
    outputs = {"small": 1, "middle": "m" * 5000, "large": "x" * (LARGEST_ANSWER + 1)}
    kept, omitted = fitting(outputs, "run")
    assert list(kept) == ["small", "middle"]
    assert omitted["large"]["arguments"] == {"run_id": "run", "output": "large"}
    assert fitting({"a": 1}, "run") == ({"a": 1}, {})


@given(st.text(max_size=300), st.integers(4, 50))
def test_windows_of_a_text_join_to_the_text(tmp_path_factory: pytest.TempPathFactory, text: str, limit: int) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    data = text.replace("\0", "").encode("utf-8", "replace")
    path.write_bytes(data)
    pieces, offset = [], 0
    while True:
        window = artifacts.read(path, offset=offset, limit=limit)
        assert isinstance(window, artifacts.Text)
        pieces.append(window.text)
        if window.next_offset is None:
            break
        assert window.next_offset > offset
        offset = window.next_offset
    assert "".join(pieces).encode() == data


def test_a_binary_file_is_not_shown_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK\x03\x04\xff\xfe\x00")
    assert artifacts.read(tmp_path / "a.npz") == artifacts.Binary(size=7)


def test_an_image_that_clients_refuse_is_not_sent(tmp_path: Path) -> None:
    header = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    for width, sent in ((8000, True), (8001, False)):
        (tmp_path / "a.png").write_bytes(header + struct.pack(">II", width, 10))
        assert isinstance(artifacts.read(tmp_path / "a.png"), artifacts.Image) == sent


@given(st.text(max_size=40))
def test_no_name_leads_out_of_the_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.mktemp("run")
    (root / "a.txt").write_text("a")
    (root.parent / "b.txt").write_text("b")
    try:
        found = artifacts.inside(root, name)
    except InputError:
        return
    assert found.is_relative_to(root.resolve())


def test_looking_through_the_files_of_one_call_keeps_no_other_from_beginning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = Jobs(Registry([], [make(tmp_path, runtime="long")]), tmp_path)
    begun: list[str] = []
    free = threading.Event()

    def admit(skill: Skill, inputs: dict[str, str]) -> dict[str, str]:
        if inputs["model"] == "slow.xml":
            assert free.wait(60.0)
        return inputs

    def begin(skill: str, inputs: dict[str, str], **more: Any) -> RunHandle:
        begun.append(inputs["model"])
        return RunHandle("a", jobs.store)

    monkeypatch.setattr(jobs.containment, "admit", admit)
    monkeypatch.setattr(runs, "start", begin)

    async def talk() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(jobs.start, "measure-gap", {"model": "slow.xml"})
            await anyio.wait_all_tasks_blocked()
            try:
                with anyio.fail_after(10.0):
                    await jobs.start("measure-gap", {"model": "quick.xml"})
            finally:
                free.set()

    anyio.run(talk)
    assert begun == ["quick.xml", "slow.xml"]


def test_a_quick_call_waits_for_its_turn_and_its_run_together_no_longer_than_the_longest_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skill = make(tmp_path)
    bridge = Bridge(Registry([], [skill]), tmp_path, choice=EVERYTHING)
    waits: list[float] = []

    @asynccontextmanager
    async def turn(skill: Skill) -> AsyncIterator[Turn]:
        await anyio.sleep(0.5)
        yield Turn()

    async def start(*arguments: Any) -> str:
        return "a"

    async def document(run_id: str, wait_s: float, report: Any) -> dict[str, Any]:
        waits.append(wait_s)
        return {"run_id": run_id, "state": "running"}

    monkeypatch.setattr(bridge.jobs.gate, "turn", turn)
    monkeypatch.setattr(bridge.jobs, "start", start)
    monkeypatch.setattr(bridge.handles, "document", document)
    tool = skill_tool("measure-gap", skill, outputs={})
    anyio.run(bridge.run, tool, {}, None)
    monkeypatch.setattr(bridge_module, "LONGEST_WAIT_S", 0.1)
    anyio.run(bridge.run, tool, {}, None)
    # 50 s less the 0.5 s of the turn, and a little for clocks; of 0.1 s nothing is left.
    assert 0.0 < waits[0] <= LONGEST_WAIT_S - 0.4
    assert waits[1] == 0.0


LIGHT = """
import json, sys, anyio
from realitygap_server.bridge import Bridge
from mcp import Client

async def talk():
    bridge = Bridge()
    async with Client(bridge.server) as client:
        await client.list_tools()
        answer = await client.call_tool("check_triads", {})
        assert answer.structured_content["state"] == "done", answer

anyio.run(talk)
print(json.dumps([name for name in ("jax", "mujoco", "numpy", "scipy", "realitygap_core", "realitygap_plugins") if name in sys.modules]))
"""


def test_the_server_imports_no_simulator_and_no_code_of_a_skill(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LIGHT],
        capture_output=True,
        text=True,
        env={**os.environ, "REALITYGAP_HOME": str(tmp_path)},
        cwd=tmp_path,
        timeout=120,
        check=True,
    )
    assert json.loads(done.stdout) == []


def test_half_a_character_in_a_message_of_progress_is_told_as_a_question_mark() -> None:
    told = AsyncMock()
    anyio.run(Bridge(Registry([], []))._reporter(Mock(session=Mock(report_progress=told))), 0.5, "l\udcff")
    told.assert_awaited_once_with(0.5, 1.0, "l?")
