"""The lines of a task file: each checked, and made into the term that it names, with the JSON pointer of what is wrong in it."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from realitygap_core.actuation import Drive
from realitygap_core.builder import Builder
from realitygap_core.errors import CoreError, unknown
from realitygap_core.fields import entries, field, keys, number, per_value, span
from realitygap_core.robot import Robot
from realitygap_core.terms.command_set import CommandSet
from realitygap_core.terms.pipeline import ObservationEntry
from realitygap_core.terms.term import (
    Action,
    Actuator,
    Command,
    Curriculum,
    Event,
    Noise,
    Observation,
    Reset,
    Reward,
    Scene,
    Termination,
)  # fmt: skip

_ENTRY = ("term", "params")
_OBSERVATION = (*_ENTRY, "noise", "clip", "scale", "delay", "drop", "history")
_Named = TypeVar("_Named", ObservationEntry, "RewardEntry", "EventEntry")
Curricula = Mapping[str, Curriculum]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RewardEntry:
    """One line of a task's rewards."""

    name: str
    """Unique name, under which it is logged."""
    weight: float
    """Times the value, per second."""
    term: Reward
    """What is computed."""
    curriculum: str | None = None
    """Curriculum that the weight is multiplied by."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class EventEntry:
    """One line of a task's events."""

    name: str
    """Name of the component, unique."""
    term: Event
    """What happens."""
    curriculum: str | None = None
    """Curriculum that the strength is multiplied by."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Success:
    """When an episode counts as solved."""

    term: Termination
    """Holds where this gives +1."""
    hold_s: float
    """It must hold without a break for this long up to the end of the episode, s."""


def actuators(spec: Mapping[str, Any], build: Builder, robot: Robot, episode_s: float) -> tuple[Robot, tuple[Actuator, ...]]:
    """The robot with what its actuators are like compiled in, and the terms that say so. A later term sees the earlier ones' changes."""
    made = []
    for entry, pointer in entries(spec, "actuators"):
        keys(entry, _ENTRY, pointer)
        term = build.one("actuator", entry, pointer, robot, Actuator)
        if term.edit is not None:
            edited = robot.fresh_spec()
            term.edit(edited)
            robot = Robot.from_spec(edited, name=robot.name, path=robot.path)
        if term.force is not None:
            try:
                Drive(robot, term.actuators)
            except CoreError as error:
                raise CoreError(error.message, pointer=f"{pointer}/params/actuators", hint=error.hint) from None
        made.append(term)
        _fits(max(longest_delays(made).values(), default=0.0), "delay_s", f"{pointer}/params/delay_s", episode_s)
    return robot, tuple(made)


def longest_delays(actuators: Iterable[Actuator]) -> dict[str, float]:
    """Actuator to the longest delay of its commands, s: the delays of several terms add up."""
    longest: dict[str, float] = {}
    for term in actuators:
        for name in term.actuators:
            longest[name] = longest.get(name, 0.0) + term.delay_s[1]
    return longest


def action(spec: Mapping[str, Any], build: Builder, robot: Robot, episode_s: float) -> tuple[Action, tuple[float, float], float]:
    """The map to commands, the delay of commands (s), and the chance that one is lost."""
    given = field(spec, "action", Mapping, "", default={})
    keys(given, (*_ENTRY, "latency", "drop"), "/action")
    entry = {"term": given.get("term", "affine"), "params": given.get("params", {})}
    term = build.one("action", entry, "/action", robot, Action)
    return term, _late(given, "latency", "/action", episode_s), _chance(given, "drop", "/action")


def command(spec: Any, build: Builder, scene: Scene) -> CommandSet | None:
    """One command, or a list of them."""
    if spec is None:
        return None
    listed = spec if isinstance(spec, Sequence) and not isinstance(spec, str) else None
    given = [(spec, "/command")] if listed is None else [(entry, f"/command/{index}") for index, entry in enumerate(listed)]
    commands = []
    for entry, pointer in given:
        commands.append(build.one("command", entry, pointer, scene, Command))
        keys(entry, _ENTRY, pointer)
    return CommandSet(commands, scene.control_dt) if commands else None


