"""What several folders of tests share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """One JAX compilation cache a session, for child processes too: the same small programs are compiled by many tests."""
    if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
        folder = tempfile.mkdtemp(prefix="jax-cache-")
        os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
        os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.5")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


@dataclass(frozen=True)
class Job:
    """A finished command."""

    home: Path
    """Where its runs lie."""
    document: dict[str, Any]
    """What it printed on stdout: one JSON document."""


def run_json(home: Path, *arguments: str) -> dict[str, Any]:
    """`skills run ... --json` in `home`; its stdout must be one JSON document."""
    home.mkdir(exist_ok=True)
    done = subprocess.run(
        [sys.executable, "-m", "realitygap.cli", "run", *arguments, "--json"],
        cwd=home,
        env={**os.environ, "REALITYGAP_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


@pytest.fixture(scope="session")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The main job on the embedded default, run once in a session of tests."""
    home = tmp_path_factory.mktemp("main-job")
    return Job(home, run_json(home, "entropy-sim2real"))
