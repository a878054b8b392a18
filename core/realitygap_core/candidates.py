"""Candidate terms that a model may lack, and at which values each shows its effect.

A spring with a rest angle has no effect to differentiate at stiffness 0: its columns are two springs that pull to either side, whose
mixture is one spring in between.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from realitygap_core.parameter_kinds import is_position_servo
from realitygap_core.parameters import describe, enumerate_parameters
from realitygap_core.plant import Floats, channel_names
from realitygap_core.replay import Replay

NEUTRAL = {
    "frictionloss": 0.0,
    "damping": 0.0,
    "armature": 0.0,
    "stiffness": 0.0,
    "command_offset": 0.0,
    "command_scale": 1.0,
    "delay": 0.0,
    "force_limit": math.inf,
    "command_rate": math.inf,
    "sensor_offset": 0.0,
}
"""Kinds of single parameters that are candidate terms, with the value at which the term is not there."""

WORDS = {
    "frictionloss": ("Coulomb friction", "joint", "add `frictionloss` to the joint"),
    "damping": ("viscous damping", "joint", "add `damping` to the joint"),
    "armature": ("rotor inertia", "joint", "add `armature` to the joint"),
    "stiffness": (
        "spring with rest position",
        "joint",
        "add `stiffness` and `springref` to the joint; look for a cable, a hose or a return spring",
    ),
    "command_offset": ("command offset", "actuator", "calibrate the zero of the driver, or keep the offset in the signal path"),
    "command_scale": ("command scale", "actuator", "check the driver's gain and the supply"),
    "delay": ("command delay", "actuator", "keep the delay in the signal path and train under it"),
    "force_limit": ("force limit", "actuator", "set `forcerange`"),
    "command_rate": ("command rate limit", "actuator", "keep the limit in the signal path"),
    "sensor_offset": ("sensor offset", "channel", "calibrate the zero of the sensor"),
}
"""Kind to what it is called, what it belongs to, and what to do about it."""


@dataclass(frozen=True, kw_only=True)
class Term:
    """One candidate."""

    kind: str
    """A key of `NEUTRAL`; `stiffness` stands for the spring with its rest position."""
    target: str
    """Joint, actuator or channel."""
    names: tuple[str, ...]
    """Parameters that it adds."""
    probes: tuple[dict[str, float], ...]
    """Values at which each of its columns is measured."""
    low: tuple[float, ...]
    """Least multiple of each probe."""
    high: tuple[float, ...]
    """Largest multiple of each probe."""
    origin: float | None = None
    """Nominal value of a parameter that the model already has; None for a term that it lacks."""

    def values(self, coefficients: Floats) -> dict[str, float]:
        """Values of the term's parameters at multiples of its probes."""
        if self.kind == "stiffness" and self.origin is None:
            total = float(np.sum(coefficients))
            stiffness, reference = self.names
            if total <= 0:
                return {stiffness: 0.0, reference: self.probes[0][reference]}
            mixed = sum(c * probe[reference] for c, probe in zip(coefficients, self.probes, strict=True)) / total
            return {stiffness: total * self.probes[0][stiffness], reference: float(mixed)}
        (name,) = self.names
        probe, neutral = self.probes[0][name], NEUTRAL[self.kind] if self.origin is None else self.origin
        if math.isinf(neutral):  # a limit: the probe is 10 % below what the logs reach
            return {name: probe / 0.9 * (1.0 - 0.1 * float(coefficients[0]))}
        return {name: neutral + float(coefficients[0]) * (probe - neutral)}

    @property
    def label(self) -> str:
        """What it is, in words."""
        return self.names[0] if self.origin is not None else f"{WORDS[self.kind][0]} of {WORDS[self.kind][1]} {self.target}"

    def bounds(self, others: Mapping[str, tuple[float, float]] | None) -> dict[str, tuple[float, float]]:
        """`others` with those of the term's parameters that follow from the logs rather than from the model."""
        wider = dict(others or {})
        if self.kind in ("force_limit", "command_rate"):
            largest = self.probes[0][self.names[0]] / 0.9
            wider.setdefault(self.names[0], (0.05 * largest, 1.05 * largest))
        return wider


