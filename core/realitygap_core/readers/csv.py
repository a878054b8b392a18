"""CSV logs: a header row, one row a sample; delimiter and decimal comma are found out.

Cells stay what they are: a column of numbers becomes float64 with NaN for blank cells, any other column stays text, and only using it as a
channel makes it an error (with its row).
"""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError
from realitygap_core.readers import ExtensionReader, Tables, damaged

_DELIMITERS = (",", ";", "\t", "|")
_DECIMAL_COMMA = re.compile(r"^\s*[+-]?\d+,\d+([eE][+-]?\d+)?\s*$")
_LONG_INTEGER = re.compile(r"^[+-]?\d{15,19}$")
_SAMPLE_LINES = 20


class CsvReader(ExtensionReader):
    """Format `csv`."""

    extensions = (".csv", ".tsv", ".txt")

    def read(self, path: Path) -> Tables:
        """The one table of a CSV file, named like the file.

        Raises:
            CoreError: empty, no header, a repeated column name, not UTF-8 text, or a row with too many or too few cells (by line).
        """
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                first = list(itertools.islice(file, _SAMPLE_LINES))
                skipped = _comments(first)
                sample = [line for line in first[skipped:] if line.strip()]
                if not sample:
                    raise CoreError(f"'{path.name}' is empty", where=str(path), hint="a CSV log has a header row and one row a sample")
                delimiter = _delimiter(sample)
                file.seek(0)
                reader = csv.reader(itertools.islice(file, skipped, None), delimiter=delimiter, skipinitialspace=True)
                header: list[str] = []
                rows: list[list[str]] = []
                for row in reader:
                    cells = row[:-1] if delimiter == " " and row and row[-1] == "" else row
                    if not any(cell.strip() for cell in cells):
                        continue
                    if not header:
                        header = _header(cells, path, skipped + reader.line_num)
                        continue
                    if len(cells) == len(header) + 1 and cells[-1] == "":
                        cells = cells[:-1]  # a delimiter at the end of the line
                    if len(cells) != len(header):
                        line, count = skipped + reader.line_num, f"{len(cells)} cell{'s' if len(cells) > 1 else ''}"
                        raise CoreError(
                            f"'{path.name}', line {line} (row {len(rows)}): {count}, the header has {len(header)}",
                            where=f"{path}:{line}",
                            hint="the file may be truncated there; remove or complete the row",
                        )
                    rows.append(cells)
        except UnicodeDecodeError as error:
            raise CoreError(
                f"'{path.name}' is not UTF-8 text: byte 0x{error.object[error.start]:02x}", where=str(path), hint="save it as UTF-8"
            ) from None
        except (csv.Error, OSError) as error:
            raise damaged(path, "CSV", error) from None
        decimal_comma = delimiter != "," and any(_DECIMAL_COMMA.match(cell) for row in rows[:_SAMPLE_LINES] for cell in row)
        table = {name: _column([row[index] for row in rows], decimal_comma) for index, name in enumerate(header)}
        return {path.stem: table}


def _comments(first: list[str]) -> int:
    """How many comment lines to skip at the top; the last one is the header where numbers follow it, as numpy.savetxt writes it."""
    count = sum(1 for _ in itertools.takewhile(lambda line: line.lstrip().startswith("#"), first))
    followed_by_numbers = count < len(first) and re.match(r"\s*[+-]?\.?\d", first[count]) is not None
    return max(count - 1, 0) if followed_by_numbers or count == len(first) else count


def _delimiter(sample: list[str]) -> str:
    """The delimiter that gives the most cells, the same number in header and body."""
    best, most = ",", 1
    for delimiter in (*_DELIMITERS, " "):
        if delimiter == " " and most > 1:
            break  # spaces beside another delimiter are for the eye
        counts = [len([cell for cell in row if cell]) for row in csv.reader(sample, delimiter=delimiter, skipinitialspace=True)]
        # The header decides; a body that mostly disagrees with it was cut by the wrong character.
        agree = sum(count <= counts[0] for count in counts) / len(counts)
        if counts[0] > most and agree > 0.5:
            best, most = delimiter, counts[0]
    return best


def _header(cells: list[str], path: Path, line: int) -> list[str]:
    names = [cell.strip() for cell in cells]
    names[0] = names[0].lstrip("#").strip()  # as numpy.savetxt writes a header
    if not names[0] and cells[0].strip().startswith("#"):
        names.pop(0)
    while names and not names[-1]:
        names.pop()
    if all(_is_number(name) for name in names):
        raise CoreError(
            f"'{path.name}' has no header: its first row holds only numbers",
            where=f"{path}:{line}",
            hint="add a first row with the column names",
        )
    for index, name in enumerate(names):
        if not name:
            raise CoreError(
                f"'{path.name}': column {index + 1} has no name", where=f"{path}:{line}", hint="name every column in the first row"
            )
        if name in names[:index]:
            raise CoreError(f"'{path.name}': two columns are named '{name}'", where=f"{path}:{line}", hint="give every column its own name")
    return names


def _column(cells: list[str], decimal_comma: bool) -> NDArray[Any]:
    prepared = [cell.strip() for cell in cells]
    if decimal_comma:
        prepared = [cell.replace(",", ".") if _DECIMAL_COMMA.match(cell) else cell for cell in prepared]
    if prepared and all(_LONG_INTEGER.match(cell) for cell in prepared):
        # Time stamps in nanoseconds do not fit a double: the mapping subtracts the first stamp from exact integers.
        with contextlib.suppress(OverflowError):
            return np.asarray([int(cell) for cell in prepared], dtype=np.int64)
    try:
        return np.asarray([float(cell) if cell else np.nan for cell in prepared], dtype=np.float64)
    except ValueError:
        return np.asarray(prepared, dtype=object)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
