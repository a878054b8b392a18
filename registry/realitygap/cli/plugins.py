"""`skills plugins`."""

from __future__ import annotations

import click

from realitygap.cli.terminal import complain, echo, echo_json, table, warn
from realitygap.discovery import Registry
from realitygap.errors import Explained


@click.command("plugins")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--load", is_flag=True, help="Import each plugin, which shows those that cannot be.")
@click.option("-v", "--verbose", is_flag=True, help="With the traceback of what failed.")
def plugins(as_json: bool, load: bool, verbose: bool) -> int:
    """List the plugins and their states: found, loaded, disabled or error.

    A plugin is imported when one of its skills runs or one of its hooks is called, not before. Exit code 1 where one is in state error.
    """
    registry = Registry.discover()
    if load:
        from realitygap.contract import module_records

        for record in module_records(registry):
            registry.host.load(record.name)
    records = registry.plugins.values()
    failed = any(record.state == "error" for record in records)
    if as_json:
        echo_json([record.to_json() for record in records])
        return int(failed)
    rows = [
        (
            record.name,
            record.state,
            f"{record.distribution} {record.version}",
            ", ".join([*record.skills, *record.commands]) or record.summary,
        )
        for record in records
    ]
    for line in table(rows, ("NAME", "STATE", "FROM", "GIVES")):
        echo(line)
    for record in records:
        if record.state == "error":
            complain(Explained(f"{record.label}: {record.error}", hint=record.remedy))
            if verbose and record.traceback:
                echo(record.traceback.rstrip(), err=True)
        for note in record.notes:
            warn(f"{record.label}: {note}")
    for conflict in registry.conflicts:
        warn(f"{conflict.error().message}; reachable: {conflict.reachable}")
    return int(failed)
