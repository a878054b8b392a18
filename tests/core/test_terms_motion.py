"""Terms of bodies, contacts, gaits, effort: each against what MuJoCo itself gives, or a value worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose
from termbench import FALLING, ROBOT, SCENE, TILT, at, values

from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot
from realitygap_core.task import compile_robot
from realitygap_core.terms import (
    base_observations,
    clock_observations,
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
from realitygap_core.terms.term import Scene, View


def body_axes(vector: Any) -> Any:
    """`vector` of the world in the axes of the tilted torso, by MuJoCo's own rotation."""
    result = np.zeros(3)
    inverse = TILT * [1, -1, -1, -1]
    mujoco.mju_rotVecQuat(result, np.asarray(vector, float), inverse)
    return result


def test_base_velocities_are_those_of_the_free_joint():
    qvel = FALLING["qvel"]
    # A free joint's qvel: linear in the axes of the world, angular in those of the body.
    assert_allclose(values(base_observations.base_linear_velocity(SCENE, frame="world"), **FALLING), qvel[:3], atol=1e-6)
    assert_allclose(values(base_observations.base_linear_velocity(SCENE), **FALLING), body_axes(qvel[:3]), atol=1e-6)
    assert_allclose(values(base_observations.base_angular_velocity(SCENE), **FALLING), qvel[3:6], atol=1e-6)
    assert_allclose(body_axes(values(base_observations.base_angular_velocity(SCENE, frame="world"), **FALLING)), qvel[3:6], atol=1e-6)


def test_base_pose_is_that_of_the_free_joint_with_w_not_negative():
    assert_allclose(values(base_observations.base_position(SCENE)), [0.4, 0.1, 1.0], atol=1e-6)
    assert_allclose(values(base_observations.base_orientation(SCENE), quat=-TILT), TILT, atol=1e-6)


def test_projected_gravity_is_down_in_the_bodys_axes():
    term = base_observations.projected_gravity(SCENE)
    assert_allclose(values(term), [0, 0, -1], atol=1e-6)
    # Nose down by 0.6 rad about y: gravity has a part sin(0.6) along the body's x.
    assert_allclose(values(term, quat=TILT), [math.sin(0.6), 0, -math.cos(0.6)], atol=1e-6)


def test_projected_gravity_lags_by_its_time_constant_and_tilts_by_its_bias():
    term = base_observations.projected_gravity(SCENE, lag_s=0.02)
    upright, _ = at(term)
    tilted, _ = at(term, quat=TILT)
    assert term.initial is not None
    value, _ = term.compute(tilted, term.initial(upright, jax.random.PRNGKey(0)))
    # One time constant later 1 - 1/e of the step from 0 to sin(0.6) has come.
    assert_allclose(value[0], (1 - math.exp(-1)) * math.sin(0.6), atol=1e-6)
    askew = base_observations.projected_gravity(SCENE, bias_rad=0.05)
    assert askew.initial is not None
    drawn = jax.vmap(lambda key: askew.compute(upright, askew.initial(upright, key))[0])(jax.random.split(jax.random.PRNGKey(1), 2000))
    assert_allclose(jnp.std(drawn[:, :2], axis=0), [0.05, 0.05], rtol=0.1)
    assert_allclose(jnp.linalg.norm(drawn, axis=1), 1.0, atol=1e-5)


def test_an_imu_at_rest_in_free_fall_and_turning():
    assert_allclose(values(imu_observations.gyro(SCENE, site="imu"), **FALLING), FALLING["qvel"][3:6], atol=1e-5)
    # Nothing holds the robot: in free fall the accelerometer shows nothing.
    assert_allclose(values(imu_observations.accelerometer(SCENE, site="imu")), [0, 0, 0], atol=1e-4)


def test_the_centre_of_mass_is_the_weighted_mean_of_the_bodies():
    # Torso 4 kg at 0, arm 1 kg at 0.35, wing 1 kg at -0.35: with the arm turned down by 0.5 rad.
    expected = [(0.2 + 0.15 * math.cos(0.5) - 0.35) / 6, 0, -0.15 * math.sin(0.5) / 6]
    assert_allclose(values(pose_observations.center_of_mass(SCENE), arm=0.5), expected, atol=1e-5)
    assert_allclose(
        values(pose_observations.center_of_mass_velocity(SCENE, frame="world"), qvel=[1, 2, 3, 0, 0, 0, 0, 0]), [1, 2, 3], atol=1e-5
    )


