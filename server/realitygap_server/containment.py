"""Which paths a client may name: those in the workspace, what runs have made, and the assets of the plugins.

Two looks, both before anything is started. The first at the text alone, so that the answer is the same whether or not there is
something outside. The second at what the path stands for: links are followed, and a document or a model is read for the files that it
names in turn (`named_files`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from realitygap.errors import InputError
from realitygap.inputs import Assets, map_paths, prepare
from realitygap.skill import Skill
from realitygap_server.named_files import ARCHIVES, Unreadable, files_named_by

MOST_ENTRIES = 20_000
"""Files and folders looked at in one folder."""


class Containment:
    """The places that paths of a client may lead to."""

    def __init__(self, workspace: Path, home: Path, assets: Assets) -> None:
        self.workspace = workspace.resolve()
        self.home = home.resolve()
        # The home may be the workspace itself; then only the runs in it are set apart.
        self._apart = self.home / "runs" if self.workspace.is_relative_to(self.home) else self.home
        self.assets = assets
        files = {Path(place).resolve() for names in assets.values() for place in names.values()}
        self._shipped = {place if place.is_dir() else place.parent for place in files}

    def admit(self, skill: Skill, given: Mapping[str, Any]) -> dict[str, Any]:
        """The inputs of a run, prepared. Raises InputError where they are wrong, or a path leads elsewhere. Nothing is written."""
        map_paths(given, skill.input_schema, self._look_at_text)
        inputs = prepare(skill, given, self.assets, self.workspace)
        return map_paths(inputs, skill.input_schema, self._look_at_file)

    def allows(self, path: Path) -> bool:
        """Whether the path, its links followed, is one of the allowed places.

        Of a run only what its steps put out counts: its logs quote crashes, which may hold anything.
        """
        real = Path(os.path.realpath(path))
        if real.is_relative_to(self._apart):
            parts = real.relative_to(self.home).parts
            return len(parts) >= 5 and (parts[0], parts[2], parts[4]) == ("runs", "steps", "artifacts")
        return real.is_relative_to(self.workspace) or any(real.is_relative_to(place) for place in self._shipped)

    def _look_at_text(self, name: str, text: str) -> str:
        if any(text in names for names in self.assets.values()):
            return text
        if "\0" in text:
            raise InputError(f"input '{name}' cannot be a path: it holds a NUL character")
        try:
            path = self.workspace / Path(text).expanduser()
            allowed = self.allows(path)
        except (OSError, RuntimeError, ValueError):
            allowed = False
        if not allowed:
            raise self._outside(f"input '{name}'")
        return text

    def _look_at_file(self, name: str, text: str) -> str:
        path = Path(text)
        if any(text == place for names in self.assets.values() for place in names.values()):
            return text
        if not self.allows(path):
            raise self._outside(f"input '{name}'")
        for place in self._below(path, name):
            if not self.allows(place):
                raise self._outside(f"input '{name}': '{place.relative_to(path)}' in it")
            if place != path and place.suffix.lower() in ARCHIVES:
                continue  # it lies there, and nobody has named it
            if place.is_file() and not place.resolve().is_relative_to(self.home / "runs"):
                self._look_inside(place, name)
        return text

    def _look_inside(self, file: Path, name: str) -> None:
        try:
            for word, target in files_named_by(file):
                if not self.allows(target):
                    raise self._outside(f"input '{name}': {file.name} names '{word[:120]}', which")
        except Unreadable as error:
            raise InputError(f"input '{name}': {error}", where=file.name) from None

    def _below(self, path: Path, name: str) -> Iterator[Path]:
        """The path itself, and all that a folder holds; of the workspace as a whole, which may be large, itself alone."""
        yield path
        if not path.is_dir() or path == self.workspace:
            return
        count = 0
        for folder, folders, files in os.walk(path, followlinks=False):
            folders[:] = [one for one in folders if not one.startswith(".")]
            for entry in [*folders, *files]:
                count += 1
                if count > MOST_ENTRIES:
                    raise InputError(f"input '{name}': the folder has more than {MOST_ENTRIES} entries", hint="name what is meant in it")
                yield Path(folder, entry)

    def _outside(self, what: str) -> InputError:
        return InputError(
            f"{what} leads out of the workspace",
            hint=f"files are read below {self.workspace} alone; copy what is needed there, or serve another folder with --workspace",
        )
