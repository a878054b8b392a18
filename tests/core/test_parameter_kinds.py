"""Kinds of parameters beyond the plain fields: each equals the edited and recompiled model, draws do not compound, bodies stay possible."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from realitygap_core.contact import damping_ratio_of, restitution_of
from realitygap_core.errors import CoreError
from realitygap_core.inertial import moved_points
from realitygap_core.model_file import save_model
from realitygap_core.parameters import apply, apply_many, describe, enumerate_parameters
from realitygap_core.robot import Robot

XML = """
<mujoco model="walker">
  <option timestep="0.002" gravity="0 0 -9.81"/>
  <compiler angle="radian"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 .1" friction=".1 .001 .0001"/>
    <body name="torso" pos="0 0 1">
      <freejoint name="root"/>
      <geom name="torso" type="box" size=".1 .05 .2" density="700"/>
      <site name="imu" pos="0 0 .1"/>
      <body name="thigh" pos="0 0 -.2">
        <joint name="hip" axis="0 1 0" range="-1 1.2" springref=".2" stiffness="1.5"/>
        <geom name="thigh" type="capsule" fromto="0 0 0 .03 .01 -.3" size=".03" mass="1"/>
        <site name="knee" pos="0 0 -.3"/>
        <body name="shin" pos="0 0 -.3">
          <joint name="knee" axis="0 1 0" armature=".01"/>
          <geom name="shin" type="capsule" fromto="0 0 0 0 0 -.3" size=".03" density="900" condim="6"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator><position name="hip" joint="hip" kp="20" kv="0.5"/></actuator>
  <sensor><gyro name="gyro" site="imu"/><jointpos name="hip_pos" joint="hip"/></sensor>
