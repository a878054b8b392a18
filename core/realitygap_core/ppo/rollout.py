"""Gathering one unroll: a scan where the environment is pure; where its physics runs in C a Python loop for each part of the batch, on a
thread of its own."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple, Protocol, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from realitygap_core.engines.mujoco import cores
from realitygap_core.ppo.distributions import ActionDistribution
from realitygap_core.ppo.networks import Memory
from realitygap_core.ppo.update import Learner, Rollout, act

Sampled: TypeAlias = tuple[jax.Array, ActionDistribution, jax.Array]
"""Raw action, the distribution it was drawn from, log probability of one step."""


class Step(Protocol):
    """What an environment gives back for one step of B environments."""

    observation: dict[str, jax.Array]
    next_observation: dict[str, jax.Array]
    reward_b: jax.Array
    terminated_b: jax.Array
    truncated_b: jax.Array
    success_b: jax.Array
    metrics: dict[str, jax.Array]


class Env(Protocol):
    """The part of `Environment` that the learner needs; tests bring small ones of their own."""

    num_envs: int
    observation_sizes: dict[str, int]
    action_size: int
    pure: bool
    identity: dict[str, Any]

    def reset(self, key: jax.Array, *, staggered: bool = False) -> Any: ...
    def observe(self, state: Any) -> dict[str, jax.Array]: ...
    def step_with(self, policy: Any, state: Any, *arguments: Any) -> tuple[Any, Any, Any]: ...
    def split(self, state: Any) -> list[tuple[Any, Any]]: ...
    def join(self, states: list[Any]) -> Any: ...
    def refresh_bank(self, state: Any, rng: np.random.Generator) -> Any: ...
    def to_arrays(self, state: Any) -> dict[str, NDArray[Any]]: ...
    def from_arrays(self, arrays: dict[str, NDArray[Any]]) -> Any: ...


class Episodes(NamedTuple):
    """Which steps ended an episode, and how it went."""

    done_tb: NDArray[np.bool_]
    """Of whole episodes only."""
    success_tb: NDArray[np.bool_]
    return_tb: NDArray[np.float32]
    """Return of the episode up to and with this step."""
    metrics_tb: dict[str, NDArray[np.float32]]
    """The environment's own metrics, such as `reward/<name>`."""


class Tally(eqx.Module):
    """What is kept beside each environment about the episode that it is in."""

    return_b: jax.Array
    """Sum of rewards."""
    whole_b: jax.Array
    """False for an episode that began at an age of its own: its return is none."""
    memory: Memory
    """What the policy and the critic remember; zero again when an episode ends."""

    def __init__(self, num_envs: int, memory: Memory | None = None, *, whole: bool = True) -> None:
        self.return_b = jnp.zeros(num_envs, jnp.float32)
        self.whole_b = jnp.full(num_envs, whole)
        self.memory = Memory(None, None) if memory is None else memory


class _Row(NamedTuple):
    """One step of the unroll."""

    policy: jax.Array
    critic: jax.Array
    next_critic: jax.Array
    raw: jax.Array
    behaviour: ActionDistribution
    log_prob: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    success: jax.Array
    metrics: dict[str, jax.Array]


Progress: TypeAlias = tuple[Memory, tuple[jax.Array, jax.Array], jax.Array]
"""What the policy remembers, where the last step ended an episode by termination and by truncation [B], and the key to go on with."""


def _policy(observation: dict[str, jax.Array], learner: Learner, progress: Progress) -> tuple[jax.Array, tuple[Sampled, Memory, jax.Array]]:
    memory, (terminated_b, truncated_b), key = progress
    key, action_key = jax.random.split(key)
    raw, action, distribution, log_prob, memory = act(learner, observation, memory.reset(terminated_b | truncated_b), action_key)
    return action, ((raw, distribution, log_prob), memory, key)


def _one(env: Env, learner: Learner, state: Any, observation: Any, progress: Progress) -> tuple[Any, dict[str, jax.Array], Progress, _Row]:
    """One control step: the state, the observation, and the progress to go on with, and what happened."""
    state, transition, (sampled, memory, key) = env.step_with(_policy, state, learner, progress)
    row = _row(observation, sampled, transition)
    return state, transition.observation, (memory, (transition.terminated_b, transition.truncated_b), key), row


Totals: TypeAlias = tuple[jax.Array, jax.Array]
"""Return of the episode so far, and whether a whole one ended [T, B]."""


def _tallied(tally: Tally, rows: _Row, memory: Memory) -> tuple[Tally, Totals]:
    """The tally after an unroll, and the totals at each step of it."""
    done_tb = rows.terminated | rows.truncated

    def count(carry: Totals, step: tuple[jax.Array, jax.Array]) -> tuple[Totals, Totals]:
        (total_b, whole_b), (reward_b, done_b) = carry, step
        total_b = total_b + reward_b
        return (jnp.where(done_b, 0.0, total_b), whole_b | done_b), (total_b, whole_b & done_b)

    (return_b, whole_b), totals = jax.lax.scan(count, (tally.return_b, tally.whole_b), (rows.reward, done_tb))
    after = eqx.tree_at(
        lambda t: (t.return_b, t.whole_b, t.memory),
        tally,
        (return_b, whole_b, memory.reset(done_tb[-1])),
        is_leaf=lambda x: isinstance(x, Memory),
    )
    return after, totals


