"""What manifests and metadata said when they were last read, so that listing skills needs neither YAML nor a search of the environment.

One JSON file an environment, in `REALITYGAP_CACHE`, else `XDG_CACHE_HOME/realitygap`, else `~/.cache/realitygap`. An entry holds as long as
the file's time and size do. Losing the index, or finding it unwritable or damaged, costs time and nothing else.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_FORMAT = 1
_REMEMBERED = 8
"""Search paths whose entry points are remembered."""
_parsed: dict[str, tuple[list[int], Any]] = {}
"""What this process has parsed of an index, by its path, with the stamp that the file had: one that lives on looks again and again."""


@dataclass(frozen=True)
class EntryPoint:
    """One line of a distribution's metadata."""

    name: str
    package: str
    distribution: str
    version: str


def cache_directory() -> Path:
    """Where the index lies; it need not exist."""
    if explicit := os.environ.get("REALITYGAP_CACHE"):
        return Path(explicit).expanduser()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base and os.path.isabs(base) else Path(os.path.expanduser("~/.cache"))) / "realitygap"


class Index:
    """Data of files, keyed by path, time of modification and size."""

    def __init__(self, path: Path | None, key: str, data: dict[str, Any]) -> None:
        self.path = path
        self.key = key
        self._files: dict[str, Any] = data.get("files") or {}
        self._metadata: dict[str, Any] = data.get("metadata") or {}
        self._changed = False

    @classmethod
    def open(cls) -> Index:
        from realitygap import API_VERSION

        # Environments differ in what they have installed, and so do search paths.
        key = f"{sys.prefix}|{sys.version_info[:2]}|{API_VERSION}|{_FORMAT}|{os.pathsep.join(sys.path[1:])}"
        data: Any = None
        path: Path | None = None
        try:
            path = cache_directory() / f"index-{_digest(key)}.json"
            data = _contents(str(path))
        except (OSError, ValueError, RecursionError):
            pass
        if (
            not isinstance(data, dict)
            or data.get("key") != key
            or not all(isinstance(data.get(part), dict) for part in ("files", "metadata"))
        ):
            data = {}
        return cls(path, key, data)

    def read(self, path: Path) -> Any:
        """Data of a YAML file. Raises `InputError` where it cannot be read; failures are not remembered."""
        name = os.path.abspath(path)
        stamp = _stamp(name)
        known = self._files.get(name)
        if stamp and isinstance(known, list) and len(known) == 2 and known[0] == stamp:
            return known[1]
        from realitygap.document import load

        data = load(path).data
        if stamp and stamp == _stamp(name):
            self._files[name] = [stamp, data]
            self._changed = True
        return data

    def entry_points(self, group: str) -> list[EntryPoint]:
        """Entry points of a group; remembered as long as no folder on the search path and no file with such entries has changed."""
        # The first folder on the path is that of the script, or the working directory: each has its own entry.
        first = (os.path.abspath(sys.path[0]) if sys.path else "") + f"|{group}"
        known: Any = self._metadata.get(first)
        try:
            if known["path"] == _path_stamps() and all(_stamp(name) == stamp for name, stamp in known["sources"].items()):
                return [EntryPoint(*one) for one in known["entries"]]
        except (KeyError, TypeError, AttributeError):
            pass
        entries, sources = _search(group)
        listed = [[one.name, one.package, one.distribution, one.version] for one in entries]
        self._metadata.pop(first, None)
        self._metadata[first] = {"path": _path_stamps(), "sources": sources, "entries": listed}
        for oldest in list(self._metadata)[:-_REMEMBERED]:
            del self._metadata[oldest]
        self._changed = True
        return entries

    def save(self) -> None:
        """Writes by rename; a folder that cannot be written is no error."""
        if not self._changed or self.path is None:
            return
        files = {name: entry for name, entry in self._files.items() if os.path.exists(name)}
        temporary = self.path.with_name(f"{self.path.name}.{os.getpid()}.tmp")
        try:
            text = json.dumps({"key": self.key, "files": files, "metadata": self._metadata})
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(text, "utf-8")
            os.replace(temporary, self.path)
        except (OSError, ValueError):
            # An OSError may leave the half-written file behind.
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
        self._changed = False


def _search(group: str) -> tuple[list[EntryPoint], dict[str, list[int] | None]]:
    """Entry points, and the stamp of each file that holds one. Metadata is read only of the distributions that have some."""
    from importlib.metadata import entry_points

    entries: list[EntryPoint] = []
    sources: dict[str, list[int] | None] = {}
    # A distribution has many entries, and each look at its name parses all of its metadata anew.
    named = cache(_name_and_version)
    for point in entry_points(group=group):
        distribution = point.dist
        if distribution is None:
            continue
        name, version = named(distribution)
        entries.append(EntryPoint(point.name, point.value.partition(":")[0].strip(), name or "unknown", version or "unknown"))
        folder = getattr(distribution, "_path", None)
        if folder is not None:
            source = os.path.join(str(folder), "entry_points.txt")
            sources[source] = _stamp(source)
    return entries, sources


def _name_and_version(distribution: Distribution) -> tuple[str, str]:
    try:
        metadata = distribution.metadata
        return metadata["Name"], metadata["Version"]
    except Exception:  # damaged metadata of any package must not stop this one
        return "", ""


def _contents(path: str) -> Any:
    stamp = _stamp(path)
    if stamp is None or path not in _parsed or _parsed[path][0] != stamp:
        with open(path, "rb") as file:
            data = json.load(file)
        if stamp is None:
            return data
        _parsed[path] = (stamp, data)
    return _parsed[path][1]


def _path_stamps() -> list[Any]:
    return [[one, _stamp(one or ".")] for one in sys.path]


def _stamp(path: str) -> list[int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return [status.st_mtime_ns, status.st_size]


def _digest(text: str) -> str:
    from binascii import crc32

    return f"{crc32(text.encode('utf-8', 'replace')):08x}"
