"""Terms in the course of episodes: what resets set is there at the beginning, pushes have their strength, no carry outlives its episode."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose
from termbench import ARM, BALL, roll, task

from realitygap_core.contract import contract_of, differences
from realitygap_core.environment import Environment
from realitygap_core.robot import Robot


def term(name: str, /, **params: Any) -> dict[str, Any]:
    return {"term": name, "params": params}


MOVING = [
    term("base_velocity_uniform", linear=[0.5, 0.5], angular=[-1, -1]),
    term("joint_velocity_uniform", low=2, high=2),
]
"""Velocities that every episode of the ball begins with: free joint, then hinge."""


def test_velocities_that_resets_set_are_there_at_the_beginning_of_every_episode() -> None:
    # Each ends after two steps: a step reports the next beginning already.
    made = task(BALL, resets=MOVING, episode_s=0.04)
    _, states, _ = roll(made, 4)
    for state in (states[0], states[2], states[4]):
        assert_allclose(np.asarray(state.physics.qvel), [[0.5] * 3 + [-1] * 3 + [2]] * 2, atol=1e-6)
        assert_allclose(np.asarray(state.episode.observation["policy"])[:, 1], 2.0, atol=1e-6)
    # And they move it: no force acts on the whole, which goes 0.5 m/s * 0.02 s.
    assert_allclose(np.asarray(states[1].physics.time), 0.02, atol=1e-6)
    assert not np.allclose(np.asarray(states[1].physics.qpos), np.asarray(states[0].physics.qpos))


def test_a_keyframe_gives_its_velocities_too() -> None:
    xml = ARM.fresh_spec().to_xml().replace("</mujoco>", '<keyframe><key name="swing" qpos="0.3" qvel="-1.5"/></keyframe></mujoco>')
    _, states, _ = roll(task(Robot.from_xml(xml), resets=[term("keyframe", name="swing")]), 0)
    assert_allclose([states[0].physics.qpos[:, 0], states[0].physics.qvel[:, 0]], [[0.3] * 2, [-1.5] * 2])


def momenta(states: list[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Size of the linear and of the angular momentum (about the centre of mass) of the whole ball in each state."""
    linear, angular = [], []
    for state in states:
        data = mujoco.MjData(BALL.model)
        data.qpos[:], data.qvel[:] = np.asarray(state.physics.qpos)[0], np.asarray(state.physics.qvel)[0]
        mujoco.mj_forward(BALL.model, data)
        mujoco.mj_subtreeVel(BALL.model, data)
        linear.append(2.5 * np.linalg.norm(data.subtree_linvel[1]))
        angular.append(np.linalg.norm(data.subtree_angmom[1]))
    return np.array(linear), np.array(angular)


def test_a_push_at_half_strength_is_half_as_strong_from_its_first_step_to_its_last_and_in_the_next_push() -> None:
    # Four steps long, every five: fires after the fifth step and after the tenth.
    push = term("force_push", every_s=[0.1, 0.1], duration_s=[0.08, 0.08], force=[5, 5])
    events, half = [push | {"curriculum": "constant"}], [term("constant", value=0.5)]
    _, states, _ = roll(task(BALL, events=events, curricula=half, training=True), 12)
    pushes = [np.linalg.norm(np.asarray(state.episode.push)[0]) for state in states]
    assert_allclose(pushes, [0] * 5 + [2.5] * 4 + [0] + [2.5] * 3, rtol=1e-5)
    linear, _ = momenta(states[:10])
    assert_allclose(linear, [0] * 6 + [0.05, 0.1, 0.15, 0.2], atol=2e-4)  # 2.5 N for 0.02 s a step


def test_a_torque_turns_by_its_size_times_time_and_pushes_of_two_events_add_up() -> None:
    turn = term("force_push", every_s=[0.04, 0.04], duration_s=[0.04, 0.04], torque=[0.3, 0.3])
    push = term("force_push", every_s=[0.04, 0.04], duration_s=[0.04, 0.04], force=[5, 5], vertical=True, body="rod")
    _, states, _ = roll(task(BALL, events=[turn]), 4)
    linear, angular = momenta(states)
    assert_allclose(angular, [0, 0, 0, 0.006, 0.012], atol=1e-4)
    assert_allclose(linear, 0, atol=5e-4)  # but for the integrator's error
    _, both, _ = roll(task(BALL, events=[turn, push]), 3)
    assert_allclose(momenta(both)[0], [0, 0, 0, 0.1], atol=2e-4)
    applied = np.asarray(both[2].episode.push)[0]
    assert np.linalg.norm(applied[BALL.id("body", "ball")]) == pytest.approx(0.3, rel=1e-5)
    assert np.linalg.norm(applied[BALL.id("body", "rod")]) == pytest.approx(5, rel=1e-5)


def test_a_kick_of_joints_leaves_the_free_joint_alone() -> None:
    _, states, _ = roll(task(BALL, events=[term("joint_kick", every_s=[0.04, 0.04], speed=1.0)]), 2)
    kick = np.asarray(states[2].episode.kick)
    assert np.all(kick[:, :6] == 0)
    assert np.all((kick[:, 6] != 0) & (np.abs(kick[:, 6]) <= 1.0))


