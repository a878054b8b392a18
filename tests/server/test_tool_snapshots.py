"""Every tool as it goes over the wire, word for word: nothing that a model reads changes unseen.

A change that is meant: `REALITYGAP_RENEW_SNAPSHOTS=1 python -m pytest tests/server/test_tool_snapshots.py`, then read the difference.
"""

from __future__ import annotations

import json
import os
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


def test_every_tool_can_be_understood(wire: dict[str, dict[str, Any]]) -> None:
    for name, tool in wire.items():
        assert tool["title"], name
        assert 20 <= len(tool["description"]) <= LONGEST_DESCRIPTION, name
        Draft202012Validator.check_schema(tool["inputSchema"])
        Draft202012Validator.check_schema(tool.get("outputSchema", {}))
        for argument, schema in tool["inputSchema"].get("properties", {}).items():
            # Only what explains itself goes without words.
            assert schema.get("description") or argument in ("limit", "offset"), f"{name}.{argument}"
