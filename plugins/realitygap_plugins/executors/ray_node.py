"""The part of the executor `ray` that runs on a node of the cluster, as an actor: it starts a worker and passes lines on."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from realitygap.cache import differences, surroundings
from realitygap.protocol import Channel

_PASSED = ("REALITYGAP", "JAX_", "XLA_", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_", "MPLBACKEND", "TF_CPP_", "PYTHONPATH", "PYTHONUNBUFFERED")
"""Beginnings of the variables that go along. The rest of the user's environment, with what it may hold, stays where it is."""


def passed(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a worker gets on another machine."""
    return {name: value for name, value in environment.items() if name.startswith(_PASSED)}


class Node:
    """A worker on this machine. Wrapped with `ray.remote` by the relay."""

    def __init__(self, folder: str) -> None:
        """Starts nothing; `folder` is that of the run."""
        self.folder = Path(folder)

    def objection(self, about_run: str, expected: dict[str, Any], packages: list[str], *, simulation: bool) -> str | None:
        """Why a worker here would not give the same results, None if it would.

        Args:
            about_run: what `run.json` holds.
            expected: `surroundings` where the run was planned.
        """
        try:
            shared = (self.folder / "run.json").read_text(encoding="utf-8") == about_run
        except OSError:
            shared = False
        if not shared:
            return f"does not share the file system: {self.folder} is not there, or is another one"
        found = differences(expected, surroundings(packages, simulation=simulation))
        return f"differs from the machine that planned the run: {'; '.join(found[:4])}" if found else None

    def start(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs, (self.folder / "workers.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "realitygap.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
                cwd=self.folder,
            )
        self.channel = Channel(ours)

    def receive(self) -> Iterator[list[dict[str, Any]] | int]:
        """Messages of the worker as they come, and at its end its return code."""
        while (messages := self.channel.receive()) is not None:
            yield messages
        yield self.process.wait()

    def send(self, message: dict[str, Any]) -> None:
        self.channel.send(message)
