"""Environments: episodes, resets, plants, delays and noise in the loop, exact resume; the same on both engines."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from taskbench import Catalog, task_spec

from realitygap_core.domain import Domain
from realitygap_core.engines.mujoco import MujocoEngine
from realitygap_core.environment import Environment
from realitygap_core.errors import CoreError
from realitygap_core.parameters import apply
from realitygap_core.state import PhysicsState
from realitygap_core.task import Task, compile_task
from realitygap_core.task_entries import RewardEntry
from realitygap_core.terms.term import Reward


def make(name: str, *, domain: dict[str, Any] | None = None, engine: str = "mujoco", **changes: Any) -> Task:
    spec = task_spec(name)
    if "episode_s" in changes:
        del spec["success"]  # its two seconds may not fit
    spec |= changes
    drawn = Domain.from_mapping({"schema": 1, "parameters": domain}) if domain else None
    return compile_task(spec, Catalog(), engine=engine, domain=drawn)


def uniform(low: float, high: float) -> dict[str, Any]:
    return {"distribution": "uniform", "low": low, "high": high}


QUIET = {
    "observations": {"policy": [{"term": "joint_position"}, {"term": "joint_velocity"}]},
    "action": {"params": {"actuators": ["motor"], "limits": [-5, 5]}},
    "resets": [],
}
"""The Qube without noise, latency and random beginnings."""


def actions(steps: int, envs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, envs, 1)).astype(np.float32)


def by_hand(task: Task, values: dict[str, float], volts: np.ndarray) -> np.ndarray:
    """Positions and velocities after the ctrl of each physics step [N], for one plant."""
    engine = MujocoEngine(task.robot.model, threads=1)
    model = apply(task.robot, values).model
    zero = PhysicsState(
        time=np.zeros(1),
        qpos=np.zeros((1, 2)),
        qvel=np.zeros((1, 2)),
        act=np.zeros((1, 0)),
        ctrl=np.zeros((1, 1)),
        sensordata=np.zeros((1, 4)),
    )
    states, _ = engine.rollout([model], zero, volts.reshape(1, -1, 1))
    engine.close()
    return states[0, :, 1:]


def test_an_environment_does_what_the_plain_simulation_of_its_commands_does() -> None:
    task = make("qube-swingup", **QUIET)
    env = Environment(task, num_envs=2, threads=2)
    state = env.reset(jax.random.PRNGKey(0))
    chosen = actions(6, 2)
    for action in chosen:
        state, transition = env.step(state, jnp.asarray(action))
    for index in range(2):
        expected = by_hand(task, {}, (5 * chosen[:, index, 0]).repeat(20))
        assert_allclose(transition.observation["policy"][index], expected[-1], rtol=1e-6, atol=1e-7)
    env.close()


def test_delay_scale_offset_and_latency_of_a_plant_act_on_commands_at_physics_steps() -> None:
    domain = {
        "delay[motor]": uniform(0.0329999, 0.033),
        "command_scale[motor]": uniform(0.8, 0.8000001),
        "command_offset[motor]": uniform(0.1, 0.1000001),
    }
    action = {"params": {"actuators": ["motor"], "limits": [-5, 5]}, "latency": [0.012, 0.012]}
    task = make("qube-swingup", domain=domain, **(QUIET | {"action": action}))
    env = Environment(task, num_envs=1, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    chosen = actions(8, 1)
    for one in chosen:
        state, transition = env.step(state, jnp.asarray(one))
    # 33 ms + 12 ms late; before the first command arrives the actuator gets none, but the offset is the plant's own.
    sent = np.r_[np.zeros(45), (5 * chosen[:, 0, 0]).repeat(20)][:160]
    assert_allclose(transition.observation["policy"][0], by_hand(task, {}, 0.8 * sent + 0.1)[-1], rtol=2e-4, atol=2e-5)
    env.close()


def test_a_rate_limit_makes_ramps_of_steps() -> None:
    task = make("qube-swingup", domain={"command_rate[motor]": uniform(199.9999, 200)}, **QUIET)
    env = Environment(task, num_envs=1, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    for _ in range(2):
        state, transition = env.step(state, jnp.ones((1, 1)))
    # 200 V/s reaches 5 V after 25 physics steps of 1 ms.
    assert_allclose(transition.observation["policy"][0], by_hand(task, {}, np.minimum(0.2 * np.arange(1, 41), 5))[-1], rtol=1e-4, atol=1e-6)
    env.close()


def test_sensor_offset_scale_delay_and_noise_act_on_the_policy_alone() -> None:
    domain = {
        "sensor_offset[theta]": uniform(0.5, 0.500001),
        "sensor_scale[alpha]": uniform(2, 2.00001),
        "sensor_delay[alpha]": uniform(0.03999, 0.04),
    }
    task = make("qube-swingup", domain=domain, **QUIET)
    env = Environment(task, num_envs=1, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    true, seen = [env.observe(state)["critic"][0]], [env.observe(state)["policy"][0]]
    for action in actions(6, 1):
        state, transition = env.step(state, jnp.asarray(action))
        true.append(transition.observation["critic"][0])
        seen.append(transition.observation["policy"][0])
    assert_allclose(np.array(seen)[:, 0], np.array(true)[:, 0] + 0.5, atol=1e-5)
    assert_allclose(np.array(seen)[2:, 1], 2 * np.array(true)[:-2, 1], atol=2e-4)  # 40 ms are two control steps
    assert_allclose(np.array(seen)[:, 2:], np.array(true)[:, 2:])
    noisy = Environment(make("qube-swingup", domain={"sensor_noise[theta]": uniform(0.0999, 0.1)}, **QUIET), num_envs=2000, threads=2)
    observation = noisy.observe(noisy.reset(jax.random.PRNGKey(0)))
    assert_allclose(np.std(np.asarray(observation["policy"]), axis=0), [0.1, 0, 0, 0], atol=0.01)
    assert_allclose(observation["critic"], 0)
    env.close()
    noisy.close()


def test_an_episode_is_cut_off_by_time_and_begins_anew_with_its_true_end_kept() -> None:
    task = make("pendulum-swingup", episode_s=0.1, resets=[])
    env = Environment(task, num_envs=3, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    ends = []
    for _ in range(11):
        state, transition = env.step(state, jnp.ones((3, 1)))
        ends.append(bool(transition.truncated_b.all()))
        assert not transition.terminated_b.any()
        if ends[-1]:
            # The true end has swung on; the next beginning is at rest.
            assert (np.abs(transition.next_observation["policy"][:, 2]) > 0.03).all()
            assert_allclose(transition.observation["policy"][:, 2], 0, atol=1e-6)
            assert_allclose(transition.metrics["episode_length"], 5)
        else:
            assert_array_equal(transition.observation["policy"], transition.next_observation["policy"])
    assert ends == [False] * 4 + [True] + [False] * 4 + [True, False]
    env.close()


def test_a_failure_ends_the_episode_of_its_environment_alone() -> None:
    task = make(
        "qube-swingup", **(QUIET | {"terminations": [{"term": "joint_outside", "params": {"joint": "arm", "low": -0.3, "high": 0.3}}]})
    )
    env = Environment(task, num_envs=2, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    push = jnp.array([[1.0], [0.0]])
    for _ in range(30):
        state, transition = env.step(state, push)
        if transition.terminated_b[0]:
            break
    assert transition.terminated_b.tolist() == [True, False]
    assert not transition.truncated_b.any()
    assert not transition.success_b.any()
    assert transition.next_observation["policy"][0, 0] > 0.3
    assert_allclose(transition.observation["policy"][0], 0, atol=1e-7)
    assert np.asarray(state.episode.step).tolist()[0] == 0
    assert np.asarray(state.episode.step)[1] > 0
    env.close()


def test_success_must_hold_up_to_the_end_of_the_episode() -> None:
    success = {"term": "joint_reached", "params": {"joint": "hinge", "tolerance": 0.05}, "hold_s": 0.1}
    task = make("pendulum-swingup", episode_s=0.4, success=success, resets=[])
    env = Environment(task, num_envs=3, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    for step in range(20):
        # The first stays at its target, the second leaves it at the end, the third leaves at once.
        push = [[0.0], [1.0 if step >= 8 else 0.0], [1.0]]
        state, transition = env.step(state, jnp.array(push))
    assert transition.truncated_b.all()
    assert transition.success_b.tolist() == [True, False, False]
    env.close()


def test_a_return_is_the_sum_of_weight_times_value_times_the_control_step() -> None:
    task = make("pendulum-swingup", rewards=[{"term": "alive", "weight": 3.0}, {"term": "action_squared", "weight": -1.0}], episode_s=0.2)
    env = Environment(task, num_envs=1, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    total = 0.0
    for _ in range(10):
        state, transition = env.step(state, jnp.full((1, 1), 0.5))
        total += float(transition.reward_b[0])
    # 10 steps of 0.02 s at 3 - 0.25 per second
    assert_allclose(total, 0.2 * 2.75, rtol=1e-5)
    assert_allclose(transition.metrics["episode_return"], total, rtol=1e-5)
    assert_allclose(transition.metrics["reward/action_squared"], -0.25)
    env.close()


def test_a_simulation_that_breaks_down_is_a_failure_with_finite_numbers() -> None:
    task = make("pendulum-swingup")
    undefined = Reward(compute=lambda view: view.physics.qpos[0] / view.physics.qpos[0])  # as a quaternion of length 0 has no direction
    task = dataclasses.replace(task, rewards=(*task.rewards, RewardEntry(name="undefined_at_rest", weight=-1.0, term=undefined)))
    env = Environment(task, num_envs=2, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    seen = np.array(env.observe(state)["policy"])
    qvel = np.array(state.physics.qvel)
    qvel[0] = 1e300
    state = dataclasses.replace(state, physics=state.physics.replace(qvel=qvel))
    state, transition = env.step(state, jnp.zeros((2, 1)))
    assert transition.terminated_b.tolist() == [True, False]
    for leaf in jax.tree.leaves((transition, state.physics, state.episode)):
        assert np.isfinite(np.asarray(leaf)).all()
    # It is counted, pays nothing, and leaves to be seen what was seen last.
    assert transition.metrics["diverged"].tolist() == [1, 0]
    assert (float(transition.reward_b[0]), float(transition.metrics["reward/undefined_at_rest"][0])) == (0, 0)
    assert_array_equal(transition.next_observation["policy"][0], seen[0])
    env.close()


def test_an_action_that_is_not_a_number_does_nothing_and_one_too_large_is_cut_off() -> None:
    env = Environment(make("qube-swingup", **QUIET), num_envs=3, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    state, transition = env.step(state, jnp.array([[jnp.nan], [9.0], [1.0]]))
    assert_allclose(transition.observation["policy"][0], 0, atol=1e-7)
    assert_array_equal(transition.observation["policy"][1], transition.observation["policy"][2])
    env.close()


MASSES = {"mass[pole]": uniform(0.02, 0.03), "damping[pole]": uniform(1e-6, 1e-5)}


def test_each_episode_draws_its_plant_anew_and_the_models_are_those_of_the_draws() -> None:
    env = Environment(make("qube-swingup", domain=MASSES, episode_s=0.04), num_envs=8, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    first = env.plant_values(state)["mass[pole]"]
    assert_allclose([m.body("pole").mass[0] for m in env._models(state)], first)
    for _ in range(2):
        state, transition = env.step(state, jnp.zeros((8, 1)))
    assert transition.truncated_b.all()
    assert (env.plant_values(state)["mass[pole]"] != first).sum() >= 6
    env.close()


def test_refreshing_the_bank_leaves_running_episodes_alone_and_renews_the_rest() -> None:
    env = Environment(make("qube-swingup", domain=MASSES), num_envs=4, bank_size=16, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    renewed = env.refresh_bank(state, np.random.default_rng(5))
    assert_array_equal(env.plant_values(renewed)["mass[pole]"], env.plant_values(state)["mass[pole]"])
    same = np.all(np.asarray(renewed.bank.values_kp) == np.asarray(state.bank.values_kp), axis=1)
    assert set(np.flatnonzero(same)) == set(np.asarray(state.episode.plant).tolist())
    # A state from before still means its own plants.
    action = jnp.ones((4, 1))
    before, after = env.step(state, action)[1], env.step(renewed, action)[1]
    assert_array_equal(before.observation["critic"], after.observation["critic"])
    env.close()


@pytest.mark.parametrize("name", ["latency", "delay[motor]", "sensor_delay[theta]"])
def test_a_refreshed_bank_with_longer_delays_has_nothing_compiled_anew(name: str) -> None:
    env = Environment(make("qube-swingup", domain={name: uniform(0.0, 0.2)}), num_envs=2, bank_size=3, threads=1)
    state, _ = env.step(env.reset(jax.random.PRNGKey(0)), jnp.zeros((2, 1)))
    calls = (env._batch.acted, env._batch.ended)
    compiled = [call._cache_size() for call in calls]
    longest, rng = np.asarray(state.bank.values_kp).max(), np.random.default_rng(0)
    for _ in range(20):
        state = env.refresh_bank(state, rng)
    assert np.asarray(state.bank.values_kp).max() > longest + env.control_dt
    env.step(state, jnp.zeros((2, 1)))
    assert [call._cache_size() for call in calls] == compiled
    env.close()


def test_with_own_plants_environment_i_has_draw_i_in_every_episode() -> None:
    env = Environment(make("qube-swingup", domain=MASSES, episode_s=0.02), num_envs=5, own_plant=True, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    drawn = np.asarray(state.bank.values_kp)[:, 0]
    state, _ = env.step(state, jnp.zeros((5, 1)))
    assert_array_equal(env.plant_values(state)["mass[pole]"], drawn)
    env.close()


def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit() -> None:
    # Random plants, latency, noise, resets, terminations, a refreshed bank: everything that a state may hold.
    task = make("qube-swingup", domain=MASSES | {"delay[motor]": uniform(0, 0.03), "sensor_noise[theta]": uniform(0, 0.01)}, episode_s=0.16)
    env = Environment(task, num_envs=6, threads=2)
    chosen = actions(24, 6)

    def go_on(env: Environment, state: Any, steps: range) -> tuple[Any, Any]:
        for index in steps:
            if index == 16:
                state = env.refresh_bank(state, np.random.default_rng(3))
            state, transition = env.step(state, jnp.asarray(chosen[index]))
        return state, transition

    state, _ = go_on(env, env.reset(jax.random.PRNGKey(1)), range(11))
    file = io.BytesIO()
    np.savez(file, **env.to_arrays(state))  # type: ignore[arg-type]
    end, last = go_on(env, state, range(11, 24))
    file.seek(0)
    other = Environment(task, num_envs=6, threads=1, bank_seed=99)
    with np.load(file) as saved:
        resumed = other.from_arrays(dict(saved))
    other_end, other_last = go_on(other, resumed, range(11, 24))
    for one, two in zip(
        jax.tree.leaves((end.physics, end.episode, last)), jax.tree.leaves((other_end.physics, other_end.episode, other_last)), strict=True
    ):
        assert_array_equal(one, two)
    with pytest.raises(CoreError, match="saved state"):
        Environment(task, num_envs=5, threads=1).from_arrays(env.to_arrays(state))
    env.close()
    other.close()


def test_one_seed_gives_one_run_and_another_seed_another() -> None:
    env = Environment(make("qube-swingup"), num_envs=4, threads=2)
    runs = []
    for seed in (0, 0, 1):
        state = env.reset(jax.random.PRNGKey(seed))
        for action in actions(5, 4):
            state, transition = env.step(state, jnp.asarray(action))
        runs.append(np.asarray(transition.observation["policy"]))
    assert_array_equal(runs[0], runs[1])
    assert np.abs(runs[0] - runs[2]).max() > 1e-3
    env.close()


def test_training_resets_begin_their_share_of_the_episodes_on_top_of_the_resets() -> None:
    spec = task_spec("pendulum-swingup") | {
        "resets": [{"term": "joint_position_uniform", "params": {"low": 0.1, "high": 0.1}}],
        "training": {"share": 0.25, "resets": [{"term": "joint_position_uniform", "params": {"low": 1, "high": 2}}]},
    }
    angles_b = {}
    for training in (False, True):
        env = Environment(compile_task(spec, Catalog(), training=training), num_envs=2000, threads=1)
        angles_b[training] = np.asarray(env.reset(jax.random.PRNGKey(0)).physics.qpos)[:, 0]
        env.close()
    assert_allclose(angles_b[False], 0.1, rtol=1e-6)
    moved_b = angles_b[True] > 0.5
    assert_allclose(angles_b[True][~moved_b], 0.1, rtol=1e-6)
    # A share of 0.25 among 2000 has a standard deviation of 0.0097; a uniform draw in [1.1, 2.1] a mean of 1.6.
    assert_allclose(moved_b.mean(), 0.25, atol=0.04)
    assert (angles_b[True][moved_b] > 1.1 - 1e-6).all()
    assert (angles_b[True][moved_b] < 2.1 + 1e-6).all()
    assert_allclose(angles_b[True][moved_b].mean(), 1.6, atol=0.06)


def test_a_command_is_held_until_its_time_and_then_drawn_anew() -> None:
    command = {"term": "uniform", "params": {"ranges": {"goal": [-1, 1]}, "every_s": 0.06}}
    task = make("pendulum-swingup", command=command, observations={"policy": [{"term": "command"}]})
    env = Environment(task, num_envs=1, threads=1)
    state = env.reset(jax.random.PRNGKey(0))
    goals = [float(env.observe(state)["policy"][0, 0])]
    for _ in range(6):
        state, transition = env.step(state, jnp.zeros((1, 1)))
        goals.append(float(transition.observation["policy"][0, 0]))
    assert goals[0] == goals[1] == goals[2] != goals[3] == goals[4] == goals[5] != goals[6]
    env.close()


@pytest.mark.slow
def test_both_engines_give_the_same_episodes_and_mjx_scans() -> None:
    # Single precision against double: 30 control steps with resets in between, to 2e-3 (rad, rad/s) of motions of order one.
    domain = MASSES | {"delay[motor]": uniform(0, 0.03), "sensor_offset[theta]": uniform(-0.1, 0.1)}
    changes: dict[str, Any] = QUIET | {
        "episode_s": 0.3,
        "terminations": [],
        "resets": [{"term": "joint_position_uniform", "params": {"low": -0.05, "high": 0.05}}],
    }
    chosen = jnp.asarray(actions(30, 4))
    results = {}
    for engine in ("mujoco", "mjx"):
        env = Environment(make("qube-swingup", domain=domain, engine=engine, **changes), num_envs=4, threads=2)
        assert env.pure == (engine == "mjx")
        state = env.reset(jax.random.PRNGKey(2))
        if env.pure:
            state, stacked = jax.jit(lambda state, env=env: jax.lax.scan(env.step, state, chosen))(state)
        else:
            rows = []
            for action in chosen:
                state, transition = env.step(state, action)
                rows.append(transition)
            stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *rows)
        results[engine] = stacked
        env.close()
    one, other = results["mujoco"], results["mjx"]
    assert np.asarray(one.truncated_b).sum() == 8
    assert_array_equal(one.truncated_b, other.truncated_b)
    for group in ("policy", "critic"):
        assert np.abs(np.asarray(one.next_observation[group])).max() > 1
        assert_allclose(other.next_observation[group], one.next_observation[group], atol=2e-3)
        assert_allclose(other.observation[group], one.observation[group], atol=2e-3)
    assert_allclose(other.reward_b, one.reward_b, atol=1e-4)


def test_parts_of_a_batch_stepped_apart_give_what_the_whole_batch_gives() -> None:
    task = make("pendulum-swingup", episode_s=0.1)  # two episodes end in the eight steps
    env = Environment(task, num_envs=256, threads=2)
    whole = env.reset(jax.random.PRNGKey(0))
    parts = env.split(whole)
    assert [part.num_envs for part, _ in parts] == [128, 128]
    states = [state for _, state in parts]
    for action in actions(8, 256):
        whole, expected = env.step(whole, jnp.asarray(action))
        done = []
        for index, (part, _) in enumerate(parts):
            rows = slice(128 * index, 128 * (index + 1))
            states[index], transition = part.step(states[index], jnp.asarray(action[rows]))
            assert_allclose(transition.next_observation["policy"], expected.next_observation["policy"][rows], rtol=1e-5, atol=1e-6)
            assert_allclose(transition.reward_b, expected.reward_b[rows], rtol=1e-5, atol=1e-6)
            done.append(np.asarray(transition.truncated_b))
        np.testing.assert_array_equal(np.concatenate(done), expected.truncated_b)
    joined = env.join(states)
    for one, other in zip(jax.tree.leaves(joined), jax.tree.leaves(whole), strict=True):
        assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    env.close()


@pytest.mark.parametrize(("num_envs", "parts"), [(1, 1), (200, 1), (256, 2), (640, 2), (1024, 4), (386, 2), (257, 1)])
def test_the_number_of_parts_follows_from_the_batch_alone(num_envs: int, parts: int) -> None:
    for threads in (1, 3):
        env = Environment(make("pendulum-swingup"), num_envs=num_envs, threads=threads)
        assert env._parts == parts
        env.close()
