"""Ends what a dead supervisor left behind, and nothing else.

A process belongs to a run when its environment says so (`REALITYGAP_RUN`), which a reused process id does not, or when its session
is that of a worker written down in `workers.json` with the same start time.
"""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from realitygap.workspace import read_json

VARIABLE = "REALITYGAP_RUN"


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


def session_of(leader: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for entry in os.listdir("/proc"):
        fields = _stat(int(entry)) if entry.isdecimal() else None
        if fields is not None and fields[0] != "Z" and int(fields[3]) == leader:
            found.append(int(entry))
    return found


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


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return []
