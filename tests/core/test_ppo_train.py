"""The training loop on small environments with a known solution: learning, determinism, exact resume, one compilation."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from realitygap_core.errors import CoreError
from realitygap_core.ppo import train as training
from realitygap_core.ppo.checkpoint import digest, from_arrays, read_checkpoint, to_arrays, write_checkpoint
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.rollout import Tally, Unroller
from realitygap_core.ppo.temperature import TemperatureConfig
from realitygap_core.ppo.train import CHECKPOINT, train
from realitygap_core.ppo.update import PPOConfig, init_learner, update_jit


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

    def __init__(self, num_envs: int = 16, *, pure: bool = True, length: int = 8) -> None:
        self.num_envs, self.pure, self.length = num_envs, pure, length

    def reset(self, key):
        x = jax.random.uniform(key, (self.num_envs,), minval=-1, maxval=1)
        return {"x": x, "t": jnp.zeros(self.num_envs, jnp.int32), "key": key, "drift": jnp.zeros(())}

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


def test_learns_to_regulate_and_meets_its_target_entropy():
    config = dataclasses.replace(
        SMALL, env_steps=64 * 8 * 150, epochs=4, temperature=TemperatureConfig(target_entropy_per_dim=-0.5, learning_rate=0.1)
    )
    result = train(config, Regulator(64), seed=0)
    # Doing nothing costs E[x^2] = 1/3 a step, 2.7 an episode.
    # Driving x to 0 at once costs 0.1 * (2 x)^2 where |u| <= 1 lets it: about 0.25 an episode.
    assert result.curves["return"][0] < -2.0
    assert result.return_iqm > -0.9
    assert np.mean(result.curves["policy_entropy"][-30:]) == pytest.approx(-0.5, abs=0.1)
    assert set(result.curves) >= {
        "policy_entropy",
        "observation_entropy",
        "entropy_difference",
        "temperature",
        "kl",
        "value_loss",
        "return",
    }
    assert result.env_steps == 64 * 8 * 150


def test_bandit_with_the_whole_trainer_finds_the_closed_form_of_the_temperature():
    # One step, reward -k a^2 / 2, unsquashed: alpha* = k exp(2 target) / (2 pi e), reached from far off with sampled advantages.
    class Bandit(Regulator):
        def step(self, state, action):
            reward = -(action[:, 0] ** 2)  # k = 2
            ended = state | {"x": jnp.zeros(self.num_envs)}
            done = jnp.ones(self.num_envs, bool)
            return ended, Transition(self.observe(ended), self.observe(ended), reward, done, ~done, done, {})

    target = 0.0
    config = PPOConfig(
        env_steps=512 * 4 * 400,
        unroll=4,
        epochs=4,
        minibatches=4,
        learning_rate=5e-3,
        final_learning_rate=2e-4,
        target_kl=None,
        normalize_advantages=False,
        network=NetworkConfig(actor_hidden=(4,), critic_hidden=(4,), std="global", squash=False),
        temperature=TemperatureConfig(target_entropy_per_dim=target, initial=0.5, learning_rate=0.05),
    )
    result = train(config, Bandit(512), seed=1)
    expected = 2.0 * math.exp(2 * target) / (2 * math.pi * math.e)
    assert np.mean(result.curves["temperature"][-100:]) == pytest.approx(expected, rel=0.1)
    assert np.mean(result.curves["policy_entropy"][-100:]) == pytest.approx(target, abs=0.05)


def test_same_seed_gives_the_same_digest_at_every_update_and_another_seed_does_not():
    one, two, other = train(SMALL, Regulator(), seed=3), train(SMALL, Regulator(), seed=3), train(SMALL, Regulator(), seed=4)
    assert one.digests == two.digests
    assert len(set(one.digests)) == 12
    assert not set(one.digests) & set(other.digests)


@pytest.mark.parametrize("pure", [True, False])
def test_resume_from_any_checkpoint_gives_the_digests_of_the_uninterrupted_training(tmp_path, pure):
    whole = train(SMALL, Regulator(pure=pure), seed=3)
    for stop_after in (1, 7):
        folder, count = tmp_path / str(stop_after), iter(range(1, 100))
        cut = train(
            SMALL,
            Regulator(pure=pure),
            seed=3,
            checkpoint_dir=folder,
            cancelled=lambda count=count, stop_after=stop_after: next(count) == stop_after,
        )
        assert cut.cancelled
        assert cut.digests == whole.digests[:stop_after]
        resumed = train(SMALL, Regulator(pure=pure), seed=3, checkpoint_dir=folder)
        assert resumed.digests == whole.digests
        assert resumed.curves == whole.curves
        assert resumed.return_iqm == whole.return_iqm
        assert digest(resumed.learner) == digest(whole.learner)


def test_a_scan_and_a_python_loop_gather_the_same_rollout():
    learner = init_learner(SMALL, Regulator.observation_sizes, 1, 0)
    rollouts = []
    for pure in (True, False):
        env = Regulator(pure=pure)
        *_, rollout, episodes = Unroller(env, 8)(learner, env.reset(jax.random.PRNGKey(0)), Tally(16), jax.random.PRNGKey(1))
        rollouts.append((rollout, episodes))
    for one, two in zip(jax.tree.leaves(rollouts[0]), jax.tree.leaves(rollouts[1]), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-6)


def test_one_compilation_a_shape_over_many_updates():
    env = Regulator()
    unroll = Unroller(env, 8)
    learner, state, key = init_learner(SMALL, env.observation_sizes, 1, 0), env.reset(jax.random.PRNGKey(0)), jax.random.PRNGKey(1)
    tally = training.strip_weak_types(Tally(16))
    compiled = []
    for _ in range(4):
        state, tally, key, rollout, _ = unroll(learner, state, tally, key)
        before = learner
        learner, _ = update_jit(learner, rollout, config=SMALL, total_updates=12)
        compiled.append(update_jit._cache_size())
    assert len(set(compiled)) == 1
    assert before.network.actor.weights[0].is_deleted()  # donated
    # The first state is weakly typed by the environment itself at most once.
    assert unroll._scan._cache_size() <= 2


def test_the_gradient_step_moves_along_the_advantage():
    # With one state and actions above 0 praised, the mean must rise.
    env = Regulator()
    learner = init_learner(SMALL, env.observation_sizes, 1, 0)
    *_, rollout, _ = Unroller(env, 8)(learner, env.reset(jax.random.PRNGKey(0)), Tally(16), jax.random.PRNGKey(1))
    praised = dataclasses.replace(
        rollout, reward_tb=jnp.sign(rollout.raw_action_tbn[..., 0]), terminated_tb=jnp.ones_like(rollout.terminated_tb)
    )
    probe = jnp.zeros((1, 1))
    before = float(learner.network.distribution(probe).mean[0, 0])
    for _ in range(5):
        learner, _ = update_jit(learner, praised, config=SMALL, total_updates=12)
    assert float(learner.network.distribution(probe).mean[0, 0]) > before + 0.01


def test_a_checkpoint_of_another_training_is_refused(tmp_path):
    first = iter([True])
    train(SMALL, Regulator(), seed=3, checkpoint_dir=tmp_path, cancelled=lambda: next(first, False))
    with pytest.raises(CoreError, match="another training"):
        train(dataclasses.replace(SMALL, env_steps=128), Regulator(), seed=3, checkpoint_dir=tmp_path)


def test_a_truncated_checkpoint_is_named_and_no_half_file_is_left(tmp_path):
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, {"a": {"x": np.arange(3.0)}}, {"n": 1})
    groups, meta = read_checkpoint(path)
    assert meta == {"n": 1}
    np.testing.assert_array_equal(groups["a"]["x"], np.arange(3.0))
    assert [file.name for file in tmp_path.iterdir()] == [CHECKPOINT]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CoreError, match="not a checkpoint"):
        read_checkpoint(path)


def test_weights_of_another_network_are_refused():
    small = init_learner(SMALL, {"policy": 1, "critic": 2}, 1, 0)
    large = init_learner(SMALL, {"policy": 3, "critic": 2}, 1, 0)
    with pytest.raises(CoreError, match="instead of"):
        from_arrays(large, to_arrays(small))


def test_sizes_that_cannot_be_split_and_diverging_rewards_are_named():
    with pytest.raises(CoreError, match="minibatches"):
        train(dataclasses.replace(SMALL, minibatches=7), Regulator(), seed=0)

    class Broken(Regulator):
        def step(self, state, action):
            state, transition = super().step(state, action)
            return state, transition._replace(reward_b=transition.reward_b * jnp.nan)

    with pytest.raises(CoreError, match="diverged"):
        train(SMALL, Broken(), seed=0)
