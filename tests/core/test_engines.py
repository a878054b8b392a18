"""Both engines: the same state, the same sensors, the same trajectory, and time that does not depend on how a rollout is cut."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from realitygap_core import engines, robots
from realitygap_core.engines import mjx
from realitygap_core.engines.mjx import MjxEngine
from realitygap_core.engines.mujoco import MujocoEngine
from realitygap_core.errors import CoreError
from realitygap_core.parameters import apply
from realitygap_core.robot import Robot
from realitygap_core.sensors import Need
from realitygap_core.state import PhysicsState
from realitygap_core.task import compile_robot

EMBEDDED = ("qube", "cartpole", "pendulum")
TOLERANCE = 1e-9
"""Largest difference of any entry of qpos, qvel and sensordata after one second, both engines in double precision."""


def compiled(name: str) -> Robot:
    path = robots.model_path(name)
    assert path is not None
    robot = Robot.load(path)
    needs = [
        Need("actuatorfrc", robot.names("actuator")[0]),
        Need("framelinvel", "pole"),
        Need("subtreecom", "pole"),
        Need("frameangacc", "pole"),
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


def second_of_motion(model: mujoco.MjModel) -> np.ndarray:
    """Commands of one second for two robots; all tests of MJX use this shape, so that a model is compiled once."""
    return wiggle(model, 2, 10).repeat(round(0.1 / model.opt.timestep), axis=1)


def fast_compiled(function: Callable[..., PhysicsState]) -> Callable[..., PhysicsState]:
    """With few of the compiler's optimisations: compiling is nearly all of the time here."""
    compiled: Callable[..., PhysicsState] = jax.jit(
        function, compiler_options={"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    )
    return compiled


def engine_functions(kind: str, model: mujoco.MjModel, batch: int) -> tuple[Any, Callable[..., PhysicsState], Callable[..., PhysicsState]]:
    if kind == "mujoco":
        c_engine = MujocoEngine(model, threads=1)
        return [model] * batch, c_engine.settle, c_engine.step
    mjx_engine = MjxEngine(model)
    return {}, fast_compiled(mjx_engine.settle), fast_compiled(mjx_engine.step)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), [*((name, "mujoco") for name in EMBEDDED), ("qube", "mjx")])
def test_sensordata_is_of_the_instant_of_qpos_after_a_step_and_after_a_reset(name: str, kind: str) -> None:
    with jax.enable_x64(True):
        model = compiled(name).model
        plants, settle, step = engine_functions(kind, model, 2)
        begun = settle(plants, at_rest(model, 2))
        after = step(plants, begun, second_of_motion(model))
        for state in (begun, after):
            for index in range(2):
                data = mujoco.MjData(model)
                data.qpos[:], data.qvel[:], data.ctrl[:] = state.qpos[index], state.qvel[index], state.ctrl[index]
                data.time = state.time[index]
                mujoco.mj_forward(model, data)
                np.testing.assert_allclose(state.sensordata[index], data.sensordata, atol=TOLERANCE, rtol=TOLERANCE)
        assert np.abs(np.asarray(after.sensordata) - np.asarray(begun.sensordata)).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDED)
def test_both_engines_give_the_same_second_of_motion(name: str) -> None:
    with jax.enable_x64(True):
        model = compiled(name).model
        state, ctrl = at_rest(model, 2), second_of_motion(model)
        c_engine, mjx_engine = MujocoEngine(model, threads=1), MjxEngine(model)
        one, other = c_engine.step([model] * 2, state, ctrl), fast_compiled(mjx_engine.step)({}, state, ctrl)
        for field in ("time", "qpos", "qvel", "act", "ctrl", "sensordata"):
            np.testing.assert_allclose(getattr(other, field), getattr(one, field), atol=TOLERANCE, rtol=TOLERANCE, err_msg=field)
        assert np.abs(one.qpos - state.qpos).max() > 0.05
        c_engine.close()


@pytest.mark.slow
def test_plants_that_differ_move_alike_on_both_engines() -> None:
    with jax.enable_x64(True):
        robot = compiled("qube")
        draws = [
            {"mass[pole]": 0.02, "damping[arm]": 1e-4, "gravity": 9.7, "frictionloss[arm]": 1e-3},
            {"mass[pole]": 0.03, "armature[pole]": 1e-5},
        ]
        models = [apply(robot, values).model for values in draws]
        fields = mjx.stack(robot.model, models)
        assert {"body_mass", "dof_frictionloss", "opt.gravity"} <= set(fields)
        state, ctrl = at_rest(robot.model, 2), 2 * wiggle(robot.model, 2, 5).repeat(40, axis=1)
        c_engine, mjx_engine = MujocoEngine(robot.model, threads=2), MjxEngine(robot.model, examples=models)
        one, other = c_engine.step(models, state, ctrl), fast_compiled(mjx_engine.step)(fields, state, ctrl)
        # A dry joint at rest is stiff: the two solvers stop at 1e-8, not at rounding.
        np.testing.assert_allclose(other.qpos, one.qpos, atol=1e-6)
        nominal = c_engine.step([robot.model] * 2, state, ctrl)
        assert np.abs(nominal.qpos - one.qpos).max() > 1e-2
        c_engine.close()


def test_a_simulation_that_breaks_down_shows_as_nan_and_leaves_its_neighbours_alone() -> None:
    model = compiled("pendulum").model
    engine = MujocoEngine(model, threads=1)
    state = at_rest(model, 2)
    state.qvel[0] = 1e300
    after = engine.step([model] * 2, state, wiggle(model, 2, 3))
    assert not np.isfinite(after.qpos[0]).all()
    assert np.isfinite(after.qpos[1]).all()
    engine.close()


def test_auto_takes_c_on_a_cpu_and_mjx_on_an_accelerator_and_says_why() -> None:
    model = compiled("pendulum").model
    on_cpu, on_gpu = engines.choose("auto", model, device="cpu"), engines.choose("auto", model, device="gpu")
    assert (on_cpu.engine, on_gpu.engine) == ("mujoco", "mjx")
    assert "CPU" in on_cpu.reason
    assert "gpu" in on_gpu.reason
    assert engines.choose("mjx", model, device="cpu").engine == "mjx"


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
