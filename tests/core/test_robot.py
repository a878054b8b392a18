"""Robots from MJCF and URDF: what is refused, what is converted, what names find."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose

import realitygap_core
from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot

QUBE = Path(realitygap_core.__file__).parent / "robots" / "qube" / "qube.xml"

BODY = """
<mujoco model="one">{extra}
  <worldbody><body name="link"><joint name="hinge" axis="0 1 0"/>{inertial}</body></worldbody>
</mujoco>"""

URDF = """
<robot name="arm"><link name="base"/>
  <link name="forearm"><inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="{izz}" ixy="0" ixz="0" iyz="0"/></inertial></link>
  <joint name="elbow" type="revolute"><parent link="base"/><child link="forearm"/><axis xyz="0 1 0"/>
    <limit lower="-1" upper="1" effort="3" velocity="1"/></joint>
</robot>"""


def _body(inertial: str, extra: str = "") -> str:
    return BODY.format(inertial=inertial, extra=extra)


@pytest.mark.parametrize(
    "inertial",
    [
        '<inertial pos="0 0 0" mass="1" diaginertia="1 1 -0.1"/>',
        # Positive on the diagonal, eigenvalues -1, 1, 3: only the matrix shows it.
        '<inertial pos="0 0 0" mass="1" fullinertia="1 1 1 2 0 0"/>',
    ],
)
@pytest.mark.parametrize("extra", ["", '<compiler balanceinertia="true"/>'])
def test_a_negative_inertia_about_the_centre_of_mass_is_refused_by_body_name(inertial, extra):
    with pytest.raises(CoreError, match="body 'link' has a negative moment of inertia about its centre of mass") as caught:
        Robot.from_xml(_body(inertial, extra))
    assert caught.value.where == "one"
    assert "m r^2" in caught.value.hint


def test_moments_that_no_rigid_body_has_are_refused_and_balancing_is_told():
    # 3 > 1 + 1: the triangle inequality of principal moments.
    inertial = '<inertial pos="0 0 0" mass="1" diaginertia="1 1 3"/>'
    with pytest.raises(CoreError, match="body 'link' has impossible moments of inertia"):
        Robot.from_xml(_body(inertial))
    balanced = Robot.from_xml(_body(inertial, '<compiler balanceinertia="true"/>'))
    assert "body 'link'" in balanced.notes[0]
    assert_allclose(balanced.model.body("link").inertia, 5 / 3)


def test_a_flat_body_at_the_edge_of_the_triangle_inequality_is_accepted():
    assert Robot.from_xml(_body('<inertial pos="0 0 0" mass="1" diaginertia="1 2 3"/>')).notes == ()


def test_inertials_that_the_compiler_does_not_use_are_not_checked():
    text = _body('<inertial pos="0 0 0" mass="1" diaginertia="1 1 -1"/><geom size="0.1"/>', '<compiler inertiafromgeom="true"/>')
    assert Robot.from_xml(text).model.body("link").mass[0] > 0


@pytest.mark.parametrize("mass", ["-1", "0"])
def test_a_moving_body_without_mass_is_refused_by_name(mass):
    with pytest.raises(CoreError, match="'link'"):
        Robot.from_xml(_body(f'<inertial pos="0 0 0" mass="{mass}" diaginertia="1 1 1"/>'))


def test_a_file_that_is_no_model_is_told_as_that(tmp_path):
    (tmp_path / "log.csv").write_text("t,q\n0,1\n")
    with pytest.raises(CoreError, match=r"log\.csv' is not a model") as caught:
        Robot.load(tmp_path / "log.csv")
    assert "MJCF or URDF" in str(caught.value.hint)


def test_a_urdf_with_impossible_inertia_is_refused_and_a_sound_one_gets_motors():
    with pytest.raises(CoreError, match="'forearm' has a negative moment"):
        Robot.from_xml(URDF.format(izz=-1))
    robot = Robot.from_xml(URDF.format(izz=1))
    assert robot.names("actuator") == ("elbow",)
    assert "elbow" in robot.notes[0]
    assert robot.model.actuator_gainprm[0, 0] == 1.0


def test_a_model_that_does_not_compile_gives_the_compilers_message_with_file_and_line(tmp_path):
    path = tmp_path / "robot.xml"
    path.write_text('<mujoco>\n  <worldbody>\n    <geom type="capsulee" size="1"/>\n  </worldbody>\n</mujoco>\n')
    with pytest.raises(CoreError, match="invalid keyword: 'capsulee'") as caught:
        Robot.load(path)
    assert caught.value.where == f"{path}:3"


@pytest.mark.parametrize("content", [b"", b"<mujoco><worldbody>", b"\x00\xff\x00garbage", b"hello"])
def test_a_file_that_is_no_model_is_an_error_that_names_it(tmp_path, content):
    path = tmp_path / "robot.xml"
    path.write_bytes(content)
    with pytest.raises(CoreError) as caught:
        Robot.load(path)
    assert str(path) in caught.value.where


def test_a_missing_file_is_an_error_that_names_it(tmp_path):
    with pytest.raises(CoreError, match="no model file"):
        Robot.load(tmp_path / "none.xml")


def test_native_delays_move_into_the_signal_path():
    text = """
    <mujoco><worldbody><body name="b"><joint name="j"/><geom size="0.1"/></body></worldbody>
      <actuator><motor name="m" joint="j" delay="0.004" nsample="10"/></actuator>
      <sensor><jointpos name="p" joint="j" delay="0.002" nsample="4"/></sensor>
      <custom><numeric name="realitygap/command_scale[m]" data="0.9"/><numeric name="other" data="1 2"/></custom></mujoco>"""
    robot = Robot.from_xml(text)
    assert robot.path_values == {"command_scale[m]": 0.9, "delay[m]": 0.004, "sensor_delay[p]": 0.002}
    assert robot.model.actuator_delay[0] == 0
    assert robot.model.sensor_delay[0] == 0
    assert robot.model.nhistory == 0
    assert len(robot.notes) == 2
    both = text.replace("command_scale[m]", "delay[m]")
    with pytest.raises(CoreError, match="also has a custom numeric"):
        Robot.from_xml(both)


def test_a_path_value_must_be_one_finite_number():
    with pytest.raises(CoreError, match="must hold one finite number"):
        Robot.from_xml('<mujoco><custom><numeric name="realitygap/delay[m]" data="1 2"/></custom></mujoco>')


def test_unknown_names_come_with_the_nearest():
    robot = Robot.load(QUBE)
    with pytest.raises(CoreError, match="no joint 'pol'") as caught:
        robot.joint("pol", pointer="/channels/x/joint")
    assert caught.value.hint == "did you mean 'pole'?"
    assert caught.value.pointer == "/channels/x/joint"
    assert robot.names("joint") == ("arm", "pole")
    assert robot.actuator("motor").id == 0


def test_the_digest_is_of_the_content_with_includes_and_not_of_the_path(tmp_path):
    def write(folder: Path, damping: float, comment: str) -> Robot:
        folder.mkdir()
        (folder / "part.xml").write_text(
            f'<mujocoinclude><body name="b"><joint name="j" damping="{damping}"/><geom size="0.1"/></body></mujocoinclude>'
        )
        (folder / "robot.xml").write_text(f'<mujoco><!-- {comment} --><worldbody><include file="part.xml"/></worldbody></mujoco>')
        return Robot.load(folder / "robot.xml")

    one, same, other = write(tmp_path / "a", 1, "x"), write(tmp_path / "b", 1, "y"), write(tmp_path / "c", 2, "x")
    assert one.digest == same.digest
    assert one.digest != other.digest


def test_editing_a_fresh_spec_leaves_the_robot_alone():
    robot = Robot.load(QUBE)
    spec = robot.fresh_spec()
    spec.joint("arm").damping[0] = 1.0
    assert spec.compile().dof_damping[0] == 1.0
    assert robot.fresh_spec().compile().dof_damping[0] == 5e-6


def test_the_qube_has_the_published_parameters():
    model = Robot.load(QUBE).model
    # Motor: gain km / R = 0.042 / 8.4, back-EMF km^2 / R.
    assert_allclose(model.actuator_gainprm[0, 0], 0.042 / 8.4)
    assert_allclose(model.actuator_biasprm[0, :3], [0, 0, -(0.042**2) / 8.4])
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    inertia = np.zeros((2, 2))
    mujoco.mj_fullM(model, data, inertia)
    # Hanging: arm m l^2 / 12 about the pivot, and the pole's mass at 0.085 m (its own axis adds 2.7e-7).
    assert_allclose(inertia[0, 0], 0.095 * 0.085**2 / 12 + 0.024 * 0.085**2, rtol=2e-3)
    assert_allclose(inertia[1, 1], 0.024 * 0.129**2 / 12 + 0.024 * 0.0645**2, rtol=1e-5)
    assert_allclose(model.dof_damping, [5e-6, 1e-6])
    assert_allclose(model.dof_frictionloss, 0)
    assert model.opt.timestep == 0.001
