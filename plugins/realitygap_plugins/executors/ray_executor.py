"""Workers on a Ray cluster: the one that `RAY_ADDRESS` names, else one on this machine for the time of the run.

    supervisor <- socket -> relay (driver) <- calls of an actor -> node <- socket -> worker

Ray is imported by the relay alone, so that nothing of it can take the supervisor down. Nodes share the file system: a step's folder is
written where it runs.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

from realitygap.executor import Kind, threads
from realitygap.fence import VARIABLE

ADDRESS_FILE = "ray.json"
"""In the run's folder: what became of its own cluster."""
_GRACE_S = 10.0


class RayExecutor:
    """One actor a worker. A heavy one reserves as many cores as a local one would get, and a GPU where this machine has one."""

    def __init__(self, *, folder: Path, jobs: int) -> None:
        self.folder = folder
        self.cores = threads(jobs)
        self._cluster: subprocess.Popen[bytes] | None = None
        if not os.environ.get("RAY_ADDRESS"):
            # Whoever else is on this machine must not get in; Ray would write the token to the home folder.
            os.environ.update(RAY_AUTH_MODE="token", RAY_AUTH_TOKEN=secrets.token_hex(32))
            self._cluster = self._start_cluster()

    def command(self, kind: Kind, slot: int, descriptor: int) -> list[str]:
        cores = self.cores if kind == "heavy" else 0
        return [sys.executable, "-P", "-m", "realitygap_plugins.executors.ray_relay", str(descriptor), kind, str(cores), str(self.folder)]

    def close(self) -> None:
        if self._cluster is None or self._cluster.stdin is None:
            return
        self._cluster.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._cluster.wait(_GRACE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._cluster.pid, signal.SIGKILL)
        self._cluster.wait()

    def _start_cluster(self) -> subprocess.Popen[bytes]:
        """The cluster ends when its standard input does, so also when this process is killed."""
        place = self.folder / ADDRESS_FILE
        place.unlink(missing_ok=True)
        with (self.folder / "workers.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "realitygap_plugins.executors.ray_cluster", str(place)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env={**os.environ, VARIABLE: self.folder.name},
            )