</mujoco>
"""
TEN = {
    "pseudo_inertia_alpha": 0.1,
    "pseudo_inertia_dx": 0.2,
    "pseudo_inertia_dz": -0.3,
    "pseudo_inertia_sxy": 0.2,
    "pseudo_inertia_tz": 0.03,
}


def geom(name: str, **changes: Any) -> Callable[[mujoco.MjSpec], None]:
    def edit(spec: mujoco.MjSpec) -> None:
        for key, value in changes.items():
            setattr(spec.geom(name), key, value)

    return edit


def inertial(spec: mujoco.MjSpec, name: str, mass: float, full: np.ndarray, centre: np.ndarray) -> None:
    body = spec.body(name)
    body.explicitinertial, body.mass, body.ipos, body.iquat = True, mass, centre, [1, 0, 0, 0]
    body.fullinertia = [full[0, 0], full[1, 1], full[2, 2], full[0, 1], full[0, 2], full[1, 2]]


def by_points(spec: mujoco.MjSpec) -> None:
    """The thigh as eight mass points that have its mass, centre and inertia, moved one by one."""
    model = spec.copy().compile()
    body = model.body("thigh").id
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, model.body_iquat[body])
    second = model.body_inertia[body].sum() / 2 - model.body_inertia[body]
    spread = np.sqrt(second / model.body_mass[body])
    points = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * spread
    linear = np.array([[math.exp(0.2), 0.2, 0], [0, 1, 0], [0, 0, math.exp(-0.3)]])
    moved = (points @ linear.T + [0, 0, 0.03]) @ axes.reshape(3, 3).T + model.body_ipos[body]
    each = model.body_mass[body] * math.exp(0.2) / 8
    centre = moved.mean(axis=0)
    off = moved - centre
    full = each * sum(np.dot(p, p) * np.eye(3) - np.outer(p, p) for p in off)
    inertial(spec, "thigh", 8 * each, full, centre)


def turned_site(spec: mujoco.MjSpec) -> None:
    spec.site("imu").quat = [math.cos(0.1), math.sin(0.1), 0, 0]


def zero_at(spec: mujoco.MjSpec) -> None:
    joint = spec.joint("hip")
    joint.ref, joint.range, joint.springref = 0.1, [-0.9, 1.3], 0.3


EDITS: dict[str, tuple[dict[str, float], Callable[[mujoco.MjSpec], None]]] = {
    "friction of three kinds": (
        {"friction[shin]": 0.7, "friction_spin[shin]": 0.02, "friction_roll[shin]": 0.003},
        geom("shin", friction=[0.7, 0.02, 0.003]),
    ),
    # Critical damping keeps exp(-2).
    "restitution and contact time": (
        {"restitution[shin]": math.exp(-2), "contact_time[shin]": 0.01},
        geom("shin", solref=[0.01, 1.0]),
    ),
    "radius of a geom with a density": ({"radius[shin]": 0.04}, geom("shin", size=[0.04, 0, 0])),
    "radius of a geom with a mass": ({"radius[thigh]": 0.05}, geom("thigh", size=[0.05, 0, 0])),
    # About its own centre at -0.15: the ends go from 0, -0.3 to 0.05, -0.35.
    "length": ({"length[shin]": 0.4}, geom("shin", fromto=[0, 0, 0.05, 0, 0, -0.35])),
    "box": ({"size_x[torso]": 0.12, "size_z[torso]": 0.21}, geom("torso", size=[0.12, 0.05, 0.21])),
    "a radius under another mass": ({"radius[shin]": 0.04, "mass[torso]": 3.0}, lambda spec: heavier(spec)),
    "tilted IMU": ({"imu_tilt_x[imu]": 0.2}, turned_site),
    "joint zero": ({"zero_offset[hip]": 0.1}, zero_at),
    "tilted gravity": (
        {"gravity": 9.0, "gravity_tilt_y": 0.1},
        lambda spec: setattr(spec.option, "gravity", [-9.0 * math.sin(0.1), 0, -9.0 * math.cos(0.1)]),
    ),
    "pseudo-inertia": ({f"{kind}[thigh]": value for kind, value in TEN.items()}, by_points),
    "centre of a body that is one capsule": ({"com_x[shin]": 0.02}, lambda spec: shifted(spec)),
    "several on each field": (
        {
            "mass[thigh]": 1.5, "inertia_scale[thigh]": 1.3, "com_x[thigh]": 0.02, "com_z[thigh]": -0.2, "springref[hip]": 0.3,
            "zero_offset[hip]": 0.1, "stiffness[hip]": 2.0, "damping[hip]": 0.3, "armature[hip]": 0.02, "frictionloss[hip]": 0.1,
            "gain[hip]": 30.0, "velocity_gain[hip]": 0.8, "force_limit[hip]": 5.0,
        },
        lambda spec: many(spec),
    ),
}  # fmt: skip


def many(spec: mujoco.MjSpec) -> None:
    model = spec.copy().compile()
    body, axes = model.body("thigh").id, np.zeros(9)
    mujoco.mju_quat2Mat(axes, model.body_iquat[body])
    full = axes.reshape(3, 3) @ np.diag(model.body_inertia[body] * 1.5 * 1.3) @ axes.reshape(3, 3).T  # the file gives 1 kg
    inertial(spec, "thigh", 1.5, full, np.array([0.02, model.body_ipos[body, 1], -0.2]))
    joint, servo = spec.joint("hip"), spec.actuator("hip")
    zero_at(spec)
    joint.springref = 0.3 + 0.1  # the rest stays where it was, and reads more
    joint.stiffness, joint.damping, joint.armature, joint.frictionloss = [2.0, 0, 0], [0.3, 0, 0], 0.02, 0.1
    servo.gainprm, servo.biasprm = [30.0, *servo.gainprm[1:]], [0.0, -30.0, -0.8, *servo.biasprm[3:]]
    servo.forcerange, servo.forcelimited = [-5.0, 5.0], True


def heavier(spec: mujoco.MjSpec) -> None:
    geom("shin", size=[0.04, 0, 0])(spec)
    spec.geom("torso").mass = 3.0


def shifted(spec: mujoco.MjSpec) -> None:
    model = spec.copy().compile()
    body = model.body("shin").id
    inertial(spec, "shin", model.body_mass[body], np.diag(model.body_inertia[body]), model.body_ipos[body] + [0.02, 0, 0])


@pytest.fixture(scope="module")
def robot() -> Robot:
    return Robot.from_xml(XML)


def second_of_falling(model: mujoco.MjModel) -> tuple[np.ndarray, bool]:
    """Sensors and poses of a second on the way to the floor and on it, at a command that bends the hip."""
    data = mujoco.MjData(model)
    data.qvel[3:6] = [0.3, -0.2, 0.5]
    data.ctrl[:] = 0.4
    shown, touched = [], False
    for _ in range(500):
        mujoco.mj_step(model, data)
        shown.append(np.concatenate([data.sensordata, data.qpos, data.xpos.ravel(), data.geom_xpos.ravel()]))
        touched = touched or data.ncon > 0
    return np.array(shown), touched


@pytest.mark.parametrize("name", EDITS)
def test_it_moves_and_senses_as_the_edited_and_recompiled_model(robot: Robot, name: str) -> None:
    values, edit = EDITS[name]
    spec = robot.fresh_spec()
    edit(spec)
    wanted, got = spec.compile(), apply(robot, values).model
    for field in ("body_mass", "body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0", "geom_rbound", "geom_solref", "qpos0"):
        assert_allclose(getattr(got, field), getattr(wanted, field), rtol=1e-6, atol=1e-9, err_msg=field)
    (one, touched), (other, _) = second_of_falling(got), second_of_falling(wanted)
    # Frames that the compiler found equal to another are here computed: rounding, which the impact makes larger.
    assert_allclose(one, other, atol=1e-5)
    assert touched
    assert np.abs(second_of_falling(robot.model)[0] - one).max() > 1e-4, "the edit changed nothing"


@pytest.mark.parametrize("name", EDITS)
def test_draws_onto_the_same_plants_do_not_compound(robot: Robot, name: str) -> None:
    values, _ = EDITS[name]
    names, row = tuple(values), np.array([list(values.values())])
    once = apply_many(robot, names, row)[0].model
    plants = apply_many(robot, names, row * 0.9)
    again = apply_many(robot, names, row, into=plants)[0].model
    assert again is plants[0].model
    for field in (
        "body_mass",
        "body_inertia",
        "body_ipos",
        "body_iquat",
        "bvh_aabb",
        "geom_size",
        "geom_solref",
        "site_quat",
        "qpos0",
        "jnt_range",
    ):
        assert_allclose(getattr(again, field), getattr(once, field), rtol=1e-12, atol=1e-15, err_msg=field)
    assert_allclose(again.opt.gravity, once.opt.gravity, rtol=1e-15)


def test_zero_values_of_the_relative_kinds_change_nothing(robot: Robot) -> None:
    names = [
        n for n, i in enumerate_parameters(robot).items() if i.nominal == 0 and i.kind.split("_")[0] in ("pseudo", "imu", "zero", "gravity")
    ]
    assert len(names) >= 3 * 10 + 2 * 3 + 2 + 2
    got = apply(robot, dict.fromkeys(names, 0.0)).model
    for field in ("body_mass", "body_inertia", "body_ipos", "body_iquat", "site_quat", "qpos0", "qpos_spring", "jnt_range", "dof_M0"):
        assert_allclose(getattr(got, field), getattr(robot.model, field), rtol=1e-9, atol=1e-12, err_msg=field)


def test_mass_and_inertia_scale_come_before_the_points_are_moved(robot: Robot) -> None:
    # Mass 2 kg, then the density times e^(2 * 0.1).
    got = apply(robot, {"pseudo_inertia_alpha[thigh]": 0.1, "mass[thigh]": 2.0, "inertia_scale[thigh]": 1.5}).model.body("thigh")
    nominal = robot.model.body("thigh")
    assert got.mass[0] == pytest.approx(2 * math.exp(0.2))
    assert_allclose(got.inertia, nominal.inertia * 2 * 1.5 * math.exp(0.2), rtol=1e-12)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.floats(-2, 2), min_size=10, max_size=10),
    st.lists(st.floats(1e-4, 1), min_size=3, max_size=3),
)
def test_whatever_the_ten_numbers_are_the_body_can_be(ten: list[float], second: list[float]) -> None:
    inertia = sum(second) - np.array(second)
    mass, _, moments, turn = moved_points(2.0, inertia, np.array(ten))
    low, middle, high = np.sort(moments)
    assert mass > 0
    assert low > 0
    assert high <= (low + middle) * (1 + 1e-9)
    assert np.linalg.norm(turn) == pytest.approx(1)


def test_a_saved_model_has_the_sizes_the_tilt_the_zero_and_the_moved_points(robot: Robot, tmp_path: Path) -> None:
    values = {f"{kind}[thigh]": value for kind, value in TEN.items()}
    values |= {"radius[shin]": 0.04, "length[thigh]": 0.25, "imu_tilt_z[imu]": 0.1, "zero_offset[hip]": 0.1, "restitution[shin]": 0.5}
    values |= {"friction_roll[thigh]": 0.003, "gravity_tilt_x": 0.05}
    wanted, got = apply(robot, values).model, Robot.load(save_model(robot, values, tmp_path / "new.xml")).model
    for field in ("body_mass", "geom_size", "geom_pos", "geom_solref", "geom_friction", "qpos0", "qpos_spring", "jnt_range", "dof_M0"):
        assert_allclose(getattr(got, field), getattr(wanted, field), rtol=2e-5, atol=1e-7, err_msg=field)
    assert_allclose(got.opt.gravity, wanted.opt.gravity, rtol=1e-5, atol=1e-7)
    assert_allclose(np.abs(got.site("imu").quat), np.abs(wanted.site("imu").quat), atol=1e-6)


@pytest.mark.parametrize("wanted", [0.05, 0.2, 0.5, 0.8])
def test_a_dropped_ball_rebounds_with_the_restitution(wanted: float) -> None:
    ball = Robot.from_xml(
        """<mujoco><option timestep="0.0002" integrator="RK4"/><worldbody><geom type="plane" size="5 5 .1"/>
        <body name="ball" pos="0 0 1"><joint name="z" type="slide" axis="0 0 1"/>
        <geom name="ball" size=".05" mass="1" priority="1" solimp=".95 .95 .001"/></body></worldbody></mujoco>"""
    )
    model = apply(ball, {"restitution[ball]": wanted, "contact_time[ball]": 0.01}).model
    data = mujoco.MjData(model)
    speeds = []
    for _ in range(5000):
        mujoco.mj_step(model, data)
        speeds.append(data.qvel[0])
    down = int(np.argmin(speeds))
    assert max(speeds[down:]) / -min(speeds) == pytest.approx(wanted, abs=0.05)


def test_restitution_and_damping_ratio_are_inverse() -> None:
    assert restitution_of(1.0) == pytest.approx(math.exp(-2))
    assert restitution_of(1.0 - 1e-5) == pytest.approx(restitution_of(1.0 + 1e-5), abs=1e-4)
    for value in (0.01, 0.135, 0.3, 0.9):
        assert restitution_of(damping_ratio_of(value)) == pytest.approx(value)


def test_sizes_are_there_only_for_the_shapes_that_have_them(robot: Robot) -> None:
    names = enumerate_parameters(robot)
    assert {"radius[shin]", "length[shin]", "size_x[torso]"} <= set(names)
    assert not {"radius[torso]", "size_x[shin]", "radius[floor]"} & set(names)
    assert names["length[shin]"].nominal == pytest.approx(0.3)
    assert (names["length[shin]"].unit, names["imu_tilt_x[imu]"].unit, names["zero_offset[hip]"].unit) == ("m", "rad", "rad")
    assert all(math.isfinite(info.low) and info.low < info.high for info in names.values())


@pytest.mark.parametrize(("name", "value", "bound"), [("restitution[shin]", 1.2, "at most 0.99"), ("radius[shin]", 0.0, "positive")])
def test_sizes_and_restitutions_that_cannot_be_are_refused(robot: Robot, name: str, value: float, bound: str) -> None:
    with pytest.raises(CoreError, match=bound):
        apply(robot, {name: value})


def test_an_unknown_site_is_refused_with_the_nearest(robot: Robot) -> None:
    with pytest.raises(CoreError) as caught:
        describe(robot, "imu_tilt_x[imo]")
    assert "imu_tilt_x[imu]" in (caught.value.hint or "")
