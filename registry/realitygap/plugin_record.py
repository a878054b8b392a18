"""A plugin as its entry point and `plugin.yaml` declare it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from realitygap.errors import Explained
from realitygap.skill import ManifestError

State = Literal["found", "loaded", "disabled", "error"]
"""`found` is on disk and not imported yet."""


class PluginFailed(Explained):
    """A plugin that is invalid or could not be loaded, in strict mode. Exit code 3."""


class Incompatible(ManifestError):
    """A plugin and this realitygap are too far apart."""


@dataclass(kw_only=True)
class PluginRecord:
    """What is known of a plugin. Only the state changes, and what was found out on loading."""

    name: str
    package: str
    """The package that the entry point names."""
    distribution: str
    version: str
    builtin: bool
    directory: Path | None = None
    """Folder of the package, None where it is not found."""
    module: str = ""
    """The pluggy module."""
    summary: str = ""
    api: int = 1
    hooks: tuple[str, ...] = ()
    """Hooks that `plugin.yaml` says the module implements."""
    commands: dict[str, str] = field(default_factory=dict)
    """Command name to `module:attribute`."""
    command_summaries: dict[str, str] = field(default_factory=dict)
    components: tuple[dict[str, Any], ...] = ()
    """As in `plugin.yaml`: `kind`, `name`, `factory`, `parameters`, `summary`."""
    checks: tuple[str, ...] = ()
    """Prefixes of rule codes."""
    assets: dict[str, dict[str, str]] = field(default_factory=dict)
    """Kind to name to `package:path`."""
    skills: list[str] = field(default_factory=list)
    state: State = "found"
    error: str | None = None
    """Why the state is `error`: one line."""
    traceback: str | None = None
    hint: str | None = None
    """What mends the error, where that is known."""
    incompatible: bool = False
    """Whether the error is that plugin and host are too far apart, so that its skills are not offered either."""
    withheld: list[str] = field(default_factory=list)
    """Skills that are not offered, because the plugin is incompatible."""
    notes: list[str] = field(default_factory=list)
    """What is odd but stops nothing."""
    deprecations: list[str] = field(default_factory=list)
    """What the module implements although it will go; known once it is loaded."""

    @property
    def manifest(self) -> Path | None:
        return self.directory / "plugin.yaml" if self.directory else None

    @property
    def label(self) -> str:
        return f"plugin '{self.name}' ({self.distribution} {self.version})"

    @property
    def remedy(self) -> str:
        """What mends it where that is known, and the command that does without it."""
        ways = [self.hint] if self.hint else []
        ways.append(f"`skills --disable-plugins {self.name} ...` does without it")
        if not self.builtin:
            ways.append(f"`pip uninstall {self.distribution}` removes it")
        return "; ".join(ways)

    def fail(self, cause: str, traceback: str | None = None) -> None:
        self.state, self.error, self.traceback = "error", cause, traceback

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "builtin": self.builtin,
            "state": self.state,
            "error": self.error,
            "hint": self.remedy if self.state == "error" else None,
            "notes": self.notes,
            "deprecations": self.deprecations,
            "api": self.api,
            "summary": self.summary,
            "package": self.package,
            "directory": str(self.directory) if self.directory else None,
            "hooks": list(self.hooks),
            "commands": sorted(self.commands),
            "components": [f"{one['kind']}/{one['name']}" for one in self.components],
            "checks": list(self.checks),
            "assets": {kind: sorted(names) for kind, names in self.assets.items()},
            "skills": self.skills,
            "withheld": self.withheld,
        }


def api_trouble(api: int, distribution: str) -> tuple[str, str] | None:
    """What keeps a plugin that asks for a version of the plugin API from working here, and what to do; None where it works."""
    from realitygap import API_VERSION, OLDEST_API_VERSION

    if api > API_VERSION:
        message = f"needs version {api} of the plugin API, of a newer realitygap; {_host()} has version {API_VERSION}"
        return message, f"`pip install -U realitygap`, or an older {distribution}"
    if api < OLDEST_API_VERSION:
        message = f"written for version {api} of the plugin API, which {_host()} no longer has; the oldest is {OLDEST_API_VERSION}"
        return message, f"`pip install -U {distribution}`; its author finds what changed in docs/hooks.md"
    return None


def read_manifest(record: PluginRecord, data: Any) -> None:
    """Fills the record with the data of `plugin.yaml`. Raises `ManifestError`."""
    if not isinstance(data, dict):
        raise ManifestError("a manifest is a mapping of keys to values")
    if isinstance(data.get("schema"), int) and data["schema"] > 1:
        raise Incompatible(
            f"written in format {data['schema']}, of a newer realitygap; {_host()} reads format 1",
            pointer="/schema",
            hint="pip install -U realitygap",
        )
    api = data.get("api")
    if isinstance(api, int) and (wrong := api_trouble(api, record.distribution)):
        record.api = api
        raise Incompatible(wrong[0], pointer="/api", hint=wrong[1])
    if data.get("name") != record.name:
        raise ManifestError(f"its name '{data.get('name')}' is not that of the entry point, '{record.name}'", pointer="/name")
    record.api = _typed(data, "api", int, 1)
    record.summary = _typed(data, "summary", str, "")
    record.module = _typed(data, "module", str, record.module)
    record.hooks = tuple(_typed(data, "hooks", list, []))
    record.checks = tuple(_typed(data, "checks", list, []))
    for name, command in _typed(data, "commands", dict, {}).items():
        entry = command.get("entry") if isinstance(command, dict) else command
        if not isinstance(entry, str) or ":" not in entry:
            raise ManifestError(f"command '{name}' needs 'module:attribute'", pointer=f"/commands/{name}")
        record.commands[name] = entry
        record.command_summaries[name] = command.get("summary", "") if isinstance(command, dict) else ""
    components = _typed(data, "components", list, [])
    for number, component in enumerate(components):
        if not isinstance(component, dict) or not all(isinstance(component.get(key), str) for key in ("kind", "name", "factory")):
            raise ManifestError("a component needs 'kind', 'name' and 'factory'", pointer=f"/components/{number}")
        if not isinstance(component.get("parameters", {}), dict):
            raise ManifestError("'parameters' maps names to JSON Schemas", pointer=f"/components/{number}/parameters")
    record.components = tuple(components)
    for kind, names in _typed(data, "assets", dict, {}).items():
        if not isinstance(names, dict) or not all(isinstance(place, str) and ":" in place for place in names.values()):
            raise ManifestError("an asset is 'package:path'", pointer=f"/assets/{kind}")
        record.assets[kind] = dict(names)


def _typed(data: dict[str, Any], key: str, kind: type, default: Any) -> Any:
    value = data.get(key, default)
    if not isinstance(value, kind) or isinstance(value, bool):
        words = {int: "a whole number", str: "a text", list: "a list", dict: "a mapping"}
        raise ManifestError(f"'{key}' must be {words[kind]}", pointer=f"/{key}")
    return value


def _host() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return f"realitygap {version('realitygap')}"
    except PackageNotFoundError:
        return "this realitygap"
