"""Judging a policy: what a trial records, what counts as success, and a balance that linear control theory promises."""

from __future__ import annotations

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import solve_continuous_are
from taskbench import compiled

from realitygap_core.domain import Domain
from realitygap_core.environment import Environment
from realitygap_core.errors import CoreError
from realitygap_core.evaluate import Evaluation, Trial, evaluate
from realitygap_core.policy import Policy
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.update import PPOConfig, init_learner
from realitygap_core.task import Task
from realitygap_core.task_entries import RewardEntry
from realitygap_core.terms.command_set import CommandSet
from realitygap_core.terms.term import Command, Reward, Termination

LINEAR = NetworkConfig(actor_hidden=(), critic_hidden=(), squash=False, std="global")


def linear_policy(task: Task, gain_n: np.ndarray) -> Policy:
    """The policy `action = gain . observation`, as a network without hidden layers."""
    learner = init_learner(PPOConfig(network=LINEAR), {"policy": len(gain_n), "critic": len(gain_n)}, 1, 0)
    policy = Policy.from_learner(learner, task)
    network = eqx.tree_at(lambda mlp: mlp.weights[0], policy.actor.network, jnp.asarray(gain_n[:, None], jnp.float32))
    return Policy(actor=eqx.tree_at(lambda a: a.network, policy.actor, network), contract=policy.contract, provenance={})


def lqr_gain(model: mujoco.MjModel) -> np.ndarray:
    """Gain of u = -K x, x = (position, angle, their rates), about the upright pose, from MuJoCo's own linearisation."""
    data = mujoco.MjData(model)
    transition_xx, transition_xu = np.zeros((4, 4)), np.zeros((4, 1))
    mujoco.mjd_transitionFD(model, data, 1e-6, True, transition_xx, transition_xu, None, None)
    step = model.opt.timestep  # x' = x + step * (A x + B u)
    a, b = (transition_xx - np.eye(4)) / step, transition_xu / step
    riccati = solve_continuous_are(a, b, np.diag([1.0, 10.0, 0.1, 0.1]), np.array([[10.0]]))
    return np.asarray(b.T @ riccati / 10.0)[0]


def test_an_lqr_gain_of_the_linearised_model_balances_the_cart_pole_in_the_environment() -> None:
    # Independent of all learning: physics, sensors, scales of the observation, sign and scale of the action.
    task = compiled("cartpole-balance")
    gain = lqr_gain(task.nominal.model)
    # The policy sees (x, sin, cos, 0.5 x', 0.2 angle'); near upright sin is the angle.
    seen = -np.array([gain[0], gain[1], 0.0, gain[2] / 0.5, gain[3] / 0.2])
    judged = evaluate(linear_policy(task, seen), task, trials=16, seed=1)
    assert judged.success_rate == 1
    assert judged.success_interval[0] == pytest.approx(1 / (1 + 1.959964**2 / 16))
    assert judged.first["hinge"].shape == (500, 16)
    assert np.abs(judged.first["hinge"][-1]).max() < 0.005
    assert np.abs(judged.first["slider"][-1]).max() < 0.05
    # A reward of 1.5 a second at rest in the middle, for 10 s.
    assert min(trial.episode_return for trial in judged.trials) > 14.5

    pushed_away = evaluate(linear_policy(task, -seen), task, trials=16, seed=1)
    assert pushed_away.success_rate == 0


def test_a_reward_that_becomes_nan_is_told_with_environment_step_and_term() -> None:
    task = compiled("cartpole-balance", episode_s=1, success=None)
    late = Reward(compute=lambda view: jnp.where(view.episode_time > 0.095, jnp.nan, 0.0))
    broken = dataclasses.replace(task, rewards=(*task.rewards, RewardEntry(name="late", weight=1.0, term=late)))
    with pytest.raises(CoreError, match=r"reward 'late' is nan in environment 0, step 4") as error:
        evaluate(linear_policy(task, np.zeros(5)), broken, trials=4)
    assert "look at that term" in str(error.value.hint)


