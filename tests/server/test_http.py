"""HTTP: who is answered. Hosts, origins, tokens, sizes; and both protocol eras over one address."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from unittest.mock import Mock
from urllib.parse import urlsplit

import anyio
import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from mcp import Client, MCPError
from mcp.types import Resource

from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap_server.bridge import Bridge
from realitygap_server.http import LARGEST_BODY, Address, app
from realitygap_server.tokens import OAuth, StaticToken

TOKEN = "a-token-of-more-than-24-characters"
ISSUER, AUDIENCE = "https://issuer.example", "https://robots.example/mcp"
META = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {}}
HEADERS = {
    "content-type": "application/json",
    "accept": "application/json, text/event-stream",
    "mcp-protocol-version": "2026-07-28",
    "mcp-method": "tools/list",
}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": META}}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "0"}},
}

Post = Callable[..., Awaitable[httpx2.Response]]


@asynccontextmanager
async def listening(address: Address, verifier: StaticToken | OAuth | None = None, bridge: Bridge | None = None) -> AsyncIterator[Post]:
    """The application without a socket: `post(body, **headers)`."""
    built = app((bridge or Bridge(Registry([], []))).server, address, verifier)
    to_app, from_test = anyio.create_memory_object_stream[dict[str, Any]](2)
    from_app, to_test = anyio.create_memory_object_stream[Any](2)
    async with anyio.create_task_group() as group:
        group.start_soon(built, {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, from_test.receive, from_app.send)
        await to_app.send({"type": "lifespan.startup"})
        assert (await to_test.receive())["type"] == "lifespan.startup.complete"
        async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=built), base_url="http://127.0.0.1:8350") as client:

            async def post(body: Any = None, path: str = "/mcp", **headers: str) -> httpx2.Response:
                given = {name.replace("_", "-"): value for name, value in headers.items()}
                content = body if isinstance(body, bytes) else json.dumps(LIST if body is None else body).encode()
                return await client.post(path, content=content, headers={**HEADERS, **given})

            yield post
        await to_app.send({"type": "lifespan.shutdown"})
        assert (await to_test.receive())["type"] == "lifespan.shutdown.complete"
    for stream in (to_app, from_test, from_app, to_test):
        stream.close()


LOCAL = Address(port=8350)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"host": "localhost:8350"}, 200),
        ({"host": "[::1]:8350"}, 200),
        ({"host": "evil.example"}, 421),
        ({"host": "evil.example:8350"}, 421),
        ({"host": "127.0.0.1.evil.example:8350"}, 421),
        ({"origin": "http://localhost:3000"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "http://localhost.evil.example:80"}, 403),
        ({"origin": "null"}, 403),
        ({"content_type": "text/plain"}, 400),
    ],
)
@pytest.mark.parametrize("era", ["stateless", "handshake"])
def test_only_this_machine_is_answered_by_default(headers: dict[str, str], status: int, era: str) -> None:
    async def talk() -> None:
        async with listening(LOCAL) as post:
            if era == "stateless":
                answer = await post(**headers)
            else:
                answer = await post(INITIALIZE, mcp_protocol_version="2025-11-25", mcp_method="initialize", **headers)
            assert answer.status_code == status
            assert ("serverInfo" in answer.text or "tools" in answer.text) == (status == 200)

    anyio.run(talk)


def test_a_body_beyond_the_limit_is_refused_also_without_a_length() -> None:
    async def talk() -> None:
        async with listening(LOCAL) as post:
            large = json.dumps({**LIST, "params": {"_meta": META, "cursor": "x" * LARGEST_BODY}}).encode()
            assert (await post(large)).status_code == 413
            assert (await post(large, transfer_encoding="chunked")).status_code == 413
            assert (await post(b"[" * 100_000)).status_code == 400
            assert "error" in (await post([LIST, LIST])).json()
            assert (await post()).status_code == 200

    anyio.run(talk)


def test_half_a_character_in_an_answer_or_a_refusal_is_told_as_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    bridge = Bridge(Registry([], []))
    body = {**LIST, "method": "resources/list"}

    async def talk() -> None:
        async with listening(LOCAL, bridge=bridge) as post:
            for error in (InputError("no 'l\udcff'"), MCPError(-32602, "no 'l\udcff'", {"name\ud800": ["l\udcff"]})):
                monkeypatch.setattr(bridge.guides, "resources", Mock(side_effect=error))
                refused = (await post(body, mcp_method="resources/list")).json()["error"]
                assert refused["message"] == "no 'l?'"
            assert refused["data"] == {"name?": ["l?"]}
            one = Resource(name="l\udcff", uri="skill://l")
            monkeypatch.setattr(bridge.guides, "resources", lambda: [one])
            answer = (await post(body, mcp_method="resources/list")).json()
            assert "l?" in [found["name"] for found in answer["result"]["resources"]]

    anyio.run(talk)


@pytest.mark.parametrize("depth", [100, 5000, 100_000])
def test_arguments_nested_without_end_are_refused_and_the_server_goes_on(depth: int) -> None:
    async def talk() -> None:
        async with listening(LOCAL) as post:
            call = {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": "run_list", "_meta": META, "arguments": {"limit": 0}},
            }
            body = json.dumps(call).replace('"limit": 0', f'"limit": {"[" * depth}{"]" * depth}').encode()
            refused = await post(body, mcp_method="tools/call", mcp_name="run_list")
            assert refused.status_code == 400 or "error" in refused.text.lower()
            assert "Traceback" not in refused.text
            assert (await post()).status_code == 200

    anyio.run(talk)


def test_an_address_that_others_reach_needs_a_verifier_of_tokens() -> None:
    server = Bridge(Registry([], [])).server
    for host in ("0.0.0.0", "::", "192.168.1.5", "robot-lab.example"):
        with pytest.raises(InputError, match="nothing would ask who calls"):
            app(server, Address(host=host, port=1))
    for host in ("127.0.0.1", "127.0.0.2", "::1", "localhost"):
        assert Address(host=host, port=1).is_loopback
    app(server, Address(host="0.0.0.0", port=1), StaticToken(TOKEN))


def test_another_name_of_this_machine_is_answered_where_it_was_allowed() -> None:
    async def talk() -> None:
        address = Address(host="0.0.0.0", port=8350, names=("robot-lab.example",), origins=("https://page.example",))
        async with listening(address, StaticToken(TOKEN)) as post:
            known = {"authorization": f"Bearer {TOKEN}"}
            assert (await post(host="robot-lab.example:8350", **known)).status_code == 200
            assert (await post(host="other.example:8350", **known)).status_code == 421
            assert (await post(host="robot-lab.example", origin="https://page.example", **known)).status_code == 200
            assert (await post(host="robot-lab.example", origin="https://other.example", **known)).status_code == 403

    anyio.run(talk)


def test_a_token_is_asked_for_before_anything_is_read() -> None:
    async def talk() -> None:
        async with listening(LOCAL, StaticToken(TOKEN)) as post:
            assert (await post(authorization=f"Bearer {TOKEN}")).status_code == 200
            for wrong in ({}, {"authorization": f"Bearer {TOKEN}x"}, {"authorization": f"Basic {TOKEN}"}, {"authorization": "Bearer "}):
                refused = await post(b"no JSON at all", **wrong)
                assert refused.status_code == 401
                assert refused.headers["www-authenticate"].startswith("Bearer ")
                assert TOKEN not in refused.text
            # Neither is a path beside `/mcp` open.
            assert (await post(path="/")).status_code == 401

    anyio.run(talk)


@pytest.mark.parametrize("token", ["", "short", "x" * 23, "with a space " * 3, "é" * 30])
def test_a_token_that_could_be_guessed_is_refused_at_start(token: str) -> None:
    with pytest.raises(InputError, match="is no token"):
        StaticToken(token)


class Issuer:
    """An authorization server: two keys, of which one is published."""

    def __init__(self, folder: Path) -> None:
        self.key, self.other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        self.rsa = rsa.generate_private_key(65537, 2048)
        keys = [
            {**json.loads(ECAlgorithm.to_jwk(self.key.public_key())), "kid": "one", "alg": "ES256"},
            {**json.loads(RSAAlgorithm.to_jwk(self.rsa.public_key())), "kid": "two", "alg": "RS256"},
        ]
        self.file = folder / "keys.json"
        self.file.write_text(json.dumps({"keys": keys}))

    def token(self, *, key: Any = None, algorithm: str = "ES256", kid: str = "one", null: str = "", **claims: Any) -> str:
        now = int(time.time())
        told = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ann", "exp": now + 60, "scope": "robots", **claims}
        kept = {name: value for name, value in told.items() if value is not None or name == null}
        return jwt.encode(kept, None if algorithm == "none" else key or self.key, algorithm=algorithm, headers={"kid": kid})


def test_only_tokens_of_the_issuer_for_this_server_and_in_force_count(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    verifier = OAuth(issuer=ISSUER, audience=AUDIENCE, keys=str(issuer.file), scopes=("robots",))
    good = [{}, {"aud": ["https://else.example", AUDIENCE]}, {"key": issuer.rsa, "algorithm": "RS256", "kid": "two"}, {"scope": "a robots"}]
    refused = [
        {"aud": "https://else.example"},
        {"aud": None},
        {"iss": "https://else.example"},
        {"exp": int(time.time()) - 60},
        {"exp": None},
        {"sub": None},
        {"scope": 7},
        {"scope": {"robots": True}},
        {"key": issuer.other},
        {"kid": "three"},
        # The public key as the secret of a symmetric signature, and no signature at all.
        {"key": issuer.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint), "algorithm": "HS256"},
        {"algorithm": "none"},
    ]

    async def talk() -> None:
        async with listening(LOCAL, verifier) as post:
            for claims in good:
                assert (await post(authorization=f"Bearer {issuer.token(**claims)}")).status_code == 200, claims
            for claims in refused:
                answer = await post(authorization=f"Bearer {issuer.token(**claims)}")
                assert answer.status_code == 401, claims
                assert "/.well-known/oauth-protected-resource/mcp" in answer.headers["www-authenticate"]
            assert (await post(authorization=f"Bearer {issuer.token(scope='other')}")).status_code == 403
            assert (await post(authorization=f"Bearer {issuer.token(scope=None, null='scope')}")).status_code == 403
            assert (await post(authorization=f"Bearer {issuer.token()}", host="robots.example")).status_code == 200
            assert (await post(authorization=f"Bearer {issuer.token()}", host="robots2.example")).status_code == 421
            assert (await post(authorization="Bearer no.token.atall")).status_code == 401
            assert (await post()).status_code == 401

    anyio.run(talk)


def test_keys_at_a_url_are_kept_and_strangers_cannot_have_them_fetched_at_will(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    issuer = Issuer(tmp_path)
    fetched = []

    def fetch(client: jwt.PyJWKClient) -> Any:
        fetched.append(client.uri)
        found = json.loads(issuer.file.read_text())
        client.jwk_set_cache.put(found)  # type: ignore[union-attr]
        return found

    monkeypatch.setattr(jwt.PyJWKClient, "fetch_data", fetch)
    verifier = OAuth(issuer=ISSUER, audience=AUDIENCE, keys="https://issuer.example/keys")

    async def talk() -> None:
        for _ in range(3):
            assert await verifier.verify_token(issuer.token())
            assert not await verifier.verify_token(issuer.token(kid="nobody"))
        assert 1 <= len(fetched) <= 2

    anyio.run(talk)


@pytest.mark.parametrize("era", ["stateless", "handshake"])
def test_a_run_is_shown_to_the_subject_that_started_it_and_to_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, era: str) -> None:
    monkeypatch.setenv("REALITYGAP_HOME", str(tmp_path / "home"))
    issuer = Issuer(tmp_path)
    verifier = OAuth(issuer=ISSUER, audience=AUDIENCE, keys=str(issuer.file))

    async def talk() -> None:
        bridge = Bridge()
        async with listening(LOCAL, verifier, bridge) as post:

            async def session(who: str) -> dict[str, str]:
                known = {"authorization": f"Bearer {issuer.token(sub=who)}"}
                if era == "stateless":
                    return known
                opened = await post(INITIALIZE, mcp_protocol_version="2025-11-25", mcp_method="initialize", **known)
                return {**known, "mcp_protocol_version": "2025-11-25", "mcp_session_id": opened.headers["mcp-session-id"]}

            async def call(known: dict[str, str], tool: str, **arguments: Any) -> dict[str, Any]:
                params = {"name": tool, "arguments": arguments, "_meta": META}
                body = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}
                answer = await post(body, mcp_method="tools/call", mcp_name=tool, **known)
                line = next(line for line in answer.text.splitlines() if '"id":2' in line.replace(" ", ""))
                result: dict[str, Any] = json.loads(line.removeprefix("data:"))["result"]
                return result

            ann, bob = await session("ann"), await session("bob")
            run_id = (await call(ann, "check_triads"))["structuredContent"]["run_id"]
            assert not (await call(ann, "run_status", run_id=run_id)).get("isError")
            assert (await call(ann, "run_list"))["structuredContent"]["total"] == 1
            assert "no such run" in str(await call(bob, "run_status", run_id=run_id))
            assert "no such run" in str(await call(bob, "run_cancel", run_id=run_id))
            assert (await call(bob, "run_list"))["structuredContent"]["total"] == 0
            if era == "handshake":
                # A session is its owner's too.
                stolen = await post(LIST, **{**bob, "mcp_session_id": ann["mcp_session_id"]})
                assert stolen.status_code == 404
        bridge.close()

    anyio.run(talk)


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "issuer.example"},
        {"audience": "mcp"},
        {"keys": "http://issuer.example/keys"},
        {"keys": "file:///etc/passwd"},
        {"keys": "/no"},
    ],
)
def test_settings_under_which_a_token_proves_nothing_are_refused_at_start(wrong: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(InputError):
        OAuth(**{"issuer": ISSUER, "audience": AUDIENCE, "keys": str(Issuer(tmp_path).file), **wrong})


@pytest.fixture
def url(tmp_path: Path) -> Any:
    """A server of its own process on a free port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "realitygap.cli", "serve", "--http", "--port", "0", "--workspace", str(tmp_path)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    found = None
    while found is None and (line := process.stderr.readline()):
        found = re.search(r"http://127\.0\.0\.1:\d+/mcp", line)
    assert found
    yield found.group()
    process.terminate()
    out, _ = process.communicate(timeout=20)
    assert out == ""
    assert process.returncode in (0, -15)


def test_clients_of_both_eras_call_at_one_address(url: str) -> None:
    async def talk() -> None:
        for mode in ("auto", "legacy"):
            async with Client(url, mode=mode) as client:
                answer = await client.call_tool("check_triads", {})
                assert (answer.structured_content or {})["state"] == "done"

    anyio.run(talk)


def test_a_connection_at_rest_outlives_the_five_seconds_for_which_clients_keep_theirs(url: str) -> None:
    connection = HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.connect()
    first = connection.sock
    for pause_s in (6, 0):
        connection.request("POST", "/mcp", json.dumps(LIST), HEADERS)
        answer = connection.getresponse()
        assert answer.status == 200
        answer.read()
        time.sleep(pause_s)
    assert connection.sock is first
    connection.close()
