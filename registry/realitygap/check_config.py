"""`[tool.realitygap.check]` of the nearest `pyproject.toml`.

[tool.realitygap.check]
select = ["RG", "TRI"]
ignore = ["TRI205"]
warn-as-error = true
baseline = "skills-baseline.json"

[tool.realitygap.check.per-file-ignores]
"skills/legacy-*" = ["TRI"]
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realitygap.document import shown_path
from realitygap.errors import InputError, nearest

_KEYS = ("select", "ignore", "warn-as-error", "baseline", "per-file-ignores")


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """Defaults of the options of `skills check`."""

    path: Path | None = None
    """The file they come from; None where there is none."""
    select: tuple[str, ...] = ()
    """As `--select`."""
    ignore: tuple[str, ...] = ()
    """As `--ignore`."""
    warn_as_error: bool = False
    """As `--warn-as-error`."""
    baseline: Path | None = None
    """As `--baseline`; in the file it is relative to the file's folder."""
    per_file_ignores: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Pattern of paths, relative to the file's folder, and what is not reported there."""


def read_config(start: Path) -> CheckConfig:
    """The configuration of the nearest `pyproject.toml` with such a table, in `start` or above it.

    Raises:
        InputError: the file is no TOML, or the table has a key or a value that it may not have.
    """
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        try:
            raw = path.read_bytes()
        except OSError:
            continue
        # Most projects have no such table, and importing tomllib takes as long as all of the above.
        if b"realitygap" not in raw:
            continue
        table = _table(raw, path)
        if table is not None:
            return _config(table, path)
    return CheckConfig()


def _table(raw: bytes, path: Path) -> Any:
    import tomllib

    try:
        data: Any = tomllib.loads(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"no TOML: {error}", where=shown_path(path)) from None
    for key in ("tool", "realitygap", "check"):
        data = data.get(key) if isinstance(data, dict) else None
    return data


def _config(table: Any, path: Path) -> CheckConfig:
    where = f"{shown_path(path)}, [tool.realitygap.check]"
    if not isinstance(table, dict):
        raise InputError("'tool.realitygap.check' must be a table", where=shown_path(path))
    for key in table:
        if key not in _KEYS:
            close = nearest(key, _KEYS)
            raise InputError(f"unknown key '{key}'", where=where, hint=f"did you mean '{close}'?" if close else f"keys: {', '.join(_KEYS)}")
    if not isinstance(table.get("warn-as-error", False), bool):
        raise InputError("'warn-as-error' must be true or false", where=where)
    baseline = table.get("baseline")
    if baseline is not None and (not isinstance(baseline, str) or not baseline):
        raise InputError("'baseline' must be the name of a file", where=where)
    per_file = table.get("per-file-ignores", {})
    if not isinstance(per_file, dict):
        raise InputError("'per-file-ignores' must be a table of patterns and codes", where=where)
    return CheckConfig(
        path=path,
        select=_texts(table.get("select", []), "select", where),
        ignore=_texts(table.get("ignore", []), "ignore", where),
        warn_as_error=table.get("warn-as-error", False),
        baseline=path.parent / baseline if baseline else None,
        per_file_ignores=tuple((pattern, _texts(value, f"per-file-ignores.{pattern}", where)) for pattern, value in per_file.items()),
    )


def _texts(value: Any, key: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise InputError(f"'{key}' must be a list of codes", where=where, hint='for example ["TRI205", "RG3"]')
    return tuple(value)
