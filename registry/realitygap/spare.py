"""The folder of a run, made while nobody waits for one.

To make a file takes much longer than to fill one that is there: tens of microseconds, and half a millisecond where many were deleted a
moment before, as after tests or an installation. A quick run makes twenty.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

from realitygap.workspace import blank, is_locked, lock

NEXT = ".next"
"""Folder of the first step, until that has a name."""
_RUN = ("plan.json", "run.json", "supervisor.json", "workers.json", "result.json")
_STEP = ("key.json", "inputs.json")
_OF_THE_WORKER = ("outputs.json", "step.json")


class Spare:
    """A folder for the next run that this process owns. It is lost where it cannot be made or used; then the run makes its own."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "spare" / str(os.getpid())
        self._lock: int | None = None
        for other in self._folder.parent.glob("*"):
            if not is_locked(other / "lock"):  # of a process that was killed
                shutil.rmtree(other, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._folder.parent.mkdir(exist_ok=True)

    def make(self, worker: int | None) -> None:
        """Makes what a run writes, empty; `worker` is the process that is going to execute its first step."""
        self.drop()
        step = self._folder / "steps" / NEXT
        try:
            self._folder.mkdir()  # not its parents: where the home has been removed, nothing comes back
            self._lock = lock(self._folder / "lock")
            (step / "artifacts").mkdir(parents=True)
            for empty in (self._folder / "events.jsonl", self._folder / "supervisor.log", step / "log.txt"):
                empty.touch()
            written = [(self._folder / name, os.getpid()) for name in _RUN] + [(step / name, os.getpid()) for name in _STEP]
            for path, writer in written + [(step / name, worker) for name in _OF_THE_WORKER if worker is not None]:
                blank(path, writer)
        except OSError:
            self.drop()

    def take(self, folder: Path) -> int | None:
        """Makes it the folder of a run; gives the descriptor that holds its lock, None where there is nothing to take."""
        held, self._lock = self._lock, None
        if held is None:
            return None
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            self._folder.rename(folder)
        except OSError:
            os.close(held)
            return None
        return held

    def drop(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        shutil.rmtree(self._folder, ignore_errors=True)


def move_in(step: Path) -> None:
    """Gives the first step of a run the folder that was made for it, if there is one and the step has none."""
    with contextlib.suppress(OSError):
        (step.parent / NEXT).rename(step)


def tidy(run: Path) -> None:
    """Removes what was made for a run and not used."""
    shutil.rmtree(run / "steps" / NEXT, ignore_errors=True)
    for left in (*run.glob(".*.tmp"), *run.glob("steps/*/.*.tmp")):
        left.unlink(missing_ok=True)
