"""Serves one client over stdin and stdout, in whichever protocol era it opens with.

Some clients ask `server/discover` first, which belongs to the stateless era, and then send `initialize`, which belongs to the handshake
era. The SDK lets the first request decide. Here a probe does not: it is answered by a short-lived connection of its own, and the first
other request decides.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server import NotificationOptions, Server
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import WriteStream
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId

from realitygap_server.streams import Incoming, Outgoing

PROBE = "server/discover"
LAST_WORDS_S = 0.5
"""How long a client that has closed stdin may wait for what it asked before: one that pipes its requests in does so at once."""
_PAUSE_S = 0.01


class Questions:
    """The requests of a client that have no answer yet."""

    def __init__(self) -> None:
        self._open: Counter[RequestId] = Counter()

    def heard(self, item: SessionMessage | Exception) -> None:
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, JSONRPCRequest):
            self._open[message.id] += 1
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            request = (message.params or {}).get("requestId")
            if isinstance(request, (int, str)):
                self._open.pop(request, None)  # it gets none

    def said(self, item: SessionMessage) -> None:
        message = item.message
        if isinstance(message, (JSONRPCResponse, JSONRPCError)) and message.id is not None:
            if self._open[message.id] > 1:
                self._open[message.id] -= 1
            else:
                self._open.pop(message.id, None)

    def __bool__(self) -> bool:
        return bool(self._open)


class Answers:
    """A stream to a client that says which questions are answered."""

    def __init__(self, stream: WriteStream[SessionMessage], questions: Questions) -> None:
        self._stream = stream
        self._questions = questions

    async def send(self, item: SessionMessage, /) -> None:
        await self._stream.send(item)
        self._questions.said(item)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def __aenter__(self) -> Answers:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.aclose()


async def serve(
    server: Server[Any], stdin: io.TextIOWrapper, stdout: io.TextIOWrapper, on_close: Callable[[], None] = lambda: None
) -> None:
    """Runs until the client closes stdin and has the answers to what is quick, or reads no more.

    `on_close` is called as soon as the client has gone: no call that ends after it was cancelled by the client.
    """
    options = server.create_initialization_options(NotificationOptions())
    questions, outgoing = Questions(), Outgoing(stdout)
    async with stdio_server(stdin=Incoming(stdin), stdout=outgoing) as (read, write):
        forward, opened = anyio.create_memory_object_stream[SessionMessage | Exception](0)

        async def relay() -> None:
            decided = False
            async with forward:
                async for item in read:
                    request = item.message if isinstance(item, SessionMessage) else None
                    if not decided and isinstance(request, JSONRPCRequest):
                        if request.method == PROBE and isinstance(item, SessionMessage):
                            await write.send(await answer_probe(server, item))
                            continue
                        decided = True
                    questions.heard(item)
                    await _forward(forward, item)
                on_close()
                await last_words()

        async def last_words() -> None:
            until = anyio.current_time() + LAST_WORDS_S
            while questions and anyio.current_time() < until:
                if outgoing.waits:  # answers are there, and the client is slow to take them
                    until = anyio.current_time() + LAST_WORDS_S
                await anyio.sleep(_PAUSE_S)

        async with anyio.create_task_group() as group:

            async def give_up() -> None:
                await outgoing.broken.wait()
                on_close()
                group.cancel_scope.cancel()

            group.start_soon(relay)
            group.start_soon(give_up)
            await server.run(opened, Answers(write, questions), options)
            group.cancel_scope.cancel()


async def answer_probe(server: Server[Any], probe: SessionMessage) -> SessionMessage:
    """The answer to one probe, by a connection that ends with it."""
    async with create_client_server_memory_streams() as ((client_read, client_write), (read, write)), anyio.create_task_group() as group:
        group.start_soon(server.run, read, write, server.create_initialization_options(NotificationOptions()))
        await client_write.send(probe)
        answer = await client_read.receive()
        group.cancel_scope.cancel()
    if isinstance(answer, Exception):
        raise answer
    return answer


async def _forward(stream: MemoryObjectSendStream[SessionMessage | Exception], item: SessionMessage | Exception) -> None:
    try:
        await stream.send(item)
    except anyio.BrokenResourceError:
        return
