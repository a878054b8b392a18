"""What `skills doctor` says about the server: does it start, does it answer a client of each era, what does it offer."""

from __future__ import annotations

import json
import os
import resource
import selectors
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from realitygap.discovery import Registry
from realitygap.doctor import Item
from realitygap.errors import InputError
from realitygap_server.client_config import program

PATIENCE_S = 30.0
_HANDSHAKE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "skills doctor", "version": "1"}}
_STATELESS = {"_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}}


def examine(registry: Registry) -> Iterator[Item]:
    """Starts a server as a client would, and talks to it. `registry` is not used: the server finds its own."""
    yield from _answers("server", [("initialize", _HANDSHAKE)])
    yield from _answers("server", [("server/discover", _STATELESS), ("tools/list", _STATELESS)])
    absent = [module for module in ("uvicorn", "starlette", "jwt") if find_spec(module) is None]
    if absent:
        yield Item("server http", "broken", f"without {', '.join(absent)}", "pip install 'realitygap[mcp]'")
    else:
        yield Item("server http", "ok", "can listen")
    yield from _token()


def _answers(name: str, requests: list[tuple[str, dict[str, Any]]]) -> Iterator[Item]:
    methods = " and ".join(method for method, _ in requests)
    process = subprocess.Popen(
        [*program(), "serve", *(["--workspace", str(Path.home())] if Path.cwd() == Path("/") else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        answers = []
        for number, (method, params) in enumerate(requests):
            line = json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
            process.stdin.write(line.encode() + b"\n")
            process.stdin.flush()
            answers.append(_line(process, began + PATIENCE_S))
        first_s = time.monotonic() - began
        rest, errors = process.communicate(timeout=PATIENCE_S)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        process.kill()
        _, errors = process.communicate()
        last = (errors.decode(errors="replace").strip().splitlines() or ["no message"])[-1]
        yield Item(name, "broken", f"{methods}: {error or type(error).__name__}; it said: {last}", "`skills serve` alone shows all of it")
        return
    if rest.strip():
        yield Item(name, "broken", f"{methods}: something else than the protocol is on stdout: {rest[:80]!r}")
    wrong = [answer["error"]["message"] for answer in answers if "error" in answer]
    if wrong:
        yield Item(name, "broken", f"{methods}: {wrong[0]}")
        return
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    tools = answers[-1]["result"].get("tools")
    offered = f", {len(tools)} tools by default" if tools is not None else ""
    yield Item(name, "ok", f"{methods} answered after {first_s:.1f} s ({cpu_s:.1f} s of CPU){offered}")
    for line in errors.decode(errors="replace").splitlines():
        if "is left out" in line:
            yield Item(name, "note", line.partition("skill ")[2] or line, "`skills check` says more")


def _line(process: subprocess.Popen[bytes], deadline: float) -> dict[str, Any]:
    """The next answer. Raises ValueError where it is none, or does not come."""
    assert process.stdout is not None
    text = b""
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while not text.endswith(b"\n"):
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise ValueError(f"no answer within {PATIENCE_S:g} s")
            piece = os.read(process.stdout.fileno(), 1 << 16)
            if not piece:
                raise ValueError("it ended without an answer")
            text += piece
    try:
        answer = json.loads(text)
    except ValueError:
        raise ValueError(f"no JSON on stdout: {text[:80]!r}") from None
    if not isinstance(answer, dict):
        raise ValueError(f"no answer: {text[:80]!r}")
    return answer


def _token() -> Iterator[Item]:
    from realitygap_server.tokens import TOKEN_VARIABLE, StaticToken

    if TOKEN_VARIABLE not in os.environ:
        return
    try:
        StaticToken(os.environ[TOKEN_VARIABLE])
    except InputError as error:
        yield Item("server token", "broken", error.message, error.hint)
    else:
        yield Item("server token", "ok", f"{TOKEN_VARIABLE} is asked of clients over HTTP")
