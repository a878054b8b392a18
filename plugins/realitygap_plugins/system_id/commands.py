"""Command `skills init-robot`: from a model and a log to a drafted mapping."""

from __future__ import annotations

import os
from pathlib import Path

import click

from realitygap.errors import InputError


@click.command("init-robot")
@click.argument("model", type=click.Path(path_type=Path))
@click.argument("log", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), default=Path("mapping.yaml"), show_default=True, help="Where the mapping goes."
)
@click.option("--format", "form", help="Format of the log, where its extension does not tell.")
@click.option("--force", is_flag=True, help="Overwrite the output.")
def init_robot(model: Path, log: Path, output: Path, form: str | None, force: bool) -> None:
    """Draft the mapping from the columns of LOG to the joints and actuators of MODEL (MJCF or URDF).

    LOG is a CSV, Parquet, NPZ or HDF5 file, or a folder of them. Every guess is marked `guess: true` and says why; nothing is overwritten
    without --force.
    """
    # Imported here: the simulator takes a second to load, and `--help` needs none of it.
    from realitygap.discovery import Registry
    from realitygap_core.errors import CoreError
    from realitygap_core.importing import import_recording
    from realitygap_core.opening import readers_of, summarise_findings
    from realitygap_core.readers import read_table
    from realitygap_core.robot import Robot
    from realitygap_plugins.system_id.drafting import draft_mapping

    if output.exists() and not force:
        raise InputError(f"'{output}' exists", where=str(output), hint="choose another name with -o, or overwrite it with --force")
    if not output.parent.is_dir():
        raise InputError(f"no folder '{output.parent}'", where=str(output), hint="make it first")
    try:
        robot = Robot.load(model)
        readers = readers_of(Registry.discover().catalog, lambda line: click.echo(f"warning: {line}", err=True))
        tables = read_table(log, format=form, readers=readers)
        draft = draft_mapping(tables, robot, name=log.stem or log.resolve().name, model=os.path.relpath(model, output.parent), form=form)
    except CoreError as error:
        raise InputError(error.message, where=error.where, hint=error.hint) from error
    _write(output, draft.text)
    rows = [
        (entry.column, str(entry.keys.get("actuator") or entry.keys.get("joint")), str(entry.keys["unit"]), entry.reason)
        for entry in draft.entries
    ]
    widths = [max(len(row[index]) for row in rows) for index in range(3)]
    click.echo(f"{output}: {len(rows)} of {len(rows) + len(draft.unmapped)} columns mapped, all marked as guesses")
    for row in rows:
        click.echo("  " + "  ".join(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)) + "  " + row[3])
    if draft.unmapped:
        click.echo(f"not mapped: {', '.join(draft.unmapped)}")
    for note in (*robot.notes, *draft.notes):
        click.echo(f"open: {note}")
    try:
        recording = import_recording(log, draft.document, robot, readers=readers)
    except CoreError as error:
        click.echo(f"the log does not import yet: {error.message}" + (f"\n  hint: {error.hint}" if error.hint else ""))
    else:
        for line in summarise_findings(recording):
            click.echo(line)
    click.echo("check units, signs and zero positions in that file, then:")
    click.echo(f"  skills run replay-recording -i model={model} -i recording={log} -i mapping={output}")


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"cannot write '{path}': {error.strerror or error}", where=str(path)) from error
