"""Terms: each computes what its name says, from sensors by name; noise, clip, scale, delay and history come in this order."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot
from realitygap_core.state import PhysicsState
from realitygap_core.task import compile_robot
from realitygap_core.terms import actions, commands, noise, observations, pipeline, resets, rewards, swingup_rewards, terminations
from realitygap_core.terms.term import Observation, Scene, View

ROBOT = Robot.from_xml(
    """<mujoco model="arm"><compiler angle="radian"/><worldbody>
      <body><joint name="lift" type="slide" axis="0 0 1" range="0 2"/><geom size=".1"/>
        <body><joint name="turn" axis="0 1 0"/><geom size=".1" pos=".2 0 0"/>
          <body pos=".3 0 0"><joint name="wrist" axis="0 1 0" range="-1 1"/><geom size=".05"/></body>
        </body></body>
      <body name="free"><freejoint name="float"/><geom size=".1"/></body></worldbody>
      <actuator><motor name="a" joint="turn" ctrlrange="-2 6"/><motor name="b" joint="wrist"/></actuator>
      <sensor><actuatorfrc name="torque" actuator="a"/></sensor>
      <keyframe><key name="home" qpos="0.5 0 0 0 0 1 1 0 0 0"/></keyframe></mujoco>"""
)
SCENE = Scene(robot=ROBOT, control_dt=0.02, physics_dt=0.002, actuators=("a", "b"), command=("goal",))


def see(
    term: Any, *, lift: float = 0.0, turn: float = 0.0, wrist: float = 0.0, velocity: tuple[float, ...] = (0, 0, 0), **fields: Any
) -> Any:
    """What a term computes at these joint positions and velocities: sensors are filled in by hand."""
    robot, layout = compile_robot(ROBOT, term.needs, 0.002)
    values = {"jointpos": dict(zip(("lift", "turn", "wrist"), (lift, turn, wrist), strict=True))}
    values["jointvel"] = dict(zip(("lift", "turn", "wrist"), velocity, strict=True))
    sensordata = np.zeros(robot.model.nsensordata, np.float32)
    for need in term.needs:
        sensordata[layout[need]] = fields.get("torque", 0.0) if need.type in ("named", "actuatorfrc") else values[need.type][need.object]
    blank = PhysicsState(time=0, qpos=0, qvel=0, act=0, ctrl=0, sensordata=sensordata)
    view = View(
        layout=layout,
        physics=blank,
        sensordata=jnp.asarray(sensordata),
        episode_time=jnp.float32(fields.get("time", 0.0)),
        action=jnp.asarray(fields.get("action", (0.0, 0.0))),
        last_action=jnp.asarray(fields.get("last_action", (0.0, 0.0))),
        command=jnp.asarray(fields.get("command", (0.0,))),
    )
    return term.compute(view)


PENDULUM = Robot.from_xml(
    """<mujoco model="pendulum"><compiler angle="radian"/><option gravity="0 0 -9.81"/><worldbody>
      <body><joint name="swing" axis="0 1 0" armature="0.25"/><inertial pos="0.5 0 0" mass="2" diaginertia="0.1 0.1 0.1"/>
        <geom size=".1" contype="0" conaffinity="0"/></body>
      <body pos="0 3 0"><joint name="turn" axis="0 0 1"/><geom size=".1" pos=".2 0 0"/></body></worldbody></mujoco>"""
)


@pytest.mark.parametrize(
    ("angle", "speed", "expected"), [(-math.pi / 2, 0, 1), (math.pi / 2, 0, 0), (0, 0, 0.5), (0, 1, None), (1, 30, None)]
)
def test_swing_energy_is_that_of_the_pendulum_beside_its_upright_rest(angle: float, speed: float, expected: float | None) -> None:
    # The centre of mass lies along +x: upright is a quarter turn back. Inertia 0.1 + 0.25 + 2 * 0.5^2, lever 0.5 m.
    scene = Scene(robot=PENDULUM, control_dt=0.02, physics_dt=0.002, actuators=(), command=())
    weight = 2 * 9.81 * 0.5
    energy = 0.5 * 0.85 * speed**2 + weight * math.sin(-angle)
    hand = 1 - abs(energy - weight) / (2 * weight)
    term = rewards.swing_energy(scene, joint="swing")
    robot, layout = compile_robot(PENDULUM, term.needs, 0.002)
    sensordata = np.zeros(robot.model.nsensordata, np.float32)
    for need in term.needs:
        sensordata[layout[need]] = angle if need.type == "jointpos" else speed
    view = View(
        layout=layout,
        physics=PhysicsState(time=0, qpos=0, qvel=0, act=0, ctrl=0, sensordata=sensordata),
        sensordata=jnp.asarray(sensordata),
        episode_time=jnp.float32(0),
        action=jnp.zeros(0),
        last_action=jnp.zeros(0),
        command=jnp.zeros(0),
    )
    assert_allclose(term.compute(view), hand, rtol=1e-5, atol=1e-6)
    assert expected is None or hand == pytest.approx(expected)
    with pytest.raises(CoreError, match="gravity does not turn joint 'turn'"):
        rewards.swing_energy(scene, joint="turn")


def test_observations_read_joints_by_name_wherever_they_lie_in_qpos() -> None:
    assert_allclose(see(observations.joint_position(SCENE, joints=["wrist", "lift"]), lift=0.4, wrist=-0.2), [-0.2, 0.4])
    assert observations.joint_position(SCENE).labels == ("lift", "turn", "wrist")  # the free joint has no scalar position
    assert_allclose(see(observations.joint_velocity(SCENE, joints=["turn"]), velocity=(1, 2, 3)), [2])
    assert_allclose(
        see(observations.joint_angle_sincos(SCENE), turn=0.3, wrist=-1.0), np.r_[np.sin([0.3, -1]), np.cos([0.3, -1])], rtol=1e-6
    )
    assert_allclose(see(observations.sensor(SCENE, name="torque"), torque=0.7), [0.7], rtol=1e-6)
    assert_allclose(see(observations.actuator_force(SCENE, actuators=["a"]), torque=0.7), [0.7], rtol=1e-6)
    assert_allclose(see(observations.last_action(SCENE), action=(0.1, -0.2)), [0.1, -0.2])
    assert_allclose(see(observations.episode_time(SCENE), time=1.5), [1.5])
    assert_allclose(see(observations.command(SCENE), command=(4.0,)), [4.0])


@pytest.mark.parametrize(
    "make", [observations.joint_position, observations.joint_velocity, observations.joint_angle_sincos, observations.last_action]
)
def test_an_observation_has_as_many_labels_as_entries(make: Any) -> None:
    term = make(SCENE)
    assert see(term).shape == (term.size,) == (len(term.labels),)


def test_rewards_have_the_values_of_their_formulas() -> None:
    assert_allclose(see(rewards.joint_cosine(SCENE, joint="turn", target=math.pi), turn=math.pi), 1, atol=1e-6)
    assert_allclose(see(rewards.joint_cosine(SCENE, joint="turn", target=math.pi), turn=0.0), 0, atol=1e-6)
    assert_allclose(see(rewards.joint_near(SCENE, joint="lift", target=1.0, width=0.5), lift=1.5), math.exp(-1), rtol=1e-5)
    both = rewards.pose_near(SCENE, targets={"lift": 1.0, "wrist": 0.0}, width=0.5)
    assert_allclose(see(both, lift=1.5, wrist=0.5), math.exp(-2), rtol=1e-5)
    still = rewards.still_near(SCENE, joint="turn", width=1.0, speed=2.0)
    assert_allclose(see(still, turn=1.0, velocity=(0, 2, 0)), math.exp(-2), rtol=1e-5)
    assert_allclose(see(rewards.joint_velocity_squared(SCENE), velocity=(1, 2, 3)), 14)
    assert_allclose(see(rewards.joint_position_squared(SCENE, joints=["turn", "wrist"]), turn=3, wrist=4), 25)
    assert_allclose(see(rewards.actuator_force_squared(SCENE, actuators=["a"]), torque=3.0), 9)
    assert_allclose(see(rewards.action_squared(SCENE), action=(0.6, 0.8)), 1, rtol=1e-6)
    assert_allclose(see(rewards.action_change_squared(SCENE), action=(0.5, 0.0), last_action=(-0.5, 1.0)), 2)
    assert_allclose([see(rewards.joint_beyond(SCENE, joint="turn", limit=1.0), turn=q) for q in (-1.5, 0.9, 3.0)], [0.5, 0, 2])
    assert_allclose(see(rewards.alive(SCENE)), 1)


def test_a_calm_swing_up_is_the_product_of_its_four_factors() -> None:
    term = swingup_rewards.calm_swingup(SCENE, hinge="turn", slide="lift", middle=2.0, speed=5.0)
    assert_allclose(see(term), 1.0)
    # Leaning by 60 degrees: 3/4. Half of `middle` and half of `speed`: (1 + 0.1^(1/4)) / 2 each. Action 0.5: (4 + 0.75) / 5.
    half = (1 + 0.1**0.25) / 2
    got = see(term, lift=1.0, turn=math.pi / 3, velocity=(0, 2.5, 0), action=(-0.1, 0.5))
    assert_allclose(got, 0.75 * half * half * 0.95, rtol=1e-5)
    assert_allclose(see(term, turn=math.pi), 0.0, atol=1e-6)


def test_a_hinge_that_turns_freely_is_near_its_target_after_a_full_turn_and_a_limited_one_is_not() -> None:
    free, limited = rewards.joint_near(SCENE, joint="turn", width=0.1), rewards.joint_near(SCENE, joint="wrist", width=0.1)
    assert_allclose(see(free, turn=2 * math.pi), 1, atol=1e-5)
    assert see(limited, wrist=2 * math.pi) < 1e-6


def test_terminations_tell_failure_from_success() -> None:
    outside = terminations.joint_outside(SCENE, joint="turn", low=-2, high=2)
    assert [int(see(outside, turn=q)) for q in (-2.1, 0.0, 2.1)] == [-1, 0, -1]
    assert [int(see(terminations.joint_outside(SCENE, joint="wrist"), wrist=q)) for q in (0.9, 1.1)] == [0, -1]  # the model's own range
    reached = terminations.joint_reached(SCENE, joint="turn", target=math.pi, tolerance=0.2, speed=1.0)
    assert [int(see(reached, turn=q, velocity=(0, v, 0))) for q, v in ((-math.pi + 0.1, 0.5), (3.0, 2.0), (2.8, 0.0))] == [1, 0, 0]
    assert int(see(terminations.joint_too_fast(SCENE, joint="lift", speed=1.0), velocity=(-2, 0, 0))) == -1
    with pytest.raises(CoreError, match="no range in the model"):
        terminations.joint_outside(SCENE, joint="turn")


def test_a_velocity_reset_is_still_there_and_touches_its_joints_alone() -> None:
    key, qpos, qvel = jax.random.PRNGKey(0), jnp.asarray(ROBOT.model.qpos0, jnp.float32), jnp.zeros(ROBOT.model.nv)
    moved, speed = resets.joint_velocity_uniform(SCENE, low=1, high=2, joints=["turn"]).apply(key, qpos, qvel)
    assert_allclose(moved, qpos)
    assert 1 <= speed[1] <= 2
    assert np.flatnonzero(speed).tolist() == [1]
    there, _ = resets.joint_position_uniform(SCENE, low=0.1, high=0.2, joints=["wrist"]).apply(key, qpos.at[2].set(1.0), qvel)
    assert 1.1 <= there[2] <= 1.2
    instead, _ = resets.joint_position_uniform(SCENE, low=0.1, high=0.2, joints=["wrist"], around="zero").apply(
        key, qpos.at[2].set(1.0), qvel
    )
    assert 0.1 <= instead[2] <= 0.2
    home, _ = resets.keyframe(SCENE, name="home").apply(key, qpos, qvel)
    assert_allclose(home[0], 0.5)
    with pytest.raises(CoreError, match="no keyframe 'hone'"):
        resets.keyframe(SCENE, name="hone")


def test_actions_cover_the_range_of_each_actuator_and_nothing_outside() -> None:
    action = actions.affine(ROBOT, actuators=["a"])
    assert_allclose([action.command(jnp.array([v]))[0] for v in (-1, 0, 1, 7)], [-2, 2, 6, 6])
    narrow = actions.affine(ROBOT, actuators=["a"], limits=[-1, 1], scale=4)
    assert_allclose([narrow.command(jnp.array([v]))[0] for v in (-1, 0.1, 1)], [-1, 0.4, 1], rtol=1e-6)
    with pytest.raises(CoreError, match="'b' has no control range"):
        actions.affine(ROBOT)
    with pytest.raises(CoreError, match="outside the control range"):
        actions.affine(ROBOT, actuators=["a"], limits=[-3, 3])


def test_a_pose_offset_is_about_the_keyframes_command_and_within_the_range() -> None:
    robot = Robot.from_xml(
        """<mujoco><worldbody><body><joint name="j"/><geom size=".1"/></body></worldbody>
          <actuator><position name="servo" joint="j" kp="5" ctrlrange="-1 1"/></actuator>
          <keyframe><key name="stand" ctrl="0.7"/><key name="sit" ctrl="-0.2"/></keyframe></mujoco>"""
    )
    stand, sit = actions.pose_offset(robot, scale=0.5), actions.pose_offset(robot, scale=0.5, keyframe="sit")
    assert_allclose([stand.command(jnp.array([v]))[0] for v in (-1, 0, 0.4, 1)], [0.2, 0.7, 0.9, 1.0], rtol=1e-6)
    assert_allclose(sit.command(jnp.array([1.0]))[0], 0.3, rtol=1e-6)
    with pytest.raises(CoreError, match="no keyframe 'sitt'") as error:
        actions.pose_offset(robot, scale=0.5, keyframe="sitt")
    assert error.value.hint == "did you mean 'sit'?"


def test_commands_are_drawn_within_their_ranges() -> None:
    command = commands.uniform(SCENE, ranges={"speed": [1, 2], "turn": [-1, 0]})
    draws = jax.vmap(command.sample)(jax.random.split(jax.random.PRNGKey(0), 500))
    assert command.labels == ("speed", "turn")
    assert_allclose(draws.min(0), [1, -1], atol=0.02)
    assert_allclose(draws.max(0), [2, 0], atol=0.02)


def test_a_choice_is_one_of_its_values_each_as_likely() -> None:
    command = commands.choice(SCENE, name="gait", values=[0, 1, 4])
    draws = jax.vmap(command.sample)(jax.random.split(jax.random.PRNGKey(0), 3000))
    assert (command.labels, draws.shape) == (("gait",), (3000, 1))
    assert_allclose([(draws == value).mean() for value in (0, 1, 4)], 1 / 3, atol=0.03)


def test_noise_has_the_spread_it_says_and_a_bias_that_stays() -> None:
    made = noise.gaussian(SCENE, std=0.5, bias_std=2.0)
    keys = jax.random.split(jax.random.PRNGKey(1), 4000)
    samples = jax.vmap(lambda key: made.sample(key, jnp.full(1, 3.0)))(keys)
    assert_allclose([samples.mean(), samples.std()], [3, 0.5], atol=0.03)
    assert_allclose(jax.vmap(lambda key: made.bias(key, 1))(keys).std(), 2.0, atol=0.1)
    flat = jax.vmap(lambda key: noise.uniform(SCENE, half_width=0.1).sample(key, jnp.zeros(1)))(keys)
    assert_allclose([flat.min(), flat.max()], [-0.1, 0.1], atol=1e-3)


def test_an_observation_is_computed_then_noised_clipped_scaled_delayed_and_stacked_in_this_order() -> None:
    # Values 1, 2, 3, ...; the noise adds 10, the clip ends at 12.5, the scale doubles, the delay is one step, the history two.
    term = Observation(labels=("x",), unit="1", compute=lambda view: view.episode_time[None])
    entry = pipeline.ObservationEntry(
        name="x",
        term=term,
        noise=noise.Noise(bias=lambda key, size: jnp.full(size, 4.0), sample=lambda key, value: value + 6.0),
        clip=(-100.0, 12.5),
        scale=(2.0,),
        delay_s=(0.02, 0.02),
        history=2,
    )

    def view(time: float) -> Any:
        return type("V", (), {"episode_time": jnp.float32(time)})()

    key = jax.random.PRNGKey(0)
    value, carry = pipeline.begin(entry, view(1.0), key, 0.02)
    got = [value]
    for time in (2.0, 3.0, 4.0):
        value, carry = pipeline.advance(entry, view(time), carry, key, 0.02)
        got.append(value)
    # noised 11 12 13 14, clipped 11 12 12.5 12.5, scaled 22 24 25 25, one step late 22 22 24 25; newest first, beside the one before
    assert_allclose(np.array(got), [[22, 22], [22, 22], [24, 22], [25, 24]])
    assert entry.labels == ("x", "x@-1")


def test_a_stateful_observation_carries_its_state_through_the_episode() -> None:
    term = Observation(
        labels=("sum",),
        unit="1",
        initial=lambda view, key: jnp.zeros(1),
        compute=lambda view, carry: (carry + view.episode_time, carry + view.episode_time),
    )
    entry = pipeline.ObservationEntry(name="sum", term=term)
    view = type("V", (), {"episode_time": jnp.float32(2.0)})()
    value, carry = pipeline.begin(entry, view, jax.random.PRNGKey(0), 0.02)
    assert_allclose(value, [2])
    assert_allclose(pipeline.advance(entry, view, carry, jax.random.PRNGKey(0), 0.02)[0], [4])


def test_a_joint_that_does_not_exist_or_does_not_fit_is_named_with_its_place() -> None:
    with pytest.raises(CoreError, match="no joint 'tern'") as error:
        observations.joint_position(SCENE, joints=["lift", "tern"])
    assert (error.value.pointer, error.value.hint) == ("/joints/1", "did you mean 'turn'?")
    with pytest.raises(CoreError, match="'float' is neither a hinge nor a slide"):
        rewards.joint_near(SCENE, joint="float", width=1)
    with pytest.raises(CoreError, match="'lift' is not a hinge"):
        observations.joint_angle_sincos(SCENE, joints=["lift"])
