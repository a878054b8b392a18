"""The text that findings stand in. What is hostile, gone or no plain file reads as empty: its finding says so already."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from functools import lru_cache

from realitygap.nodes import MAX_BYTES


class NotPlain(OSError):
    """Neither a plain file nor a folder: a pipe would keep the reader waiting, a device would never end."""


def read_plain(path: str | os.PathLike[str], most: int) -> tuple[bytes, bool]:
    """The first `most` bytes of a plain file, and whether that is all. Raises OSError, of which `NotPlain` and `IsADirectoryError` are."""
    try:
        # Without O_NONBLOCK the opening of a pipe would wait.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        # What a socket, and a device that is not there, say.
        raise (_not_plain(path) if error.errno in (errno.ENXIO, errno.ENODEV) else error) from None
    try:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise _not_plain(path)
        raw = os.read(descriptor, min(status.st_size, most) + 1)
        # A file of the kernel's says that it is empty, one may grow, and a file system may give less than it was asked for.
        while len(raw) != status.st_size and len(raw) <= most and (more := os.read(descriptor, most + 1 - len(raw))):
            raw += more
    finally:
        os.close(descriptor)
    return raw[:most], len(raw) <= most


def _not_plain(path: str | os.PathLike[str]) -> NotPlain:
    return NotPlain(errno.EINVAL, "neither a plain file nor a folder", str(path))


def why_unreadable(path: str | os.PathLike[str], error: OSError) -> tuple[str, str | None]:
    """What to say of a file that cannot be opened, and what to do."""
    if isinstance(error, NotPlain):
        return "neither a plain file nor a folder", "save what a pipe or a device gives to a file first"
    if isinstance(error, FileNotFoundError) and os.path.islink(path):
        return f"a link to '{os.readlink(path)}', which is not there", "correct the link, or put a file in its place"
    if error.errno == errno.ELOOP:
        return "a link that leads back to itself", "correct the link, or put a file in its place"
    return f"cannot be read: {error.strerror}", "look at its permissions" if isinstance(error, PermissionError) else None


def source_bytes(path: str) -> bytes:
    """What a file holds; empty where it is no plain file, or larger than any document may be."""
    try:
        raw, whole = read_plain(path, MAX_BYTES)
    except (OSError, ValueError):
        return b""
    return raw if whole else b""


def source_text(path: str) -> str:
    """The text of a file, without a byte order mark."""
    return source_bytes(path).decode("utf-8", errors="replace").removeprefix("\ufeff")


def lines_of(text: str) -> list[str]:
    """The lines of a text, as editors count them: `splitlines` also splits at form feeds, U+2028 and the like."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return lines if lines[-1] else lines[:-1]


@lru_cache(maxsize=4)
def source_lines(path: str) -> tuple[bytes, ...]:
    """The lines of a file, of which few are shown. Findings come ordered by file, so that few files are kept."""
    raw = source_bytes(path).removeprefix(codecs.BOM_UTF8)
    return tuple(raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"))


def source_line(path: str, number: int) -> str:
    """One line, from 1; empty where the file has none."""
    lines = source_lines(path) if path else ()
    return lines[number - 1].decode("utf-8", errors="replace") if 1 <= number <= len(lines) else ""
