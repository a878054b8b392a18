"""`skills doctor`."""

from __future__ import annotations

import click

from realitygap.cli.terminal import echo, echo_json, styled


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=1), default=60.0, show_default=True, help="Seconds to wait for the devices of jax."
)
def doctor(as_json: bool, timeout_s: float) -> int:
    """Check this installation. Exit code 1 where something is broken."""
    from realitygap.doctor import examine

    diagnosis = examine(timeout_s=timeout_s)
    if as_json:
        echo_json(diagnosis.to_json())
    else:
        marks = {"ok": styled("ok     ", "green"), "note": "note   ", "broken": styled("broken ", "red", "bold")}
        for item in diagnosis.items:
            echo(f"{marks[item.state]} {item.name:<12} {item.text}")
            if item.hint:
                echo(f"        {'':<12} hint: {item.hint}")
    return int(diagnosis.broken)
