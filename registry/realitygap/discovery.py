"""The registry: every skill and plugin of the environment, by name.

    registry = Registry.discover()
    skill = registry.skill("replay-recording")
    factory = registry.catalog.load("observation", "joint_position")

A name of this distribution cannot be taken. Of two third parties that claim one name both stay reachable as `distribution/name`, and the
bare name is an error that names both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from realitygap.errors import InputError, unknown
from realitygap.scan import BUILTIN_DISTRIBUTION, WORKSPACE, Broken, scan
from realitygap.selection import Selection

if TYPE_CHECKING:
    from pathlib import Path

    from realitygap.components import Catalog, Component
    from realitygap.plugin_record import PluginRecord
    from realitygap.plugins import PluginHost
    from realitygap.skill import Skill

__all__ = ["BUILTIN_DISTRIBUTION", "WORKSPACE", "Conflict", "Registry", "Selection"]

Named = TypeVar("Named")


@dataclass(frozen=True)
class Conflict:
    """A name that several claim."""

    kind: str
    """`skill`, `command`, `asset` or `component`."""
    name: str
    claimed_by: tuple[str, ...]
    """Distributions."""
    builtin: bool
    """Whether this distribution has the name, and keeps it."""

    @property
    def reachable(self) -> str:
        return " and ".join(f"{distribution}/{self.name}" for distribution in self.claimed_by if distribution != BUILTIN_DISTRIBUTION)

    def error(self) -> InputError:
        who = " and ".join(f"'{distribution}'" for distribution in self.claimed_by)
        return InputError(f"{self.kind} '{self.name}' is claimed by {who}", hint=f"say which: {self.reachable}")


class Registry:
    """Skills and plugins with their names settled. Reading it executes no plugin code."""

    def __init__(
        self, plugins: Sequence[PluginRecord], skills: Iterable[Skill], broken: Sequence[Broken] = (), unmatched: Sequence[str] = ()
    ) -> None:
        self.plugins: dict[str, PluginRecord] = {}
        """By name; a record whose name is taken is under `distribution/name`."""
        for record in plugins:
            self.plugins.setdefault(record.name if record.name not in self.plugins else f"{record.distribution}/{record.name}", record)
        self.broken = tuple(broken)
        """Manifests that give nothing."""
        self.unmatched = tuple(unmatched)
        """Names in the lists of allowed and denied plugins that fit nothing."""
        self.every_skill = tuple(skills)
        """Also those whose bare name belongs to another."""
        self.skills: dict[str, Skill]
        """By bare name where it is theirs, else by `distribution/name`."""
        self._missing: dict[tuple[str, str], bool] = {}
        self.skills, self.conflicts = settle("skill", [(one.name, one.distribution, one) for one in self.every_skill])

    @classmethod
    def discover(cls, selection: Selection | None = None, *, strict: bool | None = None) -> Registry:
        """The registry of this environment.

        Args:
            selection: by default that of the environment variables.
            strict: by default what the selection says.

        Raises:
            PluginFailed: a plugin is invalid, in strict mode.
        """
        selection = selection or Selection.from_environment()
        found = scan(selection)
        registry = cls(found.plugins, found.skills, found.broken, found.unmatched)
        if selection.strict if strict is None else strict:
            registry.require_plugins()
        return registry

    def skill(self, name: str) -> Skill:
        """The skill of a name or `distribution/name`. Raises `InputError` with the nearest name, or with all who claim it."""
        if name in self.skills:
            return self.skills[name]
        for conflict in self.conflicts:
            if conflict.name == name:
                raise conflict.error()
        for one in self.every_skill:
            if name == one.qualified_name:
                return one
        for one_broken in self.broken:
            if one_broken.path.parent.name == name:
                raise one_broken.error
        for record in self.plugins.values():
            if name in record.withheld:
                raise InputError(f"skill '{name}' is not offered: {record.label}: {record.error}", hint=record.remedy)
        raise unknown("skill", name, self.skills)

    def require_plugins(self) -> None:
        """Raises `PluginFailed` where a plugin is invalid, a skill of one is, or a plugin is named that does not exist."""
        from realitygap.plugin_record import PluginFailed

        wrong: list[tuple[str, str | None]] = [
            (f"{one.label}: {one.error}", one.remedy) for one in self.plugins.values() if one.state == "error"
        ]
        manifests = {one.manifest for one in self.plugins.values()}
        for broken in self.broken:
            if broken.plugin != WORKSPACE and broken.path not in manifests:
                wrong.append((f"plugin '{broken.plugin}': {broken.error.where or broken.path}: {broken.error.message}", broken.error.hint))
        wrong += [(f"no plugin '{name}' is installed, which is named as allowed or denied", None) for name in self.unmatched]
        if wrong:
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            message, hint = wrong[0]
            raise PluginFailed(message + more, hint="; ".join(filter(None, [hint, "`skills plugins` shows all of them"])))

    def plugin(self, name: str) -> PluginRecord:
        """The record of a plugin. Raises `InputError` with the nearest name."""
        if name not in self.plugins:
            raise unknown("plugin", name, self.plugins)
        return self.plugins[name]

    def with_skills(self, skills: Iterable[Skill]) -> Registry:
        """This registry with more skills. What lies in the same folder is replaced, and so is what has the same name: a folder of skills
        is checked as if it were alone."""
        more = list(skills)
        places, names = {one.directory.resolve() for one in more}, {one.name for one in more}
        kept = [one for one in self.every_skill if one.directory.resolve() not in places and one.name not in names]
        view = Registry(list(self.plugins.values()), [*kept, *more], self.broken, self.unmatched)
        # A plugin is loaded once: another host would not have it.
        view.host = self.host
        return view

    @cached_property
    def places(self) -> dict[Path, Skill]:
        """Every skill by its folder, links resolved."""
        return {one.directory.resolve(): one for one in reversed(self.every_skill)}

    @cached_property
    def active_plugins(self) -> tuple[PluginRecord, ...]:
        """Those whose declarations count."""
        return tuple(record for record in self.plugins.values() if record.state in ("found", "loaded"))

    @cached_property
    def catalog(self) -> Catalog:
        """Components of all plugins."""
        from realitygap.components import Catalog

        return Catalog(self)

    @cached_property
    def assets(self) -> dict[str, dict[str, str]]:
        """Kind (`model`, `recording`, `task`, `domain`, `mapping`, `collection`) to name to absolute path."""
        from realitygap.assets import table

        return table(self.active_plugins)

    @cached_property
    def host(self) -> PluginHost:
        """Loads plugins when their hooks are needed."""
        from realitygap.plugins import PluginHost

        return PluginHost(self.active_plugins)

    @cached_property
    def commands(self) -> dict[str, tuple[PluginRecord, str]]:
        """Command name to its plugin and `module:attribute`; one that takes a name of the program itself is under `distribution/name`."""
        from realitygap.cli.commands import COMMANDS

        claims: list[tuple[str, str, tuple[PluginRecord, str] | None]] = [(name, BUILTIN_DISTRIBUTION, None) for name in COMMANDS]
        claims += [(name, one.distribution, (one, entry)) for one in self.active_plugins for name, entry in one.commands.items()]
        return {name: command for name, command in settle("command", claims)[0].items() if command is not None}

    def missing_extra(self, one: Skill | Component) -> str | None:
        """The first extra of a skill or component that is not installed, None if all are."""
        from realitygap.extras import missing

        for extra in one.extras:
            key = (extra, one.distribution)
            if key not in self._missing:
                self._missing[key] = bool(missing(extra, one.distribution))
            if self._missing[key]:
                return extra
        return None

    def require_extras(self, one: Skill | Component, kind: str = "skill") -> None:
        """Raises `InputError` with the exact `pip install` line where an extra of a skill or component is not installed."""
        from realitygap.extras import install_line

        extra = self.missing_extra(one)
        if extra is not None:
            raise InputError(f"{kind} '{one.name}' needs the extra '{extra}'", hint=install_line(extra, one.distribution))


def settle(kind: str, claims: Sequence[tuple[str, str, Named]]) -> tuple[dict[str, Named], list[Conflict]]:
    """Names to what they mean, of claims (name, distribution, thing), and the names that several distributions claim.

    Within one distribution the first claim counts.
    """
    by_name: dict[str, dict[str, Named]] = {}
    for name, distribution, thing in claims:
        by_name.setdefault(name, {}).setdefault(distribution, thing)
    settled: dict[str, Named] = {}
    conflicts = []
    for name, claimants in by_name.items():
        if len(claimants) == 1:
            settled[name] = next(iter(claimants.values()))
            continue
        builtin = BUILTIN_DISTRIBUTION in claimants
        conflicts.append(Conflict(kind, name, tuple(claimants), builtin))
        for distribution, thing in claimants.items():
            settled[name if distribution == BUILTIN_DISTRIBUTION else f"{distribution}/{name}"] = thing
    return settled, conflicts
