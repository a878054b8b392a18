"""A task: a robot, its rates, and the terms that a task file names, checked and compiled into one model.

`compile_task` takes the plain mapping of a task file and the catalog of components. Errors carry the JSON pointer of what is wrong.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

import mujoco
import numpy as np

from realitygap_core import engines, robots, sensors
from realitygap_core.domain import Domain
from realitygap_core.errors import CoreError, unknown
from realitygap_core.fields import entries, escape, field, keys, number, per_value, span, whole_multiple
from realitygap_core.parameters import apply
from realitygap_core.robot import Robot
from realitygap_core.sensors import Need, SensorLayout
from realitygap_core.terms.pipeline import ObservationEntry
from realitygap_core.terms.term import Action, Command, Noise, Observation, Reset, Reward, Scene, Termination

SCHEMA = 1
KEYS = (
    "schema", "name", "summary", "model", "engine", "physics_dt", "control_dt", "episode_s", "action", "observations", "rewards",
    "terminations", "resets", "training", "events", "command", "success", "domain",
)  # fmt: skip
_ENTRY = ("term", "params")
_OBSERVATION = (*_ENTRY, "noise", "clip", "scale", "delay", "history")
_T = TypeVar("_T")
_Named = TypeVar("_Named", ObservationEntry, "RewardEntry")


class Catalog(Protocol):
    """Where components come from: `realitygap.components.Catalog`, or anything with this method.

    If it also has `check(kind, name, parameters, *, pointer) -> parameters`, parameters are checked against their JSON Schema first.
    """

    def load(self, kind: str, name: str) -> Callable[..., Any]:
        """The factory of a component. Raises an exception with a message (and a `hint`) for an unknown kind or name."""
        ...


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardEntry:
    """One line of a task's rewards."""

    name: str
    """Unique name, under which it is logged."""
    weight: float
    """Times the value, per second."""
    term: Reward
    """What is computed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Success:
    """When an episode counts as solved."""

    term: Termination
    """Holds where this gives +1."""
    hold_s: float
    """It must hold without a break for this long up to the end of the episode, s."""


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
    command: Command | None
    """What the policy is asked for."""
    success: Success | None
    """When an episode is solved; without it only a successful termination is."""
    domain: Domain | None
    """Plants to train on; None for the nominal one."""
    engine: engines.Choice
    """Which engine runs it, and why."""

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
        CoreError: with the JSON pointer of the offending part: unknown name, wrong type, rates that do not fit.
    """
    keys(spec, KEYS, "")
    if spec.get("schema") != SCHEMA:
        raise CoreError(
            f"schema {spec.get('schema')!r} is not known; this reads schema {SCHEMA}", pointer="/schema" if "schema" in spec else ""
        )
    name = field(spec, "name", str, "", required=True)
    nominal = robot if robot is not None else _load(field(spec, "model", str, "", required=True), folder)
    physics_dt = number(spec, "physics_dt", "", default=float(nominal.model.opt.timestep), above=0)
    only_training = field(spec, "training", Mapping, "", default={})
    coarse_dt = number(only_training, "physics_dt", "/training", default=physics_dt, above=0)
    physics_dt = coarse_dt if training else physics_dt
    control_dt = number(spec, "control_dt", "", above=0)
    substeps = whole_multiple(control_dt, physics_dt, "the control step", "physics steps", "/control_dt")
    episode_s = number(spec, "episode_s", "", above=0)
    episode_steps = whole_multiple(episode_s, control_dt, "the episode", "control steps", "/episode_s")

    build = _Builder(catalog)
    action, latency_s = _action(field(spec, "action", Mapping, "", default={}), build, nominal)
    scene = Scene(robot=nominal, control_dt=control_dt, physics_dt=physics_dt, actuators=action.actuators)
    command = build.one("command", spec["command"], "/command", scene, Command) if spec.get("command") is not None else None
    scene = dataclasses.replace(scene, command=command.labels if command is not None else ())

    if field(spec, "events", Sequence, "", default=()):
        raise CoreError("events are not there yet: leave the list empty", pointer="/events")
    observations = _observations(field(spec, "observations", Mapping, "", required=True), build, scene)
    rewards = tuple(_reward(e, p, build, scene) for e, p in entries(spec, "rewards", required=True))
    terminations = tuple((str(e["term"]), build.one("termination", e, p, scene, Termination)) for e, p in entries(spec, "terminations"))
    resets = tuple(build.one("reset", e, p, scene, Reset) for e, p in entries(spec, "resets"))
    share, training_resets = _training(only_training, build, scene)
    success = _success(spec["success"], build, scene, episode_s) if spec.get("success") is not None else None

    terms = [e.term for group in observations.values() for e in group] + [r.term for r in rewards] + [t for _, t in terminations]
    terms += [success.term] if success is not None else []
    compiled, layout = compile_robot(nominal, (need for term in terms for need in term.needs), physics_dt)
    plants = domain if domain is not None else _domain(spec.get("domain"))
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
        rewards=_unique(rewards),
        terminations=terminations,
        resets=resets,
        training_resets=training_resets if training else (),
        training_share=share if training else 0.0,
        command=command,
        success=success,
        domain=plants,
        engine=engines.choose(
            engine or field(spec, "engine", str, "", default="auto"), compiled.model, draw=lambda: _draw(compiled, plants)
        ),
    )


