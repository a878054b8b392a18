"""Terms of heights, poses, commands, contacts and reach: each at a value worked out by hand."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose
from termbench import ROBOT, SCENE, TILT, at, values

from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot
from realitygap_core.task import compile_robot
from realitygap_core.terms import (
    actuators,
    contact_observations,
    effort_rewards,
    gait_rewards,
    imu_observations,
    pose_observations,
    posture_rewards,
    terminations,
    tracking_rewards,
)
from realitygap_core.terms.probe import view_of
from realitygap_core.terms.term import Scene

ROLLED = np.array([math.cos(0.2), math.sin(0.2), 0.0, 0.0])
"""A turn by 0.4 rad about x."""


def asking(*labels: str) -> Scene:
    return dataclasses.replace(SCENE, command=labels, command_hidden=())


def test_an_accelerometer_at_rest_shows_gravity_upwards_in_its_own_axes() -> None:
    robot = Robot.from_xml(
        "<mujoco><worldbody><body euler='0 30 0'><site name='imu'/><geom size='.1'/></body></worldbody></mujoco>", name="wall"
    )
    term = imu_observations.accelerometer(Scene(robot=robot, control_dt=0.02, physics_dt=0.002, actuators=()), site="imu")
    compiled, layout = compile_robot(robot, term.needs, 0.002)
    data = mujoco.MjData(compiled.model)
    mujoco.mj_forward(compiled.model, data)
    # The body leans by 30 degrees about y: the world's vertical is (-sin 30, 0, cos 30) in its axes.
    assert_allclose(term.compute(view_of(layout, data)), [-9.81 / 2, 0, 9.81 * math.cos(math.pi / 6)], rtol=1e-4, atol=1e-6)


def test_a_site_turns_with_its_body() -> None:
    term = pose_observations.site_orientation(SCENE, sites=["tip"], relative_to="torso")
    assert_allclose(values(term, quat=ROLLED, arm=0.6), TILT, atol=1e-6)  # the arm alone, by 0.6 rad about y
    assert_allclose(values(pose_observations.site_orientation(SCENE, sites=["imu"]), quat=-ROLLED), ROLLED, atol=1e-6)
    com = pose_observations.center_of_mass_velocity(SCENE)
    assert_allclose(values(com, quat=TILT, qvel=[1, 0, 0, 0, 0, 0, 0, 0]), [math.cos(0.6), 0, math.sin(0.6)], atol=1e-5)


@pytest.mark.parametrize(("about", "rolled", "pitched"), [("both", 0.4, 0.6), ("roll", 0.4, 0.0), ("pitch", 0.0, 0.6)])
def test_roll_and_pitch_are_told_apart(about: str, rolled: float, pitched: float) -> None:
    term = posture_rewards.tilt_squared(SCENE, about=about)
    assert_allclose([values(term, quat=q) for q in (ROLLED, TILT)], np.sin([rolled, pitched]) ** 2, rtol=1e-5, atol=1e-9)


def test_heights_within_a_range_at_a_command_and_outside() -> None:
    within = posture_rewards.height_within(SCENE, low=0.8, high=1.2, margin=0.4)
    assert_allclose([values(within, z=z) for z in (0.3, 0.6, 0.8, 1.2, 1.4, 2.0)], [0, 0.5, 1, 1, 0.5, 0], atol=1e-6)
    assert_allclose(values(tracking_rewards.track_height(asking("height"), width=0.2), command=(0.8,)), math.exp(-1), rtol=1e-5)
    outside = terminations.height_outside(SCENE, low=0.3, high=1.5)
    assert [int(values(outside, z=z)) for z in (0.2, 1.0, 2.0)] == [-1, 0, -1]
    assert int(values(terminations.height_outside(SCENE, high=1.5), z=-5.0)) == 0


def test_a_height_is_paid_once_an_episode_and_not_where_it_begins_there() -> None:
    term = posture_rewards.height_reached(SCENE, height=1.2)
    assert term.initial is not None

    def paid(*heights: float) -> list[float]:
        views = [at(term, z=z)[0] for z in heights]
        carry, amounts = term.initial(views[0]), []  # type: ignore[misc]
        for view in views[1:]:
            value, carry = term.compute(view, carry)
            amounts.append(float(value) * SCENE.control_dt)
        return amounts

    assert_allclose(paid(1.0, 1.1, 1.3, 1.1, 1.4), [0, 1, 0, 0], rtol=1e-5)
    assert_allclose(paid(1.3, 1.1, 1.4), [0, 0])


def test_points_and_joints_follow_the_command() -> None:
    # The tip is at (0.9, 0.1, 1.0): 0.3 and 0.4 away is 0.5 away.
    point = tracking_rewards.track_position(asking("x", "y", "z"), site="tip", width=0.5)
    assert_allclose(values(point, command=(0.9, 0.4, 1.4)), math.exp(-1), rtol=1e-5)
    joints = tracking_rewards.track_joint_positions(asking("wing", "arm"), joints=["arm", "wing"], width=0.2)
    assert_allclose(values(joints, arm=0.3, wing=-0.1, command=(-0.1, 0.1)), math.exp(-1), rtol=1e-5)
    with pytest.raises(CoreError, match="no entry 'arm'"):
        tracking_rewards.track_joint_positions(asking("wing"), joints=["arm"], width=0.2)


def test_sites_and_joints_near_a_place_and_a_pose() -> None:
    assert_allclose(values(posture_rewards.site_near(SCENE, site="imu", target="tip", width=0.5)), math.exp(-1), rtol=1e-5)
    assert_allclose(values(posture_rewards.site_near(SCENE, site="tip", point=[0.9, 0.1, 0.5], width=0.25)), math.exp(-4), rtol=1e-4)
    assert_allclose(values(posture_rewards.joint_deviation(SCENE), arm=0.2, wing=-0.3), 0.5, rtol=1e-5)
    assert_allclose(values(posture_rewards.joint_deviation(SCENE, joints=["wing"]), arm=0.2, wing=-0.3), 0.3, rtol=1e-5)


def test_motion_counts_only_while_nothing_is_asked_for_turning_either_way_included() -> None:
    term = posture_rewards.motion_at_rest(SCENE, below=0.1)
    moving = {"qvel": [0.3, 0.4, 0, 0, 0, -2, 1.5, -2]}
    parts = values(term, **moving)
    assert_allclose([parts["linear"], parts["angular"], parts["joints"]], [0.25, 4, 6.25], rtol=1e-5)
    for asked in ((0.5, 0, 0, 0), (0, 0, 0.5, 0), (0, 0, -0.5, 0)):
        assert all(float(part) == 0 for part in values(term, **moving, command=asked).values())


def test_air_time_counts_also_for_a_robot_that_is_asked_to_turn_right() -> None:
    term = gait_rewards.feet_air_time(SCENE, geoms=["torso"], target_s=0.1)
    for turn in (-1.0, 1.0):
        landed = at(term, z=0.049, command=(0, 0, turn, 0))[0]
        assert_allclose(term.compute(landed, jnp.array([0.3]))[0] * SCENE.control_dt, 0.2, rtol=1e-5)
    longest = gait_rewards.feet_air_time(SCENE, geoms=["torso"], target_s=0.1, longest_s=0.25)
    assert_allclose(longest.compute(landed, jnp.array([0.3]))[0] * SCENE.control_dt, 0.15, rtol=1e-5)


def test_a_gait_lifts_each_foot_as_a_sine_in_its_swing() -> None:
    # Both feet at 0.5 m. At three quarters of a cycle one is in the middle of its swing, half a cycle on the other stands.
    term = gait_rewards.gait_height(SCENE, geoms=["torso", "hand"], offsets=[0.0, 0.5], ground=0.4, lift=0.1, width=0.1, period_s=1.0)
    assert_allclose(values(term, z=0.5, time=0.75), (1 + math.exp(-1)) / 2, rtol=1e-5)
    clocked = gait_rewards.gait_height(SCENE, geoms=["torso"], offsets=[0.0], ground=0.4, lift=0.1, width=0.1)
    # A sixth of the swing on: sin(30 degrees) of the lift.
    assert_allclose(values(clocked, z=0.5, command=(0, 0, 0, 0.5 + 0.5 / 6)), math.exp(-0.25), rtol=1e-4)


def test_accelerations_and_jerks_of_bodies_are_differences_of_velocity() -> None:
    for term, expected in (
        (effort_rewards.body_acceleration_squared(SCENE, bodies=["torso", "arm"]), [50, 0]),  # 0.1 / 0.02 = 5 m/s^2, of both
        (effort_rewards.body_jerk_squared(SCENE, bodies=["torso"]), [62500, 62500]),  # 5 / 0.02 = 250 m/s^3
    ):
        views = [at(term, qvel=[0, v, 0, 0, 0, 0, 0, 0])[0] for v in (0.0, 0.1, 0.1)]
        assert term.initial is not None
        carry, seen = term.initial(views[0]), []
        for view in views[1:]:
            value, carry = term.compute(view, carry)
            seen.append(float(value))
        assert_allclose(seen, expected, rtol=1e-3, atol=1e-2)


def test_a_servo_is_asked_for_too_much_where_its_command_is_far_from_where_it_is() -> None:
    spec = ROBOT.fresh_spec()
    servos = actuators.position(ROBOT, actuators=["arm", "wing"], stiffness=5.0)
    assert servos.edit is not None
    servos.edit(spec)
    robot = Robot.from_spec(spec)
    scene = dataclasses.replace(SCENE, robot=robot)
    # The arm's gear of 2 makes 0.1 rad of the joint 0.2 of the actuator: 0.9 - 0.2 - 0.3. The wing is within reach.
    term = effort_rewards.command_beyond_reach(scene, limit=0.3)
    assert_allclose(values(term, robot=robot, arm=0.1, ctrl=[0.9, -0.2]), 0.4, rtol=1e-5)
    with pytest.raises(CoreError, match="'arm' is no position servo") as error:
        effort_rewards.command_beyond_reach(SCENE, limit=0.3)
    assert error.value.pointer == "/actuators/0"


def test_contacts_are_counted_and_forces_beyond_a_limit_summed() -> None:
    assert [float(values(gait_rewards.contact(SCENE, geoms=["torso", "hand"]), z=z)) for z in (0.5, 0.049, 0.019)] == [0, 1, 2]
    (force,) = values(contact_observations.contact_force(SCENE, geoms=["torso"]), z=0.049)
    assert force > 10
    for limit, expected in ((0.0, force), (10.0, force - 10), (2 * force, 0.0)):
        assert_allclose(values(gait_rewards.contact_force_beyond(SCENE, geoms=["torso"], limit=float(limit)), z=0.049), expected, rtol=1e-5)


def test_parts_of_a_robot_that_run_into_each_other_are_contacts_too() -> None:
    robot = Robot.from_xml(
        """<mujoco><option gravity="0 0 0"/><worldbody><geom name="floor" type="plane" size="1 1 1" pos="0 0 -1"/>
          <body><joint name="a" type="slide" axis="1 0 0"/><geom name="left" size=".1"/></body>
          <body pos=".5 0 0"><joint name="b" type="slide" axis="1 0 0"/><geom name="right" size=".1"/></body></worldbody></mujoco>"""
    )
    scene = Scene(robot=robot, control_dt=0.02, physics_dt=0.002, actuators=())
    term = gait_rewards.contact(scene, geoms=["left"], ground=["right"])
    compiled, layout = compile_robot(robot, term.needs, 0.002)
    data = mujoco.MjData(compiled.model)
    for place, expected in ((0.2, 0.0), (0.31, 1.0)):
        data.qpos[:] = [place, 0]
        mujoco.mj_forward(compiled.model, data)
        assert float(term.compute(view_of(layout, data))) == expected


@pytest.mark.parametrize(
    "make",
    [
        lambda: terminations.joint_outside(SCENE, joint="arm"),
        lambda: terminations.joint_too_fast(SCENE, joint="arm", speed=1.0),
        lambda: terminations.joint_reached(SCENE, joint="arm", tolerance=0.1),
        lambda: terminations.fallen(SCENE, angle=0.5),
        lambda: terminations.height_outside(SCENE, low=0.5),
        lambda: terminations.standing(SCENE, angle=0.5),
        lambda: terminations.moving(SCENE, speed=0.1),
        lambda: terminations.contact(SCENE, geoms=["torso"]),
        lambda: terminations.bad_state(SCENE, speed=1.0),
        lambda: terminations.far_away(SCENE, distance=0.1),
        lambda: terminations.site_reached(SCENE, site="tip", target="imu", tolerance=0.1),
        lambda: terminations.velocity_tracked(SCENE, linear=0.1, yaw=0.1),
    ],
)
def test_every_termination_is_a_whole_number_from_minus_one_to_one(make: Any) -> None:
    term = make()
    for state in ({}, {"z": 0.045, "arm": 3.0, "quat": TILT, "qvel": [5.0] * 8}):
        value = values(term, **state)
        assert value.dtype == jnp.int32
        assert value.shape == ()
        assert int(value) in (-1, 0, 1)
