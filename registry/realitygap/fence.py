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
from collections.abc import Callable, Collection
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
    return _until_gone(lambda: _of_run(run_id, folder), patience_s)


def await_session(leader: int, *, patience_s: float = 2.0) -> None:
    """Waits until a session that was killed is gone. Its processes may outlive their leader while they give back their memory."""
    deadline = time.monotonic() + patience_s
    while _in_sessions({leader}) and time.monotonic() < deadline:
        time.sleep(0.005)


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
    _until_gone(lambda: [pid for pid in started(os.getpid()) if pid not in spared], patience_s)
    for pid, parent in _parents().items():
        if parent == os.getpid() and pid not in spared:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _until_gone(find: Callable[[], list[int]], patience_s: float) -> list[int]:
    """Kills what `find` finds, again and again, until it finds none and all that was killed has gone; gives the ids of those.

    A process that gives back its memory has lost its environment already: it is not found any more, though it is still there.
    """
    deadline = time.monotonic() + patience_s
    killed: dict[int, int] = {}
    immune: set[int] = set()
    while True:
        found = [pid for pid in find() if pid not in immune]
        for pid in found:
            began = start_time(pid)
            try:
                os.kill(pid, signal.SIGKILL)
            except PermissionError:
                immune.add(pid)
            except ProcessLookupError:
                continue
            else:
                if began is not None:
                    killed[pid] = began
        there = any(start_time(pid) == began for pid, began in killed.items())
        if not (found or there) or time.monotonic() > deadline:
            return list(killed)
        time.sleep(0.005)


def _of_run(run_id: str, folder: Path) -> list[int]:
    """The living processes of a run, by its workers' sessions and by their environments."""
    marker = f"{VARIABLE}={run_id}".encode()
    # A leader that is dead but not yet waited for still stands for its session.
    sessions = {pid for pid, started in _workers(folder).items() if (fields := _stat(pid)) is not None and int(fields[19]) == started}
    return _in_sessions(sessions, or_else=lambda pid: marker in _environment(pid))


def _in_sessions(sessions: Collection[int], or_else: Callable[[int], bool] = lambda pid: False) -> list[int]:
    """The living processes of some sessions, and those of which else is true, without this one."""
    found = []
    for entry in os.listdir("/proc"):
        if not entry.isdecimal() or (pid := int(entry)) == os.getpid():
            continue
        fields = _stat(pid)
        if fields is not None and fields[0] != "Z" and (int(fields[3]) in sessions or or_else(pid)):
            found.append(pid)
    return found


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
