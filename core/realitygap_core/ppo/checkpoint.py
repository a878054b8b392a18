"""Checkpoints: every array of the training as one `.npz`, written by rename, without pickle."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError

_META = "meta.json"


def to_arrays(tree: Any) -> dict[str, NDArray[Any]]:
    """The array leaves of a pytree, named by their path in it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(eqx.filter(tree, eqx.is_array))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def from_arrays(template: Any, arrays: Mapping[str, NDArray[Any]], *, where: str | None = None) -> Any:
    """`template` (of arrays, or of their shapes) with its leaves replaced. Raises CoreError when one is missing or does not fit."""
    dynamic, static = eqx.partition(template, lambda leaf: eqx.is_array(leaf) or isinstance(leaf, jax.ShapeDtypeStruct))

    def pick(path: Any, leaf: Any) -> jax.Array:
        name = jax.tree_util.keystr(path)
        if name not in arrays:
            raise CoreError(f"'{name}' is missing", where=where, hint="it was written for another network or configuration")
        array = arrays[name]
        if array.shape != leaf.shape or array.dtype != leaf.dtype:
            raise CoreError(
                f"'{name}' is {array.dtype}{list(array.shape)} instead of {leaf.dtype}{list(leaf.shape)}",
                where=where,
                hint="it was written for another network or configuration",
            )
        return jnp.asarray(array)

    return eqx.combine(jax.tree_util.tree_map_with_path(pick, dynamic), static)


def digest(tree: Any) -> str:
    """SHA-256 over names, types, shapes and bytes of all array leaves: equal digests are equal parameters, bit for bit."""
    sha = hashlib.sha256()
    for name, array in sorted(to_arrays(tree).items()):
        sha.update(f"{name}:{array.dtype}:{array.shape};".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def write_checkpoint(path: Path, parts: Mapping[str, Mapping[str, NDArray[Any]]], meta: Mapping[str, Any]) -> None:
    """Writes groups of arrays and a JSON-able `meta` to `path`; a reader sees the old file or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {f"{group}/{name}": array for group, named in parts.items() for name, array in named.items()}
    arrays[_META] = np.frombuffer(json.dumps(meta, sort_keys=True).encode(), np.uint8)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_checkpoint(path: Path) -> tuple[dict[str, dict[str, NDArray[Any]]], dict[str, Any]]:
    """The groups and the `meta` that `write_checkpoint` wrote. Raises CoreError for a file that is not one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            flat = {name: file[name] for name in file.files}
        meta = json.loads(flat.pop(_META).tobytes())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CoreError(
            "this is not a checkpoint that can be read", where=str(path), hint="delete it to start the training anew"
        ) from error
    groups: dict[str, dict[str, NDArray[Any]]] = {}
    for name, array in flat.items():
        group, _, rest = name.partition("/")
        groups.setdefault(group, {})[rest] = array
    return groups, meta
