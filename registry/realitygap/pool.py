"""Worker processes of a run, or of several one after another: started when needed, kept warm, killed with everything they started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realitygap.components import load_object
from realitygap.executor import Executor, Kind, threads
from realitygap.fence import VARIABLE, adopt, await_session, start_time, started, sweep
from realitygap.protocol import Channel, StepOrder
from realitygap.workspace import write_json

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "NUMEXPR_NUM_THREADS", "REALITYGAP_THREADS")
_LINEAR_ALGEBRA = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""One thread: on matrices as small as those of a robot several wait for each other, busily, and keep simulations from the cores."""


@dataclass(eq=False)
class Worker:
    """A process that executes steps, or stands for one that does so elsewhere."""

    kind: Kind
    slot: int
    process: subprocess.Popen[bytes]
    channel: Channel
    order: StepOrder | None = None
    """What it is doing."""
    code: dict[str, Any] = field(default_factory=dict)
    """Package to hash of the sources that it may have imported."""

    def begin(self, order: StepOrder, code: Mapping[str, Any]) -> None:
        self.order = order
        self.code |= code
        self.channel.send({"do": "step", "order": order.to_json()})

    def ask_to_stop(self) -> None:
        with contextlib.suppress(OSError):
            self.channel.send({"do": "cancel"})

    def kill(self) -> None:
        """Ends the process and all of its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        await_session(self.process.pid)
        self.channel.close()


class Pool:
    """The workers of one run; with `keep`, of the runs that follow each other in one supervisor. The process is this pool's alone."""

    def __init__(self, folder: Path | None, home: Path, jobs: int, executor: str, *, keep: bool = False) -> None:
        self.folder = folder
        """The run's; None between two runs."""
        self.home = home
        self.jobs = jobs
        self.keep = keep
        self.workers: list[Worker] = []
        self._factory = executor
        """`module:attribute`."""
        self._executor: Executor | None = None
        """Made for the first worker: a run whose results are all known needs none."""

    def get(self, kind: Kind, code: Mapping[str, Any]) -> Worker:
        """An idle worker of a kind, a new one if there is none. One that has imported other sources than `code` has is ended."""
        idle = [one for one in self.workers if one.kind == kind and one.order is None and one.process.poll() is None]
        for worker in idle:
            if all(worker.code.get(package, now) == now for package, now in code.items()):
                return worker
            self.drop(worker)
        return self.start(kind)

    @property
    def waiting(self) -> int | None:
        """A process that waits for a step; None where there is none."""
        return next((worker.process.pid for worker in self.workers if worker.order is None), None)

    def busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.order is not None]

    def processes(self) -> list[int]:
        """All that the run has started, without the workers that wait for a step."""
        idle = {worker.process.pid for worker in self.workers if worker.order is None}
        return [pid for pid in started(os.getpid()) if pid not in idle]

    def drop(self, worker: Worker) -> None:
        worker.kill()
        self.workers.remove(worker)

    def adopt(self, folder: Path) -> None:
        """The workers belong to this run from now on."""
        for worker in [one for one in self.workers if one.process.poll() is not None]:
            self.drop(worker)
        self.folder = folder

    def release(self, *, stopped: bool) -> None:
        """The steps of a run have ended: so do its workers, but for the idle ones that may stay, and all that was started."""
        for worker in list(self.workers):
            if not self.keep or stopped or worker.order is not None:
                self.drop(worker)
        if not self.keep:
            self.close()
        if stopped or (not self.keep and self._executor is not None):
            sweep({worker.process.pid for worker in self.workers})

    def part(self) -> None:
        """The run has ended, and none of the processes is its any more. A worker whose skill has left something running ends with that."""
        if not {worker.process.pid for worker in self.workers}.issuperset(started(os.getpid())):
            for worker in [one for one in self.workers if started(one.process.pid)]:
                self.drop(worker)
            sweep({worker.process.pid for worker in self.workers})
        assert self.folder is not None
        for name in ("workers.json", "supervisor.json"):
            (self.folder / name).unlink(missing_ok=True)
        self.folder = None

    def close(self) -> None:
        for worker in list(self.workers):
            self.drop(worker)
        if self._executor is not None:
            self._executor.close()

    def start(self, kind: Kind) -> Worker:
        """A new worker."""
        if self._executor is None:
            adopt()
            self._executor = load_object(self._factory)(folder=self.folder or self.home, jobs=self.jobs)
        taken = {worker.slot for worker in self.workers if worker.kind == kind}
        slot = next(number for number in range(len(taken) + 1) if number not in taken)
        # The name of a run marks what belongs to it; a worker that serves several takes the name of each with its orders.
        run_id = "" if self.keep or self.folder is None else self.folder.name
        ours, theirs = socket.socketpair()
        with theirs, open(self.folder / "workers.log" if self.folder else os.devnull, "ab") as log:
            process = subprocess.Popen(
                self._executor.command(kind, slot, theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env=environment(os.environ, run_id, self.home, self.jobs),
                cwd=self.home if self.keep else self.folder,
            )
        worker = Worker(kind=kind, slot=slot, process=process, channel=Channel(ours))
        self.workers.append(worker)
        self.record()
        return worker

    def record(self) -> None:
        """Writes down which processes are the run's, for whoever has to end them after a supervisor that was killed."""
        if self.folder is not None and self.workers:
            leaders = {str(one.process.pid): start_time(one.process.pid) for one in self.workers}
            write_json(self.folder / "workers.json", leaders, durable=not self.keep)


def environment(outer: Mapping[str, str], run_id: str, home: Path, jobs: int) -> dict[str, str]:
    """Environment of a worker: what the user has set stays, threads never add up to more than the cores."""
    share = str(threads(jobs))
    defaults: dict[str, Any] = {
        **dict.fromkeys(_THREAD_VARIABLES, share),
        **dict.fromkeys(_LINEAR_ALGEBRA, "1"),
        "MPLBACKEND": "Agg",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str(home / "jax-cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONUNBUFFERED": "1",
    }
    return {**defaults, **outer, VARIABLE: run_id}
