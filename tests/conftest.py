"""What several folders of tests share."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from workbench import Bench, skills


def pytest_configure(config: pytest.Config) -> None:
    """One JAX compilation cache a session, for child processes too: the same small programs are compiled by many tests."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="jax-cache-")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.1")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In parallel (`-n 2 --dist loadgroup`) a file stays in one process, for its fixtures, and so do all tests of the main job."""
    if config.pluginmanager.hasplugin("xdist"):
        for item in items:
            main_job = "main_job" in getattr(item, "fixturenames", ())
            item.add_marker(pytest.mark.xdist_group("main job" if main_job else item.path.name))


@dataclass(frozen=True)
class Job:
    """A finished command."""

    home: Path
    """Where its runs lie."""
    document: dict[str, Any]
    """What it printed on stdout: one JSON document."""


def run_json(home: Path, *arguments: str) -> dict[str, Any]:
    """`skills run ... --json` in `home`; its stdout must be one JSON document."""
    done = skills(home, "run", *arguments, "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="session")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The main job on the embedded default, run once in a session of tests."""
    home = tmp_path_factory.mktemp("main-job")
    return Job(home, run_json(home, "entropy-sim2real"))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A workspace with the throw-away skills."""
    bench = Bench(tmp_path)
    yield bench
    bench.gate.touch()
