"""The entry that a client's configuration needs for this server."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realitygap.errors import InputError
from realitygap.selection import Selection

NAME = "realitygap"
CLIENTS: Mapping[str, str] = {
    "claude-code": ".mcp.json of the project (or: claude mcp add-json realitygap '<the inner object>')",
    "claude-desktop": "claude_desktop_config.json (Settings, Developer, Edit Config)",
    "cursor": ".cursor/mcp.json of the project, or ~/.cursor/mcp.json",
    "vscode": ".vscode/mcp.json of the project",
    "codex": "~/.codex/config.toml",
}
"""Client to where its configuration lies."""
_TOKEN = {
    "claude-code": "${REALITYGAP_TOKEN}",
    "cursor": "${env:REALITYGAP_TOKEN}",
    "vscode": "${input:realitygap-token}",
}
_CALL_S = 60
"""Seconds that a call may take: the longest wait of a tool is 50."""


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """A server that listens over HTTP."""

    url: str
    token: bool
    """Whether it asks for one."""


def config(client: str, arguments: Sequence[str] = (), endpoint: Endpoint | None = None) -> str:
    """The text for the configuration file of a client.

    Args:
        arguments: of `skills serve`, for a client that starts the server itself.
        endpoint: for one that finds it running.

    Raises:
        InputError: the client cannot use such a server.
    """
    if endpoint is None:
        words = program()
        # The client starts it in an environment of its own, which knows nothing of what was chosen here.
        command, rest = words[0], [*words[1:], *Selection.from_environment().options(), "serve", *arguments]
        if client == "codex":
            return _toml({"command": command, "args": rest, "tool_timeout_sec": _CALL_S})
        entry: dict[str, Any] = {"command": command, "args": rest}
        if client in ("claude-code", "vscode"):
            entry = {"type": "stdio", **entry}
        return _json(client, entry)
    if client == "claude-desktop":
        raise InputError(
            "claude-desktop reads servers over HTTP from its settings, not from a file",
            hint=f"without --http it starts the server itself; else add {endpoint.url} under Settings, Connectors",
        )
    if client == "codex":
        return _toml(
            {
                "url": endpoint.url,
                **({"bearer_token_env_var": "REALITYGAP_TOKEN"} if endpoint.token else {}),
                "tool_timeout_sec": _CALL_S,
            }
        )
    entry = {"url": endpoint.url} if client == "cursor" else {"type": "http", "url": endpoint.url}
    if endpoint.token:
        entry["headers"] = {"Authorization": f"Bearer {_TOKEN[client]}"}
    return _json(client, entry)


def program() -> list[str]:
    """The command that starts this program from anywhere: clients have a PATH of their own."""
    script = Path(sys.executable).with_name("skills")
    return [str(script)] if os.access(script, os.X_OK) else [sys.executable, "-P", "-m", "realitygap.cli"]


def _json(client: str, entry: Mapping[str, Any]) -> str:
    document: dict[str, Any] = {"servers" if client == "vscode" else "mcpServers": {NAME: entry}}
    if client == "vscode" and "headers" in entry:
        document["inputs"] = [{"type": "promptString", "id": "realitygap-token", "description": "Token of the server", "password": True}]
    return json.dumps(document, indent=2, ensure_ascii=False)


def _toml(entry: Mapping[str, Any]) -> str:
    # A TOML basic string and an array of them are written as in JSON, once DEL is escaped too.
    lines = [f"{key} = {json.dumps(value, ensure_ascii=True)}" for key, value in entry.items()]
    return "\n".join([f"[mcp_servers.{NAME}]", *lines])
