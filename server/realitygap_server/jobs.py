"""Runs of the registry, followed from an event loop.

A run is owned by its own supervisor: it goes on when the call, the client or the server ends.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from realitygap import runs
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.runs import RunStatus, RunStore

Report = Callable[[float, str], Awaitable[None]]
"""Gets the fraction done, 0 to 1, and what is going on."""

_RUN_ID = re.compile(r"[0-9TZ-]{10,40}-[a-z2-7]{20,40}")
_FIRST_POLL_S, _LAST_POLL_S = 0.01, 0.25
_REPORT_EVERY_S = 1.0


class Jobs:
    """Starts, follows and stops the runs of one workspace."""

    def __init__(self, registry: Registry, workspace: Path | None = None) -> None:
        self.registry = registry
        self.workspace = workspace
        self.store = RunStore(workspace)

    async def start(self, skill: str, inputs: Mapping[str, Any]) -> str:
        """Starts a run and gives its id. Raises InputError for wrong inputs, before anything is written."""

        def begin() -> str:
            return runs.start(skill, inputs, workspace=self.workspace, registry=self.registry).id

        return await anyio.to_thread.run_sync(begin)

    def known(self, run_id: str) -> str:
        """The id itself. Raises InputError unless it is the whole id of a run: a beginning of one or `last` would find runs of others."""
        if not _RUN_ID.fullmatch(run_id) or not (self.store.folder(run_id) / "run.json").is_file():
            raise InputError("no such run", hint="run_list names the runs of this workspace")
        return run_id

    async def status(self, run_id: str) -> RunStatus:
        return await anyio.to_thread.run_sync(self.store.get, run_id)

    async def result(self, run_id: str) -> dict[str, Any]:
        """The result document of a run that has ended."""
        return await anyio.to_thread.run_sync(self.store.result, run_id)

    async def wait(self, run_id: str, seconds: float, report: Report | None = None) -> RunStatus:
        """Waits until the run has ended, at most so many seconds, reporting its progress."""
        pause, reported, begun = _FIRST_POLL_S, anyio.current_time(), -1.0
        with anyio.move_on_after(seconds):
            while self.store.state(run_id) == "running":
                await anyio.sleep(pause)
                pause = min(_LAST_POLL_S, pause * 1.5)
                if report and anyio.current_time() - reported >= _REPORT_EVERY_S:
                    reported = anyio.current_time()
                    status = await self.status(run_id)
                    if status.progress is not None and status.progress > begun:
                        begun = status.progress
                        await report(status.progress, status.message)
        return await self.status(run_id)

    async def cancel(self, run_id: str) -> None:
        """Stops a run. Raises InputError when it is not running."""
        await anyio.to_thread.run_sync(self.store.cancel, run_id)

    async def remove_refused(self, run_id: str) -> None:
        """Removes a run whose inputs were wrong, once its client has been told: nothing came of it."""
        if self.store.refused(run_id):
            await anyio.to_thread.run_sync(self.store.remove, run_id)

    async def every(self) -> list[RunStatus]:
        """All runs of the workspace, newest first, without their steps."""
        return await anyio.to_thread.run_sync(self.store.list)
