"""What commands write: tables that fit, one JSON document, colour where it is wanted."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any

import click

from realitygap.cli.program import use_color
from realitygap.discovery import Registry
from realitygap.errors import Explained

__all__ = ["SkillName", "echo", "echo_json", "styled", "table", "warn_broken"]


def echo(text: str = "", *, err: bool = False) -> None:
    """Writes a line; styles are dropped where colour is not wanted."""
    click.echo(text, err=err, color=use_color(sys.stderr if err else sys.stdout))


def echo_json(value: Any) -> None:
    """Writes one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def styled(text: str, **style: Any) -> str:
    return click.style(text, **style)


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = (), *, stretch: int = -1) -> list[str]:
    """Lines with aligned columns. On a terminal the column `stretch` is cut to fit; in a pipe there is no header and nothing is cut."""
    terminal = sys.stdout.isatty()
    shown = [list(header), *map(list, rows)] if header and terminal else [list(row) for row in rows]
    if not shown:
        return []
    columns = len(shown[0])
    stretch %= columns
    widths = [max(len(row[column]) for row in shown) for column in range(columns)]
    if terminal:
        room = _columns() - sum(widths) + widths[stretch] - 2 * (columns - 1)
        widths[stretch] = max(20, min(widths[stretch], room))
        for row in shown:
            if len(row[stretch]) > widths[stretch]:
                row[stretch] = row[stretch][: widths[stretch] - 1] + "…"
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]
    if header and terminal:
        lines[0] = styled(lines[0], dim=True)
    return lines


def _columns() -> int:
    # shutil has this too, and imports four compressors.
    try:
        return int(os.environ.get("COLUMNS", 0)) or os.get_terminal_size().columns
    except (OSError, ValueError):
        return 100


def warn_broken(registry: Registry) -> None:
    """One line on stderr for what could not be read, so that it is not missed silently."""
    for broken in registry.broken:
        echo(f"{styled('warning', fg='yellow')}: {broken.error.where or broken.path}: {broken.error.message}", err=True)
    for record in registry.plugins.values():
        if record.state == "error" and not any(broken.plugin == record.name for broken in registry.broken):
            echo(f"{styled('warning', fg='yellow')}: {record.label}: {record.error}", err=True)
    if registry.broken or any(record.state == "error" for record in registry.plugins.values()):
        echo("  hint: `skills check` and `skills plugins` say more", err=True)


class SkillName(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Name of a skill; completed from the registry."""

    name = "name"

    def shell_complete(self, context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        try:
            skills = Registry.discover().skills
        except Explained:
            return []
        return [CompletionItem(name, help=skill.summary) for name, skill in sorted(skills.items()) if name.startswith(incomplete)]
