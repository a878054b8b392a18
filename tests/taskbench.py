"""The embedded tasks for tests of the core, compiled without a registry."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from realitygap_core import robots
from realitygap_core.errors import unknown
from realitygap_core.task import Task, compile_task

_MANIFEST = Path(__file__).parents[1] / "plugins/realitygap_plugins/ksim/plugin.yaml"


@functools.cache
def _factories() -> dict[tuple[str, str], str]:
    declared = yaml.safe_load(_MANIFEST.read_text(encoding="utf-8"))["components"]
    return {(one["kind"], one["name"]): one["factory"] for one in declared}


class Catalog:
    """The built-in terms by name, as the plugin declares them."""

    def load(self, kind: str, name: str) -> Callable[..., Any]:
        factories = _factories()
        if (kind, name) not in factories:
            raise unknown(kind, name, [known for other, known in factories if other == kind])
        module, _, attribute = factories[kind, name].partition(":")
        return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]


def task_spec(name: str) -> dict[str, Any]:
    """Content of an embedded task file."""
    path = robots.task_path(name)
    assert path is not None
    return yaml.safe_load(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def compiled(name: str, **changes: Any) -> Task:
    """An embedded task on C MuJoCo, with entries replaced."""
    return compile_task(task_spec(name) | changes, Catalog(), engine="mujoco")