def _joined(tally: Tally, rows: list[list[_Row]], memories: list[Memory]) -> tuple[Tally, Totals, _Row]:
    """Rows [T, B] of the steps of each part."""
    stacked = [jax.tree.map(lambda *x: jnp.stack(x), *steps) for steps in rows]
    whole = jax.tree.map(lambda *x: jnp.concatenate(x, axis=1), *stacked)
    return *_tallied(tally, whole, jax.tree.map(lambda *x: jnp.concatenate(x), *memories)), whole


def _parts(memory: Memory, key: jax.Array, count: int, num_envs: int) -> tuple[jax.Array, list[Progress]]:
    """The key to go on with, and where each part begins."""
    key, own = jax.random.split(key)
    size = num_envs // count
    cut = [jax.tree.map(lambda x, i=i: x[i * size : (i + 1) * size], memory) for i in range(count)]
    none_b = jnp.zeros(size, bool)
    return key, [(cut[i], (none_b, none_b), jax.random.fold_in(own, i)) for i in range(count)]


# Compiled once a shape in a process, whichever training calls them.
_joined_jit = jax.jit(_joined)
_parts_jit = jax.jit(_parts, static_argnums=(2, 3))


class Unroller:
    """Steps an environment `unroll` times with the current policy. Compiled once."""

    def __init__(self, env: Env, unroll: int) -> None:
        self.env = env
        self.unroll = unroll
        self._scan = jax.jit(self._scanned)
        self._walks = 0

    def __call__(self, learner: Learner, state: Any, tally: Tally, key: jax.Array) -> tuple[Any, Tally, jax.Array, Rollout, Episodes]:
        """Returns the environment's state, the running returns, the key to go on with, the rollout, and its episodes."""
        memory = tally.memory
        learner = eqx.tree_at(lambda whole: whole.optimizer, learner, None)  # acting needs none of its arrays
        if self.env.pure:
            state, tally, key, totals, rows = self._scan(learner, state, tally, key)
        else:
            parts = self.env.split(state)
            key, begun = _parts_jit(memory, key, len(parts), self.env.num_envs)
            # The first time one after the other: threads that meet a function not compiled yet would each compile it.
            with ThreadPoolExecutor(min(len(parts), cores()) if self._walks else 1) as threads:
                walked = list(threads.map(lambda part, progress: self._walked(learner, part, progress), parts, begun))
            self._walks += 1
            states, memories, steps = zip(*walked, strict=True)
            state = self.env.join(list(states))
            tally, totals, rows = _joined_jit(tally, list(steps), list(memories))
        return state, tally, key, _rollout(rows, memory), _episodes(rows, totals)

    def _walked(self, learner: Learner, part: tuple[Env, Any], progress: Progress) -> tuple[Any, Memory, list[_Row]]:
        env, state = part
        observation = env.observe(state)
        rows = []
        for _ in range(self.unroll):
            state, observation, progress, row = _one(env, learner, state, observation, progress)
            rows.append(row)
        return state, progress[0], rows

    def _scanned(self, learner: Learner, state: Any, tally: Tally, key: jax.Array) -> tuple[Any, Tally, jax.Array, Any, _Row]:
        key, (begun,) = _parts(tally.memory, key, 1, self.env.num_envs)

        def one(carry: tuple[Any, dict[str, jax.Array], Progress], _: None) -> tuple[Any, _Row]:
            *carry_after, row = _one(self.env, learner, *carry)
            return tuple(carry_after), row

        (state, _, progress), rows = jax.lax.scan(one, (state, self.env.observe(state), begun), None, length=self.unroll)
        tally, totals = _tallied(tally, rows, progress[0])
        return state, tally, key, totals, rows


def again(
    env: Env, learner: Learner, start: tuple[Any, Tally, jax.Array], environment: int
) -> Iterator[tuple[Env, Any, int, NDArray[Any], NDArray[Any]]]:
    """An unroll once more, for one environment of the batch, without end.

    Gives before each step the environments among which it is, their state, its index there, what it saw and what it did [n].
    """
    state, tally, key = start
    parts = [(env, state)] if env.pure else env.split(state)
    _, begun = _parts_jit(tally.memory, key, len(parts), env.num_envs)
    which, index = divmod(environment, env.num_envs // len(parts))
    (part, state), progress = parts[which], begun[which]
    one = jax.jit(partial(_one, part)) if env.pure else partial(_one, part)
    observation = part.observe(state)
    while True:
        before = state
        state, observation, progress, row = one(learner, state, observation, progress)
        action_bn = row.behaviour.execute(row.raw)
        yield part, before, index, np.array(row.policy[index]), np.array(action_bn[index])


def _row(observation: dict[str, jax.Array], sampled: Sampled, transition: Step) -> _Row:
    return _Row(
        observation["policy"],
        observation["critic"],
        transition.next_observation["critic"],
        *sampled,
        transition.reward_b,
        transition.terminated_b,
        transition.truncated_b,
        transition.success_b,
        transition.metrics,
    )


def _rollout(rows: _Row, memory: Memory) -> Rollout:
    return Rollout(
        rows.policy,
        rows.critic,
        rows.next_critic,
        rows.raw,
        rows.behaviour,
        rows.log_prob,
        rows.reward,
        rows.terminated,
        rows.truncated,
        memory,
    )


def _episodes(rows: _Row, totals: Totals) -> Episodes:
    return Episodes(
        done_tb=np.asarray(totals[1]),
        success_tb=np.asarray(rows.success),
        return_tb=np.asarray(totals[0]),
        metrics_tb={name: np.asarray(values) for name, values in rows.metrics.items()},
    )
