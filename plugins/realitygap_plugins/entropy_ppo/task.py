"""The task as a policy learns it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap_core.bank import require_known
from realitygap_core.domain import Domain
from realitygap_core.robot import Robot
from realitygap_core.task import Task, compile_task

if TYPE_CHECKING:
    from realitygap.context import RunContext


def compiled(
    run: RunContext,
    path: Path,
    *,
    model: str | None = None,
    domain_file: str | None = None,
    engine: str | None = None,
    physics_dt: float | None = None,
) -> tuple[Mapping[str, Any], Task]:
    """The content of the task file, without its domain where another is given, and the task compiled for training.

    Raises:
        CoreError: something does not fit the robot; with file, line and column.
    """
    document = run.document(path, "task")
    spec = dict(document.data)
    robot = Robot.load(model) if model is not None else None
    chosen = domain_file or run.own_domain(document)
    with run.reading(chosen, "domain") as given:
        domain = Domain.from_mapping(given) if chosen else None
    if chosen:
        spec.pop("domain", None)
    learnt = dict(spec)
    if physics_dt is not None:
        learnt["training"] = dict(spec.get("training", {})) | {"physics_dt": physics_dt}
    with document.locating():
        task = compile_task(learnt, run.catalog, robot, folder=path.parent, engine=engine, domain=domain, training=True)
    if task.domain is not None:
        require_known(task.domain, task.nominal, where=chosen or str(path))
    return spec, task
