"""Skill `rollout-policy`; contract in skills/rollout-policy/skill.yaml."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from numpy.typing import NDArray

from realitygap_core.domain import Domain
from realitygap_core.environment import Environment
from realitygap_core.parameter_units import channel_unit
from realitygap_core.policy import Policy
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream, Target
from realitygap_core.robot import Robot
from realitygap_core.task import Task, compile_task

if TYPE_CHECKING:
    from realitygap.context import RunContext

Floats = NDArray[np.float64]


def rollout(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `rollout-policy`."""
    policy = Policy.load(inputs["policy"])
    path = Path(inputs["task"]) if "task" in inputs else policy.task_file
    document = run.document(path, "task")
    spec = {key: value for key, value in document.data.items() if key != "domain"}
    domain = None
    if "domain" in inputs:
        given = run.document(inputs["domain"], "domain")
        with given.locating():
            domain = Domain.from_mapping(given.data)
    robot = Robot.load(inputs["model"]) if "model" in inputs else None
    with document.locating():
        task = compile_task(spec, run.catalog, robot, folder=path.parent, engine="mujoco", domain=domain)
    policy.check(task)
    logs = int(inputs.get("logs", 4))
    times, commands_tbu, sensors_tbs, returns = _roll(policy, task, logs, run, stochastic=bool(inputs.get("stochastic", False)))
    recording = _recording(task, times, commands_tbu, sensors_tbs)
    folder = recording.save(run.artifact(f"{task.name}.recording"), overwrite=True)
    run.figure("rollout", _figure(recording))
    median = float(np.median(returns))
    return {
        "recording": str(folder),
        "logs": logs,
        "returns": returns,
        "summary": f"{task.name}: {logs} episodes of {times[-1]:g} s recorded at {1 / task.control_dt:g} Hz, median return {median:.3g}",
    }


def _roll(policy: Policy, task: Task, logs: int, run: RunContext, *, stochastic: bool) -> tuple[Floats, Floats, Floats, list[float]]:
    """Times [T+1], commands [T, B, u], true sensordata [T+1, B, s], and the return of each episode. Nothing ends an episode early."""
    open_ended = dataclasses.replace(task, terminations=(), episode_steps=task.episode_steps + 1)
    env = Environment(open_ended, num_envs=logs, own_plant=True, bank_seed=run.seed)
    try:
        reset_key, action_key = jax.random.split(jax.random.PRNGKey(run.seed))
        state = env.reset(reset_key)
        sensors, commands = [np.array(state.physics.sensordata)], []
        total = np.zeros(logs)
        command = jax.jit(jax.vmap(task.action.command))
        act = jax.jit(lambda observation, key: policy.apply(observation, key) if stochastic else policy.apply(observation))
        for number in run.track(range(task.episode_steps), "rolling out"):
            action = act(env.observe(state)["policy"], jax.random.fold_in(action_key, number))
            state, transition = env.step(state, action)
            commands.append(np.asarray(command(action), dtype=np.float64))
            sensors.append(np.array(state.physics.sensordata))
            total += np.asarray(transition.reward_b)
    finally:
        env.close()
    times: Floats = np.arange(task.episode_steps + 1) * np.float64(task.control_dt)
    return times, np.stack(commands), np.stack(sensors), [float(value) for value in total]


def _recording(task: Task, times: Floats, commands_tbu: Floats, sensors_tbs: Floats) -> Recording:
    rate = 1 / task.control_dt
    commands = tuple(
        Channel(name=f"command_{name}", role="command", target=Target(kind="actuator", name=name)) for name in task.action.actuators
    )
    measured, columns = [], []
    for name, where in task.layout.slices.items():
        for index in range(where.stop - where.start):
            # Sensors that only the task compiled in are not in the robot's own model: they have no target.
            own = name in task.nominal.names("sensor")
            unit = channel_unit(task.nominal, name) if own else ""
            label = name if where.stop - where.start == 1 else f"{name}_{index}"
            target = Target(kind="sensor", name=name, index=index) if own else None
            measured.append(Channel(name=label.replace("/", "_"), role="sensor", unit=unit, target=target))
            columns.append(where.start + index)
    streams = (
        Stream(name="commands", channels=commands, rate_hz=rate),
        Stream(name="sensors", channels=tuple(measured), rate_hz=rate),
    )
    data = {}
    for index in range(commands_tbu.shape[1]):
        signals = {
            "commands": Signal(t_t=times[:-1], values_tc=commands_tbu[:, index], channels=commands),
            "sensors": Signal(t_t=times, values_tc=sensors_tbs[:, index][:, columns], channels=tuple(measured)),
        }
        data[f"episode-{index:03d}"] = Log(name=f"episode-{index:03d}", signals=signals)
    return Recording(
        name=task.name, streams=streams, data=data, initial_velocity="measured", provenance={"task": task.name, "simulated": True}
    )


def _figure(recording: Recording) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    channels = [channel.name for channel in recording.channels][:6]
    fig, axes = pyplot.subplots(len(channels), 1, figsize=(7, 1.6 * len(channels) + 0.5), sharex=True, squeeze=False)
    for axis, name in zip(axes[:, 0], channels, strict=True):
        for log in list(recording.data.values())[:8]:
            times, values = log.channel(name)
            axis.plot(times, values, linewidth=0.9, alpha=0.7)
        unit = recording.channel(name).unit
        axis.set_ylabel(f"{name} [{unit}]" if unit else name)
        axis.grid(alpha=0.25)
    axes[-1, 0].set_xlabel("time [s]")
    fig.tight_layout()
    return fig
