"""From entry points to plugins and skills, without executing any of their code.

An entry point of group `realitygap` names a package. Its folder comes from `find_spec` on the top-level name, which imports nothing, and
the rest of the name is joined to it. What lies there is data: `plugin.yaml` and `skills/*/skill.yaml`. So a plugin that cannot be imported
still lists.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from realitygap.errors import InputError
from realitygap.index import EntryPoint, Index
from realitygap.plugin_record import Incompatible, PluginRecord, read_manifest
from realitygap.selection import Selection
from realitygap.skill import ManifestError, Skill

GROUP = "realitygap"
BUILTIN_DISTRIBUTION = "realitygap"
WORKSPACE = "workspace"
"""Distribution and plugin of the skills found in `--skills-dir`."""
_made: dict[Path, tuple[Any, dict[str, Any], Skill]] = {}
"""Folder to the manifest's data, to whom it belongs, and the skill made of it."""


@dataclass(frozen=True)
class Broken:
    """A manifest that gives no skill or plugin."""

    path: Path
    plugin: str
    error: InputError


@dataclass
class Found:
    """All that lies in the environment, before names are settled."""

    plugins: list[PluginRecord]
    skills: list[Skill]
    broken: list[Broken]
    unmatched: tuple[str, ...] = ()
    """Names in the lists of allowed and denied plugins that fit nothing here."""


def scan(selection: Selection | None = None) -> Found:
    """Plugins and skills of the environment."""
    selection = selection or Selection.from_environment()
    index = Index.open()
    found = Found([], [], [])
    entries = index.entry_points(GROUP)
    found.unmatched = selection.unmatched((one.name, one.distribution) for one in entries)
    # Most of them name the same top-level package.
    find = cache(find_spec)
    for entry in sorted(entries, key=lambda one: (one.distribution != BUILTIN_DISTRIBUTION, one.distribution, one.name)):
        found.plugins.append(_plugin(entry, selection, index, found, find))
    taken: set[Path] = set()
    for record in found.plugins:
        for directory in _skill_directories(record):
            if directory in taken:
                continue
            taken.add(directory)
            for name in _folders_with_manifest(directory):
                _add_skill(directory / name, record, index, found)
    for directory in selection.skills_dirs:
        if not directory.is_dir():
            found.broken.append(Broken(directory, WORKSPACE, InputError("no such folder of skills", where=str(directory))))
            continue
        for name in _folders_with_manifest(directory):
            _add_skill(directory / name, None, index, found)
    index.save()
    return found


def package_directories(package: str, find: Callable[[str], Any] = find_spec) -> list[Path]:
    """Folders of a package, by its top-level name alone: parents are not imported, as `find_spec` on a dotted name would."""
    top, *rest = package.split(".")
    try:
        spec = find(top)
    except (ImportError, ValueError, AttributeError):
        return []
    locations = list(spec.submodule_search_locations or ()) if spec else []
    return [path for path in (Path(location, *rest) for location in locations) if path.is_dir()]


