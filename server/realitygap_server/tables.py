"""Tables among the files of a run, as rows: CSV, JSON lines, Parquet. Each is read in windows of rows."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

from realitygap.errors import InputError
from realitygap_server.artifacts import LARGEST_WINDOW
from realitygap_server.sizes import clipped, cost

SEPARATORS = {".csv": ",", ".tsv": "\t"}
LINES = (".jsonl", ".ndjson")
PARQUET = ".parquet"
MOST_ROWS = 500
_LONGEST_CELL = 500
_PARQUET_PATIENCE_S = 30


@dataclass(frozen=True, kw_only=True)
class Table:
    """A window of a table."""

    columns: list[str]
    """Empty for JSON lines, whose rows name their own."""
    rows: list[Any]
    """Lists, in the order of `columns`; for JSON lines the values of the lines."""
    offset: int
    """Number of the first row, from 0; the header is none."""
    next_offset: int | None
    """Where the next window begins, None at the end."""


def is_table(path: Path) -> bool:
    return path.suffix.lower() in (*SEPARATORS, *LINES, PARQUET)


def read(path: Path, *, offset: int, limit: int) -> Table | None:
    """The rows from `offset` on that fit into `limit` characters, at least one; of one that no answer has room for its beginning, as text.

    None where the file is not what its name says, or its rows, judged by the first, are too long for an answer: then it is read as text.
    Raises InputError for a Parquet file with such rows.
    """
    suffix = path.suffix.lower()
    try:
        if suffix == PARQUET:
            columns, rows, more = _parquet(path, offset)
            if not _fits(columns, rows):
                raise InputError(f"a row of '{path.name}' is too long for an answer: it has {len(columns)} columns")
            return _window(columns, iter(rows), offset, limit, more=more)
        with path.open(encoding="utf-8", errors="strict", newline="") as file:
            if suffix in LINES:
                lines = (line for line in file if line.strip())
                first = [_parsed(line) for line in islice(lines, 1)]
                if not _fits([], first):
                    return None
                values = chain(first, (_parsed(line) for line in lines))
                return _window([], islice(values, offset, None), offset, limit)
            table = csv.reader(file, delimiter=SEPARATORS[suffix], strict=True)
            columns, begin = next(table, []), list(islice(table, 1))
            if not _fits(columns, begin):
                return None
            cells = ([_cell(one) for one in row] for row in islice(chain(begin, table), offset, None))
            return _window(columns, cells, offset, limit)
    except (ValueError, csv.Error, RecursionError):
        return None


def _window(columns: list[str], rows: Iterator[Any], offset: int, limit: int, *, more: bool = False) -> Table:
    """As many rows as fit. `more`: whether others follow those that are given."""
    kept: list[Any] = []
    used = cost(columns)
    room = LARGEST_WINDOW - used
    for row in rows:
        row = _clipped(row)
        if cost(row) > room:
            row = clipped(json.dumps(row, ensure_ascii=False), room)
        used += cost(row) + 2
        if kept and (used > limit or len(kept) >= MOST_ROWS):
            more = True
            break
        kept.append(row)
    return Table(columns=columns, rows=kept, offset=offset, next_offset=offset + len(kept) if more else None)


def _fits(columns: list[str], rows: list[Any]) -> bool:
    """Whether an answer has room for the header, which may take half of it, and the first of the rows."""
    header = cost(columns)
    return header <= LARGEST_WINDOW // 2 and all(header + cost(_clipped(row)) <= LARGEST_WINDOW for row in rows[:1])


def _cell(text: str) -> Any:
    """A number where the text is one that JSON has too."""
    try:
        value = _parsed(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float) and not isinstance(value, bool) else text


def _parsed(text: str) -> Any:
    """The value of a JSON text; what JSON has no number for, such as NaN, stays text."""
    return json.loads(text, parse_constant=str, parse_float=lambda digits: value if math.isfinite(value := float(digits)) else digits)


def _clipped(value: Any) -> Any:
    if isinstance(value, list):
        return [_clipped(one) for one in value]
    if isinstance(value, dict):
        return {name: _clipped(one) for name, one in value.items()}
    return value[: _LONGEST_CELL - 1] + "…" if isinstance(value, str) and len(value) > _LONGEST_CELL else value


def _parquet(path: Path, offset: int) -> tuple[list[str], list[Any], bool]:
    """(columns, at most `MOST_ROWS` rows, whether others follow), read by a process of its own: the server imports no NumPy.

    Raises:
        ValueError: it is no Parquet file.
        InputError: the reader is not installed, or did not come to an end.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-c", _PARQUET, str(path), str(offset), str(MOST_ROWS)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_PARQUET_PATIENCE_S,
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"'{path.name}' was not read within {_PARQUET_PATIENCE_S} s") from None
    if done.returncode == _MISSING:
        from realitygap.extras import install_line

        raise InputError("reading Parquet needs pyarrow", hint=install_line("sim"))
    answer = json.loads(done.stdout)
    return answer["columns"], answer["rows"], answer["more"]


_MISSING = 7
_PARQUET = f"""
import json, sys
path, offset, most = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
try:
    import pyarrow.parquet as parquet
except ImportError:
    sys.exit({_MISSING})
rows, passed = [], 0
with parquet.ParquetFile(path) as file:
    columns = file.schema_arrow.names
    for batch in file.iter_batches(batch_size=4096):
        begin = max(offset - passed, 0)
        passed += len(batch)
        if begin < len(batch):
            part = batch.slice(begin, most + 1 - len(rows)).to_pydict()
            rows += [[part[name][i] for name in columns] for i in range(len(part[columns[0]]) if columns else 0)]
        if len(rows) > most:
            break
finite = lambda x: str(x) if isinstance(x, float) and x - x != 0 else x
rows, more = [[finite(x) for x in row] for row in rows[:most]], len(rows) > most
json.dump({{"columns": columns, "rows": rows, "more": more}}, sys.stdout, default=str)
"""
