"""Recorded commands on the clock of the physics, through a signal path.

A command reaches `ctrl` with any real delay: each physics step gets the mean of the delayed command over the step, so that the result is
smooth in the delay. The rate limit acts on what comes out of the delay.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.parameter_kinds import is_position_servo
from realitygap_core.plant import Floats, SignalPath
from realitygap_core.recording import Log
from realitygap_core.robot import Robot
from realitygap_core.segments import Segment


class Command:
    """The recorded commands of one log as a function of continuous time, and its mean over physics steps."""

    def __init__(self, robot: Robot, log: Log) -> None:
        commands = log.commands
        self.t = commands.t_t
        self.columns: list[tuple[int, Floats, bool]] = []
        for index, channel in enumerate(commands.channels):
            if channel.target is None:
                continue
            if channel.target.kind != "actuator":
                raise CoreError(
                    f"command '{channel.name}' is mapped to the {channel.target.kind} '{channel.target.name}'",
                    where=f"log '{log.name}'",
                    hint="a command belongs to an actuator",
                )
            self.columns.append((robot.id("actuator", channel.target.name), commands.values_tc[:, index], channel.hold == "linear"))
        if not self.columns:
            raise CoreError(f"no command of log '{log.name}' belongs to an actuator of model '{robot.name}'", where=robot.where)
        model = robot.model
        self.servo = [is_position_servo(model, actuator) for actuator in range(model.nu)]
        self.joint = [
            int(model.actuator_trnid[actuator, 0]) if model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_JOINT else -1
            for actuator in range(model.nu)
        ]
        self.model = model

    def ctrl(self, path: SignalPath, segment: Segment, steps: int, dt: float) -> Floats:
        """`ctrl` [steps, nu] for physics steps that begin at the segment's start."""
        out = np.zeros((steps, len(self.servo)))
        for actuator, servo in enumerate(self.servo):
            if servo and self.joint[actuator] >= 0:
                # A servo without recorded command holds where it is.
                out[:, actuator] = segment.qpos[self.model.jnt_qposadr[self.joint[actuator]]] * self.model.actuator_gear[actuator, 0]
        for actuator, values, linear in self.columns:
            # Before the first command a motor is off, and a servo holds the first command.
            before = float(values[0]) if self.servo[actuator] else 0.0
            scale, offset, rate, delay = (float(a[actuator]) for a in (path.scale_u, path.offset_u, path.rate_u, path.delay_u))
            early = 0
            if np.isfinite(rate):
                # A limiter remembers: it begins a step before the log does, or so early that it could have crossed the whole range.
                largest = rate * dt / scale
                early = 1 + math.ceil(min(max(segment.start - self.t[0], 0.0) / dt, float(np.ptp(values)) / largest))
            edges = segment.start + dt * np.arange(-early, steps + 1, dtype=np.float64)
            means = self._means(edges - delay, values, linear, before)
            if early:
                means = _rate_limited(means, largest)[early:]
            out[:, actuator] = scale * means + offset
        return out

    def _means(self, edges: Floats, values: Floats, linear: bool, before: float) -> Floats:
        """Mean of the command over each interval between edges [steps + 1], from its exact integral."""
        t = self.t
        widths = np.diff(t)
        pieces = widths * (values[:-1] + values[1:]) / 2 if linear else widths * values[:-1]
        integral = np.concatenate([[0.0], np.cumsum(pieces)])
        index = np.clip(np.searchsorted(t, edges, side="right") - 1, 0, len(t) - 1)
        since = edges - t[index]
        at = integral[index] + since * values[index]
        if linear:
            slopes = np.concatenate([(values[1:] - values[:-1]) / widths, [0.0]])
            at = at + np.where(since > 0, 0.5 * slopes[index] * since**2, 0.0)
        at = np.where(edges < t[0], (edges - t[0]) * before, at)
        return np.asarray(np.diff(at) / np.diff(edges))


def _rate_limited(values: Floats, largest: float) -> Floats:
    """Each value at most `largest` from the one before it; the first is what it is."""
    out = np.empty_like(values)
    now = float(values[0])
    for index, wanted in enumerate(values.tolist()):
        now += min(max(wanted - now, -largest), largest)
        out[index] = now
    return out
