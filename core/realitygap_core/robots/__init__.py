"""Robots that come with the package: models, recordings, tasks and mappings, each with its licence beside it."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
"""Where they lie."""


def model_path(name: str) -> Path | None:
    """The MJCF file of the embedded robot `name`, or None if there is none."""
    path = FOLDER / name / f"{name}.xml"
    return path if name.isidentifier() and path.is_file() else None


def task_path(name: str) -> Path | None:
    """The file of the embedded task `name`, or None if there is none."""
    path = FOLDER / "tasks" / f"{name}.yaml"
    return path if path.stem == name and path.is_file() else None
