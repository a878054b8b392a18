"""How fast `skills check` judges collections of Agent Skills: a generated one with planted errors, one folder, and rebalancing.

    python benchmarks/triads.py --json

The collection has 10,000 skills and 20,000 claims, some of them wrong; the benchmark fails where an error is missed or a finding is a false
alarm. CPU seconds and the largest resident size are those of the `skills check` process alone. `--skills` and `--claims` make it smaller;
`--path` measures a collection of your own too.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from common import keep, setting

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from triadgen import write_collection

ERRORS = 2_000
REPEATS = 3


# Says what the process used when it ends. The peak of its own memory: that of a child's record would count the parent's from before `exec`.
MEASURED = """
import atexit, runpy, sys, time
@atexit.register
def used():
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(time.process_time(), peak, file=sys.stderr)
runpy.run_module("realitygap.cli", run_name="__main__")
"""


def checked(path: Path, home: str) -> tuple[dict[str, float], dict[str, Any]]:
    """CPU and wall seconds and megabytes of `skills check path`, and what it found."""
    began = time.perf_counter()
    run = subprocess.run(
        [sys.executable, "-c", MEASURED, "check", str(path), "--format", "json"],
        capture_output=True,
        text=True,
        cwd=path,
        env={**os.environ, "REALITYGAP_HOME": home, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    wall = time.perf_counter() - began
    if run.returncode not in (0, 1):
        raise SystemExit(run.stderr)
    cpu, peak = run.stderr.split()[-2:]
    return {"cpu_s": round(float(cpu), 3), "wall_s": round(wall, 3), "max_mb": round(int(peak) / 1024, 1)}, json.loads(run.stdout)


def fastest(path: Path, home: str) -> tuple[dict[str, float], dict[str, Any]]:
    """The run of several with the least CPU time: other work on the machine only adds to it."""
    return min((checked(path, home) for _ in range(REPEATS)), key=lambda one: one[0]["cpu_s"])


def generated(folder: Path, home: str, skills: int, claims: int) -> dict[str, Any]:
    """The generated collection, and whether all that was planted was found and nothing else."""
    root = folder / "collection"
    written = write_collection(
        root, skills=skills, claims=claims, errors=min(ERRORS, claims // 10), seed=0, shown=lambda path: str(path.relative_to(root))
    )
    figures, report = fastest(root, home)
    planted = Counter((one.rule, one.path, one.line) for one in written.planted)
    found = Counter((one["rule"], one["path"], one["line"]) for one in report["findings"] if one["rule"].startswith("TRI"))
    missed, false_alarms = (planted - found).total(), (found - planted).total()
    if missed or false_alarms:
        raise SystemExit(f"{missed} planted errors missed, {false_alarms} false alarms")
    return {"skills": skills, "claims": claims, "planted": planted.total(), "missed": missed, "false_alarms": false_alarms, **figures}


def one_folder(folder: Path, home: str) -> dict[str, float]:
    """A single Agent Skills folder."""
    guide = folder / "alone" / "walk" / "SKILL.md"
    guide.parent.mkdir(parents=True)
    guide.write_text(
        '---\nname: walk\ndescription: Walks. Use it to walk.\nmetadata:\n  trit: "+1"\n---\n\nwalk (+1) ⊗ run (-1) = 0\n', "utf-8"
    )
    return fastest(guide.parent, home)[0]


def rebalancing(skills: int, claims: int) -> dict[str, Any]:
    """Groups that share skills, with errors in the trits, brought back to balance."""
    from realitygap_plugins.triads.rebalance import into_triads, rebalance

    rng = random.Random(0)
    right = {f"s{index}": rng.choice([-1, 0, 1]) for index in range(skills)}
    names = sorted(right)
    by_trit = {trit: [name for name in names if right[name] == trit] for trit in (-1, 0, 1)}
    groups = []
    for _ in range(claims):
        first, second = rng.sample(names, 2)
        groups.append([first, second, rng.choice(by_trit[(-right[first] - right[second] + 1) % 3 - 1])])
    wrong = rng.sample(sorted({name for group in groups for name in group}), max(1, skills // 250))
    broken = {**right, **{name: (right[name] + 2) % 3 - 1 for name in wrong}}
    began = time.process_time()
    found = rebalance(broken, groups)
    middle = time.process_time()
    into_triads(broken)
    return {
        "skills": skills, "groups": claims, "errors": len(wrong), "changes": len(found.changes), "lower_bound": found.lower_bound,
        "exact": found.exact, "cpu_s": round(middle - began, 3), "into_triads_cpu_s": round(time.process_time() - middle, 3),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--skills", type=int, default=10_000)
    parser.add_argument("--claims", type=int, default=20_000)
    parser.add_argument("--path", type=Path, help="a collection to measure too")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    about = setting()
    with tempfile.TemporaryDirectory() as folder:
        root, home = Path(folder), str(Path(folder) / "home")
        results: dict[str, Any] = {"one_folder": one_folder(root, home)}
        if options.path:
            figures, report = fastest(options.path.resolve(), home)
            results["given"] = {**report["summary"], **figures}
        results["collection"] = generated(root, home, options.skills, options.claims)
    results["rebalance"] = rebalancing(options.skills, options.claims)
    keep("triads", results, about)
    if options.json:
        print(json.dumps(results))
        return
    for name, figures in results.items():
        print(f"{name:12s} " + "  ".join(f"{key} {value}" for key, value in figures.items()))


if __name__ == "__main__":
    main()
