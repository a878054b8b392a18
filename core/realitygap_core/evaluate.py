"""Judging a policy: one episode on each of many plants, every one recorded."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from numpy.typing import NDArray

from realitygap_core.environment import Environment
from realitygap_core.errors import CoreError
from realitygap_core.policy import Policy
from realitygap_core.statistics import wilson
from realitygap_core.task import Task
from realitygap_core.terms.term import View

NOT_REACHED = "not_held"
"""Reason of a failure without a violation: the criterion did not hold at the end for as long as it must."""
FILMED = 4
"""Trials of which every pose is kept."""
DIVERGED = "diverged"
"""Reason of a failure of the simulation itself."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One episode on one plant."""

    success: bool
    """The criterion held without a break for as long as it must up to the end, and no limit was passed on the way; without a criterion, a
    termination said success before any limit was passed."""
    failure: str | None
    """Name of the termination that was violated first, `not_held`, or `diverged`; None for a success."""
    failed_at_s: float | None
    """When a limit was passed, s."""
    held_s: float
    """For how long the criterion of success held without a break up to the end, s."""
    fraction_held: float
    """Share of the episode in which it held."""
    episode_return: float
    """Sum of rewards up to the first violated limit or the end."""
    rewards: dict[str, float]
    """What each reward contributed to that sum, weighted."""
    largest: dict[str, float]
    """Joint to its largest |position| up to the first violated limit, rad or m."""
    plant: dict[str, float]
    """Parameters of the plant, by name."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """All trials of a policy."""

    trials: tuple[Trial, ...]
    first: dict[str, NDArray[np.float32]]
    """Traces of up to 32 trials for figures: joint to position [T, trials], `action(<actuator>)` to the command [T, trials]."""
    poses_tkq: NDArray[np.float64] | None = None
    """qpos of the first trials [T, k, nq], at most `FILMED`, for pictures."""

    @property
    def success_rate(self) -> float:
        """Share of trials that succeeded."""
        return sum(trial.success for trial in self.trials) / len(self.trials)

    @property
    def success_interval(self) -> tuple[float, float]:
        """Wilson interval of the success rate, 95 %."""
        return wilson(sum(trial.success for trial in self.trials), len(self.trials))

    @property
    def failures(self) -> dict[str, int]:
        """Reason to the number of trials that failed by it, most frequent first."""
        return dict(Counter(trial.failure for trial in self.trials if trial.failure is not None).most_common())


def evaluate(
    policy: Policy,
    task: Task,
    *,
    trials: int,
    seed: int = 0,
    stochastic: bool = False,
    threads: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Rolls out one episode on each of `trials` fresh draws of the task's domain (else the nominal plant), with its noise and latency.

    A violated termination does not end the trial early: it is recorded, and makes it a failure whatever follows.

    Raises:
        CoreError: the policy does not fit the task, the domain not the robot, or a reward is no finite number.
    """
    policy.check(task)
    # Without terminations and with a step to spare no episode begins anew, so that the last state is still there to be judged.
    open_ended = dataclasses.replace(task, terminations=(), episode_steps=task.episode_steps + 1)
    env = Environment(
        open_ended, num_envs=trials, own_plant=True, bank_size=1 if task.domain is None else trials, bank_seed=seed, threads=threads
    )
    try:
        return _roll(policy, task, env, trials, seed, stochastic, progress)
    finally:
        env.close()


