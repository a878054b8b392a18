"""Serves one client over stdin and stdout, in whichever protocol era it opens with.

Some clients ask `server/discover` first, which belongs to the stateless era, and then send `initialize`, which belongs to the handshake
era. The SDK lets the first request decide. Here a probe does not: it is answered by a short-lived connection of its own, and the first
other request decides.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server import NotificationOptions, Server, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.stdio import stdio_server
from mcp.shared.memory import create_client_server_memory_streams
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCRequest, RequestId

from realitygap_server.streams import Incoming, Outgoing

PROBE = "server/discover"
LAST_WORDS_S = 0.5
"""How long a client that has closed stdin may wait for what it asked before: one that pipes its requests in does so at once."""
_FLUSH_S = 0.01


async def serve(
    server: Server[Any], stdin: io.TextIOWrapper, stdout: io.TextIOWrapper, on_close: Callable[[], None] = lambda: None
) -> None:
    """Runs until the client closes stdin and what is quick has been answered. `on_close` is called before other calls are cancelled."""
    options = server.create_initialization_options(NotificationOptions())
    asked: set[RequestId | None] = set()

    async def answering(ctx: ServerRequestContext[Any], call_next: CallNext) -> HandlerResult:
        try:
            return await call_next(ctx)
        finally:
            asked.discard(ctx.request_id)

    server.middleware.append(answering)
    async with stdio_server(stdin=Incoming(stdin), stdout=Outgoing(stdout)) as (read, write):
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
                    if isinstance(request, JSONRPCRequest):
                        asked.add(request.id)
                    await _forward(forward, item)
                with anyio.move_on_after(LAST_WORDS_S):
                    while asked:
                        await anyio.sleep(_FLUSH_S)
                await anyio.sleep(_FLUSH_S)
                on_close()

        async with anyio.create_task_group() as group:
            group.start_soon(relay)
            await server.run(opened, write, options)
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
