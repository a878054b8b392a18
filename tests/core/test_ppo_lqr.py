"""The whole trainer against the closed form of the entropy-regularised linear-quadratic regulator."""

from __future__ import annotations

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ppobench import Regulator, Transition
from scipy.linalg import solve_discrete_are

from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.temperature import TemperatureConfig
from realitygap_core.ppo.train import train
from realitygap_core.ppo.update import PPOConfig

A = np.array([[0.9, 0.3], [-0.2, 0.8]])
B = np.array([[0.5, 0.0], [0.2, 0.4]])
Q = np.diag([1.0, 0.5])
R = np.diag([0.2, 1.0])
GAMMA = 0.9
TARGET = -0.1


class LinearQuadratic(Regulator):
    """x' = A x + B u + w, w ~ N(0, 0.1^2), reward -(x'Qx + u'Ru), cut off after 8 steps but never over.

    The critic sees the monomials of x up to the second degree, in which the value of a linear policy is linear. Bounded beginnings keep
    these within what the normalisers clip.
    """

    observation_sizes: ClassVar = {"policy": 2, "critic": 5}
    action_size = 2

    def __init__(self, num_envs: int) -> None:
        super().__init__(num_envs, length=8)

    def reset(self, key, *, staggered=False):
        own, x_key = jax.random.split(key)
        return {"x": self.begin(x_key), "t": jnp.arange(self.num_envs) % self.length, "key": own}

    def begin(self, key):
        return jax.random.uniform(key, (self.num_envs, 2), minval=-1.7, maxval=1.7)

    def observe(self, state):
        x = state["x"]
        return {"policy": x, "critic": jnp.concatenate([x, x**2, x[:, :1] * x[:, 1:]], axis=1)}

    def step(self, state, action):
        key, noise, fresh = jax.random.split(state["key"], 3)
        x = state["x"]
        reward = -(jnp.einsum("bi,ij,bj->b", x, Q, x) + jnp.einsum("bi,ij,bj->b", action, R, action))
        t = state["t"] + 1
        ended = {"x": x @ A.T + action @ B.T + 0.1 * jax.random.normal(noise, x.shape), "t": t, "key": key}
        done = t >= self.length
        begun = ended | {"x": jnp.where(done[:, None], self.begin(fresh), ended["x"]), "t": jnp.where(done, 0, t)}
        never = jnp.zeros(self.num_envs, bool)
        return begun, Transition(self.observe(begun), self.observe(ended), reward, never, done, never, {})

    def refresh_bank(self, state, rng):
        return state


def closed_form():
    """Gain K, variances and temperature that the learner must end at.

    For a policy u = -Kx + e with e ~ N(0, S) the value is -x'Px - c, so the advantage is quadratic in u with Hessian -2M, M = R + gamma
    B'PB, and its maximum at u = -inv(M) gamma B'PA x. What the learner seeks, state by state, is the largest E[advantage] + alpha H. S
    does not reach P and H does not depend on x, so counting the entropies of later states as well, as in maximum-entropy control, would
    add a constant to the value: both objectives have the one optimum K = inv(M) gamma B'PA, with P of the discounted Riccati equation
    (that of sqrt(gamma) A and sqrt(gamma) B; Bertsekas, Dynamic Programming and Optimal Control, section 4.2). With independent
    actions -tr(MS) + alpha/2 sum log S_ii is largest at S_ii = alpha / (2 M_ii), the diagonal form of alpha/2 inv(M) of Haarnoja et al.
    2017 (arXiv 1702.08165, theorem 1). The mean over dimensions of log(2 pi e S_ii) / 2 is the target at
    alpha = exp(2 target) / (pi e) * (geometric mean of the M_ii).
    """
    P = solve_discrete_are(math.sqrt(GAMMA) * A, math.sqrt(GAMMA) * B, Q, R)
    M = R + GAMMA * B.T @ P @ B
    alpha = math.exp(2 * TARGET) / (math.pi * math.e) * math.sqrt(np.prod(np.diag(M)))
    return np.linalg.solve(M, GAMMA * B.T @ P @ A), alpha / (2 * np.diag(M)), alpha


@pytest.mark.slow
def test_the_trainer_reproduces_the_gain_the_covariance_and_the_temperature_of_the_regularised_regulator():
    config = PPOConfig(
        env_steps=512 * 16 * 200,
        unroll=16,
        epochs=4,
        minibatches=4,
        gamma=GAMMA,
        lam=0.9,
        learning_rate=1e-2,
        final_learning_rate=1e-4,
        target_kl=None,
        max_gradient_norm=1e3,
        normalize_advantages=False,
        network=NetworkConfig(actor_hidden=(), critic_hidden=(), std="global", squash=False, initial_std=0.4),
        temperature=TemperatureConfig(target_entropy_per_dim=TARGET, initial=0.1),
    )
    result = train(config, LinearQuadratic(512), seed=0)
    learner = result.learner
    policy = learner.network.distribution(learner.policy_normalizer.normalize(jnp.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])))
    gain, variances, alpha = closed_form()
    offset, *columns = np.asarray(policy.mean)
    assert np.linalg.norm(-(np.array(columns) - offset).T - gain) < 0.02 * np.linalg.norm(gain)
    np.testing.assert_allclose(offset, 0.0, atol=0.02)
    np.testing.assert_allclose(np.exp(2 * np.asarray(policy.log_std[0])), variances, rtol=0.1)
    assert variances[0] > 1.5 * variances[1]  # which the target alone would not tell
    assert result.curves["temperature"][-1] == pytest.approx(alpha, rel=0.1)
