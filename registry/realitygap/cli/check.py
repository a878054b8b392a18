"""`skills check [PATH]`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from realitygap.cli.terminal import complain, echo, styled, use_color
from realitygap.discovery import Registry
from realitygap.errors import InputError, one_line
from realitygap.formats import FORMATS, Outcome
from realitygap.schema import KINDS

if TYPE_CHECKING:
    from realitygap.fixing import Change


@click.command("check")
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--format", "form", type=click.Choice(list(FORMATS)), help="By default `full`, and `github` in a GitHub workflow.")
@click.option("--output", metavar="FILE", help="Write the findings to a file instead; stdout has the total.")
@click.option("--select", multiple=True, metavar="CODES", help="Only these rules: codes and prefixes with commas between, such as TRI,RG3.")
@click.option("--ignore", multiple=True, metavar="CODES", help="Not these rules. The longer of two that fit decides.")
@click.option("--baseline", "baseline_file", metavar="FILE", help="Known findings, which do not count.")
@click.option("--write-baseline", is_flag=True, help="Write what is found into the baseline, and exit with 0.")
@click.option("--warn-as-error", is_flag=True, help="Exit with 1 also where there are only warnings.")
@click.option("--fix", is_flag=True, help="Show as a diff what can be mended safely, and mend it; then check.")
@click.option("--diff", "diff_only", is_flag=True, help="Show what --fix would do, and do nothing; exit code 1 if something.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask on a terminal before --fix writes.")
@click.option("--kind", type=click.Choice(KINDS), help="What a file is, where nothing tells.")
def check(
    paths: tuple[str, ...],
    form: str | None,
    output: str | None,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    baseline_file: str | None,
    write_baseline: bool,
    warn_as_error: bool,
    fix: bool,
    diff_only: bool,
    yes: bool,
    kind: Any,
) -> int:
    """Check manifests, guides, pipelines, triads and documents.

    PATH is a folder, a skill.yaml, SKILL.md or plugin.yaml, or a task, domain or mapping file; without one everything installed is
    checked. Nothing that is checked is imported. Exit code 0 without findings of severity error, 1 with some, 2 for a wrong PATH or option.

    `[tool.realitygap.check]` of the nearest pyproject.toml gives defaults for --select, --ignore, --baseline and --warn-as-error.
    `skills rule CODE` explains a rule.
    """
    from realitygap.check_config import read_config
    from realitygap.linting import CheckOptions, lint
    from realitygap.rule_selection import codes

    if "" in (*paths, baseline_file, output):
        # `Path("")` is the working directory.
        raise InputError("a path is empty", hint="without a path, everything installed is checked")
    given = [Path(one) for one in paths]
    options = CheckOptions.of(
        read_config(Path.cwd()),
        select=codes(select),
        ignore=codes(ignore),
        baseline_file=Path(baseline_file) if baseline_file else None,
        write_baseline=write_baseline,
        warn_as_error=warn_as_error,
    )
    if write_baseline and options.baseline is None:
        raise InputError("--write-baseline needs --baseline FILE", hint="or `baseline = ...` in [tool.realitygap.check] of pyproject.toml")
    for file in (Path(output) if output else None, options.baseline if write_baseline else None):
        if file is not None:
            from realitygap.workspace import require_place

            require_place(file)
    form = form or ("github" if os.environ.get("GITHUB_ACTIONS") == "true" else "full")
    if fix or diff_only:
        changed = _fix(
            given, write=fix and not diff_only, ask=not yes, to_stderr=not diff_only and form not in ("full", "concise") and not output
        )
        if diff_only:
            return int(changed)
    outcome = lint(given, Registry.discover(), options, kind)
    _show(outcome, FORMATS[form](outcome), form, output)
    return int(outcome.failed)


def _show(outcome: Outcome, text: str, form: str, output: str | None) -> None:
    from realitygap.findings import total

    if output:
        from realitygap.workspace import write_where_told

        try:
            write_where_told(Path(output), text.encode("utf-8", "backslashreplace").decode("utf-8") + "\n")
        except OSError as error:
            raise InputError(f"cannot be written: {error.strerror}", where=output) from None
        echo(total(outcome.summary))
    elif form in ("full", "concise"):
        echo(text.replace(": error ", f": {styled('error', 'red', 'bold')} ").replace(": warning ", f": {styled('warning', 'yellow')} "))
    else:
        print(text)
    if form == "github":
        from realitygap.job_summary import append_summary

        try:
            append_summary(outcome)
        except InputError as error:
            # What was found is said already, and decides.
            complain(error)


def _fix(paths: list[Path], *, write: bool, ask: bool, to_stderr: bool) -> bool:
    """Shows what can be mended, and mends it where that is wanted; whether there was something."""
    from realitygap import fixing
    from realitygap.check import files_of

    if not paths:
        raise InputError("--fix and --diff need a PATH", hint="what is installed is not theirs to change; `.` is this folder")
    changes = fixing.propose(files_of(paths))
    for change in changes:
        for line in fixing.unified_diff(change) if change.done else ():
            _show_line(line, sys.stderr if to_stderr else sys.stdout)
        for number, why in change.left:
            echo(one_line(f"{change.shown}:{number}: left alone: {why}"), err=True)
    wanted = [one for one in changes if one.done]
    if not wanted or not write:
        return bool(wanted)
    if ask and sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty() and not _agreed(wanted):
        echo("nothing was changed", err=True)
        return True
    for one in wanted:
        fixing.write(one)
        echo(one_line(f"{one.shown}: {', '.join(one.done)}"), err=True)
    return True


def _agreed(changes: list[Change]) -> bool:
    files = "1 file" if len(changes) == 1 else f"{len(changes)} files"
    return click.confirm(f"Change {files}?", default=False, err=True)


def _show_line(line: str, stream: TextIO) -> None:
    """A line of a diff: as it is where a program reads it, so that it can be applied, else so that it drives nothing."""
    if os.environ.get("GITHUB_ACTIONS") == "true":
        # A line of context could be a command to the runner.
        line = f"| {line}"
    elif not stream.isatty() and not use_color(stream):
        print(line, file=stream)
        return
    echo(_coloured(one_line(line.expandtabs())), err=stream is sys.stderr)


def _coloured(line: str) -> str:
    if line.startswith(("+++", "---")):
        return styled(line, "bold")
    return styled(line, "green") if line.startswith("+") else styled(line, "red") if line.startswith("-") else line
