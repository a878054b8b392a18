"""One environment's side of an episode, as pure functions of one robot: what happens before physics, after it, and when an episode begins.

`environment` maps these over the batch and puts an engine between them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core import delay, paths
from realitygap_core.paths import Paths
from realitygap_core.state import PhysicsState
from realitygap_core.task import Task
from realitygap_core.terms import pipeline
from realitygap_core.terms.term import EpisodeProgress, View

Array = jax.Array
_NEXT_EPISODE = 0x7FFFFFFF
"""Folded into an episode's key for the key of the next one; steps, which are folded in too, stay below it."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Episode:
    """All that an environment remembers beside physics. Fields of one environment; the state has them with a leading axis B."""

    key: Array
    """Raw random key of this episode [2]; every draw of the episode follows from it."""
    step: Array
    """Control steps since the episode began."""
    plant: Array
    """Index of the plant in the bank."""
    latency: Array
    """Delay of commands on top of the plant's own, s; of each entry of ctrl [nu] where actuators have their own."""
    command_ring: Array
    """Commands that entered the delay, newest first [C, nu]."""
    sensor_ring: Array
    """True sensordata, newest first [D, nsensordata]."""
    ctrl: Array
    """What the actuators were given last [nu]."""
    action: Array
    """The last action [n]."""
    last_action: Array
    """The action before it [n]."""
    command: Array
    """What the policy is asked for [m]."""
    observations: dict[str, Any]
    """Group and entry to the carry of that observation."""
    rewards: dict[str, Any]
    """Name to the carry of that reward, for those that have one."""
    observation: dict[str, Array]
    """What the policy and the critic see now [n]."""
    held: Array
    """Control steps for which the criterion of success has held."""
    total: Array
    """Sum of the rewards of this episode so far."""
    kick: Array
    """What events add to qvel at the beginning of the next control step [nv]; empty without events."""
    push: Array
    """What events push bodies with throughout it, force and torque [nbody, 6]; empty without events."""
    events: dict[str, Any]
    """Name to the carry of that event."""
    curricula: dict[str, Any]
    """Name to the carry of that curriculum, which outlives the episode."""

    def replace(self, **changes: Any) -> Episode:
        """A copy with the fields in `changes` replaced."""
        return dataclasses.replace(self, **changes)


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """The state in which an episode begins, before physics has seen it."""

    key: Array
    plant: Array
    latency: Array
    qpos: Array
    qvel: Array
    curricula: dict[str, Any]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a control step came to."""

    reward: Array
    terminated: Array
    truncated: Array
    success: Array
    metrics: dict[str, Array]


class EpisodeFunctions:
    """The pure functions of a task."""

    def __init__(self, task: Task) -> None:
        self.task = task
        model = task.robot.model
        self._controls = np.concatenate([self._columns(name) for name in task.action.actuators])
        neutral = np.array(model.key_ctrl[0] if model.nkey else np.zeros(model.nu), dtype=np.float32)
        self._neutral = neutral
        """Command before the first one arrives, and of actuators that the action does not drive: that of the first keyframe, else zero."""
        self._qpos0 = np.array(model.qpos0, dtype=np.float32)
        self._hold_steps = max(1, round(task.success.hold_s / task.control_dt)) if task.success else 0
        self.first_curricula = {name: term.initial for name, term in task.curricula.items()}
        self._own_delay = [(self._columns(name), term.delay_s) for term in task.actuators if term.delay_s[1] > 0 for name in term.actuators]

    def _columns(self, actuator: str) -> np.ndarray[Any, Any]:
        model = self.task.robot.model
        index = self.task.robot.actuator(actuator).id
        return np.arange(model.actuator_ctrladr[index], model.actuator_ctrladr[index] + model.actuator_ctrlnum[index])

    def start(self, key: Array, plants: int, own_plant: Array | None, curricula: dict[str, Any]) -> Start:
        """Draws the beginning of an episode: plant (one of `plants`, or `own_plant`), latency, positions and velocities.

        `curricula` are those of the episode before, `first_curricula` at the start of a training.
        """
        key_plant, key_latency, key_resets = jax.random.split(jax.random.fold_in(key, 0), 3)
        plant = jax.random.randint(key_plant, (), 0, plants) if own_plant is None else own_plant
        low, high = self.task.latency_s
        latency = jax.random.uniform(key_latency, (), minval=low, maxval=high) if high > low else jnp.float32(low)
        if self._own_delay:
            latency = jnp.full(self.task.robot.model.nu, latency)
            for number, (columns, span) in enumerate(self._own_delay):
                drawn = jax.random.uniform(jax.random.fold_in(key_latency, number), (), minval=span[0], maxval=span[1])
                latency = latency.at[columns].add(drawn)
        qpos, qvel = jnp.asarray(self._qpos0), jnp.zeros(self.task.robot.model.nv)
        for index, reset in enumerate(self.task.resets):
            qpos, qvel = reset.apply(jax.random.fold_in(key_resets, index), qpos, qvel)
        if self.task.training_resets:
            other_qpos, other_qvel = qpos, qvel
            for index, reset in enumerate(self.task.training_resets, start=len(self.task.resets) + 1):
                other_qpos, other_qvel = reset.apply(jax.random.fold_in(key_resets, index), other_qpos, other_qvel)
            other = jax.random.bernoulli(jax.random.fold_in(key_resets, len(self.task.resets)), self._share(curricula))
            qpos, qvel = jnp.where(other, other_qpos, qpos), jnp.where(other, other_qvel, qvel)
        return Start(key=key, plant=plant.astype(jnp.int32), latency=latency, qpos=qpos, qvel=qvel, curricula=curricula)

    def _share(self, curricula: dict[str, Any]) -> Array | float:
        return self.task.training_share * self._factor(self.task.training_curriculum, curricula)

    def _factor(self, name: str | None, curricula: dict[str, Any]) -> Array | float:
        """What the curriculum `name` gives now; 1 for none, its last value where a policy is judged."""
        if name is None:
            return 1.0
        if name in self.task.curricula:
            return self.task.curricula[name].value(curricula[name])
        return self.task.judged[name]

    def neutral_ctrl(self, path: Paths) -> Array:
        """What the actuators get before the first command arrives [nu]."""
        return paths.command(path, jnp.asarray(self._neutral))

    def begin(self, start: Start, path: Paths, physics: PhysicsState, slots: tuple[int, int]) -> Episode:
        """The episode that begins with `start`, when physics has given its sensors. `slots`: of the command and the sensor buffer."""
        task = self.task
        ctrl = self.neutral_ctrl(path)
        sensors_s = jnp.asarray(physics.sensordata, jnp.float32)
        sensor_ring = delay.Delay(capacity=slots[1]).init(sensors_s)
        key = jax.random.fold_in(start.key, 1)
        zeros = jnp.zeros(len(task.action.actuators))
        command = jnp.zeros(0) if task.command is None else task.command.sample(jax.random.fold_in(key, 2))
        model = task.robot.model
        true = View(
            layout=task.layout,
            physics=physics,
            sensordata=sensors_s,
            episode_time=jnp.zeros(()),
            action=zeros,
            last_action=zeros,
            command=command,
        )
        if task.command is not None:
            true = dataclasses.replace(true, command=task.command.begin(true, command))
        measured = paths.measure(path, sensor_ring, jax.random.fold_in(key, 0), control_dt=task.control_dt)
        views = {"policy": dataclasses.replace(true, sensordata=measured), "critic": true}
        observation, carries = {}, {}
        for number, (group, entries) in enumerate(task.observations.items()):
            key_group = jax.random.fold_in(key, 10 + number)
            made = {
                entry.name: pipeline.begin(entry, views[group], jax.random.fold_in(key_group, index), task.control_dt)
                for index, entry in enumerate(entries)
            }
            observation[group] = jnp.concatenate([value for value, _ in made.values()])
            carries[group] = {name: carry for name, (_, carry) in made.items()}
        return Episode(
            key=start.key,
            step=jnp.zeros((), jnp.int32),
            plant=start.plant,
            latency=start.latency,
            command_ring=delay.Delay(capacity=slots[0]).init(ctrl),
            sensor_ring=sensor_ring,
            ctrl=ctrl,
            action=zeros,
            last_action=zeros,
            command=true.command,
            observations=carries,
            rewards={entry.name: entry.term.initial(true) for entry in task.rewards if entry.term.initial is not None},
            observation=observation,
            held=jnp.zeros((), jnp.int32),
            total=jnp.zeros(()),
            kick=jnp.zeros(model.nv if task.events else 0),
            push=jnp.zeros((model.nbody if task.events else 0, 6)),
            events={entry.name: entry.term.initial(jax.random.fold_in(key, 100 + n)) for n, entry in enumerate(task.events)},
            curricula=start.curricula,
        )

    def next_key(self, episode: Episode) -> Array:
        """Key of the episode after this one."""
        return jax.random.fold_in(episode.key, _NEXT_EPISODE)

    def before(self, episode: Episode, path: Paths, action: Array) -> tuple[Episode, Array]:
        """The ctrl of each physics step [substeps, nu] of the control step in which `action` [n] is given."""
        task = self.task
        action = jnp.clip(jnp.nan_to_num(action.astype(jnp.float32)), -1, 1)
        full_u = jnp.asarray(self._neutral).at[self._controls].set(task.action.command(action).astype(jnp.float32))
        entered_u = paths.command(path, full_u)
        if task.action_drop > 0:
            lost = jax.random.bernoulli(jax.random.fold_in(jax.random.fold_in(episode.key, 3), episode.step), task.action_drop)
            entered_u = jnp.where(lost, episode.command_ring[0], entered_u)
        ring = delay.push(episode.command_ring, entered_u)
        ctrl_su = paths.controls(path, ring, episode.latency, episode.ctrl, physics_dt=task.physics_dt, substeps=task.substeps)
        return episode.replace(command_ring=ring, ctrl=ctrl_su[-1], action=action, last_action=episode.action), ctrl_su

    def after(self, episode: Episode, path: Paths, physics: PhysicsState) -> tuple[Episode, Outcome]:
        """Observations, reward and the end of the episode, when physics has run.

        A state that broke down (NaN) is a failure like any other: nothing is earned in that step nor, since it is an end, after it. So
        where rewards are negative it spares what any early end spares, and beyond that the reward of one step. `diverged` counts it.
        """
        task = self.task
        broken = ~(jnp.all(jnp.isfinite(physics.qpos)) & jnp.all(jnp.isfinite(physics.qvel)) & jnp.all(jnp.isfinite(physics.sensordata)))
        physics = jax.tree.map(lambda leaf: jnp.where(broken, jnp.zeros_like(leaf), jnp.asarray(leaf, jnp.float32)), physics)
        step = episode.step + 1
        key = jax.random.fold_in(jax.random.fold_in(episode.key, 2), step)
        sensor_ring = delay.push(episode.sensor_ring, physics.sensordata)
        measured = paths.measure(path, sensor_ring, jax.random.fold_in(key, 0), control_dt=task.control_dt)
        true = View(
            layout=task.layout,
            physics=physics,
            sensordata=physics.sensordata,
            episode_time=step * jnp.float32(task.control_dt),
            action=episode.action,
            last_action=episode.last_action,
            command=episode.command,
        )
        rewards, parts, reward_carries = self._rewards(episode, true)
        rewards, parts = jax.tree.map(lambda value: jnp.where(broken, 0.0, value), (rewards, parts))
        reward = sum(rewards.values(), start=jnp.zeros(())) * task.control_dt
        ended = [term.compute(true) for _, term in task.terminations]
        failure = jnp.stack([broken, *(value < 0 for value in ended)]).any()
        terminal_success = jnp.stack([jnp.zeros((), bool), *(value > 0 for value in ended)]).any() & ~failure
        terminated = failure | terminal_success
        truncated = (step >= task.episode_steps) & ~terminated
        held = episode.held
        solved = terminal_success
        if task.success is not None:
            held = jnp.where(task.success.term.compute(true) > 0, held + 1, 0)
            solved |= truncated & (held >= self._hold_steps)

        # The next observation shows the command that holds from now on.
        command = episode.command
        if task.command is not None:
            command = task.command.advance(true, step, jax.random.fold_in(key, 1))
        seen = dataclasses.replace(true, command=command)
        views = {"policy": dataclasses.replace(seen, sensordata=measured), "critic": seen}
        observation, carries = self._observe(episode, views, key)
        # Of no state there is nothing to see: what was seen last stands.
        observation = jax.tree.map(lambda before, now: jnp.where(broken, before, now), episode.observation, observation)
        total = episode.total + reward
        metrics = {f"reward/{name}": value for name, value in (rewards | parts).items()} | {"episode_return": total, "episode_length": step}
        metrics |= {f"curriculum/{name}": jnp.asarray(term.value(episode.curricula[name])) for name, term in task.curricula.items()}
        metrics["diverged"] = broken.astype(jnp.float32)
        kick, push, events = self._disturbances(episode, seen, key)
        progress = EpisodeProgress(terminated | truncated, solved, total, jnp.float32(task.control_dt))
        curricula = {name: term.advance(episode.curricula[name], progress) for name, term in task.curricula.items()}
        episode = episode.replace(
            step=step,
            sensor_ring=sensor_ring,
            command=command,
            observations=carries,
            rewards=reward_carries,
            observation=observation,
            held=held,
            total=total,
            kick=kick,
            push=push,
            events=events,
            curricula=curricula,
        )
        return episode, Outcome(reward=reward, terminated=terminated, truncated=truncated, success=solved, metrics=metrics)

    def _rewards(self, episode: Episode, view: View) -> tuple[dict[str, Array], dict[str, Array], dict[str, Any]]:
        """Weighted rewards by name, the parts of those that have some as `name/part`, and carries."""
        values: dict[str, Array] = {}
        parts: dict[str, Array] = {}
        carries: dict[str, Any] = {}
        for entry in self.task.rewards:
            if entry.term.initial is None:
                value = entry.term.compute(view)
            else:
                value, carries[entry.name] = entry.term.compute(view, episode.rewards[entry.name])
            weight = entry.weight * self._factor(entry.curriculum, episode.curricula)
            if isinstance(value, Mapping):
                parts |= {f"{entry.name}/{part}": weight * amount for part, amount in value.items()}
                value = sum(value.values())
            values[entry.name] = weight * value
        return values, parts, carries

    def _disturbances(self, episode: Episode, view: View, key: Array) -> tuple[Array, Array, dict[str, Any]]:
        """What events do in the next control step."""
        if not self.task.events:
            return episode.kick, episode.push, episode.events
        kick, push, carries = jnp.zeros_like(episode.kick), jnp.zeros_like(episode.push), {}
        for number, entry in enumerate(self.task.events):
            strength = jnp.asarray(self._factor(entry.curriculum, episode.curricula), jnp.float32)
            one, carries[entry.name] = entry.term.advance(view, episode.events[entry.name], jax.random.fold_in(key, 100 + number), strength)
            kick, push = kick + one.kick, push + one.push
        return kick, push, carries

    def _observe(self, episode: Episode, views: dict[str, View], key: Array) -> tuple[dict[str, Array], dict[str, Any]]:
        observation: dict[str, Array] = {}
        carries: dict[str, Any] = {}
        for number, (group, entries) in enumerate(self.task.observations.items()):
            key_group = jax.random.fold_in(key, 10 + number)
            values, carries[group] = [], {}
            for index, entry in enumerate(entries):
                carry = episode.observations[group][entry.name]
                value, carry = pipeline.advance(entry, views[group], carry, jax.random.fold_in(key_group, index), self.task.control_dt)
                values.append(value)
                carries[group][entry.name] = carry
            observation[group] = jnp.concatenate(values)
        return observation, carries
