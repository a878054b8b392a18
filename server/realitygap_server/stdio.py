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
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.stdio import stdio_server
from mcp.shared._stream_protocols import WriteStream
from mcp.shared.dispatcher import coerce_request_id
from mcp.shared.jsonrpc_dispatcher import cancelled_request_id_from_params
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse, RequestId

from realitygap_server.streams import Incoming, Outgoing

PROBE = "server/discover"
LAST_WORDS_S = 0.5
"""How long a client that has closed stdin may wait for what it asked before: one that pipes its requests in does so at once."""
STOPPING_S = 5.0
"""How long what it has cancelled may take to stop."""
_PAUSE_S = 0.01


class Questions:
    """The requests of a client that have no answer yet. `"1"` and 1 are one id, as to the SDK."""

    def __init__(self) -> None:
        self._open: Counter[RequestId] = Counter()
        self._handled: set[RequestId] = set()
        self._taken_back: set[RequestId] = set()
        """Those that are handled though the client has cancelled them."""

    async def handled(self, ctx: ServerRequestContext[Any], call_next: CallNext) -> HandlerResult:
        """Middleware that knows which requests are being handled."""
        request = None if ctx.request_id is None else coerce_request_id(ctx.request_id)
        if request is None:
            return await call_next(ctx)
        self._handled.add(request)
        try:
            return await call_next(ctx)
        finally:
            self._handled.discard(request)
            self._taken_back.discard(request)

    def heard(self, item: SessionMessage | Exception) -> None:
        message = item.message if isinstance(item, SessionMessage) else None
        if isinstance(message, JSONRPCRequest):
            self._open[coerce_request_id(message.id)] += 1
        elif isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            named = cancelled_request_id_from_params(message.params)
            request = None if named is None else coerce_request_id(named)
            if request is not None:
                self._open.pop(request, None)  # it gets none
                if request in self._handled:
                    self._taken_back.add(request)

    def said(self, item: SessionMessage) -> None:
        message = item.message
        if isinstance(message, (JSONRPCResponse, JSONRPCError)) and message.id is not None:
            request = coerce_request_id(message.id)
            if self._open[request] > 1:
                self._open[request] -= 1
            else:
                self._open.pop(request, None)

    @property
    def stopping(self) -> bool:
        """Whether something is being stopped because the client has cancelled it."""
        return bool(self._taken_back)

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

    `on_close` is called then, before the calls that are left are cancelled: those were not cancelled by the client.
    """
    options = server.create_initialization_options(NotificationOptions())
    questions, outgoing = Questions(), Outgoing(stdout)
    server.middleware.insert(0, questions.handled)
    with anyio.CancelScope() as connection:
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
                    await _last_words(questions, outgoing)
                    on_close()

            async def give_up() -> None:
                await outgoing.broken.wait()
                on_close()
                connection.cancel()

            async with anyio.create_task_group() as group:
                group.start_soon(relay)
                group.start_soon(give_up)
                await server.run(opened, Answers(write, questions), options)
                group.cancel_scope.cancel()


async def _last_words(questions: Questions, outgoing: Outgoing) -> None:
    """Waits for the answers to what is quick, and until what the client has cancelled is stopped."""
    began = until = anyio.current_time()
    until += LAST_WORDS_S
    while (questions and anyio.current_time() < until) or (questions.stopping and anyio.current_time() < began + STOPPING_S):
        if outgoing.waits:  # answers are there, and the client is slow to take them
            until = anyio.current_time() + LAST_WORDS_S
        await anyio.sleep(_PAUSE_S)


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
