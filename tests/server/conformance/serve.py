"""The real bridge with the fixtures of the conformance suite: `python serve.py [PORT]`, over HTTP, or over stdio without a port.

Runs lie under `REALITYGAP_HOME`; the skills beside this file are those of the user's own folder.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(port: str | None = None) -> None:
    from realitygap_server import wire

    streams = wire.claim() if port is None else None
    os.environ["REALITYGAP_SKILLS_DIR"] = str(HERE / "skills")
    # For the workers, which import the functions of the skills.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])

    import anyio
    import wire_fixtures

    from realitygap_server import http, stdio
    from realitygap_server.bridge import Bridge

    bridge = Bridge()
    wire_fixtures.attach(bridge.server, bridge.subscriptions.bus)
    if streams is not None:
        anyio.run(stdio.serve, bridge.server, *streams, bridge.close)
    else:
        anyio.run(http.serve, bridge.server, http.Address(port=int(port or 0)), None, bridge.close)


if __name__ == "__main__":
    main(*sys.argv[1:])
