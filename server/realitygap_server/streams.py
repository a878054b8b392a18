"""Lines over stdin and stdout from the event loop itself, where their descriptors allow that: each hop to a thread and back is a part of
a millisecond, and more on a busy machine."""

from __future__ import annotations

import os
import select
from collections.abc import AsyncIterator
from typing import IO

import anyio
from anyio.to_thread import run_sync

_AT_ONCE = getattr(os, "RWF_NOWAIT", 0)
"""Linux's flag for a write that takes what there is room for and never waits. The descriptor, which others may have, stays as it is."""
_PIECE = 1 << 16


class Incoming(anyio.AsyncFile[str]):
    """The lines of a client."""

    async def __aiter__(self) -> AsyncIterator[str]:
        try:
            descriptor = self.wrapped.fileno()
            await anyio.wait_readable(descriptor)
        except OSError:  # a plain file, for which nobody can wait, or no file at all
            async for line in super().__aiter__():
                yield line
            return
        begun: list[bytes] = []
        while piece := os.read(descriptor, _PIECE):
            first, *others = piece.split(b"\n")
            begun.append(first)
            for other in others:
                yield _text(begun)
                begun = [other]
            await anyio.wait_readable(descriptor)
        if last := _text(begun):
            yield last


class Outgoing(anyio.AsyncFile[str]):
    """Where the answers go; nothing is held back for `flush`. What is written after the client has stopped reading is lost."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__(stream)
        self.broken = anyio.Event()
        """Set when something could not be written because the client reads no more."""
        self.waits = False
        """Whether there is something to say that the client is slow to take."""

    async def write(self, text: str) -> int:
        try:
            await self._write(text)
        except (BrokenPipeError, ConnectionResetError):
            self.broken.set()
        return len(text)

    async def _write(self, text: str) -> None:
        data = memoryview(text.encode())
        descriptor = self.wrapped.fileno()
        try:
            written = os.pwritev(descriptor, [data], -1, _AT_ONCE) if _AT_ONCE else 0
        except (OSError, NotImplementedError):  # there is no room, or no such write here, or nobody reads, as the next one finds
            written = 0
        if written < len(data):
            self.waits = True
            try:
                with anyio.CancelScope(shield=True):  # half a message would spoil the next one
                    await run_sync(_write, descriptor, data[written:])
            finally:
                self.waits = False

    async def flush(self) -> None:
        return


def _text(pieces: list[bytes]) -> str:
    return b"".join(pieces).decode("utf-8", "replace")


def _write(descriptor: int, data: memoryview) -> None:
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # the client has made its end so
            select.select((), (descriptor,), ())