def curricula(spec: Mapping[str, Any], build: Builder, scene: Scene) -> dict[str, Curriculum]:
    """Curricula by name."""
    made: dict[str, Curriculum] = {}
    for entry, pointer in entries(spec, "curricula"):
        keys(entry, (*_ENTRY, "name"), pointer)
        curriculum = build.one("curriculum", entry, pointer, scene, Curriculum)
        name = field(entry, "name", str, pointer, default=str(entry["term"]))
        if name in made:
            raise CoreError(f"two curricula are called '{name}'", pointer=pointer, hint="give one of them another `name`")
        made[name] = curriculum
    return made


def events(spec: Mapping[str, Any], build: Builder, scene: Scene, curricula: Curricula) -> tuple[EventEntry, ...]:
    """What happens to the robot, under names of their own."""
    made = []
    for entry, pointer in entries(spec, "events"):
        keys(entry, (*_ENTRY, "curriculum", "name"), pointer)
        term = build.one("event", entry, pointer, scene, Event)
        name = field(entry, "name", str, pointer, default=str(entry["term"]))
        made.append(EventEntry(name=name, term=term, curriculum=_named(entry, pointer, curricula)))
    return _unique(tuple(made))


def observations(spec: Mapping[str, Any], build: Builder, scene: Scene, episode_s: float) -> dict[str, tuple[ObservationEntry, ...]]:
    """What the policy and the critic see; the critic's are by default the policy's without noise, delay and loss."""
    given = field(spec, "observations", Mapping, "", required=True)
    keys(given, ("policy", "critic"), "/observations")
    made = {
        group: tuple(_observation(e, p, build, scene, episode_s) for e, p in entries(given, group, "/observations", required=needed))
        for group, needed in (("policy", True), ("critic", False))
    }
    true = tuple(dataclasses.replace(e, noise=None, delay_s=(0.0, 0.0), drop=0.0) for e in made["policy"])
    return {"policy": _unique(made["policy"]), "critic": _unique(made["critic"] or true)}


def rewards(spec: Mapping[str, Any], build: Builder, scene: Scene, curricula: Curricula) -> tuple[RewardEntry, ...]:
    """Rewards under names of their own."""
    made = []
    for entry, pointer in entries(spec, "rewards", required=True):
        keys(entry, (*_ENTRY, "weight", "name", "curriculum"), pointer)
        term = build.one("reward", entry, pointer, scene, Reward)
        name, weight = field(entry, "name", str, pointer, default=str(entry["term"])), number(entry, "weight", pointer)
        made.append(RewardEntry(name=name, weight=weight, term=term, curriculum=_named(entry, pointer, curricula)))
    return _unique(tuple(made))


def terminations(spec: Mapping[str, Any], build: Builder, scene: Scene) -> tuple[tuple[str, Termination], ...]:
    """Terminations with the names of their components."""
    made = []
    for entry, pointer in entries(spec, "terminations"):
        made.append((str(entry.get("term")), build.one("termination", entry, pointer, scene, Termination)))
        keys(entry, _ENTRY, pointer)
    return tuple(made)


def resets(spec: Mapping[str, Any], build: Builder, scene: Scene, pointer: str = "") -> tuple[Reset, ...]:
    """Resets in order."""
    made = []
    for entry, place in entries(spec, "resets", pointer):
        made.append(build.one("reset", entry, place, scene, Reset))
        keys(entry, _ENTRY, place)
    return tuple(made)


def training(spec: Mapping[str, Any], build: Builder, scene: Scene, curricula: Curricula) -> tuple[float, tuple[Reset, ...], str | None]:
    """Share of a training's episodes, the resets that begin them, and the curriculum that the share is multiplied by."""
    keys(spec, ("share", "resets", "physics_dt", "curriculum"), "/training")
    share = number(spec, "share", "/training", default=0.5)
    if not 0 <= share <= 1:
        raise CoreError(f"a share lies between 0 and 1, not {share:g}", pointer="/training/share")
    made = resets(spec, build, scene, "/training")
    return (share if made else 0.0), made, _named(spec, "/training", curricula)


