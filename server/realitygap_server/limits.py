"""How much clients may ask of this machine at once."""

from __future__ import annotations

import os
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import anyio

from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.plan import Options
from realitygap.runs import RunStore
from realitygap.skill import Skill


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits on the runs that clients start. Long runs of the command line in the same workspace count too."""

    long_runs: int = 4
    """Long runs at the same time; one more is refused."""
    quick_runs: int = 4
    """Quick runs at the same time; one more waits for its turn."""
    time_s: float = 24 * 3600.0
    """Seconds that a run may take."""
    memory_mb: int = field(default_factory=lambda: int(0.8 * machine_mb()))
    """Memory in 10^6 bytes that a run may hold; by default four fifths of the machine's."""

    @property
    def options(self) -> Options:
        """What the supervisor of a run has to know."""
        return Options(time_limit_s=self.time_s, memory_limit_mb=self.memory_mb)


def machine_mb() -> float:
    """Memory of this machine, or of the container that it seems to be, in 10^6 bytes."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        allowed = int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii"))
    except (OSError, ValueError):  # no container, or one without a limit: `max`
        allowed = physical
    return min(physical, allowed) / 1e6


class Gate:
    """Lets runs begin as the limits allow."""

    def __init__(self, limits: Limits, registry: Registry, store: RunStore) -> None:
        self.limits = limits
        self._registry = registry
        self._store = store

    def turn(self, skill: Skill) -> AbstractAsyncContextManager[object]:
        """Held by a call from the beginning of its run to the answer; for a quick skill it may have to wait."""
        return self._quick if skill.runtime == "quick" else nullcontext()

    @cached_property
    def _quick(self) -> anyio.CapacityLimiter:
        return anyio.CapacityLimiter(self.limits.quick_runs)

    @cached_property
    def long(self) -> anyio.Lock:
        """Held while a long run is admitted and begun, so that two do not both see the last free place."""
        return anyio.Lock()

    def admit(self) -> None:
        """Raises InputError where one more long run would be too many. Runs of a server before this one count too."""
        running = [run_id for run_id in self._going() if self._store.is_running(run_id)]
        if len(running) >= self.limits.long_runs:
            raise InputError(
                f"{len(running)} long runs are going on, which is all that this server allows at once",
                hint="wait for one with run_status, or stop one with run_cancel; run_list(state=running) names them",
            )

    def _going(self) -> list[str]:
        """Runs of long skills that the index does not know to have ended."""
        found = []
        for row in self._store.index.runs():
            skill = self._registry.skills.get(row["skill"])
            if row["state"] == "running" and (skill is None or skill.runtime == "long"):
                found.append(row["id"])
        return found
