"""Ends what a run has started, and nothing else, whether its supervisor lives or is dead.

After a supervisor that is dead, a process belongs to a run when its environment says so (`REALITYGAP_RUN`), which a reused process id does
not, or when its session is that of a worker written down in `workers.json` with the same start time. A living supervisor is the ancestor of
all that its run has started, in whatever session; only the supervisor of another run, whose environment has no such variable, is not its.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

from realitygap.workspace import read_json

VARIABLE = "REALITYGAP_RUN"
_PR_SET_CHILD_SUBREAPER = 36


def start_time(pid: int) -> int | None:
    """When a process began, in clock ticks since boot; with the id it names a process for good. None when there is none."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None


def fence(run_id: str, folder: Path, *, patience_s: float = 2.0) -> list[int]:
    """Kills every process of a run and waits until they are gone; gives their ids."""
    killed = _kill_all(run_id, folder)
    deadline = time.monotonic() + patience_s
    left = killed
    while left and time.monotonic() < deadline:
        left = [pid for pid in left if start_time(pid) is not None]
        if left:
            time.sleep(0.01)
            left = _kill_all(run_id, folder)
    return killed


def adopt() -> None:
    """From now on this process becomes the parent of whatever below it loses its own."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def started(ancestor: int) -> list[int]:
    """The living processes that one has started, and those that they have."""
    children: dict[int, list[int]] = {}
    for pid, parent in _parents().items():
        children.setdefault(parent, []).append(pid)
    found, to_see = [], [ancestor]
    while to_see:
        for pid in children.get(to_see.pop(), ()):
            if any(one.startswith(f"{VARIABLE}=".encode()) for one in _environment(pid)):  # also where it is empty, as in warm workers
                found.append(pid)
                to_see.append(pid)
    return found


def sweep(spared: Collection[int], *, patience_s: float = 2.0) -> None:
    """Kills whatever this process has started but for some, and waits until it is gone."""
    deadline = time.monotonic() + patience_s
    while (left := [pid for pid in started(os.getpid()) if pid not in spared]) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.005)
    for pid, parent in _parents().items():
        if parent == os.getpid() and pid not in spared:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _kill_all(run_id: str, folder: Path) -> list[int]:
    sessions = {pid for pid, started in _workers(folder).items() if start_time(pid) == started}
    marker = f"{VARIABLE}={run_id}".encode()
    killed = []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal() or (pid := int(entry)) == os.getpid():
            continue
        fields = _stat(pid)
        if fields is None or fields[0] == "Z" or not (int(fields[3]) in sessions or marker in _environment(pid)):
            continue
        try:
            os.kill(pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue
        killed.append(pid)
    return killed


def _workers(folder: Path) -> dict[int, int]:
    recorded = read_json(folder / "workers.json")
    return {int(pid): int(started) for pid, started in recorded.items()} if isinstance(recorded, dict) else {}


def _stat(pid: int) -> list[str] | None:
    """Fields of /proc/PID/stat from the state on; the name before may hold anything, brackets too."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _parents() -> dict[int, int]:
    """The parent of every process."""
    fields = {int(entry): _stat(int(entry)) for entry in os.listdir("/proc") if entry.isdecimal()}
    return {pid: int(one[1]) for pid, one in fields.items() if one is not None}


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
