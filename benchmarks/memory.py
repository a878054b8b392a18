"""Largest resident size of a training against environments and unroll, each in a process of its own, and a linear fit.

    python benchmarks/memory.py --json

The fit is  MiB = base + per_environment * environments + per_sample * environments * unroll.
"""

from __future__ import annotations

import argparse
import itertools
import json
import resource
import subprocess
import sys
from typing import Any

ENVIRONMENTS, UNROLLS = (256, 1024, 4096), (16, 64)


def peak(name: str, num_envs: int, unroll: int) -> float:
    """MiB after three updates of this process."""
    from common import compiled

    from realitygap_core.environment import Environment
    from realitygap_core.ppo.train import train
    from realitygap_core.ppo.update import PPOConfig

    env = Environment(compiled(name, engine="mujoco"), num_envs=num_envs)
    train(PPOConfig(env_steps=3 * num_envs * unroll, unroll=unroll, epochs=1), env, seed=0)
    env.close()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="cartpole-swingup")
    parser.add_argument("--json", action="store_true", help="print only the JSON")
    parser.add_argument("--one", nargs=2, type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(peak(given.task, *given.one))
        return
    import numpy as np
    from common import keep, setting

    about = setting()
    rows: list[dict[str, Any]] = []
    for num_envs, unroll in itertools.product(ENVIRONMENTS, UNROLLS):
        command = [sys.executable, __file__, "--task", given.task, "--one", str(num_envs), str(unroll)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        rows.append({"environments": num_envs, "unroll": unroll, "mib": round(float(done.stdout.split()[-1]), 1)})
    design = np.array([[1, row["environments"], row["environments"] * row["unroll"]] for row in rows], float)
    measured = np.array([row["mib"] for row in rows])
    fitted, *_ = np.linalg.lstsq(design, measured, rcond=None)
    fit = dict(zip(("base_mib", "kib_per_environment", "kib_per_sample"), (fitted * [1, 1024, 1024]).round(3).tolist(), strict=True))
    fit["largest_error_mib"] = round(float(np.abs(design @ fitted - measured).max()), 1)
    results = {"task": given.task, "rows": rows, "fit": fit}
    path = keep("memory", results, about)
    print(json.dumps(results, indent=2) if given.json else f"{fit}\nwritten to {path}")


if __name__ == "__main__":
    main()
