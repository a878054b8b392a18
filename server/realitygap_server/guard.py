"""What a client is told of a fault of the server itself: that there was one, in both protocol eras. And only what UTF-8 can hold."""

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
        given = await call_next(ctx)
        answer: HandlerResult = given if isinstance(given, Encodable) else encodable(given)
    except MCPError as error:
        raise MCPError(error.code, encodable(error.message), encodable(error.data)) from None
    except ValidationError:
        raise
    except InputError as error:
        raise MCPError(INVALID_PARAMS, encodable(error.message)) from None
    except Explained as error:
        raise MCPError(INTERNAL_ERROR, encodable(error.message)) from None
    except Exception:
        log.exception("%s failed inside the server", ctx.method)
        raise MCPError(INTERNAL_ERROR, "the server failed; this is a defect of it, and its stderr has the details") from None
    return answer


class Encodable(dict[str, Any]):
    """An answer that went through `encodable` when it was made, and is given again and again."""


def encodable(value: Any) -> Any:
    """The value with `?` for each half of a surrogate pair.

    Names of files and JSON can hold one, UTF-8 cannot, and an attempt to write it ends the connection.
    """
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [encodable(part) for part in value]
    if isinstance(value, dict):
        return {encodable(name): encodable(part) for name, part in value.items()}
    return value
