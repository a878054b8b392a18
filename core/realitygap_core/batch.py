"""What happens around physics in a batch of environments: an episode's functions for all of them at once, each compiled into one call.

On MJX they are inlined into whatever the caller compiles. On C MuJoCo each is a call of its own, and a state of physics comes in as one
packed array.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from realitygap_core.episode import Episode, EpisodeFunctions, Outcome, Start
from realitygap_core.paths import Paths
from realitygap_core.state import PhysicsState
from realitygap_core.task import Task

Array = jax.Array
Policy = Callable[..., tuple[Array, Any]]
"""`policy(observation, *arguments) -> (action [B, n], anything)`; pure."""
Changes = dict[str, Any]
"""Fields of an episode."""
_FIELDS = tuple(field.name for field in dataclasses.fields(PhysicsState))
_QUICK = {"xla_backend_optimization_level": 1}
"""For functions of few numbers: the code is as fast as with level 3, and compiled in a fifth to a third less time."""


class BatchFunctions:
    """The functions of a task's episodes over a batch of B environments; all are pure. `bank` holds the signal paths of K plants."""

    def __init__(self, task: Task, *, own_plant: bool) -> None:
        """With `own_plant` environment i always has plant i modulo K, else a random one each episode."""
        self._one = EpisodeFunctions(task)
        self._model = task.robot.model
        self._own_plant = own_plant
        # For the caller to compile.
        self.before = jax.jit(self._before)
        self.after = jax.jit(self._after)
        self.restart = jax.jit(self._restart)
        self.merge = jax.jit(self._merge)
        # Calls.
        self.start = jax.jit(self._start, compiler_options=_QUICK)
        self.begin = jax.jit(self._begin, static_argnames="slots", compiler_options=_QUICK)
        self.acted = jax.jit(self._acted, static_argnums=0)
        self.ended = jax.jit(self._ended, compiler_options=_QUICK)
        self.anew = jax.jit(self._anew, compiler_options=_QUICK)

    def _before(self, episode: Episode, bank: Paths, action_bn: Array) -> tuple[Episode, Array]:
        """The episodes and the ctrl of each physics step [B, substeps, nu]."""
        return jax.vmap(self._one.before)(episode, bank.at(episode.plant), action_bn)

    def _after(self, episode: Episode, bank: Paths, physics: PhysicsState) -> tuple[Episode, Outcome]:
        return jax.vmap(self._one.after)(episode, bank.at(episode.plant), physics)

    def _acted(self, policy: Policy, episode: Episode, bank: Paths, arguments: tuple[Any, ...]) -> tuple[Changes, Array, Any]:
        """The policy and what comes before physics."""

        def before(episode: Episode, path: Paths, action: Array) -> tuple[Changes, Array]:
            after, ctrl_su = self._one.before(episode, path, action)
            return _changes(episode, after), ctrl_su

        action_bn, extra = policy(episode.observation, *arguments)
        return *jax.vmap(before)(episode, bank.at(episode.plant), action_bn), extra

    def _ended(self, episode: Episode, bank: Paths, packed: Array) -> tuple[Changes, Outcome, Array]:
        """After physics, and the keys of the next episodes."""

        def after(episode: Episode, path: Paths, physics: PhysicsState) -> tuple[Changes, Outcome, Array]:
            ended, outcome = self._one.after(episode, path, physics)
            return _changes(episode, ended), outcome, self._one.next_key(ended)

        return jax.vmap(after)(episode, bank.at(episode.plant), self._unpacked(packed))

    def first_curricula(self, count: int) -> dict[str, Any]:
        """The curricula of `count` first episodes."""
        first: dict[str, Any] = jax.tree.map(lambda x: jnp.broadcast_to(x, (count, *jnp.shape(x))), self._one.first_curricula)
        return first

    def _start(self, key_b: Array, bank: Paths, curricula: dict[str, Any]) -> tuple[Start, Array]:
        """The states in which episodes begin, and their ctrl [B, nu]."""
        plants = bank.delay_u.shape[0]
        own = jnp.arange(len(key_b)) % plants if self._own_plant else None
        start = jax.vmap(lambda key, plant, levels: self._one.start(key, plants, plant, levels))(key_b, own, curricula)
        return start, jax.vmap(self._one.neutral_ctrl)(bank.at(start.plant))

    def _restart(self, episode: Episode, bank: Paths) -> tuple[Start, Array]:
        return self._start(jax.vmap(self._one.next_key)(episode), bank, episode.curricula)

    def _begin(self, start: tuple[Start, Array], bank: Paths, physics: PhysicsState, slots: tuple[int, int]) -> Episode:
        return jax.vmap(lambda s, p, x: self._one.begin(s, p, x, slots))(start[0], bank.at(start[0].plant), physics)

    def _anew(self, episode: Episode, start: tuple[Start, Array], bank: Paths, packed: Array, done_b: Any) -> Episode:
        return self._merge(episode, start, bank, self._unpacked(packed), done_b)

    def blank(self, start: tuple[Start, Array], bank: Paths, slots: tuple[int, int]) -> Episode:
        """Episodes of zeros, of the kind that begins with `start`."""
        model = self._model
        packed = np.zeros((len(start[0].plant), 1 + model.nq + model.nv + model.na + model.nu + model.nsensordata), np.float32)
        # Asked of the compiled function, which remembers what it was asked.
        shapes = self.begin.eval_shape(start, bank, jax.eval_shape(self._unpacked, packed), slots=slots)  # type: ignore[no-untyped-call]
        zeros: Episode = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
        return zeros

    def _merge(self, episode: Episode, start: tuple[Start, Array], bank: Paths, physics: PhysicsState, done_b: Any) -> Episode:
        """The episodes, with those that begin anew with `start` where `done_b`."""
        merged: Episode = select(done_b, self._begin(start, bank, physics, slots(episode)), episode)
        return merged

    def _unpacked(self, packed: Array) -> PhysicsState:
        model = self._model
        ends = np.cumsum([1, model.nq, model.nv, model.na, model.nu])
        time, *rest = jnp.split(packed, ends, axis=1)
        return PhysicsState(**dict(zip(_FIELDS, (time[:, 0], *rest), strict=True)))


def _changes(before: Episode, after: Episode) -> Changes:
    """The fields of `after` that are not those of `before`: to give back the others too would cost a compiled call as much as they do.

    Their types are made strong, as those of a beginning are: one that a term gives as a Python number would compile every call anew.
    """
    fields = {field.name: getattr(after, field.name) for field in dataclasses.fields(Episode)}
    changed = {name: value for name, value in fields.items() if value is not getattr(before, name)}
    strong: Changes = jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, jnp.result_type(leaf)), changed)
    return strong


def slots(episode: Episode) -> tuple[int, int]:
    """Of the buffers of commands and of sensors."""
    return episode.command_ring.shape[1], episode.sensor_ring.shape[1]


def packed(physics: PhysicsState) -> NDArray[np.float32]:
    """A state of C MuJoCo as one array [B, ...]: one transfer in place of six."""
    return np.concatenate([physics.time[:, None], *(getattr(physics, name) for name in _FIELDS[1:])], axis=1, dtype=np.float32)


def select(mask_b: Any, yes: Any, no: Any) -> Any:
    """Leaves of `yes` where the mask is true, else of `no`, along the first axis."""

    def choose(a: Array, b: Array) -> Array:
        return jnp.where(jnp.reshape(mask_b, (-1,) + (1,) * (jnp.ndim(a) - 1)), a, b)

    return jax.tree.map(choose, yes, no)
