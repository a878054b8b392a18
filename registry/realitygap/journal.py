"""What a supervisor writes down while a run goes on: events, progress, the index, the result."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

from realitygap.errors import RunFailed
from realitygap.run_index import RunIndex
from realitygap.run_status import StepStatus, apply
from realitygap.workspace import write_json, write_text

_PROGRESS_INTERVAL_S = 0.2


class Journal:
    """The records of one run. Where `durable`, they are on the disk before a call returns; else most wait for `catch_up`."""

    def __init__(self, folder: Path, home: Path, about: Mapping[str, Any], *, durable: bool = True) -> None:
        self.folder = folder
        self.durable = durable
        self.index = RunIndex(home)
        self.about = about
        """What `run.json` holds."""
        self.progress: dict[str, dict[str, Any]] = {}
        self.warnings: list[str] = []
        self.steps: dict[str, StepStatus] = {}
        """Where the steps stand, as whoever reads the events finds it."""
        self._behind: list[Callable[[], object]] = []
        self._file: IO[bytes] | None = None
        self._began = time.time()
        self._written_at: float | None = None
        self._moved = False
        """Whether there is progress that is not written yet."""

    def put(self, record: Callable[[], object]) -> None:
        """Has something recorded: at once, or with the next `catch_up`."""
        self._behind.append(record)
        if self.durable:
            self.catch_up()

    def catch_up(self) -> None:
        """Writes what waits to be written, progress when it is time. Raises OSError; what could not be written waits on."""
        while self._behind:
            self._behind[0]()
            del self._behind[0]
        self._write_progress()

    def event(self, event: str, **facts: Any) -> None:
        told = {"t": round(time.time(), 3), "event": event, **facts}
        apply(told, self.steps, [], "running")
        line = json.dumps(told, ensure_ascii=False, default=str)
        self.put(partial(self._append, line.encode() + b"\n"))

    def warning(self, message: str, step: str) -> None:
        if message not in self.warnings:
            self.warnings.append(message)
            self.event("warning", step=step, message=message)

    def _append(self, line: bytes) -> None:
        if self._file is None:
            path = self.folder / "events.jsonl"
            self._file = path.open("ab")
            if self._file.tell() and path.read_bytes()[-1:] != b"\n":
                # A kill cut the last line short; it must not swallow the next one.
                line = b"\n" + line
        self._file.write(line)
        self._file.flush()
        if self.durable:
            os.fsync(self._file.fileno())

    def last_steps(self) -> list[dict[str, Any]]:
        """Where the steps stand at the end of the run, as JSON has it."""
        return [{**vars(one), "state": "interrupted" if one.state == "running" else one.state} for one in self.steps.values()]

    def moved(self, step: str, done: float, total: float | None, message: str) -> None:
        """Progress of a step; written five times a second, at the first time after a fifth."""
        now = time.time()
        first = self.progress.setdefault(step, {"began": now, "from": done})
        eta = None
        if total and done > first["from"] and now > first["began"]:
            eta = max(0.0, (total - done) * (now - first["began"]) / (done - first["from"]))
        first |= {"done": done, "total": total, "message": message, "eta": None if eta is None else round(eta, 1)}
        self._moved = True
        self._write_progress()

    def rested(self, step: str) -> None:
        if self.progress.pop(step, None) is not None and self._written_at is not None:
            self._moved = True
            self._write_progress()

    @property
    def pause_s(self) -> float | None:
        """Seconds until there is progress to write; None where there is none."""
        return max(0.0, (self._written_at or self._began) + _PROGRESS_INTERVAL_S - time.time()) if self._moved else None

    def _write_progress(self) -> None:
        if self.pause_s == 0.0:
            self._moved, self._written_at = False, time.time()
            write_json(self.folder / "progress.json", self.progress, durable=False)

    def ended(self, document: Mapping[str, Any], outcome: Mapping[str, Any] | None) -> str:
        """The last word: from here on the run has its final state. Gives the document as JSON. `outcome` is what a bad end means."""
        if outcome is not None:
            self.put(partial(write_json, self.folder / "outcome.json", outcome, durable=self.durable))
        self.event("run-ended", status=document["status"], error=document["error"])
        self.catch_up()
        text = json.dumps(document, ensure_ascii=False)
        write_text(self.folder / "result.json", text + "\n", durable=self.durable)
        if self._file is not None:
            self._file.close()
        return text

    def record(self, document: Mapping[str, Any]) -> None:
        """The row of a run that has ended."""
        message = (document["error"] or {}).get("message")
        self.row({"state": document["status"], "seconds": document["seconds"], "message": message})

    def row(self, facts: Mapping[str, Any]) -> None:
        """The row of the run. The folder is the truth: where there is no row, or an old one, it is asked."""
        with contextlib.suppress(OSError, RunFailed):
            self.index.put_run({**self.about, **facts})

    def step_row(self, folder: Path, facts: dict[str, Any]) -> None:
        """The row of a finished step, without which no later run finds it before the index is built anew."""
        with contextlib.suppress(OSError, RunFailed):
            self.index.put_step(folder, facts)
