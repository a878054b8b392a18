"""Pieces of a log that are replayed from a recorded state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from realitygap_core.observed import Observed
from realitygap_core.plant import Floats
from realitygap_core.recording import Log
from realitygap_core.robot import Robot


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A piece of a log that is replayed from a recorded state."""

    log: str
    """Name of the log."""
    start: float
    """Time of the recorded state, s."""
    steps: int
    """Physics steps to its last sample."""
    qpos: Floats
    """Recorded positions [nq] at the start; the model's own where nothing is recorded."""
    qvel: Floats
    """Velocities [nv] at the start."""
    position_from: Mapping[int, Observed]
    """Address in `qpos` to the channel that it was read from."""
    velocity_from: Mapping[int, Observed]
    """Address in `qvel` to the channel that it was read from: of velocity, or of the position whose slope it is."""


def segments_of(
    robot: Robot, log: Log, channels: Sequence[Observed], velocity: Literal["zero", "measured"], window: float | None, dt: float
) -> Iterator[Segment]:
    """The pieces of a log of `window` seconds (None: one piece), on the physics step `dt` s. A log without two samples of each channel has
    none."""
    tracks = [(item, *log.channel(item.name)) for item in channels]
    tracks = [(item, t[np.isfinite(v)], v[np.isfinite(v)]) for item, t, v in tracks]
    if any(len(t) < 2 for _, t, _ in tracks):
        return
    start, end = max(t[0] for _, t, _ in tracks), max(t[-1] for _, t, _ in tracks)
    moments = np.array([start]) if window is None else np.arange(start, end - 0.5 * window, window)
    # Restarts lie on stamps of the first channel, so that the recorded state is not an interpolated one.
    clock = tracks[0][1]
    moments = np.unique(clock[np.clip(np.searchsorted(clock, moments - 1e-9), 0, len(clock) - 2)])
    for index, moment in enumerate(moments):
        stop = end if index + 1 == len(moments) else float(moments[index + 1])
        qpos = np.array(robot.model.qpos0)
        qvel = np.zeros(robot.model.nv)
        position_from, velocity_from = {}, {}
        for item, t, values in tracks:
            if item.source == "qpos":
                qpos[item.address] = np.interp(moment, t, values)
                position_from[item.address] = item
                if velocity == "measured" or window is not None:
                    dof = _dof_of(robot, item.address)
                    qvel[dof], velocity_from[dof] = _slope(t, values, float(moment)), item
        for item, t, values in tracks:
            # A velocity of role `state` was filtered and lags behind; the slope of the positions does not.
            trusted = velocity == "measured" or (window is not None and item.channel.role == "sensor")
            if item.source == "qvel" and trusted:
                qvel[item.address], velocity_from[item.address] = np.interp(moment, t, values), item
        steps = max(1, int(np.ceil((stop - moment) / dt - 1e-6)))
        yield Segment(
            log=log.name,
            start=float(moment),
            steps=steps,
            qpos=qpos,
            qvel=qvel,
            position_from=position_from,
            velocity_from=velocity_from,
        )


def _dof_of(robot: Robot, qpos_address: int) -> int:
    joint = int(np.flatnonzero(robot.model.jnt_qposadr == qpos_address)[0])
    return int(robot.model.jnt_dofadr[joint])


def _slope(t: Floats, values: Floats, moment: float) -> float:
    """Velocity at `moment` from a parabola through the seven nearest samples, where no velocity is recorded."""
    middle = int(np.clip(np.searchsorted(t, moment), 3, max(3, len(t) - 4)))
    near = slice(max(0, middle - 3), middle + 4)
    degree = min(2, len(t[near]) - 1)
    return float(np.polyder(np.poly1d(np.polyfit(t[near] - moment, values[near], degree)))(0.0))
