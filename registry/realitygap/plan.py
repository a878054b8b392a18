"""The plan of a run: everything that is decided before anything runs, as one JSON document (`plan.json`).

The supervisor works from the plan alone; it reads no manifest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, is_dataclass
from typing import Any

from realitygap.executor import LOCAL

FORMAT = 1
"""Version of plan.json."""


@dataclass(frozen=True, kw_only=True)
class SkillPlan:
    """What a run needs to know of one skill."""

    name: str
    version: str
    trit: int
    entry: str | None
    """`module:attribute`; None for a pipeline."""
    extras: tuple[str, ...]
    runtime: str
    effects: str
    cache: bool
    """False where the result depends on more than the inputs."""
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    manifest_hash: str
    """sha256 of the manifest's bytes."""
    plugin: str
    package: str
    """Package whose sources are part of the cache key."""

    @staticmethod
    def from_json(values: dict[str, Any]) -> SkillPlan:
        return SkillPlan(**{**values, "extras": tuple(values["extras"])})


@dataclass(frozen=True, kw_only=True)
class StepPlan:
    """One step of a pipeline."""

    id: str
    skill: SkillPlan
    given: dict[str, Any]
    """The step's `with`, references unresolved."""
    after: tuple[str, ...]
    """Ids of the steps that must be done before: those referred to and those in `needs`."""
    foreach: Any = None
    """A list, a reference to one, or None."""
    max_parallel: int | None = None
    pipeline: PipelinePlan | None = None
    """When the step uses a pipeline."""

    @staticmethod
    def from_json(values: dict[str, Any]) -> StepPlan:
        nested = values["pipeline"]
        return StepPlan(
            **{
                **values,
                "skill": SkillPlan.from_json(values["skill"]),
                "after": tuple(values["after"]),
                "pipeline": PipelinePlan.from_json(nested) if nested else None,
            }
        )


@dataclass(frozen=True, kw_only=True)
class PipelinePlan:
    """Steps and outputs of a pipeline; a single skill is a pipeline of one step."""

    name: str
    steps: tuple[StepPlan, ...]
    outputs: dict[str, Any]
    """References."""
    output_schema: dict[str, Any]

    def leaves(self) -> Iterator[StepPlan]:
        """The steps that are skills, at every depth."""
        for step in self.steps:
            if step.pipeline is not None:
                yield from step.pipeline.leaves()
            else:
                yield step

    @staticmethod
    def from_json(values: dict[str, Any]) -> PipelinePlan:
        return PipelinePlan(**{**values, "steps": tuple(StepPlan.from_json(step) for step in values["steps"])})


@dataclass(frozen=True, kw_only=True)
class Options:
    """How a run is executed; nothing here changes what a step puts out."""

    jobs: int = 1
    """Steps at the same time."""
    keep_going: bool = False
    """After a failure, go on with the steps that do not depend on it."""
    cache: bool = True
    """Whether results of earlier runs are used."""
    refresh: tuple[str, ...] = ()
    """Steps that run even if the cache has them."""
    detached: bool = False
    """Nobody waits for the result: a run that is refused is removed by its own supervisor."""
    executor: str | None = None
    """Name of an executor; None is what `REALITYGAP_EXECUTOR` says, else `local`."""
    time_limit_s: float | None = None
    """Seconds after which the run is ended as failed."""
    memory_limit_mb: int | None = None
    """Memory in 10^6 bytes of all its processes on this machine; a run that holds more is ended as failed."""
    owner: str | None = None
    """Who asked for it, where a server tells its clients apart; kept in `run.json`."""

    @staticmethod
    def from_json(values: dict[str, Any]) -> Options:
        return Options(**{**values, "refresh": tuple(values["refresh"])})


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All of it."""

    skill: SkillPlan
    """What the user asked for: a skill or a pipeline."""
    pipeline: PipelinePlan
    is_pipeline: bool
    inputs: dict[str, Any]
    """Prepared: with defaults, absolute paths."""
    seed: int
    options: Options = field(default_factory=Options)
    assets: dict[str, dict[str, str]] = field(default_factory=dict)
    """Format to name to absolute path."""
    components: tuple[str, ...] = ()
    """Packages that hold the factories of components; part of the key of steps that take a task, a domain or a policy."""
    observers: tuple[str, ...] = ()
    """Plugins that declare one of the step hooks."""
    executor: str = LOCAL
    """`module:attribute` of what starts the workers."""
    format: int = FORMAT

    @property
    def durable(self) -> bool:
        """Whether what is written waits for the disk: not for a quick skill, which is soon called again. A killed process loses nothing."""
        return self.skill.runtime != "quick"

    def is_fresh(self, step: str) -> bool:
        """Whether earlier results of a step are not to be used: it, or a step that it lies in, is to be executed again."""
        names = {step, *(step[:index] for index, letter in enumerate(step) if letter == ".")}
        return not self.options.cache or bool(names & set(self.options.refresh))

    def to_json(self) -> dict[str, Any]:
        document: dict[str, Any] = _document(self)
        return document

    @staticmethod
    def from_json(values: dict[str, Any]) -> Plan:
        return Plan(
            **{
                **values,
                "skill": SkillPlan.from_json(values["skill"]),
                "pipeline": PipelinePlan.from_json(values["pipeline"]),
                "options": Options.from_json(values["options"]),
                "components": tuple(values["components"]),
                "observers": tuple(values["observers"]),
            }
        )


def _document(value: Any) -> Any:
    """As `dataclasses.asdict`, without copying the schemas, which are most of a plan."""
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _document(part) for name, part in vars(value).items()}
    return [_document(part) for part in value] if isinstance(value, tuple) else value
