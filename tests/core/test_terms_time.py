"""What changes over time: pushes and kicks, commands, curricula, actuators, drops. Each by hand, or against plain MuJoCo."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose
from termbench import ARM, BALL, roll, task
from termbench import BALL_SCENE as SCENE

from realitygap_core.environment import Environment
from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot
from realitygap_core.terms import base_resets, commands, curricula, resets
from realitygap_core.terms.frames import rotate
from realitygap_core.terms.term import EpisodeProgress
from realitygap_core.terms.timers import Timer


@pytest.mark.slow
def test_a_push_moves_the_centre_of_mass_by_force_times_time_over_mass_on_mjx_too():
    push = {"term": "force_push", "params": {"every_s": [0.06, 0.06], "duration_s": [0.04, 0.04], "force": [5, 5]}}
    _, states, _ = roll(task(BALL, engine="mjx", events=[push]), 6)
    momentum = []
    for state in states:
        data = mujoco.MjData(BALL.model)
        data.qpos[:], data.qvel[:] = np.asarray(state.physics.qpos)[0], np.asarray(state.physics.qvel)[0]
        mujoco.mj_forward(BALL.model, data)
        mujoco.mj_subtreeVel(BALL.model, data)
        momentum.append(2.5 * np.linalg.norm(data.subtree_linvel[1]))
    # Fires after the third step, lasts two, and again after the sixth: 5 N for 0.02 s a step.
    assert_allclose(momentum, [0, 0, 0, 0, 0.1, 0.2, 0.2], atol=2e-4)


def test_a_kick_changes_the_velocity_of_the_free_joint_alone_and_at_once():
    kick = {"term": "velocity_kick", "params": {"every_s": [0.04, 0.04], "horizontal": 1.0, "angular": 0.0}}
    _, states, _ = roll(task(BALL, events=[kick]), 3)
    assert_allclose(states[2].physics.qvel[0, :6], 0)
    kicked = np.asarray(states[2].episode.kick)[0]
    assert np.all(np.abs(kicked[:2]) <= 1.0)
    assert np.any(kicked[:2] != 0)
    assert np.all(kicked[2:] == 0)
    assert_allclose(states[3].physics.qpos[0, :2], 0.02 * kicked[:2], rtol=1e-3)  # nothing slows it down


def test_a_timer_fires_at_intervals_within_its_span_and_at_least_a_step_apart():
    timer = Timer([0.05, 0.2], 0.02)
    left = timer.initial(jax.random.PRNGKey(0))
    advance = jax.jit(timer.advance)
    fired = []
    for step in range(1000):
        fires, left = advance(left, jax.random.PRNGKey(step))
        fired.append(bool(fires))
    gaps = np.diff(np.flatnonzero(fired))
    assert gaps.min() >= 2
    assert gaps.max() <= 10
    assert len(set(gaps)) > 4
    with pytest.raises(CoreError, match="shortest, longest"):
        Timer([0.2, 0.1], 0.02)


def test_curricula_follow_time_returns_success_and_levels():
    def follow(term: Any, *episodes: tuple[float, bool]) -> list[float]:
        carry, seen = term.initial, [float(term.value(term.initial))]
        for total, solved in episodes:
            carry = term.advance(carry, EpisodeProgress(jnp.array(False), jnp.array(False), jnp.float32(99), jnp.float32(0.02)))
            carry = term.advance(carry, EpisodeProgress(jnp.array(True), jnp.array(solved), jnp.float32(total), jnp.float32(0.02)))
            seen.append(float(term.value(carry)))
        return seen

    some = [(10.0, True), (10.0, True), (0.0, False), (0.0, False)]
    assert_allclose(follow(curricula.constant(SCENE, value=0.3), *some), 0.3)
    assert_allclose(follow(curricula.linear(SCENE, over_s=0.08, after_s=0.04, initial=1, final=3), *some), [1, 1, 2, 3, 3], atol=1e-5)
    # Running mean over two episodes from 0: 5, 7.5, 3.75, 1.875.
    assert_allclose(follow(curricula.by_return(SCENE, low=0, high=10, episodes=2), *some), [0, 0.5, 0.75, 0.375, 0.1875])
    assert_allclose(follow(curricula.by_success(SCENE, target=0.5, episodes=2), *some), [0, 1, 1, 0.75, 0.375])
    assert_allclose(follow(curricula.levels(SCENE, count=3, promote=8, demote=2), *some), [0, 0.5, 1, 0.5, 0])


def test_a_curriculum_scales_a_reward_in_training_survives_episodes_and_is_final_in_judgement():
    spec: dict[str, Any] = {
        "curricula": [{"term": "linear", "params": {"over_s": 0.2, "initial": 0.0, "final": 2.0}, "name": "rise"}],
        "rewards": [{"term": "alive", "weight": 1.0, "curriculum": "rise"}],
        "episode_s": 0.1,
    }
    _, _, transitions = roll(task(BALL, training=True, **spec), 12)
    assert_allclose([t.metrics["reward/alive"][0] for t in transitions], [*np.arange(0, 2.01, 0.2), 2.0], atol=1e-5)
    _, _, transitions = roll(task(BALL, **spec), 1)
    assert_allclose(transitions[0].metrics["reward/alive"], 2.0)


def test_velocity_commands_stand_hold_headings_and_lie_in_their_ranges():
    term = commands.velocity(SCENE, vx=[-0.5, 1.0], wz=[-0.8, 0.8], standing=0.25, heading=0.5)
    drawn = jax.vmap(term.sample)(jax.random.split(jax.random.PRNGKey(0), 4000))
    standing = jnp.all(drawn[:, :3] == 0, axis=1)
    assert_allclose(standing.mean(), 0.25, atol=0.03)
    assert_allclose(drawn[:, 4].mean(), 0.75 * 0.5, atol=0.03)
    assert drawn[:, 0].min() >= -0.5
    assert drawn[:, 0].max() <= 1.0
    assert float(drawn[standing, 4].max()) == 0

    class At:
        def sensor(self, need: Any) -> jax.Array:
            return jnp.array([math.cos(0.5), 0, 0, math.sin(0.5)])  # yaw of 1 rad

    assert term.update is not None
    value: Any = term.update(At(), jnp.array([0.3, 0, 0.1, 1.6, 1.0]))  # type: ignore[arg-type]
    assert_allclose(value[2], 0.5 * 0.6, rtol=1e-5)
    value = term.update(At(), jnp.array([0.3, 0, 0.1, -3.0, 1.0]))  # type: ignore[arg-type]
    assert_allclose(value[2], 0.8)  # the short way round, -4 + 2 pi = 2.28 rad, at most the range
    value = term.update(At(), jnp.array([0.3, 0, 0.1, 1.6, 0.0]))  # type: ignore[arg-type]
    assert_allclose(value[2], 0.1)


def test_a_gait_clock_runs_at_its_frequency_and_the_policy_does_not_see_hidden_entries():
    made = task(
        BALL,
        command=[{"term": "gait_clock", "params": {"frequency": [2, 2]}}, {"term": "uniform", "params": {"ranges": {"goal": [3, 3]}}}],
        observations={"policy": [{"term": "command"}]},
    )
    _, states, transitions = roll(made, 5)
    assert made.scene.command == ("sin(phase)", "cos(phase)", "goal")
    assert made.scene.command_hidden == ("phase", "frequency")
    phases = np.array([np.asarray(state.episode.command)[0, 3] for state in states])
    assert_allclose(np.mod(np.diff(phases), 1.0), 0.04, atol=1e-5)
    shown = np.asarray(transitions[-1].observation["policy"])[0]
    assert_allclose(shown, [math.sin(2 * math.pi * phases[-1]), math.cos(2 * math.pi * phases[-1]), 3], atol=1e-5)


def test_a_pose_reset_turns_the_robot_and_keeps_what_it_does_in_the_world():
    term = base_resets.base_pose_uniform(SCENE, x=[1, 1], yaw=[math.pi / 2, math.pi / 2])
    qpos, qvel = term.apply(jax.random.PRNGKey(0), jnp.array(BALL.model.qpos0, jnp.float32), jnp.zeros(7).at[3].set(2.0))
    assert_allclose(qpos[:7], [1, 0, 0, math.cos(math.pi / 4), 0, 0, math.sin(math.pi / 4)], atol=1e-6)
    assert_allclose(rotate(qpos[3:7], qvel[3:6]), [2, 0, 0], atol=1e-6)
    velocity = base_resets.base_velocity_uniform(SCENE, linear=[0.5, 0.5], angular=[-1, -1])
    assert_allclose(velocity.apply(jax.random.PRNGKey(0), qpos, qvel)[1], [0.5] * 3 + [-1] * 3 + [0])


def test_joint_noise_stays_within_the_range():
    term = resets.joint_position_gaussian(SCENE, std=2.0)
    start = (jnp.array(BALL.model.qpos0, jnp.float32), jnp.zeros(7))
    drawn = jax.vmap(lambda key: term.apply(key, *start)[0][7])(jax.random.split(jax.random.PRNGKey(0), 1000))
    assert float(jnp.abs(drawn).max()) <= math.pi / 2 + 1e-6
    assert float(jnp.std(drawn)) > 1.0


def test_a_compiled_servo_is_pd_at_every_physics_step():
    servo = {"term": "position", "params": {"actuators": ["turn"], "stiffness": 3.0, "damping": 0.2, "limit": 0.5}}
    made = task(ARM, actuators=[servo])
    _, states, _ = roll(made, 10, action=0.4)
    assert made.action.high == (2.0,)  # the command is an angle now
    plain = Robot.from_xml(
        ARM.fresh_spec().to_xml().replace(
            '<general name="turn" joint="turn" ctrlrange="-1 1"/>',
            '<position name="turn" joint="turn" kp="3" kv="0.2" ctrlrange="-2 2" forcerange="-0.5 0.5"/>',
        )
    )  # fmt: skip
    assert plain.model.actuator_gainprm[0, 0] == 3.0, "the model was not edited"
    data = mujoco.MjData(plain.model)
    data.ctrl[:] = 0.8
    for _ in range(100):
        mujoco.mj_step(plain.model, data)
    assert_allclose(states[-1].physics.qpos[0], data.qpos, rtol=1e-6)


def test_a_dc_motor_has_its_torque_speed_line():
    motor = {"resistance": 2.0, "torque_constant": 0.1, "voltage": 12.0}
    made = task(ARM, actuators=[{"term": "dc_motor", "params": {"actuators": ["turn"], **motor}}])
    data = mujoco.MjData(made.robot.model)
    forces = []
    for speed in (0.0, 60.0, 120.0):
        data.ctrl[:], data.qvel[:] = 12.0, speed
        mujoco.mj_forward(made.robot.model, data)
        forces.append(float(data.actuator_force[0]))
    assert_allclose(forces, [0.6, 0.3, 0.0], atol=1e-9)  # k U / R at rest, none at U / k = 120 rad/s


def test_position_and_velocity_are_both_commanded():
    pd = {"actuators": ["turn"], "stiffness": 3.0, "damping": 0.2, "speed": 4.0, "limit": 1.0}
    made = task(ARM, actuators=[{"term": "position_velocity", "params": pd}])
    assert made.action.actuators == ("turn", "turn/velocity")
    data = mujoco.MjData(made.robot.model)
    data.qpos[:], data.qvel[:], data.ctrl[:] = 0.1, 0.5, [0.3, 2.0]
    mujoco.mj_forward(made.robot.model, data)
    assert_allclose(data.qfrc_actuator[0], 3 * 0.2 + 0.2 * 1.5)
    data.ctrl[:] = [2.0, 4.0]
    mujoco.mj_forward(made.robot.model, data)
    assert_allclose(data.qfrc_actuator[0], 1.0)


def test_a_first_order_actuator_follows_with_its_time_constant():
    made = task(ARM, actuators=[{"term": "first_order", "params": {"actuators": ["turn"], "time_constant_s": 0.1}}])
    _, states, _ = roll(made, 5, action=1.0)
    assert_allclose(states[-1].physics.act[0], 1 - math.exp(-1), rtol=1e-5)  # 0.1 s later


@pytest.mark.parametrize(("engine", "held"), [("mujoco", 1), ("mujoco", 5), pytest.param("mjx", 5, marks=pytest.mark.slow)])
def test_added_friction_equals_a_loop_that_applies_it_by_hand(engine: str, held: int):
    friction = {"coulomb": 0.05, "breakaway": 0.1, "stribeck_speed": 0.5, "viscous": 0.02, "slip_speed": 0.2}
    laws = [
        {"term": "torque_speed", "params": {"actuators": ["turn"], "stall": 0.6, "no_load_speed": 10.0}},
        {"term": "stribeck", "params": {"actuators": ["turn"], **friction}},
        {"term": "load_friction", "params": {"actuators": ["turn"], "share": 0.2, "slip_speed": 0.2}},
    ]
    _, states, _ = roll(task(ARM, engine=engine, actuators=laws, actuator_dt=0.002 * held), 5, action=0.8)
    data = mujoco.MjData(ARM.model)
    data.ctrl[:] = 0.8
    for step in range(50):
        if step % held == 0:
            v = data.qvel[0]
            cut = min(0.8, 0.6 * (1 - v / 10))
            level = 0.05 + 0.05 * math.exp(-((v / 0.5) ** 2))
            rub = level * math.tanh(v / 0.2) + 0.02 * v
            load = 0.2 * abs(cut - rub) * math.tanh(v / 0.2)
            data.qfrc_applied[:] = cut - 0.8 - rub - load
        mujoco.mj_step(ARM.model, data)
    assert data.qvel[0] > 0.3
    assert_allclose(np.asarray(states[-1].physics.qvel)[0], data.qvel, rtol=2e-4)
    assert_allclose(np.asarray(states[-1].physics.qpos)[0], data.qpos, rtol=2e-4)


def test_a_delayed_actuator_gets_its_command_late_and_the_others_do_not():
    robot = Robot.from_xml(
        ARM.fresh_spec().to_xml().replace("</actuator>", '<motor name="other" joint="turn" ctrlrange="-1 1"/></actuator>')
    )
    made = task(robot, actuators=[{"term": "delayed", "params": {"actuators": ["turn"], "delay_s": [0.03, 0.03]}}])
    _, states, _ = roll(made, 3, action=1.0)
    # 0.03 s: nothing in the first control step, from its middle on in the second.
    assert_allclose(np.array([np.asarray(s.episode.ctrl)[0] for s in states]), [[0, 0], [0, 1], [1, 1], [1, 1]], atol=1e-6)


def test_the_delays_of_an_actuator_add_up_as_in_a_queue():
    late = {"term": "delayed", "params": {"actuators": ["turn"], "delay_s": [0.08, 0.08]}}
    made = task(ARM, actuators=[late, late])
    env = Environment(made, num_envs=1)
    state, queue = env.reset(jax.random.PRNGKey(0)), deque([0.0] * 8)  # 0.16 s of 0.02 s each
    for step in range(14):
        queue.append(0.05 * (step + 1))
        state, _ = env.step(state, jnp.full((1, 1), queue[-1]))
        assert_allclose(np.asarray(state.episode.ctrl)[0, 0], queue.popleft(), atol=1e-6)
    env.close()


def test_delays_that_together_outlast_the_episode_are_told():
    late = {"term": "delayed", "params": {"actuators": ["turn"], "delay_s": [0.0, 0.6]}}
    with pytest.raises(CoreError, match=r"1\.2 s is as long as the episode of 1 s") as caught:
        task(ARM, actuators=[late, late])
    assert caught.value.pointer == "/actuators/1/params/delay_s"


def test_a_lost_command_leaves_the_last_one():
    _, states, _ = roll(task(ARM, action={"drop": 0.6}), 30, action=1.0)
    ctrl = np.array([np.asarray(s.episode.ctrl)[:, 0] for s in states])
    assert set(np.unique(ctrl)) == {0.0, 1.0}
    assert np.all(np.diff(ctrl, axis=0) >= 0)
    assert 0 < np.argmax(ctrl[:, 0]) < 15 or 0 < np.argmax(ctrl[:, 1]) < 15


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"events": [{"term": "velocity_kick", "params": {"every_s": [1, 2]}}]}, "/events/0"),  # the arm has no free joint
        ({"rewards": [{"term": "alive", "weight": 1, "curriculum": "rise"}]}, "/rewards/0/curriculum"),
        ({"actuator_dt": 0.003}, "/actuator_dt"),
        ({"actuators": [{"term": "torque", "params": {"actuators": ["trun"], "limit": 1}}]}, "/actuators/0/params/actuators/0"),
        ({"action": {"drop": 1.0}}, "/action/drop"),
        ({"rewards": [{"term": "track_yaw_rate", "weight": 1, "params": {"width": 1}}]}, "/rewards/0"),
    ],
)
def test_what_cannot_be_is_told_with_its_place(change: dict[str, Any], pointer: str):
    with pytest.raises(CoreError) as error:
        task(ARM, **change)
    assert error.value.pointer == pointer
