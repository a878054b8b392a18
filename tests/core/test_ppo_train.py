"""The training loop on small environments with a known solution: learning, determinism, exact resume, one compilation."""

from __future__ import annotations

import dataclasses
import math
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ppobench import SMALL, Regulator, Transition

from realitygap_core.errors import CoreError
from realitygap_core.ppo import train as training
from realitygap_core.ppo import update as updating
from realitygap_core.ppo.checkpoint import digest, from_arrays, read_checkpoint, to_arrays, write_checkpoint
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.rollout import Tally, Unroller
from realitygap_core.ppo.temperature import TemperatureConfig
from realitygap_core.ppo.train import CHECKPOINT, train
from realitygap_core.ppo.update import PPOConfig, init_learner, update_in_threads, update_jit


def test_learns_to_regulate_and_meets_its_target_entropy():
    config = dataclasses.replace(SMALL, env_steps=64 * 8 * 150, epochs=4, temperature=TemperatureConfig(target_entropy_per_dim=-0.5))
    result = train(config, Regulator(64), seed=0)
    # Doing nothing costs E[x^2] = 1/3 a step, 2.7 an episode.
    # Driving x to 0 at once costs 0.1 * (2 x)^2 where |u| <= 1 lets it: about 0.25 an episode.
    assert math.isnan(result.curves["return"][0])  # no episode has been seen whole yet
    assert result.curves["return"][1] < -2.0
    assert result.return_iqm > -0.9
    # The last half, in windows of 15 updates: at 512 samples an update one measurement alone is off by 0.05.
    np.testing.assert_allclose(np.reshape(result.curves["policy_entropy"][75:], (5, 15)).mean(1), -0.5, atol=0.1)
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
        temperature=TemperatureConfig(target_entropy_per_dim=target, initial=0.5),
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
        np.testing.assert_equal(resumed.curves, whole.curves)
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


def test_only_episodes_that_were_seen_whole_count():
    env = Regulator(64)
    learner, unroll = init_learner(SMALL, env.observation_sizes, 1, 0), Unroller(env, 8)
    state, tally = env.reset(jax.random.PRNGKey(0), staggered=True), Tally(64, whole=False)
    state, tally, key, first, cut = unroll(learner, state, tally, jax.random.PRNGKey(1))
    assert np.array_equal(first.truncated_tb.sum(0), np.ones(64))
    assert len(set(np.argmax(first.truncated_tb, 0).tolist())) == env.length  # at every age
    assert not cut.done_tb.any()
    *_, second, whole = unroll(learner, state, tally, key)
    assert np.array_equal(whole.done_tb, second.truncated_tb)
    rewards = np.concatenate([first.reward_tb, second.reward_tb])
    for b in range(64):
        last = int(np.argmax(whole.done_tb[:, b]))
        np.testing.assert_allclose(whole.return_tb[last, b], rewards[last + 1 : last + 9, b].sum(), rtol=1e-5)


def test_one_compilation_a_shape_over_many_updates():
    env = Regulator()
    unroll = Unroller(env, 8)
    learner, key = init_learner(SMALL, env.observation_sizes, 1, 0), jax.random.PRNGKey(1)
    state, tally = training.strip_weak_types((env.reset(jax.random.PRNGKey(0)), Tally(16)))
    compiled = []
    for _ in range(4):
        state, tally, key, rollout, _ = unroll(learner, state, tally, key)
        before = learner
        learner, _ = update_jit(learner, rollout, config=SMALL, total_updates=12)
        compiled.append(update_jit._cache_size())
    assert len(set(compiled)) == 1
    assert before.network.actor.weights[0].is_deleted()  # donated
    assert unroll._scan._cache_size() == 1


def test_an_update_on_two_threads_is_the_same_update_compiled_once():
    env = Regulator()
    learner = init_learner(SMALL, env.observation_sizes, 1, 0)
    *_, rollout, _ = Unroller(env, 8)(learner, env.reset(jax.random.PRNGKey(0)), Tally(16), jax.random.PRNGKey(1))
    two, two_scalars = update_in_threads(learner, rollout, config=SMALL, total_updates=12)
    compiled = [part._cache_size() for part in (updating._actor_passes_jit, updating._critic_passes_jit)]
    again, _ = update_in_threads(two, rollout, config=SMALL, total_updates=12)
    assert [part._cache_size() for part in (updating._actor_passes_jit, updating._critic_passes_jit)] == compiled
    one, one_scalars = update_jit(learner, rollout, config=SMALL, total_updates=12)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5), (one, one_scalars), (two, two_scalars))
    assert not np.allclose(two.network.critic.weights[0], again.network.critic.weights[0])


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


