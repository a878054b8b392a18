"""A batch large enough to be gathered in parts, each on a thread of its own, on C MuJoCo."""

from __future__ import annotations

import dataclasses
import logging
import re

import jax
import jax.numpy as jnp
import pytest
from taskbench import compiled

from realitygap_core.environment import Environment
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.rollout import Tally, Unroller
from realitygap_core.ppo.train import train
from realitygap_core.ppo.update import PPOConfig, init_learner
from realitygap_core.task_entries import RewardEntry
from realitygap_core.terms.term import Reward, View

SMALL = PPOConfig(env_steps=256 * 8 * 3, unroll=8, epochs=1, minibatches=4, network=NetworkConfig(actor_hidden=(8,), critic_hidden=(8,)))


@pytest.mark.slow
def test_digests_do_not_depend_on_threads_or_on_which_part_is_first(tmp_path) -> None:
    digests = []
    for threads in (1, 2, 2):
        env = Environment(compiled("pendulum-swingup", episode_s=0.3, success=None), num_envs=256, threads=threads)
        digests.append(train(SMALL, env, seed=1).digests)
        env.close()
    assert digests[0] == digests[1] == digests[2]
    # A training that was cut off goes on to the same digests, though its parts were made anew.
    env = Environment(compiled("pendulum-swingup", episode_s=0.3, success=None), num_envs=256, threads=2)
    asked = iter([True])
    cut = train(SMALL, env, seed=1, checkpoint_dir=tmp_path, cancelled=lambda: next(asked, False))
    assert cut.cancelled
    assert train(SMALL, env, seed=1, checkpoint_dir=tmp_path).digests == digests[0]
    env.close()


@pytest.mark.slow
def test_an_end_of_an_episode_compiles_nothing_that_the_first_walk_had_not(caplog) -> None:
    env = Environment(compiled("pendulum-swingup", episode_s=0.3, success=None), num_envs=256, threads=2)
    learner = init_learner(SMALL, env.observation_sizes, env.action_size, seed=0)
    tally = Tally(env.num_envs, learner.network.fresh_memory(env.num_envs))
    state, key = env.reset(jax.random.PRNGKey(0)), jax.random.PRNGKey(1)
    unroll, compiled_at, ended_at = Unroller(env, 8), [], []
    for _ in range(3):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, logger="jax._src.dispatch"):  # of every thread, which `jax.log_compiles` is not
            state, tally, key, _, episodes = unroll(learner, state, tally, key)
        messages = [record.getMessage() for record in caplog.records]
        compiled_at.append([name for message in messages for name in re.findall(r"XLA compilation of jit\((_\w+)\)", message)])
        ended_at.append(bool(episodes.done_tb.any()))
    env.close()
    assert ended_at == [False, True, False]
    assert compiled_at[0]
    assert compiled_at[1:] == [[], []]


def test_a_step_is_compiled_once_also_with_a_term_whose_carry_is_a_python_number(caplog: pytest.LogCaptureFixture) -> None:
    def compute(view: View, carry: jax.Array) -> tuple[jax.Array, jax.Array]:
        return carry, jnp.where(view.physics.qpos[0] > 0, 1.0, 0.0)

    task = compiled("pendulum-swingup", episode_s=0.1, success=None)
    careless = RewardEntry(name="careless", weight=1.0, term=Reward(compute=compute, initial=lambda view: jnp.asarray(0.0)))
    env = Environment(dataclasses.replace(task, rewards=(*task.rewards, careless)), num_envs=4, threads=1)
    with caplog.at_level(logging.DEBUG, logger="jax._src.dispatch"):
        state = env.reset(jax.random.PRNGKey(0))
        for _ in range(task.episode_steps + 2):
            state, _ = env.step(state, jnp.zeros((4, env.action_size)))
    made = re.findall(r"XLA compilation of jit\((_acted|_ended|_anew)\)", caplog.text)
    assert sorted(made) == ["_acted", "_anew", "_ended"]
    env.close()


def test_a_second_reset_traces_nothing(caplog: pytest.LogCaptureFixture) -> None:
    env = Environment(compiled("pendulum-swingup"), num_envs=4, threads=1)
    env.reset(jax.random.PRNGKey(0))
    with caplog.at_level(logging.DEBUG, logger="jax._src.dispatch"):
        env.reset(jax.random.PRNGKey(1))
    assert not [line for line in caplog.messages if "tracing" in line and "begin" in line]
    env.close()
