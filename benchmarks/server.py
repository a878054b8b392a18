"""How fast the MCP server answers: its start, the list of tools, a quick skill, and a heavy skill for the first and the second time.

    python benchmarks/server.py --json

One server over stdio, driven by raw JSON-RPC, in a home of its own. CPU seconds are those of the server's process alone, so other work on
the machine hardly counts; times of calls are wall time. `quick_while_training_ms` is the quick skill again with a training on all cores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from common import keep, setting

STARTS, CALLS, PAUSE_S = 5, 20, 0.05
HEAVY = {"task": "cartpole-balance", "num_envs": 16, "hidden": [8], "engine": "mujoco", "wait_s": 50}


class Server:
    """`skills serve`, from its start to the end of stdin."""

    def __init__(self, home: str) -> None:
        environment = {**os.environ, "REALITYGAP_HOME": home}
        self.began = time.perf_counter()
        self.process: Any = subprocess.Popen(
            [sys.executable, "-m", "realitygap.cli", "serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
            cwd=home,
        )
        self.number = 0

    def call(self, method: str, **params: Any) -> tuple[dict[str, Any], float]:
        """The result and the milliseconds that it took."""
        self.number += 1
        began = time.perf_counter()
        self._write({"jsonrpc": "2.0", "id": self.number, "method": method, "params": params})
        while (answer := json.loads(self.process.stdout.readline())).get("id") != self.number:
            pass
        return answer["result"], 1e3 * (time.perf_counter() - began)

    def tool(self, name: str, **arguments: Any) -> tuple[dict[str, Any], float]:
        result, milliseconds = self.call("tools/call", name=name, arguments=arguments)
        if result.get("isError"):
            raise SystemExit(f"{name}: {result['content']}")
        return result["structuredContent"], milliseconds

    def finish(self, name: str, **arguments: Any) -> float:
        """Seconds that a long skill takes, asked for until it has ended."""
        began = time.perf_counter()
        document, _ = self.tool(name, **arguments)
        while document["state"] == "running":
            document, _ = self.tool("run_status", run_id=document["run_id"], wait_s=50)
        if document["state"] != "done":
            raise SystemExit(f"{name}: the run is {document['state']}")
        return time.perf_counter() - began

    def greet(self) -> dict[str, float]:
        self.call("initialize", protocolVersion="2025-11-25", capabilities={}, clientInfo={"name": "benchmark", "version": "0"})
        figures = {"initialize_s": time.perf_counter() - self.began, "initialize_cpu_s": self.cpu()}
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        for name in ("tools_list_first_ms", "tools_list_ms"):
            figures[name] = self.call("tools/list")[1]
        return figures

    def cpu(self) -> float:
        """CPU seconds of the server's process so far."""
        with open(f"/proc/{self.process.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *error: object) -> None:
        self.process.stdin.close()
        self.process.wait()

    def _write(self, message: dict[str, Any]) -> None:
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()


def quick(server: Server) -> float:
    """Median milliseconds of a quick skill, for a client that looks at each answer for a moment."""
    took = []
    for _ in range(CALLS):
        time.sleep(PAUSE_S)
        took.append(server.tool("check_triads")[1])
    return statistics.median(took)


def measure() -> dict[str, Any]:
    # What a server has started may write for a moment after it has ended.
    with tempfile.TemporaryDirectory(prefix="server-", ignore_cleanup_errors=True) as home:
        starts = []
        for _ in range(STARTS):
            with Server(home) as server:
                starts.append(server.greet())
        figures = {name: statistics.median(one[name] for one in starts) for name in starts[0]}
        with Server(home) as server:
            server.greet()
            time.sleep(2)
            figures["quick_first_ms"] = server.tool("check_triads")[1]
            figures["quick_ms"] = quick(server)
            for name, rate in (("heavy_first_s", 0.001), ("heavy_second_s", 0.002)):
                figures[name] = server.finish("train_policy", env_steps=1536, learning_rate=rate, **HEAVY)
            training, _ = server.tool("train_policy", **{**HEAVY, "num_envs": 256, "env_steps": 500_000_000, "wait_s": 10})
            try:
                figures["quick_while_training_ms"] = quick(server)
            finally:
                server.tool("run_cancel", run_id=training["run_id"])
    return {name: round(value, 4) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    about = setting()
    results = measure()
    keep("server", results, about)
    if arguments.json:
        print(json.dumps(results))
    else:
        for name, value in results.items():
            print(f"{name:26s} {value:10.2f}")


if __name__ == "__main__":
    main()