def test_what_a_term_remembers_ends_with_its_episode_and_goes_on_in_the_others() -> None:
    """Two environments; the first fails in its second step because it is thrown out of its range."""
    made = task(
        ARM,
        rewards=[term("action_acceleration_squared") | {"weight": 1.0}, term("alive") | {"weight": 1.0}],
        observations={"policy": [term("joint_position") | {"history": 3, "delay": 0.04}]},
        terminations=[term("joint_outside", joint="turn", low=-0.5, high=0.5)],
    )
    env = Environment(made, num_envs=2)
    state = env.reset(jax.random.PRNGKey(0))
    seen = []
    for step in range(3):
        if step == 1:
            state = dataclasses.replace(state, physics=state.physics.replace(qpos=np.array([[1.0], [0.1]])))
        state, transition = env.step(state, jnp.ones((2, 1)))
        seen.append((state, transition))
    env.close()
    assert [t.terminated_b.tolist() for _, t in seen] == [[False, False], [True, False], [False, False]]
    # Actions 1, 1, 1: second differences 1, -1, 0; of the environment that began anew 1 once more.
    jerks = np.array([t.metrics["reward/action_acceleration_squared"] for _, t in seen])
    assert_allclose(jerks, [[1, 1], [1, 1], [1, 0]])
    begun = seen[1][0].episode
    assert_allclose(begun.observations["policy"]["joint_position"]["history"][0], 0.0)  # filled with where it begins
    assert np.asarray(begun.observations["policy"]["joint_position"]["ring"])[1].any()
    assert [float(v) for v in begun.total] == pytest.approx([0.0, 0.02 * (2 + 2)])
    assert [int(v) for v in begun.step] == [0, 2]


def test_a_successful_end_is_an_end_and_no_cut_off() -> None:
    made = task(
        ARM,
        resets=[term("joint_position_uniform", low=0.2, high=0.2)],
        terminations=[term("joint_reached", joint="turn", target=0.2, tolerance=0.1)],
    )
    _, _, (transition,) = roll(made, 1)
    assert transition.success_b.all()
    assert transition.terminated_b.all()
    assert not transition.truncated_b.any()


def test_both_commands_of_a_position_velocity_actuator_come_from_the_action() -> None:
    pd = term("position_velocity", actuators=["turn"], stiffness=3.0, damping=0.2, speed=4.0)
    made = task(ARM, actuators=[pd])
    env = Environment(made, num_envs=2)
    state, _ = env.step(env.reset(jax.random.PRNGKey(0)), jnp.array([[0.5, 0.5], [0.5, -0.5]]))
    env.close()
    assert_allclose(state.physics.ctrl, [[1.0, 2.0], [1.0, -2.0]])  # half of 2 rad, half of 4 rad/s
    speeds = np.asarray(state.physics.qvel)[:, 0]
    assert speeds[0] > speeds[1] + 0.1


def test_a_torque_actuators_command_is_its_force_within_its_limit() -> None:
    made = task(ARM, actuators=[term("torque", actuators=["turn"], limit=0.4)])
    assert (made.action.low, made.action.high) == ((-0.4,), (0.4,))
    data = mujoco.MjData(made.robot.model)
    for command, force in ((0.25, 0.25), (9.0, 0.4)):
        data.ctrl[:] = command
        mujoco.mj_forward(made.robot.model, data)
        assert data.qfrc_actuator[0] == pytest.approx(force)


def test_a_pose_to_return_to_is_that_of_the_episodes_beginning() -> None:
    made = task(
        BALL,
        command=term("start_pose"),
        observations={"policy": [term("command"), term("base_position")]},
        resets=[term("base_pose_uniform", x=[-1, 1], yaw=[0.5, 0.5]), MOVING[0]],
        episode_s=0.06,
    )
    _, states, _ = roll(made, 4)
    shown = np.array([np.asarray(state.episode.observation["policy"]) for state in states])
    for first, last in ((0, 2), (3, 4)):
        assert_allclose(shown[first : last + 1, :, :3], np.broadcast_to(shown[first, :, 4:], (last - first + 1, 2, 3)), atol=1e-6)
        assert_allclose(shown[first : last + 1, :, 3], 0.5, atol=1e-5)
    assert np.abs(shown[3, :, 0] - shown[0, :, 0]).min() > 1e-3, "each episode begins elsewhere"
    assert np.abs(shown[2, :, 4:] - shown[2, :, :3]).max() > 0.01, "the robot has moved away"


def test_the_contract_tells_of_losses_that_training_imitates_and_a_task_without_them_keeps_it() -> None:
    lossy = task(ARM, action={"drop": 0.1}, observations={"policy": [term("joint_position") | {"drop": 0.2, "delay": 0.01}]})
    sound = task(ARM, observations={"policy": [term("joint_position")]})
    contract = contract_of(lossy)
    assert (contract["command_drop"], contract["lost"], contract["observations"][0]["drop"]) == (0.1, "hold", 0.2)
    assert (contract_of(sound)["command_drop"], contract_of(sound)["observations"][0]["drop"]) == (0.0, 0.0)
    assert differences(contract, sound) == []


def test_a_sample_is_lost_after_its_delay_and_held_before_history() -> None:
    made = task(ARM, observations={"policy": [{"term": "episode_time", "delay": 0.02, "drop": 0.5, "history": 2}]})
    _, _, transitions = roll(made, 40)
    shown = np.array([np.asarray(t.observation["policy"])[0] for t in transitions])
    late = 0.02 * np.arange(40)
    assert_allclose(shown[1:, 1], shown[:-1, 0])  # the older of two is what was shown a step before, held or not
    fresh = np.isclose(shown[:, 0], late, atol=1e-6)
    assert 8 < fresh.sum() < 32
    assert_allclose(shown[:, 0], np.maximum.accumulate(np.where(fresh, late, 0.0)), atol=1e-6)
