"""The protocol's own tools against the real server: its conformance suite over HTTP, and its inspector over stdio."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodetools import NodeTools, node_tools

FIXTURES = Path(__file__).parent / "conformance" / "serve.py"
SERVE = [sys.executable, "-m", "realitygap.cli", "serve"]


@pytest.fixture(scope="module")
def tools() -> NodeTools:
    return node_tools()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("conformance")


@pytest.fixture(scope="module")
def address(home: Path) -> Iterator[str]:
    """The bridge with the fixtures of the suite, over HTTP."""
    log = home / "server.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(FIXTURES), "0"],
            stderr=file,
            stdout=file,
            cwd=home,
            env={**os.environ, "REALITYGAP_HOME": str(home / "runs")},
        )
    try:
        deadline = time.monotonic() + 60
        while (found := re.search(r"http://\S+", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield found.group()
    finally:
        process.terminate()
        process.wait(timeout=20)


@pytest.mark.slow
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
def test_the_conformance_suite_finds_nothing(tools: NodeTools, address: str, home: Path, revision: str) -> None:
    done = subprocess.run(
        [
            *tools.script("@modelcontextprotocol/conformance", "conformance"),
            "server",
            "--url",
            address,
            "--requirements",
            revision,
            "-o",
            "out",
        ],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    # What is not scored, such as the tasks extension, counts here too.
    total = re.search(r"Total: (\d+) passed, (\d+) failed", done.stdout)
    assert total is not None, done.stdout[-2000:]
    assert int(total.group(1)) >= 81
    assert total.group(2) == "0", done.stdout[-4000:]


def inspect(tools: NodeTools, home: Path, *arguments: str) -> str:
    """What one call of the inspector printed."""
    done = subprocess.run(
        [*tools.script("@modelcontextprotocol/inspector", "mcp-inspector"), "--cli", *SERVE, *arguments],
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            **os.environ,
            "PATH": f"{Path(tools.node).parent}{os.pathsep}{os.environ['PATH']}",
            "REALITYGAP_HOME": str(home / "runs"),
            "MCP_STORAGE_DIR": str(home / "inspector"),
            "MCP_CATALOG_PATH": str(home / "inspector" / "catalog.json"),
        },
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_finds_no_schema_that_some_client_refuses(tools: NodeTools, home: Path, era: str) -> None:
    listed = json.loads(inspect(tools, home, "--method", "tools/list", "--protocol-era", era, "--strict", "--format", "json", "-q"))
    assert len(listed["result"]["tools"]) > 15
    call = ("--method", "tools/call", "--tool-name", "check_triads", "--tool-args-json", "{}")
    called = json.loads(inspect(tools, home, *call, "--protocol-era", era, "--format", "json", "-q"))
    assert called["result"]["structuredContent"]["state"] == "done"


@pytest.mark.slow
def test_the_inspector_verifies_the_guides(tools: NodeTools, home: Path) -> None:
    told = inspect(tools, home, "--method", "skills/list", "--verify", "--protocol-era", "modern", "--format", "json", "-q")
    guides = [json.loads(line) for line in told.splitlines()]
    assert len(guides) > 15
    assert {file["status"] for guide in guides for file in guide["files"]} == {"verified"}
