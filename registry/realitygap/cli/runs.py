"""`skills runs`: list, show, cancel, resume and prune runs."""

from __future__ import annotations

import time

import click

from realitygap.cli.terminal import echo, echo_json, styled, table
from realitygap.errors import InputError, one_line
from realitygap.runs import RunStatus, RunStore

_COLORS = {"done": "green", "failed": "red", "running": "cyan", "cancelled": "yellow", "interrupted": "yellow"}


@click.group("runs", invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.pass_context
def runs(context: click.Context, as_json: bool) -> None:
    """List, show, cancel, resume and prune runs. ID is an id, a beginning of one that is unique, or `last`."""
    if context.invoked_subcommand is None:
        _list(as_json)


@runs.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def list_runs(as_json: bool) -> None:
    """List the runs of this workspace, newest first."""
    _list(as_json)


@runs.command("show")
@click.argument("run_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def show(run_id: str, as_json: bool) -> None:
    """Show where a run stands: its steps, their results, its report."""
    store = RunStore()
    status = store.get(run_id)
    if as_json:
        ended = status.state != "running"
        echo_json(status.to_json() | ({"result": store.result(status.id)} if ended else {}))
        return
    state = styled(status.state, _COLORS[status.state])
    echo(f"{styled(status.id, 'bold')}  {status.skill}  {state}  {_seconds(status.seconds)}".rstrip())
    if status.message:
        echo(f"  {one_line(status.message)}")
    width = max((len(step.id) for step in status.steps), default=0)
    for step in status.steps:
        first, *rest = (step.message or step.summary or "").splitlines() or [""]
        echo(f"  {step.id:<{width}}  {step.state:<9}  {_seconds(step.seconds):>8}  {first}".rstrip())
        for line in rest:
            echo(f"  {'':<{width}}  {'':<9}  {'':>8}  {line}")
    for warning in status.warnings:
        echo(f"  {styled('warning', 'yellow')}: {one_line(warning)}")
    if status.eta is not None:
        echo(f"  about {status.eta:.0f} s left in this step")
    if (status.folder / "report.html").is_file():
        echo(f"report  {status.folder / 'report.html'}")
    if status.state in ("interrupted", "cancelled", "failed"):
        echo(f"  hint: `skills runs resume {status.id}` goes on from the last finished step")


@runs.command("cancel")
@click.argument("run_id", metavar="ID")
def cancel(run_id: str) -> int:
    """Stop a run; it can be resumed."""
    store = RunStore()
    run_id = store.find(run_id)
    store.cancel(run_id)
    status = store.wait(run_id, timeout=5.0)
    echo(f"{run_id}  {status.state}")
    return 0 if status.state != "running" else 3


@runs.command("resume")
@click.argument("run_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
@click.option("--quiet", "-q", is_flag=True, help="No progress.")
@click.option("--detach", is_flag=True, help="Return at once.")
def resume(run_id: str, as_json: bool, quiet: bool, detach: bool) -> int:
    """Go on with a run that was interrupted, cancelled or failed. Finished steps are not repeated."""
    handle = RunStore().resume(run_id)
    if detach:
        echo(handle.id)
        return 0
    from realitygap.cli.follow import follow

    return follow(handle, as_json=as_json, quiet=quiet)


@runs.command("prune")
@click.option("--keep", type=click.IntRange(0), metavar="N", help="Keep the newest N runs.")
@click.option("--older-than", type=click.FloatRange(0), metavar="DAYS", help="Remove runs older than so many days.")
@click.option("--dry-run", is_flag=True, help="Only say which.")
def prune(keep: int | None, older_than: float | None, dry_run: bool) -> None:
    """Remove runs, and checkpoints that no run is left to go on from. Later runs that used their results have their own copies."""
    if (keep is None) == (older_than is None):
        raise InputError("prune needs either --keep N or --older-than DAYS", hint="skills runs prune --keep 20 --dry-run")
    removed = RunStore().prune(keep=keep, older_than_days=older_than, dry_run=dry_run)
    for run_id in removed:
        echo(run_id)
    echo(f"{'would remove' if dry_run else 'removed'} {len(removed)} run{'' if len(removed) == 1 else 's'}", err=True)


def _list(as_json: bool) -> None:
    found: list[RunStatus] = RunStore().list()
    if as_json:
        names = ("run", "skill", "state", "folder", "created", "seconds", "message")
        echo_json([{name: value for name, value in status.to_json().items() if name in names} for status in found])
        return
    rows = [
        (status.id, status.skill, status.state, _seconds(status.seconds), _age(status.created), (status.message.splitlines() or [""])[0])
        for status in found
    ]
    for line in table(rows, ("RUN", "SKILL", "STATE", "TIME", "AGE", "")):
        echo(line)


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f} s"


def _age(created: float) -> str:
    seconds = max(0.0, time.time() - created)
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
