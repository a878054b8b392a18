"""Runs of the registry, followed from an event loop.

A run is owned by its own supervisor: it goes on when the call, the client or the server ends.
"""

from __future__ import annotations

import asyncio
import importlib
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from realitygap import runs
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.resident import Residents
from realitygap.runs import RunStatus, RunStore
from realitygap.workspace import is_locked, read_object
from realitygap_server.callers import caller
from realitygap_server.containment import Containment
from realitygap_server.limits import Gate, Limits

Report = Callable[[float, str], Awaitable[None]]
"""Gets the fraction done, 0 to 1, and what is going on."""

_RUN_ID = re.compile(r"[0-9TZ-]{10,40}-[a-z2-7]{20,40}")
_FIRST_POLL_S, _LAST_POLL_S, _POLL_SHARE = 0.02, 0.25, 0.04
"""Pause between two looks at a run, of which the end of one that a resident has is told: this share of the time so far, within bounds."""
_REPORT_EVERY_S = 1.0
_TIDY_S = 10.0
"""Patience with a supervisor that has told the end of its run."""
_WARM_UP_AFTER_S = 0.5


class Jobs:
    """Starts, follows and stops the runs of one workspace."""

    def __init__(self, registry: Registry, workspace: Path | None = None, limits: Limits | None = None) -> None:
        self.registry = registry
        self.workspace = workspace
        self.store = RunStore(workspace)
        self._base = workspace or Path.cwd()
        self.gate = Gate(limits or Limits(), registry, self.store)
        self.residents = Residents(self.store.home)
        """Supervisors whose processes are there already."""

    @cached_property
    def containment(self) -> Containment:
        """Where paths of a client may lead."""
        return Containment(self._base, self.store.home, self.registry.assets)

    def warm_up(self) -> None:
        """In a moment, when the first client has been greeted, a worker for quick skills is started."""

        def act() -> None:
            importlib.import_module("jsonschema")
            self.residents.prepare()

        timer = threading.Timer(_WARM_UP_AFTER_S, act)
        timer.daemon = True
        timer.start()

    async def start(self, skill: str, inputs: Mapping[str, Any]) -> str:
        """Starts a run and gives its id.

        Raises InputError, before anything is written, for wrong inputs, a path out of the workspace, and where too many runs are going on.
        """
        one = self.registry.skill(skill)
        options = replace(self.gate.limits.options, owner=caller())

        def admit() -> dict[str, Any]:
            return self.containment.admit(one, inputs)

        def begin(prepared: Mapping[str, Any]) -> str:
            how: dict[str, Any] = {"workspace": self.workspace, "registry": self.registry, "residents": self.residents}
            return runs.start(skill, prepared, options=options, **how).id

        def begin_long(prepared: Mapping[str, Any]) -> str:
            self.gate.admit()
            return begin(prepared)

        if one.runtime != "long":
            return await anyio.to_thread.run_sync(lambda: begin(admit()))
        # Before the lock: files are read for it, which may take long, and must not keep another's run from beginning.
        prepared = await anyio.to_thread.run_sync(admit)
        async with self.gate.long:
            return await anyio.to_thread.run_sync(begin_long, prepared)

    def known(self, run_id: str) -> str:
        """The id itself. Raises InputError unless it is the whole id of a run: a beginning of one or `last` would find runs of others."""
        if not _RUN_ID.fullmatch(run_id) or not (self.store.folder(run_id) / "run.json").is_file() or not self._visible(run_id):
            raise InputError("no such run", hint="run_list names the runs of this workspace")
        return run_id

    async def status(self, run_id: str) -> RunStatus:
        return await anyio.to_thread.run_sync(self.store.get, run_id)

    async def result(self, run_id: str) -> dict[str, Any]:
        """The result document of a run that has ended."""
        return await anyio.to_thread.run_sync(self.store.result, run_id)

    async def wait(self, run_id: str, seconds: float, report: Report | None = None) -> RunStatus:
        """Waits until the run has ended, at most so many seconds, reporting its progress."""
        began = anyio.current_time()
        reported, begun = began, -1.0
        ended = anyio.Event()
        self.residents.at_end(run_id, partial(asyncio.get_running_loop().call_soon_threadsafe, ended.set))
        with anyio.move_on_after(seconds):
            while self.store.is_running(run_id):
                pause = min(_LAST_POLL_S, max(_FIRST_POLL_S, _POLL_SHARE * (anyio.current_time() - began)))
                with anyio.move_on_after(pause):
                    await (anyio.sleep(pause) if ended.is_set() else ended.wait())
                if report and anyio.current_time() - reported >= _REPORT_EVERY_S:
                    reported = anyio.current_time()
                    status = await self.status(run_id)
                    if status.progress is not None and status.progress > begun:
                        begun = status.progress
                        await report(status.progress, status.message)
        return self.residents.ended(run_id) or await self.status(run_id)

    async def tidied(self, run_id: str) -> None:
        """Waits for what a supervisor does after it has told the end of a run: its page is written then."""
        with anyio.move_on_after(_TIDY_S):
            while not self.store.is_running(run_id) and is_locked(self.store.folder(run_id) / "lock"):
                await anyio.sleep(_FIRST_POLL_S)

    async def cancel(self, run_id: str) -> None:
        """Stops a run. Raises InputError when it is not running."""
        await anyio.to_thread.run_sync(self.store.cancel, run_id)

    async def remove_refused(self, run_id: str) -> None:
        """Removes a run whose inputs were wrong, once its client has been told: nothing came of it."""
        if self.store.refused(run_id):
            await anyio.to_thread.run_sync(self.store.remove, run_id)

    async def every(self) -> list[RunStatus]:
        """The runs of the workspace that the caller may see, newest first, without their steps."""
        return await anyio.to_thread.run_sync(lambda: [one for one in self.store.list() if self._visible(one.id)])

    async def ids(self) -> list[str]:
        """Those of `every`, without a look at where they stand."""
        return await anyio.to_thread.run_sync(lambda: [one for one in self.store.ids() if self._visible(one)])

    def _visible(self, run_id: str) -> bool:
        asking = caller()
        return asking is None or read_object(self.store.folder(run_id) / "run.json").get("owner") == asking
