"""Gathering one unroll: a scan where the environment is pure, a Python loop where its physics runs in C."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from realitygap_core.ppo.update import Learner, Rollout, act

Sampled: TypeAlias = tuple[jax.Array, jax.Array, jax.Array, jax.Array]
"""Raw action, mean, log standard deviation, log probability of one step."""


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

    def reset(self, key: jax.Array) -> Any: ...
    def observe(self, state: Any) -> dict[str, jax.Array]: ...
    def step(self, state: Any, action_bn: jax.Array) -> tuple[Any, Any]: ...
    def refresh_bank(self, state: Any, rng: np.random.Generator) -> Any: ...
    def to_arrays(self, state: Any) -> dict[str, NDArray[Any]]: ...
    def from_arrays(self, arrays: dict[str, NDArray[Any]]) -> Any: ...


class Episodes(NamedTuple):
    """Which steps ended an episode, and how it went."""

    done_tb: NDArray[np.bool_]
    success_tb: NDArray[np.bool_]
    return_tb: NDArray[np.float32]
    """Return of the episode up to and with this step."""
    length_tb: NDArray[np.int32]


class Tally(eqx.Module):
    """Return and length of the episode that each environment is in."""

    return_b: jax.Array
    length_b: jax.Array

    def __init__(self, num_envs: int) -> None:
        self.return_b = jnp.zeros(num_envs, jnp.float32)
        self.length_b = jnp.zeros(num_envs, jnp.int32)


class _Row(eqx.Module):
    """One step of the unroll."""

    policy: jax.Array
    critic: jax.Array
    next_critic: jax.Array
    raw: jax.Array
    mean: jax.Array
    log_std: jax.Array
    log_prob: jax.Array
    reward: jax.Array
    terminated: jax.Array
    truncated: jax.Array
    success: jax.Array
    episode_return: jax.Array
    episode_length: jax.Array


def _sample(learner: Learner, observation: dict[str, jax.Array], key: jax.Array) -> tuple[jax.Array, Sampled, jax.Array]:
    key, action_key = jax.random.split(key)
    raw, action, distribution, log_prob = act(learner, observation["policy"], action_key)
    return action, (raw, distribution.mean, distribution.log_std, log_prob), key


def _tally(tally: Tally, transition: Step) -> tuple[Tally, tuple[jax.Array, jax.Array]]:
    total_b, length_b = tally.return_b + transition.reward_b, tally.length_b + 1
    done_b = transition.terminated_b | transition.truncated_b
    fresh = eqx.tree_at(lambda t: (t.return_b, t.length_b), tally, (jnp.where(done_b, 0.0, total_b), jnp.where(done_b, 0, length_b)))
    return fresh, (total_b, length_b)


# Compiled once a shape in a process, whichever training calls them.
_sample_jit = jax.jit(_sample)
_tally_jit = jax.jit(_tally)
_stack_jit = jax.jit(lambda rows: jax.tree.map(lambda *x: jnp.stack(x), *rows))


class Unroller:
    """Steps an environment `unroll` times with the current policy. Compiled once."""

    def __init__(self, env: Env, unroll: int) -> None:
        self.env = env
        self.unroll = unroll
        self._scan = jax.jit(self._scanned)

    def __call__(self, learner: Learner, state: Any, tally: Tally, key: jax.Array) -> tuple[Any, Tally, jax.Array, Rollout, Episodes]:
        """Returns the environment's state, the running returns, the key to go on with, the rollout, and its episodes."""
        if self.env.pure:
            state, tally, key, rows = self._scan(learner, state, tally, key)
        else:
            steps = []
            observation = self.env.observe(state)
            for _ in range(self.unroll):
                action, sampled, key = _sample_jit(learner, observation, key)
                state, transition = self.env.step(state, action)
                tally, totals = _tally_jit(tally, transition)
                steps.append(_row(observation, sampled, transition, totals))
                observation = transition.observation
            rows = _stack_jit(steps)
        return state, tally, key, _rollout(rows), _episodes(rows)

    def _scanned(self, learner: Learner, state: Any, tally: Tally, key: jax.Array) -> tuple[Any, Tally, jax.Array, _Row]:
        def one(carry: tuple[Any, dict[str, jax.Array], Tally, jax.Array], _: None) -> tuple[Any, _Row]:
            state, observation, tally, key = carry
            action, sampled, key = _sample(learner, observation, key)
            state, transition = self.env.step(state, action)
            tally, totals = _tally(tally, transition)
            return (state, transition.observation, tally, key), _row(observation, sampled, transition, totals)

        (state, _, tally, key), rows = jax.lax.scan(one, (state, self.env.observe(state), tally, key), None, length=self.unroll)
        return state, tally, key, rows


def _row(observation: dict[str, jax.Array], sampled: Sampled, transition: Step, totals: tuple[jax.Array, jax.Array]) -> _Row:
    return _Row(
        observation["policy"],
        observation["critic"],
        transition.next_observation["critic"],
        *sampled,
        transition.reward_b,
        transition.terminated_b,
        transition.truncated_b,
        transition.success_b,
        *totals,
    )


def _rollout(rows: _Row) -> Rollout:
    return Rollout(
        rows.policy,
        rows.critic,
        rows.next_critic,
        rows.raw,
        rows.mean,
        rows.log_std,
        rows.log_prob,
        rows.reward,
        rows.terminated,
        rows.truncated,
    )


def _episodes(rows: _Row) -> Episodes:
    return Episodes(
        done_tb=np.asarray(rows.terminated | rows.truncated),
        success_tb=np.asarray(rows.success),
        return_tb=np.asarray(rows.episode_return),
        length_tb=np.asarray(rows.episode_length),
    )
