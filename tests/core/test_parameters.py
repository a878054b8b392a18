"""Named parameters: consistent application, refusal of what cannot be."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

import mujoco
import numpy as np
import pytest

from realitygap_core import selection
from realitygap_core.errors import CoreError
from realitygap_core.model_file import save_model
from realitygap_core.parameter_kinds import TARGETS
from realitygap_core.parameters import Applier, apply, apply_many, describe, enumerate_parameters, read, split
from realitygap_core.robot import Robot

XML = """
<mujoco model="walker">
  <compiler angle="degree"/>
  <option timestep="0.002" gravity="0 0 -9.81"/>
  <worldbody>
    <geom name="floor" type="plane" size="5 5 .1"/>
    <body name="torso" pos="0 0 1">
      <freejoint name="root"/>
      <geom name="torso" type="box" size=".1 .05 .2" mass="3"/>
      <body name="thigh" pos="0 0 -.2">
        <joint name="hip" axis="0 1 0" range="-60 60" damping=".2" springref="10" stiffness="1.5"/>
        <geom name="thigh" type="capsule" fromto="0 0 0 .03 .01 -.3" size=".03" mass="1"/>
        <geom name="pad" type="sphere" pos=".05 0 -.1" size=".02" mass=".1"/>
        <body name="shin" pos="0 0 -.3">
          <joint name="knee" axis="0 1 0" armature=".01"/>
          <geom name="shin" type="sphere" size=".05" mass=".5"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="hip" joint="hip" gear="2"/>
    <position name="knee" joint="knee" kp="20" kv="0.5"/>
  </actuator>
