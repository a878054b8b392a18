"""What the skills share: opening robot and logs, choosing logs and channels, reading `parameters`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from realitygap.context import RunContext
from realitygap.document import load
from realitygap.errors import InputError
from realitygap_core.gap import ChannelGap, repeats
from realitygap_core.observed import observed_channels
from realitygap_core.parameters import check
from realitygap_core.recording import Recording
from realitygap_core.robot import Robot
from realitygap_plugins.system_id.recordings import open_logs


def open_pair(inputs: Mapping[str, Any], run: RunContext) -> tuple[Robot, Recording]:
    """The robot of `model` and the logs of `recording`. Raises InputError and CoreError with file, line, log, row."""
    robot = Robot.load(inputs["model"])
    for note in robot.notes:
        run.warn(note)
    return robot, open_logs(inputs, inputs["recording"], robot, run)


def open_loop_logs(recording: Recording) -> tuple[list[str], str]:
    """(logs to replay when none are asked for, why): a controller never gives the same command twice, so repeated commands were open
    loop."""
    told = {name: log.meta.get("open_loop") for name, log in recording.data.items()}
    if any(value is not None for value in told.values()):
        return [name for name, value in told.items() if value], "marked as open loop in the recording"
    repeated = {log.name for group in repeats(recording) for log in group}
    if repeated:
        return [name for name in recording.log_names if name in repeated], "their commands were repeated exactly, so no loop was closed"
    return list(recording.log_names), "all, since no command was repeated; in a log under feedback the open-loop gap says little"


def split_logs(recording: Recording) -> tuple[list[str], list[str], str]:
    """(training logs, test logs, why) when none are asked for: the first of each group of repeats by name, and the others."""
    chosen, _ = open_loop_logs(recording)
    groups = [sorted(log.name for log in group) for group in repeats(recording.select(chosen))]
    if groups:
        return [group[0] for group in groups], [name for group in groups for name in group[1:]], "first of each group of repeated commands"
    if len(chosen) < 2:
        return chosen, [], "the only log; there is none left to test on"
    # Every third is for testing, so that both sets see all kinds of motion that follow one another.
    test = chosen[2::3] or chosen[-1:]
    return [name for name in chosen if name not in test], test, "every third log is for testing"


def position_channels(robot: Robot, recording: Recording) -> list[str]:
    """Channels to fit to: positions as measured; without any, all that the model can show."""
    every = observed_channels(robot, recording)
    positions = [item.name for item in every if item.source == "qpos"]
    return positions or [item.name for item in every]


def parameter_values(robot: Robot, given: Any, run: RunContext) -> dict[str, float]:
    """Values by name from `{name: value}` or `{name: {value, ...}}`, given as an object or as a JSON or YAML file of one.

    Raises:
        InputError: not such an object, or a value that the robot cannot have.
    """
    if given is None:
        return {}
    where = None
    if isinstance(given, str):
        where = given
        given = load(given).data
    if isinstance(given, Mapping) and set(given) >= {"outputs"} and isinstance(given["outputs"], Mapping):
        given = given["outputs"]
    if isinstance(given, Mapping) and isinstance(given.get("parameters"), Mapping):
        given = given["parameters"]
    if not isinstance(given, Mapping):
        raise InputError("parameters are an object of names with values", where=where, hint='for example {"damping[knee]": 0.2}')
    values = {}
    for name, entry in given.items():
        value = entry.get("value") if isinstance(entry, Mapping) else entry
        if isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
            raise InputError(f"parameter '{name}' has no number: {entry!r}", where=where, hint="give a number, or an object with `value`")
        values[str(name)] = float(value)
    check(robot, values)
    return values


def gaps_json(gaps: Mapping[str, ChannelGap]) -> dict[str, Any]:
    """Gaps by channel as plain data."""
    return {name: gap.as_json() for name, gap in gaps.items()}


def patterns(value: str | Sequence[str] | None) -> list[str] | None:
    """Glob patterns as a list."""
    if value is None:
        return None
    return [value] if isinstance(value, str) else list(value)
