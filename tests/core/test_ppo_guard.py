"""A number that is not finite is named by update, environment, step and term, and the states before it are kept."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
import taskbench
from ppobench import SMALL, Regulator

from realitygap_core.environment import Environment
from realitygap_core.errors import CoreError
from realitygap_core.ppo.checkpoint import read_checkpoint
from realitygap_core.ppo.distributions import Gaussian
from realitygap_core.ppo.guard import BREAKDOWN, FAULT, find
from realitygap_core.ppo.networks import Memory
from realitygap_core.ppo.rollout import Episodes
from realitygap_core.ppo.train import train
from realitygap_core.ppo.update import PPOConfig, Rollout
from realitygap_core.terms.term import Reward


class Breaks(Regulator):
    """Environment 5 breaks at step 3 of every episode: with episodes of 8 and unrolls of 8, in the first update."""

    def __init__(self, where: str) -> None:
        super().__init__()
        self.where = where
        self.observation_labels = {"policy": ["position"], "critic": ["position", "time"]}

    def reset(self, key, *, staggered=False):
        return super().reset(key)  # all from the beginning, so that the step is known

    def step(self, state, action):
        here = (jnp.arange(self.num_envs) == 5) & (state["t"] == 3)
        state, transition = super().step(state, action)
        metrics = {"reward/small": transition.reward_b, "reward/odd": jnp.zeros_like(transition.reward_b)}
        if self.where == "reward":
            metrics["reward/odd"] = jnp.where(here, jnp.nan, 0.0)
            return state, transition._replace(reward_b=transition.reward_b + metrics["reward/odd"], metrics=metrics)
        state = state | {"x": jnp.where(here, jnp.inf, state["x"])}
        return state, transition._replace(observation=self.observe(state), next_observation=self.observe(state), metrics=metrics)


@pytest.mark.parametrize(
    ("where", "term", "step"),
    [("reward", "reward 'odd' is nan", 3), ("state", "critic's next observation 'position' is inf", 3)],
)
def test_the_fault_is_named_and_the_states_before_it_are_written(tmp_path, where, term, step):
    with pytest.raises(CoreError, match=f"{term} in environment 5, step {step} of update 1") as caught:
        train(SMALL, Breaks(where), seed=0, checkpoint_dir=tmp_path)
    assert caught.value.where == str(tmp_path / FAULT)
    groups, meta = read_checkpoint(tmp_path / FAULT)
    assert (meta["environment"], meta["step"], meta["update"]) == (5, step, 1)
    # x' = x + 0.5 u + drift with drift 0 before the first refresh: each state follows from the one before and the action.
    x, u = groups["states"]["x"], groups["steps"]["action"][:, 0]
    assert len(x) == step + 1
    np.testing.assert_allclose(x[1:], x[:-1] + 0.5 * u[:-1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(groups["steps"]["policy"][:, 0], x)


def test_a_reward_of_a_task_that_becomes_nan_is_named_and_the_physics_before_it_is_kept(tmp_path, monkeypatch):
    def late_nan(scene):
        return Reward(compute=lambda view: jnp.where(view.episode_time > 0.095, jnp.nan, 0.0))

    load = taskbench.Catalog.load
    monkeypatch.setattr(taskbench.Catalog, "load", lambda self, kind, name: late_nan if name == "late_nan" else load(self, kind, name))
    spec = taskbench.task_spec("cartpole-balance")
    task = taskbench.compiled("cartpole-balance", rewards=[*spec["rewards"], {"term": "late_nan", "weight": 1.0}])
    reset = Environment.reset
    monkeypatch.setattr(Environment, "reset", lambda self, key, staggered: reset(self, key))  # all from the beginning
    env = Environment(task, num_envs=8)
    try:
        with pytest.raises(CoreError, match=r"reward 'late_nan' is nan in environment 0, step 4 of update 1"):
            train(PPOConfig(env_steps=8 * 32, unroll=32, minibatches=4), env, checkpoint_dir=tmp_path)
    finally:
        env.close()
    states = read_checkpoint(tmp_path / FAULT)[0]["states"]
    time = next(values for name, values in states.items() if name.endswith("physics.time") or name == "[0].time")
    # Control steps of 20 ms: the fifth ends at 0.1 s. Its start and those of the four before it are written.
    np.testing.assert_allclose(time, [0.0, 0.02, 0.04, 0.06, 0.08], atol=1e-9)


class Poisoned(Environment):
    """The physics of environment 5 breaks down in the fourth step of each of its episodes."""

    def step_with(self, policy, state, *arguments):
        qvel = np.array(state.physics.qvel)
        if abs(state.physics.time[5] - 0.06) < 1e-9:
            qvel[5] = np.nan
        return super().step_with(policy, dataclasses.replace(state, physics=state.physics.replace(qvel=qvel)), *arguments)


def test_physics_that_breaks_down_is_counted_and_the_states_before_it_are_kept_while_the_training_goes_on(tmp_path):
    env = Poisoned(taskbench.compiled("cartpole-balance"), num_envs=8)
    config = PPOConfig(env_steps=8 * 16 * 2, unroll=16, epochs=1, minibatches=4)
    try:
        asked = iter([True])
        train(config, env, checkpoint_dir=tmp_path, cancelled=lambda: next(asked, False))
        result = train(config, env, checkpoint_dir=tmp_path)  # goes on, and knows of the first one still
    finally:
        env.close()
    # Four steps an episode in environment 5: four breakdowns in 16 steps, one more or less where an episode began at a late age.
    assert all(abs(count - 4) <= 1 for count in result.curves["diverged"])
    assert all(ended >= count for ended, count in zip(result.curves["episodes"], result.curves["diverged"], strict=True))
    groups, meta = read_checkpoint(tmp_path / BREAKDOWN)
    assert (meta["environment"], meta["term"], meta["update"]) == (5, "physics", 1)
    assert result.diverged_at == f"environment 5, step {meta['step']} of update 1"
    time = next(values for name, values in groups["states"].items() if name.endswith("time"))
    assert (len(time), time[-1]) == (meta["step"] + 1, pytest.approx(0.06))


@pytest.mark.parametrize(
    ("part", "what"), [("log_prob_tb", "log probability of the action"), ("behaviour_tbn", "policy's distribution"), ("memory", "memory")]
)
def test_whatever_number_of_a_rollout_is_not_finite_has_a_name(part, what):
    wide, flat = jnp.zeros((3, 2, 1)), jnp.zeros((3, 2))
    bad = {
        "log_prob_tb": flat.at[0, 1].set(-jnp.inf),
        "behaviour_tbn": Gaussian(mean=wide, log_std=wide.at[0, 1, 0].set(jnp.inf), squash=True),
        "memory": Memory(None, wide[0].at[1, 0].set(jnp.nan)),
    }
    whole = Rollout(wide, wide, wide, wide, Gaussian(wide, wide, True), flat, flat, flat > 0, flat > 0, Memory(None, None))
    rollout = dataclasses.replace(whole, **{part: bad[part]})
    none_tb = np.zeros((3, 2), bool)
    fault = find(rollout, Episodes(none_tb, none_tb, np.zeros((3, 2), np.float32), {}), {})
    assert (fault.environment, fault.step) == (1, 0)
    assert fault.term.startswith(what)


def test_the_channels_of_an_environment_have_names():
    env = Environment(taskbench.compiled("cartpole-balance"), num_envs=2)
    try:
        assert {group: len(labels) for group, labels in env.observation_labels.items()} == env.observation_sizes
        assert "sin(hinge)" in env.observation_labels["policy"]
    finally:
        env.close()
