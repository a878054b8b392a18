"""`skills check [PATH]`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from realitygap.cli.terminal import echo, styled
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.findings import FORMATS


@click.command("check")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="By default `full`, and `github` in a GitHub workflow.")
@click.option(
    "--kind", type=click.Choice(["skill", "pipeline", "plugin", "task", "domain", "mapping"]), help="What a file is, where nothing tells."
)
@click.option("--warn-as-error", is_flag=True, help="Exit with 1 also where there are only warnings.")
def check(paths: tuple[str, ...], form: str | None, kind: Any, warn_as_error: bool) -> int:
    """Check manifests, guides, pipelines, triads and documents.

    PATH is a folder, a skill.yaml, SKILL.md or plugin.yaml, or a task, domain or mapping file; without one everything installed is
    checked. Nothing that is checked is imported. Exit code 0 without findings of severity error, 1 with some, 2 where PATH does not exist.
    """
    from realitygap.check import check_paths, check_registry

    registry = Registry.discover()
    if "" in paths:
        # `Path("")` is the working directory.
        raise InputError("a path is empty", hint="without a path, everything installed is checked")
    report = check_paths([Path(one) for one in paths], registry, kind) if paths else check_registry(registry)
    form = form or ("github" if os.environ.get("GITHUB_ACTIONS") == "true" else "full")
    text = FORMATS[form](report.findings, report.summary)
    if form in ("full", "concise"):
        echo(text.replace(": error ", f": {styled('error', 'red', 'bold')} ").replace(": warning ", f": {styled('warning', 'yellow')} "))
    else:
        print(text)
    return int(bool(report.summary["errors"] or (warn_as_error and report.summary["warnings"])))
