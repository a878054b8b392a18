"""Skills `simulate-rollout` and `rollout-policy`; contracts in skills/<name>/skill.yaml."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from numpy.typing import NDArray

from realitygap.errors import InputError, RunFailed
from realitygap_core.bank import require_known
from realitygap_core.contract import in_short
from realitygap_core.domain import Domain
from realitygap_core.environment import Environment
from realitygap_core.film import film
from realitygap_core.open_loop import commands_of, roll
from realitygap_core.opening import open_recording
from realitygap_core.parameter_units import channel_unit, command_unit
from realitygap_core.parameters import apply
from realitygap_core.policy import Policy
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream, Target
from realitygap_core.robot import Robot
from realitygap_core.sensors import layout
from realitygap_core.task import Task, compile_task

if TYPE_CHECKING:
    from realitygap.context import RunContext

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Motion:
    """What B simulated robots did."""

    name: str
    robot: Robot
    """As it was given."""
    slices: Mapping[str, slice]
    """Sensor name to its part of the sensordata."""
    actuators: tuple[str, ...]
    """Of the columns of `commands_tbu`."""
    dt: float
    """Between samples, s."""
    commands_tbu: Floats
    """[T, B, u]"""
    sensors_tbs: Floats
    """True sensordata [T+1, B, s]."""
    poses_tq: Floats
    """qpos of the first robot [T+1, q]."""
    returns: tuple[float, ...] = ()
    """Of each episode, where there is a task."""


def simulate(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `simulate-rollout`: a policy in closed loop, or commands in open loop."""
    given = [name for name in ("policy", "commands", "waveform") if name in inputs]
    if len(given) != 1:
        told = " and ".join(given) or "none of them"
        raise InputError(f"give one of `policy`, `commands` and `waveform`, not {told}", hint="a policy acts, commands are played")
    motion = _closed_loop(inputs, run) if "policy" in inputs else _open_loop(inputs, run)
    recording = _recording(motion, open_loop="policy" not in inputs)
    folder = recording.save(run.artifact(f"{motion.name}.recording"), overwrite=True)
    run.figure("rollout", _figure(recording))
    outputs: dict[str, Any] = {"recording": str(folder), "logs": len(recording.data), "seconds": (len(motion.sensors_tbs) - 1) * motion.dt}
    if motion.returns:
        outputs["returns"] = list(motion.returns)
    if inputs.get("film", True):
        moving = film(motion.robot, motion.poses_tq, motion.dt)
        outputs |= {"film": str(moving.save(run.picture("first-log.gif"))), "film_drawn": moving.description}
    return outputs | {"summary": _summary(motion)}


