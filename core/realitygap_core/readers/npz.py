"""NPZ logs: keys `<log>/<channel>`, arrays 1-D or more (`channel[0]`, ...); a key without a slash belongs to a log named like the file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.readers import ExtensionReader, Tables, damaged, not_numbers, spread

MAX_BYTES = 8 << 30
"""Largest uncompressed size that is read, so that a hostile file cannot fill the memory."""


class NpzReader(ExtensionReader):
    """Format `npz`."""

    extensions = (".npz",)

    def read(self, path: Path) -> Tables:
        """All logs of the file, in its order.

        Raises:
            CoreError: truncated, damaged, holds pickled objects or complex numbers, or is larger than `MAX_BYTES` uncompressed.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                size = sum(member.file_size for member in archive.infolist())
            if size > MAX_BYTES:
                raise CoreError(
                    f"'{path.name}' holds {size / 2**30:.1f} GiB of arrays; at most {MAX_BYTES >> 30} are read", where=str(path)
                )
            tables: Tables = {}
            with np.load(path, allow_pickle=False) as file:
                for key in file.files:
                    log, _, channel = key.rpartition("/")
                    try:
                        values = np.asarray(file[key])
                    except ValueError as error:
                        if "allow_pickle" not in str(error):
                            raise
                        raise not_numbers(path, key, "Python objects (never loaded)") from None
                    spread(channel, values, tables.setdefault(log or path.stem, {}), path=path)
        except CoreError:
            raise
        except Exception as error:  # a damaged archive fails in zipfile, zlib, struct, or in the header's parser
            raise damaged(path, "NPZ", error) from None
        if not tables:
            raise CoreError(f"'{path.name}' holds no arrays", where=str(path), hint="keys are `<log>/<channel>`")
        return tables
