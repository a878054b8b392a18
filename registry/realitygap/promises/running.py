"""A skill or a pipeline run in this process: the code that a worker runs, without the supervisor, the cache and the log around it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap.execution import Instance, Scope
from realitygap.protocol import StepOrder
from realitygap.runs import plan_run
from realitygap.stepstore import finished_outputs, read_step
from realitygap.worker import Surroundings, perform
from realitygap.workspace import write_json

if TYPE_CHECKING:
    from realitygap.discovery import Registry


@dataclass(frozen=True, kw_only=True)
class StepResult:
    """One step that ran."""

    id: str
    skill: str
    folder: Path
    """Holds `inputs.json`, `outputs.json` and `artifacts/`."""
    warnings: tuple[str, ...]
    figures: tuple[str, ...]
    """Names of the artifacts that a report would show."""
    files: Mapping[str, Any]
    """Name to [size, sha256] of `outputs.json` and of each artifact."""


@dataclass(frozen=True, kw_only=True)
class SkillResult:
    """What a run came to."""

    outputs: Mapping[str, Any]
    """As a run gives them: checked by the manifest, plain data, paths absolute."""
    steps: tuple[StepResult, ...]
    """In the order in which they ran; one for a skill that is no pipeline."""

    @property
    def warnings(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(warning for step in self.steps for warning in step.warnings))

    @property
    def figures(self) -> tuple[str, ...]:
        return tuple(figure for step in self.steps for figure in step.figures)

    @property
    def artifacts(self) -> Path:
        """Where the artifacts of the last step are."""
        return self.steps[-1].folder / "artifacts"


class _Silent:
    """The other end of a worker that nobody listens to."""

    def send(self, message: dict[str, Any]) -> None:
        """Progress and warnings are not told."""


def run_skill(name: str, inputs: Mapping[str, Any] | None = None, *, registry: Registry, folder: Path, seed: int = 0) -> SkillResult:
    """Runs a skill or a pipeline; its steps get folders below `folder`.

    Raises InputError for inputs that are wrong, `SkillDefect` for outputs that are not those of the manifest; what a skill raises passes.
    """
    plan = plan_run(name, inputs or {}, registry=registry, seed=seed)
    scope = Scope(plan, plan.pipeline, plan.inputs, str(folder / "report.html"))
    steps: list[StepResult] = []
    while not scope.settled:
        ready = scope.ready()
        for instance in ready:
            instance.taken = True
            steps.append(_step(instance, folder / instance.id, plan.observers, folder.name))
            scope.finish(instance, finished_outputs(folder / instance.id, instance.inputs))
        scope.settle()
    return SkillResult(outputs=scope.outputs(), steps=tuple(steps))


def _step(instance: Instance, folder: Path, observers: tuple[str, ...], run: str) -> StepResult:
    skill = instance.step.skill
    order = StepOrder(
        step=instance.id,
        skill=skill.name,
        pipeline=instance.pipeline,
        entry=str(skill.entry),
        extras=skill.extras,
        folder=str(folder),
        checkpoint=str(folder / "checkpoint"),
        inputs=instance.inputs,
        input_schema=skill.input_schema,
        output_schema=skill.output_schema,
        seed=instance.seed,
        effects=skill.effects,
        plugin=skill.plugin,
        observers=observers,
        run=run,
        durable=False,
    )
    write_json(folder / "inputs.json", instance.inputs, durable=False)
    baseline = Surroundings.take()
    try:
        perform(order, _Silent(), threading.Event(), time.monotonic())
    finally:
        list(baseline.restore())
    facts = read_step(folder) or {}
    return StepResult(
        id=instance.id,
        skill=skill.name,
        folder=folder,
        warnings=tuple(facts.get("warnings", ())),
        figures=tuple(facts.get("figures", ())),
        files=facts.get("files", {}),
    )
