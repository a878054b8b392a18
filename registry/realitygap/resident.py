"""Supervisors that stay: processes that own one run after another, and keep the workers of the run before warm.

A run started through `Residents.launch` is like any other: a folder, a lock, a supervisor of its own session, workers that end with it.
Only the processes are not new, so that a quick skill answers at once and a simulator is imported once for many runs. When who started
them has gone, they finish the run that they have and end.

    keeper, over a socket pair, in lines of JSON: `{"about": what run.json is to hold, "plan": ...}`
    resident: `{"at": "here"}`, `{"at": "taken"}` when the run is on record, `{"at": "ended", "result": ..., "steps": [...], ...}`,
    `{"at": "free"}` when its page is written too
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap.executor import LOCAL, Kind
from realitygap.fence import fence
from realitygap.new_run import claim, new_run, record
from realitygap.plan import Plan
from realitygap.priority import share_as_nice
from realitygap.protocol import Channel
from realitygap.run_index import RunIndex
from realitygap.run_status import RunStatus, StepStatus
from realitygap.spare import Spare, tidy

if TYPE_CHECKING:
    from realitygap.pool import Pool

IDLE_S = 600.0
"""A resident without a run for so long ends: a warm simulator holds half a gigabyte."""
MOST_RUNS = 200
"""Runs after which a resident is replaced, whatever its workers may have piled up."""
MOST_IDLE: dict[Kind, int] = {"light": 4, "heavy": 1}
"""Residents of a kind kept for the next run."""
HEAVY_NICE = 10
"""By how much a simulator yields to everything else on the machine: a training that takes all cores must not keep quick skills waiting."""
PAGE_S: dict[Kind, float] = {"light": 0.2, "heavy": 3.0}
"""How long the next run waits for the page of one that has ended: no longer than a new process would take."""
MOST_TOLD = 1 << 17
"""Characters of a result that is told with the end of its run; a larger one is read where it is needed."""
_ANSWER_S, _START_S = 2.0, 30.0
"""Time to say that it is there for a run, and to do so as a new process."""


class Residents:
    """The supervisors that one process keeps for the runs of one home; safe to use from several threads."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._idle: dict[Kind, list[_Resident]] = {"light": [], "heavy": []}
        self._told: dict[str, list[Callable[[], object]]] = {}
        """Name of the folder of a run that a resident has, to whom to tell its end."""
        self._lock = threading.Lock()
        self._freed = threading.Condition(self._lock)
        """A resident has become idle, or will never be."""
        self._has: dict[str, Kind] = {}
        """Name of the folder of a run, and the kind of the resident that has it until the page is written."""
        self._ended: dict[str, RunStatus] = {}
        """How those of them have ended of which that was told."""
        self.count = 0
        """Runs that a resident took."""
        self._closed = False
        self._release: Callable[[], None] | None = None

    def launch(self, plan: Plan) -> str | None:
        """Has a resident make a run of a plan and own it; gives its id. None where none takes it: then there is no run."""
        if plan.executor != LOCAL or plan.options.jobs != 1:
            return None
        kind = kind_of(plan)
        for resident in self._candidates(kind):
            about = new_run(plan)
            run_id = about["id"]
            with self._lock:
                self._told[run_id] = []
            if resident.run(plan, about):
                self.count += 1
                with self._lock:
                    self._has[run_id] = kind
                threading.Thread(target=self._await_end, args=(resident, kind, about), daemon=True).start()
                return str(run_id)
            self._tell(run_id)
        return None

    def at_end(self, run_id: str, tell: Callable[[], object]) -> None:
        """Calls `tell`, from another thread, when a resident has ended that run; never where none has it."""
        with self._lock:
            if run_id in self._told:
                self._told[run_id].append(tell)

    def ended(self, run_id: str) -> RunStatus | None:
        """How a run has ended, where its resident has told that and is not free yet."""
        return self._ended.get(run_id)

    def prepare(self) -> None:
        """Has a light resident waiting, so that the first quick skill starts no process."""
        with self._lock:
            ready = self._closed or bool(self._idle["light"])
        if not ready and (resident := self._begin("light")) is not None:
            self._keep(resident, "light")

    def idle(self, kind: Kind) -> list[_Resident]:
        """Those that wait for a run."""
        with self._lock:
            return list(self._idle[kind])

    def close(self) -> None:
        """Ends those that have no run; the others end after it."""
        with self._lock:
            self._closed = True
            if self._release is not None:
                self._release()
            idle = [one for residents in self._idle.values() for one in residents]
            self._idle = {"light": [], "heavy": []}
        for one in idle:
            one.close()

    def _candidates(self, kind: Kind) -> Iterator[_Resident]:
        """Idle ones, of which some may have ended meanwhile, then a new one. One that writes a page is sooner there than a new one."""
        while True:
            with self._lock:
                self._freed.wait_for(lambda: self._idle[kind] or not self._writes_page(kind), PAGE_S[kind])
                resident = self._idle[kind].pop() if self._idle[kind] else None
            if resident is None:
                break
            yield resident
        if (resident := self._begin(kind)) is not None:
            yield resident

    def _writes_page(self, kind: Kind) -> bool:
        """Whether some resident has a run that has ended."""
        runs = self.home / "runs"
        return any(one == kind and (runs / name / "result.json").exists() for name, one in self._has.items())

    def _begin(self, kind: Kind) -> _Resident | None:
        try:
            return _Resident(self.home, kind)
        except OSError:  # no process can be made now; the run may still get one
            return None

    def _tell(self, run_id: str) -> None:
        with self._lock:
            told = self._told.pop(run_id)
        for tell in told:
            with contextlib.suppress(RuntimeError):  # an event loop that has been closed
                tell()

    def _await_end(self, resident: _Resident, kind: Kind, about: dict[str, Any]) -> None:
        run_id = about["id"]
        self._hold_index()
        told = resident.hears("ended")
        if told is None:
            # It was killed: its lock is free when it has gone, a moment after its socket.
            with contextlib.suppress(subprocess.TimeoutExpired):
                resident.process.wait(_ANSWER_S)
        else:
            if "result" in told:
                steps = [StepStatus(**one) for one in told["steps"]]
                status = RunStatus.ended(self.home / "runs" / run_id, about, told["result"], steps, told["total"])
                with self._lock:
                    self._ended[run_id] = status
        self._tell(run_id)
        if told is not None and resident.hears("free") is not None and resident.runs < MOST_RUNS:
            self._keep(resident, kind)
        else:
            resident.close()
        with self._lock:
            self._ended.pop(run_id, None)
            del self._has[run_id]
            self._freed.notify_all()

    def _hold_index(self) -> None:
        with self._lock:
            if self._release is None and not self._closed:
                with contextlib.suppress(OSError, sqlite3.Error):
                    self._release = RunIndex(self.home).hold()

    def _keep(self, resident: _Resident, kind: Kind) -> None:
        with self._lock:
            kept = not self._closed and len(self._idle[kind]) < MOST_IDLE[kind]
            if kept:
                self._idle[kind].append(resident)
        if not kept:
            resident.close()