def _roll(
    policy: Policy, task: Task, env: Environment, trials: int, seed: int, stochastic: bool, progress: Callable[[int, int], None] | None
) -> Evaluation:
    reset_key, action_key = jax.random.split(jax.random.PRNGKey(seed))
    state = env.reset(reset_key)
    plants = env.plant_values(state)
    joints = _joints(task)

    @jax.jit
    def act(observation: jax.Array, memory: Any, number: int) -> tuple[jax.Array, Any, jax.Array]:
        key = jax.random.fold_in(action_key, number) if stochastic else None
        action, memory = policy.step(observation, memory, key)
        return action, memory, jax.vmap(task.action.command)(jnp.clip(action, -1, 1))

    @jax.jit
    def judge(physics: Any, number: int, *parts: jax.Array) -> tuple[jax.Array, jax.Array]:
        single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), physics)
        time = jnp.float32(number * task.control_dt)
        return jax.vmap(lambda physics, *parts: _violations(task, physics, time, *parts))(single, *parts)

    memory = policy.initial_state(trials)
    step = jax.jit(env.step) if env.pure else env.step

    violated = np.full(trials, -1)
    failed_step = np.full(trials, -1)
    held_steps, total = np.zeros(trials, int), np.zeros(trials)
    parts = {entry.name: np.zeros(trials) for entry in task.rewards}
    largest = np.zeros((trials, len(joints)))
    shown = min(trials, 32)
    traces: dict[str, list[NDArray[np.float32]]] = {name: [] for name in (*joints, *(f"action({name})" for name in task.action.actuators))}
    poses: list[NDArray[np.float64]] = []
    held, solved = np.zeros(trials, int), np.zeros(trials, bool)
    for number in range(task.episode_steps):
        action, memory, commands = act(env.observe(state)["policy"], memory, number)
        command_bn = state.episode.command  # what held during the step is what it is judged by, as in training
        state, transition = step(state, action)
        running = (violated < 0) & ~solved
        total += np.where(running, np.asarray(transition.reward_b), 0.0)
        broken = np.asarray(transition.terminated_b)
        for entry in task.rewards:
            rate_b = np.asarray(transition.metrics[f"reward/{entry.name}"])
            _require_finite(entry.name, rate_b, running & ~broken, number)
            parts[entry.name] += np.where(running & ~broken, rate_b * task.control_dt, 0.0)
        judged = judge(state.physics, number + 1, state.episode.action, state.episode.last_action, command_bn)
        codes, reached = (np.asarray(part) for part in judged)
        # Without a criterion of its own a task is solved where a termination says so, and the episode then ends.
        solved |= running & reached & (codes < 0) & (task.success is None)
        now = np.where(broken, len(task.terminations), codes)
        failed_step[running & (now >= 0)] = number + 1
        violated = np.where(running, now, violated)
        qpos = np.asarray(state.physics.qpos)
        poses.append(np.array(qpos[:FILMED], np.float64))
        position = np.stack([qpos[:, address] for address in joints.values()], axis=1) if joints else np.zeros((trials, 0))
        largest = np.where(running[:, None], np.maximum(largest, np.abs(position)), largest)
        held = np.asarray(state.episode.held)
        held_steps += held > 0
        for index, name in enumerate(joints):
            traces[name].append(position[:shown, index].astype(np.float32))
        sent = np.asarray(commands)
        for index, name in enumerate(task.action.actuators):
            traces[f"action({name})"].append(sent[:shown, index].astype(np.float32))
        if progress is not None:
            progress(number + 1, task.episode_steps)

    needed = max(1, round(task.success.hold_s / task.control_dt)) if task.success else 0
    names = [*(name for name, _ in task.terminations), DIVERGED]
    records = []
    for index in range(trials):
        code = int(violated[index])
        success = code < 0 and bool(held[index] >= needed if task.success else solved[index])
        records.append(
            Trial(
                success=bool(success),
                failure=None if success else names[code] if code >= 0 else NOT_REACHED,
                failed_at_s=float(failed_step[index] * task.control_dt) if code >= 0 else None,
                held_s=float(held[index] * task.control_dt),
                fraction_held=float(held_steps[index] / task.episode_steps),
                episode_return=float(total[index]),
                rewards={name: float(values[index]) for name, values in parts.items()},
                largest={name: float(largest[index, number]) for number, name in enumerate(joints)},
                plant={name: float(values[index]) for name, values in plants.items()},
            )
        )
    first = {name: np.stack(rows) for name, rows in traces.items()}
    return Evaluation(trials=tuple(records), first=first, poses_tkq=np.stack(poses))


def _require_finite(name: str, rate_b: NDArray[np.float32], counts_b: NDArray[np.bool_], step: int) -> None:
    if (bad := np.flatnonzero(counts_b & ~np.isfinite(rate_b))).size:
        raise CoreError(
            f"reward '{name}' is {rate_b[bad[0]]} in environment {bad[0]}, step {step}",
            hint="look at that term and at the limits of what it measures",
        )


def _joints(task: Task) -> dict[str, int]:
    """Hinges and slides by name, with their address in qpos."""
    model = task.robot.model
    scalar = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))
    joints = (model.joint(index) for index in range(model.njnt))
    return {joint.name: int(joint.qposadr[0]) for joint in joints if joint.name and int(joint.type[0]) in scalar}


def _violations(
    task: Task, physics: Any, time: jax.Array, action: jax.Array, last_action: jax.Array, command: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """(index of the first termination that says failure, -1 for none; whether one says success)."""
    view = View(
        layout=task.layout,
        physics=physics,
        sensordata=physics.sensordata,
        episode_time=time,
        action=action,
        last_action=last_action,
        command=command,
    )
    said = [term.compute(view) for _, term in task.terminations]
    failed = [value < 0 for value in said]
    code = jnp.full((), -1, jnp.int32)
    for index in reversed(range(len(failed))):
        code = jnp.where(failed[index], index, code)
    return code, jnp.any(jnp.array([value > 0 for value in said], dtype=bool))
