"""Paths as a forge shows them: from the top of the repository, also where the check runs in a folder below it."""

from __future__ import annotations

import os
from pathlib import Path

_VARIABLES = ("GITHUB_WORKSPACE", "CI_PROJECT_DIR")


def from_root(path: str) -> str:
    """The path of a finding, relative to the repository of the job; unchanged outside of a job, and where it lies outside of it."""
    root = next((value for name in _VARIABLES if (value := os.environ.get(name))), None)
    if root is None or not path:
        return path
    try:
        return Path(os.path.abspath(path)).relative_to(os.path.abspath(root)).as_posix()
    except ValueError:
        return path