class _Resident:
    """The keeper's end."""

    def __init__(self, home: Path, kind: Kind) -> None:
        self.home = home
        self.runs = 0
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        self._messages = iter(self.channel)
        environment = {name: value for name, value in os.environ.items() if name != "REALITYGAP_RUN"}
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "realitygap.resident", str(theirs.fileno()), str(home), kind],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
                env=environment,
            )

    def run(self, plan: Plan, about: dict[str, Any]) -> bool:
        """Whether it has taken the run; where not, nothing of that is left."""
        self.runs += 1
        try:
            self.channel.socket.settimeout(_START_S if self.runs == 1 else _ANSWER_S)
            self.channel.send({"about": about, "plan": plan.to_json()})
            taken = self.hears("here") is not None and self.hears("taken") is not None
        except OSError:
            taken = False
        if not taken:
            # It must not take the run after it was given to another.
            self.process.kill()
            self.process.wait()
            folder = self.home / "runs" / about["id"]
            if folder.exists():  # its step may have begun
                fence(about["id"], folder)
                shutil.rmtree(folder, ignore_errors=True)
            self.close()
        return taken

    def hears(self, word: str) -> dict[str, Any] | None:
        """Its next message, if it is this one. Waits as long as the socket has been told to, and from then on without end."""
        try:
            message = next(self._messages, None)
        except OSError:
            message = None
        self.channel.socket.settimeout(None)
        return message if message is not None and message["at"] == word else None

    def close(self) -> None:
        self.channel.close()
        # It ends by itself when its run has; until then nobody waits for it but a thread.
        threading.Thread(target=self.process.wait, daemon=True).start()