def test_positions_are_relative_to_the_body_named():
    assert_allclose(values(pose_observations.body_position(SCENE, bodies=["arm"], relative_to="torso"), quat=TILT), [0.2, 0, 0], atol=1e-6)
    assert_allclose(values(pose_observations.site_position(SCENE, sites=["tip"])), [0.9, 0.1, 1.0], atol=1e-6)
    assert_allclose(
        values(pose_observations.site_difference(SCENE, site="imu", target="tip", relative_to="torso"), quat=TILT), [0.5, 0, 0], atol=1e-6
    )
    turned = values(pose_observations.body_orientation(SCENE, bodies=["arm"], relative_to="torso"), arm=0.6, quat=TILT)
    assert_allclose(turned, TILT, atol=1e-6)


def test_contact_force_at_rest_is_the_weight():
    term = contact_observations.contact_force(SCENE, geoms=["torso", "hand"])
    robot, layout = compile_robot(ROBOT, term.needs, 0.002)
    data = mujoco.MjData(robot.model)
    data.qpos[2] = 0.05
    for _ in range(1500):
        mujoco.mj_step(robot.model, data)
    mujoco.mj_forward(robot.model, data)
    forces = term.compute(view_of(layout, data))
    assert_allclose(forces.sum() + values_of_wing(robot, data), 6 * 9.81, rtol=1e-3)
    touching = contact_observations.contact(SCENE, geoms=["torso"])
    assert_allclose(values(touching, z=0.049), [1.0])
    assert_allclose(values(touching, z=0.2), [0.0])


def values_of_wing(robot: Robot, data: mujoco.MjData) -> float:
    """Normal force on the wing, contact by contact, by MuJoCo's own function."""
    total, force, wing = 0.0, np.zeros(6), robot.id("geom", "wing")
    for index in range(data.ncon):
        if wing in (data.contact[index].geom1, data.contact[index].geom2):
            mujoco.mj_contactForce(robot.model, data, index, force)
            total += force[0]
    return total


def test_a_geom_that_cannot_touch_the_ground_is_told():
    ghost = Robot.from_xml(
        "<mujoco><worldbody><geom name='floor' type='plane' size='1 1 1'/>"
        "<body name='b'><freejoint name='j'/><geom name='foot' size='.1' contype='0' conaffinity='0'/></body></worldbody></mujoco>"
    )
    with pytest.raises(CoreError, match="collide with nothing"):
        contact_observations.contact(Scene(robot=ghost, control_dt=0.02, physics_dt=0.002, actuators=()), geoms=["foot"])


def test_phase_turns_once_a_period():
    term = clock_observations.phase(SCENE, period_s=0.8, offsets=[0.0, 0.5])
    assert_allclose(values(term, time=0.2), [1, -1, 0, 0], atol=1e-6)  # a quarter of a turn: sine 1; half a turn ahead: -1


def test_tracking_is_one_at_the_command_and_falls_by_its_kernel():
    moving = {"qvel": [0.6, 0.1, 0, 0, 0, 0.5, 0, 0]}
    linear, turn = tracking_rewards.track_linear_velocity(SCENE, width=0.5), tracking_rewards.track_yaw_rate(SCENE, width=0.5)
    assert_allclose(values(linear, **moving, command=(0.6, 0.1, 0, 0)), 1.0)
    assert_allclose(values(linear, **moving, command=(0.3, 0.5, 0, 0)), math.exp(-(0.3**2 + 0.4**2) / 0.25), rtol=1e-5)
    assert_allclose(values(turn, **moving, command=(0, 0, 1.0, 0)), math.exp(-1), rtol=1e-5)
    # 3 m/s along the world's x, nose turned down: the command counts in the body's own axes.
    tilted = values(linear, quat=TILT, qvel=[3, 0, 0, 0, 0, 0, 0, 0], command=(3 * math.cos(0.6), 0, 0, 0))
    assert_allclose(tilted, 1.0, rtol=1e-5)


