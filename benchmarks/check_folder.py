"""CPU seconds of `skills check` on one folder, with the index of manifests kept from an earlier call, and without it.

    python benchmarks/check_folder.py --json

CPU time is that of the process, user and system, start of Python included: the least of 15 calls, which other work disturbs least, and the
median.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CALLS = 15
COMMANDS = {
    "check, index kept": ("check", "skills/identify-parameters"),
    "check, no index": ("check", "skills/identify-parameters"),
    "check as SARIF": ("check", "skills/identify-parameters", "--format", "sarif"),
    "rule": ("rule", "TRI201"),
}


def cpu_s(arguments: tuple[str, ...], cache: str) -> float:
    """One call of the program; raises where it does not end with 0."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environment = {**os.environ, "REALITYGAP_CACHE": cache}
    command = [sys.executable, "-m", "realitygap.cli", *arguments]
    subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print only the JSON")
    given = parser.parse_args()
    from common import keep, setting

    about = setting()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    with tempfile.TemporaryDirectory() as cache:
        cpu_s(("check", "skills/identify-parameters"), cache)
        for _ in range(CALLS):
            for name, arguments in COMMANDS.items():
                if name == "check, no index":
                    shutil.rmtree(cache)
                times[name].append(cpu_s(arguments, cache))
    results = {name: {"cpu_s": round(min(all_), 3), "median_s": round(statistics.median(all_), 3)} for name, all_ in times.items()}
    path = keep("check_folder", results, about)
    if given.json:
        print(json.dumps(results, indent=2))
    else:
        for name, one in results.items():
            print(f"{name:20s} {one['cpu_s']:.3f} s CPU, median {one['median_s']:.3f}")
        print(f"written to {path}")


if __name__ == "__main__":
    main()