def rollout(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `rollout-policy`: `simulate-rollout` with a policy."""
    return simulate(inputs, run)


def _summary(motion: Motion) -> str:
    count, seconds = motion.sensors_tbs.shape[1], (len(motion.sensors_tbs) - 1) * motion.dt
    told = f", median return {float(np.median(motion.returns)):.3g}" if motion.returns else ", commands in open loop"
    return f"{motion.name}: {count} episode{'s' if count > 1 else ''} of {seconds:g} s recorded at {1 / motion.dt:g} Hz{told}"


def _domain(inputs: Mapping[str, Any], run: RunContext) -> Domain | None:
    if "domain" not in inputs:
        return None
    given = run.document(inputs["domain"], "domain")
    with given.locating():
        return Domain.from_mapping(given.data)


def _closed_loop(inputs: Mapping[str, Any], run: RunContext) -> Motion:
    policy = Policy.load(inputs["policy"])
    path = Path(inputs["task"]) if "task" in inputs else policy.task_file
    document = run.document(path, "task")
    spec = {key: value for key, value in document.data.items() if key != "domain"}
    robot = Robot.load(inputs["model"]) if "model" in inputs else None
    with document.locating():
        task = compile_task(spec, run.catalog, robot, folder=path.parent, engine="mujoco", domain=_domain(inputs, run))
    policy.check(task)
    if differences := policy.robot_differences(task.nominal):
        run.warn(f"not the robot that the policy was trained on: {in_short(differences)}")
    return _roll_policy(policy, task, int(inputs.get("logs", 4)), run, stochastic=bool(inputs.get("stochastic", False)))


def _roll_policy(policy: Policy, task: Task, logs: int, run: RunContext, *, stochastic: bool) -> Motion:
    """Nothing ends an episode early. Raises RunFailed where the simulation itself breaks down."""
    open_ended = dataclasses.replace(task, terminations=(), episode_steps=task.episode_steps + 1)
    env = Environment(open_ended, num_envs=logs, own_plant=True, bank_seed=run.seed)
    try:
        reset_key, action_key = jax.random.split(jax.random.PRNGKey(run.seed))
        state, memory = env.reset(reset_key), policy.initial_state(logs)
        sensors, commands, poses = [np.array(state.physics.sensordata)], [], [np.array(state.physics.qpos[0])]
        total = np.zeros(logs)
        command = jax.jit(jax.vmap(task.action.command))
        act = jax.jit(lambda observation, memory, key: policy.step(observation, memory, key if stochastic else None))
        for number in run.track(range(task.episode_steps), "rolling out"):
            action, memory = act(env.observe(state)["policy"], memory, jax.random.fold_in(action_key, number))
            state, transition = env.step(state, action)
            broken = np.flatnonzero(transition.terminated_b)
            if broken.size:  # and begins anew, which is no motion of the robot
                raise RunFailed(
                    f"the simulation of {_log_name(int(broken[0]))} broke down after {(number + 1) * task.control_dt:g} s",
                    hint="give the task a shorter `physics_dt`, or check the masses and gains of the model and the domain",
                )
            commands.append(np.asarray(command(action), dtype=np.float64))
            sensors.append(np.array(state.physics.sensordata))
            poses.append(np.array(state.physics.qpos[0]))
            total += np.asarray(transition.reward_b)
    finally:
        env.close()
    return Motion(
        name=task.name,
        robot=task.nominal,
        slices=task.layout.slices,
        actuators=task.action.actuators,
        dt=task.control_dt,
        commands_tbu=np.stack(commands),
        sensors_tbs=np.stack(sensors),
        poses_tq=np.stack(poses),
        returns=tuple(float(value) for value in total),
    )


def _open_loop(inputs: Mapping[str, Any], run: RunContext) -> Motion:
    if "model" not in inputs:
        raise InputError("commands need a robot to be given to", hint="give `model`")
    robot, domain = Robot.load(inputs["model"]), _domain(inputs, run)
    dt = float(inputs.get("sample_dt", 0.01))
    if "waveform" in inputs:
        given = inputs["waveform"]
        if not isinstance(given, Mapping) or not given or not all(isinstance(part, Mapping) for part in given.values()):
            raise InputError("a waveform is an object: actuator to shape", hint='for example {"motor": {"shape": "sine", "hz": 1}}')
        log = commands_of(robot, given, float(inputs.get("seconds", 5.0)), dt)
    else:
        recording = open_recording(inputs["commands"], None, robot, catalog=run.catalog, warn=run.warn)
        log = recording.log(str(inputs.get("log", recording.log_names[0])))
    count = int(inputs.get("logs", 4)) if domain is not None else 1
    if domain is not None:
        require_known(domain, robot, where=inputs.get("domain"))
        drawn = domain.sample(np.random.default_rng(run.seed), count)
        plants = [apply(robot, {name: float(values[index]) for name, values in drawn.items()}) for index in range(count)]
    else:
        plants = [apply(robot, {})]
    run.progress(0, 1, "stepping")
    _, commands_tu, sensors_tbs, poses_tbq = roll(robot, plants, log, dt)
    run.progress(1, 1, "stepping")
    targets = [(index, channel.target.name) for index, channel in enumerate(log.commands.channels) if channel.target is not None]
    columns = [index for index, _ in targets]
    return Motion(
        name=f"{robot.name}-{log.name}",
        robot=robot,
        slices=layout(robot.model, {}).slices,
        actuators=tuple(name for _, name in targets),
        dt=dt,
        commands_tbu=np.repeat(commands_tu[:, None, columns], count, axis=1),
        sensors_tbs=sensors_tbs,
        poses_tq=poses_tbq[:, 0],
    )


def _recording(motion: Motion, *, open_loop: bool) -> Recording:
    robot, rate = motion.robot, 1 / motion.dt
    times = np.arange(len(motion.sensors_tbs)) * np.float64(motion.dt)
    commands = tuple(
        Channel(name=f"command_{name}", role="command", unit=_unit(robot, name), target=Target(kind="actuator", name=name))
        for name in motion.actuators
    )
    measured, columns = [], []
    for name, where in motion.slices.items():
        for index in range(where.stop - where.start):
            # Sensors that only the task compiled in are not in the robot's own model: they have no target.
            own = name in robot.names("sensor")
            unit = channel_unit(robot, name) if own else ""
            label = name if where.stop - where.start == 1 else f"{name}_{index}"
            target = Target(kind="sensor", name=name, index=index) if own else None
            measured.append(Channel(name=label.replace("/", "_"), role="sensor", unit=unit, target=target))
            columns.append(where.start + index)
    streams = (
        Stream(name="commands", channels=commands, rate_hz=rate),
        Stream(name="sensors", channels=tuple(measured), rate_hz=rate),
    )
    data = {}
    for index in range(motion.commands_tbu.shape[1]):
        signals = {
            "commands": Signal(t_t=times[:-1], values_tc=motion.commands_tbu[:, index], channels=commands),
            "sensors": Signal(t_t=times, values_tc=motion.sensors_tbs[:, index][:, columns], channels=tuple(measured)),
        }
        data[_log_name(index)] = Log(name=_log_name(index), signals=signals, meta={"open_loop": open_loop})
    return Recording(
        name=motion.name, streams=streams, data=data, initial_velocity="measured", provenance={"task": motion.name, "simulated": True}
    )


def _log_name(index: int) -> str:
    return f"episode-{index:03d}"


def _unit(robot: Robot, actuator: str) -> str:
    unit = command_unit(robot, actuator)
    return "" if unit == "command" else unit


def _figure(recording: Recording) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    channels = [channel.name for channel in recording.channels][:6]
    fig, axes = pyplot.subplots(len(channels), 1, figsize=(7, 1.6 * len(channels) + 0.5), sharex=True, squeeze=False, layout="constrained")
    for axis, name in zip(axes[:, 0], channels, strict=True):
        for log in list(recording.data.values())[:8]:
            times, values = log.channel(name)
            axis.plot(times, values, linewidth=0.9, alpha=0.7)
        unit = recording.channel(name).unit
        axis.set_ylabel(f"{name} [{unit}]" if unit else name)
        axis.grid(alpha=0.25)
    axes[-1, 0].set_xlabel("time [s]")
    return fig
