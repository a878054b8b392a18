"""Files that plugins ship under a name: models, recordings, tasks, domains, mappings, collections of guides.

`model: {qube: "realitygap_core:robots/qube/qube.xml"}` in `plugin.yaml` makes `qube` usable wherever a model file is. The path is found
from the top-level name of the package alone, so that asking for it imports nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from realitygap.errors import InputError, unknown
from realitygap.scan import package_directories

if TYPE_CHECKING:
    from realitygap.plugin_record import PluginRecord

KINDS = ("model", "recording", "task", "domain", "mapping", "collection")


def table(records: Iterable[PluginRecord]) -> dict[str, dict[str, str]]:
    """Kind to name to absolute path. Names are settled as those of skills are; an asset whose file is missing is listed all the same."""
    from realitygap.discovery import settle

    claims: dict[str, list[tuple[str, str, str]]] = {kind: [] for kind in KINDS}
    directories: dict[str, list[Path]] = {}
    for record in records:
        for kind, names in record.assets.items():
            for name, place in names.items():
                path = _path(place, directories)
                if path is not None:
                    claims.setdefault(kind, []).append((name, record.distribution, str(path)))
    return {kind: settle("asset", claimed)[0] for kind, claimed in claims.items()}


def resolve(place: str, record: PluginRecord) -> Path | None:
    """The path of `package:path/inside` of a plugin, whose own package need not be installed.

    None where another package is not installed or the path leads out of it.
    """
    return _path(place, {record.package: [record.directory]} if record.directory else {})


def find(assets: dict[str, dict[str, str]], kind: str, name: str) -> Path:
    """The path of an asset. Raises `InputError` for an unknown name, with the nearest, and for a file that is gone."""
    names = assets.get(kind, {})
    if name not in names:
        raise unknown(kind, name, names)
    path = Path(names[name])
    if not path.exists():
        raise InputError(
            f"{kind} '{name}' is declared, but its file is missing", where=str(path), hint="reinstall the plugin that ships it"
        )
    return path


def _path(place: str, directories: dict[str, list[Path]]) -> Path | None:
    package, _, inside = place.partition(":")
    if not inside or os.path.isabs(inside) or ".." in Path(inside).parts:
        return None
    if package not in directories:
        directories[package] = package_directories(package)
    candidates = [directory / inside for directory in directories[package]]
    return next((one for one in candidates if one.exists()), candidates[0] if candidates else None)
