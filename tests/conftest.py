"""What several folders of tests share."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from workbench import QUICK, Bench


def pytest_configure(config: pytest.Config) -> None:
    """One JAX compilation cache a session, for child processes too: the same small programs are compiled by many tests. And `QUICK`."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="jax-cache-")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    for name, value in QUICK.items():
        os.environ.setdefault(name, value)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that with files given out in this order no worker is left alone with one of them at the end."""
    items.sort(key=lambda item: item.path.parent.name != "acceptance")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A workspace with the throw-away skills."""
    bench = Bench(tmp_path)
    yield bench
    bench.gate.touch()
