"""A batch of environments: before physics, physics, after physics, and episodes that begin anew by themselves.

    before(state, action) -> ctrl      physics(state, ctrl) -> state      after(state) -> observations, reward, termination, reset

On MJX the three are one pure function, to be jitted and scanned by the caller. On C MuJoCo the outer two are jitted and
physics is a thread pool.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from realitygap_core import delay
from realitygap_core.bank import Bank, Drawer
from realitygap_core.engines.mujoco import MujocoEngine
from realitygap_core.episode import Episode, EpisodeFunctions, Outcome, Start
from realitygap_core.errors import CoreError
from realitygap_core.paths import Paths
from realitygap_core.state import PhysicsState
from realitygap_core.task import Task

Array = jax.Array


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
    """`reward/<name>`: weighted value per second [B]; `episode_return`, `episode_length` of the episode so far [B]."""


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
        self.action_size = len(task.action.actuators)
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
        self._engine = self._make_engine(threads)
        self._functions = EpisodeFunctions(task)
        # Traced once; on MJX they are inlined into whatever the caller jits.
        self._before = jax.jit(self._before_batch)
        self._after = jax.jit(self._after_batch)
        self._start = jax.jit(self._start_batch)
        self._begin = jax.jit(self._begin_batch, static_argnames="slots")
        self._restart = jax.jit(self._restart_batch)
        self._settled = jax.jit(self._engine.settle) if self.pure else self._engine.settle

    def reset(self, key: Array) -> EnvState:
        """B new episodes from one random key, with the first bank of plants."""
        bank = self._bank
        raw = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
        start = self._start(jax.random.split(raw, self.num_envs), bank.paths)
        physics = self._settle(start, bank)
        return EnvState(physics=physics, episode=self._begin(start, bank.paths, physics, slots=self._slots(bank.paths)), bank=bank)

    def observe(self, state: EnvState) -> dict[str, Array]:
        """Group to observation [B, n], float32: what `step` gave last."""
        return state.episode.observation

    def step(self, state: EnvState, action_bn: Array) -> tuple[EnvState, Transition]:
        """One control step with actions in [-1, 1] (what lies outside is clipped). Episodes that end begin anew in the returned state."""
        if self.pure:
            return self._pure_step(state, action_bn)
        engine = self._engine
        episode, ctrl_bsu = self._before(state.episode, state.bank.paths, action_bn)
        models = self._models(state)
        physics = engine.step(models, state.physics, np.asarray(ctrl_bsu))
        episode, outcome = self._after(episode, state.bank.paths, physics)
        transition = _transition(episode.observation, episode.observation, outcome)
        done_b = np.asarray(transition.terminated_b) | np.asarray(transition.truncated_b)
        if done_b.any():
            which = np.flatnonzero(done_b)
            start = self._restart(episode, state.bank.paths)
            physics = self._settle_some(start, state.bank, physics, which)
            episode = self._merge(episode, start, state.bank.paths, physics, done_b)
            transition = transition._replace(observation=episode.observation)
        return EnvState(physics=physics, episode=episode, bank=state.bank), transition

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
        self._engine.close()

    # --- the batch functions, pure ---

    def _before_batch(self, episode: Episode, bank: Paths, action_bn: Array) -> tuple[Episode, Array]:
        return jax.vmap(self._functions.before)(episode, bank.at(episode.plant), action_bn)

    def _after_batch(self, episode: Episode, bank: Paths, physics: PhysicsState) -> tuple[Episode, Outcome]:
        return jax.vmap(self._functions.after)(episode, bank.at(episode.plant), physics)

    def _start_batch(self, key_b: Array, bank: Paths) -> tuple[Start, Array]:
        plants = bank.delay_u.shape[0]
        own = jnp.arange(self.num_envs) % plants if self._own_plant else None
        start = jax.vmap(lambda key, plant: self._functions.start(key, plants, plant), in_axes=(0, None if own is None else 0))(key_b, own)
        return start, jax.vmap(self._functions.neutral_ctrl)(bank.at(start.plant))

    def _restart_batch(self, episode: Episode, bank: Paths) -> tuple[Start, Array]:
        return self._start_batch(jax.vmap(self._functions.next_key)(episode), bank)

    def _begin_batch(self, start: tuple[Start, Array], bank: Paths, physics: PhysicsState, slots: tuple[int, int]) -> Episode:
        return jax.vmap(lambda s, p, x: self._functions.begin(s, p, x, slots))(start[0], bank.at(start[0].plant), physics)

    def _merge(self, episode: Episode, start: tuple[Start, Array], bank: Paths, physics: PhysicsState, done_b: Any) -> Episode:
        slots = (episode.command_ring.shape[1], episode.sensor_ring.shape[1])
        merged: Episode = _select(done_b, self._begin(start, bank, physics, slots=slots), episode)
        return merged

    def _pure_step(self, state: EnvState, action_bn: Array) -> tuple[EnvState, Transition]:
        bank, engine = state.bank, self._engine
        episode, ctrl_bsu = self._before(state.episode, bank.paths, action_bn)
        physics = engine.step(_gather(bank, episode.plant), state.physics, ctrl_bsu)
        episode, outcome = self._after(episode, bank.paths, physics)
        ended = episode.observation
        done_b = outcome.terminated | outcome.truncated

        def begin_anew(physics: PhysicsState, episode: Episode) -> tuple[PhysicsState, Episode]:
            start = self._restart(episode, bank.paths)
            fresh = self._settle(start, bank)
            physics = _select(done_b, fresh, physics)
            return physics, self._merge(episode, start, bank.paths, physics, done_b)

        # The predicate is of the whole batch, so this stays a branch and costs nothing while no episode ends.
        physics, episode = jax.lax.cond(done_b.any(), begin_anew, lambda *same: same, physics, episode)
        return EnvState(physics=physics, episode=episode, bank=bank), _transition(episode.observation, ended, outcome)

    # --- physics of a beginning ---

    def _settle(self, start: tuple[Start, Array], bank: Bank) -> PhysicsState:
        begun, ctrl_bu = start
        model = self.task.robot.model
        if self.pure:
            blank = PhysicsState(
                time=jnp.zeros(self.num_envs),
                qpos=begun.qpos,
                qvel=begun.qvel,
                act=jnp.zeros((self.num_envs, model.na)),
                ctrl=ctrl_bu,
                sensordata=jnp.zeros((self.num_envs, model.nsensordata)),
            )
            settled: PhysicsState = self._settled(_gather(bank, begun.plant), blank)
            return settled
        self._remember(bank)
        return self._settle_on_host(begun, ctrl_bu, np.arange(self.num_envs))

    def _settle_some(self, start: tuple[Start, Array], bank: Bank, physics: PhysicsState, which: NDArray[np.intp]) -> PhysicsState:
        fresh = self._settle_on_host(*start, which)
        for field in dataclasses.fields(PhysicsState):
            getattr(physics, field.name)[which] = getattr(fresh, field.name)  # this step's own arrays: nobody else has seen them
        return physics

    def _settle_on_host(self, begun: Start, ctrl_bu: Array, which: NDArray[np.intp]) -> PhysicsState:
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
        longest = float(np.asarray(bank.delay_u).max(initial=0.0)) + self.task.latency_s[1]
        late = float(np.asarray(bank.sensor_delay_s).max(initial=0.0))
        return delay.capacity(longest, self.control_dt), delay.capacity(late, self.control_dt)


def _gather(bank: Bank, plant_b: Array) -> dict[str, Array]:
    return {name: value[plant_b] for name, value in bank.fields.items()}


def _select(mask_b: Any, yes: Any, no: Any) -> Any:
    """Leaves of `yes` where the mask is true, else of `no`, along the first axis."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(jnp.reshape(mask_b, (-1,) + (1,) * (jnp.ndim(a) - 1)), a, b)

    return jax.tree.map(choose, yes, no)


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
