"""`skills serve --print-config`: what it prints is what the client's file needs, and the command in it works from anywhere."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap_server.client_config import CLIENTS, Endpoint, config, program
from realitygap_server.health import examine

WHERE = {"claude-code": "mcpServers", "claude-desktop": "mcpServers", "cursor": "mcpServers", "vscode": "servers", "codex": "mcp_servers"}
OVER_HTTP = Endpoint(url="http://127.0.0.1:8350/mcp", token=True)


def entry(client: str, text: str) -> dict[str, Any]:
    document = tomllib.loads(text) if client == "codex" else json.loads(text)
    found: dict[str, Any] = document[WHERE[client]]["realitygap"]
    return found


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_starts_the_server_gets_its_command(client: str) -> None:
    arguments = ["--workspace", '/home/ann/my "robots"\\x', "--toolsets", "default,training"]
    found = entry(client, config(client, arguments))
    assert [found["command"], *found["args"]] == [*program(), "serve", *arguments]
    assert Path(found["command"]).is_absolute()
    assert found.get("type", "stdio") == "stdio"


@pytest.mark.parametrize("client", [one for one in CLIENTS if one != "claude-desktop"])
def test_a_client_of_a_running_server_gets_its_address_and_never_the_token(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REALITYGAP_TOKEN", "the-token-itself")
    text = config(client, endpoint=OVER_HTTP)
    assert entry(client, text)["url"] == OVER_HTTP.url
    assert "the-token-itself" not in text
    assert ("REALITYGAP_TOKEN" in text) or (client == "vscode" and json.loads(text)["inputs"][0]["password"])
    assert "uthorization" not in config(client, endpoint=Endpoint(url=OVER_HTTP.url, token=False))


def test_a_client_that_reads_no_addresses_from_its_file_says_so() -> None:
    with pytest.raises(InputError, match="from its settings"):
        config("claude-desktop", endpoint=OVER_HTTP)


def test_the_printed_command_starts_a_server_from_anywhere(tmp_path: Path) -> None:
    options = ["--workspace", str(tmp_path), "--read-only", "--max-runs", "2", "--max-run-time", "1000000"]
    printed = subprocess.run(
        [sys.executable, "-m", "realitygap.cli", "serve", *options, "--print-config", "claude-code"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert ".mcp.json" in printed.stderr
    found = entry("claude-code", printed.stdout)
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
    }
    done = subprocess.run(
        [found["command"], *found["args"]],
        input=json.dumps(request) + "\n",
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        timeout=60,
    )
    assert json.loads(done.stdout)["result"]["serverInfo"]["name"] == "realitygap"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--http", "--host", "0.0.0.0"], "nothing would ask who calls"),
        (["--http", "--oauth-issuer", "https://a.example"], "--oauth-audience and --oauth-keys missing"),
        (["--http", "--oauth-scope", "robots"], "says nothing without --oauth-issuer"),
        (["--toolsets", "trainin"], "did you mean 'training'?"),
        (["--workspace", "/"], "the workspace would be the whole file system"),
    ],
)
def test_options_that_make_no_sense_together_are_explained(arguments: list[str], message: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "realitygap.cli", "serve", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name != "REALITYGAP_TOKEN"},
        timeout=60,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_port_that_is_taken_is_explained(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "realitygap.cli", "serve", "--http", "--port", port]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_doctor_talks_to_the_server_as_clients_of_both_eras_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REALITYGAP_TOKEN", "short")
    items = {(item.name, item.state): item for item in examine(Registry([], []))}
    assert items["server token", "broken"].hint
    assert items["server http", "ok"]
    assert "tools by default" in items["server", "ok"].text
    assert ("server", "broken") not in items

    # A server that prints before it speaks, and one that ends at once.
    for body, said in (("print('hello'); import time; time.sleep(9)", "no JSON on stdout"), ("import sys; sys.exit('gone')", "gone")):
        script = tmp_path / "skills"
        script.write_text(f"#!{sys.executable} -u\n{body}\n")
        script.chmod(0o755)
        monkeypatch.setattr("realitygap_server.health.program", lambda script=script: [str(script)])
        broken = [item for item in examine(Registry([], [])) if item.name == "server"]
        assert {item.state for item in broken} == {"broken"}
        assert said in broken[0].text
