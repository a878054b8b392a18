"""The program `skills`. One file a command, imported when the command is called."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program and exits: 0 done, 1 findings, 2 usage, 3 the run failed, 130 interrupted."""
    import os
    import sys

    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            # It was closed, as by `>&-`.
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  # for as long as the process lives
        # What cannot be encoded is escaped: the name of a file need not be UTF-8.
        getattr(sys, name).reconfigure(errors="backslashreplace")
    try:
        from realitygap.cli.execute import execute

        code = execute(arguments)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
