"""Readers of raw logs: a file or a folder of files to tables of columns, by format.

A reader is made for a path, says whether a file is its format's (`matches`), and reads it (`read`). The built-in ones are `csv`, `parquet`,
`npz` and `hdf5`; a caller adds others by passing `readers`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError, nearest

Table = dict[str, NDArray[Any]]
"""Columns of one log by name, each 1-D; text columns hold `object`. Columns may differ in length (T commands, T + 1 states)."""
Tables = dict[str, Table]
"""Tables by log name; a file that names no logs gives one, named like the file."""


class Reader(Protocol):
    """Reads files of one format."""

    def matches(self, path: Path) -> bool:
        """Whether the file is of this format, by its name or first bytes; must not raise."""
        ...

    def read(self, path: Path) -> Tables:
        """All logs in the file. Raises CoreError when it is damaged or truncated."""
        ...


ReaderFactory = Callable[[Path], Reader]


class ExtensionReader:
    """A reader that knows its files by their extension."""

    extensions: tuple[str, ...] = ()
    """With the dot, in lower case."""

    def __init__(self, path: Path) -> None:
        self.path = path
        """The file or folder that is being imported."""

    def matches(self, path: Path) -> bool:
        return path.suffix.lower() in self.extensions


def builtin_readers() -> dict[str, ReaderFactory]:
    """The readers of this package by format; the libraries behind them load on use."""
    from realitygap_core.readers.csv import CsvReader
    from realitygap_core.readers.hdf5 import Hdf5Reader
    from realitygap_core.readers.npz import NpzReader
    from realitygap_core.readers.parquet import ParquetReader

    return {"csv": CsvReader, "parquet": ParquetReader, "npz": NpzReader, "hdf5": Hdf5Reader}


def read_table(
    path: str | os.PathLike[str],
    *,
    format: str | None = None,  # noqa: A002 - the word that users write
    log_column: str = "log",
    readers: Mapping[str, ReaderFactory] | None = None,
) -> Tables:
    """All logs in a file, or in all files of a folder (searched in depth, logs named by relative path).

    Args:
        path: A file of a known format, or a folder of such files.
        format: Name of the reader, when the file does not tell.
        log_column: A column that names the log of each row; the rows are split by it where a table has it.
        readers: Readers by format, asked before the built-in ones.

    Raises:
        CoreError: no such file, unknown format, or a file that is damaged or truncated (named, with the row where there is one).
    """
    source = Path(path)
    factories = {**(readers or {}), **{name: make for name, make in builtin_readers().items() if name not in (readers or {})}}
    if format is not None and format not in factories:
        close = nearest(format, factories)
        hint = f"did you mean '{close}'?" if close else f"there are: {', '.join(sorted(factories))}"
        raise CoreError(f"no reader for the format '{format}'", hint=hint)
    known = {name: make(source) for name, make in factories.items() if format in (None, name)}
    if source.is_dir():
        files = sorted(file for file in source.rglob("*") if file.is_file() and not _hidden(file, source) and _reader(file, known))
        if not files:
            raise CoreError(f"no log files in '{source}'", where=str(source), hint=f"known formats: {', '.join(sorted(factories))}")
    elif source.is_file():
        files = [source]
    else:
        raise CoreError(f"no file or folder '{source}'", where=str(source), hint="give the path of a log file or of a folder of them")
    tables: Tables = {}
    origins: dict[str, str] = {}
    for file in files:
        reader = known[format] if format else _reader(file, known)
        if reader is None:
            raise CoreError(
                f"'{file.name}' has no known format",
                where=str(file),
                hint=f"known: {', '.join(sorted(factories))}; or say which: `format:` in the mapping",
            )
        read = split_by_column(reader.read(file), log_column, where=str(file))
        prefix = file.relative_to(source).with_suffix("").as_posix() if source.is_dir() else ""
        for log, table in read.items():
            name = log if not prefix else prefix if list(read) == [file.stem] else f"{prefix}/{log}"
            if name in tables:
                raise CoreError(
                    f"log '{name}' comes from two files, '{origins[name]}' and '{file.name}'",
                    where=str(file),
                    hint="rename one of them, or take it out of the folder",
                )
            tables[name], origins[name] = table, file.name
    return tables


def split_by_column(tables: Tables, column: str, *, where: str) -> Tables:
    """Tables with a column of log names are split by it, in order of first appearance; the others stay."""
    out: Tables = {}
    for log, table in tables.items():
        if column not in table:
            out[log] = table
            continue
        labels = [str(int(value)) if isinstance(value, float) and value.is_integer() else str(value) for value in table[column].tolist()]
        for name, values in table.items():
            if len(values) != len(labels):
                raise CoreError(f"column '{name}' has {len(values)} rows, the log column '{column}' has {len(labels)}", where=where)
        label_t = np.asarray(labels, dtype=object)
        for label in dict.fromkeys(labels):
            rows = np.flatnonzero(label_t == label)
            out[label] = {name: values[rows] for name, values in table.items() if name != column}
    return out


def spread(name: str, values: NDArray[Any], into: Table, *, path: Path) -> None:
    """Adds an array to a table: 1-D as it is, more dimensions as one column an entry, `name[0]`, `name[1][2]`; times as seconds.

    Raises:
        CoreError: the array of file `path` holds something else than real numbers or text.
    """
    if values.dtype.kind in "mM":
        seconds = values.astype(f"{values.dtype.kind}8[ns]").astype(np.int64) / 1e9
        values = np.where(np.isnat(values), np.nan, seconds)
    if values.dtype.kind not in "fiubSUO":
        raise not_numbers(path, name, str(values.dtype))
    flat = values.reshape(1) if values.ndim == 0 else values
    if flat.ndim == 1:
        into[name] = flat
        return
    for index in np.ndindex(flat.shape[1:]):
        into[name + "".join(f"[{part}]" for part in index)] = flat[(slice(None), *index)]


def not_numbers(path: Path, name: str, held: str) -> CoreError:
    """The error for a sound file with an array that is of no use."""
    return CoreError(
        f"'{path.name}', column '{name}': holds {held}, not real numbers",
        where=str(path),
        hint="store each quantity as an array of floats or integers",
    )


def damaged(path: Path, kind: str, error: Exception) -> CoreError:
    """The error for a file that its format's library cannot read."""
    lines = str(error).splitlines()
    reason = lines[0] if lines else type(error).__name__
    return CoreError(
        f"'{path.name}' is truncated, damaged or no {kind} file: {reason}", where=str(path), hint="copy it again from where it was recorded"
    )


def _reader(file: Path, known: Mapping[str, Reader]) -> Reader | None:
    return next((reader for reader in known.values() if reader.matches(file)), None)


def _hidden(file: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in file.relative_to(root).parts)
