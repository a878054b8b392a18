"""HDF5 logs: a log is the shallowest group that holds a dataset; what lies deeper in it is named by its path, `obs/joint_pos[0]`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.readers import ExtensionReader, Tables, damaged, spread
from realitygap_core.readers.npz import MAX_BYTES


class Hdf5Reader(ExtensionReader):
    """Format `hdf5`."""

    extensions = (".hdf5", ".h5", ".hdf")

    def read(self, path: Path) -> Tables:
        """All logs of the file; datasets at its root belong to a log named like the file.

        Raises:
            CoreError: truncated, damaged, no datasets, not numbers, data that lies in another file, or larger than `MAX_BYTES`.
        """
        import h5py

        tables: Tables = {}
        try:
            with h5py.File(path, "r") as file:
                datasets: dict[str, Any] = {}
                # `visititems` follows neither soft nor external links. A dataset itself may still lie elsewhere.
                file.visititems(lambda name, item: datasets.update({name: item}) if isinstance(item, h5py.Dataset) else None)
                for name, item in datasets.items():
                    if item.external or item.is_virtual:
                        raise CoreError(
                            f"dataset '{name}' of '{path.name}' is kept outside of it or put together from other datasets",
                            where=str(path),
                            hint="copy the data into the file, as a plain dataset",
                        )
                size = sum(int(item.nbytes) for item in datasets.values())
                if size > MAX_BYTES:
                    raise CoreError(
                        f"'{path.name}' holds {size / 2**30:.1f} GiB of arrays; at most {MAX_BYTES >> 30} are read", where=str(path)
                    )
                groups = {name.rpartition("/")[0] for name in datasets}
                for name, item in datasets.items():
                    log = _shallowest(name, groups)
                    values = np.asarray(item[()])
                    if values.dtype.kind in "SO":
                        values = np.asarray([_text(value) for value in values.ravel()], dtype=object)
                    spread(name[len(log) :].lstrip("/"), values, tables.setdefault(log or path.stem, {}), path=path)
        except CoreError:
            raise
        except Exception as error:  # h5py raises OSError, KeyError, RuntimeError and ValueError for damaged files
            raise damaged(path, "HDF5", error) from None
        if not tables:
            raise CoreError(f"'{path.name}' holds no datasets", where=str(path), hint="a log is a group with one dataset a channel")
        return tables


def _shallowest(name: str, groups: set[str]) -> str:
    parts = name.split("/")[:-1]
    for depth in range(1, len(parts) + 1):
        if "/".join(parts[:depth]) in groups:
            return "/".join(parts[:depth])
    return ""


def _text(value: object) -> str:
    return value.decode("utf-8", errors="replace") if isinstance(value, bytes) else str(value)
