"""What the main job costs and reaches on this machine: `python benchmarks/main_job.py --json`.

Three runs of `skills run entropy-sim2real`: `cold`, with nothing cached anywhere; `fresh`, in another workspace, which compiles and
computes everything anew and says how much the times scatter; and `hit`, again in that workspace. Wall seconds of a step are its own; CPU
seconds are those of its worker while it ran, sampled every 0.1 s, so a step on two busy cores has up to twice as many.

Writes results/main_job.json beside this file. Exit code 1 when a bar is missed; those of time are for two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common import keep, setting

PERIOD_S = 0.1
QUOTED = (
    "gap_nominal", "gap_identified", "noise_floor", "parameters", "structure", "entropy_before", "entropy_after", "success_rate",
    "success_interval", "trials", "pseudo_real", "diagnosis",
)  # fmt: skip


def cpu_seconds(pid: int) -> float | None:
    """CPU time of a process and of the children it has waited for, s; None when there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    # Fields 14 to 17 of proc(5): utime, stime, cutime, cstime; the split begins at field 3.
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


class StepClock:
    """CPU seconds of each step of one run, sampled from outside while it runs."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._started: dict[str, tuple[int, float]] = {}
        self._ended: set[str] = set()
        self.used: dict[str, float] = {}

    def sample(self) -> None:
        for path in self._home.glob("runs/*/events.jsonl"):
            # The last line may be half written.
            for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
                event = json.loads(line)
                if event["event"] == "step-started" and event["step"] not in self._started:
                    self._started[event["step"]] = event["pid"], cpu_seconds(event["pid"]) or 0.0
                elif event["event"] == "step-done":
                    self._ended.add(event["step"])
        for step, (pid, before) in self._started.items():
            if (now := cpu_seconds(pid)) is not None and (step not in self._ended or step not in self.used):
                self.used[step] = now - before


def run(home: Path, cache: Path, *, sampled: bool = True) -> dict[str, Any]:
    """One run of the main job with its runs in `home` and every cache in `cache`: wall and CPU seconds, steps, and its outputs."""
    # Without the caches of whoever starts this: what JAX compiles is kept in `home`.
    own = {name: value for name, value in os.environ.items() if name not in ("JAX_COMPILATION_CACHE_DIR", "REALITYGAP_CACHE")}
    environment = {**own, "REALITYGAP_HOME": str(home), "XDG_CACHE_HOME": str(cache)}
    program = [sys.executable, "-m", "realitygap.cli"]
    clock = StepClock(home)
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([*program, "run", "entropy-sim2real", "--json"], env=environment, stdout=out, cwd=home)
        while process.poll() is None:
            if sampled:
                clock.sample()
            time.sleep(PERIOD_S)
        wall = time.perf_counter() - began
        out.seek(0)
        document = json.load(out)
    if document["status"] != "done":
        raise SystemExit(f"the main job failed: {document['error']}")
    shown = subprocess.run(
        [*program, "runs", "show", document["run"], "--json"], env=environment, capture_output=True, text=True, check=True, cwd=home
    )
    rows = json.loads(shown.stdout)["steps"]
    steps = {row["id"]: {"state": row["state"], "wall_s": row["seconds"], "cpu_s": clock.used.get(row["id"])} for row in rows}
    cpu = sum(clock.used.values()) if sampled else None
    return {"wall_s": wall, "cpu_s": cpu, "cached": document["cached"], "steps": steps, "outputs": document["outputs"]}


def bars(cold: Mapping[str, Any], fresh: Mapping[str, Any], hit: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the main job must reach, and what it reached: the bars of tests/acceptance, and the time that it may take."""
    outputs = cold["outputs"]
    gap = {name: entry["rmse"] for name, entry in outputs["gap_identified"].items()}
    gained = outputs["entropy_before"] - outputs["entropy_after"]
    rows = [
        ("open-loop RMSE of theta on logs not used, rad", gap["theta"], "<=", 0.05),
        ("open-loop RMSE of alpha on logs not used, rad", gap["alpha"], "<=", 0.025),
        ("entropy lost by the domain, nats", gained, ">=", 0.0),
        ("success rate on fresh draws", outputs["success_rate"], ">=", 0.9),
        ("wall time, the slower of two runs, s", max(cold["wall_s"], fresh["wall_s"]), "<=", 180),
        ("wall time again, every step a hit, s", hit["wall_s"], "<=", 2),
    ]
    return [
        {"what": what, "value": value, "bar": f"{sign} {bar:g}", "held": value <= bar if sign == "<=" else value >= bar}
        for what, value, sign, bar in rows
    ]


def table(results: Mapping[str, Any]) -> str:
    """The results for people."""
    runs = results["runs"]
    lines = [f"{'step':<12}{'cold wall s':>13}{'cpu s':>9}{'fresh wall s':>15}{'cpu s':>9}"]

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:.1f}"

    rows = [(step, runs["cold"]["steps"][step], runs["fresh"]["steps"][step]) for step in runs["cold"]["steps"]]
    for name, cold, fresh in [*rows, ("all", runs["cold"], runs["fresh"])]:
        lines.append(
            f"{name:<12}{number(cold['wall_s']):>13}{number(cold['cpu_s']):>9}{number(fresh['wall_s']):>15}{number(fresh['cpu_s']):>9}"
        )
    lines += [f"{'held  ' if row['held'] else 'MISSED'}  {row['what']}: {row['value']:.4g} (bar {row['bar']})" for row in results["bars"]]
    return "\n".join([*lines, results["summary"]])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the document in place of the table")
    asked = parser.parse_args()
    about = setting()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for place in ("cold", "fresh", "cache"):
            (folder / place).mkdir()
        cold = run(folder / "cold", folder / "cache")
        fresh = run(folder / "fresh", folder / "cache")
        hit = run(folder / "fresh", folder / "cache", sampled=False)
    outputs = cold["outputs"]
    results = {
        "bars": bars(cold, fresh, hit),
        "outputs": {key: outputs[key] for key in QUOTED},
        "summary": outputs["summary"],
        "runs": {
            label: {key: value for key, value in one.items() if key != "outputs"}
            for label, one in (("cold", cold), ("fresh", fresh), ("hit", hit))
        },
    }
    document = json.loads(keep("main_job", results, about).read_text(encoding="utf-8"))
    print(json.dumps(document, indent=2) if asked.json else table(results))
    return 0 if all(row["held"] for row in results["bars"]) else 1


if __name__ == "__main__":
    sys.exit(main())
