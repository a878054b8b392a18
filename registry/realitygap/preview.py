"""What a run would do: HIT or RUN for every step, and why. Writes nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from realitygap.cache import differences, is_cacheable, key_parts
from realitygap.contents import digest
from realitygap.errors import unknown
from realitygap.execution import Instance, Scope
from realitygap.plan import Plan
from realitygap.run_index import RunIndex
from realitygap.stepstore import finished_outputs, is_intact
from realitygap.workspace import read_json


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What would become of one step."""

    step: str
    skill: str
    verdict: Literal["HIT", "RUN"]
    reason: str
    changes: tuple[str, ...] = ()
    """Parts of the key that differ from those of the latest result."""
    key: str | None = None
    parts: dict[str, Any] | None = None
    """None when the inputs are not known before other steps have run."""

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "changes": list(self.changes)}


def preview(plan: Plan, home: Path) -> list[Forecast]:
    """One forecast for each step, in the order in which they would begin. Raises InputError."""
    index = RunIndex(home)
    scope = Scope(plan, plan.pipeline, plan.inputs, "report.html")
    found: list[Forecast] = []
    while True:
        scope.settle()
        ready = [instance for instance in scope.ready() if not instance.taken]
        if not ready:
            break
        for instance in ready:
            instance.taken = True
            forecast, outputs = _forecast(plan, index, home, instance)
            found.append(forecast)
            if outputs is not None:
                scope.finish(instance, outputs)
    return found + _waiting(scope)


def explain(plan: Plan, home: Path, step: str) -> Forecast:
    """The forecast of one step. Raises InputError for an unknown one."""
    forecasts = {one.step: one for one in preview(plan, home)}
    if step not in forecasts:
        raise unknown("step", step, forecasts, where="--explain")
    return forecasts[step]


def _forecast(plan: Plan, index: RunIndex, home: Path, instance: Instance) -> tuple[Forecast, dict[str, Any] | None]:
    skill = instance.step.skill
    parts = key_parts(skill, instance.inputs, instance.seed, plan, home / "runs")
    key = digest(parts)
    common: dict[str, Any] = {"step": instance.id, "skill": skill.name, "key": key, "parts": parts}
    if not is_cacheable(skill):
        reason = "it writes outside of its run" if skill.effects == "workspace" else "its result depends on more than its inputs"
        return Forecast(verdict="RUN", reason=reason, **common), None
    if plan.is_fresh(instance.id):
        return Forecast(verdict="RUN", reason="asked for" if plan.options.cache else "the cache is off", **common), None
    damaged = False
    for folder in index.steps_with_key(key):
        if is_intact(folder, key):
            outputs = finished_outputs(folder, instance.inputs)
            return Forecast(verdict="HIT", reason=f"from run {folder.parent.parent.name}", **common), outputs
        damaged = True
    if damaged:
        return Forecast(verdict="RUN", reason="the earlier result is damaged or gone", **common), None
    latest = index.latest_step(skill.name, instance.id)
    before = read_json(latest / "key.json") if latest is not None else None
    if not isinstance(before, dict):
        return Forecast(verdict="RUN", reason="no earlier result", **common), None
    changes = tuple(differences(before.get("parts", {}), parts))
    reason = "; ".join(changes[:3]) + (f"; and {len(changes) - 3} more" if len(changes) > 3 else "")
    return Forecast(verdict="RUN", reason=reason or "the earlier result is gone", changes=changes, **common), None


def _waiting(scope: Scope) -> list[Forecast]:
    found = []
    for step in scope.pipeline.steps:
        progress = scope.steps[step.id]
        if progress.state == "waiting":
            reason = f"waits for {', '.join(name for name in step.after if scope.steps[name].state != 'done')}"
            found.append(Forecast(step=scope.prefix + step.id, skill=step.skill.name, verdict="RUN", reason=reason))
        for instance in progress.instances:
            if instance.scope is not None:
                found += _waiting(instance.scope)
    return found
