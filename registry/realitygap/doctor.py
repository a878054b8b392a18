"""The health of an installation: versions, plugins, extras, devices, places to write."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from realitygap import extras
from realitygap.discovery import Registry

_BROUGHT = [module.replace("/", "-") for modules in extras.MARKERS.values() for module in modules]
_PACKAGES = ("click", "jsonschema", "jsonschema-rs", "pluggy", "PyYAML", *_BROUGHT)

_DEVICES = "import jax, json; print(json.dumps([f'{d.platform} {d.device_kind}' for d in jax.devices()]))"


@dataclass(frozen=True)
class Item:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "note", "broken"]
    """`note` is worth knowing and stops nothing."""
    text: str
    hint: str | None = None


@dataclass(frozen=True)
class Diagnosis:
    items: tuple[Item, ...]
    versions: dict[str, str | None]

    @property
    def broken(self) -> bool:
        return any(item.state == "broken" for item in self.items)

    def to_json(self) -> dict[str, Any]:
        return {"ok": not self.broken, "versions": self.versions, "items": [asdict(item) for item in self.items]}


def examine(*, timeout_s: float = 60.0) -> Diagnosis:
    """Looks at everything; plugins are imported, jax is started in a process of its own with a time limit."""
    versions = {name: _version(name) for name in ("realitygap", *_PACKAGES)}
    registry = Registry.discover(strict=False)
    registry.host.strict = False  # all that is wrong is told, not the first of it
    items = [
        Item("python", "ok", f"{platform.python_version()} at {sys.executable}"),
        Item("versions", "ok", ", ".join(f"{name} {version}" for name, version in versions.items() if version)),
        *_plugins(registry),
        *_names(registry),
        *_extras(),
        *_devices(timeout_s),
        *_places(),
        *_of_plugins(registry),
    ]
    return Diagnosis(tuple(items), versions)


def _plugins(registry: Registry) -> Iterator[Item]:
    from realitygap.contract import module_records

    for record in module_records(registry):
        registry.host.load(record.name)
    states: dict[str, list[str]] = {}
    for record in registry.plugins.values():
        states.setdefault(record.state, []).append(record.name)
        if record.state == "error":
            yield Item("plugin", "broken", f"{record.label}: {record.error}", record.remedy)
        for note in (*record.notes, *record.deprecations):
            yield Item("plugin", "note", f"{record.label}: {note}")
    for name in registry.unmatched:
        yield Item("plugins", "note", f"no plugin and no distribution is called '{name}', which is named as allowed or denied")
    yield Item("plugins", "ok", "; ".join(f"{state}: {', '.join(names)}" for state, names in states.items() if state != "error") or "none")


def _of_plugins(registry: Registry) -> Iterator[Item]:
    """What the components of kind `health` find: functions of the registry that give items. One that fails is a finding of its own."""
    for name in registry.catalog.names("health"):
        component = registry.catalog.get("health", name)
        if any(extras.missing(extra, component.distribution) for extra in component.extras):
            continue
        try:
            yield from list(registry.catalog.load("health", name)(registry))
        except (Exception, SystemExit) as error:
            yield Item(name, "broken", f"plugin '{component.plugin}' cannot say how it is: {type(error).__name__}: {error}")


def _names(registry: Registry) -> Iterator[Item]:
    for broken in registry.broken:
        yield Item("manifest", "broken", f"{broken.error.where or broken.path}: {broken.error.message}", broken.error.hint)
    for conflict in [*registry.conflicts, *registry.catalog.conflicts]:
        state: Literal["note", "broken"] = "note" if conflict.builtin else "broken"
        yield Item(
            "name",
            state,
            f"{conflict.kind} '{conflict.name}' is claimed by {' and '.join(conflict.claimed_by)}",
            f"reachable: {conflict.reachable}",
        )
    pipelines = sum(skill.is_pipeline for skill in registry.every_skill)
    yield Item("skills", "ok", f"{len(registry.every_skill)}, {pipelines} of them pipelines")


def _extras() -> Iterator[Item]:
    for extra in extras.MARKERS:
        absent = extras.missing(extra)
        if not absent:
            yield Item(f"extra {extra}", "ok", "installed")
        elif len(absent) == len(extras.MARKERS[extra]):
            yield Item(f"extra {extra}", "note", "not installed", extras.install_line(extra))
        else:
            yield Item(f"extra {extra}", "broken", f"partly installed, without {', '.join(absent)}", extras.install_line(extra))


def _devices(timeout_s: float) -> Iterator[Item]:
    from importlib.util import find_spec

    if find_spec("jax") is None:
        return
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _DEVICES], capture_output=True, text=True, timeout=timeout_s, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        yield Item(
            "devices", "broken", f"jax did not start in {timeout_s:g} s", "JAX_PLATFORMS=cpu does without a GPU; --timeout waits longer"
        )
        return
    except OSError as error:
        yield Item("devices", "broken", f"jax could not be started: {error}")
        return
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        yield Item("devices", "broken", f"jax does not start: {last}", "pip install -U 'realitygap[sim]'")
        return
    import json

    devices = json.loads(done.stdout.strip().splitlines()[-1])
    yield Item("devices", "ok", f"{', '.join(devices)}; {os.cpu_count()} cores")


def _places() -> Iterator[Item]:
    from realitygap.index import cache_directory

    directory = cache_directory()
    existing = next((one for one in (directory, *directory.parents) if one.exists()), Path("/"))
    if os.access(existing, os.W_OK):
        yield Item("cache", "ok", str(directory))
    else:
        yield Item("cache", "note", f"{directory} cannot be written: listing skills takes longer", "REALITYGAP_CACHE names another folder")


def _version(name: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return None