</mujoco>
"""

# A value, and the same edit made by hand in the spec; angles there are in the file's degrees.
EDITS = {
    "mass[thigh]": (2.2, lambda spec: _inertia(spec, "thigh", mass=2.2)),
    "inertia_scale[thigh]": (1.7, lambda spec: _inertia(spec, "thigh", inertia=1.7)),
    "com_x[thigh]": (0.05, lambda spec: _inertia(spec, "thigh", com=(0, 0.05))),
    "com_z[shin]": (-0.07, lambda spec: _inertia(spec, "shin", com=(2, -0.07))),
    "com_y[torso]": (0.02, lambda spec: _inertia(spec, "torso", com=(1, 0.02))),
    "friction[shin]": (0.3, lambda spec: setattr(spec.geom("shin"), "friction", [0.3, 0.005, 0.0001])),
    "damping[hip]": (0.9, lambda spec: setattr(spec.joint("hip"), "damping", [0.9, 0, 0])),
    "frictionloss[knee]": (0.4, lambda spec: setattr(spec.joint("knee"), "frictionloss", 0.4)),
    "armature[knee]": (0.05, lambda spec: setattr(spec.joint("knee"), "armature", 0.05)),
    "stiffness[knee]": (3.0, lambda spec: setattr(spec.joint("knee"), "stiffness", [3.0, 0, 0])),
    "springref[hip]": (0.3, lambda spec: setattr(spec.joint("hip"), "springref", math.degrees(0.3))),
    "gain[hip]": (1.5, lambda spec: _gain(spec, "hip", 1.5)),
    "gain[knee]": (33.0, lambda spec: _gain(spec, "knee", 33.0, servo=True)),
    "velocity_gain[knee]": (0.8, lambda spec: _bias(spec, "knee", 2, -0.8)),
    "velocity_gain[hip]": (0.1, lambda spec: _bias(spec, "hip", 2, -0.1)),
    "force_limit[hip]": (4.0, lambda spec: _limit(spec, "hip", 4.0)),
    "gravity": (9.0, lambda spec: setattr(spec.option, "gravity", [0, 0, -9.0])),
}


def _inertia(spec, name, *, mass=None, inertia=1.0, com=None):
    model = spec.copy().compile()
    index, body = model.body(name).id, spec.body(name)
    body.explicitinertial = True
    old = model.body_mass[index]
    body.mass = mass if mass is not None else old
    body.inertia = model.body_inertia[index] * inertia * body.mass / old
    ipos = np.array(model.body_ipos[index])
    if com is not None:
        ipos[com[0]] = com[1]
    body.ipos, body.iquat = ipos, model.body_iquat[index]


def _gain(spec, name, value, *, servo=False):
    spec.actuator(name).gainprm = [value, *spec.actuator(name).gainprm[1:]]
    if servo:
        _bias(spec, name, 1, -value)


def _bias(spec, name, index, value):
    bias = np.array(spec.actuator(name).biasprm)
    bias[index] = value
    spec.actuator(name).biasprm = bias
    spec.actuator(name).biastype = mujoco.mjtBias.mjBIAS_AFFINE


def _limit(spec, name, value):
    spec.actuator(name).forcerange = [-value, value]
    spec.actuator(name).forcelimited = True


def _fields(model):
    found = {}
    # `stat` is left out: since MuJoCo 4 it only scales what is drawn.
    for owner, target in (("", model), ("opt.", model.opt)):
        for name in dir(target):
            value = None if name.startswith("_") or name in ("signature",) else getattr(target, name)
            if isinstance(value, (int, float, np.ndarray)):
                found[owner + name] = np.array(value)
    return found


@pytest.fixture(scope="module")
def robot():
    return Robot.from_xml(XML)


@pytest.mark.parametrize("name", EDITS)
def test_a_parameter_equals_the_edited_and_recompiled_model(robot, name):
    value, edit = EDITS[name]
    spec = robot.fresh_spec()
    edit(spec)
    wanted, got = _fields(spec.compile()), _fields(apply(robot, {name: value}).model)
    nominal = _fields(robot.model)
    assert any(not np.array_equal(nominal[field], got[field]) for field in got), "the edit changed nothing"
    for field, array in wanted.items():
        if field == "bvh_aabb" or field == "geom_sameframe":
            continue  # compared by motion below: the tree is a matter of speed
        np.testing.assert_allclose(got[field], array, rtol=1e-9, atol=1e-12, err_msg=field)


def test_a_moved_centre_of_mass_falls_and_collides_as_the_recompiled_model_does(robot):
    # The shin is a sphere about its body's origin: the compiler takes short cuts for it that a moved centre must undo.
    spec = robot.fresh_spec()
    _inertia(spec, "shin", com=(0, 0.03))
    wanted, got = spec.compile(), apply(robot, {"com_x[shin]": 0.03}).model
    ends = []
    for model in (wanted, got):
        data = mujoco.MjData(model)
        for _ in range(600):  # 1.2 s: falls onto the floor and tips over
            mujoco.mj_step(model, data)
        ends.append((data.qpos.copy(), data.ncon))
    np.testing.assert_allclose(ends[1][0], ends[0][0], atol=1e-6)
    assert ends[0][1] == ends[1][1] > 0


def test_applying_again_onto_the_same_plants_does_not_compound(robot):
    names = ("mass[thigh]", "inertia_scale[thigh]", "com_x[shin]", "gravity")
    values = np.array([[2.0, 1.5, 0.04, 9.0], [0.5, 0.7, -0.02, 10.0]])
    once = apply_many(robot, names, values)
    plants = apply_many(robot, names, values[::-1])
    again = apply_many(robot, names, values, into=plants)
    for a, b in zip(once, again, strict=True):
        first, second = _fields(a.model), _fields(b.model)
        for field in first:
            np.testing.assert_allclose(second[field], first[field], rtol=1e-12, atol=1e-15, err_msg=field)
    assert again[0].model is plants[0].model


def test_plants_of_one_call_do_not_share_a_model(robot):
    a, b = apply_many(robot, ("mass[thigh]",), np.array([[1.0], [2.0]]))
    assert a.model.body("thigh").mass[0] == 1.0
    assert b.model.body("thigh").mass[0] == 2.0
    assert robot.model.body("thigh").mass[0] == pytest.approx(1.1)


def test_reading_and_applying_the_nominal_values_changes_nothing(robot):
    values = {name: value for name, value in read(robot).items() if name != "latency"}
    got, nominal = _fields(apply(robot, values).model), _fields(robot.model)
    for field in ("body_mass", "body_inertia", "dof_M0", "actuator_gainprm", "actuator_forcelimited", "qpos_spring", "body_invweight0"):
        np.testing.assert_allclose(got[field], nominal[field], rtol=1e-9, atol=1e-12, err_msg=field)


@pytest.mark.parametrize(
    ("name", "hint"),
    [("mas[thigh]", "mass"), ("mass[tigh]", "mass[thigh]"), ("damping[hipp]", "damping[hip]"), ("delay[kne]", "delay[knee]")],
)
def test_an_unknown_name_is_refused_with_the_nearest(robot, name, hint):
    with pytest.raises(CoreError) as caught:
        apply(robot, {name: 1.0})
    assert hint in (caught.value.hint or "")


@pytest.mark.parametrize(("name", "value"), [("mass[thigh]", 0.0), ("mass[thigh]", -1.0), ("damping[hip]", -0.1), ("delay[hip]", -1e-3)])
def test_what_no_robot_can_have_is_refused(robot, name, value):
    with pytest.raises(CoreError, match="must be"):
        apply(robot, {name: value})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_refused(robot, value):
    with pytest.raises(CoreError, match="finite"):
        apply(robot, {"damping[hip]": value})


def test_latency_and_delay_together_are_refused(robot):
    with pytest.raises(CoreError, match="latency"):
        apply(robot, {"latency": 0.01, "delay[hip]": 0.01})


def test_units_and_kinds_follow_the_model(robot):
    parameters = enumerate_parameters(robot)
    assert parameters["damping[hip]"].unit == "N m s/rad"
    assert parameters["gain[knee]"].unit == "N m/rad"
    assert parameters["mass[thigh]"].nominal == pytest.approx(1.1)
    assert parameters["force_limit[hip]"].nominal == math.inf
    assert parameters["springref[hip]"].nominal == pytest.approx(math.radians(10))
    assert "mass[world]" not in parameters
    assert all(math.isfinite(info.low) and info.low < info.high for info in parameters.values())
    assert split("gravity") == ("gravity", "")


def test_mass_needs_a_body_and_gravity_takes_none(robot):
    for name in ("mass", "gravity[hip]"):
        with pytest.raises(CoreError, match="is written"):
            describe(robot, name)


def test_a_draw_that_does_not_fit_into_the_plants_given_is_refused(robot):
    applier = Applier(robot, ("mass[thigh]",))
    with pytest.raises(CoreError, match="do not fit"):
        applier.plants(np.ones((2, 1)), into=applier.plants(np.ones((1, 1))))


@pytest.mark.parametrize(
    "kind", ["command_rate", "command_scale", "sensor_scale", "velocity_gain", "friction", "contact_time", "damping", "delay"]
)
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_what_was_identified_once_lies_within_the_bounds_of_a_second_identification(kind, factor):
    # A value that a first fit found becomes the nominal one of the model that it saved.
    text = XML.replace('<motor name="hip" joint="hip" gear="2"/>', '<motor name="hip" joint="hip" ctrlrange="-1 1"/>')
    start = {"command_rate": 700.0, "friction": 1.0, "contact_time": 0.02, "damping": 0.2, "delay": 0.01, "velocity_gain": 0.5}.get(
        kind, 1.0
    )
    target = {"sensor_scale": "knee", "friction": "shin", "contact_time": "shin", "damping": "knee"}.get(kind, "hip")
    plant = save_and_load(Robot.from_xml(text), {f"{kind}[{target}]": start * factor})
    info = describe(plant, f"{kind}[{target}]")
    assert info.nominal == pytest.approx(start * factor, rel=1e-5)
    assert info.low <= info.nominal <= info.high
    assert info.low < info.high


def save_and_load(robot, values):
    with tempfile.TemporaryDirectory() as folder:
        return Robot.load(save_model(robot, values, Path(folder) / "identified.xml"))


def test_a_gain_that_pushes_with_the_velocity_lies_within_its_bounds():
    info = describe(save_and_load(Robot.from_xml(XML), {"velocity_gain[hip]": -0.3}), "velocity_gain[hip]")
    assert info.low <= info.nominal <= info.high


def test_every_own_parameter_of_a_model_is_of_a_kind_that_there_is():
    assert {*selection._ALWAYS, *selection._IF_PRESENT} <= set(TARGETS)
