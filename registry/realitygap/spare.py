"""The folder of a run, made while nobody waits for one.

To make a file takes much longer than to fill one that is there: tens of microseconds, and half a millisecond where many were deleted a
moment before, as after tests or an installation. A quick run makes twenty.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from realitygap.fence import start_time
from realitygap.workspace import blank, is_locked, lock

NEXT = ".next"
"""Folder of the first step, until that has a name."""
_RUN = ("plan.json", "run.json", "supervisor.json", "workers.json", "result.json")
_STEP = ("key.json", "inputs.json")
_OF_THE_WORKER = ("outputs.json", "step.json")


class Spare:
    """A folder for the next run that this process owns. It is lost where it cannot be made or used; then the run makes its own."""

    def __init__(self, home: Path) -> None:
        self._place = home / "spare"
        self._folder: Path | None = None
        self._lock: int | None = None
        for other in self._place.glob("*"):
            process = other.name.partition("-")[0]
            if process.isdecimal() and start_time(int(process)) is None and not is_locked(other / "lock"):
                shutil.rmtree(other, ignore_errors=True)
        with contextlib.suppress(OSError):
            self._place.mkdir(exist_ok=True)

    def make(self, worker: int | None) -> None:
        """Makes what a run writes, empty; `worker` is the process that is going to execute its first step."""
        self.drop()
        folder = self._folder = self._place / f"{os.getpid()}-{secrets.token_hex(4)}"
        step = folder / "steps" / NEXT
        try:
            folder.mkdir()  # not its parents: where the home has been removed, nothing comes back
            self._lock = lock(folder / "lock")
            (step / "artifacts").mkdir(parents=True)
            for empty in (folder / "events.jsonl", folder / "supervisor.log", step / "log.txt"):
                empty.touch()
            written = [(folder / name, os.getpid()) for name in _RUN] + [(step / name, os.getpid()) for name in _STEP]
            for path, writer in written + [(step / name, worker) for name in _OF_THE_WORKER if worker is not None]:
                blank(path, writer)
        except OSError:
            self.drop()

    def take(self, folder: Path) -> int | None:
        """Makes it the folder of a run; gives the descriptor that holds its lock, None where there is nothing to take."""
        if self._folder is None or self._lock is None:
            self.drop()
            return None
        made, self._folder = self._folder, None
        held, self._lock = self._lock, None
        try:
            # Whoever found it while it had no lock yet may have removed that.
            if not os.path.samestat(os.fstat(held), os.stat(made / "lock")):
                raise FileNotFoundError
            folder.parent.mkdir(parents=True, exist_ok=True)
            made.rename(folder)
        except OSError:
            os.close(held)
            shutil.rmtree(made, ignore_errors=True)
            return None
        return held

    def drop(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def move_in(step: Path) -> None:
    """Gives the first step of a run the folder that was made for it, if there is one and the step has none."""
    with contextlib.suppress(OSError):
        (step.parent / NEXT).rename(step)


def tidy(run: Path) -> None:
    """Removes what was made for a run and not used. Other files that are being written stay: somebody may ask the run to stop."""
    shutil.rmtree(run / "steps" / NEXT, ignore_errors=True)
    for pattern in (*(f".{name}.*.tmp" for name in _RUN), *(f"steps/*/.{name}.*.tmp" for name in (*_STEP, *_OF_THE_WORKER))):
        for left in run.glob(pattern):
            left.unlink(missing_ok=True)
