"""The child process in which a plugin is imported and its examples run: `python -m realitygap.promises.probe PLUGIN FOLDER TIMES SKILL...`.

It watches what is written. Python tells an audit hook of every file that is opened for writing, made, renamed or removed; what a library
writes behind Python's back is seen by what is left in the working directory, the home and the folder for temporary files, all of which are
empty at the beginning. The report is `FOLDER/report.json`.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realitygap.workspace import write_json

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.remove": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.utime": (0,),
    "sqlite3.connect": (0,),
}
"""Audit event to the places of the paths among its arguments that it changes."""
_DIRECTORY = {"os.mkdir": (2,), "os.rmdir": (1,), "os.remove": (1,), "os.rename": (2, 3), "os.link": (3,), "os.symlink": (2,)}
"""The places of the descriptors that such a path is relative to."""

_FREE = ("TMPDIR", "REALITYGAP_CACHE", "XDG_CACHE_HOME", "MPLCONFIGDIR", "JAX_COMPILATION_CACHE_DIR")
"""Variables with folders that anybody may write into: caches, and temporary files, of which none may be left."""


class Watch:
    """Notes what is written outside of the folders that are allowed now."""

    def __init__(self, always: list[str]) -> None:
        self.always = [os.path.realpath(one) for one in always]
        self.allowed: list[str] | None = None
        """Folders of the example that runs; None while nothing is watched."""
        self.seen: dict[str, None] = {}
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.allowed is None:
            return
        if event == "open":
            path, _, flags = arguments
            if isinstance(flags, int) and flags & _WRITING:
                self._note(path, -1)
        elif event in _CHANGING:
            directories = _DIRECTORY.get(event, ())
            for number, place in enumerate(_CHANGING[event]):
                directory = arguments[directories[number]] if number < len(directories) else -1
                self._note(arguments[place], directory)

    def _note(self, path: Any, directory: Any) -> None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str | os.PathLike) or self.allowed is None:
            return  # a descriptor: opening it was seen
        text = os.fspath(path)
        if isinstance(directory, int) and directory >= 0 and not os.path.isabs(text):
            text = os.path.join(os.readlink(f"/proc/self/fd/{directory}"), text)
        # The last part may be a link that is itself replaced; what lies before it is where the file really is.
        text = os.path.join(os.path.realpath(os.path.dirname(os.path.abspath(text))), os.path.basename(text))
        if "__pycache__" in text.split(os.sep) or text.startswith((":memory:", "file:")):
            return
        if not _inside(text, [*self.always, *self.allowed]):
            self.seen[text] = None

    def begin(self, allowed: list[str]) -> None:
        """Watches from now on; what is written below the folders of `allowed` is not noted."""
        self.seen = {}
        self.allowed = allowed

    def end(self) -> list[str]:
        """Watches no more; what was written elsewhere."""
        self.allowed = None
        return list(self.seen)


def main(plugin: str, folder: Path, times: int, skills: list[str]) -> None:
    """Runs every example of the skills so many times, imports all that the plugin names, and reports."""
    from realitygap.contract import contract_findings
    from realitygap.discovery import Registry

    registry = Registry.discover()
    watch = Watch([*(os.environ[name] for name in _FREE if name in os.environ), "/dev", "/proc"])
    attempts = [
        {"skill": name, "number": number, **_attempt(registry, name, example, folder / "runs" / f"{name}-{number}-{time}", watch)}
        for name in skills
        for number, example in enumerate(registry.skill(name).examples)
        for time in range(times)
    ]
    # After the examples, so that what the plugin does at import is seen with them.
    # Warnings are of what will go in a later version: until then it works.
    broken = [one.message for one in contract_findings(registry, plugin) if one.severity == "error"]
    report = {"contract": broken, "attempts": attempts}
    write_json(folder / "report.json", report)


def _attempt(registry: Any, name: str, example: Mapping[str, Any], folder: Path, watch: Watch) -> dict[str, Any]:
    from realitygap.promises.running import run_skill
    from realitygap.worker import explain

    here, run = folder / "here", folder / "run"
    here.mkdir(parents=True)
    os.chdir(here)
    skill, given = registry.skill(name), example["with"]
    said = [os.path.realpath(value) for value in given.values() if isinstance(value, str) and value] if skill.effects == "workspace" else []
    places = [here, Path(os.environ["TMPDIR"]), Path(os.environ["HOME"])]
    before = {path for place in places for path in _files(place)}
    watch.begin([os.path.realpath(run), *said])
    outcome: dict[str, Any]
    try:
        result = run_skill(name, given, registry=registry, folder=run)
    except BaseException as error:  # a skill may raise SystemExit too
        traceback.print_exc()
        outcome = {"error": explain(error)}
    else:
        own = [step for step in result.steps if registry.skill(step.skill).plugin == skill.plugin]
        files = {f"{step.id}/{file}": content for step in own for file, content in step.files.items()}
        artifacts = {file: content for file, content in files.items() if "/artifacts/" in file}
        outcome = {"error": None, "outputs": _without(str(run), dict(result.outputs)), "artifacts": artifacts}
    written = watch.end()
    left = [path for place in places for path in _files(place) if path not in before and not _inside(path, said)]
    return {**outcome, "written": [_without(str(folder), path) for path in written], "left": [_without(str(folder), path) for path in left]}


def _without(folder: str, value: Any) -> Any:
    """The outputs without where this run happens to lie."""
    if isinstance(value, dict):
        return {key: _without(folder, part) for key, part in value.items()}
    if isinstance(value, list):
        return [_without(folder, part) for part in value]
    return value.replace(folder, "...") if isinstance(value, str) else value


def _files(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*") if path.is_file() or path.is_symlink())


def _inside(path: str, folders: list[str]) -> bool:
    return any(path == one or path.startswith(one + os.sep) for one in folders)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
