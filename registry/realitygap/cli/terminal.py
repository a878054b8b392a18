"""What commands write: tables that fit, one JSON document, errors, colour where it is wanted.

Without click, which `skills list` does not import.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from typing import Any

from realitygap.discovery import Registry
from realitygap.errors import Explained, one_line

_STYLES = {"bold": 1, "dim": 2, "red": 31, "green": 32, "yellow": 33, "cyan": 36}


class Color:
    choice = "auto"
    """What `--color` says."""


def use_color(stream: Any) -> bool:
    """`--color`, else NO_COLOR, else CLICOLOR_FORCE or FORCE_COLOR, else whether the stream is a terminal."""
    if Color.choice != "auto":
        return Color.choice == "always"
    if os.environ.get("NO_COLOR"):
        return False
    if any(os.environ.get(name, "0") != "0" for name in ("CLICOLOR_FORCE", "FORCE_COLOR")):
        return True
    return bool(stream.isatty())


def echo(text: str = "", *, err: bool = False) -> None:
    """Writes text; styles are dropped where colour is not wanted, and what else would drive the terminal is escaped."""
    stream = sys.stderr if err else sys.stdout
    color = use_color(stream)

    def shown(match: re.Match[str]) -> str:
        return one_line(match[0]) if len(match[0]) == 1 else match[0] if color else ""

    lines = text.expandtabs().split("\n")
    # A style has a character that is not printable too.
    print("\n".join(line if line.isprintable() else re.sub(r"\x1b\[\d+m|[^ -~]", shown, line) for line in lines), file=stream, flush=True)


def warn(message: str) -> None:
    """One line on stderr."""
    echo(f"{styled('warning', 'yellow')}: {one_line(message)}", err=True)


def complain(error: Explained) -> None:
    """One clear line on stderr, with the place and what to do. What the user gave stands in it and cannot drive the terminal."""
    place = f"{error.where}: " if error.where else ""
    echo(f"{styled('error', 'red', 'bold')}: {one_line(place + error.message)}", err=True)
    for line in getattr(error, "snippet", ()):
        echo(line, err=True)
    if error.hint:
        echo(f"  hint: {one_line(error.hint)}", err=True)


def echo_json(value: Any) -> None:
    """Writes one JSON document."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def styled(text: str, *styles: str) -> str:
    """The text in `bold`, `dim`, or a colour."""
    return "".join(f"\x1b[{_STYLES[name]}m" for name in styles) + text + ("\x1b[0m" if styles else "")


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
        lines[0] = styled(lines[0], "dim")
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
        warn(f"{broken.error.where or broken.path}: {broken.error.message}")
    for record in registry.plugins.values():
        if record.state == "error" and not any(broken.plugin == record.name for broken in registry.broken):
            warn(f"{record.label}: {record.error}")
    if registry.broken or any(record.state == "error" for record in registry.plugins.values()):
        echo("  hint: `skills check` and `skills plugins` say more", err=True)
