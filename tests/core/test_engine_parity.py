"""Both engines move every embedded robot alike, with contacts and drawn parameters, and so they do a servo at the limit of its force."""

from __future__ import annotations

import jax
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose

from realitygap_core import robots
from realitygap_core.engines import mjx
from realitygap_core.engines.mjx import MjxEngine
from realitygap_core.engines.mujoco import MujocoEngine
from realitygap_core.parameters import apply
from realitygap_core.robot import Robot
from realitygap_core.sensors import Need
from realitygap_core.state import PhysicsState
from realitygap_core.task import compile_robot

TOLERANCE = 1e-9
"""Largest difference of any entry of qpos, qvel and sensordata after one second, absolute or relative, both in double precision."""
DRY = {"qube": 1e-5, "double_pendulum": 1e-5}
"""Where dry friction holds a joint the solvers stop at their own tolerance of 1e-8, not at rounding; most shows in an acceleration."""
DRAWS: dict[str, dict[str, float]] = {
    "pendulum": {"gravity": 9.0, "damping[hinge]": 0.1},
    "cartpole": {"mass[pole]": 0.15, "damping[slider]": 0.5},
    "qube": {"mass[pole]": 0.02, "damping[arm]": 1e-4, "gravity": 9.7, "frictionloss[arm]": 1e-3},
    "reacher": {"com_x[lower]": 0.05, "zero_offset[shoulder]": 0.05, "pseudo_inertia_dx[upper]": 0.2},
    "double_pendulum": {"gravity_tilt_y": 0.1, "frictionloss[elbow]": 0.1},
    "hopper": {"friction[foot]": 0.6, "com_x[torso]": 0.02, "contact_time[foot]": 0.03},
    "cheetah": {"friction[fore_foot]": 0.4, "mass[torso]": 7.0, "springref[fore_knee]": 0.1},
    "walker": {"pseudo_inertia_alpha[torso]": 0.1, "armature[left_knee]": 0.03},
    "quadruped": {"friction[hind_left_foot]": 0.4, "com_y[torso]": 0.02, "gain[front_left_knee]": 50.0, "imu_tilt_x[imu]": 0.1},
    "biped": {"friction[left_foot_inner]": 0.5, "pseudo_inertia_tx[torso]": 0.02, "velocity_gain[left_knee]": 10.0},
}
"""One drawn plant a robot, beside its nominal one."""
EMBEDDED = sorted(path.stem for path in robots.FOLDER.glob("*/*.xml") if path.stem == path.parent.name)


def load(name: str) -> Robot:
    """The robot with sensors of each stage of an evaluation: of positions, velocities, and forces."""
    path = robots.model_path(name)
    assert path is not None
    robot = Robot.load(path)
    last = robot.names("body")[-1]
    needs = [
        Need("subtreecom", last),
        Need("framelinvel", last),
        Need("frameangacc", last),
        Need("actuatorfrc", robot.names("actuator")[0]),
    ]
    return compile_robot(robot, needs, float(robot.model.opt.timestep))[0]


def begun(model: mujoco.MjModel, batch: int) -> tuple[PhysicsState, np.ndarray]:
    """The first keyframe (else the reference pose), hinges a little apart, and a second of commands that change ten times."""
    qpos = np.tile(model.key_qpos[0] if model.nkey else model.qpos0, (batch, 1))
    hinges = model.jnt_qposadr[model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE]
    qpos[:, hinges] += np.linspace(0, 0.1, batch)[:, None]
    neutral = model.key_ctrl[0] if model.nkey else np.zeros(model.nu)
    half = np.where(model.actuator_ctrllimited, np.ptp(model.actuator_ctrlrange, axis=1) / 2, 1.0)
    ctrl = neutral + 0.5 * half * np.random.default_rng(0).uniform(-1, 1, (batch, 10, model.nu))
    zeros = {"qvel": np.zeros((batch, model.nv)), "act": np.zeros((batch, model.na)), "sensordata": np.zeros((batch, model.nsensordata))}
    state = PhysicsState(time=np.zeros(batch), qpos=qpos, ctrl=np.tile(neutral, (batch, 1)), **zeros)
    return state, ctrl.repeat(round(0.1 / model.opt.timestep), axis=1)


