"""Which paths a client may name: those in the workspace, what runs have made, and the assets of the plugins.

Two looks, both before anything is started. The first at the text alone, so that the answer is the same whether or not there is
something outside. The second at what the path stands for: links are followed, and a document or a model is read for the files that it
names in turn (`named_files`).
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realitygap.errors import InputError
from realitygap.inputs import Assets, Schema, map_paths, prepare
from realitygap.skill import Skill
from realitygap.workspace import FOLDER
from realitygap_server.named_files import ARCHIVES, Unreadable, files_named_by

MOST_ENTRIES = 20_000
"""Files looked through in one folder."""
MOST_WALKED = 500_000
"""Files and folders of which it is seen whether they are links."""
_LOGS = (".csv", ".tsv", ".parquet", ".npz", ".npy", ".h5", ".hdf5", ".pt", ".onnx")
"""Files that name no others, unless somebody says that they do."""
_INTERPRETER = re.compile(r"python[0-9.]*")


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

    def _look_at_text(self, name: str, text: str, _: Schema) -> str:
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

    def _look_at_file(self, name: str, text: str, schema: Schema) -> str:
        path = Path(text)
        if any(text == place for names in self.assets.values() for place in names.values()):
            return text
        if not self.allows(path):
            raise self._outside(f"input '{name}'")
        if schema.get("format") == "collection":
            self._look_at_collection(path if path.is_dir() else path.parent, name)
        elif path.is_dir():
            self._look_at_folder(path, name)
        elif path.is_file() and not self._made(path):
            self._look_inside(path, name)
        return text

    def _look_at_collection(self, root: Path, name: str) -> None:
        """Of a folder of skills the links: nothing is opened for being named in it. What lies beside a guide may be copied, but no run."""
        if self._apart.is_relative_to(root) and FOLDER not in self._apart.relative_to(root).parts:
            raise InputError(
                f"input '{name}': the runs of this workspace are in it, in '{self._apart.name}'", hint="name a folder beside them"
            )
        self._look_at_folder(root, name, followed=False)

    def _look_at_folder(self, root: Path, name: str, *, followed: bool = True) -> None:
        """Its links, also those in hidden folders, which some skills search; and, where these are followed, what its files name.

        Of the workspace as a whole, which may be large, the files at its top are read, but for hidden ones: it may be a policy itself.
        """
        walked = looked = 0
        whole = root == self.workspace
        for folder, folders, files in os.walk(root, followlinks=False):
            place = Path(folder)
            hidden = any(part.startswith(".") for part in place.relative_to(root).parts)
            folders[:] = [one for one in folders if one != ".git" and (place / one != self._apart or root == self._apart)]
            walked += len(folders) + len(files)
            if walked > MOST_WALKED:
                raise self._too_many(name, MOST_WALKED)
            for entry in [*folders, *files]:
                one = place / entry
                if one.is_symlink() and not self.allows(one) and not _is_interpreter(one):
                    raise self._outside(f"input '{name}': '{one.relative_to(root)}' in it")
            for file in files if followed else ():
                one = place / file
                passed = whole and (place != root or file.startswith("."))
                if passed or hidden or one.suffix.lower() in (*ARCHIVES, *_LOGS):
                    continue  # it lies there, and nobody has named it
                looked += 1
                if looked > MOST_ENTRIES:
                    raise self._too_many(name, MOST_ENTRIES)
                if one.is_file() and not self._made(one):
                    self._look_inside(one, name)

    def _made(self, path: Path) -> bool:
        """Whether a run has put it out."""
        return path.resolve().is_relative_to(self.home / "runs")

    def _look_inside(self, file: Path, name: str) -> None:
        try:
            for word, target in files_named_by(file):
                if not self.allows(target):
                    raise self._outside(f"input '{name}': {file.name} names '{word[:120]}', which")
        except Unreadable as error:
            raise InputError(f"input '{name}': {error}", where=file.name) from None

    def _too_many(self, name: str, most: int) -> InputError:
        return InputError(f"input '{name}': the folder has more than {most} entries", hint="name what is meant in it")

    def _outside(self, what: str) -> InputError:
        return InputError(
            f"{what} leads out of the workspace",
            hint=f"files are read below {self.workspace} alone; copy what is needed there, or serve another folder with --workspace",
        )


def _is_interpreter(link: Path) -> bool:
    """Whether it is the link to Python that every virtual environment has. No skill reads it."""
    folder = link.parent
    return folder.name == "bin" and bool(_INTERPRETER.fullmatch(link.name)) and (folder.parent / "pyvenv.cfg").is_file()
