"""What a supervisor writes down while a run goes on: events, progress, the index, the result."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realitygap.errors import RunFailed
from realitygap.run_index import RunIndex
from realitygap.workspace import read_object, write_json

_PROGRESS_INTERVAL_S = 0.2


class Journal:
    """The records of one run. Where `durable`, they are on the disk before a call returns."""

    def __init__(self, folder: Path, home: Path, *, durable: bool = True) -> None:
        self.folder = folder
        self.durable = durable
        self.index = RunIndex(home)
        self.about = read_object(folder / "run.json")
        self.progress: dict[str, dict[str, Any]] = {}
        self.warnings: list[str] = []
        self._file = (folder / "events.jsonl").open("ab")
        self._written_at = 0.0
        if self._file.tell() and (folder / "events.jsonl").read_bytes()[-1:] != b"\n":
            # A kill cut the last line short; it must not swallow the next one.
            self._file.write(b"\n")

    def event(self, event: str, **facts: Any) -> None:
        line = json.dumps({"t": round(time.time(), 3), "event": event, **facts}, ensure_ascii=False, default=str)
        self._file.write(line.encode() + b"\n")
        self._file.flush()
        if self.durable:
            os.fsync(self._file.fileno())

    def warning(self, message: str, step: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)
            self.event("warning", step=step, message=message)

    def moved(self, step: str, done: float, total: float | None, message: str) -> None:
        """Progress of a step; written at most five times a second."""
        now = time.time()
        first = self.progress.setdefault(step, {"began": now, "from": done})
        eta = None
        if total and done > first["from"] and now > first["began"]:
            eta = max(0.0, (total - done) * (now - first["began"]) / (done - first["from"]))
        first |= {"done": done, "total": total, "message": message, "eta": None if eta is None else round(eta, 1)}
        if now - self._written_at >= _PROGRESS_INTERVAL_S:
            self.write_progress()

    def rested(self, step: str) -> None:
        if self.progress.pop(step, None) is not None:
            self.write_progress()

    def write_progress(self) -> None:
        self._written_at = time.time()
        write_json(self.folder / "progress.json", self.progress, durable=False)

    def ended(self, document: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
        """The last word: from here on the run has its final state."""
        write_json(self.folder / "outcome.json", outcome, durable=self.durable)
        self.event("run-ended", status=document["status"], error=document["error"])
        write_json(self.folder / "result.json", document, durable=self.durable, indent=None)
        self._file.close()

    def record(self, document: Mapping[str, Any]) -> None:
        """The row of a run that has ended. The folder is the truth: where the row cannot be written, the folder is asked."""
        message = (document["error"] or {}).get("message")
        with contextlib.suppress(OSError, RunFailed):
            self.index.put_run({**self.about, "state": document["status"], "seconds": document["seconds"], "message": message})
