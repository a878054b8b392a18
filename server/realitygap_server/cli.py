"""`skills serve`."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from realitygap.errors import InputError
from realitygap_server.client_config import CLIENTS

if TYPE_CHECKING:
    from realitygap_server.tokens import OAuth, StaticToken

PORT = 8350


@click.command("serve")
@click.option("--http", is_flag=True, help="Listen for clients over HTTP, at /mcp, in place of stdin and stdout.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on. One that others can reach needs a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=PORT, show_default=True, help="0 takes a free one.")
@click.option("--allow-host", "hosts", multiple=True, metavar="NAME", help="A name of this machine that clients use. Repeatable.")
@click.option("--allow-origin", "origins", multiple=True, metavar="URL", help="A web page that may call, as https://NAME. Repeatable.")
@click.option("--oauth-issuer", metavar="URL", help="Authorization server whose tokens count.")
@click.option("--oauth-audience", metavar="URL", help="This server's public URL, which tokens must be for.")
@click.option("--oauth-keys", metavar="URL|FILE", help="Public keys of the issuer: a JSON Web Key Set.")
@click.option("--oauth-scope", "scopes", multiple=True, metavar="NAME", help="A scope that tokens must have. Repeatable.")
@click.option(
    "--workspace",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder in which runs are kept, and the only one from which paths are read. The current one by default.",
)
@click.option("--toolsets", metavar="NAMES", help="Toolsets to offer, separated by commas: default, all, or those of docs/server.md.")
@click.option("--tools", metavar="NAMES", help="Single tools to offer, separated by commas; alone or beside --toolsets.")
@click.option("--read-only", is_flag=True, help="Offer and call only what changes nothing.")
@click.option("--max-runs", type=click.IntRange(1), metavar="N", help="Long runs at the same time.  [default: 4]")
@click.option("--max-run-time", type=click.FloatRange(1), metavar="SECONDS", help="Seconds that a run may take.  [default: 86400]")
@click.option(
    "--max-run-memory", type=click.IntRange(64), metavar="MB", help="Memory that a run may hold.  [default: 4/5 of the machine's]"
)
@click.option(
    "--keep-env", "keep", multiple=True, metavar="NAME", help="A variable that runs need although it looks like a secret. Repeatable."
)
@click.option(
    "--print-config", "client", type=click.Choice(list(CLIENTS)), help="Print the entry for the configuration of a client, and end."
)
def serve(**options: Any) -> None:
    """Serve the skills to an AI assistant over the Model Context Protocol, on stdin and stdout or over HTTP.

    On stdin and stdout: stdout carries the protocol and nothing else, messages go to stderr, and it ends when the client closes stdin.
    Over HTTP: a token in REALITYGAP_TOKEN is asked of every client. Runs that a server started go on when it ends.
    """
    if options["client"]:
        _print_config(options)
        return
    from realitygap_server import wire

    stdin, stdout = wire.claim()
    gc.disable()  # of the many objects that the imports make, none is garbage
    if options["workspace"]:
        os.chdir(options["workspace"])
    if Path.cwd() == Path("/"):
        # Where some clients start their servers.
        raise InputError("the workspace would be the whole file system", hint="--workspace DIR names a folder")
    try:
        import anyio

        from realitygap_server import environment
        from realitygap_server.bridge import Bridge
        from realitygap_server.limits import Limits
        from realitygap_server.toolsets import Choice
    except ModuleNotFoundError as error:
        from realitygap.extras import install_line

        raise InputError(f"`skills serve` needs the module '{error.name}'", hint=install_line("mcp")) from error
    token = environment.take("REALITYGAP_TOKEN")
    verifier = _verifier(token, options) if options["http"] else None
    environment.without_secrets(os.environ, options["keep"])
    given = {"long_runs": options["max_runs"], "time_s": options["max_run_time"], "memory_mb": options["max_run_memory"]}
    bridge = Bridge(
        choice=Choice.of(toolsets=options["toolsets"], tools=options["tools"], read_only=options["read_only"]),
        limits=Limits(**{name: value for name, value in given.items() if value is not None}),
    )
    bridge.prepare()
    # What is there now stays: the collector need not look at it again.
    gc.freeze()
    gc.enable()
    if not options["http"]:
        from realitygap_server.stdio import serve as serve_stdio

        # Ctrl-C ends this process as any other signal does: the runs that calls wait for go on.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        anyio.run(serve_stdio, bridge.server, stdin, stdout, bridge.close)
        return
    from realitygap_server.http import Address
    from realitygap_server.http import serve as serve_http

    address = Address(host=options["host"], port=options["port"], names=options["hosts"], origins=options["origins"])
    anyio.run(serve_http, bridge.server, address, verifier, bridge.close)


def _verifier(token: str | None, options: dict[str, Any]) -> StaticToken | OAuth | None:
    from realitygap_server.tokens import OAuth, StaticToken

    given = {name: options[f"oauth_{name}"] for name in ("issuer", "audience", "keys")}
    if not any(given.values()):
        if options["scopes"]:
            raise InputError("--oauth-scope says nothing without --oauth-issuer")
        return None if token is None else StaticToken(token)
    absent = [f"--oauth-{name}" for name, value in given.items() if not value]
    if absent:
        raise InputError(f"{' and '.join(absent)} missing: a token counts by its issuer, its audience and the issuer's keys")
    if token is not None:
        raise InputError("REALITYGAP_TOKEN and --oauth-issuer are two ways to ask for tokens; take one")
    return OAuth(**given, scopes=options["scopes"])


def _print_config(options: dict[str, Any]) -> None:
    from realitygap_server.client_config import Endpoint, config

    client = options["client"]
    endpoint = None
    if options["http"]:
        host = f"[{options['host']}]" if ":" in options["host"] else options["host"]
        if host in ("0.0.0.0", "[::]"):
            host = options["hosts"][0] if options["hosts"] else "127.0.0.1"
        url = options["oauth_audience"] or f"http://{host}:{options['port']}/mcp"
        endpoint = Endpoint(url=url, token="REALITYGAP_TOKEN" in os.environ)
    arguments = ["--workspace", str((options["workspace"] or Path.cwd()).resolve())]
    for name in ("toolsets", "tools"):
        if options[name] is not None:
            arguments += [f"--{name}", options[name]]
    for name in ("max_runs", "max_run_time", "max_run_memory"):
        if options[name] is not None:
            arguments += ["--" + name.replace("_", "-"), str(options[name])]
    arguments += [word for name in options["keep"] for word in ("--keep-env", name)]
    if options["read_only"]:
        arguments.append("--read-only")
    click.echo(config(client, arguments, endpoint))
    click.echo(f"for {client}: {CLIENTS[client]}", err=True)
