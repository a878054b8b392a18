"""Runs: checked, planned, started. What the command line and the server use; neither jax nor numpy is imported here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap.errors import unknown
from realitygap.plan import Options, Plan
from realitygap.run_status import RunState, RunStatus, StepStatus, read_events, result_document
from realitygap.run_store import RunHandle, RunStore

if TYPE_CHECKING:
    from realitygap.discovery import Registry
    from realitygap.resident import Residents

__all__ = [
    "RunHandle",
    "RunState",
    "RunStatus",
    "RunStore",
    "StepStatus",
    "plan_run",
    "read_events",
    "result_document",
    "start",
]

_OUTSIDE = ("executor", "health")
"""Kinds of components that no document names, so that their code decides no result."""
_OBSERVERS = ("realitygap_before_step", "realitygap_after_step", "realitygap_on_step_error")


def start(
    skill_name: str,
    inputs: Mapping[str, Any] | None = None,
    *,
    workspace: Path | None = None,
    registry: Registry | None = None,
    seed: int = 0,
    options: Options | None = None,
    residents: Residents | None = None,
) -> RunHandle:
    """Starts a run, by a resident supervisor where there are such, and returns at once.

    Everything that can be checked is checked before anything is written. Raises InputError.
    """
    plan = plan_run(skill_name, inputs or {}, registry=registry, seed=seed, options=options)
    store = RunStore(workspace)
    run_id = residents.launch(plan) if residents is not None and residents.home == store.home else None
    if run_id is None:
        run_id, descriptor = store.create(plan)
        store.launch(run_id, descriptor)
    return RunHandle(run_id, store)


def plan_run(
    skill_name: str,
    inputs: Mapping[str, Any],
    *,
    registry: Registry | None = None,
    seed: int = 0,
    options: Options | None = None,
    need_extras: bool = True,
) -> Plan:
    """The checked plan of a run. Raises InputError for an unknown skill or executor, wrong inputs, an unsound pipeline, a missing extra."""
    from realitygap.inputs import prepare
    from realitygap.pipeline import make_plan

    if registry is None:
        from realitygap.discovery import Registry

        registry = Registry.discover()
    skill = registry.skill(skill_name)
    if skill.is_pipeline:
        from realitygap.pipeline_check import require_sound

        require_sound(skill, registry)
    prepared = prepare(skill, inputs, registry.assets)
    chosen = (options.executor if options else None) or os.environ.get("REALITYGAP_EXECUTOR") or "local"
    executor = registry.catalog.get("executor", chosen)
    records = registry.active_plugins
    terms = [one for record in records for one in record.components if one["kind"] not in _OUTSIDE]
    factories = {one["factory"].partition(".")[0].partition(":")[0] for one in terms}
    plan = make_plan(
        skill,
        prepared,
        registry,
        seed=seed,
        options=options,
        assets=registry.assets,
        packages={record.name: record.package for record in records},
        components=tuple(sorted(factories)),
        observers=tuple(record.name for record in records if set(record.hooks) & set(_OBSERVERS)),
        executor=executor.factory,
    )
    steps = {step.id for step in plan.pipeline.steps} | {step.id for step in plan.pipeline.leaves()}
    for name in plan.options.refresh:
        if name not in steps and name.partition(".")[0] not in steps:
            raise unknown("step", name, steps, where="--refresh")
    if need_extras:
        registry.require_extras(executor, "executor")
        for leaf in plan.pipeline.leaves():
            registry.require_extras(registry.skill(leaf.skill.name))
    return plan
