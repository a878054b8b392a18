"""One compilation cache for all tests of a session, and for the programs that they start: most of their time would go into compiling
the same functions again."""

from __future__ import annotations

import os
import shutil
import tempfile

import pytest

VARIABLE = "JAX_COMPILATION_CACHE_DIR"
KEY = pytest.StashKey[str]()


def pytest_configure(config: pytest.Config) -> None:
    """Makes the cache, unless the caller has one."""
    if VARIABLE in os.environ:
        return
    config.stash[KEY] = folder = tempfile.mkdtemp(prefix="realitygap-tests-")
    os.environ[VARIABLE] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leaves nothing behind."""
    if (folder := config.stash.get(KEY, None)) is not None:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop(VARIABLE, None)
