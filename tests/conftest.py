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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, so that with files given out in this order no worker is left alone with one of them at the end."""
    items.sort(key=lambda item: item.path.parent.name != "acceptance")


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


@pytest.fixture
def quick_to_compile() -> Iterator[None]:
    """JAX with few of the compiler's optimisations, for tests whose time is nearly all compiling."""
    import jax

    jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]
    yield
    jax.config.update("jax_disable_most_optimizations", False)  # type: ignore[no-untyped-call]
