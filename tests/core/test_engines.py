"""The engines: which one runs a task and why; on C MuJoCo sensors of the right instant, and the same motion however a rollout is cut."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import mujoco
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from realitygap_core import engines, robots
from realitygap_core.engines.mujoco import MujocoEngine
from realitygap_core.errors import CoreError
from realitygap_core.parameters import apply
from realitygap_core.robot import Robot, repeatable
from realitygap_core.sensors import Need
from realitygap_core.state import PhysicsState
from realitygap_core.task import compile_robot

EMBEDDED = sorted(path.stem for path in robots.FOLDER.glob("*/*.xml") if path.stem == path.parent.name)


def compiled(name: str) -> Robot:
    path = robots.model_path(name)
    assert path is not None
    robot = Robot.load(path)
    needs = [
        Need("actuatorfrc", robot.names("actuator")[0]),
        Need("framelinvel", robot.names("body")[-1]),
        Need("subtreecom", robot.names("body")[-1]),
        Need("frameangacc", robot.names("body")[-1]),
    ]
    return compile_robot(robot, needs, float(robot.model.opt.timestep))[0]


def at_rest(model: mujoco.MjModel, batch: int) -> PhysicsState:
    return PhysicsState(
        time=np.zeros(batch),
        qpos=np.tile(model.qpos0, (batch, 1)) + np.linspace(0, 0.3, batch)[:, None],
        qvel=np.zeros((batch, model.nv)),
        act=np.zeros((batch, model.na)),
        ctrl=np.zeros((batch, model.nu)),
        sensordata=np.zeros((batch, model.nsensordata)),
    )


def wiggle(model: mujoco.MjModel, batch: int, steps: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (batch, steps, model.nu))


@pytest.mark.parametrize("name", EMBEDDED)
def test_islands_are_not_looked_for_only_where_that_changes_no_bit(name: str) -> None:
    quick = compiled(name).model
    island = mujoco.mjtDisableBit.mjDSBL_ISLAND
    assert bool(quick.opt.disableflags & island) == (quick.ntree <= 1)
    usual = copy.copy(quick)
    usual.opt.disableflags &= ~int(island)
    state, ctrl = at_rest(quick, 5), wiggle(quick, 5, 200)
    state.qpos[:, -1] -= 0.3  # some begin in the floor or beyond a limit
    engine = MujocoEngine(quick, threads=1)
    for got, expected in zip(engine.rollout([quick] * 5, state, ctrl), engine.rollout([usual] * 5, state, ctrl), strict=True):
        assert_array_equal(got, expected)


def test_islands_are_looked_for_where_robots_may_fall_asleep() -> None:
    text = '<mujoco><option><flag sleep="enable"/></option><worldbody><body><freejoint/><geom size="1"/></body></worldbody></mujoco>'
    assert not repeatable(mujoco.MjModel.from_xml_string(text)) & mujoco.mjtDisableBit.mjDSBL_ISLAND


@pytest.mark.parametrize("name", EMBEDDED)
def test_a_rollout_in_chunks_equals_one_long_rollout_bit_for_bit(name: str) -> None:
    model = compiled(name).model
    engine = MujocoEngine(model, threads=2)
    plants, state, ctrl = [model] * 5, at_rest(model, 5), wiggle(model, 5, 60)
    long, _ = engine.rollout(plants, state, ctrl)
    for start in range(0, 60, 12):
        state = engine.step(plants, state, ctrl[:, start : start + 12])
    assert_array_equal(np.concatenate([state.time[:, None], state.qpos, state.qvel, state.act], axis=1), long[:, -1])
    engine.close()


def test_contact_with_few_solver_iterations_is_also_the_same_in_chunks() -> None:
    # Without warm start the solver begins from the same place however the rollout is cut; with it, a chunk would begin cold.
    robot = Robot.from_xml(
        """<mujoco><option timestep="0.005" iterations="4"/><worldbody><geom type="plane" size="5 5 .1"/>
        <body pos="0 0 .3"><freejoint/><geom type="box" size=".2 .1 .05" mass="1"/>
        <body pos=".2 0 0"><joint name="leg" axis="0 1 0"/><geom type="capsule" fromto="0 0 0 .1 0 -.2" size=".03" mass=".2"/></body>
        </body></worldbody>
        <actuator><motor name="leg" joint="leg"/></actuator></mujoco>"""
    )
    model = compile_robot(robot, [], 0.005)[0].model
    engine = MujocoEngine(model, threads=1)
    state, ctrl = at_rest(model, 1), wiggle(model, 1, 200)
    long, _ = engine.rollout([model], state, ctrl)
    assert long[0, :, 3].min() < 0.25  # it fell and touched the ground
    for start in range(0, 200, 10):
        state = engine.step([model], state, ctrl[:, start : start + 10])
    assert_array_equal(state.qpos, long[:, -1, 1 : 1 + model.nq])
    engine.close()


@pytest.mark.parametrize("name", EMBEDDED)
def test_sensordata_is_of_the_instant_of_qpos_after_a_step_and_after_a_reset(name: str) -> None:
    model = compiled(name).model
    engine, plants = MujocoEngine(model, threads=1), [model] * 2
    begun = engine.settle(plants, at_rest(model, 2))
    after = engine.step(plants, begun, wiggle(model, 2, 10).repeat(20, axis=1))
    engine.close()
    for state in (begun, after):
        for index in range(2):
            data = mujoco.MjData(model)
            data.qpos[:], data.qvel[:], data.ctrl[:] = state.qpos[index], state.qvel[index], state.ctrl[index]
            data.time = state.time[index]
            mujoco.mj_forward(model, data)
            assert_array_equal(state.sensordata[index], data.sensordata)
    assert np.abs(after.sensordata - begun.sensordata).max() > 1e-3


def test_a_simulation_that_breaks_down_shows_as_nan_and_leaves_its_neighbours_alone() -> None:
    model = compiled("pendulum").model
    engine = MujocoEngine(model, threads=1)
    state = at_rest(model, 2)
    state.qvel[0] = 1e300
    after = engine.step([model] * 2, state, wiggle(model, 2, 3))
    assert not np.isfinite(after.qpos[0]).all()
    assert np.isfinite(after.qpos[1]).all()
    engine.close()


def test_steps_read_no_clock_unless_somebody_has_set_one() -> None:
    model = compiled("pendulum").model
    data = mujoco.MjData(model)
    total = mujoco.mjtTimer.mjTIMER_STEP

    def timed() -> float:
        mujoco.mj_resetData(model, data)
        mujoco.mj_step(model, data)
        return float(data.timer[total].duration)

    own = iter(range(10**6))
    try:
        mujoco.set_mjcb_time(None)  # the package's clock
        assert timed() > 0
        MujocoEngine(model, threads=1).close()
        assert timed() == 0
        mujoco.set_mjcb_time(lambda: float(next(own)))
        MujocoEngine(model, threads=1).close()
        assert timed() > 0
    finally:
        mujoco.set_mjcb_time(None)
        MujocoEngine(model, threads=1).close()


def test_auto_takes_c_on_a_cpu_and_mjx_on_an_accelerator_and_says_why() -> None:
    model = compiled("pendulum").model
    on_cpu, on_gpu = engines.choose("auto", model, device="cpu"), engines.choose("auto", model, device="gpu")
    assert (on_cpu.engine, on_gpu.engine) == ("mujoco", "mjx")
    assert "CPU" in on_cpu.reason
    assert "gpu" in on_gpu.reason
    asked = engines.choose("mjx", model, device="cpu")
    assert asked.engine == "mjx"
    assert "C MuJoCo is many times faster" in asked.reason


def test_auto_falls_back_to_c_for_a_model_that_mjx_cannot_run() -> None:
    model = mujoco.MjModel.from_xml_string(
        """<mujoco><worldbody><body><joint name="j" limited="true" range="-1 1"/><geom size=".1"/></body></worldbody>
        <sensor><jointlimitpos joint="j"/></sensor></mujoco>"""
    )
    choice = engines.choose("auto", model, device="gpu")
    assert choice.engine == "mujoco"
    assert "MJX cannot run" in choice.reason
    with pytest.raises(CoreError, match="MJX cannot run this model"):
        engines.choose("mjx", model)


@pytest.mark.parametrize("platform", ["cuda", "abacus"])
def test_a_device_that_is_not_there_is_told_before_anything_is_compiled(platform: str) -> None:
    script = """
