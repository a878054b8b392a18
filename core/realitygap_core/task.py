"""A task: a robot, its rates, and the terms that a task file names, checked and compiled into one model.

`compile_task` takes the plain mapping of a task file and the catalog of components. Errors carry the JSON pointer of what is wrong.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import mujoco
import numpy as np

from realitygap_core import engines, robots, sensors, task_entries
from realitygap_core.builder import Builder, Catalog
from realitygap_core.domain import Domain
from realitygap_core.errors import CoreError
from realitygap_core.fields import field, keys, number, whole_multiple
from realitygap_core.parameters import apply
from realitygap_core.robot import Robot, repeatable
from realitygap_core.sensors import Need, SensorLayout
from realitygap_core.task_entries import EventEntry, RewardEntry, Success
from realitygap_core.terms.command_set import CommandSet
from realitygap_core.terms.pipeline import ObservationEntry
from realitygap_core.terms.term import Action, Actuator, Curriculum, Reset, Scene, Termination

SCHEMA = 1
KEYS = (
    "schema", "name", "summary", "model", "engine", "physics_dt", "control_dt", "episode_s", "action", "observations", "rewards",
    "terminations", "resets", "training", "events", "curricula", "actuators", "actuator_dt", "command", "success", "domain",
)  # fmt: skip


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """A compiled task."""

    name: str
    """Name of the task."""
    robot: Robot
    """The robot with every needed sensor compiled in."""
    nominal: Robot
    """The robot as it was given."""
    layout: SensorLayout
    """Where the sensors are."""
    scene: Scene
    """Rates and names."""
    substeps: int
    """Physics steps in a control step."""
    episode_steps: int
    """Control steps after which an episode is cut off."""
    action: Action
    """From the policy's output to commands."""
    latency_s: tuple[float, float]
    """Delay of commands on top of the plant's own, drawn uniformly once an episode, s."""
    observations: Mapping[str, tuple[ObservationEntry, ...]]
    """`policy`, what the robot measures, and `critic`, what is true."""
    rewards: tuple[RewardEntry, ...]
    """Rewards, weighted."""
    terminations: tuple[tuple[str, Termination], ...]
    """Named terminations."""
    resets: tuple[Reset, ...]
    """Applied in order to the model's reference pose at rest."""
    training_resets: tuple[Reset, ...]
    """Applied after `resets` in some episodes of a training: states that it would else reach only late."""
    training_share: float
    """Share of the episodes that `training_resets` begin; 0 where the policy is judged."""
    training_curriculum: str | None = None
    """Curriculum that this share is multiplied by."""
    events: tuple[EventEntry, ...] = ()
    """What happens to the robot on timers."""
    curricula: Mapping[str, Curriculum] = dataclasses.field(default_factory=dict)
    """Curricula by name; empty where the policy is judged."""
    judged: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """What each curriculum comes to where the policy is judged."""
    actuators: tuple[Actuator, ...] = ()
    """What actuators are like beyond the model as it was given."""
    actuator_steps: int = 1
    """Physics steps for which forces of `actuators` are held."""
    action_drop: float = 0.0
    """Chance that a command does not arrive, in which case the last one that did is held."""
    command: CommandSet | None
    """What the policy is asked for."""
    success: Success | None
    """When an episode is solved; without it only a successful termination is."""
    domain: Domain | None
    """Plants to train on; None for the nominal one."""
    engine: engines.Choice
    """Which engine runs it, and why."""
    digest: str
    """SHA-256 of what was compiled: the file's content, the robot, rates and engine, without the domain; equal digests are one task."""

    @property
    def longest_latency_s(self) -> float:
        """The largest delay of a command on top of the plant's own, s."""
        return self.latency_s[1] + max(task_entries.longest_delays(self.actuators).values(), default=0.0)

    @property
    def control_dt(self) -> float:
        """Control step, s."""
        return self.scene.control_dt

    @property
    def physics_dt(self) -> float:
        """Physics step, s."""
        return self.scene.physics_dt


