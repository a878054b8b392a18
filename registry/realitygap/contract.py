"""Whether a plugin does what its plugin.yaml says. This imports the plugin, so it is for tests and `skills plugins --load`, not for
`skills check`.

@pytest.mark.parametrize("finding", contract_findings(Registry.discover()))
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

from realitygap.components import load_object
from realitygap.discovery import Registry
from realitygap.document import shown_path
from realitygap.findings import Finding
from realitygap.plugin_record import PluginRecord


def module_records(registry: Registry) -> list[PluginRecord]:
    """Plugins that have a module: those that declare hooks."""
    return [record for record in registry.active_plugins if record.hooks]


def contract_findings(registry: Registry, plugin: str | None = None) -> Iterator[Finding]:
    """Where code and plugin.yaml disagree (rule RG510), for one plugin or all; and what of a plugin will go (RG511, a warning).

    The module imports and implements exactly the declared hooks; what the hooks register are the declared checks, commands and components;
    entries of skills, factories and commands can be imported and called. What an extra that is not installed would bring is not looked at.
    """
    for record in registry.active_plugins:
        if plugin is not None and record.name != plugin:
            continue
        path = shown_path(record.manifest) if record.manifest else ""
        for message in _disagreements(record, registry):
            yield Finding(rule="RG510", message=f"{record.label}: {message}", path=path)
        for message in record.deprecations:
            yield Finding(rule="RG511", message=f"{record.label}: {message}", path=path, severity="warning")


def _disagreements(record: PluginRecord, registry: Registry) -> Iterator[str]:
    if record.hooks:
        if not registry.host.load(record.name):
            yield record.error or "cannot be loaded"
            return
        yield from record.notes
        yield from _registrations(record, registry)
    for name, entry in record.commands.items():
        import click

        command = yield from _loaded(entry, f"command '{name}'")
        if command is not None and not isinstance(command, click.Command):
            yield f"command '{name}': '{entry}' is no click command"
    for component in record.components:
        factory = yield from _loaded(component["factory"], f"{component['kind']} '{component['name']}'")
        if factory is not None and not callable(factory):
            yield f"{component['kind']} '{component['name']}': '{component['factory']}' cannot be called"
    for skill in registry.every_skill:
        if skill.plugin == record.name and skill.distribution == record.distribution and skill.entry and not registry.missing_extra(skill):
            function = yield from _loaded(skill.entry, f"skill '{skill.name}'")
            if function is not None and not callable(function):
                yield f"skill '{skill.name}': '{skill.entry}' cannot be called"


_KINDS = {"realitygap_register_readers": "reader", "realitygap_register_executors": "executor"}
"""Kind of the components that a hook of their own registers."""


def _registrations(record: PluginRecord, registry: Registry) -> Iterator[str]:
    components = {(one["kind"], one["name"]) for one in record.components}
    declared: dict[str, set[Any]] = {
        "realitygap_register_checks": set(record.checks),
        "realitygap_register_commands": set(record.commands),
        "realitygap_register_components": components,
        **{hook: {one for one in components if one[0] == kind} for hook, kind in _KINDS.items()},
    }
    registered: dict[str, set[Any]] = {}
    for hook in record.hooks:
        if not hook.startswith("realitygap_register_"):
            continue
        calls = [call for other, call in registry.host.collect(hook, only=record.name) if other is record]
        if record.state == "error":
            yield record.error or f"hook {hook} failed"
            return
        if hook == "realitygap_register_checks":
            registered[hook] = {prefix for prefix, _ in calls}
        elif hook == "realitygap_register_commands":
            registered[hook] = {command.name for (command,) in calls}
        else:
            named = [(_KINDS[hook], *call) for call in calls] if hook in _KINDS else calls
            registered[hook] = {(call[0], call[1]) for call in named}
            yield from _same_factories(record, named)
    # A reader is a component too, and may come by either hook.
    if "realitygap_register_components" in registered:
        registered["realitygap_register_components"].update(*(registered.get(hook, ()) for hook in _KINDS))
    for hook, names in registered.items():
        wanted = declared[hook]
        for name in sorted(wanted - names, key=str):
            yield f"plugin.yaml declares {_shown(name)}, which {hook} does not register"
        for name in sorted(names - wanted, key=str):
            yield f"{hook} registers {_shown(name)}, which plugin.yaml does not declare"


def _same_factories(record: PluginRecord, calls: list[tuple[Any, ...]]) -> Iterator[str]:
    factories = {(one["kind"], one["name"]): one["factory"] for one in record.components}
    for kind, name, factory in calls:
        declared = factories.get((kind, name))
        if declared is None:
            continue
        expected = declared if isinstance(factory, str) else (yield from _loaded(declared, f"{kind} '{name}'"))
        if expected is not None and factory is not expected and factory != expected:
            yield f"{kind} '{name}': the hook registers another factory than '{declared}'"


def _loaded(path: str, what: str) -> Generator[str, None, Any]:
    """Yields what is wrong; returns the object, or None."""
    try:
        return load_object(path)
    except Exception as error:
        yield f"{what}: {error}"
        return None


def _shown(name: Any) -> str:
    return f"{name[0]} '{name[1]}'" if isinstance(name, tuple) else f"'{name}'"
