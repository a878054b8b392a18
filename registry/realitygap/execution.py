"""Which steps of a plan can run now: a state machine without processes or files, used by the supervisor and by the dry run.

A `Scope` is a pipeline being executed. Its steps become instances: one, or one for each item of a `foreach`. An instance is a
skill to run, or a `Scope` of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Literal

from realitygap.errors import InputError
from realitygap.inputs import resolve, with_defaults
from realitygap.plan import PipelinePlan, Plan, StepPlan
from realitygap.references import ABSENT, Reference, substitute

State = Literal["waiting", "open", "done", "failed", "skipped"]


@dataclass(eq=False)
class Instance:
    """A step with its inputs, about to run."""

    id: str
    """Unique in the run: `train`, `train.0`, `outer.inner`."""
    step: StepPlan
    inputs: dict[str, Any]
    """With defaults, formats resolved."""
    seed: int
    owner: Scope
    pipeline: str | None
    scope: Scope | None = None
    """For a step that uses a pipeline."""
    taken: bool = False
    outputs: dict[str, Any] | None = None
    failed: bool = False


@dataclass
class _Progress:
    state: State = "waiting"
    instances: list[Instance] = field(default_factory=list)
    outputs: dict[str, Any] | None = None


class Scope:
    """One pipeline being executed."""

    def __init__(self, plan: Plan, pipeline: PipelinePlan, inputs: Mapping[str, Any], report: str, prefix: str = "") -> None:
        self.plan = plan
        self.pipeline = pipeline
        self.inputs = inputs
        self.report = report
        """Absolute path of the report."""
        self.prefix = prefix
        self.steps = {step.id: _Progress() for step in pipeline.steps}

    def ready(self) -> list[Instance]:
        """Skills that can run now and were not taken, in the order of the manifest. Raises InputError when inputs cannot be resolved."""
        found: list[Instance] = []
        for step in self.pipeline.steps:
            self._open(step)
            limit = step.max_parallel
            for instance in self.steps[step.id].instances:
                if limit is not None and sum(_is_running(one) for one in self.steps[step.id].instances) + _count(found, step) >= limit:
                    break
                if instance.scope is not None:
                    if instance.outputs is None and not instance.failed:
                        found += instance.scope.ready()
                        self._close(instance)
                elif not instance.taken and not instance.failed:
                    found.append(instance)
        return found

    def finish(self, instance: Instance, outputs: dict[str, Any]) -> None:
        """A skill is done."""
        instance.outputs = outputs

    def fail(self, instance: Instance) -> None:
        """A skill failed; what depends on it is skipped."""
        instance.failed = True

    def settle(self) -> None:
        """Passes results on: steps whose instances are all done are done."""
        for step in self.pipeline.steps:
            progress = self.steps[step.id]
            if progress.state != "open":
                continue
            for instance in progress.instances:
                if instance.scope is not None and instance.outputs is None and not instance.failed:
                    instance.scope.settle()
                    self._close(instance)
            if all(one.outputs is not None or one.failed for one in progress.instances):
                self._complete(step, progress)
        self._skip()

    def _skip(self) -> None:
        """Steps behind a failed one are skipped, and those behind them; the order in the manifest is free."""
        moved = True
        while moved:
            moved = False
            for step in self.pipeline.steps:
                before = [self.steps[name].state for name in step.after]
                if self.steps[step.id].state == "waiting" and ("failed" in before or "skipped" in before):
                    self.steps[step.id].state = "skipped"
                    moved = True

    @property
    def settled(self) -> bool:
        return all(progress.state in ("done", "failed", "skipped") for progress in self.steps.values())

    @property
    def failed(self) -> bool:
        return any(progress.state in ("failed", "skipped") for progress in self.steps.values())

    def outputs(self) -> dict[str, Any]:
        """The outputs of the pipeline, as far as its steps are done."""
        return dict(substitute(self.pipeline.outputs, lambda reference: self._lookup(reference, ABSENT)))

    def skipped(self) -> Iterator[str]:
        """Ids of steps that did not run because one before them failed."""
        for name, progress in self.steps.items():
            if progress.state == "skipped":
                yield self.prefix + name
            for instance in progress.instances:
                if instance.scope is not None:
                    yield from instance.scope.skipped()

    def _open(self, step: StepPlan) -> None:
        progress = self.steps[step.id]
        if progress.state != "waiting":
            return
        states = [self.steps[name].state for name in step.after]
        if any(state in ("failed", "skipped") for state in states):
            progress.state = "skipped"
            return
        if any(state != "done" for state in states):
            return
        progress.state = "open"
        if step.foreach is None:
            progress.instances = [self._instance(step, ABSENT, None)]
        else:
            items = substitute(step.foreach, lambda reference: self._lookup(reference, ABSENT))
            if not isinstance(items, list):
                raise InputError(f"step '{self.prefix}{step.id}': 'foreach' needs a list, and got {type(items).__name__}")
            progress.instances = [self._instance(step, item, index) for index, item in enumerate(items)]
            if not items:
                self._complete(step, progress)

    def _instance(self, step: StepPlan, item: Any, index: int | None) -> Instance:
        name = self.prefix + step.id + ("" if index is None else f".{index}")
        given = substitute(step.given, lambda reference: self._lookup(reference, item))
        inputs = with_defaults(given, step.skill.input_schema)
        missing = [one for one in step.skill.input_schema.get("required", ()) if one not in inputs]
        if missing:
            raise InputError(f"step '{name}': its input '{missing[0]}' refers to something that is not there")
        inputs = resolve(inputs, step.skill.input_schema, self.plan.assets)
        instance = Instance(
            id=name,
            step=step,
            inputs=inputs,
            seed=step_seed(self.plan, name),
            owner=self,
            pipeline=self.pipeline.name if self.plan.is_pipeline else None,
        )
        if step.pipeline is not None:
            instance.scope = Scope(self.plan, step.pipeline, inputs, self.report, prefix=f"{name}.")
        return instance

    def _lookup(self, reference: Reference, item: Any) -> Any:
        if reference.kind == "input":
            return self.inputs.get(reference.name, ABSENT)
        if reference.kind == "item":
            return item
        if reference.kind == "run":
            return self.report if reference.name == "report" else self.plan.seed
        if reference.kind == "pipeline":
            return self.pipeline.name
        outputs = self.steps[reference.step].outputs
        return ABSENT if outputs is None else outputs.get(reference.name, ABSENT)

    def _close(self, instance: Instance) -> None:
        scope = instance.scope
        if scope is not None and scope.settled:
            if scope.failed:
                instance.failed = True
            else:
                instance.outputs = scope.outputs()

    def _complete(self, step: StepPlan, progress: _Progress) -> None:
        if any(one.failed for one in progress.instances):
            progress.state = "failed"
            return
        progress.state = "done"
        if step.foreach is None:
            progress.outputs = progress.instances[0].outputs
            return
        names = step.skill.output_schema.get("properties", {}) if step.pipeline is None else step.pipeline.outputs
        results = [one.outputs or {} for one in progress.instances]
        # A list with holes would shift its items: an output that one instance lacks is absent for all.
        progress.outputs = {name: [result[name] for result in results] for name in names if all(name in result for result in results)}


def step_seed(plan: Plan, name: str) -> int:
    """Seed of a step: that of the run for a single skill, else drawn from it and the step's id, so that no two steps share draws."""
    if not plan.is_pipeline:
        return plan.seed
    return int.from_bytes(sha256(f"{plan.seed}/{name}".encode()).digest()[:4]) & 0x7FFFFFFF


def _is_running(instance: Instance) -> bool:
    if instance.scope is not None:
        return any(_is_running(one) for progress in instance.scope.steps.values() for one in progress.instances)
    return instance.taken and instance.outputs is None and not instance.failed


def _count(found: list[Instance], step: StepPlan) -> int:
    return sum(one.step is step for one in found)
