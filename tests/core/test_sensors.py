"""Sensors that terms need: compiled in, found by name, of the instant of qpos."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from realitygap_core import paths, sensors
from realitygap_core.errors import CoreError
from realitygap_core.parameters import apply
from realitygap_core.robot import Robot
from realitygap_core.sensors import Need
from realitygap_core.task import compile_robot

MODEL = """
<mujoco model="two">
  <worldbody>
    <body name="base"><freejoint name="root"/><geom name="b" size="0.1"/>
      <body name="link" pos="0.2 0 0"><joint name="elbow" axis="0 1 0"/><geom size="0.05"/><site name="imu"/></body>
    </body>
  </worldbody>
  <actuator><motor name="drive" joint="elbow"/></actuator>
  <sensor><jointpos name="encoder" joint="elbow"/><jointvel name="cut" joint="elbow" cutoff="1"/></sensor>
</mujoco>
"""


@pytest.fixture(scope="module")
def robot() -> Robot:
    return Robot.from_xml(MODEL)


def test_a_need_that_the_model_already_meets_takes_its_own_sensor(robot: Robot) -> None:
    compiled, layout = compile_robot(robot, [Need("jointpos", "elbow")], 0.002)
    assert layout.name(Need("jointpos", "elbow")) == "encoder"
    assert compiled.model.nsensor == robot.model.nsensor


def test_a_sensor_with_a_cutoff_does_not_meet_a_need(robot: Robot) -> None:
    compiled, layout = compile_robot(robot, [Need("jointvel", "elbow")], 0.002)
    assert layout.name(Need("jointvel", "elbow")) == "jointvel/elbow"
    assert compiled.model.nsensor == robot.model.nsensor + 1


def test_each_compiled_sensor_reads_what_its_name_says(robot: Robot) -> None:
    needs = [
        Need("framepos", "imu", "site"),
        Need("framequat", "base"),
        Need("gyro", "imu"),
        Need("actuatorfrc", "drive"),
        Need("framepos", "link", reference="base"),
        Need("jointpos", "elbow"),
    ]
    compiled, layout = compile_robot(robot, needs, 0.002)
    data = mujoco.MjData(compiled.model)
    data.qpos[:] = [1, 2, 3, 1, 0, 0, 0, 0.3]
    data.ctrl[:] = 0.7
    mujoco.mj_forward(compiled.model, data)
    read = {need: data.sensordata[layout[need]] for need in needs}
    np.testing.assert_allclose(read[needs[0]], data.site("imu").xpos)
    np.testing.assert_allclose(read[needs[1]], [1, 0, 0, 0])
    np.testing.assert_allclose(read[needs[3]], [0.7])
    np.testing.assert_allclose(read[needs[4]], [0.2, 0, 0], atol=1e-12)
    np.testing.assert_allclose(read[needs[5]], [0.3])
    # The joint lies behind the seven numbers of a free joint: nothing here counted them.
    assert robot.joint("elbow").qposadr[0] == 7


def test_compiling_leaves_the_given_robot_as_it_was(robot: Robot) -> None:
    before = robot.digest
    compile_robot(robot, [Need("gyro", "imu")], 0.004)
    assert robot.digest == before
    assert robot.fresh_spec().compile().nsensor == 2


def test_warm_start_and_silent_resets_are_off_in_a_compiled_robot(robot: Robot) -> None:
    flags = compile_robot(robot, [], 0.002)[0].model.opt.disableflags
    assert flags & mujoco.mjtDisableBit.mjDSBL_WARMSTART
    assert flags & mujoco.mjtDisableBit.mjDSBL_AUTORESET


def test_an_unknown_sensor_type_or_name_is_told_with_the_nearest(robot: Robot) -> None:
    with pytest.raises(CoreError, match="no sensor type 'jointpoz'") as error:
        sensors.add(robot.fresh_spec(), [Need("jointpoz", "elbow")])
    assert "jointpos" in str(error.value.hint)
    with pytest.raises(CoreError, match="no sensor 'encodr'") as error:
        sensors.add(robot.fresh_spec(), [Need("named", "encodr")])
    assert "encoder" in str(error.value.hint)


def test_reading_a_sensor_that_was_not_declared_is_an_error(robot: Robot) -> None:
    _, layout = compile_robot(robot, [], 0.002)
    with pytest.raises(CoreError, match="not declared"):
        layout[Need("gyro", "imu")]


def test_a_joints_offset_reaches_its_own_sensor_and_the_one_that_a_task_adds() -> None:
    text = MODEL.replace('<jointpos name="encoder" joint="elbow"/>', '<jointpos joint="elbow"/>')
    compiled, layout = compile_robot(Robot.from_xml(text), [Need("jointpos", "elbow")], 0.002)
    path = apply(compiled, {"sensor_offset[elbow]": 0.3}).path
    # The model's own sensor has no name, so it cannot be the one that a term reads.
    assert layout.name(Need("jointpos", "elbow")) == "jointpos/elbow"
    assert paths.stack([path], compiled.model, layout).sensor_offset_s[0].tolist() == pytest.approx([0.3, 0.0, 0.3])