def candidates(replay: Replay, names: Sequence[str], released: Sequence[str] = ()) -> list[Term]:
    """Every term for every joint, actuator and position channel that the parameters `names` and the model do not have yet.

    `released` are parameters of the model that were left at their nominal value and may be searched after all.
    """
    robot = replay.robot
    terms = [_release(replay, name) for name in released if name not in names]
    taken = {*names, *released}
    shown = {channel_names(robot)[item.path_index] for item in replay.observed if item.source == "qpos" and item.path_index >= 0}
    for name, info in enumerate_parameters(robot).items():
        if info.kind not in NEUTRAL or name in taken or info.nominal != NEUTRAL[info.kind]:
            continue
        if (
            info.kind == "command_scale"
            and f"gain[{info.target}]" in names
            and not is_position_servo(robot.model, robot.id("actuator", info.target))
        ):
            continue  # the same thing
        if info.kind == "sensor_offset" and info.target not in shown:
            continue
        term = _term(replay, name)
        if term is not None:
            terms.append(term)
    return terms


def _release(replay: Replay, name: str) -> Term:
    info = describe(replay.robot, name)
    step = 1e-3 * info.nominal if info.scale == "log" else 1e-4 * (info.high - info.low)
    low, high = (info.low - info.nominal) / step, (info.high - info.nominal) / step
    return Term(
        kind=info.kind,
        target=info.target,
        names=(name,),
        probes=({name: info.nominal + step},),
        low=(low,),
        high=(high,),
        origin=info.nominal,
    )


def _term(replay: Replay, name: str) -> Term | None:
    info = describe(replay.robot, name)
    neutral = NEUTRAL[info.kind]
    if info.kind == "stiffness":
        rest = f"springref[{info.target}]"
        middle, reach = _travel(replay, info.target)
        probe = 1e-4 * info.high
        probes = ({name: probe, rest: middle - reach}, {name: probe, rest: middle + reach})
        return Term(kind=info.kind, target=info.target, names=(name, rest), probes=probes, low=(0.0, 0.0), high=(1e4, 1e4))
    if math.isinf(neutral):
        largest = _largest_force(replay, info.target) if info.kind == "force_limit" else _largest_rate(replay, info.target)
        if largest is None:
            return None
        return Term(kind=info.kind, target=info.target, names=(name,), probes=({name: 0.9 * largest},), low=(0.0,), high=(9.5,))
    step = replay.dt if info.kind == "delay" else 1e-4 * (info.high - info.low)
    low, high = (info.low - neutral) / step, (info.high - neutral) / step
    return Term(kind=info.kind, target=info.target, names=(name,), probes=({name: neutral + step},), low=(low,), high=(high,))


def _travel(replay: Replay, joint: str) -> tuple[float, float]:
    """(middle, reach) of rest positions to consider: what the joint was seen to travel, doubled, at least a radian (or 0.1 m) to each
    side."""
    model = replay.robot.model
    joint_id = replay.robot.id("joint", joint)
    address = int(model.jnt_qposadr[joint_id])
    seen = [replay.real[item.name] for item in replay.observed if item.source == "qpos" and item.address == address]
    least = 1.0 if replay.robot.model.jnt_type[joint_id] == 3 else 0.1
    if not seen:
        return float(model.qpos0[address]), least
    low, high = float(min(v.min() for v in seen)), float(max(v.max() for v in seen))
    return (low + high) / 2, max(high - low, least)


def _commands(replay: Replay, actuator: str) -> list[tuple[Floats, Floats]]:
    found = []
    for log in replay.recording.data.values():
        commands = log.commands
        for index, channel in enumerate(commands.channels):
            if channel.target is not None and channel.target.name == actuator:
                found.append((commands.t_t, commands.values_tc[:, index]))
    return found


def _largest_force(replay: Replay, actuator: str) -> float | None:
    """Largest force that the command asks for; of a servo, from the recorded distance to the command."""
    model, index = replay.robot.model, replay.robot.id("actuator", actuator)
    gain = abs(float(model.actuator_gainprm[index, 0]))
    commands = _commands(replay, actuator)
    if not commands or gain == 0:
        return None
    if not is_position_servo(model, index):
        return gain * max(float(np.abs(values).max()) for _, values in commands)
    joint = int(model.actuator_trnid[index, 0])
    shown = next((item for item in replay.observed if item.source == "qpos" and item.address == model.jnt_qposadr[joint]), None)
    if shown is None:
        return None
    largest = 0.0
    for log in replay.recording.data.values():
        t, position = log.channel(shown.name)
        for commanded_t, values in _commands(replay, actuator):
            if commanded_t is log.commands.t_t:
                largest = max(largest, gain * float(np.nanmax(np.abs(np.interp(t, commanded_t, values) - position))))
    return largest or None


def _largest_rate(replay: Replay, actuator: str) -> float | None:
    """Largest steady rate of the command: the 99th percentile, so that single steps do not count."""
    rates = [np.abs(np.diff(values)) / np.diff(t) for t, values in _commands(replay, actuator)]
    largest = max((float(np.percentile(rate, 99)) for rate in rates if len(rate)), default=0.0)
    return largest or None