def kind_of(plan: Plan) -> Kind:
    """Whether some step of a plan needs a simulator."""
    return "heavy" if any("sim" in step.skill.extras for step in plan.pipeline.leaves()) else "light"


def main(descriptor: int, home: Path, kind: Kind) -> None:
    """Owns the runs that come over the socket, one after another, until its other end closes or none has come for a while."""
    from realitygap.cache import forget_sources
    from realitygap.pool import Pool

    importlib.import_module("realitygap.supervisor")
    keeper = Channel(socket.socket(fileno=descriptor))
    keeper.socket.set_inheritable(False)
    home.mkdir(parents=True, exist_ok=True)
    pool = Pool(None, home, 1, LOCAL, keep=True)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # it ends with its keeper, and a run by its stop.json
    if kind == "heavy":
        os.nice(HEAVY_NICE)
    else:
        pool.start(kind)
    share_as_nice()
    importlib.import_module("realitygap.report")
    spare = Spare(home)
    spare.make(pool.waiting)
    for order in _orders(keeper):
        forget_sources()
        _own(order["about"], Plan.from_json(order["plan"]), pool, spare, keeper)
        spare.make(pool.waiting)
    spare.drop()
    pool.close()


def _orders(keeper: Channel) -> Iterator[dict[str, Any]]:
    """Until its other end has gone, or none has come for a while."""
    messages = iter(keeper)
    while True:
        keeper.socket.settimeout(IDLE_S)
        try:
            order = next(messages, None)
        except OSError:
            return
        if order is None:
            return
        keeper.socket.settimeout(None)
        yield order


def _own(about: dict[str, Any], plan: Plan, pool: Pool, spare: Spare, keeper: Channel) -> None:
    """Makes a run, goes through it, and says so. Raises what keeps it from being put on record or its result from being written."""
    from realitygap.supervisor import Supervisor

    def say(at: str, *, result: str = "", **facts: Any) -> None:
        with contextlib.suppress(OSError):  # the keeper has gone; the run has not
            keeper.send({"at": at, **facts}, **({"result": result} if result else {}))

    def take() -> None:
        record(folder, plan, about)
        owner.journal.row({"state": "running"})
        say("taken")

    say("here")
    folder = pool.home / "runs" / about["id"]
    lock = spare.take(folder)
    if lock is None:
        lock = claim(folder)
    _log_to(folder / "supervisor.log")
    pool.adopt(folder)
    owner = Supervisor(folder, plan, about, pool)
    owner.journal.put(take)
    owner.run()
    say("ended", **(owner.ended() if len(owner.result) <= MOST_TOLD else {}))
    owner.conclude()
    tidy(folder)
    signal.set_wakeup_fd(-1)
    pool.part()
    os.close(lock)
    _log_to(Path(os.devnull))
    say("free")


def _log_to(path: Path) -> None:
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), "heavy" if sys.argv[3] == "heavy" else "light")
