"""What a client is told of a fault of the server itself: that there was one, in both protocol eras."""

from __future__ import annotations

import logging
from typing import Any

from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS
from pydantic import ValidationError

from realitygap.errors import Explained, InputError

log = logging.getLogger("realitygap.server")


async def guard(ctx: ServerRequestContext[Any], call_next: CallNext) -> HandlerResult:
    """Middleware around every request.

    Left alone the handshake era puts the text of an exception on the wire, and that of a crash may hold anything.
    """
    try:
        return await call_next(ctx)
    except (MCPError, ValidationError):
        raise
    except InputError as error:
        raise MCPError(INVALID_PARAMS, error.message) from None
    except Explained as error:
        raise MCPError(INTERNAL_ERROR, error.message) from None
    except Exception:
        log.exception("%s failed inside the server", ctx.method)
        raise MCPError(INTERNAL_ERROR, "the server failed; this is a defect of it, and its stderr has the details") from None
