"""Stands for a worker on a Ray cluster: `python -m realitygap_plugins.executors.ray_relay FD KIND CORES FOLDER`.

A driver of Ray. When the supervisor closes the socket or kills this process, Ray ends the actor, and with it the worker.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realitygap.cache import device, surroundings
from realitygap.plan import Plan
from realitygap.protocol import Channel
from realitygap.workspace import read_json
from realitygap_plugins.executors.ray_executor import ADDRESS_FILE
from realitygap_plugins.executors.ray_node import Node, passed

_START_S = 120.0
"""Time that a cluster of this machine has to come up."""
_CONNECT_S = 5.0


class Refused(Exception):
    """Why there is no worker."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Relay:
    """The supervisor on one side, an actor on the other."""

    def __init__(self, channel: Channel, kind: str, cores: int, folder: Path) -> None:
        self.channel = channel
        self.kind = kind
        self.cores = cores
        self.folder = folder
        self.step = ""
        """The step being executed."""

    def run(self) -> int:
        """Until the worker ends; its return code."""
        messages = iter(self.channel)
        first = next(messages)
        self.step = first["order"]["step"]
        try:
            self._connect()
            node = self._node()
        except Refused as error:
            for message in itertools.chain([first], messages):
                if message["do"] == "step":
                    self.step = message["order"]["step"]
                    self._fail("input", error.message, error.hint)
            return 0
        node.send.remote(first)
        threading.Thread(target=self._send, args=(node, messages), daemon=True).start()
        return self._receive(node)

    def _connect(self) -> None:
        """Joins the cluster. Raises Refused."""
        import ray

        address = os.environ.get("RAY_ADDRESS") or self._own_cluster()
        if "://" in address:
            raise Refused(
                f"RAY_ADDRESS={address}: Ray's client is not supported", "run `skills` on a node of the cluster, such as its head"
            )
        host, _, port = address.rpartition(":")
        try:
            if port.isdecimal():
                # Ray itself would try for minutes.
                socket.create_connection((host.strip("[]"), int(port)), _CONNECT_S).close()
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise Refused(f"no Ray cluster to join at '{address}': {reason}", "`ray status` on a node of the cluster says more") from None

    def _own_cluster(self) -> str:
        deadline = time.monotonic() + _START_S
        while not isinstance(found := read_json(self.folder / ADDRESS_FILE), dict):
            if time.monotonic() > deadline:
                raise Refused(f"Ray did not start within {_START_S:.0f} s", f"{self.folder / 'workers.log'} says more")
            time.sleep(0.05)
        if "error" in found:
            raise Refused(f"Ray could not be started on this machine: {found['error']}", f"{self.folder / 'workers.log'} says more")
        return str(found["address"])

    def _node(self) -> Any:
        """An actor with a started worker. Raises Refused."""
        import ray

        simulation = self.kind == "heavy"
        gpus = 1 if simulation and device()["kind"] == "gpu" else 0
        # More cores than any node has would be waited for without end.
        nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]
        cores = min(self.cores, max(int(one["Resources"].get("CPU", 0)) for one in nodes if one["Alive"]))
        self._progress(f"waiting for a node of the Ray cluster with {cores} free cores" + (" and a GPU" if gpus else ""))
        remote = ray.remote(Node).options(num_cpus=cores, num_gpus=gpus, max_concurrency=2, runtime_env={"env_vars": passed(os.environ)})
        node: Any = remote.remote(str(self.folder))
        plan = Plan.from_json(read_json(self.folder / "plan.json"))
        packages = sorted({leaf.skill.package for leaf in plan.pipeline.leaves()} | set(plan.components))
        here = surroundings(packages, simulation=simulation)
        about = (self.folder / "run.json").read_text(encoding="utf-8")
        try:
            objection = ray.get(node.objection.remote(about, here, packages, simulation=simulation))
            if objection is None:
                ray.get(node.start.remote())
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            raise Refused(f"no worker could be started on the Ray cluster: {reason}", "every node needs the same installation") from None
        if objection is not None:
            raise Refused(f"a node of the Ray cluster {objection}", "every node needs the same files, versions and device as this machine")
        return node

    def _send(self, node: Any, messages: Iterator[dict[str, Any]]) -> None:
        for message in messages:
            if message["do"] == "step":
                self.step = message["order"]["step"]
            node.send.remote(message)
        # The supervisor is gone. Without the driver Ray ends the actor.
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def _receive(self, node: Any) -> int:
        import ray

        try:
            for reference in node.receive.options(num_returns="streaming").remote():
                said = ray.get(reference)
                if isinstance(said, int):
                    return said
                for message in said:
                    self.channel.send(message)
        except ray.exceptions.RayError as error:
            self._fail("crash", f"the node of the step was lost: {str(error).strip().partition(chr(10))[0]}", None)
        return 1

    def _progress(self, message: str) -> None:
        self.channel.send({"at": "progress", "step": self.step, "done": 0, "total": None, "message": message})

    def _fail(self, kind: str, message: str, hint: str | None) -> None:
        told = {"kind": kind, "message": message, "where": None, "hint": hint, "seconds": 0.0}
        self.channel.send({"at": "failed", "step": self.step, **told})


def main(descriptor: int, kind: str, cores: int, folder: Path) -> None:
    status = Relay(Channel(socket.socket(fileno=descriptor)), kind, cores, folder).run()
    if status < 0:
        # The supervisor tells how the worker ended.
        with contextlib.suppress(OSError):
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
