"""Where the workers of a run live.

An executor turns "a worker, please" into the command of a process on this machine that speaks the protocol of `protocol` over an inherited
socket. For `local` that process is the worker itself. For any other place it is a relay: it starts `python -m realitygap.worker` there and
passes the lines on both ways. The supervisor kills the process to end the worker, so what the process started must end with it, also on
SIGKILL; and a worker that ended by a signal is told by ending the same way.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal, Protocol

Kind = Literal["light", "heavy"]
"""A heavy worker imports a simulator and needs cores of its own."""

LOCAL = "realitygap.executor:LocalExecutor"


class Executor(Protocol):
    """Made once a run, by `factory(folder=..., jobs=...)`: the run's folder, and how many steps run at the same time."""

    def command(self, kind: Kind, slot: int, descriptor: int) -> list[str]:
        """Command line of a worker's process.

        Args:
            slot: number of the worker among those of its kind, from 0.
            descriptor: the socket, which the process inherits.
        """

    def close(self) -> None:
        """Called when all workers of the run have ended."""


class LocalExecutor:
    """Child processes of the supervisor."""

    def __init__(self, *, folder: Path, jobs: int) -> None:
        self.jobs = jobs

    def command(self, kind: Kind, slot: int, descriptor: int) -> list[str]:
        return [sys.executable, "-P", "-m", "realitygap.worker", str(descriptor), *map(str, self._cores(slot))]

    def close(self) -> None:
        """Nothing is left when the workers are gone."""

    def _cores(self, slot: int) -> list[int]:
        """With several jobs each has cores of its own: XLA sizes its thread pools by them."""
        if self.jobs == 1:
            return []
        cores = sorted(os.sched_getaffinity(0))
        share = threads(self.jobs)
        first = slot * share % len(cores)
        return cores[first : first + share]


def threads(jobs: int) -> int:
    """Cores for each of so many jobs."""
    return max(1, len(os.sched_getaffinity(0)) // max(1, jobs))
