"""Runs: started, watched, stopped, resumed, removed. What the command line and the server use; neither jax nor numpy is imported here.

    .skills/runs/<UTC time>-<random>/
        run.json  plan.json  events.jsonl  progress.json  workers.json  lock  result.json  report.html  supervisor.log
        steps/<id>/...                                          see `stepstore`

A run is owned by one detached supervisor that holds the lock of `lock`. When nobody holds it and there is no `result.json`, the
supervisor was killed: the run is `interrupted` and can be resumed.
"""

from __future__ import annotations

import base64
import builtins
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from realitygap.errors import InputError, RunFailed, unknown
from realitygap.plan import Options, Plan
from realitygap.run_index import RunIndex
from realitygap.run_status import FINAL, RunState, RunStatus, StepStatus, apply, read_events, result_document
from realitygap.workspace import home as find_home
from realitygap.workspace import is_locked, lock, read_json, write_json

if TYPE_CHECKING:
    from realitygap.discovery import Registry

__all__ = [
    "RunHandle",
    "RunState",
    "RunStatus",
    "RunStore",
    "StepStatus",
    "plan_run",
    "read_events",
    "result",
    "result_document",
    "start",
    "status",
    "wait",
]

_POLL_S = 0.02
_OBSERVERS = ("realitygap_before_step", "realitygap_after_step", "realitygap_on_step_error")
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

    def find(self, name: str) -> str:
        """The id of a run from itself, a beginning of it or of its random part, or `last`. Raises InputError."""
        ids = sorted((path.name for path in self.runs_folder.glob("*/") if (path / "run.json").is_file()), reverse=True)
        if name == "last" and ids:
            return ids[0]
        matches = [one for one in ids if name and (one == name or one.startswith(name) or one.rpartition("-")[2].startswith(name))]
        if name in matches:
            return name
        if len(matches) == 1:
            return matches[0]
        if matches:
            raise InputError(f"'{name}' is the beginning of {len(matches)} runs", hint=f"write more of it, such as {matches[0]}")
        if not ids:
            raise InputError(f"unknown run '{name}'", hint=f"there are no runs in {self.runs_folder}")
        error = unknown("run", name, ids[:20])
        raise InputError(error.message, hint="`skills runs` lists them")

    def create(self, plan: Plan) -> tuple[str, int]:
        """Makes the folder of a run; gives its id and the descriptor that holds its lock."""
        created = time.time()
        token = base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]
        run_id = f"{time.strftime('%Y-%m-%dT%H-%M-%S', time.gmtime(created))}-{token}"
        folder = self.folder(run_id)
        try:
            folder.mkdir(parents=True)
            descriptor = lock(folder / "lock")
            if descriptor is None:
                raise RunFailed("the folder of a new run is locked", where=str(folder))
            write_json(folder / "plan.json", plan.to_json())
            about = {"id": run_id, "skill": plan.skill.name, "created": created, "seed": plan.seed, "versions": _versions()}
            write_json(folder / "run.json", about)
            self.index.put_run({**about, "state": "running"})
        except OSError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise RunFailed(f"cannot write the run folder: {error.strerror or error}", where=str(folder)) from None
        return run_id, descriptor

    def launch(self, run_id: str, descriptor: int) -> None:
        """Starts the supervisor of a run, in a session of its own, and hands it the lock."""
        folder = self.folder(run_id)
        _children[:] = [child for child in _children if child.poll() is None]
        environment = {name: value for name, value in os.environ.items() if name != "REALITYGAP_RUN"}
        with (folder / "supervisor.log").open("ab") as log:
            _children.append(
                subprocess.Popen(
                    [sys.executable, "-m", "realitygap.supervisor", str(folder), str(descriptor)],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    pass_fds=(descriptor,),
                    env=environment,
                )
            )
        os.close(descriptor)

    def list(self) -> list[RunStatus]:
        """All runs, newest first, without their steps."""
        found = []
        for row in self.index.runs():
            folder = self.folder(row["id"])
            if not (folder / "run.json").is_file():
                continue
            state = row["state"] if row["state"] in FINAL else self.state(row["id"])
            found.append(
                RunStatus(
                    id=row["id"],
                    skill=row["skill"],
                    state=state,
                    folder=folder,
                    created=row["created"],
                    seconds=row["seconds"],
                    progress=None,
                    message=row["message"] or "",
                    eta=None,
                )
            )
        return found

    def state(self, run_id: str) -> RunState:
        folder = self.folder(run_id)
        for _ in range(2):
            result = read_json(folder / "result.json")
            if isinstance(result, dict):
                state: RunState = result["status"]
                return state
            if is_locked(folder / "lock"):
                return "running"
            # It may have ended between the two looks.
        return "interrupted"

    def get(self, run_id: str) -> RunStatus:
        """Where a run stands, with its steps. Raises InputError for an unknown run."""
        run_id = self.find(run_id)
        folder = self.folder(run_id)
        state = self.state(run_id)
        about = read_json(folder / "run.json") or {}
        steps: dict[str, StepStatus] = {}
        warnings: list[str] = []
        total = 1
        for event in read_events(folder):
            total = event.get("steps", total)
            apply(event, steps, warnings, state)
        result = read_json(folder / "result.json") or {}
        now = read_json(folder / "progress.json") or {} if state == "running" else {}
        running = [now.get(step.id, {}) for step in steps.values() if step.state == "running"]
        finished = sum(step.state in ("done", "cached") for step in steps.values())
        parts = [one["done"] / one["total"] for one in running if one.get("total")]
        progress = 1.0 if state == "done" else min(1.0, (finished + sum(parts)) / max(total, len(steps), 1)) if steps else None
        remaining = [one["eta"] for one in running if one.get("eta") is not None]
        return RunStatus(
            id=run_id,
            skill=about.get("skill", ""),
            state=state,
            folder=folder,
            created=about.get("created", 0.0),
            seconds=result.get("seconds", round(time.time() - about["created"], 3) if state == "running" and "created" in about else None),
            progress=progress,
            message=(result.get("error") or {}).get("message") or next((one["message"] for one in running if one.get("message")), ""),
            eta=max(remaining) if remaining else None,
            steps=list(steps.values()),
            warnings=result.get("warnings", warnings),
        )

    def result(self, run_id: str) -> dict[str, Any]:
        """The result document of a run that has ended. Raises InputError for an unknown one, RunFailed for one that is running."""
        run_id = self.find(run_id)
        state = self.state(run_id)
        if state == "running":
            raise RunFailed(f"run {run_id} is still running", hint=f"skills runs show {run_id}")
        document = read_json(self.folder(run_id) / "result.json")
        if isinstance(document, dict):
            return document
        about = read_json(self.folder(run_id) / "run.json") or {}
        error = {
            "message": "the run's process ended without a word",
            "where": None,
            "hint": f"skills runs resume {run_id}",
        }
        return result_document(run_id, about.get("skill", ""), "interrupted", error=error)

    def wait(self, run_id: str, timeout: float | None = None) -> RunStatus:
        run_id = self.find(run_id)
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.state(run_id) == "running" and (deadline is None or time.monotonic() < deadline):
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
        if self.state(run_id) == "done":
            raise InputError(f"run {run_id} is done", hint=f"skills runs show {run_id}")
        descriptor = lock(folder / "lock", patience_s=1.0)
        if descriptor is None:
            raise InputError(f"run {run_id} is running", hint=f"skills runs cancel {run_id}")
        if not isinstance(read_json(folder / "plan.json"), dict):
            os.close(descriptor)
            raise InputError(f"run {run_id} cannot be resumed: its plan is missing or damaged", where=str(folder / "plan.json"))
        from realitygap.fence import fence

        fence(run_id, folder)
        for name in ("stop.json", "result.json", "progress.json"):
            (folder / name).unlink(missing_ok=True)
        about = read_json(folder / "run.json") or {}
        self.index.put_run({**about, "id": run_id, "state": "running"})
        self.launch(run_id, descriptor)
        return RunHandle(run_id, self)

    def prune(self, *, keep: int | None = None, older_than_days: float | None = None, dry_run: bool = False) -> builtins.list[str]:
        """Removes runs: all but the newest `keep`, or those older than so many days. Running ones stay. Gives the ids."""
        ids = sorted((path.name for path in self.runs_folder.glob("*/") if (path / "run.json").is_file()), reverse=True)
        if older_than_days is not None:
            limit = time.time() - older_than_days * 86400
            ids = [one for one in ids if (read_json(self.folder(one) / "run.json") or {}).get("created", limit) < limit]
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
        return removed

    def remove(self, run_id: str) -> bool:
        """Removes a run that is not running."""
        folder = self.folder(run_id)
        # A supervisor that has written its result holds the lock for a moment more.
        descriptor = None if self.state(run_id) == "running" else lock(folder / "lock", patience_s=2.0)
        if descriptor is None:
            return False
        try:
            self.index.forget(run_id)
            # First out of sight in one step, so that a kill in the middle leaves no half of a run.
            grave = folder.with_name(f".{run_id}.removed")
            folder.replace(grave)
            shutil.rmtree(grave, ignore_errors=True)
        finally:
            os.close(descriptor)
        return True