def compile_task(
    spec: Mapping[str, Any],
    catalog: Catalog,
    robot: Robot | None = None,
    *,
    folder: Path | None = None,
    engine: str | None = None,
    domain: Domain | None = None,
    training: bool = False,
) -> Task:
    """Checks a task against the catalog and the robot, and compiles it.

    Args:
      spec: content of a task file.
      catalog: components by kind and name.
      robot: the robot in place of the one that the task names.
      folder: where a relative path of a model in `spec` begins; the working directory by default.
      engine: engine in place of the task's own.
      domain: domain in place of the task's own.
      training: whether the task's `training` part counts; it is checked in any case.

    Raises:
        CoreError: with the JSON pointer of the offending part: unknown name, wrong type, rates that do not fit; or JAX has no device.
    """
    keys(spec, KEYS, "")
    if spec.get("schema") != SCHEMA:
        raise CoreError(
            f"schema {spec.get('schema')!r} is not known; this reads schema {SCHEMA}", pointer="/schema" if "schema" in spec else ""
        )
    name = field(spec, "name", str, "", required=True)
    engines.platform()  # what follows computes with JAX
    nominal = robot if robot is not None else _load(field(spec, "model", str, "", required=True), folder)
    physics_dt = number(spec, "physics_dt", "", default=float(nominal.model.opt.timestep), above=0)
    only_training = field(spec, "training", Mapping, "", default={})
    coarse_dt = number(only_training, "physics_dt", "/training", default=physics_dt, above=0)
    physics_dt = coarse_dt if training else physics_dt
    control_dt = number(spec, "control_dt", "", above=0)
    substeps = whole_multiple(control_dt, physics_dt, "the control step", "physics steps", "/control_dt")
    episode_s = number(spec, "episode_s", "", above=0)
    episode_steps = whole_multiple(episode_s, control_dt, "the episode", "control steps", "/episode_s")

    build = Builder(catalog)
    driven, actuators = task_entries.actuators(spec, build, nominal, episode_s)
    actuator_dt = number(spec, "actuator_dt", "", default=physics_dt, above=0)
    if training and coarse_dt > actuator_dt:
        actuator_dt = coarse_dt
    actuator_steps = whole_multiple(actuator_dt, physics_dt, "actuator_dt", "physics steps", "/actuator_dt")
    whole_multiple(control_dt, actuator_dt, "the control step", "pieces of actuator_dt", "/actuator_dt")
    action, latency_s, action_drop = task_entries.action(spec, build, driven, episode_s)
    scene = Scene(robot=driven, control_dt=control_dt, physics_dt=physics_dt, actuators=action.actuators)
    command = task_entries.command(spec.get("command"), build, scene)
    if command is not None:
        scene = dataclasses.replace(scene, command=command.labels, command_hidden=command.hidden)

    curricula = task_entries.curricula(spec, build, scene)
    events = task_entries.events(spec, build, scene, curricula)
    observations = task_entries.observations(spec, build, scene, episode_s)
    rewards = task_entries.rewards(spec, build, scene, curricula)
    terminations = task_entries.terminations(spec, build, scene)
    resets = task_entries.resets(spec, build, scene)
    share, training_resets, training_curriculum = task_entries.training(only_training, build, scene, curricula)
    success = task_entries.success(spec.get("success"), build, scene, episode_s)

    terms: list[Any] = [e.term for group in observations.values() for e in group] + [r.term for r in rewards] + [t for _, t in terminations]
    terms += [success.term] if success is not None else []
    terms += [entry.term for entry in events] + ([command] if command is not None else [])
    compiled, layout = compile_robot(driven, (need for term in terms for need in term.needs), physics_dt)
    plants = domain if domain is not None else _domain(spec.get("domain"))
    choice = engines.choose(engine or field(spec, "engine", str, "", default="auto"), compiled.model, draw=lambda: _draw(compiled, plants))
    return Task(
        name=name,
        robot=compiled,
        nominal=nominal,
        layout=layout,
        scene=scene,
        substeps=substeps,
        episode_steps=episode_steps,
        action=action,
        latency_s=latency_s,
        observations=observations,
        rewards=rewards,
        terminations=terminations,
        resets=resets,
        training_resets=training_resets if training else (),
        training_share=share if training else 0.0,
        training_curriculum=training_curriculum,
        events=events,
        curricula=curricula if training else {},
        judged={name: curriculum.final for name, curriculum in curricula.items()},
        actuators=actuators,
        actuator_steps=actuator_steps,
        action_drop=action_drop,
        command=command,
        success=success,
        domain=plants,
        engine=choice,
        digest=_digest(spec, only_training if training else {}, nominal, physics_dt, choice),
    )


def _digest(spec: Mapping[str, Any], training: Mapping[str, Any], nominal: Robot, physics_dt: float, choice: engines.Choice) -> str:
    """Of what decides how the task goes; not of names, and where something in the file may be overruled, of what counts."""
    elsewhere = ("name", "summary", "model", "domain", "engine", "physics_dt", "training")
    content, taught = ({name: value for name, value in part.items() if name not in elsewhere} for part in (spec, training))
    parts = [content, taught, nominal.digest, physics_dt, choice.engine]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def compile_robot(robot: Robot, needs: Iterable[Need], physics_dt: float) -> tuple[Robot, SensorLayout]:
    """The robot with the sensors of `needs`, whose steps depend on its state alone (`repeatable`)."""
    spec = robot.fresh_spec()
    spec.option.timestep = physics_dt
    spec.option.disableflags |= repeatable(robot.model)
    names = sensors.add(spec, needs)
    compiled = Robot.from_spec(spec, name=robot.name, path=robot.path)
    return compiled, sensors.layout(compiled.model, names)


def _load(model: str, folder: Path | None) -> Robot:
    path = (folder or Path()) / model
    embedded = robots.model_path(model)
    try:
        return Robot.load(path if path.is_file() or embedded is None else embedded)
    except CoreError as error:
        raise CoreError(error.message, where=error.where, pointer="/model", hint=error.hint) from None


def _draw(robot: Robot, domain: Domain | None) -> mujoco.MjModel:
    """The model of one draw of the domain."""
    sample = {} if domain is None else domain.sample(np.random.default_rng(0), 1)
    return apply(robot, {name: float(values[0]) for name, values in sample.items()}).model


def _domain(spec: Any) -> Domain | None:
    if spec is None:
        return None
    if not isinstance(spec, Mapping):
        raise CoreError("the domain is given by name: pass the domain itself", pointer="/domain", hint="`compile_task(..., domain=...)`")
    try:
        return Domain.from_mapping(spec)
    except CoreError as error:
        raise CoreError(error.message, where=error.where, pointer=f"/domain{error.pointer or ''}", hint=error.hint) from None
