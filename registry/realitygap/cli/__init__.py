"""The program `skills`. One file a command, imported when the command is called."""

from __future__ import annotations

from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the program and exits: 0 done, 1 findings, 2 usage, 3 the run failed, 130 interrupted."""
    import sys

    try:
        from realitygap.cli.program import execute

        code = execute(arguments)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)
