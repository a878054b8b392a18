"""Plugins: what `plugin.yaml` says against what is there, without importing the plugin. Rules RG5xx of `rules.yaml`."""

from __future__ import annotations

from collections.abc import Iterator

from realitygap import assets, components, static_names
from realitygap.deprecation import deprecations
from realitygap.discovery import Registry, settle
from realitygap.document import Document, load, shown_path
from realitygap.errors import InputError, nearest
from realitygap.findings import Finding
from realitygap.hooknames import HOOKS, REMOVED
from realitygap.plugin_record import PluginRecord, api_trouble
from realitygap.rules import FILE
from realitygap.schema import problems, validate
from realitygap.skill_check import entry_finding


def check_plugin(record: PluginRecord, document: Document) -> Iterator[Finding]:
    """Findings of one plugin.yaml, none of which imports the plugin."""
    invalid = validate(document, "plugin")
    yield from invalid
    yield from _rule_table(record)
    if invalid:
        return
    data = document.data
    if too_far := api_trouble(data["api"], record.distribution):
        yield Finding.at(document, "/api", "RG509", too_far[0], hint=too_far[1])
    for number, hook in enumerate(data.get("hooks", ())):
        yield from _hook(document, f"/hooks/{number}", hook)
    if data.get("hooks"):
        wrong = static_names.trouble(f"{record.module}:__name__", document.path.parent if document.path else None)
        if wrong and "has no '__name__'" not in wrong[0]:
            yield Finding.at(document, "/module" if "module" in data else "/hooks", "RG502", wrong[0], hint=wrong[1])
    for name, entry in record.commands.items():
        yield from entry_finding(document, f"/commands/{name}", entry, "RG502")
    for number, component in enumerate(record.components):
        yield from entry_finding(document, f"/components/{number}/factory", component["factory"], "RG502")
        if component["kind"] not in components.KINDS:
            close = nearest(component["kind"], components.KINDS)
            message = f"nothing here uses components of kind '{component['kind']}'"
            hint = f"did you mean '{close}'?" if close else f"kinds in use: {', '.join(components.KINDS)}"
            yield Finding.at(document, f"/components/{number}/kind", "RG506", message, hint=hint, severity="warning")
        for name, schema in component.get("parameters", {}).items():
            for problem in problems(schema["default"], schema) if "default" in schema else ():
                pointer = f"/components/{number}/parameters/{name}/default{problem.pointer}"
                yield Finding.at(document, pointer, "RG507", f"default of '{name}': {problem.message}", hint=problem.hint)
    for kind, places in record.assets.items():
        for name, place in places.items():
            path = assets.resolve(place, record)
            if path is None or not path.exists():
                yield Finding.at(document, f"/assets/{kind}/{name}", "RG504", f"there is no {kind} at '{place}'")


def _hook(document: Document, pointer: str, hook: str) -> Iterator[Finding]:
    if hook in REMOVED:
        yield Finding.at(document, pointer, "RG503", f"hook '{hook}' is gone", hint=REMOVED[hook])
    elif hook not in HOOKS:
        close = nearest(hook, HOOKS)
        hint = f"did you mean '{close}'?" if close else f"there are: {', '.join(HOOKS)}"
        yield Finding.at(document, pointer, "RG503", f"unknown hook '{hook}'", hint=hint)
    else:
        # What the specifications say of a hook is known without importing the plugin; which arguments it takes is not.
        from realitygap import hookspecs

        for text in deprecations(hookspecs, hook):
            yield Finding.at(document, pointer, "RG511", text, severity="warning", hint="docs/hooks.md says how hooks go")


def _rule_table(record: PluginRecord) -> Iterator[Finding]:
    """What is wrong with the plugin's rules.yaml, if it has one."""
    path = record.directory / FILE if record.directory else None
    if path is None or not path.is_file():
        return
    try:
        document = load(path)
    except InputError as error:
        line, column = getattr(error, "line", 1), getattr(error, "column", 1)
        rule = getattr(error, "rule", "") or "RG009"
        yield Finding(rule=rule, message=error.message, path=shown_path(path), line=line, column=column, hint=error.hint)
        return
    invalid = validate(document, "rules")
    yield from invalid
    for code in document.data["rules"] if not invalid else ():
        if not code.startswith(record.checks):
            hint = f"prefixes: {', '.join(record.checks)}" if record.checks else "list its prefix under `checks` in plugin.yaml"
            message = f"'{code}' begins with no prefix that plugin.yaml lists under 'checks'"
            yield Finding.at(document, f"/rules/{code}", "RG512", message, hint=hint, key=True)


def state_findings(registry: Registry, *, as_warning: bool) -> Iterator[Finding]:
    """A finding for each plugin that cannot be used."""
    for record in registry.plugins.values():
        if record.state == "error" and not any(
            broken.plugin == record.name and broken.path == record.manifest for broken in registry.broken
        ):
            yield Finding(
                rule="RG501",
                message=f"{record.label}: {record.error}",
                path=shown_path(record.manifest) if record.manifest and record.manifest.is_file() else "",
                hint=record.remedy,
                severity="warning" if as_warning else "error",
            )


def name_findings(registry: Registry) -> Iterator[Finding]:
    """Findings for names of commands, components and assets that several distributions claim."""
    from realitygap.cli.commands import COMMANDS

    active = registry.active_plugins
    own = [(name, "realitygap", "") for name in COMMANDS]
    conflicts = list(registry.catalog.conflicts)
    conflicts += settle("command", own + [(name, one.distribution, "") for one in active for name in one.commands])[1]
    for kind in assets.KINDS:
        conflicts += settle(kind, [(name, one.distribution, "") for one in active for name in one.assets.get(kind, ())])[1]
    for conflict in conflicts:
        who = " and ".join(conflict.claimed_by)
        message = f"{conflict.kind} '{conflict.name}' is claimed by {who}"
        yield Finding(
            rule="RG505", message=message, severity="error" if conflict.builtin else "warning", hint=f"reachable as {conflict.reachable}"
        )
