"""The folder of a finished step, and its use by later runs.

    steps/<id>/inputs.json  outputs.json  key.json  step.json  log.txt  metrics.jsonl  artifacts/  attempts/<n>/

`step.json` is written last: a step without one is not finished. Paths in `outputs.json` are stored as `step://artifacts/...` or,
where an output is what an input gave, as `input://name/...`, so that the folder means the same in every run that it is linked into.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realitygap.contents import file_hash
from realitygap.inputs import Schema, map_paths
from realitygap.workspace import read_json, write_json

MARKER = "step.json"
_OWN = "step://"
_GIVEN = "input://"


class StrayPath(ValueError):
    """An output that is a path outside of the step's artifacts and inputs."""


def store_outputs(folder: Path, outputs: dict[str, Any], text: str, schema: Schema, inputs: Mapping[str, Any], *, strict: bool) -> str:
    """The outputs with their paths made relative, as JSON. Raises StrayPath, where `strict`, for a path that leads elsewhere.

    Args:
        text: the outputs as JSON.
    """

    def relative(name: str, text: str, _: Schema) -> str:
        path = Path(text)
        absolute = path if path.is_absolute() else folder / "artifacts" / path
        if not absolute.exists():
            raise StrayPath(f"output '{name}' is the path '{text}', and nothing is there")
        token = _token(absolute, folder, inputs)
        if token is None and strict:
            raise StrayPath(f"output '{name}' is a path outside of the step's artifacts: {text}")
        return token or str(absolute)

    below = f"{folder}{os.sep}"

    def elsewhere(value: Any) -> Any:
        """Paths below the step's folder in values without a format."""
        if isinstance(value, str):
            return _OWN + Path(value).relative_to(folder).as_posix() if value.startswith(below) else value
        if isinstance(value, dict):
            return {key: elsewhere(part) for key, part in value.items()}
        if isinstance(value, list):
            return [elsewhere(part) for part in value]
        return value

    stored = map_paths(outputs, schema, relative)
    if _quoted(below) in text:
        stored = {name: elsewhere(value) for name, value in stored.items()}
    elif all(stored[name] is value for name, value in outputs.items()):
        return text
    return json.dumps(stored, ensure_ascii=False)


