"""The embedded tasks for tests of the core, compiled without a registry."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import yaml

from realitygap_core import robots
from realitygap_core.errors import unknown
from realitygap_core.task import Task, compile_task

_MODULES = {kind: f"realitygap_core.terms.{kind}s" for kind in ("observation", "reward", "termination", "reset", "action", "command")}


class Catalog:
    """The built-in terms by name."""

    def load(self, kind: str, name: str) -> Callable[..., Any]:
        module = importlib.import_module(_MODULES.get(kind, f"realitygap_core.terms.{kind}"))
        if not hasattr(module, name):
            raise unknown(kind, name, vars(module))
        return getattr(module, name)  # type: ignore[no-any-return]


def task_spec(name: str) -> dict[str, Any]:
    """Content of an embedded task file."""
    path = robots.task_path(name)
    assert path is not None
    return yaml.safe_load(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]


def compiled(name: str, **changes: Any) -> Task:
    """An embedded task on C MuJoCo, with entries replaced."""
    return compile_task(task_spec(name) | changes, Catalog(), engine="mujoco")