def test_off_axis_velocity_tells_its_parts():
    parts = values(tracking_rewards.off_axis_velocity(SCENE), qvel=[1, 0, 0.5, 0.3, -0.4, 9, 0, 0])
    assert_allclose([parts["vertical"], parts["roll_pitch"]], [0.25, 0.25], rtol=1e-5)


def test_forward_speed_and_height_are_clipped():
    forward = tracking_rewards.forward_speed(SCENE, target=2.0)
    assert [float(values(forward, qvel=[v, 0, 0, 0, 0, 0, 0, 0])) for v in (-1, 1, 5)] == [0.0, 0.5, 1.0]
    height = posture_rewards.height_above(SCENE, height=1.0, margin=0.5)
    assert_allclose([values(height, z=z) for z in (0.4, 0.75, 2.0)], [0, 0.5, 1], atol=1e-6)
    assert_allclose(values(posture_rewards.base_height(SCENE, target=0.8, width=0.2)), math.exp(-1), rtol=1e-5)


def test_upright_and_tilt():
    assert_allclose(values(posture_rewards.upright(SCENE), quat=TILT), (1 + math.cos(0.6)) / 2, rtol=1e-5)
    assert_allclose(values(posture_rewards.tilt_squared(SCENE), quat=TILT), math.sin(0.6) ** 2, rtol=1e-5)


def test_standing_still_counts_only_while_nothing_is_asked_for():
    term = posture_rewards.stand_still(SCENE, below=0.1)
    assert_allclose(values(term, arm=0.2, wing=-0.3, command=(0.05, 0, 0, 0)), 0.5, rtol=1e-5)
    assert_allclose(values(term, arm=0.2, wing=-0.3, command=(0, 0, -0.5, 0)), 0.0)


def test_symmetry_forgives_alternation_and_not_a_lean():
    term = posture_rewards.symmetry(SCENE, pairs=[["arm", "wing"]], over_s=0.2)
    assert term.initial is not None
    apart, even = at(term, arm=0.4, wing=-0.4)[0], at(term, arm=-0.4, wing=0.4)[0]
    carry = jnp.zeros(1)
    swinging = []
    for step in range(200):
        value, carry = term.compute((apart, even)[step % 2], carry)
        swinging.append(float(value))
    assert swinging[-1] < 0.01
    assert_allclose(values(term, arm=0.4, wing=-0.4), 0.64, rtol=1e-5)
    mirrored = posture_rewards.symmetry(SCENE, pairs=[["arm", "wing"]], over_s=0.0, mirrored=True)
    assert_allclose(values(mirrored, arm=0.4, wing=-0.4), 0.0, atol=1e-6)


def test_air_time_is_paid_at_touch_down():
    term = gait_rewards.feet_air_time(SCENE, geoms=["torso"], target_s=0.05)
    down, up = at(term, z=0.049, command=(1, 0, 0, 0))[0], at(term, z=0.5, command=(1, 0, 0, 0))[0]
    assert term.initial is not None
    carry, paid = term.initial(down), []
    for view in (down, up, up, up, up, down, down):
        value, carry = term.compute(view, carry)
        paid.append(float(value) * SCENE.control_dt)
    # Four steps of 0.02 s in the air, 0.05 s of which are worth nothing, paid once.
    assert_allclose(paid, [0, 0, 0, 0, 0, 0.03, 0], atol=1e-6)
    still = at(term, z=0.049)[0]
    assert float(term.compute(still, jnp.array([0.4]))[0]) == 0.0


def test_gait_phase_counts_the_feet_that_are_where_the_clock_wants_them():
    term = gait_rewards.gait_phase(SCENE, geoms=["torso", "hand"], offsets=[0.0, 0.5], period_s=1.0)
    assert_allclose(values(term, z=0.5, time=0.25), 0.5)  # torso should stand and does not, hand should swing and does
    clocked = gait_rewards.gait_phase(SCENE, geoms=["torso", "hand"], offsets=[0.5, 0.5])
    assert_allclose(values(clocked, z=0.5, command=(0, 0, 0, 0.1)), 1.0)  # both in swing


