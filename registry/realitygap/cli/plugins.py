"""`skills plugins`."""

from __future__ import annotations

import click

from realitygap.cli.terminal import complain, echo, echo_json, table, warn
from realitygap.discovery import Registry
from realitygap.errors import Explained
from realitygap.plugin_record import PluginRecord


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--load", is_flag=True, help="Import each plugin, which shows those that cannot be, and hooks that will go.")
@click.option("-v", "--verbose", is_flag=True, help="With the traceback of what failed.")
def plugins(as_json: bool, load: bool, verbose: bool) -> int:
    """List the plugins and their states: found, loaded, disabled or error.

    A plugin is imported when one of its skills runs or one of its hooks is called, not before. Exit code 1 where one is in state error,
    and in strict mode where a list of allowed or denied plugins names one that does not exist.
    """
    registry = Registry.discover(strict=False)
    strict = registry.host.strict
    if load:
        from realitygap.contract import module_records

        # All are shown, also those after the first that fails.
        registry.host.strict = False
        for record in module_records(registry):
            registry.host.load(record.name)
    records = list(registry.plugins.values())
    failed = any(record.state == "error" for record in records) or (strict and bool(registry.unmatched))
    if as_json:
        echo_json([record.to_json() for record in records])
    else:
        for line in table([_row(record) for record in records], ("NAME", "STATE", "VERSION", "DISTRIBUTION", "HOOKS", "SKILLS", "ERROR")):
            echo(line)
    for record in () if as_json else records:
        if record.state == "error":
            complain(Explained(f"{record.label}: {record.error}", hint=record.remedy))
            if verbose and record.traceback:
                echo(record.traceback.rstrip(), err=True)
        for note in (*record.notes, *record.deprecations):
            warn(f"{record.label}: {note}")
    for name in registry.unmatched:
        warn(f"no plugin and no distribution is called '{name}', which is named as allowed or denied")
    for conflict in () if as_json else registry.conflicts:
        warn(f"{conflict.error().message}; reachable: {conflict.reachable}")
    return int(failed)


def _row(record: PluginRecord) -> tuple[str, ...]:
    hooks = ", ".join(hook.removeprefix("realitygap_") for hook in record.hooks)
    return (
        record.name,
        record.state,
        record.version,
        record.distribution,
        hooks or "-",
        str(len(record.skills)),
        record.error or "",
    )
