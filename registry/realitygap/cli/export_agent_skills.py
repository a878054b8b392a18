"""`skills export-agent-skills DIR`."""

from __future__ import annotations

from pathlib import Path

import click

from realitygap.cli.skill_name import SkillName
from realitygap.cli.terminal import echo
from realitygap.discovery import Registry


@click.command("export-agent-skills")
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.argument("names", metavar="[NAME]...", nargs=-1, type=SkillName())
def export_agent_skills(directory: Path, names: tuple[str, ...]) -> int:
    """Write the guides of the skills as Agent Skills, one folder each below DIR.

    Assistants that read Agent Skills find them there, for example in .claude/skills. Without a NAME all are written; an earlier export is
    replaced. Exit code 1 where a skill that was named has no guide that conforms.
    """
    from realitygap.agent_skills import export

    done = export(Registry.discover(), directory, names)
    for name in done.written:
        echo(f"{directory / name}")
    for name, reason in done.left_out:
        click.echo(f"left out  {name}: {reason}", err=True)
    return int(bool(names and done.left_out))
