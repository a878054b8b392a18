"""Which logs of a recording an open-loop replay can say something about, within a budget of physics steps."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from realitygap_core.gap import by_command
from realitygap_core.observed import observed_channels
from realitygap_core.parameters import apply_many
from realitygap_core.recording import Recording
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot

SENSITIVE = 0.5
"""A log whose replay moves by more than this part of the real signal's spread when the parameters move by 1 % is lost to open loop."""


def choose_logs(robot: Robot, recording: Recording, values: Mapping[str, float], *, max_steps: int) -> tuple[list[str], list[str]]:
    """(logs to diagnose, logs that open loop cannot follow).

    A motion that is unstable in open loop, such as a pendulum that a controller balances, multiplies every small error; what differs then
    says nothing of the model. Of the rest, logs of different commands come first, the least sensitive before others, up to `max_steps`
    physics steps in all (at least one log).
    """
    replay = Replay(robot, recording)
    names = tuple(values)
    base = np.array([values[n] for n in names])
    plants = apply_many(robot, names, np.stack([base, base * 1.01])) if names else []
    ratios: dict[str, float] = {}
    shown = replay.simulate(plants) if plants else {}
    for log in recording.data.values():
        ratio = 0.0
        for item in replay.observed:
            mask = replay.log_mask(item.name, log.name)
            spread = float(np.std(replay.real[item.name][mask])) if np.any(mask) else 0.0
            if spread > 0 and shown and item.source == "qpos":
                moved = shown[item.name][1, mask] - shown[item.name][0, mask]
                ratio = max(ratio, float(np.sqrt(np.mean(moved**2))) / spread)
        ratios[log.name] = ratio
    stable = [name for name in ratios if ratios[name] <= SENSITIVE] or list(ratios)
    lost = [name for name in ratios if name not in stable]
    groups = [[log.name for log in group if log.name in stable] for group in by_command(recording)]
    # One log of each command in turn, the least sensitive commands first.
    ranked = sorted(filter(None, groups), key=lambda group: min(ratios[name] for name in group))
    order = [group[i] for i in range(max(map(len, ranked))) for group in ranked if i < len(group)]
    chosen: list[str] = []
    steps = 0
    for name in order:
        cost = sum(s.steps for s in replay.segments if s.log == name)
        if chosen and steps + cost > max_steps:
            continue
        chosen.append(name)
        steps += cost
    return chosen, lost


def compared_channels(robot: Robot, recording: Recording) -> list[str]:
    """The channels to diagnose: all that the model can show, without velocities that somebody estimated (role `state`) where positions are
    measured.

    An estimated velocity is filtered, and its lag and scale are the filter's, not the robot's.
    """
    every = observed_channels(robot, recording)
    measured = [c for c in every if not (c.source == "qvel" and c.channel.role == "state")]
    return [c.name for c in (measured if any(c.source == "qpos" for c in measured) else every)]
