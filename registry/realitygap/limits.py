"""How long a run may take and how much memory its processes may hold; looked at by its supervisor while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from realitygap.plan import Options

EVERY_S = 2.0
"""Seconds between two looks, each of which reads a file of every process of the machine."""


class Watch:
    """The limits of one run, counted from now."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._began = self._looked = time.monotonic()

    @property
    def pause_s(self) -> float | None:
        """Seconds until the next look; None where there is nothing to look at."""
        return None if self._options.time_limit_s is None and self._options.memory_limit_mb is None else EVERY_S

    def breach(self, processes: Callable[[], Iterable[int]]) -> dict[str, str | None] | None:
        """The error of a run that has gone beyond a limit. `processes` gives all that it has started here."""
        now = time.monotonic()
        if self.pause_s is None or now - self._looked < self.pause_s:
            return None
        self._looked = now
        time_s, memory_mb = self._options.time_limit_s, self._options.memory_limit_mb
        if time_s is not None and now - self._began > time_s:
            return _error(f"the run took longer than the {time_s:g} s that it may", "give it less to do, or a longer time limit")
        if memory_mb is not None and (held := resident_mb(processes())) > memory_mb:
            return _error(
                f"the run held {held:.0f} MB, more than the {memory_mb} MB that it may", "give it less to do, or a higher memory limit"
            )
        return None


def resident_mb(processes: Iterable[int]) -> float:
    """Memory that processes hold for themselves, in 10^6 bytes; files that they share do not count."""
    return sum(_anonymous_kb(process) for process in processes) * 1024 / 1e6


def _anonymous_kb(process: int) -> int:
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0  # it has ended
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("RssAnon:")), 0)


def _error(message: str, hint: str) -> dict[str, str | None]:
    return {"kind": "limit", "message": message, "where": None, "hint": hint}
