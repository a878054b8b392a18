"""The text that findings stand in. What is hostile, gone or no plain file reads as empty: its finding says so already."""

from __future__ import annotations

import os
import stat
from functools import lru_cache

from realitygap.nodes import MAX_BYTES


def source_bytes(path: str) -> bytes:
    """What a file holds; empty where it is no plain file, or larger than any document may be."""
    try:
        # A pipe would keep who opens it waiting; without O_NONBLOCK one that is put there in between would too.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return b""
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_BYTES:
            return b""
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(MAX_BYTES + 1)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def source_text(path: str) -> str:
    """The text of a file, without a byte order mark."""
    return source_bytes(path).decode("utf-8", errors="replace").removeprefix("\ufeff")


def lines_of(text: str) -> list[str]:
    """The lines of a text, as editors count them: `splitlines` also splits at form feeds, U+2028 and the like."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


@lru_cache(maxsize=4)
def source_lines(path: str) -> tuple[str, ...]:
    """The lines of a file. Findings come ordered by file, so that few are kept."""
    return tuple(lines_of(source_text(path)))


def source_line(path: str, number: int) -> str:
    """One line, from 1; empty where the file has none."""
    lines = source_lines(path) if path else ()
    return lines[number - 1] if 1 <= number <= len(lines) else ""
