"""Every tool as it goes over the wire, word for word: nothing that a model reads changes unseen.

A change that is meant: `REALITYGAP_RENEW_SNAPSHOTS=1 python -m pytest tests/server/test_tool_snapshots.py`, then read the difference.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from jsonschema import Draft202012Validator
from mcp import Client

from realitygap.discovery import Registry
from realitygap_server.bridge import Bridge
from realitygap_server.tools import LONGEST_DESCRIPTION
from realitygap_server.toolsets import Choice

FOLDER = Path(__file__).parent / "tool_snapshots"
ORDERS = re.compile(r"<[a-z/!]|ignore (all|any|previous|other)|do not (tell|mention|show)|you must", re.IGNORECASE)
RENEW = "REALITYGAP_RENEW_SNAPSHOTS"


@pytest.fixture(scope="module")
def wire() -> dict[str, dict[str, Any]]:
    skills = [skill for skill in Registry.discover().skills.values() if skill.builtin]
    bridge = Bridge(Registry([], skills), choice=Choice(toolsets=("all",)))

    async def listed() -> dict[str, dict[str, Any]]:
        async with Client(bridge.server, mode="legacy") as client:
            tools = (await client.list_tools()).tools
            return {tool.name: tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in tools}

    return anyio.run(listed)


def test_every_tool_is_as_its_snapshot_says(wire: dict[str, dict[str, Any]]) -> None:
    if os.environ.get(RENEW):
        FOLDER.mkdir(exist_ok=True)
        for path in FOLDER.glob("*.json"):
            path.unlink()
        for name, tool in wire.items():
            (FOLDER / f"{name}.json").write_text(json.dumps(tool, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
    kept = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
    assert sorted(kept) == sorted(wire)
    for name, tool in wire.items():
        assert tool == kept[name], f"{name} has changed; {RENEW}=1 renews its snapshot"


def test_no_tool_tells_a_model_more_than_a_reader_sees(wire: dict[str, dict[str, Any]]) -> None:
    for name, tool in wire.items():
        for text in texts(tool):
            # No letter that is not shown, no mark-up that a client may hide, no order to the model.
            assert text.replace("\n", "").isprintable(), (name, text)
            assert not ORDERS.search(text), (name, text)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from texts(key)
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)


def test_every_tool_can_be_understood(wire: dict[str, dict[str, Any]]) -> None:
    for name, tool in wire.items():
        assert tool["title"], name
        assert 20 <= len(tool["description"]) <= LONGEST_DESCRIPTION, name
        Draft202012Validator.check_schema(tool["inputSchema"])
        Draft202012Validator.check_schema(tool.get("outputSchema", {}))
        for argument, schema in tool["inputSchema"].get("properties", {}).items():
            # Only what explains itself goes without words.
            assert schema.get("description") or argument in ("limit", "offset"), f"{name}.{argument}"


def test_every_number_that_a_tool_takes_has_bounds_and_every_list_an_end(wire: dict[str, dict[str, Any]]) -> None:
    for name, tool in wire.items():
        for schema in schemas(tool["inputSchema"]):
            kinds = schema.get("type", [])
            kinds = {kinds} if isinstance(kinds, str) else set(kinds)
            if kinds & {"integer", "number"}:
                assert {"minimum", "exclusiveMinimum"} & set(schema), (name, schema)
                assert {"maximum", "exclusiveMaximum"} & set(schema), (name, schema)
            if "array" in kinds:
                assert "maxItems" in schema, (name, schema)


def test_no_bound_refuses_what_a_serious_user_does(wire: dict[str, dict[str, Any]]) -> None:
    large = {
        "env_steps": 10**12,
        "num_envs": 10**6,
        "seed": 2**31,
        "hidden": [8192] * 12,
        "unroll": 4096,
        "devices": 1024,
        "physics_dt": 1e-6,
    }
    Draft202012Validator(wire["train_policy"]["inputSchema"]).validate(large)
    for word in ("test_logs", "train_logs"):
        Draft202012Validator(wire["identify_parameters"]["inputSchema"]["properties"][word]).validate(["*.csv"] * 1000)


def schemas(value: Any) -> Iterator[dict[str, Any]]:
    """A schema and those inside it."""
    if isinstance(value, dict):
        if "type" in value:
            yield value
        for key, part in value.items():
            if key not in ("default", "examples"):
                yield from schemas(part)
    elif isinstance(value, list):
        for part in value:
            yield from schemas(part)