def compile_robot(robot: Robot, needs: Iterable[Need], physics_dt: float) -> tuple[Robot, SensorLayout]:
    """The robot with the sensors of `needs`, without warm start (so that a rollout in chunks equals one long rollout) and without
    MuJoCo's own reset of states that have broken down (so that they show)."""
    spec = robot.fresh_spec()
    spec.option.timestep = physics_dt
    spec.option.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_WARMSTART) | int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
    names = sensors.add(spec, needs)
    compiled = Robot.from_spec(spec, name=robot.name, path=robot.path)
    return compiled, sensors.layout(compiled.model, names)


class _Builder:
    """Makes terms of entries `{term, params}`, and gives their errors a place."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def one(self, kind: str, entry: Mapping[str, Any], pointer: str, first: Scene | Robot, result: type[_T]) -> _T:
        if not isinstance(entry, Mapping):
            raise CoreError(f"a {kind} is a mapping with `term`, not {type(entry).__name__}", pointer=pointer)
        name = field(entry, "term", str, pointer, required=True)
        params = field(entry, "params", Mapping, pointer, default={})
        factory = self._factory(kind, name, f"{pointer}/term")
        _check_parameters(factory, params, name, pointer)
        params = self._checked(kind, name, params, f"{pointer}/params")
        try:
            made = factory(first, **params)
        except CoreError as error:
            place = f"{pointer}/params{error.pointer}" if error.pointer and error.pointer.split("/")[1] in params else pointer
            raise CoreError(error.message, where=error.where, pointer=place, hint=error.hint) from None
        except (TypeError, ValueError) as error:
            raise CoreError(
                f"{kind} '{name}' refuses its parameters: {error}", pointer=f"{pointer}/params" if params else pointer
            ) from error
        if not isinstance(made, result):
            raise CoreError(f"{kind} '{name}' gave a {type(made).__name__}, not a {result.__name__}", pointer=f"{pointer}/term")
        return made

    def _checked(self, kind: str, name: str, params: Mapping[str, Any], pointer: str) -> Mapping[str, Any]:
        check = getattr(self._catalog, "check", None)
        if check is None:
            return params
        try:
            return cast("Mapping[str, Any]", check(kind, name, params, pointer=pointer))
        except Exception as error:
            raise _placed(error, pointer) from error

    def _factory(self, kind: str, name: str, pointer: str) -> Callable[..., Any]:
        try:
            return self._catalog.load(kind, name)
        except Exception as error:
            raise _placed(error, pointer) from error


def _placed(error: Exception, pointer: str) -> CoreError:
    """A catalog's own kind of error: message, hint and place are kept, a missing place is added."""
    message = str(getattr(error, "message", error))
    return CoreError(message, pointer=getattr(error, "pointer", None) or pointer, hint=getattr(error, "hint", None))


def _check_parameters(factory: Callable[..., Any], params: Mapping[str, Any], name: str, pointer: str) -> None:
    signature = inspect.signature(factory).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in signature):
        return
    known = {parameter.name: parameter for parameter in signature if parameter.kind is parameter.KEYWORD_ONLY}
    for key in params:
        if key not in known:
            raise unknown(f"parameter of '{name}':", key, known, pointer=f"{pointer}/params/{escape(str(key))}")
    for key, parameter in known.items():
        if parameter.default is parameter.empty and key not in params:
            raise CoreError(f"'{name}' needs the parameter '{key}'", pointer=pointer)


