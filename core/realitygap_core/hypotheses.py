"""What may be wrong between a model and the logs of a robot: the hypotheses that a diagnosis tries."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from realitygap_core.errors import unknown
from realitygap_core.parameters import ParameterInfo, split
from realitygap_core.plant import channel_names
from realitygap_core.replay import Replay

Kind = Literal["observation", "dynamics", "structure", "overconfidence", "latency", "none", "undecided"]

_OBSERVATION = ("sensor_offset", "sensor_scale", "sensor_delay")
_LATENCY = ("delay", "latency")
DELAYS = ("delay", "latency", "sensor_delay")
"""Kinds of parameters that are times."""
_TERMS = ("frictionloss", "damping", "stiffness", "armature", "command_offset", "velocity_gain")
_MECHANICS = ("mass", "damping", "frictionloss", "stiffness", "armature", "gain", "velocity_gain", "com_x", "com_y", "com_z")


@dataclass(frozen=True, kw_only=True)
class Believed:
    """What is believed of one parameter: a value and how sure it is."""

    value: float
    """In the parameter's unit."""
    low: float | None = None
    """Lower end of the 95 % interval; None where it is not known."""
    high: float | None = None
    """Upper end."""


@dataclass(frozen=True, kw_only=True)
class Hypothesis:
    """Something that may be wrong: parameters that are free of their prior."""

    kind: Kind
    names: tuple[str, ...]
    """One parameter, or a term's two."""
    label: str
    """In words."""


def mechanics(infos: Mapping[str, ParameterInfo]) -> dict[str, Believed]:
    """Parameters that are uncertain when nobody says which: those of the mechanics that the model has, and no more than twelve."""
    present = [n for n, i in infos.items() if i.kind in ("mass", "damping", "frictionloss", "gain", "velocity_gain") and i.nominal != 0]
    return {name: Believed(value=infos[name].nominal) for name in present[:12] if math.isfinite(infos[name].nominal)}


def hypotheses(replay: Replay, infos: Mapping[str, ParameterInfo], beliefs: Mapping[str, Believed]) -> list[Hypothesis]:
    """What may be wrong, from the model and the channels of the logs."""
    for name in beliefs:
        split(name)
        if name not in infos:
            raise unknown("parameter", name, infos, where=replay.robot.where)
    found = []
    shown = list(dict.fromkeys(_shown_targets(replay)))
    # One late channel among several shows; all of them late is the same as late commands.
    faults = {"sensor_offset": "offset", "sensor_scale": "scale", **({"sensor_delay": "delay"} if len(shown) > 1 else {})}
    for channel in shown:
        for kind, words in faults.items():
            if (name := f"{kind}[{channel}]") in infos:
                found.append(Hypothesis(kind="observation", names=(name,), label=f"observation: {words} of {channel}"))
    delays = [n for n in beliefs if split(n)[0] in _LATENCY]
    if not delays and "latency" in infos:
        delays = [n for n in infos if n.startswith("delay[")] if len([n for n in infos if n.startswith("delay[")]) == 1 else ["latency"]
    found += [Hypothesis(kind="latency", names=(n,), label=f"latency: {n}") for n in delays]
    for name in beliefs:
        kind = split(name)[0]
        if kind not in _LATENCY and kind not in _OBSERVATION:
            found.append(Hypothesis(kind="dynamics", names=(name,), label=f"dynamics: {name}"))
    for name, info in infos.items():
        if name in beliefs or info.kind not in _TERMS:
            continue
        if info.nominal != 0:
            if info.kind in _MECHANICS and math.isfinite(info.nominal):
                found.append(Hypothesis(kind="dynamics", names=(name,), label=f"dynamics: {name}"))
            continue
        names = (name, f"springref[{info.target}]") if info.kind == "stiffness" and f"springref[{info.target}]" not in beliefs else (name,)
        found.append(Hypothesis(kind="structure", names=names, label=f"structure: {name}"))
    return found


def _shown_targets(replay: Replay) -> list[str]:
    """Names along the signal path of the channels that are compared."""
    names = channel_names(replay.robot)
    return [names[item.path_index] for item in replay.observed if item.path_index >= 0]


def channel_of(replay: Replay, target: str) -> str:
    """The recording's channel that shows a channel of the signal path."""
    index = channel_names(replay.robot).index(target)
    return next(item.name for item in replay.observed if item.path_index == index)
