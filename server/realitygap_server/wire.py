"""The process's stdout carries JSON-RPC and nothing else.

`claim()` comes before any other import of the server: from then on whatever Python or C code prints goes to stderr, also at import and
at exit.
"""

from __future__ import annotations

import fcntl
import io
import os
import sys

_FIRST_FREE = 3


def claim() -> tuple[io.TextIOWrapper, io.TextIOWrapper]:
    """Takes stdin and stdout away from the process and gives them to the caller, who is the only one to read and write there from now on.

    Descriptor 0 is then empty and descriptor 1 is stderr. Those that are returned are not inherited by child processes.
    """
    if sys.stdout is not None:
        sys.stdout.flush()
    incoming, outgoing = (fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST_FREE) for descriptor in (0, 1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return (
        io.TextIOWrapper(os.fdopen(incoming, "rb"), encoding="utf-8", errors="replace"),
        io.TextIOWrapper(os.fdopen(outgoing, "wb"), encoding="utf-8", newline="\n", write_through=True),
    )