def module_file(module: str) -> Path | None:
    """The source file of a module, found without importing anything; a package gives its `__init__.py`."""
    top, *rest = module.split(".")
    try:
        spec = find_spec(top)
    except (ImportError, ValueError, AttributeError):
        return None
    if spec is None:
        return None
    if not rest and spec.origin and spec.origin not in ("built-in", "frozen"):
        return Path(spec.origin)
    for location in spec.submodule_search_locations or ():
        path = Path(location, *rest)
        for candidate in (path.with_name(path.name + ".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate
        # A compiled module has a file too, only not a readable one.
        for compiled in path.parent.glob(path.name + ".*.so") if path.parent.is_dir() else ():
            return compiled
    return None


def _plugin(entry: EntryPoint, selection: Selection, index: Index, found: Found, find: Callable[[str], Any]) -> PluginRecord:
    record = PluginRecord(
        name=entry.name,
        package=entry.package,
        distribution=entry.distribution,
        version=entry.version,
        builtin=entry.distribution == BUILTIN_DISTRIBUTION,
        module=f"{entry.package}.plugin",
    )
    directories = package_directories(entry.package, find)
    record.directory = next((one for one in directories if (one / "plugin.yaml").is_file()), directories[0] if directories else None)
    if not selection.admits(entry.name, entry.distribution, builtin=record.builtin):
        record.state = "disabled"
    elif record.directory is None:
        record.fail(f"no package '{entry.package}' is installed")
    elif any(one.name == entry.name and one.state != "disabled" for one in found.plugins):
        other = next(one for one in found.plugins if one.name == entry.name)
        record.fail(f"the name is taken by {other.distribution} {other.version}")
    elif record.manifest and record.manifest.is_file():
        try:
            read_manifest(record, index.read(record.manifest))
        except InputError as error:
            record.fail(f"plugin.yaml: {error.message}")
            record.hint, record.incompatible = error.hint, isinstance(error, Incompatible)
            found.broken.append(Broken(record.manifest, record.name, _located(error, record.manifest)))
    elif not (record.directory / "skills").is_dir():
        record.fail(f"no plugin.yaml in {record.directory}")
    return record


def _skill_directories(record: PluginRecord) -> list[Path]:
    """`<package>/skills`, and in a checkout, where the package lies one folder down, `skills` at its top."""
    if record.directory is None:
        return []
    inside = record.directory / "skills"
    if inside.is_dir():
        return [inside]
    if "." not in record.package:
        checkout = record.directory.parent.parent
        if record.builtin and (checkout / "pyproject.toml").is_file() and (checkout / "skills").is_dir():
            return [checkout / "skills"]
    return []


def _folders_with_manifest(directory: Path) -> list[str]:
    with os.scandir(directory) as entries:
        return sorted(
            one.name for one in entries if not one.name.startswith((".", "_")) and os.path.isfile(os.path.join(one.path, "skill.yaml"))
        )


def _add_skill(directory: Path, owner: PluginRecord | None, index: Index, found: Found) -> None:
    manifest = directory / "skill.yaml"
    try:
        data = index.read(manifest)
        record = _owner(data, owner, found.plugins)
        if record is not None and record.state == "disabled":
            return
        if record is not None and record.incompatible:
            record.withheld.append(directory.name)
            return
        skill = _skill(data, directory, record)
        if skill.name != directory.name:
            raise ManifestError(f"its name '{skill.name}' is not that of its folder, '{directory.name}'", pointer="/name")
    except InputError as error:
        if owner is None or owner.state != "disabled":
            found.broken.append(Broken(manifest, owner.name if owner else WORKSPACE, _located(error, manifest)))
        return
    found.skills.append(skill)
    if record is not None:
        record.skills.append(skill.name)


def _skill(data: Any, directory: Path, record: PluginRecord | None) -> Skill:
    """The skill of a manifest. A process that scans again, and was given the very same data, gets the same one. Raises ManifestError."""
    told: dict[str, Any] = {
        "plugin": record.name if record else WORKSPACE,
        "distribution": record.distribution if record else WORKSPACE,
        "distribution_version": record.version if record else "",
        "builtin": bool(record and record.builtin),
    }
    before = _made.get(directory)
    if before is None or before[0] is not data or before[1] != told:
        before = _made[directory] = (data, told, Skill.from_manifest(data, directory=directory, **told))
    return before[2]


def _owner(data: Any, owner: PluginRecord | None, records: Iterable[PluginRecord]) -> PluginRecord | None:
    """Of the plugins of the same distribution the one whose package is the longest prefix of the skill's entry."""
    entry = data.get("entry") if isinstance(data, dict) else None
    if owner is None or not isinstance(entry, str):
        return owner
    module = entry.partition(":")[0] + "."
    fitting = [one for one in records if one.distribution == owner.distribution and module.startswith(one.package + ".")]
    return max(fitting, key=lambda one: len(one.package), default=owner)


def _located(error: InputError, path: Path) -> InputError:
    """The error with its place in the file, which only now has to be read with positions."""
    if error.where is not None:
        return error
    from realitygap.document import load

    try:
        located = load(path).error(getattr(error, "pointer", ""), error.message, hint=error.hint)
        if isinstance(error, Incompatible):
            located.rule = "RG509"
        return located
    except InputError as other:
        return other
