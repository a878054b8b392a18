"""Advantages, distributions, temperature, normaliser and loss against hand-computed values and independent implementations."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from realitygap_core.errors import CoreError
from realitygap_core.ppo.advantages import gae
from realitygap_core.ppo.distributions import ENTROPY_LIMIT_PER_DIM, Categorical, Gaussian, kl_divergence, log_tanh_slope
from realitygap_core.ppo.losses import clipped_surrogate
from realitygap_core.ppo.normalizer import Normalizer
from realitygap_core.ppo.passes import shuffled
from realitygap_core.ppo.temperature import Temperature, TemperatureConfig, update_temperature
from realitygap_core.ppo.update import PPOConfig


def column(*values):
    return jnp.array(values, jnp.float32)[:, None]


def advantages(rewards, values, next_values, truncated, terminated, gamma, lam):
    result = gae(
        column(*rewards),
        column(*values),
        column(*next_values),
        terminated_tb=column(*terminated) > 0,
        truncated_tb=column(*truncated) > 0,
        gamma=gamma,
        lam=lam,
    )
    return np.asarray(result)[:, 0]


def test_truncation_bootstraps_from_the_true_next_value_and_termination_does_not():
    # gamma 0.5, lambda 1, values 0. Step 2 terminates: 1, its next value 8 counts for nothing. Step 1 is cut off: 1 + 0.5 *
    # 8 = 5, and nothing flows
    # back from step 2. Step 0 sees step 1: delta 1, plus 0.5 * 5 = 3.5.
    result = advantages([1, 1, 1], [0, 0, 0], [0, 8, 8], [0, 1, 0], [0, 0, 1], 0.5, 1.0)
    assert_allclose(result, [3.5, 5.0, 1.0])


def test_lambda_zero_is_the_one_step_error_and_the_last_step_bootstraps():
    # delta = r + 0.9 v' - v: 1 + 1.8 - 1 = 1.8; 0 + 2.7 - 2 = 0.7.
    assert_allclose(advantages([1, 0], [1, 2], [2, 3], [0, 0], [0, 0], 0.9, 0.0), [1.8, 0.7], rtol=1e-6)


def test_advantages_with_lambda_between_are_hand_computed():
    # gamma 0.5, lambda 0.5: deltas 1 + 0.5*4 - 2 = 1; 2 + 0.5*6 - 4 = 1; 3 + 0 - 6 = -3 (terminated). Backwards with factor 0.25:
    # -3; 1 - 0.75 = 0.25; 1 + 0.0625 = 1.0625.
    assert_allclose(advantages([1, 2, 3], [2, 4, 6], [4, 6, 9], [0, 0, 0], [0, 0, 1], 0.5, 0.5), [1.0625, 0.25, -3.0])


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31 - 1))
def test_advantages_equal_a_loop_over_episodes(seed):
    rng = np.random.default_rng(seed)
    steps, gamma, lam = 7, 0.9, 0.8
    rewards, values, following = rng.normal(size=(3, steps))
    kind = rng.integers(0, 4, steps)
    terminated, truncated = kind == 1, kind == 2
    expected, last = np.zeros(steps), 0.0
    for t in reversed(range(steps)):
        target = rewards[t] if terminated[t] else rewards[t] + gamma * following[t]
        last = target - values[t] + (0.0 if terminated[t] or truncated[t] else gamma * lam * last)
        expected[t] = last
    assert_allclose(advantages(rewards, values, following, truncated, terminated, gamma, lam), expected, rtol=1e-4, atol=1e-5)


def test_density_of_the_squashed_action_integrates_to_one_and_gives_its_entropy():
    distribution = Gaussian(jnp.array([0.4]), jnp.log(jnp.array([0.8])), True)
    u = jnp.linspace(-7, 7, 200_001)[:, None]
    action = np.tanh(np.asarray(u, np.float64))[:, 0]
    density = np.exp(np.asarray(jax.vmap(distribution.log_prob)(u), np.float64))
    assert_allclose(np.trapezoid(density, action), 1.0, rtol=1e-3)
    entropy = -np.trapezoid(density * np.log(density + 1e-300), action)
    batch = Gaussian(jnp.full((200_000, 1), 0.4), jnp.full((200_000, 1), math.log(0.8)), True)
    assert_allclose(batch.entropy(jax.random.PRNGKey(0)).mean(), entropy, atol=0.01)


@pytest.mark.parametrize(("std", "entropy"), [(0.3, 0.128), (0.87, 0.682), (1.5, 0.42), (3.0, -1.10)])
def test_entropy_of_the_executed_action_falls_when_the_gaussian_saturates(std, entropy):
    batch = Gaussian(jnp.zeros((400_000, 1)), jnp.full((400_000, 1), math.log(std)), True)
    measured = float(batch.entropy(jax.random.PRNGKey(1)).mean())
    assert measured == pytest.approx(entropy, abs=0.02)
    assert measured < ENTROPY_LIMIT_PER_DIM


def test_entropy_of_an_unsquashed_gaussian_is_exact():
    distribution = Gaussian(jnp.zeros(2), jnp.log(jnp.array([0.5, 2.0])), False)
    assert_allclose(distribution.entropy(jax.random.PRNGKey(0)), math.log(2 * math.pi * math.e) + math.log(0.5) + math.log(2.0), rtol=1e-6)


def test_slope_of_tanh_stays_finite_where_tanh_is_one_in_single_precision():
    # 1 - tanh(20)^2 = 4 exp(-40) up to exp(-80): log 4 - 40.
    assert_allclose(log_tanh_slope(jnp.float32(20.0)), math.log(4.0) - 40.0, rtol=1e-6)


def test_kl_divergence_is_that_of_gaussians_by_quadrature():
    p, q = Gaussian(jnp.array([0.2]), jnp.array([-0.5]), True), Gaussian(jnp.array([-0.1]), jnp.array([0.1]), True)
    u = np.linspace(-8, 8, 100_001)
    log_p, log_q = (-0.5 * ((u - m) / np.exp(s)) ** 2 - s - 0.5 * np.log(2 * np.pi) for m, s in ((0.2, -0.5), (-0.1, 0.1)))
    assert_allclose(kl_divergence(p, q), np.trapezoid(np.exp(log_p) * (log_p - log_q), u), rtol=1e-5)


def test_surrogate_takes_the_worse_of_the_clipped_and_the_free_ratio():
    # ratio 2, clip 0.2. Advantage +1: min(2, 1.2). Advantage -1: min(-2, -1.2). Ratio 0.5: min(0.5, 0.8), min(-0.5, -0.8).
    log_ratio = jnp.log(jnp.array([2.0, 2.0, 0.5, 0.5]))
    assert_allclose(clipped_surrogate(log_ratio, jnp.zeros(4), jnp.array([1.0, -1.0, 1.0, -1.0]), 0.2), [1.2, -2.0, 0.5, -0.8], rtol=1e-6)


@pytest.mark.parametrize("target", [-1.0, 0.0, 1.0])
def test_temperature_finds_the_closed_form_of_the_quadratic_bandit(target):
    # Reward -k a^2 / 2, policy N(0, s^2): maximising -k s^2 / 2 + alpha log s gives s^2 = alpha / k, and H = log(s sqrt(2
    # pi e)) = target gives
    # alpha* = k exp(2 target) / (2 pi e). With the other sign of the dual step alpha runs away.
    k = 2.0
    config = TemperatureConfig(target_entropy_per_dim=target, initial=0.3, learning_rate=0.02)
    objective = jax.grad(lambda log_std, alpha: -k * jnp.exp(2 * log_std) / 2 + alpha * (log_std + 0.5 * math.log(2 * math.pi * math.e)))

    @jax.jit
    def step(carry, _):
        log_std, state = carry
        log_std = log_std + 0.05 * objective(log_std, state.alpha) / state.alpha
        entropy = log_std + 0.5 * math.log(2 * math.pi * math.e)
        return (log_std, update_temperature(state, config, entropy, jnp.float32(0))), None

    (log_std, state), _ = jax.lax.scan(step, (jnp.float32(-1.0), Temperature(config)), None, length=4000)
    expected = k * math.exp(2 * target) / (2 * math.pi * math.e)
    assert float(state.alpha) == pytest.approx(expected, rel=0.01)
    assert float(jnp.exp(log_std)) == pytest.approx(math.sqrt(expected / k), rel=0.01)


def test_temperature_falls_with_too_much_entropy_rises_with_too_little_and_stays_in_its_range():
    config = TemperatureConfig(target_entropy_per_dim=-0.5, initial=0.1, learning_rate=0.1, log_alpha_range=(-3.0, 0.0))
    state, none = Temperature(config), jnp.float32(0)
    assert update_temperature(state, config, jnp.float32(0.5), none).alpha < state.alpha
    assert update_temperature(state, config, jnp.float32(-1.5), none).alpha > state.alpha
    for entropy, limit in ((100.0, -3.0), (-100.0, 0.0)):
        assert float(update_temperature(state, config, jnp.float32(entropy), none).log_alpha) == limit


def test_a_step_of_the_temperature_is_hand_computed_and_its_clamp_does_not_wind_up():
    config = TemperatureConfig(target_entropy_per_dim=0.0, initial=1.0, learning_rate=0.1, proportional=2.0, log_alpha_range=(-3.0, 2.0))
    state, values = Temperature(config), []
    for entropy in (0.5, 0.2, 0.2, 5.0, 5.0, 4.0):
        state = update_temperature(state, config, jnp.float32(entropy), jnp.float32(0))
        values.append(float(state.log_alpha))
    # -0.1 * 0.5 = -0.05; -0.1 * 0.2 + 2 * 0.3 = 0.58; -0.1 * 0.2 = -0.02; then far below -3, twice;
    # and from -3, however long it stayed there: -0.1 * 4 + 2 * 1 = 1.6.
    assert_allclose(values, [-0.05, 0.53, 0.51, -3.0, -3.0, -1.4], rtol=1e-5)


def test_only_a_fixed_temperature_may_be_zero_and_then_there_is_no_entropy_term():
    none = TemperatureConfig(mode="fixed", initial=0.0)
    none.validate((-math.inf, math.inf))
    assert float(update_temperature(Temperature(none), none, jnp.float32(3.0), jnp.float32(0)).alpha) == 0.0
    for mode in ("auto", "schedule"):
        with pytest.raises(CoreError, match="must be positive"):
            TemperatureConfig(mode=mode, initial=0.0).validate((-math.inf, math.inf))


def test_fixed_and_scheduled_temperatures_ignore_the_entropy():
    fixed = TemperatureConfig(mode="fixed", initial=0.02)
    assert float(update_temperature(Temperature(fixed), fixed, jnp.float32(5.0), jnp.float32(0.5)).alpha) == pytest.approx(0.02)
    schedule = TemperatureConfig(mode="schedule", initial=0.1, final=0.001)
    assert float(update_temperature(Temperature(schedule), schedule, jnp.float32(5.0), jnp.float32(0.5)).alpha) == pytest.approx(
        0.01, rel=1e-4
    )


def test_a_target_that_no_squashed_action_can_have_is_refused():
    with pytest.raises(CoreError, match=r"0\.693"):
        TemperatureConfig(target_entropy_per_dim=0.7).validate((-math.inf, ENTROPY_LIMIT_PER_DIM))
    TemperatureConfig(target_entropy_per_dim=0.7).validate((-math.inf, math.inf))


def test_normalizer_in_batches_equals_all_at_once():
    rng = np.random.default_rng(0)
    data = (rng.normal(size=(300, 3)) * [1.0, 10.0, 0.1] + [5.0, -3.0, 0.0]).astype(np.float32)
    state = Normalizer(3)
    for part in np.split(data, [7, 100, 180]):
        state = state.update(jnp.asarray(part))
    assert_allclose(state.mean, data.mean(0), rtol=1e-4, atol=1e-5)
    assert_allclose(state.std, data.std(0), rtol=1e-4)
    assert_allclose(state.denormalize(state.normalize(jnp.asarray(data))), data, rtol=1e-3, atol=1e-4)


def test_normalizer_leaves_what_it_has_not_seen_and_survives_a_constant():
    assert_allclose(Normalizer(2).normalize(jnp.array([0.5, -2.0])), [0.5, -2.0])
    constant = Normalizer(1).update(jnp.full((50, 1), 3.0))
    assert np.isfinite(np.asarray(constant.normalize(jnp.array([3.0, 3.1])[:, None]))).all()


@pytest.mark.parametrize("name", ["unroll", "minibatches", "refresh_every"])
def test_a_training_without_steps_is_refused(name: str) -> None:
    with pytest.raises(CoreError, match=f"{name} is 0, it must be at least 1"):
        PPOConfig(**{name: 0}).validate(64)


def test_categorical_entropy_divergence_and_probabilities_are_hand_computed():
    # Probabilities 1/2, 1/4, 1/4 and 1/3 each: entropies 1.5 log 2 and log 3; KL(p || q) = log 3 - H(p) in the first dimension.
    p = Categorical(jnp.log(jnp.array([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]])))
    q = Categorical(jnp.zeros((2, 3)))
    assert_allclose(p.entropy(jax.random.PRNGKey(0)), 1.5 * math.log(2) + math.log(3), rtol=1e-6)
    assert_allclose(kl_divergence(p, q), math.log(3) - 1.5 * math.log(2), rtol=1e-5)
    assert_allclose(p.log_prob(jnp.array([0, 2])), math.log(0.5) + math.log(1 / 3), rtol=1e-6)
    assert_allclose(p.execute(jnp.array([0, 2])), [-1.0, 1.0])
    assert_allclose(p.mode()[0], -1.0)
    draws = np.asarray(jax.vmap(p.sample)(jax.random.split(jax.random.PRNGKey(1), 20_000)))
    assert_allclose(np.bincount(draws[:, 0]) / 20_000, [0.5, 0.25, 0.25], atol=0.015)


def test_a_categorical_target_lies_between_zero_and_the_logarithm_of_the_choices():
    for target in (-0.5, 0.0, math.log(3), 2.0):
        with pytest.raises(CoreError, match="cannot be reached"):
            TemperatureConfig(target_entropy_per_dim=target).validate((0.0, math.log(3)))
    TemperatureConfig(target_entropy_per_dim=0.5).validate((0.0, math.log(3)))


@given(samples=st.integers(1, 3000), seed=st.integers(0, 2**31 - 1))
@settings(max_examples=20, deadline=None)
def test_a_pass_has_every_sample_once_and_in_an_order_of_its_own(samples: int, seed: int) -> None:
    orders = np.asarray(shuffled(jax.random.PRNGKey(seed), samples=samples, epochs=3, minibatches=1)).reshape(3, samples)
    np.testing.assert_array_equal(np.sort(orders, axis=1), np.tile(np.arange(samples), (3, 1)))
    assert samples < 20 or len({order.tobytes() for order in orders}) == 3


@pytest.mark.parametrize("samples", [1 << 10, 1 << 20])
def test_any_two_samples_meet_in_a_minibatch_as_often_as_chance_has_it(samples: int) -> None:
    # Neighbours, which have most to do with each other: in 16 minibatches a pair meets once in 16.
    passes = (1 << 21) // samples
    order = np.asarray(shuffled(jax.random.PRNGKey(1), samples=samples, epochs=passes, minibatches=16))
    minibatch = np.empty((passes, samples), np.int64)
    for one, of_pass in zip(minibatch, order, strict=True):
        one[of_pass] = np.arange(16)[:, None]
    met = minibatch[:, 0::2] == minibatch[:, 1::2]
    # A mean of 2^20 draws of 1/16; a minibatch holds a share of the samples less the one itself.
    expected = (samples / 16 - 1) / (samples - 1)
    assert abs(met.mean() - expected) < 5 * np.sqrt(expected * (1 - expected) / met.size)
