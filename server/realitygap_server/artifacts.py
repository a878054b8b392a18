"""Files of a run as content for a model: text in windows, images as images. Nothing outside the run's folder is read."""

from __future__ import annotations

import base64
import os
import stat
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from realitygap.errors import InputError
from realitygap_server.sizes import beginning, cost

IMAGES = {".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}
LARGEST_IMAGE = 3_500_000
"""Bytes of an image that still fit, as base64, into the 5 MB that clients take."""
LONGEST_SIDE = 8_000
"""Pixels of a PNG; clients refuse larger ones."""
LARGEST_WINDOW = 20_000
"""Characters (`sizes.cost`) of text in one answer: about 5,000 tokens."""


@dataclass(frozen=True, kw_only=True)
class Text:
    """A window of a text file."""

    text: str
    offset: int
    """Byte at which the window begins."""
    next_offset: int | None
    """Byte at which the next window begins, None at the end."""
    size: int
    """Bytes of the file."""


@dataclass(frozen=True, kw_only=True)
class Image:
    data: str
    """base64"""
    mime_type: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Binary:
    """A file that is neither text nor an image: only its size is told."""

    size: int


def inside(root: Path, name: str) -> Path:
    """The file `name` below `root`.

    Raises InputError for whatever is not a plain file there: `..`, absolute paths, links that lead out, devices.
    """
    refused = InputError(f"no file '{_printable(name)}' in this run", hint="run_result lists the artifacts of a run")
    if not name or "\0" in name or name.startswith(("/", "\\", "~")) or ".." in PurePosixPath(name).parts:
        raise refused
    try:
        base = root.resolve(strict=True)
        path = (base / name).resolve(strict=True)
        if not path.is_relative_to(base) or not stat.S_ISREG(os.stat(path).st_mode):
            raise refused
    except (OSError, ValueError, RuntimeError):
        raise refused from None
    return path


def names(root: Path) -> Iterator[str]:
    """Names of the plain files below `root`, relative, in order; links are not followed."""
    for folder, subfolders, files in os.walk(root, followlinks=False):
        subfolders.sort()
        yield from (os.path.relpath(os.path.join(folder, file), root) for file in sorted(files))


def window(found: Iterable[str], *, offset: int, limit: int) -> tuple[list[str], int | None]:
    """The names from `offset` on that fit into `limit` characters, at least one, and where the next window begins."""
    kept: list[str] = []
    for name in islice(found, offset, None):
        limit -= cost(name) + 2
        if kept and limit < 0:
            return kept, offset + len(kept)
        kept.append(name)
    return kept, None


def read(path: Path, *, offset: int = 0, limit: int = LARGEST_WINDOW) -> Text | Image | Binary:
    """The content of a file: an image whole, a text from byte `offset` for at most `limit` characters."""
    size = path.stat().st_size
    mime_type = IMAGES.get(path.suffix.lower())
    if mime_type:
        if size > LARGEST_IMAGE:
            return Binary(size=size)
        data = path.read_bytes()
        if mime_type == "image/png" and max(struct.unpack(">II", data[16:24].ljust(8, b"\0"))) > LONGEST_SIDE:
            return Binary(size=size)
        return Image(data=base64.b64encode(data).decode("ascii"), mime_type=mime_type, size=size)
    offset = min(offset, size)
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read(limit)
    whole = _whole_characters(data, last=offset + len(data) >= size)
    try:
        text = whole.decode("utf-8", "strict")
    except UnicodeDecodeError:
        return Binary(size=size)
    if "\0" in text:
        return Binary(size=size)
    text = beginning(text, limit)
    end = offset + len(text.encode())
    return Text(text=text, offset=offset, next_offset=end if end < size else None, size=size)


def _whole_characters(data: bytes, *, last: bool) -> bytes:
    """The data without a UTF-8 character that the window cuts in two, so that windows join without loss."""
    if last:
        return data
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte & 0xC0 == 0x80:
            continue
        length = 4 if byte >= 0xF0 else 3 if byte >= 0xE0 else 2 if byte >= 0xC0 else 1
        return data[:-back] if length > back else data
    return data


def _printable(name: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in name)[:120]