def _load(model: str, folder: Path | None) -> Robot:
    path = (folder or Path()) / model
    embedded = robots.model_path(model)
    try:
        return Robot.load(path if path.is_file() or embedded is None else embedded)
    except CoreError as error:
        raise CoreError(error.message, where=error.where, pointer="/model", hint=error.hint) from None


def _action(spec: Mapping[str, Any], build: _Builder, robot: Robot) -> tuple[Action, tuple[float, float]]:
    keys(spec, (*_ENTRY, "latency"), "/action")
    entry = {"term": spec.get("term", "affine"), "params": spec.get("params", {})}
    action = build.one("action", entry, "/action", robot, Action)
    return action, span(spec, "latency", "/action")


def _observations(spec: Mapping[str, Any], build: _Builder, scene: Scene) -> dict[str, tuple[ObservationEntry, ...]]:
    keys(spec, ("policy", "critic"), "/observations")
    groups: dict[str, tuple[ObservationEntry, ...]] = {}
    for group in ("policy", "critic"):
        made = tuple(_observation(e, p, build, scene) for e, p in entries(spec, group, "/observations", required=group == "policy"))
        groups[group] = (
            _unique(made) if made else _unique(tuple(dataclasses.replace(e, noise=None, delay_s=(0.0, 0.0)) for e in groups["policy"]))
        )
    return groups


def _observation(entry: Mapping[str, Any], pointer: str, build: _Builder, scene: Scene) -> ObservationEntry:
    keys(entry, _OBSERVATION, pointer)
    term = build.one("observation", entry, pointer, scene, Observation)
    noise = build.one("noise", entry["noise"], f"{pointer}/noise", scene, Noise) if entry.get("noise") is not None else None
    clip = span(entry, "clip", pointer, low=-math.inf) if entry.get("clip") is not None else None
    scale = per_value(entry["scale"], term.size, f"{pointer}/scale") if entry.get("scale") is not None else None
    history = entry.get("history", 1)
    if not isinstance(history, int) or isinstance(history, bool) or history < 1:
        raise CoreError(f"history is a whole number of at least 1, not {history!r}", pointer=f"{pointer}/history")
    return ObservationEntry(
        name=str(entry["term"]), term=term, noise=noise, clip=clip, scale=scale, delay_s=span(entry, "delay", pointer), history=history
    )


def _reward(entry: Mapping[str, Any], pointer: str, build: _Builder, scene: Scene) -> RewardEntry:
    keys(entry, (*_ENTRY, "weight", "name"), pointer)
    term = build.one("reward", entry, pointer, scene, Reward)
    return RewardEntry(
        name=field(entry, "name", str, pointer, default=str(entry["term"])), weight=number(entry, "weight", pointer), term=term
    )


def _training(spec: Mapping[str, Any], build: _Builder, scene: Scene) -> tuple[float, tuple[Reset, ...]]:
    """Share of the episodes and the resets that begin them."""
    keys(spec, ("share", "resets", "physics_dt"), "/training")
    share = number(spec, "share", "/training", default=0.5)
    if not 0 <= share <= 1:
        raise CoreError(f"a share lies between 0 and 1, not {share:g}", pointer="/training/share")
    resets = tuple(build.one("reset", e, p, scene, Reset) for e, p in entries(spec, "resets", "/training"))
    return (share if resets else 0.0), resets


def _success(entry: Any, build: _Builder, scene: Scene, episode_s: float) -> Success:
    if not isinstance(entry, Mapping):
        raise CoreError(f"success is a mapping with `term`, not {type(entry).__name__}", pointer="/success")
    keys(entry, (*_ENTRY, "hold_s"), "/success")
    hold_s = number(entry, "hold_s", "/success", default=scene.control_dt)
    if not 0 < hold_s <= episode_s:
        raise CoreError(f"hold_s {hold_s:g} s is not within the episode of {episode_s:g} s", pointer="/success/hold_s")
    return Success(term=build.one("termination", entry, "/success", scene, Termination), hold_s=hold_s)


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


def _unique(named: tuple[_Named, ...]) -> tuple[_Named, ...]:
    """Entries with a number added to names that occur again."""
    seen: Counter[str] = Counter()
    result = []
    for entry in named:
        seen[entry.name] += 1
        result.append(entry if seen[entry.name] == 1 else dataclasses.replace(entry, name=f"{entry.name}_{seen[entry.name]}"))
    return tuple(result)
