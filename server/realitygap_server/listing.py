"""The list of tools as it goes over the wire, made once for each protocol version: it is the same while a server runs."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.types import INVALID_PARAMS
from mcp.types.methods import serialize_server_result

from realitygap_server.guard import Encodable, encodable

LIST = "tools/list"

log = logging.getLogger("realitygap.server")


class KeptList:
    """Answers `tools/list` without making and checking a hundred kilobytes of schemas again. A middleware, the innermost.

    The list is made while a client is greeted, because most ask for it with their next message.
    """

    def __init__(self, server: Server[Any]) -> None:
        self._server = server
        self._by_version: dict[str, Encodable] = {}

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        if ctx.method in ("initialize", "server/discover"):
            answer = await call_next(ctx)
            try:
                await self._make(ctx, call_next, answer)
            except Exception:  # whoever asks for the list is told so
                log.info("the list of tools could not be made beforehand", exc_info=True)
            return answer
        if ctx.method.endswith("/list") and (ctx.params or {}).get("cursor") is not None:
            # Every list comes as one page, so no cursor was ever given.
            raise MCPError(INVALID_PARAMS, "Invalid cursor")
        # With other parameters, or before a handshake, whoever is behind this one decides.
        ordinary = ctx.method == LIST and set(ctx.params or ()) <= {"_meta"} and ctx.session.client_capabilities is not None
        if not ordinary:
            return await call_next(ctx)
        kept = self._by_version.get(ctx.protocol_version)
        if kept is None:
            answer = await call_next(ctx)
            if not isinstance(answer, dict):
                return answer
            kept = self._by_version[ctx.protocol_version] = Encodable(encodable(answer))
        return Encodable(kept)

    async def _make(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext, greeting: HandlerResult) -> None:
        """The list for the version that a client was greeted with."""
        if ctx.method == "initialize":
            version = greeting.get("protocolVersion") if isinstance(greeting, dict) else None
            entry = self._server.get_request_handler(LIST)
            if entry is not None and isinstance(version, str) and version not in self._by_version:
                # The connection has no version yet, so nobody behind this one would answer.
                listed = await entry.handler(ctx, t.PaginatedRequestParams())
                if isinstance(listed, t.ListToolsResult):
                    dumped = listed.model_dump(by_alias=True, mode="json", exclude_none=True)
                    self._by_version[version] = Encodable(encodable(serialize_server_result(LIST, version, dumped)))
        elif ctx.protocol_version not in self._by_version:
            answer = await call_next(replace(ctx, method=LIST))
            if isinstance(answer, dict):
                self._by_version[ctx.protocol_version] = Encodable(encodable(answer))