def start(
    skill_name: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    workspace: Path | None = None,
    registry: Registry | None = None,
    seed: int = 0,
    options: Options | None = None,
) -> RunHandle:
    """Starts a run and returns at once.

    Everything that can be checked is checked before anything is written. Raises InputError.
    """
    plan = plan_run(skill_name, inputs or {}, registry=registry, seed=seed, options=options)
    store = RunStore(workspace)
    run_id, descriptor = store.create(plan)
    store.launch(run_id, descriptor)
    return RunHandle(run_id, store)


def plan_run(
    skill_name: str,
    inputs: Mapping[str, Any],
    *,
    registry: Registry | None = None,
    seed: int = 0,
    options: Options | None = None,
    need_extras: bool = True,
) -> Plan:
    """The checked plan of a run. Raises InputError for an unknown skill, wrong inputs, an unsound pipeline, a missing extra."""
    from realitygap.inputs import prepare
    from realitygap.pipeline import make_plan

    if registry is None:
        from realitygap.discovery import Registry

        registry = Registry.discover()
    skill = registry.skill(skill_name)
    if skill.is_pipeline:
        from realitygap.pipeline_check import require_sound

        require_sound(skill, registry)
    prepared = prepare(skill, inputs, registry.assets)
    records = registry.active_plugins
    factories = {one["factory"].partition(".")[0].partition(":")[0] for record in records for one in record.components}
    plan = make_plan(
        skill,
        prepared,
        registry,
        seed=seed,
        options=options,
        assets=registry.assets,
        packages={record.name: record.package for record in records},
        components=tuple(sorted(factories)),
        observers=tuple(record.name for record in records if set(record.hooks) & set(_OBSERVERS)),
    )
    steps = {step.id for step in plan.pipeline.steps} | {step.id for step in plan.pipeline.leaves()}
    for name in plan.options.refresh:
        if name not in steps and name.partition(".")[0] not in steps:
            raise unknown("step", name, steps, where="--refresh")
    if need_extras:
        for leaf in plan.pipeline.leaves():
            registry.require_extras(registry.skill(leaf.skill.name))
    return plan


def status(run_id: str, *, workspace: Path | None = None) -> RunStatus:
    """Where a run stands. Raises InputError for an unknown run."""
    return RunStore(workspace).get(run_id)


def result(run_id: str, *, workspace: Path | None = None) -> dict[str, Any]:
    """The result document of a run that has ended."""
    return RunStore(workspace).result(run_id)


def wait(run_id: str, timeout: float | None = None, *, workspace: Path | None = None) -> RunStatus:
    """Waits until a run has ended, or `timeout` seconds."""
    return RunStore(workspace).wait(run_id, timeout)


def _supervisor_of(folder: Path) -> int | None:
    about = read_json(folder / "supervisor.json")
    if not isinstance(about, dict):
        return None
    from realitygap.fence import start_time

    pid = about.get("pid")
    return pid if isinstance(pid, int) and start_time(pid) == about.get("started") else None


def _versions() -> dict[str, str | None]:
    from importlib import metadata

    versions: dict[str, str | None] = {"python": sys.version.split()[0]}
    for name in ("realitygap", "jax", "mujoco", "mujoco-mjx"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions
