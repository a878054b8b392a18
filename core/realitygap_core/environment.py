"""A batch of environments: before physics, physics, after physics, and episodes that begin anew by themselves.

    before(state, action) -> ctrl      physics(state, ctrl) -> state      after(state) -> observations, reward, termination, reset

On MJX the three are one pure function, to be jitted and scanned by the caller. On C MuJoCo the outer two are jitted, each into one
call, and physics is a thread pool. Of a large batch `split` makes parts that threads step without waiting for each other.
"""

from __future__ import annotations

import copy
import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from realitygap_core import delay
from realitygap_core.actuation import Actuation
from realitygap_core.bank import Bank, Drawer
from realitygap_core.batch import BatchFunctions, Policy, packed, select
from realitygap_core.engines.mujoco import MujocoEngine, cores
from realitygap_core.episode import Episode, Outcome, Start
from realitygap_core.errors import CoreError
from realitygap_core.paths import Paths
from realitygap_core.state import PhysicsState
from realitygap_core.task import Task

Array = jax.Array
_PART = 128
"""Least environments of a part: fewer would spend their time on calls. Two parts keep two cores at work; there are more only where each has
twice as many. Their number follows from the batch alone, never from the machine, because the random numbers of a training do."""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class EnvState:
    """Everything needed to go on exactly: a pytree of arrays. Opaque to trainers; `Environment.to_arrays` writes it down."""

    physics: PhysicsState
    """State of physics [B, ...]; NumPy float64 on C MuJoCo, JAX on MJX."""
    episode: Episode
    """Episodes [B, ...]."""
    bank: Bank
    """The plants to draw from [K, ...]."""


class Transition(NamedTuple):
    """What a control step gives a trainer; B environments."""

    observation: dict[str, Array]
    """Group to observation [B, n], after a new episode has begun where one ended: what the policy acts on next."""
    next_observation: dict[str, Array]
    """Group to observation [B, n] at the end of this step, before any reset: what a cut-off episode is bootstrapped from."""
    reward_b: Array
    """Reward [B]: sum of weight * value * control_dt."""
    terminated_b: Array
    """True where the episode ended in failure or success [B]."""
    truncated_b: Array
    """True where the episode was cut off by time [B]; never with `terminated_b`."""
    success_b: Array
    """True where an episode ended solved [B]."""
    metrics: dict[str, Array]
    """`reward/<name>`: weighted value per second [B]; `episode_return`, `episode_length` of the episode so far [B]; `diverged`: 1 where
    physics broke down in this step [B]."""


class Environment:
    """B environments of one task. Everything that changes is in the `EnvState` that goes through its methods."""

    def __init__(
        self,
        task: Task,
        *,
        num_envs: int,
        bank_size: int | None = None,
        bank_seed: int = 0,
        own_plant: bool = False,
        threads: int | None = None,
    ) -> None:
        """Draws the first bank of plants and makes the engine.

        Args:
          task: the compiled task; its domain gives the plants.
          num_envs: B.
          bank_size: plants in the bank; 2 B by default (B with `own_plant`, 1 without a domain).
          bank_seed: seed of the first bank.
          own_plant: environment i always has plant i modulo the bank's size, in place of a random one each episode: one trial a draw.
          threads: worker threads of C MuJoCo; all cores of this process by default.

        Raises:
            CoreError: the domain names a parameter that the robot does not have, or a draw lies outside its physical bounds.
        """
        if num_envs < 1:
            raise CoreError(f"num_envs is at least 1, not {num_envs}")
        self.task = task
        self.num_envs = num_envs
        self.observation_sizes = {group: sum(entry.size for entry in entries) for group, entries in task.observations.items()}
        self.observation_labels = {
            group: [label for entry in entries for label in entry.labels] for group, entries in task.observations.items()
        }
        """Group to the name of each channel."""
        self.action_size = len(task.action.actuators)
        self.identity = {"task": task.digest, "domain": None if task.domain is None else task.domain.digest}
        """Digests of what is trained on: a training goes on only from a checkpoint with the same."""
        self.control_dt = task.control_dt
        self.episode_steps = task.episode_steps
        self.pure = task.engine.engine == "mjx"
        self._own_plant = own_plant
        self._drawer = Drawer(task.robot, task.layout, task.domain, stacked=self.pure)
        size = bank_size or (1 if task.domain is None else num_envs if own_plant else 2 * num_envs)
        values_kp = self._rounded(self._drawer.draw(np.random.default_rng(bank_seed), size))
        self._plants = self._drawer.plants(values_kp)
        self._plants_of = values_kp
        self._bank = self._drawer.bank(values_kp, self._plants)
        self._threads = threads or cores()
        self._engine = self._make_engine(self._threads)
        most = 1 if self.pure or own_plant else max(1, min(num_envs // _PART, 2), num_envs // (2 * _PART))
        self._parts = next(count for count in range(most, 0, -1) if num_envs % count == 0)
        self._part_engines: list[Any] = []
        self._batch = BatchFunctions(task, own_plant=own_plant)
        self._actuation = Actuation(task)
        self._cut = jax.jit(_cut, static_argnums=1)
        self._concatenated = jax.jit(lambda parts: jax.tree.map(lambda *x: jnp.concatenate(x), *parts))
        self._settled = jax.jit(self._engine.settle) if self.pure else self._engine.settle

    def reset(self, key: Array, *, staggered: bool = False) -> EnvState:
        """B new episodes from one random key, with the first bank of plants.

        `staggered`: they begin at random ages, so that they do not all end, and begin again, in the same step. So a training sees every
        part of an episode in every update (Rudin et al. 2022, arXiv 2109.11978).
        """
        bank = self._bank
        raw = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
        physics, episode = self._first(jax.random.split(raw, self.num_envs), bank)
        if staggered:
            age_b = jax.random.randint(jax.random.fold_in(raw, 1), (self.num_envs,), 0, self.episode_steps, jnp.int32)
            episode = episode.replace(step=age_b)
        return EnvState(physics=physics, episode=episode, bank=bank)

    def observe(self, state: EnvState) -> dict[str, Array]:
        """Group to observation [B, n], float32: what `step` gave last."""
        return state.episode.observation

    def step(self, state: EnvState, action_bn: Array) -> tuple[EnvState, Transition]:
        """One control step with actions in [-1, 1] (what lies outside is clipped). Episodes that end begin anew in the returned state."""
        state, transition, _ = self.step_with(_given, state, action_bn)
        return state, transition

    def step_with(self, policy: Policy, state: EnvState, *arguments: Any) -> tuple[EnvState, Transition, Any]:
        """One control step with the action of `policy(observation, *arguments)`, compiled together with what comes before physics.

        Compiled once for each `policy`, which is told apart by identity. Also gives what else the policy gave.
        """
        bank = state.bank
        if self.pure:
            action_bn, extra = policy(state.episode.observation, *arguments)
            return *self._pure_step(state, action_bn), extra
        changes, ctrl_bsu, extra = self._batch.acted(policy, state.episode, bank.paths, arguments)
        episode = state.episode.replace(**changes)
        physics = self._actuation.step(self._engine, self._models(state), state.physics, episode, ctrl_bsu)
        changes, outcome, next_key_b = self._batch.ended(episode, bank.paths, packed(physics))
        episode = episode.replace(**changes)
        transition = _transition(episode.observation, episode.observation, outcome)
        done_b = np.asarray(outcome.terminated) | np.asarray(outcome.truncated)
        if done_b.any():
            start = self._batch.start(next_key_b, bank.paths, episode.curricula)
            physics = self._settle_some(start, physics, np.flatnonzero(done_b))
            episode = self._batch.anew(episode, start, bank.paths, packed(physics), done_b)
            transition = transition._replace(observation=episode.observation)
        return EnvState(physics=physics, episode=episode, bank=bank), transition, extra

    def split(self, state: EnvState) -> list[tuple[Environment, EnvState]]:
        """Parts of the batch that may be stepped at the same time, each by a thread of its own; `join` takes their states back.

        A step of a small robot is short against the calls around it, so one thread that does both for half of the environments leaves no
        core waiting, where one call for all of them would wait for physics and for the policy in turn.

        In their first step parts compile what `reset` did not: take it one after the other, because threads that meet a function not
        compiled yet would each compile it.
        """
        if self._parts == 1:
            return [(self, state)]
        if not self._part_engines:
            threads = max(1, self._threads // self._parts)
            self._part_engines = [self._make_engine(threads) for _ in range(self._parts)]
        self._remember(state.bank)
        size = self.num_envs // self._parts
        episodes = self._cut(state.episode, self._parts)
        parts = []
        for index, (engine, episode) in enumerate(zip(self._part_engines, episodes, strict=True)):
            part = copy.copy(self)
            part._engine, part.num_envs, part._parts = engine, size, 1
            physics = jax.tree.map(lambda x, begin=index * size: x[begin : begin + size], state.physics)
            parts.append((part, EnvState(physics=physics, episode=episode, bank=state.bank)))
        return parts

    def join(self, states: list[EnvState]) -> EnvState:
        """The state whose parts `split` gave."""
        if len(states) == 1:
            return states[0]
        physics = jax.tree.map(lambda *x: np.concatenate(x), *(state.physics for state in states))
        return EnvState(physics=physics, episode=self._concatenated([state.episode for state in states]), bank=states[0].bank)

    def refresh_bank(self, state: EnvState, rng: np.random.Generator) -> EnvState:
        """New draws of the domain for all plants that no running episode uses. A host function: call it between updates."""
        if self.task.domain is None:
            return state
        self._remember(state.bank)
        values_kp = np.array(state.bank.values_kp)
        free = np.setdiff1d(np.arange(len(values_kp)), np.asarray(state.episode.plant))
        if not free.size:
            return state
        values_kp[free] = self._rounded(self._drawer.draw(rng, len(free)))
        plants = list(self._plants)
        for index, plant in zip(free.tolist(), self._drawer.plants(values_kp[free].astype(np.float64)), strict=True):
            plants[index] = plant
        bank = self._drawer.bank(values_kp, plants)
        self._plants, self._plants_of = plants, values_kp
        slots = self._slots(bank.paths)
        episode = state.episode.replace(
            command_ring=delay.lengthen(state.episode.command_ring, slots[0]),
            sensor_ring=delay.lengthen(state.episode.sensor_ring, slots[1]),
        )
        return EnvState(physics=state.physics, episode=episode, bank=bank)

    def plant_values(self, state: EnvState) -> dict[str, NDArray[np.float64]]:
        """Parameter to the value [B] that each environment's plant has now; empty without a domain."""
        values_bp = np.asarray(state.bank.values_kp, dtype=np.float64)[np.asarray(state.episode.plant)]
        return {name: values_bp[:, index] for index, name in enumerate(self._drawer.names)}

    def to_arrays(self, state: EnvState) -> dict[str, NDArray[Any]]:
        """The state as named NumPy arrays, for an `.npz` file."""
        leaves, _ = jax.tree_util.tree_flatten_with_path((state.physics, state.episode))
        arrays = {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
        return arrays | {"bank": np.asarray(state.bank.values_kp)}

    def from_arrays(self, arrays: dict[str, NDArray[Any]]) -> EnvState:
        """The state that `to_arrays` wrote; going on from it is the same, bit for bit, as never having stopped.

        Raises:
            CoreError: the arrays are of another task or another number of environments.
        """
        template = self.reset(jax.random.PRNGKey(0))
        leaves, structure = jax.tree_util.tree_flatten_with_path((template.physics, template.episode))
        names = [jax.tree_util.keystr(path) for path, _ in leaves]
        if set(arrays) != {*names, "bank"}:
            odd = sorted(set(arrays) ^ {*names, "bank"})
            raise CoreError(
                f"the saved state is of another task: {', '.join(odd[:3])}", hint="train from the start, or use the task it was saved with"
            )
        values_kp = np.asarray(arrays["bank"])
        if values_kp.ndim != 2 or values_kp.shape[1] != len(self._drawer.names):
            raise CoreError(f"the saved bank has shape {values_kp.shape}, the domain {len(self._drawer.names)} parameters")
        loaded = []
        for name, (_, leaf) in zip(names, leaves, strict=True):
            value = arrays[name]
            ring = name.endswith("_ring")
            if value.ndim != np.ndim(leaf) or value.shape[0] != self.num_envs or (not ring and value.shape != np.shape(leaf)):
                raise CoreError(f"the saved state's '{name}' has shape {value.shape}, not {np.shape(leaf)}")
            loaded.append(jnp.asarray(value) if isinstance(leaf, jax.Array) else np.array(value))
        physics, episode = jax.tree_util.tree_unflatten(structure, loaded)
        plants = self._drawer.plants(values_kp.astype(np.float64))
        self._plants, self._plants_of = plants, values_kp
        return EnvState(physics=physics, episode=episode, bank=self._drawer.bank(values_kp, plants))

    def close(self) -> None:
        """Ends the engine's threads."""
        for engine in (self._engine, *self._part_engines):
            engine.close()

    def _pure_step(self, state: EnvState, action_bn: Array) -> tuple[EnvState, Transition]:
        bank, engine = state.bank, self._engine
        episode, ctrl_bsu = self._batch.before(state.episode, bank.paths, action_bn)
        physics = self._actuation.step(engine, bank.fields_of(episode.plant), state.physics, episode, ctrl_bsu)
        episode, outcome = self._batch.after(episode, bank.paths, physics)
        ended = episode.observation
        done_b = outcome.terminated | outcome.truncated

        def begin_anew(physics: PhysicsState, episode: Episode) -> tuple[PhysicsState, Episode]:
            start = self._batch.restart(episode, bank.paths)
            fresh = self._settled_on_device(start, bank)
            physics = select(done_b, fresh, physics)
            return physics, self._batch.merge(episode, start, bank.paths, physics, done_b)

        # The predicate is of the whole batch, so this stays a branch and costs nothing while no episode ends.
        physics, episode = jax.lax.cond(done_b.any(), begin_anew, lambda *same: same, physics, episode)
        return EnvState(physics=physics, episode=episode, bank=bank), _transition(episode.observation, ended, outcome)

    # --- physics of a beginning ---

    def _first(self, key_b: Array, bank: Bank) -> tuple[PhysicsState, Episode]:
        """The first episodes, each of its key; in parts, so that what is compiled for them serves the steps too."""
        size = self.num_envs // self._parts
        capacity, curricula = self._slots(bank.paths), self._batch.first_curricula(size)
        starts = [self._batch.start(keys, bank.paths, curricula) for keys in jnp.split(key_b, self._parts)]
        if self.pure:
            physics = self._settled_on_device(starts[0], bank)
            return physics, self._batch.begin(starts[0], bank.paths, physics, slots=capacity)
        self._remember(bank)
        parts = []
        for start in starts:
            physics = self._settle_on_host(start, np.arange(size))
            blank = self._batch.blank(start, bank.paths, capacity)
            parts.append((physics, self._batch.anew(blank, start, bank.paths, packed(physics), np.ones(size, bool))))
        if len(parts) == 1:
            return parts[0]
        return jax.tree.map(lambda *x: np.concatenate(x), *(part[0] for part in parts)), self._concatenated([part[1] for part in parts])

    def _settled_on_device(self, start: tuple[Start, Array], bank: Bank) -> PhysicsState:
        begun, ctrl_bu = start
        model = self.task.robot.model
        blank = PhysicsState(
            time=jnp.zeros(self.num_envs),
            qpos=begun.qpos,
            qvel=begun.qvel,
            act=jnp.zeros((self.num_envs, model.na)),
            ctrl=ctrl_bu,
            sensordata=jnp.zeros((self.num_envs, model.nsensordata)),
        )
        settled: PhysicsState = self._settled(bank.fields_of(begun.plant), blank)
        return settled

    def _settle_some(self, start: tuple[Start, Array], physics: PhysicsState, which: NDArray[np.intp]) -> PhysicsState:
        fresh = self._settle_on_host(start, which)
        for field in dataclasses.fields(PhysicsState):
            getattr(physics, field.name)[which] = getattr(fresh, field.name)  # this step's own arrays: nobody else has seen them
        return physics

    def _settle_on_host(self, start: tuple[Start, Array], which: NDArray[np.intp]) -> PhysicsState:
        begun, ctrl_bu = start
        model = self.task.robot.model
        blank = PhysicsState(
            time=np.zeros(len(which)),
            qpos=np.asarray(begun.qpos, dtype=np.float64)[which],
            qvel=np.asarray(begun.qvel, dtype=np.float64)[which],
            act=np.zeros((len(which), model.na)),
            ctrl=np.asarray(ctrl_bu, dtype=np.float64)[which],
            sensordata=np.zeros((len(which), model.nsensordata)),
        )
        plants = self._plants
        models = [plants[index].model for index in np.asarray(begun.plant)[which].tolist()]
        settled: PhysicsState = self._engine.settle(models, blank)
        return settled

    # --- plants on the host ---

    def _models(self, state: EnvState) -> list[Any]:
        self._remember(state.bank)
        plants = self._plants
        return [plants[index].model for index in np.asarray(state.episode.plant).tolist()]

    def _remember(self, bank: Bank) -> None:
        """Makes the plants on the host those of `bank`, which may be an earlier one."""
        if bank.values_kp is self._plants_of:
            return
        values_kp = np.asarray(bank.values_kp)
        if not np.array_equal(values_kp, self._plants_of):
            self._plants = self._drawer.plants(values_kp.astype(np.float64))
        self._plants_of = bank.values_kp

    def _rounded(self, values_kp: NDArray[np.float64]) -> Any:
        """On MJX the bank goes through jitted functions in single precision: its draws are single precision from the start."""
        return values_kp.astype(np.float32).astype(np.float64) if self.pure else values_kp

    def _make_engine(self, threads: int | None) -> Any:
        if not self.pure:
            return MujocoEngine(self._plants[0].model, threads=threads)
        from realitygap_core.engines.mjx import MjxEngine

        return MjxEngine(self.task.robot.model, examples=[plant.model for plant in self._plants])

    def _slots(self, bank: Paths) -> tuple[int, int]:
        # What later draws need too: a buffer that grows has every call compiled anew.
        longest = max(float(np.asarray(bank.delay_u).max(initial=0.0)), self._drawer.largest("delay", "latency"))
        late = max(float(np.asarray(bank.sensor_delay_s).max(initial=0.0)), self._drawer.largest("sensor_delay"))
        return delay.capacity(longest + self.task.longest_latency_s, self.control_dt), delay.capacity(late, self.control_dt)


def _given(observation: dict[str, Array], action_bn: Array) -> tuple[Array, None]:
    return action_bn, None


def _cut(tree: Any, count: int) -> list[Any]:
    """`count` equal pieces of arrays [B, ...]."""
    return [jax.tree.map(lambda x, i=i: x[i * len(x) // count : (i + 1) * len(x) // count], tree) for i in range(count)]


def _transition(observation: dict[str, Array], ended: dict[str, Array], outcome: Outcome) -> Transition:
    return Transition(
        observation=observation,
        next_observation=ended,
        reward_b=outcome.reward,
        terminated_b=outcome.terminated,
        truncated_b=outcome.truncated,
        success_b=outcome.success,
        metrics=outcome.metrics,
    )
