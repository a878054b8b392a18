"""What the benchmarks share: embedded tasks compiled, and results kept with machine, versions and commit."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
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


def setting() -> dict[str, Any]:
    """Machine, load, versions and commit."""
    from realitygap_core.engines.mujoco import cores

    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        model = next((line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")), model)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=HERE, capture_output=True, text=True, check=False)
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "machine": {"processor": model, "cores": cores(), "load_before": round(os.getloadavg()[0], 2), "python": platform.python_version()},
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
    path.write_text(json.dumps({"results": results, **about}, indent=2) + "\n", encoding="utf-8")
    return path
