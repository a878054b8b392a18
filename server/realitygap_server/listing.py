"""The list of tools as it goes over the wire, made once for each protocol version: it is the same while a server runs."""

from __future__ import annotations

from typing import Any

from mcp.server import ServerRequestContext
from mcp.server.context import CallNext, HandlerResult


class KeptList:
    """Answers `tools/list` without making and checking a hundred kilobytes of schemas again. A middleware, the innermost."""

    def __init__(self) -> None:
        self._by_version: dict[str, dict[str, Any]] = {}

    async def __call__(self, ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
        # With other parameters, or before a handshake, whoever is behind this one decides.
        ordinary = ctx.method == "tools/list" and set(ctx.params or ()) <= {"_meta"} and ctx.session.client_capabilities is not None
        if not ordinary:
            return await call_next(ctx)
        kept = self._by_version.get(ctx.protocol_version)
        if kept is None:
            answer = await call_next(ctx)
            if not isinstance(answer, dict):
                return answer
            kept = self._by_version[ctx.protocol_version] = answer
        return dict(kept)
