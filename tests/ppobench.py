"""A small environment with a known solution, for tests of the learner."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.update import PPOConfig


class Transition(NamedTuple):
    observation: dict
    next_observation: dict
    reward_b: jax.Array
    terminated_b: jax.Array
    truncated_b: jax.Array
    success_b: jax.Array
    metrics: dict


class Regulator:
    """x' = x + 0.5 u + drift, reward -x^2 - 0.1 u^2, cut off after 8 steps; `drift` is the bank, drawn anew at every refresh."""

    observation_sizes: ClassVar = {"policy": 1, "critic": 2}
    action_size = 1
    identity: ClassVar = {"task": "regulator", "domain": None}

    def __init__(self, num_envs: int = 16, *, pure: bool = True, length: int = 8) -> None:
        self.num_envs, self.pure, self.length = num_envs, pure, length

    def reset(self, key, *, staggered=False):
        x = jax.random.uniform(key, (self.num_envs,), minval=-1, maxval=1)
        age = jax.random.randint(jax.random.fold_in(key, 1), (self.num_envs,), 0, self.length if staggered else 1)
        return {"x": x, "t": age, "key": key, "drift": jnp.zeros(())}

    def observe(self, state):
        x, t = state["x"], state["t"]
        return {"policy": x[:, None], "critic": jnp.stack([x, t / self.length], -1)}

    def step(self, state, action):
        u = action[:, 0]
        x, t = state["x"] + 0.5 * u + state["drift"], state["t"] + 1
        key, fresh = jax.random.split(state["key"])
        reward = -(x**2) - 0.1 * u**2
        ended = state | {"x": x, "t": t, "key": key}
        done = t >= self.length
        begun = ended | {"x": jnp.where(done, jax.random.uniform(fresh, x.shape, minval=-1, maxval=1), x), "t": jnp.where(done, 0, t)}
        never = jnp.zeros(self.num_envs, bool)
        return begun, Transition(self.observe(begun), self.observe(ended), reward, never, done, done & (jnp.abs(x) < 0.3), {})

    def step_with(self, policy, state, *arguments):
        return self._stepped(policy, state, *arguments)

    @partial(jax.jit, static_argnums=(0, 1))
    def _stepped(self, policy, state, *arguments):
        action, extra = policy(self.observe(state), *arguments)
        return *self.step(state, action), extra

    def split(self, state):
        return [(self, state)]

    def join(self, states):
        return states[0]

    def refresh_bank(self, state, rng):
        return state | {"drift": jnp.asarray(0.02 * rng.standard_normal(), jnp.float32)}

    def to_arrays(self, state):
        return {name: np.asarray(value) for name, value in state.items()}

    def from_arrays(self, arrays):
        return {name: jnp.asarray(value) for name, value in arrays.items()}


SMALL = PPOConfig(
    env_steps=16 * 8 * 12,
    unroll=8,
    epochs=2,
    minibatches=4,
    learning_rate=3e-3,
    network=NetworkConfig(actor_hidden=(8,), critic_hidden=(8,)),
)
