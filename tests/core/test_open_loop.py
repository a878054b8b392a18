"""Commands in open loop: the plain simulator gives the same motion, and a plant's delay arrives."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose

from realitygap_core import robots
from realitygap_core.errors import CoreError, unknown
from realitygap_core.open_loop import commands_of, roll, waveform
from realitygap_core.parameters import apply
from realitygap_core.robot import Robot


@pytest.fixture(scope="module")
def qube() -> Robot:
    return Robot.load(robots.model_path("qube") or "")


def test_waveforms_are_what_their_names_say() -> None:
    t = np.arange(0, 2, 0.001)
    assert_allclose(waveform({"shape": "constant", "amplitude": 2, "offset": 1}, t), 3.0)
    assert_allclose(waveform({"shape": "step", "start_s": 0.5}, t)[[499, 500]], [0, 1])
    assert_allclose(waveform({"shape": "sine", "amplitude": 3, "hz": 0.5}, t)[500], 3.0)
    # The phase of a chirp grows by 2 pi f: its frequency at the end is the one asked for.
    chirp = waveform({"shape": "chirp", "hz": 1, "end_hz": 20}, t)
    crossings = np.flatnonzero(np.diff(np.sign(chirp)))
    assert 1 / (2 * 0.001 * np.diff(crossings)[-1]) == pytest.approx(20, rel=0.05)


def test_a_hint_names_a_dozen_of_what_there_is_and_counts_the_rest() -> None:
    assert unknown("log", "x", ["b", "a"]).hint == "there are: a, b"
    hint = unknown("log", "x", [f"log-{number:02d}" for number in range(20)]).hint or ""
    assert hint.endswith("log-10, log-11 and 8 more")


@pytest.mark.parametrize(
    ("spec", "told"),
    [({"shape": "sinus"}, "shape"), ({"herz": 2}, "herz"), ({"hz": "2"}, "hz is a number"), ({"amplitude": float("nan")}, "amplitude")],
)
def test_a_wrong_waveform_is_told(spec: dict[str, object], told: str) -> None:
    with pytest.raises(CoreError, match=told):
        waveform(spec, np.arange(3.0))


def test_the_motion_is_that_of_a_plain_loop_of_mj_step_and_sensors_belong_to_their_time(qube: Robot) -> None:
    log = commands_of(qube, {"motor": {"shape": "sine", "hz": 2}}, 0.5, 0.01)
    times, commands, sensors, poses = roll(qube, [apply(qube, {})], log, 0.01)
    data = mujoco.MjData(qube.model)
    angles, measured = [], []
    for number in range(51):
        mujoco.mj_forward(qube.model, data)
        angles.append(data.qpos.copy())
        measured.append(data.sensordata.copy())
        if number < 50:
            data.ctrl[0] = np.sin(2 * np.pi * 2 * number * 0.01)
            mujoco.mj_step(qube.model, data, 10)
    assert times[-1] == pytest.approx(0.5)
    assert commands.shape == (50, 1)
    assert_allclose(poses[:, 0], angles, atol=1e-9)
    assert_allclose(sensors[:, 0], measured, atol=1e-9)


def test_each_plant_has_its_own_delay(qube: Robot) -> None:
    log = commands_of(qube, {"motor": {"shape": "constant"}}, 0.2, 0.01)
    _, _, _, poses = roll(qube, [apply(qube, {}), apply(qube, {"delay[motor]": 0.05})], log, 0.01)
    assert_allclose(poses[5:, 1, 0], poses[:-5, 0, 0], atol=1e-9)


def test_an_unknown_actuator_and_a_crooked_sample_time_are_told(qube: Robot) -> None:
    with pytest.raises(CoreError, match="motr"):
        commands_of(qube, {"motr": {}}, 1.0, 0.01)
    with pytest.raises(CoreError, match="no multiple of the physics step"):
        roll(qube, [apply(qube, {})], commands_of(qube, {"motor": {}}, 1.0, 0.01), 0.0015)


def test_a_time_shorter_than_a_sample_is_told_with_both_numbers(qube: Robot) -> None:
    with pytest.raises(CoreError, match=r"0\.004 s hold no sample of 0\.01 s"):
        commands_of(qube, {"motor": {}}, 0.004, 0.01)


@pytest.mark.parametrize("autoreset", ["enable", "disable"])
@pytest.mark.parametrize(("gear", "amplitude"), [(1, 1e13), (1e13, 1)])
def test_a_simulation_that_breaks_down_is_told_with_robot_time_and_log(autoreset: str, gear: float, amplitude: float) -> None:
    robot = Robot.from_xml(
        f"""<mujoco><option timestep="0.01"><flag autoreset="{autoreset}"/></option>
        <worldbody><body><joint name="x" type="slide"/><geom size="0.1" mass="1"/></body></worldbody>
        <actuator><motor name="push" joint="x" gear="{gear}"/></actuator></mujoco>"""
    )
    log = commands_of(robot, {"push": {"shape": "step", "amplitude": amplitude, "start_s": 0.05}}, 0.2, 0.01)
    # The command comes at 0.05 s; without autoreset MuJoCo takes the step that it warns of.
    with pytest.raises(CoreError, match=r"robot 2 of 2 broke down after 0\.0[56] s") as caught:
        roll(robot, [apply(robot, {"delay[push]": 0.1}), apply(robot, {})], log, 0.01)
    assert caught.value.where == "log 'open-loop'"