def test_a_trial_records_the_first_limit_that_was_passed_when_and_the_return_up_to_it() -> None:
    task = compiled("cartpole-balance", episode_s=3, success=None)
    judged = evaluate(linear_policy(task, np.zeros(5)), task, trials=8, seed=2)
    for index, trial in enumerate(judged.trials):
        # Without a push the pole falls; it passes 0.6 rad before the cart moves far.
        assert (trial.success, trial.failure) == (False, "joint_outside")
        angle, position = judged.first["hinge"][:, index], judged.first["slider"][:, index]
        passed = int(np.argmax(np.abs(angle) > 0.6))
        assert trial.failed_at_s == pytest.approx((passed + 1) * 0.02)
        assert trial.largest["hinge"] == pytest.approx(np.abs(angle[: passed + 1]).max())
        # Each control step of 20 ms pays (1 + cos(angle)) / 2 for the pole and 0.5 exp(-x^2) for the cart.
        paid = (1 + np.cos(angle)) / 2 + 0.5 * np.exp(-(position**2))
        expected = 0.02 * np.sum(paid[: passed + 1])
        assert trial.episode_return == pytest.approx(expected, rel=1e-3)
        assert trial.rewards["joint_near"] == pytest.approx(0.02 * np.sum(0.5 * np.exp(-(position[: passed + 1] ** 2))), rel=1e-3)
        assert sum(trial.rewards.values()) == pytest.approx(trial.episode_return, rel=1e-5)
    assert judged.failures == {"joint_outside": 8}


def test_a_seed_gives_the_same_trials_again_and_another_gives_others_all_within_the_domain() -> None:
    domain = Domain.from_mapping({"schema": 1, "parameters": {"mass[pole]": {"distribution": "uniform", "low": 0.05, "high": 0.2}}})
    task = compiled("cartpole-balance", episode_s=0.4, success=None)
    task = task.__class__(**{**vars(task), "domain": domain})
    policy = linear_policy(task, np.zeros(5))
    one, two, other = (evaluate(policy, task, trials=6, seed=seed) for seed in (3, 3, 4))
    assert one.trials == two.trials
    masses = [trial.plant["mass[pole]"] for trial in one.trials]
    assert len(set(masses)) == 6
    assert all(0.05 <= mass <= 0.2 for mass in masses)
    assert not set(masses) & {trial.plant["mass[pole]"] for trial in other.trials}


def test_rate_interval_and_failures_follow_from_the_trials() -> None:
    def trial(failure: str | None) -> Trial:
        return Trial(
            success=failure is None,
            failure=failure,
            failed_at_s=None,
            held_s=0,
            fraction_held=0,
            episode_return=0,
            rewards={},
            largest={},
            plant={},
        )

    judged = Evaluation(trials=tuple(trial(reason) for reason in [None, "b", "a", "b"] + [None] * 6), first={})
    assert judged.success_rate == 0.7
    assert judged.failures == {"b": 2, "a": 1}
    assert list(judged.failures) == ["b", "a"]
    # Wilson (1927): (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with p = 0.7, n = 10, z = 1.96.
    z, p, n = 1.959964, 0.7, 10
    middle, half, below = p + z**2 / (2 * n), z * math.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)), 1 + z**2 / n
    assert_allclose(judged.success_interval, ((middle - half) / below, (middle + half) / below), rtol=1e-6)


def test_a_termination_is_judged_by_the_command_that_held_during_the_step_as_in_training() -> None:
    task = compiled("cartpole-balance", episode_s=0.2, success=None)
    drawn = Command(labels=(), hidden=("steps",), sample=lambda key: jnp.zeros(1), every_s=math.inf, update=lambda view, value: value + 1)
    changed = Termination(compute=lambda view: jnp.where(view.command[0] >= 3, -1, 0))
    counted = dataclasses.replace(task, command=CommandSet((drawn,), task.control_dt), terminations=(("changed", changed),))
    judged = evaluate(linear_policy(counted, np.zeros(5)), counted, trials=1)
    env = Environment(counted, num_envs=1, threads=1)
    state, step, ended = env.reset(jax.random.PRNGKey(0)), 0, False
    while not ended:
        state, transition = env.step(state, jnp.zeros((1, 1)))
        step, ended = step + 1, bool(transition.terminated_b[0])
    env.close()
    assert judged.trials[0].failed_at_s == pytest.approx(step * task.control_dt)


def test_without_a_criterion_a_trial_succeeds_only_where_a_termination_says_so() -> None:
    task = compiled("cartpole-balance", episode_s=0.2, success=None)
    still = linear_policy(task, np.zeros(5))
    assert evaluate(still, task, trials=4).failures == {"not_held": 4}

    def ending(value: int, after_s: float) -> Termination:
        return Termination(compute=lambda view: jnp.where(view.episode_time > after_s, value, 0))

    def judged(*terms: tuple[str, Termination]) -> Evaluation:
        return evaluate(still, dataclasses.replace(task, terminations=terms), trials=4)

    there, lost = ("there", ending(1, 0.07)), ("lost", ending(-1, 0.13))
    assert judged(there).success_rate == 1
    # The episode ends at the success: a limit that is passed later is never met, one that is passed before is what counts.
    assert judged(there, lost).success_rate == 1
    assert judged(("there", ending(1, 0.13)), ("lost", ending(-1, 0.07))).failures == {"lost": 4}
