"""The owner of a run: `python -m realitygap.supervisor FOLDER FD`, detached, holding the lock FD for as long as it lives.

It works from `plan.json` alone and imports neither yaml nor jsonschema, so that a run whose results are all in the cache takes no
time. One loop in one thread: results of steps come in, steps that became ready go out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from realitygap import checkpoints
from realitygap.cache import is_cacheable
from realitygap.errors import Explained, InputError
from realitygap.execution import Instance, Scope
from realitygap.executor import Kind
from realitygap.fence import start_time
from realitygap.journal import Journal
from realitygap.limits import Watch
from realitygap.plan import Plan
from realitygap.pool import Pool, Worker
from realitygap.priority import share_as_nice
from realitygap.run_status import Ending, result_document
from realitygap.spare import move_in
from realitygap.step_places import StepPlaces
from realitygap.stepstore import artifacts_of, is_intact, link_step, make_room, read_finished, read_step, set_aside
from realitygap.stop_requests import Interrupted, StopRequests
from realitygap.workspace import read_json, read_object, remove_folder, write_json

_GRACE_S = 1.0
"""Time that a step has to stop by itself before it is killed."""
_DISK = (errno.ENOSPC, errno.EDQUOT)


class Supervisor:
    """Executes the plan of one run, by the workers of a pool if one is given. `about` is what `run.json` holds."""

    def __init__(self, folder: Path, plan: Plan, about: Mapping[str, Any], pool: Pool | None = None) -> None:
        self.folder = folder
        self.home = folder.parent.parent
        self.plan = plan
        self.journal = Journal(folder, self.home, about, durable=plan.durable)
        self.pool = pool or Pool(folder, self.home, self.plan.options.jobs, self.plan.executor)
        self.steps = StepPlaces(folder, self.plan)
        self.scope = Scope(self.plan, self.plan.pipeline, self.plan.inputs, str(folder / "report.html"))
        self.running: dict[str, Instance] = {}
        self.checkpoints: set[Path] = set()
        """Checkpoints of steps that were begun."""
        self.error: dict[str, Any] | None = None
        """The first failure, with its kind."""
        self.repeated = 0
        """Steps executed although a result could have been in the cache."""
        self.hits = 0
        self.finished = 0
        self.stop_as: str | None = None
        self.stop_at = 0.0
        self.began = time.monotonic()
        self.watch = Watch(self.plan.options)
        self.result = ""
        """The result as JSON, at the end."""
        self._document: dict[str, Any] | None = None
        """The result, until all that follows from it is written."""
        self._selector = selectors.DefaultSelector()
        self._requests = StopRequests(folder, stays=self.pool.keep)

    def run(self) -> None:
        """All of it, but what `conclude` does where the workers stay. Raises only what keeps the result from being written."""
        self._requests.listen()
        self._selector.register(self._requests, selectors.EVENT_READ, None)
        self.journal.put(self._sign)
        self.journal.put(self.pool.record)
        self.journal.event("run-started", steps=len(list(self.plan.pipeline.leaves())), pid=os.getpid())
        self._look_for_stop()
        try:
            self._loop()
        except Explained as error:
            self._note({"kind": "input" if isinstance(error, InputError) else "crash", **error.to_json()})
        except OSError as error:
            if error.errno in _DISK:
                self._note({"kind": "disk", "message": "the disk is full", "where": error.filename, "hint": None})
            else:
                self._broken(error)
        except Exception as error:
            self._broken(error)
        finally:
            self.pool.release(stopped=self.stop_as is not None)
        try:
            self._end()
        except OSError as error:
            if error.errno not in _DISK:
                raise
            make_room(self.folder)
            self._end()

    def _sign(self) -> None:
        write_json(self.folder / "supervisor.json", {"pid": os.getpid(), "started": start_time(os.getpid())}, durable=self.plan.durable)

    def _loop(self) -> None:
        while True:
            if self.stop_as is None:
                try:
                    self._start_ready()
                except Interrupted:
                    self._look_for_stop()
            if not self.running:
                return
            self._wait()
            if self.stop_as is not None and self.running and time.monotonic() >= self.stop_at:
                for worker in self.pool.busy():
                    self._lost(worker)

    # What can run

    def _start_ready(self) -> None:
        while True:
            if self.error is not None and (not self.plan.options.keep_going or self.error["kind"] == "disk"):
                return
            self.scope.settle()
            moved = False
            for instance in self.scope.ready():
                if instance.taken or instance.failed:
                    continue
                if self._known(instance):
                    moved = True
                elif len(self.running) < self.plan.options.jobs:
                    self._begin(instance)
            if not moved:
                return

    def _known(self, instance: Instance) -> bool:
        """Whether the result is there already, from an earlier attempt of this run or from the cache; then it is used."""
        target = self.steps.folder(instance)
        found = read_finished(target, instance.inputs)
        if found is not None and self._is_intact(target, str(found[0].get("key"))):
            if not (target / "inputs.json").is_file():  # its attempt was killed
                write_json(target / "inputs.json", instance.inputs, durable=False)
            self._use(instance, *found)
            self.journal.event("step-done", **self._told(instance, found[0]))
            return True
        if not is_cacheable(instance.step.skill) or self.plan.is_fresh(instance.id):
            return False
        key, _ = self._key(instance)
        for source in self.journal.index.steps_with_key(key):
            if source == target or not self._is_intact(source, key):
                continue
            try:
                origin = {"run": self.folder.name, "step": instance.id, "finished": time.time(), "cached_from": source.parent.parent.name}
                link_step(source, target, origin)
            except OSError as error:
                if error.errno in _DISK:
                    raise
                continue  # it was pruned in this moment: a miss
            found = read_finished(target, instance.inputs)
            if found is None:
                continue
            write_json(target / "inputs.json", instance.inputs, durable=False)
            self.journal.step_row(target, found[0])
            self._use(instance, *found)
            self.hits += 1
            self.journal.event("step-cached", **self._told(instance, found[0]))
            return True
        return False

    def _use(self, instance: Instance, facts: Mapping[str, Any], outputs: dict[str, Any]) -> None:
        instance.taken = True
        self.finished += 1
        for run in (None, self.folder.name):
            checkpoints.drop(checkpoints.place(self.home, str(facts.get("key")), run))
        for warning in facts.get("warnings", ()):
            if warning not in self.journal.warnings:
                self.journal.warnings.append(warning)
        self.scope.finish(instance, outputs)

    def _begin(self, instance: Instance) -> None:
        key, parts = self._key(instance)
        folder = self.steps.folder(instance)
        attempt = set_aside(folder)
        move_in(folder)
        write_json(folder / "key.json", {"key": key, "parts": parts}, durable=self.plan.durable, indent=None)
        skill = instance.step.skill
        self.journal.put(partial(write_json, folder / "inputs.json", instance.inputs, durable=False))
        kind: Kind = "heavy" if "sim" in skill.extras else "light"
        worker = self.pool.get(kind, parts["code"])
        with contextlib.suppress(KeyError):
            self._selector.register(worker.channel, selectors.EVENT_READ, worker)
        instance.taken = True
        self.running[instance.id] = instance
        self.checkpoints.add(self.steps.checkpoint(instance))
        self.repeated += is_cacheable(instance.step.skill)
        self.journal.event("step-started", step=instance.id, skill=skill.name, attempt=attempt, pid=worker.process.pid)
        if skill.effects == "workspace" or self.plan.observers:
            self.journal.catch_up()  # what a run without a record does must be undone with its folder
        try:
            worker.begin(self.steps.order(instance, attempt), parts["code"])
        except OSError:
            self._lost(worker)

    # What comes back

    def _wait(self) -> None:
        self.journal.catch_up()
        until_stop_s = max(0.0, self.stop_at - time.monotonic()) if self.stop_as is not None else self.watch.pause_s
        for key, _ in self._selector.select(min((one for one in (until_stop_s, self.journal.pause_s) if one is not None), default=None)):
            worker = key.data
            if worker is None:
                self._requests.clear()
                self._look_for_stop()
                continue
            messages = worker.channel.receive()
            if messages is None:
                self._lost(worker)
                continue
            for message in messages:
                self._heard(worker, message)
        breach = None if self.stop_as else self.watch.breach(self.pool.processes)
        if breach is not None:
            self._note(breach)
            self._stop("failed")

    def _heard(self, worker: Worker, message: Mapping[str, Any]) -> None:
        step = message.get("step", "")
        match message["at"]:
            case "progress":
                self.journal.moved(step, message["done"], message["total"], message["message"])
            case "warning":
                self.journal.warning(message["message"], step)
            case "done":
                worker.order = None
                self._done(self.running.pop(step), message)
            case "failed":
                worker.order = None
                self._failed(self.running.pop(step), dict(message))

    def _done(self, instance: Instance, told: Mapping[str, Any] | None = None) -> None:
        """A step's outputs are complete, in its folder and perhaps in what the worker has told."""
        folder = self.steps.folder(instance)
        found = (told["facts"], told["outputs"]) if told and "outputs" in told else read_finished(folder, instance.inputs)
        if found is None:
            message = "the outputs of the step cannot be read back"
            self._failed(instance, {"kind": "crash", "message": message, "where": str(folder), "hint": None})
            return
        self.journal.rested(instance.id)
        if is_cacheable(instance.step.skill):
            self.journal.put(partial(self.journal.step_row, folder, found[0]))
        self._use(instance, *found)
        self.journal.event("step-done", **self._told(instance, found[0]))

    def _failed(self, instance: Instance, failure: dict[str, Any]) -> None:
        self.journal.rested(instance.id)
        if failure["kind"] == "cancelled" and self.stop_as is not None:
            return
        self.scope.fail(instance)
        error = {name: failure.get(name) for name in ("message", "where", "hint")}
        self.journal.event("step-failed", step=instance.id, skill=instance.step.skill.name, seconds=failure.get("seconds"), error=error)
        place = f"step '{instance.id}': " if self.plan.is_pipeline else ""
        self._note({**failure, "message": place + str(failure["message"])})

    def _lost(self, worker: Worker) -> None:
        """A worker ended, or has to: its step failed, unless its outputs are complete."""
        order = worker.order
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(worker.channel)
        status = worker.process.poll()
        self.pool.drop(worker)
        if order is None:
            return
        status = worker.process.returncode if status is None else status
        instance = self.running.pop(order.step)
        if read_step(self.steps.folder(instance)) is not None:
            self._done(instance)
        elif self.stop_as is None:
            how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with code {status}"
            hint = "the machine may have run out of memory" if status == -signal.SIGKILL else "the step's log says more"
            where = str(self.steps.folder(instance) / "log.txt")
            self._failed(instance, {"kind": "crash", "message": f"the process of the step {how}", "where": where, "hint": hint})

    # Stopping

    def _look_for_stop(self) -> None:
        if self.stop_as is None and (state := self._requests.state()) is not None:
            self._stop(state)

    def _stop(self, state: str) -> None:
        self.stop_as = state
        self.stop_at = time.monotonic() + _GRACE_S
        self.journal.event("stop-requested", **{"as": self.stop_as})
        for worker in self.pool.busy():
            worker.ask_to_stop()

    # The end

    def _end(self) -> None:
        self.scope.settle()
        for name in self.scope.skipped():
            self.journal.event("step-skipped", step=name)
        ending = Ending.of(self.folder.name, self.error, stopped=self.stop_as, settled=self.scope.settled, finished=self.finished)
        document = result_document(
            self.folder.name,
            self.plan.skill.name,
            ending.state,
            seconds=time.monotonic() - self.began,
            cached=ending.state == "done" and self.repeated == 0 and self.hits > 0,
            outputs=self.scope.outputs(),
            artifacts=artifacts_of(self.folder, by_step=self.plan.is_pipeline),
            warnings=self.journal.warnings,
            error=ending.error,
        )
        for folder in self.checkpoints:
            if ending.refused or checkpoints.is_empty(folder):
                checkpoints.drop(folder)
        if not ending.refused:
            document["artifacts"]["report"] = str(self.folder / "report.html")
            if not self.pool.keep:
                self._write_report(document)
        self.result = self.journal.ended(document, None if ending.state == "done" else ending.outcome())
        self._document = document
        if not self.pool.keep:
            self.conclude()
        if ending.refused and self.plan.options.detached:
            remove_folder(self.folder)

    def ended(self) -> dict[str, Any]:
        """How the run has ended: the arguments of `RunStatus.ended` that whoever has begun it does not know; the result as JSON."""
        return {"result": self.result, "steps": self.journal.last_steps(), "total": len(list(self.plan.pipeline.leaves()))}

    def conclude(self) -> None:
        """What comes after the result, for which somebody waits where the workers stay: the row of the index, and there the page."""
        document, self._document = self._document, None
        if document is None:
            return
        self.journal.record(document)
        if self.pool.keep and "report" in document["artifacts"]:
            self._write_report(document)

    def _write_report(self, document: dict[str, Any]) -> None:
        try:
            from realitygap.report import write_report

            write_report(self.folder, document)
        except Exception as error:  # a report that cannot be drawn does not undo the run
            traceback.print_exc()
            document["artifacts"].pop("report")
            document["warnings"].append(f"the report could not be written: {type(error).__name__}")
            if self.pool.keep:
                write_json(self.folder / "result.json", document, durable=self.plan.durable, indent=None)

    # Helpers

    def _key(self, instance: Instance) -> tuple[str, dict[str, Any]]:
        if any(isinstance(value, (str, list, dict)) for value in instance.inputs.values()):
            self.journal.catch_up()  # a recording of many gigabytes may be read for it
        with self._requests.interrupting():
            return self.steps.key(instance)

    def _is_intact(self, folder: Path, key: str) -> bool:
        self.journal.catch_up()  # artifacts of many gigabytes may be read for it
        with self._requests.interrupting():
            return is_intact(folder, key)

    def _broken(self, error: Exception) -> None:
        """A fault of this program: the run fails, and its log says where."""
        traceback.print_exc()
        where = str(self.folder / "supervisor.log")
        self._note(
            {"kind": "crash", "message": f"{type(error).__name__}: {error}", "where": where, "hint": "this is a fault of the program"}
        )

    def _note(self, error: dict[str, Any]) -> None:
        if self.error is None:
            self.error = error

    def _told(self, instance: Instance, facts: Mapping[str, Any]) -> dict[str, Any]:
        summary = (instance.outputs or {}).get("summary")
        return {
            "step": instance.id,
            "skill": instance.step.skill.name,
            "seconds": facts.get("seconds"),
            "summary": summary if isinstance(summary, str) else "",
        }


def main(folder: Path, descriptor: int) -> None:
    os.set_inheritable(descriptor, False)
    share_as_nice()
    # The descriptor stays open, and with it the lock, until this process ends in whatever way.
    Supervisor(folder, Plan.from_json(read_json(folder / "plan.json")), read_object(folder / "run.json")).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
