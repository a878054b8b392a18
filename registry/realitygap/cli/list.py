"""`skills list`."""

from __future__ import annotations

import click

from realitygap.cli.listing import write_list


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_skills(as_json: bool) -> None:
    """List the skills."""
    write_list(as_json=as_json)