def test_a_checkpoint_of_another_training_is_refused_and_says_in_what_it_differs(tmp_path):
    train(SMALL, Regulator(), seed=3, checkpoint_dir=tmp_path, cancelled=lambda: True)
    with pytest.raises(CoreError, match=r"another training: config.env_steps is 1536 there and 128 here; updates is 12 there and 1 here$"):
        train(dataclasses.replace(SMALL, env_steps=128), Regulator(), seed=3, checkpoint_dir=tmp_path)
    with pytest.raises(CoreError, match=r"another training: seed is 3 there and 4 here$"):
        train(SMALL, Regulator(), seed=4, checkpoint_dir=tmp_path)
    elsewhere = Regulator()
    elsewhere.identity = {"task": "regulator", "domain": "wider"}
    with pytest.raises(CoreError, match=r"another training: domain is None there and wider here$"):
        train(SMALL, elsewhere, seed=3, checkpoint_dir=tmp_path)
    groups, _ = read_checkpoint(tmp_path / CHECKPOINT)
    write_checkpoint(tmp_path / CHECKPOINT, groups, {"of": "something else"})
    with pytest.raises(CoreError, match="another training: all is None there"):
        train(SMALL, Regulator(), seed=3, checkpoint_dir=tmp_path)


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


def test_sizes_that_cannot_be_split_are_named():
    with pytest.raises(CoreError, match="minibatches"):
        train(dataclasses.replace(SMALL, minibatches=7), Regulator(), seed=0)


@pytest.mark.parametrize("name", ["unroll", "epochs", "minibatches", "refresh_every"])
def test_counts_below_one_are_named(name):
    with pytest.raises(CoreError, match=f"{name} is 0, it must be at least 1"):
        dataclasses.replace(SMALL, **{name: 0}).validate(16)


def test_a_memory_is_trained_on_whole_sequences_so_environments_must_divide():
    network = NetworkConfig(kind="gru", memory=4, actor_hidden=(4,), critic_hidden=(4,))
    with pytest.raises(CoreError, match="16 environments cannot be split into 32 minibatches of whole sequences"):
        train(dataclasses.replace(SMALL, minibatches=32, network=network), Regulator(), seed=0)


def test_resume_restores_what_the_policy_remembers(tmp_path):
    # Episodes of 5 steps, unrolls of 8: at every checkpoint most environments are in the middle of an episode.
    config = dataclasses.replace(
        SMALL, env_steps=16 * 8 * 5, network=NetworkConfig(kind="lstm", memory=4, actor_hidden=(4,), critic_hidden=(4,))
    )
    whole = train(config, Regulator(length=5), seed=3)
    count = iter(range(1, 9))
    train(config, Regulator(length=5), seed=3, checkpoint_dir=tmp_path, cancelled=lambda: next(count) == 2)
    arrays = read_checkpoint(tmp_path / CHECKPOINT)[0]["tally"]
    assert np.abs(arrays[".memory.actor"]).max() > 0
    resumed = train(config, Regulator(length=5), seed=3, checkpoint_dir=tmp_path)
    assert resumed.digests == whole.digests
    assert resumed.events == whole.events


def test_a_checkpoint_whose_arrays_were_changed_is_refused(tmp_path):
    count = iter(range(1, 9))
    train(SMALL, Regulator(), seed=3, checkpoint_dir=tmp_path, cancelled=lambda: next(count) == 2)
    groups, meta = read_checkpoint(tmp_path / CHECKPOINT)
    groups["env"]["x"] = groups["env"]["x"] + 1e-6
    write_checkpoint(tmp_path / CHECKPOINT, groups, meta)
    with pytest.raises(CoreError, match="not the state that was saved"):
        train(SMALL, Regulator(), seed=3, checkpoint_dir=tmp_path)


def test_scaled_rewards_make_the_training_blind_to_their_unit():
    class Scaled(Regulator):
        def __init__(self, unit: float) -> None:
            super().__init__()
            self.unit = unit

        def step(self, state, action):
            state, transition = super().step(state, action)
            return state, transition._replace(reward_b=transition.reward_b * self.unit)

    # A temperature that is felt beside rewards of unit 1 is nothing beside those of unit 64, unless these are scaled.
    config = dataclasses.replace(SMALL, normalize_advantages=False, temperature=TemperatureConfig(mode="fixed", initial=1.0))
    free, scaled = (
        [
            np.array(train(dataclasses.replace(config, scale_rewards=scale), Scaled(unit), seed=0).curves["policy_entropy"])
            for unit in (1.0, 64.0)
        ]
        for scale in (False, True)
    )
    np.testing.assert_allclose(scaled[0], scaled[1], atol=0.03)
    assert np.abs(free[0] - free[1]).max() > 0.1


@pytest.mark.parametrize("pure", [True, False])
def test_a_training_compiles_its_unroll_and_its_update_once(monkeypatch, pure):
    made = []
    monkeypatch.setattr(training, "Unroller", lambda *given: made.append(Unroller(*given)) or made[-1])
    config = dataclasses.replace(SMALL, gamma=0.987)  # a configuration of its own: nothing of it is in the cache
    programs = [one for name, one in vars(updating).items() if name.endswith("_jit")]
    before = [program._cache_size() for program in programs]
    train(config, Regulator(pure=pure), seed=0)
    added = [program._cache_size() - count for program, count in zip(programs, before, strict=True)]
    assert sorted(set(added)) == [0, 1]  # 0 of those that do it another way
    assert made[0]._scan._cache_size() == pure
