"""What the tests of acceptance share: programs as users have them, and the main job."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from workbench import skills


@pytest.fixture(scope="package", autouse=True)
def optimised() -> Iterator[None]:
    """Programs are compiled as they are for a user, not quickly."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS"):
            patch.delenv(name, raising=False)
        yield


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


@pytest.fixture(scope="package")
def main_job(tmp_path_factory: pytest.TempPathFactory) -> Job:
    """The main job on the embedded default, run once in a session of tests."""
    home = tmp_path_factory.mktemp("main-job")
    return Job(home, run_json(home, "entropy-sim2real"))
