"""Who may talk to the server over HTTP: bearer tokens, and what is known of who holds them.

Either one token that the user has put into the environment, or those of an OAuth authorization server: signed JSON Web Tokens for this
server as their audience (RFC 9068, RFC 8707). A token is looked at and then forgotten: it is never passed on to a run.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import anyio.to_thread
import jwt
from mcp.server.auth.provider import AccessToken
from mcp.server.auth.settings import AuthSettings
from starlette.types import ASGIApp, Receive, Scope, Send

from realitygap.errors import InputError

if TYPE_CHECKING:
    from mcp.server.auth.provider import TokenVerifier

TOKEN_VARIABLE = "REALITYGAP_TOKEN"
SHORTEST_TOKEN = 24
"""Characters: `secrets.token_urlsafe(18)` has so many, 144 bits."""
ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "EdDSA")
"""Signatures with a public key. None with a shared secret: who can check such a token can also make one."""

log = logging.getLogger("realitygap.server")


class StaticToken:
    """Knows one token, and says no to all others in the same time."""

    def __init__(self, token: str) -> None:
        if len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
            raise InputError(
                f"the token in {TOKEN_VARIABLE} is no token: {SHORTEST_TOKEN} or more letters, digits and signs",
                hint='python3 -c "import secrets; print(secrets.token_urlsafe(32))" makes one',
            )
        self._token = token.encode()

    async def verify_token(self, token: str) -> AccessToken | None:
        if not hmac.compare_digest(token.encode("utf-8", "surrogateescape"), self._token):
            return None
        return AccessToken(token="", client_id="token", scopes=[])


@dataclass(frozen=True, kw_only=True)
class OAuth:
    """An authorization server whose tokens count."""

    issuer: str
    """Its URL, as tokens say it in `iss`."""
    audience: str
    """The public URL of this server, as tokens say it in `aud`."""
    keys: str
    """Its public keys: the https URL of a JSON Web Key Set, or a file with one."""
    scopes: tuple[str, ...] = ()
    """Scopes that a token must have."""

    def __post_init__(self) -> None:
        for name, value in (("issuer", self.issuer), ("audience", self.audience)):
            if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).hostname:
                raise InputError(f"--oauth-{name} '{value}' is no URL")
        if "://" not in self.keys:
            _key_file(self.keys)
        elif urlsplit(self.keys).scheme != "https":
            raise InputError(f"--oauth-keys '{self.keys}' is no https URL", hint="keys that anyone on the way could replace prove nothing")

    def settings(self) -> AuthSettings:
        return AuthSettings.model_validate(
            {
                "issuer_url": self.issuer,
                "resource_server_url": self.audience,
                "required_scopes": list(self.scopes),
                "validate_token_resource": True,
            }
        )

    async def verify_token(self, token: str) -> AccessToken | None:
        """What a token says, None unless it is signed by the issuer, for this server, and in force."""
        try:
            claims = await anyio.to_thread.run_sync(self._claims, token)
            scopes = _scopes(claims)
        except (jwt.PyJWTError, InputError, KeyError, ValueError) as error:
            log.info("a bearer token was refused: %s", type(error).__name__)
            return None
        return AccessToken(
            token="",
            client_id=str(claims.get("client_id") or claims.get("azp") or claims["sub"]),
            scopes=scopes,
            expires_at=int(claims["exp"]),
            resource=self.audience,
            subject=str(claims["sub"]),
            claims={"iss": claims["iss"]},
        )

    def _claims(self, token: str) -> dict[str, Any]:
        kid = str(jwt.get_unverified_header(token).get("kid"))
        key = self._published.get_signing_key(kid) if "://" in self.keys else _key_file(self.keys)[kid]
        found: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=list(ALGORITHMS),
            audience=self.audience,
            issuer=self.issuer,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return found

    @cached_property
    def _published(self) -> jwt.PyJWKClient:
        """The keys at a URL: kept for minutes, and not asked for again for each unknown one, which anybody may name."""
        return jwt.PyJWKClient(self.keys, timeout=10)


def _key_file(path: str) -> jwt.PyJWKSet:
    try:
        return jwt.PyJWKSet.from_json(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, jwt.PyJWTError):
        raise InputError("this is no file with a JSON Web Key Set", where=path) from None


class RequireToken:
    """Lets requests with a known token through, before anything of them is read. For a token that no authorization server issues."""

    def __init__(self, app: ASGIApp, verifier: TokenVerifier) -> None:
        from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
        from starlette.middleware.authentication import AuthenticationMiddleware

        self._app = app
        self._guarded = AuthenticationMiddleware(RequireAuthMiddleware(app, []), backend=BearerAuthBackend(verifier))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._app if scope["type"] == "lifespan" else self._guarded)(scope, receive, send)


def _scopes(claims: Mapping[str, Any]) -> list[str]:
    """Raises ValueError where they are neither a text nor a list."""
    given = claims.get("scope") or claims.get("scp") or []
    if not isinstance(given, str | list):
        raise ValueError("no scopes")
    return given.split() if isinstance(given, str) else [str(one) for one in given]
