"""What the supervisor and a worker say to each other: one JSON object a line, over a socket that nothing else knows.

Supervisor to worker:  `{"do": "step", ...StepOrder}`, `{"do": "cancel"}`.
Worker to supervisor:  `{"at": "ready"}`, `{"at": "progress", ...}`, `{"at": "warning", ...}`, `{"at": "done", ...}`, `{"at":
"failed", ...}`.

The socket is not stdout: whatever a skill prints, at the level of Python or of C, lands in the log of its step.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True)
class StepOrder:
    """Everything that a worker needs to execute one step."""

    step: str
    """Id of the step, unique in the run: `train`, `train.0`, `outer.inner`."""
    skill: str
    pipeline: str | None
    entry: str
    """`module:attribute` of the function."""
    extras: tuple[str, ...]
    folder: str
    """The step's folder: inputs, outputs, log, artifacts."""
    checkpoint: str
    """Folder that survives this attempt."""
    inputs: dict[str, Any]
    """With defaults, formats resolved; the worker validates them."""
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    seed: int
    effects: str
    plugin: str | None = None
    observers: tuple[str, ...] = ()
    """Plugins that declare one of the step hooks."""
    run: str = ""
    durable: bool = True
    """Whether what is written waits for the disk."""
    facts: dict[str, Any] = field(default_factory=dict)
    """Kept beside the outputs, for the cache and the report: version, trit, key, attempt."""

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))

    @staticmethod
    def from_json(values: dict[str, Any]) -> StepOrder:
        values = {**values, "extras": tuple(values["extras"]), "observers": tuple(values["observers"])}
        return StepOrder(**values)


class Listener(Protocol):
    """Who is told how a step goes on."""

    def send(self, message: dict[str, Any]) -> None: ...


class Channel:
    """Sends and receives JSON lines over a socket; sending is safe from several threads."""

    def __init__(self, endpoint: socket.socket) -> None:
        self.socket = endpoint
        self._begun: list[bytes] = []
        """Pieces of a message of which the end has not come yet."""
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any], **encoded: str) -> None:
        """Sends a message, with values beside it that are JSON already, in one line. Raises OSError when the other side is gone.

        Half a surrogate pair, which no file could hold, becomes `?`.
        """
        text = json.dumps(message, separators=(",", ":"), default=str, ensure_ascii=False)
        for name, value in encoded.items():
            text = f'{text[:-1]},"{name}":{value}}}'
        with self._lock:
            self.socket.sendall(text.encode("utf-8", "replace") + b"\n")

    def fileno(self) -> int:
        return self.socket.fileno()

    def receive(self) -> list[dict[str, Any]] | None:
        """The messages of one read; None at the end of the stream."""
        try:
            data = self.socket.recv(1 << 16)
        except (ConnectionResetError, BrokenPipeError):
            return None
        if not data:
            return None
        first, *others = data.split(b"\n")
        self._begun.append(first)
        if not others:
            return []
        lines = [b"".join(self._begun), *others[:-1]]
        self._begun = [others[-1]]
        return [json.loads(line) for line in lines if line.strip()]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        while (messages := self.receive()) is not None:
            yield from messages

    def close(self) -> None:
        self.socket.close()