def test_slip_and_clearance():
    slip = gait_rewards.feet_slip(SCENE, geoms=["torso"])
    assert_allclose(values(slip, z=0.049, qvel=[0.3, 0.4, 0, 0, 0, 0, 0, 0]), 0.25, rtol=1e-4)
    assert_allclose(values(slip, z=0.5, qvel=[0.3, 0.4, 0, 0, 0, 0, 0, 0]), 0.0)
    clearance = gait_rewards.foot_clearance(SCENE, geoms=["torso"], height=0.3)
    assert_allclose(values(clearance, z=0.5, qvel=[0.3, 0.4, 0, 0, 0, 0, 0, 0]), 0.2**2 * 0.5, rtol=1e-4)


def test_energy_is_force_times_velocity_of_each_actuator():
    # Gear 2: force 3 at 2 * 1.5 rad/s, and 1 at -2 rad/s, which brakes.
    assert_allclose(values(effort_rewards.energy(SCENE), ctrl=[3, 1], **FALLING), 3 * 3 + 1 * 2, rtol=1e-5)


def test_differences_of_the_action():
    for term, expected in (
        (effort_rewards.action_acceleration_squared(SCENE), [1, 4, 1]),
        (effort_rewards.action_jerk_squared(SCENE), [1, 9, 9]),
    ):
        assert term.initial is not None
        carry, seen = term.initial(at(term)[0]), []
        for action in (1.0, 0.0, 0.0):  # second differences 1, -2, 1; third 1, -3, 3
            value, carry = term.compute(at(term, action=(action, 0.0))[0], carry)
            seen.append(float(value))
        assert_allclose(seen, expected)


def test_joint_acceleration_and_jerk_are_differences_of_velocity():
    speeds = [[0] * 6 + [v, 0] for v in (0.0, 0.1, 0.1)]
    for term, expected in (
        (effort_rewards.joint_acceleration_squared(SCENE), [25, 0]),  # 0.1 / 0.02 = 5 rad/s^2
        (effort_rewards.joint_jerk_squared(SCENE), [62500, 62500]),  # 5 / 0.02 = 250 rad/s^3
    ):
        views = [at(term, qvel=speed)[0] for speed in speeds]
        assert term.initial is not None
        carry, seen = term.initial(views[0]), []
        for view in views[1:]:
            value, carry = term.compute(view, carry)
            seen.append(float(value))
        assert_allclose(seen, expected, rtol=1e-4, atol=1e-3)


def test_joint_limits_count_what_is_past_a_share_of_the_range():
    assert_allclose(values(effort_rewards.joint_limits(SCENE, share=0.5), arm=0.8, wing=-0.6), 0.4, rtol=1e-5)


def test_ternary_terminations():
    fallen = terminations.fallen(SCENE, angle=0.5, height=0.3)
    assert [int(values(fallen, **s)) for s in ({}, {"quat": TILT}, {"z": 0.2})] == [0, -1, -1]
    standing = terminations.standing(SCENE, angle=0.5)
    assert [int(values(standing, **s)) for s in ({}, {"quat": TILT})] == [1, 0]
    moving = terminations.moving(SCENE, speed=0.4, angle=0.5)
    forward = {"qvel": [0.5] + [0] * 7}
    assert [int(values(moving, **s)) for s in ({}, forward, {"qvel": [-0.5] + [0] * 7}, forward | {"quat": TILT})] == [0, 1, 0, 0]
    touching = terminations.contact(SCENE, geoms=["torso"])
    assert [int(values(touching, z=z)) for z in (0.5, 0.045)] == [0, -1]
    assert [int(values(terminations.bad_state(SCENE, speed=10), qvel=[0] * 6 + [v, 0])) for v in (1, -11)] == [0, -1]
    assert int(values(terminations.far_away(SCENE, distance=0.3))) == -1
    reached = terminations.site_reached(SCENE, site="tip", point=[0.9, 0.1, 1.0], tolerance=0.01)
    assert [int(values(reached, z=z)) for z in (1.0, 1.1)] == [1, 0]
    tracked = terminations.velocity_tracked(SCENE, linear=0.1, yaw=0.1)
    assert [int(values(tracked, command=c)) for c in ((0, 0, 0, 0), (0, 0.2, 0, 0), (0, 0, 0.2, 0))] == [1, 0, 0]


def test_not_a_number_is_a_bad_state():
    term = terminations.bad_state(SCENE)
    view, _ = at(term)
    broken = View(**{**vars(view), "sensordata": view.sensordata.at[0].set(jnp.nan)})
    assert int(term.compute(broken)) == -1
