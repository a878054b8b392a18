"""`skills serve`."""

from __future__ import annotations

import os

import click


@click.command("serve")
@click.option(
    "--workspace",
    type=click.Path(exists=True, file_okay=False),
    help="Folder in which runs are kept and relative paths are read. The current one by default.",
)
def serve(workspace: str | None) -> None:
    """Serve the skills to an AI assistant over the Model Context Protocol, on stdin and stdout.

    Stdout carries the protocol and nothing else; messages go to stderr. It ends when the client closes stdin; runs that it started go on.
    """
    from realitygap_server import wire

    stdin, stdout = wire.claim()
    if workspace:
        os.chdir(workspace)
    try:
        import anyio

        from realitygap_server.bridge import Bridge
        from realitygap_server.stdio import serve as serve_stdio
    except ModuleNotFoundError as error:
        from realitygap.errors import InputError
        from realitygap.extras import install_line

        raise InputError(f"`skills serve` needs the module '{error.name}'", hint=install_line("mcp")) from error
    bridge = Bridge()
    anyio.run(serve_stdio, bridge.server, stdin, stdout, bridge.close)
