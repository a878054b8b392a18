"""Who calls, where the server asks an authorization server: what someone has started, nobody else is shown."""

from __future__ import annotations

import hashlib

from mcp.server.auth.middleware.auth_context import get_access_token


def caller() -> str | None:
    """Stands for the subject of the token that the present request came with; None for a client that is no one in particular: over stdin
    and stdout, or with the one token of the user."""
    token = get_access_token()
    if token is None or token.subject is None:
        return None
    issuer = (token.claims or {}).get("iss")
    return hashlib.sha256(f"{issuer}\n{token.subject}".encode()).hexdigest()