def evaluated(model: mujoco.MjModel, states_sx: np.ndarray, ctrl_su: np.ndarray) -> list[mujoco.MjData]:
    """What MuJoCo computes in each of the states (time, qpos, qvel, act)."""
    seen = []
    for state_x, ctrl_u in zip(states_sx, ctrl_su, strict=True):
        data = mujoco.MjData(model)
        data.qpos[:], data.qvel[:], data.act[:] = np.split(state_x[1:], [model.nq, model.nq + model.nv])
        data.ctrl[:] = ctrl_u
        mujoco.mj_forward(model, data)
        seen.append(data)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDED)
def test_both_engines_give_the_same_second_with_contacts_and_drawn_parameters(name: str) -> None:
    with jax.enable_x64(True):
        robot = load(name)
        models = [robot.model, apply(robot, DRAWS[name]).model]
        state, ctrl = begun(robot.model, 2)
        c_engine, mjx_engine = MujocoEngine(robot.model, threads=1), MjxEngine(robot.model, examples=models)
        one = c_engine.step(models, state, ctrl)
        other = jax.jit(mjx_engine.step)(mjx.stack(robot.model, models), state, ctrl)
        for field in ("time", "qpos", "qvel", "act", "ctrl", "sensordata"):
            tolerance = DRY.get(name, TOLERANCE)
            assert_allclose(getattr(other, field), getattr(one, field), atol=tolerance, rtol=tolerance, err_msg=field)
        states, _ = c_engine.rollout([robot.model] * 2, state, ctrl)
        c_engine.close()
    assert np.abs(states[1, -1, 1 : 1 + robot.model.nq] - one.qpos[1]).max() > 1e-3
    touched = {data.ncon for data in evaluated(robot.model, states[0, ::5], ctrl[0, ::5])}
    collides = bool(robot.model.geom_conaffinity.any()) and not robot.model.opt.disableflags & mujoco.mjtDisableBit.mjDSBL_CONTACT
    assert (len(touched) > 1) == collides, "contacts come and go in that second"


ARM = """<mujoco><option timestep="0.004" integrator="implicitfast"/><worldbody><body><joint name="a" axis="0 1 0" armature=".01"/>
  <geom type="capsule" fromto="0 0 0 0 0 -.3" size=".02" mass=".3"/>
  <body pos="0 0 -.3"><joint name="b" axis="0 1 0" armature=".01"/><geom type="capsule" fromto="0 0 0 0 0 -.3" size=".02" mass=".3"/></body>
  </body></worldbody>
  <actuator>
    <position name="a" joint="a" kp="40" kv="1" forcerange="-3 3"/>
    <damper name="d" joint="b" kv="0.3" ctrlrange="0 1" forcerange="-1 1"/>
    <general name="b" joint="b" dyntype="filter" dynprm=".05" gainprm="20" biastype="affine" biasprm="0 -20 -.5" forcerange="-2 2"/>
  </actuator></mujoco>"""


@pytest.mark.slow
def test_a_servo_at_the_limit_of_its_force_is_damped_alike() -> None:
    with jax.enable_x64(True):
        robot = compile_robot(Robot.from_xml(ARM), [], 0.004)[0]
        model = robot.model
        state = begun(model, 2)[0]
        ctrl = np.random.default_rng(1).uniform([-1, 0, -1], [1, 2, 1], (2, 10, 3)).repeat(25, axis=1)
        c_engine, mjx_engine = MujocoEngine(model, threads=1), MjxEngine(model)
        one = c_engine.step([model] * 2, state, ctrl)
        other = jax.jit(mjx_engine.step)({}, state, ctrl)
        states, _ = c_engine.rollout([model] * 2, state, ctrl)
        c_engine.close()
    forces_sn = np.array([data.actuator_force for data in evaluated(model, states[0], ctrl[0])])
    limited = (np.abs(forces_sn) >= model.actuator_forcerange[:, 1]).mean(axis=0)
    for field in ("qpos", "qvel", "act"):
        assert_allclose(getattr(other, field), getattr(one, field), atol=TOLERANCE, rtol=TOLERANCE, err_msg=field)
    assert ((limited > 0.05) & (limited < 0.95)).all()
