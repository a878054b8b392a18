"""`skills new NAME`."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from realitygap.cli.terminal import echo
from realitygap.discovery import Registry
from realitygap.scaffold.names import KINDS, checked


@click.command("new")
@click.argument("name")
@click.option("--kind", type=click.Choice(KINDS), default="skill", show_default=True, help="What the package brings.")
@click.option("--directory", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where its folder goes; here by default.")
def new(name: str, kind: str, directory: Path) -> int:
    """Write a plugin: a typed, tested package that can be published as it is.

    NAME is lower case words joined by hyphens, such as joint-speed; the package goes into a new folder realitygap-NAME. Nothing that is
    there is overwritten. Every kind brings a skill: one of kind skill or pipeline is called NAME, the others bring try-NAME, which uses
    what they add. docs/plugins.md says what to do with it.
    """
    from importlib.metadata import version

    from realitygap.scaffold.write import first_run, write

    names = checked(name, kind, Registry.discover())
    folder = write(names, directory, version("realitygap"))
    files = sum(path.is_file() for path in folder.rglob("*"))
    echo(f"{folder}: {kind} '{name if kind == 'pipeline' or kind == 'skill' else names.component}', {files} files. Next:")
    echo(f"  cd {shlex.quote(os.fspath(folder))}")
    echo('  pip install -e ".[dev]"')
    echo("  pytest")
    echo(f"  skills run {first_run(names)}")
    return 0
