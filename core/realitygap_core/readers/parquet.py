"""Parquet logs: one row a sample; list columns of equal length become `name[0]`, `name[1]`, ...; times become seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from realitygap_core.errors import CoreError
from realitygap_core.readers import ExtensionReader, Table, Tables, damaged, spread


class ParquetReader(ExtensionReader):
    """Format `parquet`."""

    extensions = (".parquet", ".pq")

    def read(self, path: Path) -> Tables:
        """The one table of the file, named like the file.

        Raises:
            CoreError: truncated, damaged, or two columns of one name.
        """
        table: Table = {}
        try:
            names = pq.read_schema(path).names
            if twice := next((name for index, name in enumerate(names) if name in names[:index]), None):
                raise CoreError(f"'{path.name}': two columns are named '{twice}'", where=str(path), hint="give every column its own name")
            arrow = pq.read_table(path)
            for name, column in zip(arrow.column_names, arrow.columns, strict=True):
                spread(name, _array(column), table, path=path)
        except CoreError:
            raise
        except Exception as error:  # pyarrow raises its own errors, OSError, and ValueError for shapes
            raise damaged(path, "Parquet", error) from None
        return {path.stem: table}


def _array(column: pa.ChunkedArray) -> NDArray[np.generic]:
    kind = column.type
    if pa.types.is_dictionary(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return np.asarray(column.to_pylist(), dtype=object)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        rows = column.to_pylist()
        if len({len(row) for row in rows if row is not None}) > 1 or any(row is None for row in rows):
            return np.asarray([str(row) for row in rows], dtype=object)
        return np.asarray(rows, dtype=np.float64)
    if pa.types.is_boolean(kind):
        return np.asarray([np.nan if value is None else float(value) for value in column.to_pylist()])
    return np.asarray(column.to_numpy())
