"""Checkpoints of unfinished steps: the folders `checkpoints/<beginning of the key>/`.

Each is held by `<name>.lock` from when its step first asks for it until the step ends. They do not belong to the run that made them: the
same step of a later run goes on from them. They end with the step.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from realitygap.stepstore import MARKER
from realitygap.workspace import lock, read_object


def place(home: Path, key: str, run: str | None = None) -> Path:
    """Where the step of a key has its checkpoints; with `run`, those that only this run finds."""
    return home / "checkpoints" / (key[:32] + (f"-{run.rpartition('-')[2]}" if run else ""))


def is_empty(folder: Path) -> bool:
    """Whether the step left nothing to go on from."""
    return not any((folder / "files").glob("*"))


def drop(folder: Path) -> bool:
    """Removes the checkpoints of a step, unless another run executes this step now; gives whether there were some."""
    marker = folder.with_name(folder.name + ".lock")
    if not folder.exists() and not marker.exists():
        return False
    held = lock(marker)
    if held is None:
        return False
    shutil.rmtree(folder, ignore_errors=True)
    marker.unlink(missing_ok=True)
    os.close(held)
    return True


def prune(home: Path) -> int:
    """Removes what no step of a run that is left can go on from; gives how many."""
    begun: set[Path] = set()
    done: set[Path] = set()
    for file in (home / "runs").glob("[!.]*/steps/*/key.json"):
        key = read_object(file).get("key")
        places = {place(home, str(key)), place(home, str(key), file.parents[2].name)}
        (done if (file.parent / MARKER).is_file() else begun).update(places)
    there = {path.with_name(path.name.removesuffix(".lock")) for path in (home / "checkpoints").glob("*")}
    return sum(drop(folder) for folder in there - (begun - done))
