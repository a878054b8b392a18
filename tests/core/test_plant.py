"""The signal path, and models saved with it."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from realitygap_core.errors import CoreError
from realitygap_core.model_file import save_model
from realitygap_core.parameters import apply, read
from realitygap_core.plant import channel_names, signal_path
from realitygap_core.robot import Robot

XML = """
<mujoco model="arm">
  <worldbody>
    <body name="link">
      <joint name="shoulder" axis="0 1 0" damping="0.01"/>
      <geom type="capsule" fromto="0 0 0 0 0 -.3" size=".02" mass="0.4"/>
    </body>
  </worldbody>
  <actuator><motor name="m" joint="shoulder"/></actuator>
  <sensor><jointpos name="angle" joint="shoulder"/></sensor>
  <custom><numeric name="realitygap/delay[m]" data="0.004"/></custom>
</mujoco>
"""


@pytest.fixture
def robot():
    return Robot.from_xml(XML)


def test_the_path_in_the_file_is_the_start_and_values_go_on_top(robot):
    assert signal_path(robot).delay_u.tolist() == [0.004]
    assert apply(robot, {"delay[m]": 0.01}).path.delay_u.tolist() == [0.01]
    assert apply(robot, {"latency": 0.02}).path.delay_u.tolist() == [0.02]
    assert apply(robot, {"sensor_offset[angle]": 0.1}).path.delay_u.tolist() == [0.004]


def test_channels_are_sensors_and_then_joints(robot):
    assert channel_names(robot) == ("angle", "shoulder")


def test_neutral_entries_are_left_out_of_the_values(robot):
    assert signal_path(robot).as_values() == {"delay[m]": 0.004}


def test_an_unknown_target_in_a_model_file_is_refused_with_the_nearest():
    with pytest.raises(CoreError) as caught:
        signal_path(Robot.from_xml(XML.replace("delay[m]", "sensor_offset[angel]")))
    assert "angle" in str(caught.value.hint)


def test_a_saved_model_gives_the_same_plant_back_and_loads_in_plain_mujoco(robot, tmp_path):
    values = {
        "mass[link]": 0.5,
        "com_z[link]": -0.17,
        "damping[shoulder]": 0.02,
        "frictionloss[shoulder]": 0.003,
        "stiffness[shoulder]": 0.2,
        "springref[shoulder]": -0.5,
        "gain[m]": 1.25,
        "delay[m]": 0.0085,
        "command_offset[m]": -0.02,
        "sensor_offset[angle]": 0.03,
        "gravity": 9.7,
    }
    file = save_model(robot, values, tmp_path / "identified.xml")
    again = read(Robot.load(file))
    for name, value in values.items():
        assert again[name] == pytest.approx(value, rel=1e-5), name
    plain = mujoco.MjModel.from_xml_path(str(file))
    # MJCF holds six digits; the derived constants must agree with the plant to as many.
    np.testing.assert_allclose(plain.dof_M0, apply(robot, values).model.dof_M0, rtol=2e-5)
    assert plain.numeric("realitygap/delay[m]").data[0] == pytest.approx(0.0085)


def test_a_neutral_path_leaves_no_numerics_in_the_file(robot, tmp_path):
    file = save_model(robot, {"delay[m]": 0.0}, tmp_path / "model.xml")
    assert "realitygap/" not in file.read_text()


def test_saving_brings_meshes_along(tmp_path):
    (tmp_path / "cad").mkdir()
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    (tmp_path / "cad" / "block.obj").write_text("".join(f"v {x} {y} {z}\n" for x, y, z in corners) + "f 1 2 3\nf 2 3 4\nf 5 6 7\n")
    text = XML.replace("<worldbody>", '<compiler meshdir="cad"/><asset><mesh name="b" file="block.obj"/></asset><worldbody>').replace(
        "</body>", '<geom type="mesh" mesh="b" mass="0.1"/></body>', 1
    )
    (tmp_path / "arm.xml").write_text(text)
    (tmp_path / "out").mkdir()
    file = save_model(Robot.load(tmp_path / "arm.xml"), {"damping[shoulder]": 0.5}, tmp_path / "out" / "new.xml")
    assert Robot.load(file).model.nmesh == 1
    assert str(tmp_path) not in file.read_text()


def test_a_saved_damping_ratio_is_the_damping_of_the_plant_that_was_fitted(tmp_path):
    text = XML.replace('<motor name="m" joint="shoulder"/>', '<position name="m" joint="shoulder" kp="30" dampratio="0.7"/>')
    robot = Robot.from_xml(text)
    plant = apply(robot, {"mass[link]": 1.6})
    plain = mujoco.MjModel.from_xml_path(str(save_model(robot, {"mass[link]": 1.6}, tmp_path / "identified.xml")))
    assert plant.model.actuator_biasprm[0, 2] < 0
    np.testing.assert_allclose(plain.actuator_biasprm[0], plant.model.actuator_biasprm[0], rtol=1e-5)


def test_a_force_range_that_is_not_symmetric_has_no_single_limit():
    wide = XML.replace('<motor name="m" joint="shoulder"/>', '<motor name="m" joint="shoulder" forcerange="LOW 2"/>')
    assert "force_limit[m]" in read(Robot.from_xml(wide.replace("LOW", "-2")))
    assert "force_limit[m]" not in read(Robot.from_xml(wide.replace("LOW", "-1")))
