"""A server, and the runs that it starts, have the plugins that `skills` was told to have."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from thirdparty import distribution

from realitygap.selection import ALLOW, DENY, SKILLS_DIR, STRICT
from realitygap_server.client_config import config

TELL = """\
import json
from realitygap.discovery import Registry

def run(inputs, run):
    return {"summary": json.dumps({record.name: record.state for record in Registry.discover().plugins.values()})}
"""


def test_the_server_offers_and_its_workers_see_what_was_chosen(tmp_path: Path) -> None:
    distribution(tmp_path / "site", "tell-gap", files={"skill.py": TELL}, skills=("tell-plugins",))
    distribution(tmp_path / "site", "acme-gap", files={"skill.py": TELL}, skills=("look-around",))
    kept = {name: value for name, value in os.environ.items() if name not in (ALLOW, DENY, STRICT, SKILLS_DIR)}
    environment = kept | {"PYTHONPATH": str(tmp_path / "site"), "REALITYGAP_HOME": str(tmp_path / "home")}
    options = ["-m", "realitygap.cli", "--disable-plugins", "acme-gap", "serve", "--toolsets", "all"]

    async def talk() -> None:
        parameters = StdioServerParameters(command=sys.executable, args=options, env=environment)
        async with Client(parameters) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert "tell_plugins" in names
            assert "look_around" not in names
            answer: Any = (await client.call_tool("tell_plugins", {})).structured_content
            seen = json.loads(answer["outputs"]["summary"])
            assert (seen["tell_gap"], seen["acme_gap"]) == ("found", "disabled")

    anyio.run(talk)


def test_the_entry_for_a_client_repeats_the_choice(monkeypatch: Any) -> None:
    for name in (ALLOW, DENY, STRICT, SKILLS_DIR):
        monkeypatch.delenv(name, raising=False)
    plain = json.loads(config("cursor", ["--read-only"]))["mcpServers"]["realitygap"]["args"]
    assert plain[-2:] == ["serve", "--read-only"]
    assert "--plugins" not in plain
    for name, value in ((ALLOW, "b,a"), (DENY, "c"), (STRICT, "1"), (SKILLS_DIR, "/mine")):
        monkeypatch.setenv(name, value)
    told = json.loads(config("cursor", ["--read-only"]))["mcpServers"]["realitygap"]["args"]
    assert told == [
        *plain[:-2], "--plugins", "a,b", "--disable-plugins", "c", "--strict-plugins", "--skills-dir", "/mine", "serve", "--read-only",
    ]  # fmt: skip