def load_outputs(folder: Path, outputs: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs with absolute paths: those of this folder and of these inputs."""

    def absolute(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: absolute(part) for key, part in value.items()}
        if isinstance(value, list):
            return [absolute(part) for part in value]
        if not isinstance(value, str) or not value.startswith((_OWN, _GIVEN)):
            return value
        if value.startswith(_OWN):
            return str(folder / value.removeprefix(_OWN))
        name, _, rest = value.removeprefix(_GIVEN).partition("/")
        base = inputs.get(name)
        return value if not isinstance(base, str) else str(Path(base, rest)) if rest else base

    return {name: absolute(value) for name, value in outputs.items()}


def read_step(folder: Path) -> dict[str, Any] | None:
    """The facts of a finished step, or None."""
    found = read_finished(folder, {})
    return found[0] if found else None


def read_finished(folder: Path, inputs: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The facts of a finished step and its outputs, or None. `inputs` are those of this run."""
    facts = read_json(folder / MARKER)
    if not isinstance(facts, dict):
        return None
    try:
        text = (folder / "outputs.json").read_text(encoding="utf-8")
        outputs = json.loads(text)
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(outputs, dict):
        return None
    return facts, load_outputs(folder, outputs, inputs) if names_places(text) else outputs


def names_places(text: str) -> bool:
    """Whether stored outputs, as JSON, may hold paths that `load_outputs` has to make absolute."""
    return _OWN in text or _GIVEN in text


def finished_outputs(folder: Path, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs of a finished step, empty where there are none. `inputs` are those of this run."""
    found = read_finished(folder, inputs)
    return found[1] if found else {}


def manifest_of(folder: Path) -> dict[str, list[Any]]:
    """Relative name to [size, sha256] of every file that a later run relies on; its inputs have paths of its own."""
    names = ["outputs.json", "key.json", "metrics.jsonl"]
    files = [folder / name for name in names if (folder / name).is_file()]
    files += [path for path in sorted((folder / "artifacts").rglob("*")) if path.is_file()]
    return {path.relative_to(folder).as_posix(): [path.stat().st_size, file_hash(path)] for path in files}


def is_intact(folder: Path, key: str) -> bool:
    """Whether a finished step has that key and holds every file as it was written."""
    facts = read_step(folder)
    if facts is None or facts.get("key") != key:
        return False
    files = facts.get("files")
    if not isinstance(files, dict) or "outputs.json" not in files:
        return False
    try:
        return all(
            (folder / name).stat().st_size == size and file_hash(folder / name) == content for name, (size, content) in files.items()
        )
    except (OSError, TypeError, ValueError):
        return False


def artifacts_of(run: Path, *, by_step: bool) -> dict[str, str]:
    """Name to path of every artifact of the finished steps of a run; `by_step` puts the step's id before the name."""
    found = {}
    for step in sorted((run / "steps").glob(f"*/{MARKER}")):
        root = step.parent / "artifacts"
        for path in sorted(root.rglob("*")):
            if path.is_file():
                name = path.relative_to(root).as_posix()
                found[f"{step.parent.name}/{name}" if by_step else name] = str(path)
    return found


def link_step(source: Path, target: Path, facts: Mapping[str, Any]) -> None:
    """Makes `target` a copy of a finished step by hard links, or by copying where the file system has none."""
    shutil.rmtree(target, ignore_errors=True)
    staging = target.with_name(f".{target.name}.linking")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    done = read_step(source) or {}
    for name in [*done["files"], *(["log.txt"] if (source / "log.txt").is_file() else [])]:
        place = staging / name
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source / name, place)
        except OSError:
            shutil.copy2(source / name, place)
    # Folders that are empty are part of the artifacts too.
    for path in (source / "artifacts").rglob("*"):
        if path.is_dir():
            (staging / path.relative_to(source)).mkdir(parents=True, exist_ok=True)
    write_json(staging / MARKER, {**done, **facts}, durable=False)
    staging.replace(target)


def make_room(run: Path) -> None:
    """Removes what unfinished steps have put out; whoever resumes the run makes it anew."""
    for folder in (run / "steps").glob("*"):
        if read_step(folder) is None:
            shutil.rmtree(folder / "artifacts", ignore_errors=True)


def set_aside(folder: Path) -> int:
    """Moves what an unfinished attempt left to `attempts/<n>`; gives the number of the attempt that begins."""
    attempts = folder / "attempts"
    number = len([path for path in attempts.iterdir() if path.is_dir()]) if attempts.is_dir() else 0
    leftovers = [path for path in folder.iterdir() if path.name != "attempts"] if folder.is_dir() else []
    if leftovers:
        place = attempts / str(number)
        place.mkdir(parents=True, exist_ok=True)
        for path in leftovers:
            if path.name in ("log.txt", "key.json", "inputs.json"):
                path.replace(place / path.name)
            elif path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        number += 1
    return number


def _quoted(text: str) -> str:
    """A text as it stands in JSON."""
    return json.dumps(text, ensure_ascii=False)[1:-1]


def _token(path: Path, folder: Path, inputs: Mapping[str, Any]) -> str | None:
    real = path.resolve()
    root = (folder / "artifacts").resolve()
    if real == root or real.is_relative_to(root):
        return _OWN + (Path("artifacts") / real.relative_to(root)).as_posix()
    for name, value in inputs.items():
        if not isinstance(value, str) or not os.path.isabs(value):
            continue
        base = Path(value).resolve()
        if real == base:
            return _GIVEN + name
        if real.is_relative_to(base):
            return f"{_GIVEN}{name}/{real.relative_to(base).as_posix()}"
    return None
