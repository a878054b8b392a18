"""What a term computes in one state of a robot: for tests of terms, here and in plugins.

term = joint_speed(scene_of(robot))
assert value_at(term, robot, qvel=[3, 4]) == approx([3.54])
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
from numpy.typing import ArrayLike

from realitygap_core.robot import Robot
from realitygap_core.sensors import SensorLayout
from realitygap_core.state import PhysicsState
from realitygap_core.task import compile_robot
from realitygap_core.terms.term import Observation, Reward, Scene, Termination, View

Term = Observation | Reward | Termination


def scene_of(robot: Robot, *, control_dt: float = 0.02, command: Sequence[str] = ()) -> Scene:
    """A scene with the robot's own physics step, s, in which the action drives every actuator; `command` labels the task's command."""
    return Scene(
        robot=robot,
        control_dt=control_dt,
        physics_dt=float(robot.model.opt.timestep),
        actuators=robot.names("actuator"),
        command=tuple(command),
    )


def value_at(term: Term, robot: Robot, *, qpos: ArrayLike | None = None, qvel: ArrayLike | None = None, **more: Any) -> Any:
    """What a term computes, with true sensors of C MuJoCo: [size] of an observation, a scalar of a reward, -1, 0 or 1 of a termination.

    A stateful term is asked once, with its carry at the start of an episode. Arguments are those of `view_at`.
    """
    view, _ = view_at(term, robot, qpos=qpos, qvel=qvel, **more)
    if isinstance(term, Termination) or term.initial is None:
        return term.compute(view)
    carry = term.initial(view, jax.random.PRNGKey(0)) if isinstance(term, Observation) else term.initial(view)
    return term.compute(view, carry)[0]


def view_at(
    term: Term, robot: Robot, *, qpos: ArrayLike | None = None, qvel: ArrayLike | None = None, ctrl: ArrayLike | None = None, **more: Any
) -> tuple[View, mujoco.MjData]:
    """What a term sees at these positions, velocities and commands, and MuJoCo's own data for comparison.

    Without positions those of the model; without velocities and commands zeros. `more` is what `view_of` takes.
    """
    compiled, layout = compile_robot(robot, term.needs, float(robot.model.opt.timestep))
    data = mujoco.MjData(compiled.model)
    for field, values in (("qpos", qpos), ("qvel", qvel), ("ctrl", ctrl)):
        if values is not None:
            getattr(data, field)[:] = values
    mujoco.mj_forward(compiled.model, data)
    return view_of(layout, data, **more), data


def view_of(
    layout: SensorLayout,
    data: mujoco.MjData,
    *,
    time: float = 0.0,
    action: ArrayLike | None = None,
    last_action: ArrayLike | None = None,
    command: ArrayLike = (),
) -> View:
    """The view of a state that MuJoCo has evaluated.

    Args:
        time: since the episode began, s.
        action: in [-1, 1], one entry an actuator; zeros by default, as is `last_action`.
        command: what the policy is asked for, hidden entries last.
    """
    zeros = jnp.zeros(data.ctrl.shape)
    return View(
        layout=layout,
        physics=PhysicsState(time=data.time, qpos=data.qpos, qvel=data.qvel, act=data.act, ctrl=data.ctrl, sensordata=data.sensordata),
        sensordata=jnp.asarray(data.sensordata, jnp.float32),
        episode_time=jnp.float32(time),
        action=zeros if action is None else jnp.asarray(action),
        last_action=zeros if last_action is None else jnp.asarray(last_action),
        command=jnp.asarray(command, jnp.float32),
    )
