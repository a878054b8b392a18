"""GRU and LSTM against another implementation and against their own unrolled steps; what a memory is for, and when it is forgotten."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from ppobench import SMALL, Regulator, Transition

from realitygap_core.ppo.networks import ActorCritic, NetworkConfig
from realitygap_core.ppo.recurrent import Recurrent, forget
from realitygap_core.ppo.rollout import Tally, Unroller
from realitygap_core.ppo.temperature import TemperatureConfig
from realitygap_core.ppo.train import train
from realitygap_core.ppo.update import PPOConfig, init_learner

CELLS = ["gru", "lstm"]
T, B, N, M = 5, 4, 3, 5


def layer(cell):
    made = Recurrent(N, M, cell, np.random.default_rng(1))
    bias = jax.random.normal(jax.random.PRNGKey(2), made.bias.shape)
    made = eqx.tree_at(lambda r: r.bias, made, bias)
    return made if cell == "lstm" else eqx.tree_at(lambda r: r.hidden_bias, made, bias[:M] + 0.3)


def gates(matrix, order):
    parts = np.split(np.asarray(matrix), len(order), axis=-1)
    return jnp.concatenate([jnp.asarray(parts[index]) for index in order], axis=-1)


@pytest.mark.parametrize("cell", CELLS)
def test_one_step_equals_the_cell_of_equinox(cell):
    ours, x, state = layer(cell), jax.random.normal(jax.random.PRNGKey(3), (B, N)), jax.random.normal(jax.random.PRNGKey(4), (B, M))
    key = jax.random.PRNGKey(0)
    if cell == "gru":  # theirs: reset, update, new; ours, as in ONNX: update, reset, new
        order = [1, 0, 2]
        theirs = eqx.nn.GRUCell(N, M, key=key)
        values = (gates(ours.input_weight, order).T, gates(ours.hidden_weight, order).T, gates(ours.bias, order), ours.hidden_bias)
        theirs = eqx.tree_at(lambda c: (c.weight_ih, c.weight_hh, c.bias, c.bias_n), theirs, values)
        output, after = ours.step(x, state)
        assert_allclose(output, jax.vmap(theirs)(x, state), atol=1e-6)
        assert_allclose(after, output)
    else:  # theirs: in, forget, cell, out; ours, as in ONNX: in, out, forget, cell
        order = [0, 2, 3, 1]
        theirs = eqx.nn.LSTMCell(N, M, key=key)
        values = (gates(ours.input_weight, order).T, gates(ours.hidden_weight, order).T, gates(ours.bias, order))
        theirs = eqx.tree_at(lambda c: (c.weight_ih, c.weight_hh, c.bias), theirs, values)
        c = 0.7 * state[::-1]
        output, after = ours.step(x, jnp.concatenate([state, c], -1))
        h_theirs, c_theirs = jax.vmap(lambda x, h, c: theirs(x, (h, c)))(x, state, c)
        assert_allclose(output, h_theirs, atol=1e-6)
        assert_allclose(after, jnp.concatenate([h_theirs, c_theirs], -1), atol=1e-6)


@pytest.mark.parametrize("cell", CELLS)
def test_outputs_and_gradients_of_a_sequence_equal_those_of_steps_unrolled_by_hand(cell):
    ours = layer(cell)
    x_tbn = jax.random.normal(jax.random.PRNGKey(5), (T, B, N))
    start = jax.random.normal(jax.random.PRNGKey(6), (B, ours.state_size))
    fresh_tb = np.zeros((T, B), bool)
    fresh_tb[1, 1] = fresh_tb[2, 2] = fresh_tb[4, 2] = True

    def by_hand(recurrent, x_tbn, start):
        outputs, states = [], []
        rows = [start[b] for b in range(B)]
        for t in range(T):
            for b in range(B):
                previous = jnp.zeros_like(rows[b]) if fresh_tb[t, b] else rows[b]
                output, rows[b] = recurrent.step(x_tbn[t, b], previous)
                outputs.append(output)
            states.append(jnp.stack(rows))
        return jnp.stack(outputs).reshape(T, B, M), jnp.stack(states)

    def scanned(recurrent, x_tbn, start):
        return recurrent.sequence(x_tbn, start, jnp.asarray(fresh_tb))

    for one, two in zip(scanned(ours, x_tbn, start), by_hand(ours, x_tbn, start), strict=True):
        assert_allclose(one, two, atol=1e-5)
    weight = jax.random.normal(jax.random.PRNGKey(7), (T, B, M))
    slopes = [
        jax.jit(jax.grad(lambda r, x, s, f=f: (weight * f(r, x, s)[0]).sum(), argnums=(0,)))(ours, x_tbn, start) for f in (scanned, by_hand)
    ]
    for one, two in zip(jax.tree.leaves(slopes[0]), jax.tree.leaves(slopes[1]), strict=True):
        assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    slope = jax.grad(lambda s: (weight * scanned(ours, x_tbn, s)[0])[2:, 2].sum())(start)
    assert np.abs(slope).max() == 0  # nothing flows back over the beginning of an episode


def test_the_memory_after_a_reset_is_that_of_a_fresh_start():
    config = NetworkConfig(kind="lstm", memory=M, actor_hidden=(4,), critic_hidden=(4,))
    network = ActorCritic(2, N, 1, config, np.random.default_rng(0))
    policy, critic = jnp.ones((B, 2)), jnp.ones((B, N))
    memory = network.fresh_memory(B)
    for _ in range(3):
        _, memory = network.step(policy, critic, memory)
    done = jnp.array([True, False, True, False])
    (one, left), (two, fresh) = network.step(policy, critic, memory.reset(done)), network.step(policy, critic, network.fresh_memory(B))
    for a, b in ((one.mean, two.mean), (left.actor, fresh.actor), (left.critic, fresh.critic)):
        assert_allclose(a[done], b[done], atol=1e-7)
        assert np.all(np.any(np.asarray(a[~done]) != np.asarray(b[~done]), axis=-1))
    assert_allclose(forget(jnp.ones((2, 1)), jnp.array([True, False])), [[0.0], [1.0]])


@pytest.mark.parametrize("pure", [True, False])
@pytest.mark.parametrize("cell", CELLS)
def test_the_learner_computes_again_what_the_policy_did_in_the_environment(cell, pure):
    # Episodes of 3 steps in unrolls of 8, twice: episodes begin within the unroll and run over its end.
    config = dataclasses.replace(SMALL, network=NetworkConfig(kind=cell, memory=4, actor_hidden=(4,), critic_hidden=(4,)))
    env = Regulator(length=3, pure=pure)
    learner = init_learner(config, env.observation_sizes, 1, 0)
    unroll, tally, state, key = (
        Unroller(env, 8),
        Tally(16, learner.network.fresh_memory(16)),
        env.reset(jax.random.PRNGKey(0)),
        jax.random.PRNGKey(1),
    )
    for _ in range(2):
        state, tally, key, rollout, _ = unroll(learner, state, tally, key)
    assert np.abs(rollout.memory.actor).max() > 0
    done_tb = np.asarray(rollout.terminated_tb | rollout.truncated_tb)
    fresh_tb = jnp.asarray(np.concatenate([np.zeros((1, 16), bool), done_tb[:-1]]))
    again = learner.network.distributions(rollout.policy_tbn, rollout.memory.actor, fresh_tb)
    values_tb = learner.network.values(rollout.critic_tbm, rollout.memory.critic, fresh_tb)
    assert_allclose(again.mean, rollout.behaviour_tbn.mean, atol=1e-6)
    assert_allclose(again.log_prob(rollout.raw_action_tbn), rollout.log_prob_tb, atol=1e-4)
    # Where no episode ended, the value after a step is the value before the next one.
    _, following_tb = learner.network.values_around(rollout.critic_tbm, rollout.next_critic_tbm, rollout.memory.critic, fresh_tb)
    assert_allclose(following_tb[:-1][~done_tb[:-1]], values_tb[1:][~done_tb[:-1]], atol=1e-6)
    assert np.any(np.abs(following_tb[:-1] - values_tb[1:])[done_tb[:-1]] > 1e-6)


class Recall(Regulator):
    """A cue of +1 or -1 is shown at the first step and blank after it; every later step pays the action times the cue: 3 at best."""

    observation_sizes: ClassVar = {"policy": 1, "critic": 1}

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, length=4)

    def reset(self, key, *, staggered=False):
        cue = jax.random.rademacher(key, (self.num_envs,), jnp.float32)
        return {"x": cue, "t": jnp.zeros(self.num_envs, jnp.int32), "key": key}

    def observe(self, state):
        shown = jnp.where(state["t"] == 0, state["x"], 0.0)[:, None]
        return {"policy": shown, "critic": shown}

    def step(self, state, action):
        key, fresh = jax.random.split(state["key"])
        reward = jnp.where(state["t"] > 0, action[:, 0] * state["x"], 0.0)
        ended = state | {"t": state["t"] + 1, "key": key}
        done = ended["t"] >= self.length
        cue = jax.random.rademacher(fresh, (self.num_envs,), jnp.float32)
        begun = ended | {"x": jnp.where(done, cue, state["x"]), "t": jnp.where(done, 0, ended["t"])}
        never = jnp.zeros(self.num_envs, bool)
        return begun, Transition(self.observe(begun), self.observe(ended), reward, done, never, done, {})

    def refresh_bank(self, state, rng):
        return state


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["mlp", *CELLS])
def test_a_memory_recalls_a_cue_that_a_policy_without_one_cannot(kind):
    config = PPOConfig(
        env_steps=128 * 8 * 40,
        unroll=8,
        minibatches=4,
        learning_rate=5e-3,
        final_learning_rate=2e-3,
        network=NetworkConfig(kind=kind, memory=8, actor_hidden=(16,), critic_hidden=(16,)),
        temperature=TemperatureConfig(target_entropy_per_dim=-1.0),
    )
    result = train(config, Recall(128), seed=0)
    # Blind steps earn 0 on average whatever is done; with the cue remembered |a| near 1 earns almost 3.
    assert np.mean(result.curves["return"][-5:]) > 2.2 if kind != "mlp" else abs(np.mean(result.curves["return"][-5:])) < 0.4