def success(entry: Any, build: Builder, scene: Scene, episode_s: float) -> Success | None:
    """When an episode is solved."""
    if entry is None:
        return None
    if not isinstance(entry, Mapping):
        raise CoreError(f"success is a mapping with `term`, not {type(entry).__name__}", pointer="/success")
    keys(entry, (*_ENTRY, "hold_s"), "/success")
    hold_s = number(entry, "hold_s", "/success", default=scene.control_dt)
    if not 0 < hold_s <= episode_s:
        raise CoreError(f"hold_s {hold_s:g} s is not within the episode of {episode_s:g} s", pointer="/success/hold_s")
    return Success(term=build.one("termination", entry, "/success", scene, Termination), hold_s=hold_s)


def _observation(entry: Mapping[str, Any], pointer: str, build: Builder, scene: Scene, episode_s: float) -> ObservationEntry:
    keys(entry, _OBSERVATION, pointer)
    term = build.one("observation", entry, pointer, scene, Observation)
    noise = build.one("noise", entry["noise"], f"{pointer}/noise", scene, Noise) if entry.get("noise") is not None else None
    both = field(entry, "clip", Sequence, pointer) is not None  # one number would be both ends
    clip = span(entry, "clip", pointer, low=-math.inf) if both else None
    scale = per_value(entry["scale"], term.size, f"{pointer}/scale") if entry.get("scale") is not None else None
    history = entry.get("history", 1)
    if not isinstance(history, int) or isinstance(history, bool) or history < 1:
        raise CoreError(f"history is a whole number of at least 1, not {history!r}", pointer=f"{pointer}/history")
    return ObservationEntry(
        name=str(entry["term"]),
        component=str(entry["term"]),
        params=dict(entry.get("params", {})),
        term=term,
        noise=noise,
        clip=clip,
        scale=scale,
        delay_s=_late(entry, "delay", pointer, episode_s),
        drop=_chance(entry, "drop", pointer),
        history=history,
    )


def _late(entry: Mapping[str, Any], key: str, pointer: str, episode_s: float) -> tuple[float, float]:
    """A delay [shortest, longest], s."""
    low, high = span(entry, key, pointer)
    _fits(high, key, f"{pointer}/{key}", episode_s)
    return low, high


def _fits(delay_s: float, key: str, pointer: str, episode_s: float) -> None:
    """Buffers are as long as the longest delay; one that outlasts the episode would let nothing through."""
    if delay_s >= episode_s:
        raise CoreError(
            f"`{key}` of {delay_s:g} s is as long as the episode of {episode_s:g} s: nothing would arrive",
            pointer=pointer,
            hint=f"`{key}` is in seconds: give less than `episode_s`",
        )


def _chance(spec: Mapping[str, Any], key: str, pointer: str) -> float:
    chance = number(spec, key, pointer, default=0.0)
    if not 0 <= chance < 1:
        raise CoreError(
            f"`{key}` is a chance of at least 0 and below 1, not {chance:g}",
            pointer=f"{pointer}/{key}",
            hint="0.1 loses every tenth one",
        )
    return chance


def _named(entry: Mapping[str, Any], pointer: str, curricula: Curricula) -> str | None:
    name: str | None = field(entry, "curriculum", str, pointer)
    if name is not None and name not in curricula:
        raise unknown("curriculum", name, curricula, pointer=f"{pointer}/curriculum")
    return name


def _unique(named: tuple[_Named, ...]) -> tuple[_Named, ...]:
    """Entries with a number added to names that occur again."""
    seen: Counter[str] = Counter()
    result = []
    for entry in named:
        seen[entry.name] += 1
        result.append(entry if seen[entry.name] == 1 else dataclasses.replace(entry, name=f"{entry.name}_{seen[entry.name]}"))
    return tuple(result)
