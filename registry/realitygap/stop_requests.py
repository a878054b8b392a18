"""What asks a run to stop: a signal, and `stop.json`, which says as what it is to end."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from realitygap.workspace import read_json


class Interrupted(Exception):
    """The run was asked to stop while it did what it may leave undone."""


class StopRequests:
    """Those to the process that owns a run. Readable, for a selector, when a signal has come."""

    def __init__(self, folder: Path, *, stays: bool) -> None:
        """To a process that `stays` for other runs, a signal alone may be a late one for the run before."""
        self._request = folder / "stop.json"
        self._stays = stays
        self._signalled = self._interruptible = False
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)

    def listen(self) -> None:
        """From now on signals are requests. In the main thread only."""
        signal.set_wakeup_fd(self._wake_out.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._heard)

    def fileno(self) -> int:
        return self._wake_in.fileno()

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(1024)

    def state(self) -> str | None:
        """As what the run is to end; None where nobody has asked for it."""
        request = read_json(self._request)
        if isinstance(request, dict):
            return str(request.get("as", "interrupted"))
        return "interrupted" if self._signalled and not self._stays else None

    @contextlib.contextmanager
    def interrupting(self) -> Iterator[None]:
        """What is done in here may take long and leaves nothing half done: a request ends it by `Interrupted`."""
        self._interruptible = True
        try:
            if self.state() is not None:
                raise Interrupted
            yield
        finally:
            self._interruptible = False

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self._signalled = True
        if self._interruptible and self.state() is not None:
            self._interruptible = False
            raise Interrupted
