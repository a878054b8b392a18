"""What the benchmarks share: embedded tasks compiled, trainings timed, and results kept with machine, versions and commit."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import math
import os
import platform
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
PACKAGES = ("realitygap", "jax", "jaxlib", "mujoco", "mujoco-mjx", "numpy", "equinox", "optax")


def compiled(name: str, *, training: bool = True, **changes: Any) -> Any:
    """An embedded task, ready for an `Environment`; `changes` replace entries of its file. Without `training`, as policies are judged."""
    from realitygap.discovery import Registry
    from realitygap_core import robots
    from realitygap_core.task import compile_task

    path = robots.task_path(name)
    if path is None:
        raise SystemExit(f"no embedded task '{name}'")
    spec = yaml.safe_load(path.read_text(encoding="utf-8")) | changes
    return compile_task(spec, Registry.discover().catalog, training=training)


def rates(task: Any) -> dict[str, Any]:
    """The physics that a return was measured on: that of training is coarser in some tasks."""
    return {"physics_dt": task.physics_dt, "substeps": task.substeps}


def trained(task: Any, config: Any, num_envs: int, *, seed: int = 0) -> dict[str, Any]:
    """One training, timed: environment steps per second, rollout and update, with compilation apart."""
    from realitygap_core.environment import Environment
    from realitygap_core.ppo.train import train

    env = Environment(task, num_envs=num_envs)
    times: list[tuple[float, float]] = []
    result = train(config, env, seed=seed, progress=lambda *_: times.append((time.perf_counter(), time.process_time())))
    env.close()
    # Two updates are left out: the first compiles, the second compiles what differs after it.
    steps = num_envs * config.unroll * (len(times) - 2)
    return {
        "steps_per_second": steps / (times[-1][0] - times[1][0]),
        "steps_per_cpu_second": steps / (times[-1][1] - times[1][1]),
        "steps_per_second_with_compile": result.env_steps / result.wall_s,
        "compile_s": result.compile_s,
        "return": None if math.isnan(last := result.curves["return"][-1]) else last,
        **rates(task),
    }


def cores_worth(steps: int = 100_000) -> float:
    """What all cores together do, in units of one of them alone: fewer than there are where they share a processor's units."""
    import mujoco

    from realitygap_core.engines.mujoco import cores

    model = compiled("cartpole-swingup", engine="mujoco").robot.model

    def seconds(threads: int) -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda data: mujoco.mj_step(model, data, nstep=steps), [mujoco.MjData(model) for _ in range(threads)]))
        return time.perf_counter() - began

    alone, together = (min(seconds(count) for _ in range(5)) for count in (1, cores()))
    return round(cores() * alone / together, 2)


def setting() -> dict[str, Any]:
    """Machine, load, versions and commit."""
    from realitygap_core.engines.mujoco import cores

    load = os.getloadavg()[0]
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")), model)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {
            "processor": model,
            "cores": cores(),
            "cores_worth": cores_worth(),
            "load_before": round(load, 2),
            "python": platform.python_version(),
        },
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": commit.stdout.strip() or None,
    }


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def keep(name: str, results: dict[str, Any], about: dict[str, Any]) -> Path:
    """Writes results/NAME.json."""
    path = HERE / "results" / f"{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"results": results, **about}, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    return path
