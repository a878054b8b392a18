"""The runs of a workspace: made, watched, stopped, resumed, removed.

    .skills/runs/<UTC time>-<random>/
        run.json  plan.json  events.jsonl  progress.json  workers.json  lock  result.json  report.html  supervisor.log
        steps/<id>/...                                          see `stepstore`

A run is owned by one detached supervisor that holds the lock of `lock`. When nobody holds it and there is no `result.json`, the
supervisor was killed: the run is `interrupted` and can be resumed.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from realitygap import checkpoints
from realitygap.errors import InputError, RunFailed, unknown
from realitygap.new_run import claim, new_run, record
from realitygap.plan import Plan
from realitygap.run_index import RunIndex
from realitygap.run_status import (
    FINAL,
    RunState,
    RunStatus,
    StepStatus,
    apply,
    created,
    read_about,
    read_events,
    read_result,
    result_document,
)
from realitygap.workspace import home as find_home
from realitygap.workspace import is_locked, lock, read_json, read_object, remove_folder, write_json

_POLL_S = 0.02
_ROOM_B = 1 << 16
"""Free bytes below which a disk counts as full: the last files of a run no longer fit."""
_children: list[subprocess.Popen[bytes]] = []


@dataclass(frozen=True)
class RunHandle:
    """A run that was started."""

    id: str
    store: RunStore

    @property
    def folder(self) -> Path:
        return self.store.folder(self.id)

    def status(self) -> RunStatus:
        return self.store.get(self.id)

    def wait(self, timeout: float | None = None) -> RunStatus:
        """Waits until the run has ended, or `timeout` seconds; gives the state then."""
        return self.store.wait(self.id, timeout)

    def result(self) -> dict[str, Any]:
        return self.store.result(self.id)

    def cancel(self) -> None:
        self.store.cancel(self.id)


class RunStore:
    """The runs of a workspace."""

    def __init__(self, workspace: Path | None = None) -> None:
        self.home = find_home(workspace)
        """The folder `.skills`, or what `REALITYGAP_HOME` says."""
        self.index = RunIndex(self.home)

    @property
    def runs_folder(self) -> Path:
        return self.home / "runs"

    def folder(self, run_id: str) -> Path:
        return self.runs_folder / run_id

    def ids(self) -> builtins.list[str]:
        """The runs that have a folder, newest first."""
        return sorted((path.parent.name for path in self.runs_folder.glob("[!.]*/run.json")), reverse=True)

    def find(self, name: str) -> str:
        """The id of a run from itself, a beginning of it or of its random part, or `last`. Raises InputError."""
        if self._has(name):
            return name  # without a look at the others, of which there may be thousands
        ids = self.ids()
        if name == "last" and ids:
            return ids[0]
        matches = [one for one in ids if name and (one == name or one.startswith(name) or one.rpartition("-")[2].startswith(name))]
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InputError(f"'{name}' is the beginning of {len(matches)} runs", hint=f"write more of it, such as {matches[0]}")
        for row in self.index.runs():
            if name and row["id"].startswith(name) and row["state"] == "failed":
                hint = "nothing of it was kept; mend the inputs and run it again"
                raise InputError(f"run {row['id']} was refused: {row['message']}", hint=hint)
        if not ids:
            raise InputError(f"unknown run '{name}'", hint=f"there are no runs in {self.runs_folder}")
        error = unknown("run", name, ids[:20])
        raise InputError(error.message, hint="`skills runs` lists them")

    def _has(self, name: str) -> bool:
        """Whether a name is the whole id of a run."""
        return os.path.basename(name) == name and name[:1] not in ("", ".") and os.path.isfile(self.runs_folder / name / "run.json")

    def create(self, plan: Plan) -> tuple[str, int]:
        """Makes the folder of a run; gives its id and the descriptor that holds its lock."""
        about = new_run(plan)
        run_id = about["id"]
        folder = self.folder(run_id)
        descriptor = None
        try:
            descriptor = claim(folder)
            record(folder, plan, about)
            self.index.put_run({**about, "state": "running"})
        except BaseException as error:
            if descriptor is not None:
                os.close(descriptor)
            shutil.rmtree(folder, ignore_errors=True)
            if not isinstance(error, OSError):
                raise
            raise RunFailed(f"cannot write the run folder: {error.strerror or error}", where=str(folder)) from None
        return run_id, descriptor

    def launch(self, run_id: str, descriptor: int) -> None:
        """Starts the supervisor of a run, in a session of its own, and hands it the lock. Raises RunFailed where it cannot be started."""
        folder = self.folder(run_id)
        _children[:] = [child for child in _children if child.poll() is None]
        environment = {name: value for name, value in os.environ.items() if name != "REALITYGAP_RUN"}
        try:
            with (folder / "supervisor.log").open("ab") as log:
                _children.append(
                    subprocess.Popen(
                        [sys.executable, "-P", "-m", "realitygap.supervisor", str(folder), str(descriptor)],
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                        pass_fds=(descriptor,),
                        env=environment,
                    )
                )
        except OSError as error:
            os.close(descriptor)
            if not (folder / "events.jsonl").exists():  # one that is resumed keeps what it has done
                with contextlib.suppress(OSError, RunFailed):
                    self.remove(run_id)
            message = f"the process of the run could not be started: {error.strerror or error}"
            raise RunFailed(message, hint="the machine may be out of memory, processes or open files") from None
        os.close(descriptor)

    def list(self) -> list[RunStatus]:
        """All runs, newest first, without their steps."""
        found = []
        for row in self.index.runs():
            folder = self.folder(row["id"])
            if not (folder / "run.json").is_file():
                continue
            if row["state"] not in FINAL:
                now = self._now(row["id"])
                row = {**row, **now, "message": row["message"] or now.get("message")}
            found.append(
                RunStatus(
                    id=row["id"],
                    skill=row["skill"],
                    state=row["state"],
                    folder=folder,
                    created=row["created"],
                    seconds=row["seconds"],
                    progress=None,
                    message=row["message"] or "",
                    eta=None,
                )
            )
        # A row could not be written while somebody held the index, say.
        for run_id in set(self.ids()) - {one.id for one in found}:
            with contextlib.suppress(InputError, RunFailed):
                found.append(replace(self.get(run_id), progress=None, eta=None, steps=[], warnings=[], result=None))
        return sorted(found, key=lambda one: (one.created, one.id), reverse=True)

    def _now(self, run_id: str) -> dict[str, Any]:
        """What the row of a run would say that has ended a moment ago, or goes on."""
        try:
            state, result = self._look(run_id)
        except RunFailed:
            return {"state": "interrupted"}
        if result is None:
            return {"state": state}
        return {"state": state, "seconds": result["seconds"], "message": (result["error"] or {}).get("message")}

    def state(self, run_id: str) -> RunState:
        state: RunState = self._now(run_id)["state"]
        return state

    def is_running(self, run_id: str) -> bool:
        """As `state` says it, for whoever asks again and again: a result is not read."""
        folder = self.folder(run_id)
        return not os.path.exists(folder / "result.json") and is_locked(folder / "lock")

    def _look(self, run_id: str) -> tuple[RunState, dict[str, Any] | None]:
        """The state of a run, and its result document if it has one. Raises RunFailed where that is damaged."""
        folder = self.folder(run_id)
        for _ in range(2):
            if (result := read_result(folder)) is not None:
                return result["status"], result
            if is_locked(folder / "lock"):
                return "running", None
            # It may have ended between the two looks.
        return "interrupted", None

    def get(self, run_id: str) -> RunStatus:
        """Where a run stands, with its steps. Raises InputError for an unknown run."""
        run_id = self.find(run_id)
        folder = self.folder(run_id)
        state, ended = self._look(run_id)
        about = read_about(folder)
        steps: dict[str, StepStatus] = {}
        warnings: list[str] = []
        total = 1
        for event in read_events(folder):
            total = event.get("steps", total)
            apply(event, steps, warnings, state)
        if ended is not None:
            return RunStatus.ended(folder, about, ended, list(steps.values()), total)
        now = read_object(folder / "progress.json") if state == "running" else {}
        running = [now.get(step.id, {}) for step in steps.values() if step.state == "running"]
        finished = sum(step.state in ("done", "cached") for step in steps.values())
        parts = [one["done"] / one["total"] for one in running if one.get("total")]
        progress = min(1.0, (finished + sum(parts)) / max(total, len(steps), 1)) if steps else None
        remaining = [one["eta"] for one in running if one.get("eta") is not None]
        return RunStatus(
            id=run_id,
            skill=about["skill"],
            state=state,
            folder=folder,
            created=about["created"],
            seconds=round(time.time() - about["created"], 3) if state == "running" else None,
            progress=progress,
            message=next((one["message"] for one in running if one.get("message")), ""),
            eta=max(remaining) if remaining else None,
            steps=list(steps.values()),
            warnings=warnings,
        )

    def result(self, run_id: str) -> dict[str, Any]:
        """The result document of a run that has ended. Raises InputError for an unknown run, RunFailed for a running or damaged one."""
        run_id = self.find(run_id)
        state, document = self._look(run_id)
        if state == "running":
            raise RunFailed(f"run {run_id} is still running", hint=f"skills runs show {run_id}")
        if document is not None:
            return document
        full = shutil.disk_usage(self.home).free < _ROOM_B
        error = {
            "message": "the run's process ended without a word" + (", and the disk is full" if full else ""),
            "where": None,
            "hint": f"skills runs resume {run_id}",
        }
        return result_document(run_id, read_about(self.folder(run_id))["skill"], "interrupted", error=error)

    def refused(self, run_id: str) -> bool:
        """Whether a run has ended because its inputs were wrong, before any step was done. Whoever is told of it removes it."""
        return bool(read_object(self.folder(run_id) / "outcome.json").get("refused"))

    def wait(self, run_id: str, timeout: float | None = None) -> RunStatus:
        run_id = self.find(run_id)
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.is_running(run_id) and (deadline is None or time.monotonic() < deadline):
            time.sleep(_POLL_S)
        return self.get(run_id)

    def cancel(self, run_id: str, *, as_state: Literal["cancelled", "interrupted"] = "cancelled") -> None:
        """Asks the supervisor of a run to stop; within two seconds nothing of it is left. Raises InputError when it is not running."""
        run_id = self.find(run_id)
        folder = self.folder(run_id)
        if self.state(run_id) != "running":
            raise InputError(f"run {run_id} is not running: {self.state(run_id)}")
        write_json(folder / "stop.json", {"as": as_state})
        deadline = time.monotonic() + 2.0
        while (pid := _supervisor_of(folder)) is None:
            # The supervisor looks for the request when it is up; until it has said who it is there is nobody to signal.
            if time.monotonic() > deadline or self.state(run_id) != "running":
                return
            time.sleep(_POLL_S)
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            return

    def resume(self, run_id: str) -> RunHandle:
        """Goes on with a run that did not end well; finished steps are kept. Raises InputError when it is running or done."""
        run_id = self.find(run_id)
        folder = self.folder(run_id)
        about = read_about(folder)
        if self.state(run_id) == "done":
            raise InputError(f"run {run_id} is done", hint=f"skills runs show {run_id}")
        descriptor = lock(folder / "lock", patience_s=2.0)
        if descriptor is None:
            raise InputError(f"run {run_id} is running", hint=f"skills runs cancel {run_id}")
        try:
            Plan.from_json(read_json(folder / "plan.json"))
        except (AttributeError, KeyError, TypeError, ValueError):
            os.close(descriptor)
            raise InputError(f"run {run_id} cannot be resumed: its plan is missing or damaged", where=str(folder / "plan.json")) from None
        from realitygap.fence import fence
        from realitygap.spare import tidy

        fence(run_id, folder)
        tidy(folder)
        for name in ("stop.json", "result.json", "progress.json", "outcome.json"):
            (folder / name).unlink(missing_ok=True)
        self.index.put_run({**about, "id": run_id, "state": "running"})
        self.launch(run_id, descriptor)
        return RunHandle(run_id, self)

    def prune(self, *, keep: int | None = None, older_than_days: float | None = None, dry_run: bool = False) -> builtins.list[str]:
        """Removes runs: all but the newest `keep`, or those older than so many days. Running ones stay. Gives the ids.

        Checkpoints from which no run that is left can go on are removed too.
        """
        ids = self.ids()
        if older_than_days is not None:
            limit = time.time() - older_than_days * 86400
            ids = [one for one in ids if created(self.folder(one)) < limit]
        elif keep is not None:
            ids = ids[keep:]
        removed = []
        for run_id in ids:
            if dry_run:
                if not is_locked(self.folder(run_id) / "lock"):
                    removed.append(run_id)
                continue
            if self.remove(run_id):
                removed.append(run_id)
        if not dry_run:
            for grave in self.runs_folder.glob(".*.removed"):
                shutil.rmtree(grave, ignore_errors=True)
            checkpoints.prune(self.home)
        return removed

    def remove(self, run_id: str) -> bool:
        """Removes a run that is not running."""
        folder = self.folder(run_id)
        # A supervisor that has written its result holds the lock for a moment more.
        descriptor = None if self.is_running(run_id) else lock(folder / "lock", patience_s=2.0)
        if descriptor is None:
            return False
        try:
            # The folder first: where the disk is full, the index can be written only after that.
            remove_folder(folder)
            self.index.forget(run_id)
        finally:
            os.close(descriptor)
        return True


def _supervisor_of(folder: Path) -> int | None:
    about = read_json(folder / "supervisor.json")
    if not isinstance(about, dict):
        return None
    from realitygap.fence import start_time

    pid = about.get("pid")
    return pid if isinstance(pid, int) and start_time(pid) == about.get("started") else None
