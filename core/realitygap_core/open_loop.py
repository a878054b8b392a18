"""Commands given in open loop to simulated robots: what the robots do with commands of a log, or with a waveform."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from realitygap_core.command_timing import Command
from realitygap_core.engines.mujoco import MujocoEngine
from realitygap_core.errors import CoreError, unknown
from realitygap_core.plant import Plant
from realitygap_core.recording import Channel, Log, Signal, Target
from realitygap_core.robot import Robot
from realitygap_core.segments import Segment
from realitygap_core.state import PhysicsState

Floats = NDArray[np.float64]
SHAPES = ("constant", "step", "sine", "chirp")


def waveform(spec: Mapping[str, Any], t_t: Floats, *, where: str = "") -> Floats:
    """A command [T] at the times `t_t`, s.

    `spec` has `shape` (constant, step, sine, chirp), `amplitude` (1), `offset` (0), and by shape `start_s` (0; of a step), `hz` (1) and
    `end_hz` (10; a chirp's frequency rises evenly from `hz` to it over the whole length).

    Raises:
        CoreError: unknown shape or key, or a value that is no number.
    """
    defaults = {"amplitude": 1.0, "offset": 0.0, "start_s": 0.0, "hz": 1.0, "end_hz": 10.0}
    shape = spec.get("shape", "constant")
    if shape not in SHAPES:
        raise unknown("shape", str(shape), SHAPES, where=where)
    for key, value in spec.items():
        if key != "shape" and key not in defaults:
            raise unknown("key of a waveform", str(key), ["shape", *defaults], where=where)
        if key != "shape" and (isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value)):
            raise CoreError(f"{key} is a number, not {value!r}", where=where)
    part = defaults | {key: float(value) for key, value in spec.items() if key != "shape"}
    unit = np.ones_like(t_t)
    if shape == "step":
        unit = (t_t >= part["start_s"] - 1e-12).astype(np.float64)
    elif shape == "sine":
        unit = np.sin(2 * math.pi * part["hz"] * t_t)
    elif shape == "chirp":
        length = float(t_t[-1] - t_t[0]) or 1.0
        unit = np.sin(2 * math.pi * (part["hz"] * t_t + (part["end_hz"] - part["hz"]) * t_t**2 / (2 * length)))
    return np.asarray(part["offset"] + part["amplitude"] * unit)


def commands_of(robot: Robot, waveforms: Mapping[str, Mapping[str, Any]], seconds: float, dt: float) -> Log:
    """A log of commands alone: one waveform an actuator by name, held for `dt` seconds each.

    Raises:
        CoreError: no whole sample, no such actuator, or a wrong waveform.
    """
    count = round(seconds / dt)
    if count < 1:
        raise CoreError(f"{seconds:g} s hold no sample of {dt:g} s", hint="give a longer time, or a shorter one between samples")
    t_t: Floats = np.arange(count) * np.float64(dt)
    channels, columns = [], []
    for name, spec in waveforms.items():
        robot.actuator(name)
        channels.append(Channel(name=f"command_{name}", role="command", target=Target(kind="actuator", name=name)))
        columns.append(waveform(spec, t_t, where=f"waveform of '{name}'"))
    return Log(name="open-loop", signals={"commands": Signal(t_t=t_t, values_tc=np.stack(columns, axis=1), channels=tuple(channels))})


def roll(robot: Robot, plants: Sequence[Plant], log: Log, dt: float) -> tuple[Floats, Floats, Floats, Floats]:
    """Steps every plant from the model's reference pose at rest (its first keyframe, if it has one) through the commands of `log`.

    Commands go through each plant's own path: delay, scale, offset, rate.

    Args:
      dt: time between samples, a whole number of physics steps.

    Returns:
      times [T+1], commands at the times [T, u], true sensordata [T+1, B, s], qpos [T+1, B, q].

    Raises:
        CoreError: no command of the log belongs to an actuator of the robot, `dt` is no multiple of the physics step, or the simulation
            broke down.
    """
    physics_dt = float(robot.model.opt.timestep)
    stride = round(dt / physics_dt)
    if stride < 1 or not math.isclose(stride * physics_dt, dt, rel_tol=1e-6):
        raise CoreError(f"{dt:g} s between samples is no multiple of the physics step of {physics_dt:g} s")
    command = Command(robot, log)
    begin = float(log.commands.t_t[0])
    period = float(np.median(np.diff(log.commands.t_t))) if len(log.commands.t_t) > 1 else dt
    samples = max(1, round((float(log.commands.t_t[-1]) - begin + period) / dt))
    steps = samples * stride
    data = mujoco.MjData(robot.model)
    if robot.model.nkey:
        mujoco.mj_resetDataKeyframe(robot.model, data, 0)
    qpos, qvel = np.array(data.qpos), np.array(data.qvel)
    segment = Segment(log=log.name, start=begin, steps=steps, qpos=qpos, qvel=qvel, position_from={}, velocity_from={})
    ctrl_bsu = np.stack([command.ctrl(plant.path, segment, steps + 1, physics_dt) for plant in plants])
    count = len(plants)
    state = PhysicsState(
        time=np.zeros(count),
        qpos=np.tile(qpos, (count, 1)),
        qvel=np.tile(qvel, (count, 1)),
        act=np.zeros((count, robot.model.na)),
        ctrl=ctrl_bsu[:, 0].copy(),
        sensordata=np.zeros((count, robot.model.nsensordata)),
    )
    engine = MujocoEngine(plants[0].model)
    try:
        states, sensors = engine.rollout([plant.model for plant in plants], state, ctrl_bsu)
    finally:
        engine.close()
    _require_sound(states, sensors, physics_dt, log.name)
    # Sensors come out before the step, states after it: the state at time k is that after step k - 1.
    poses: Floats = np.concatenate([np.tile(qpos, (count, 1))[:, None], states[:, :steps, 1 : 1 + robot.model.nq]], axis=1)
    times: Floats = np.arange(samples + 1) * np.float64(dt)
    return (
        times,
        log.commands.at(times[:-1] + begin),
        np.ascontiguousarray(sensors[:, ::stride].transpose(1, 0, 2)),
        np.ascontiguousarray(poses[:, ::stride].transpose(1, 0, 2)),
    )


def _require_sound(states_btx: Floats, sensors_bts: Floats, physics_dt: float, log: str) -> None:
    """Raises CoreError where a rollout broke down: MuJoCo then repeats its last state, so that time stands still."""
    expected_t = physics_dt * np.arange(1, states_btx.shape[1] + 1)
    late_bt = ~(np.abs(states_btx[:, :, 0] - expected_t) < 0.5 * physics_dt)
    broken_bt = late_bt | ~np.isfinite(states_btx).all(-1) | ~np.isfinite(sensors_bts).all(-1)
    if broken_bt.any():
        step = int(np.argmax(broken_bt.any(axis=0)))
        robot = int(np.argmax(broken_bt[:, step]))
        raise CoreError(
            f"the simulation of robot {robot + 1} of {len(broken_bt)} broke down after {step * physics_dt:g} s",
            where=f"log '{log}'",
            hint="give smaller commands, or a model with a shorter timestep or with its masses and gains checked",
        )
