"""How a run begins: its id, its folder with the lock, its record."""

from __future__ import annotations

import base64
import secrets
import sys
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from realitygap.errors import RunFailed
from realitygap.plan import Plan
from realitygap.workspace import lock, write_json


def new_run(plan: Plan) -> dict[str, Any]:
    """What `run.json` is to say of a run that begins now: its id above all."""
    now = time.time()
    about = {"id": new_id(now), "skill": plan.skill.name, "created": now, "seed": plan.seed, "versions": _versions()}
    return about if plan.options.owner is None else {**about, "owner": plan.options.owner}


def claim(folder: Path) -> int:
    """Makes the folder of a run; gives the descriptor that holds its lock. Raises OSError, and RunFailed where another has it."""
    folder.mkdir(parents=True)
    descriptor = lock(folder / "lock")
    if descriptor is None:
        raise RunFailed("the folder of a new run is locked", where=str(folder))
    return descriptor


def record(folder: Path, plan: Plan, about: Mapping[str, Any]) -> None:
    """Puts a run on record: from here on it is one, and can be resumed."""
    write_json(folder / "plan.json", plan.to_json(), durable=plan.durable, indent=None)
    write_json(folder / "run.json", about, durable=plan.durable)


@lru_cache(maxsize=1)
def _versions() -> dict[str, str | None]:
    from importlib import metadata

    versions: dict[str, str | None] = {"python": sys.version.split()[0]}
    for name in ("realitygap", "jax", "mujoco", "mujoco-mjx"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


def new_id(now: float) -> str:
    """A run's id: nobody can guess it, and ids sort as the runs began. `now` in seconds since 1970."""
    token = base64.b32encode(secrets.token_bytes(17)).decode().lower()[:26]
    return f"{time.strftime('%Y-%m-%dT%H-%M-%S', time.gmtime(now))}-{int(now * 1000) % 1000:03d}-{token}"