from taskbench import compiled
from realitygap_core.errors import CoreError
try:
    compiled("pendulum-swingup")
except CoreError as error:
    print(error.message, error.hint)
"""
    environment = os.environ | {"JAX_PLATFORMS": platform, "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    assert "JAX finds no device" in done.stdout
    assert f"JAX_PLATFORMS={platform}" in done.stdout
    assert "set it to cpu" in done.stdout


def test_an_unknown_engine_is_told_with_the_nearest() -> None:
    with pytest.raises(CoreError, match="no engine 'mujocco'") as error:
        engines.choose("mujocco", compiled("pendulum").model)
    assert "mujoco" in str(error.value.hint)


def test_a_native_delay_is_refused_because_mjx_would_ignore_it() -> None:
    text = Path(str(robots.model_path("pendulum"))).read_text(encoding="utf-8")
    model = mujoco.MjModel.from_xml_string(text.replace('<motor name="torque"', '<motor name="torque" delay="0.01" nsample="3"'))
    with pytest.raises(CoreError, match="native actuator delay"):
        engines.choose("auto", model)


def test_auto_takes_mujoco_where_a_draw_differs_in_what_mjx_does_not_have() -> None:
    robot = Robot.from_xml("""<mujoco><worldbody><body name="b"><freejoint/><geom type="box" size=".1 .2 .3" mass="1"/></body></worldbody>
    </mujoco>""")
    model = compile_robot(robot, [], 0.002)[0].model
    shifted, heavy = (apply(robot, values).model for values in ({"com_x[b]": 0.05}, {"mass[b]": 2.0}))
    heavy.opt.disableflags = shifted.opt.disableflags = model.opt.disableflags
    assert engines.choose("auto", model, device="gpu", draw=lambda: heavy).engine == "mjx"
    choice = engines.choose("auto", model, device="gpu", draw=lambda: shifted)
    assert choice.engine == "mujoco"
    assert "draw of the domain" in choice.reason


def test_sensors_that_are_entries_of_the_state_are_what_mujoco_evaluates_and_others_are_still_evaluated() -> None:
    # A free joint first, so that addresses of positions (7) and velocities (6) differ; sensors in an order of their own.
    text = """<mujoco><worldbody>
        <body><freejoint/><geom size=".1"/>
        <body pos=".2 0 0"><joint name="a" axis="0 1 0"/><geom size=".05"/>
        <body pos=".2 0 0"><joint name="b" type="slide"/><geom size=".05"/></body></body></body></worldbody>
        <actuator><motor name="m" joint="a"/></actuator>
        <sensor><jointvel joint="b"/><jointpos joint="b"/><jointpos joint="a"/><jointvel joint="a"/>{more}</sensor></mujoco>"""
    for more, evaluated in (("", False), ('<clock cutoff="1"/>', True)):
        model = compile_robot(Robot.from_xml(text.format(more=more)), [], 0.002)[0].model
        engine = MujocoEngine(model, threads=1)
        assert (engine._entries is None) == evaluated
        state = engine.step([model] * 2, at_rest(model, 2), wiggle(model, 2, 25))
        for index in range(2):
            data = mujoco.MjData(model)
            data.time, data.qpos[:], data.qvel[:] = state.time[index], state.qpos[index], state.qvel[index]
            mujoco.mj_forward(model, data)
            assert_array_equal(state.sensordata[index], data.sensordata)
            assert_array_equal(engine.settle([model] * 2, state).sensordata[index], data.sensordata)
        engine.close()


def test_arrays_that_do_not_fit_the_model_are_refused_before_they_reach_c() -> None:
    model = compiled("pendulum").model
    engine = MujocoEngine(model, threads=1)
    with pytest.raises(ValueError, match="1 plants, 2 states"):
        engine.step([model], at_rest(model, 2), wiggle(model, 2, 3))
    with pytest.raises(ValueError, match="1 actuators"):
        engine.step([model] * 2, at_rest(model, 2), np.zeros((2, 3, 2)))
    engine.close()
