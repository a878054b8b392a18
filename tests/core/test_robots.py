"""The embedded robots: each stands or falls as physics says, and runs its tasks. `test_engine_parity` moves them on both engines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import pytest
from numpy.testing import assert_allclose
from taskbench import Catalog, compiled, task_spec

from realitygap_core import robots
from realitygap_core.environment import Environment
from realitygap_core.parameters import apply
from realitygap_core.robot import Robot
from realitygap_core.task import compile_task

TASKS = sorted(path.stem for path in (robots.FOLDER / "tasks").glob("*.yaml"))


def load(name: str) -> Robot:
    path = robots.model_path(name)
    assert path is not None
    return Robot.load(path)


def after(name: str, seconds: float) -> tuple[mujoco.MjModel, mujoco.MjData]:
    """The robot on its keyframe, else its reference pose, with the keyframe's command, so much later."""
    model = load(name).model
    data = mujoco.MjData(model)
    if model.nkey:
        mujoco.mj_resetDataKeyframe(model, data, 0)
    while data.time < seconds:
        mujoco.mj_step(model, data)
    return model, data


@pytest.mark.parametrize(("name", "height"), [("quadruped", 0.3), ("biped", 0.776), ("cheetah", 0.606)])
def test_it_stands_on_its_feet_without_being_told(name: str, height: float) -> None:
    model, data = after(name, 5.0)
    torso = model.body("torso").id
    feet = {i for i in range(model.ngeom) if "foot" in model.geom(i).name}
    touching = {int(geom) for pair in data.contact.geom for geom in pair} - {model.geom("floor").id}
    assert data.xpos[torso, 2] == pytest.approx(height, abs=0.02)
    assert data.xmat[torso, 8] > 0.99  # upright
    assert np.abs(data.qvel).max() < 0.05
    assert touching <= feet
    # What the floor carries is the robot's weight.
    pushes = [np.zeros(6) for _ in range(data.ncon)]
    for index, push in enumerate(pushes):
        mujoco.mj_contactForce(model, data, index, push)
    assert sum(push[0] for push in pushes) == pytest.approx(9.81 * model.body_mass.sum(), rel=0.02)


@pytest.mark.parametrize("name", ["hopper", "walker"])
def test_what_no_spring_or_servo_holds_falls(name: str) -> None:
    model, data = after(name, 5.0)
    assert data.xpos[model.body("torso").id, 2] < 0.5 * model.body("torso").pos[2]
    assert np.abs(data.qvel).max() < 0.1  # and lies still
    assert data.qpos[model.joint("height").qposadr[0]] > 0  # on the floor, not under it


@pytest.mark.parametrize("name", ["quadruped", "biped"])
def test_each_command_range_is_centred_on_the_pose_that_stands(name: str) -> None:
    model = load(name).model
    assert_allclose(model.actuator_ctrlrange.mean(axis=1), model.key_ctrl[0], atol=1e-12)
    assert_allclose(model.key_qpos[0, 7:], model.key_ctrl[0], atol=1e-12)


def test_a_foot_of_low_friction_slides_although_the_floor_is_rough() -> None:
    # MuJoCo takes the larger friction of two geoms of equal priority; then a draw below the floor's would do nothing.
    robot = load("quadruped")
    feet = [n for n in robot.names("geom") if n.endswith("_foot")]
    ends = []
    for friction in (0.02, 1.0):
        model = apply(robot, {f"friction[{foot}]": friction for foot in feet} | {"gravity_tilt_y": 0.2}).model
        data = mujoco.MjData(model)
        mujoco.mj_resetDataKeyframe(model, data, 0)
        while data.time < 1.0:
            mujoco.mj_step(model, data)
        ends.append(abs(data.qpos[0]))
    assert ends[0] > 5 * ends[1]


def test_the_embedded_double_pendulum_is_that_of_the_example_with_its_licence() -> None:
    example = Path(__file__).parents[2] / "examples/robots/double_pendulum"
    for file in ("double_pendulum.xml", "LICENSE.txt"):
        assert (robots.FOLDER / "double_pendulum" / file).read_bytes() == (example / file).read_bytes()


def test_a_perfect_second_of_cart_pole_swing_up_returns_a_hundred() -> None:
    # Upright in the middle, at rest, without effort: every factor of the product is 1, at 100 control steps a second.
    rest = [{"term": "joint_position_uniform", "params": {"low": 0.0, "high": 0.0, "around": "zero"}}]
    env = Environment(compiled("cartpole-swingup", resets=rest), num_envs=1)
    state = env.reset(jax.random.key(0))
    total = 0.0
    for _ in range(100):
        state, transition = env.step(state, jnp.zeros((1, 1)))
        total += float(transition.reward_b[0])
    env.close()
    assert total == pytest.approx(100.0, abs=1e-3)


@pytest.mark.parametrize("name", TASKS)
def test_mjx_takes_the_model_of_every_task_with_its_sensors(name: str) -> None:
    # A step is traced, not compiled.
    assert compile_task(task_spec(name), Catalog(), engine="mjx").engine.engine == "mjx"


@pytest.mark.slow
@pytest.mark.parametrize("name", TASKS)
def test_an_episode_is_finite_pays_within_its_weights_and_is_not_solved_by_doing_nothing(name: str) -> None:
    spec = task_spec(name)
    changes: dict[str, Any] = {
        "episode_s": min(spec["episode_s"], 6),
        "success": spec["success"] | {"hold_s": min(spec["success"]["hold_s"], 2)},
    }
    if "command" in spec:  # asked to go forward: standing is right where standing is asked for
        spec["command"]["params"] |= {"vx": [0.5, 0.8], "standing": 0.0}
        changes["command"] = spec["command"]
    task = compiled(name, **changes)
    env = Environment(task, num_envs=8, threads=1)
    state, random = env.reset(jax.random.key(0)), np.random.default_rng(0)
    idle, solved, paid = np.arange(8) < 4, np.zeros(8, bool), np.zeros(8)
    for _ in range(task.episode_steps):
        action = np.where(idle[:, None], 0.0, random.uniform(-1, 1, (8, len(task.action.actuators))))
        state, transition = env.step(state, jnp.asarray(action, jnp.float32))
        given = jax.device_get(transition)
        assert all(np.isfinite(value).all() for value in (given.reward_b, *given.observation.values()))
        rates = {entry.name: given.metrics[f"reward/{entry.name}"] for entry in task.rewards}
        for entry in task.rewards:
            low, high = (0.0, entry.weight) if entry.weight > 0 else (-np.inf, 0.0)
            if entry.name != "feet_air_time":  # signed, and not within [-1, 1]
                assert (rates[entry.name] >= low - 1e-5).all(), entry.name
                assert (rates[entry.name] <= high + 1e-5).all(), entry.name
        assert_allclose(given.reward_b, task.control_dt * sum(rates.values()), rtol=1e-4, atol=1e-5)
        solved, paid = solved | given.success_b, paid + given.reward_b
    env.close()
    assert not solved.any()
    assert not task.terminations or (paid > 0).all()  # going on pays, so that no policy learns to end it
