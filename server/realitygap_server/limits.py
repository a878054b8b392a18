"""How much clients may ask of this machine at once."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import anyio

from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.plan import Options
from realitygap.runs import RunStore
from realitygap.skill import Skill
from realitygap_server.tools import LONGEST_WAIT_S

_LOOK_EVERY_S = 0.25


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


class Turn:
    """A place among the quick runs."""

    run_id: str | None = None
    """The run that has it."""


class Gate:
    """Lets runs begin as the limits allow."""

    def __init__(self, limits: Limits, registry: Registry, store: RunStore) -> None:
        self.limits = limits
        self._registry = registry
        self._store = store
        self._later: set[asyncio.Task[None]] = set()
        """Those that give a turn back when its run has ended."""

    @asynccontextmanager
    async def turn(self, skill: Skill) -> AsyncIterator[Turn]:
        """Held by a call and its run, which for a quick skill may have to wait for it; a run that outlives its call keeps it.

        Raises InputError where none gets free.
        """
        turn = Turn()
        if skill.runtime != "quick":
            yield turn
            return
        try:
            with anyio.fail_after(LONGEST_WAIT_S):
                await self._quick.acquire_on_behalf_of(turn)
        except TimeoutError:
            raise InputError(
                f"{self.limits.quick_runs} quick runs are going on, which is all that this server allows at once",
                hint="stop one with run_cancel; run_list(state=running) names them",
            ) from None
        try:
            yield turn
        finally:
            if turn.run_id is not None and self._store.is_running(turn.run_id):
                task = asyncio.create_task(self._give_back(turn, turn.run_id))
                self._later.add(task)
                task.add_done_callback(self._later.discard)
            else:
                self._quick.release_on_behalf_of(turn)

    async def _give_back(self, turn: Turn, run_id: str) -> None:
        while self._store.is_running(run_id):
            await anyio.sleep(_LOOK_EVERY_S)
        self._quick.release_on_behalf_of(turn)

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
