"""Serves clients over HTTP: streamable HTTP at `/mcp`, of both protocol eras.

Loopback by default. Any other address needs a token verifier and says which names it answers to. Requests with another `Host` (a name of an
attacker that resolves to this machine) or from pages of another `Origin` are refused before their body is looked at, bodies are limited.
Replies are streams: with plain JSON replies a client of the stateless era could not cancel a call, nor see its progress.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import uvicorn
from mcp.server import Server
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from realitygap.errors import InputError
from realitygap_server.tokens import OAuth, RequireToken, StaticToken

PATH = "/mcp"
LARGEST_BODY = 1 << 20
"""Bytes of one request. Recordings and models come as paths, not in requests."""
MOST_SESSIONS = 256
KEPT_S = 75
"""A connection at rest is kept this long: longer than clients keep theirs, so that none calls on one that is being closed."""
IDLE_S = 1800.0
"""Seconds after which a session that nobody uses is forgotten; its runs go on."""
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

log = logging.getLogger("realitygap.server")


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where the server listens, and as what."""

    host: str = "127.0.0.1"
    port: int
    """0 takes a free one."""
    names: tuple[str, ...] = ()
    """Values of `Host` that are answered beside the loopback ones: names or addresses of this machine, as clients write them."""
    origins: tuple[str, ...] = ()
    """Pages that may call, such as `https://lab.example`. Clients that are no browser send no origin."""

    @property
    def is_loopback(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def security(self) -> TransportSecuritySettings:
        """The `Host` and `Origin` that are answered."""
        names = [*_LOOPBACK, *self.names]
        if not ({self.host} & {"0.0.0.0", "::", *_LOOPBACK}):
            names.append(f"[{self.host}]" if ":" in self.host else self.host)
        own = [f"http://{name}" for name in _LOOPBACK]
        return TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[form for name in names for form in (name, f"{name}:*")],
            allowed_origins=[*(form for name in own for form in (name, f"{name}:*")), *self.origins],
        )


def app(server: Server[Any], address: Address, verifier: StaticToken | OAuth | None = None) -> ASGIApp:
    """The server as an ASGI application. Raises InputError for an address that others can reach without a verifier of tokens."""
    if not address.is_loopback and verifier is None:
        raise InputError(
            f"--host {address.host} can be reached from other machines, and nothing would ask who calls",
            hint="put a token into REALITYGAP_TOKEN, or give --oauth-issuer, --oauth-audience and --oauth-keys",
        )
    oauth = verifier if isinstance(verifier, OAuth) else None
    if oauth is not None:
        # Behind a proxy clients write the public name, which is the audience of their tokens.
        address = replace(address, names=(*address.names, urlsplit(oauth.audience).netloc))
    built: ASGIApp = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=LARGEST_BODY,
        max_sessions=MOST_SESSIONS,
        session_idle_timeout=IDLE_S,
        transport_security=address.security(),
        host=address.host,
        auth=oauth.settings() if oauth else None,
        token_verifier=oauth,
    )
    return RequireToken(built, verifier) if isinstance(verifier, StaticToken) else built


async def serve(
    server: Server[Any], address: Address, verifier: StaticToken | OAuth | None = None, on_close: Callable[[], None] = lambda: None
) -> None:
    """Runs until the process is asked to end. `on_close` is called then, before the calls in progress are cancelled.

    Raises InputError where the address cannot be had.
    """

    class Listening(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if self.started:
                host = f"[{address.host}]" if ":" in address.host else address.host
                log.warning("serving on http://%s:%d%s", host, listener.getsockname()[1], PATH)

        async def shutdown(self, sockets: Any = None) -> None:
            on_close()
            await super().shutdown(sockets)

    config = uvicorn.Config(
        app(server, address, verifier),
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        ws="none",
        timeout_graceful_shutdown=2,
        timeout_keep_alive=KEPT_S,
        limit_concurrency=4 * MOST_SESSIONS,
        h11_max_incomplete_event_size=64 * 1024,
        forwarded_allow_ips="",
    )
    listener = _bound(address)
    await Listening(config).serve(sockets=[listener])


def _bound(address: Address) -> socket.socket:
    try:
        # IPv4 first: of `localhost` it is what most clients try.
        found = sorted(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM))
        return socket.create_server((address.host, address.port), family=found[0][0])
    except OSError as error:
        raise InputError(
            f"cannot listen on {address.host}, port {address.port}: {error.strerror or error}",
            hint="--port 0 takes a free port; --host names an address of this machine",
        ) from None
