"""Worker processes of a run: started when needed, kept warm, killed with everything they started."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realitygap.components import load_object
from realitygap.executor import Executor, Kind, threads
from realitygap.fence import VARIABLE, start_time
from realitygap.protocol import Channel, StepOrder
from realitygap.workspace import write_json

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "REALITYGAP_THREADS")


@dataclass(eq=False)
class Worker:
    """A process that executes steps, or stands for one that does so elsewhere."""

    kind: Kind
    slot: int
    process: subprocess.Popen[bytes]
    channel: Channel
    order: StepOrder | None = None
    """What it is doing."""

    def begin(self, order: StepOrder) -> None:
        self.order = order
        self.channel.send({"do": "step", "order": order.to_json()})

    def ask_to_stop(self) -> None:
        with contextlib.suppress(OSError):
            self.channel.send({"do": "cancel"})

    def kill(self) -> None:
        """Ends the process and all of its session."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self.channel.close()


class Pool:
    """The workers of one run."""

    def __init__(self, folder: Path, home: Path, jobs: int, executor: str) -> None:
        self.folder = folder
        self.home = home
        self.jobs = jobs
        self.workers: list[Worker] = []
        self._factory = executor
        """`module:attribute`."""
        self._executor: Executor | None = None
        """Made for the first worker: a run whose results are all known needs none."""

    def get(self, kind: Kind) -> Worker:
        """An idle worker of a kind, a new one if there is none."""
        for worker in self.workers:
            if worker.kind == kind and worker.order is None and worker.process.poll() is None:
                return worker
        return self._start(kind)

    def busy(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.order is not None]

    def drop(self, worker: Worker) -> None:
        worker.kill()
        self.workers.remove(worker)

    def close(self) -> None:
        for worker in list(self.workers):
            self.drop(worker)
        if self._executor is not None:
            self._executor.close()

    def _start(self, kind: Kind) -> Worker:
        if self._executor is None:
            self._executor = load_object(self._factory)(folder=self.folder, jobs=self.jobs)
        taken = {worker.slot for worker in self.workers if worker.kind == kind}
        slot = next(number for number in range(len(taken) + 1) if number not in taken)
        ours, theirs = socket.socketpair()
        with theirs, (self.folder / "workers.log").open("ab") as log:
            process = subprocess.Popen(
                self._executor.command(kind, slot, theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                env=environment(os.environ, self.folder.name, self.home, self.jobs),
                cwd=self.folder,
            )
        worker = Worker(kind=kind, slot=slot, process=process, channel=Channel(ours))
        self.workers.append(worker)
        write_json(self.folder / "workers.json", {str(one.process.pid): start_time(one.process.pid) for one in self.workers})
        return worker


def environment(outer: Mapping[str, str], run_id: str, home: Path, jobs: int) -> dict[str, str]:
    """Environment of a worker: what the user has set stays, threads never add up to more than the cores."""
    share = str(threads(jobs))
    defaults: dict[str, Any] = {
        **dict.fromkeys(_THREAD_VARIABLES, share),
        "MPLBACKEND": "Agg",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "JAX_COMPILATION_CACHE_DIR": str(home / "jax-cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.5",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "PYTHONUNBUFFERED": "1",
    }
    return {**defaults, **outer, VARIABLE: run_id}
