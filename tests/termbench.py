"""Small robots for tests of terms: what a term computes of true sensors, and what a task with it does in an environment."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from taskbench import Catalog

from realitygap_core.environment import Environment
from realitygap_core.robot import Robot
from realitygap_core.task import Task, compile_task
from realitygap_core.terms.probe import view_at
from realitygap_core.terms.term import Scene, View

ROBOT = Robot.from_xml(
    """<mujoco model="walker"><compiler angle="radian" autolimits="true"/><option timestep="0.002"/>
      <worldbody><geom name="floor" type="plane" size="5 5 .1"/>
        <body name="torso" pos="0 0 1"><freejoint name="root"/><geom name="torso" type="box" size=".2 .1 .05" mass="4"/><site name="imu"/>
          <body name="arm" pos=".2 0 0"><joint name="arm" axis="0 1 0" range="-1 1"/>
            <geom name="hand" type="capsule" fromto="0 0 0 .3 0 0" size=".02" mass="1"/>
            <site name="tip" pos=".3 0 0"/></body>
          <body name="wing" pos="-.2 0 0"><joint name="wing" axis="0 1 0" range="-1 1"/>
            <geom name="wing" type="capsule" fromto="0 0 0 -.3 0 0" size=".02" mass="1"/></body>
        </body></worldbody>
      <actuator><motor name="arm" joint="arm" gear="2"/><motor name="wing" joint="wing"/></actuator></mujoco>"""
)
SCENE = Scene(
    robot=ROBOT, control_dt=0.02, physics_dt=0.002, actuators=("arm", "wing"), command=("vx", "vy", "wz"), command_hidden=("phase",)
)
TILT = np.array([math.cos(0.3), 0.0, math.sin(0.3), 0.0])
"""A turn by 0.6 rad about y."""
FALLING = {"qvel": np.array([0.5, -0.2, 0.1, 0.3, -0.4, 0.7, 1.5, -2.0]), "quat": TILT}


def at(
    term: Any,
    *,
    robot: Robot = ROBOT,
    quat: Any = (1, 0, 0, 0),
    z: float = 1.0,
    arm: float = 0.0,
    wing: float = 0.0,
    qvel: Any = None,
    **more: Any,
) -> tuple[View, mujoco.MjData]:
    """The view of this state with true sensors of C MuJoCo, and MuJoCo's own data."""
    more = {"command": (0.0, 0.0, 0.0, 0.0), **more}
    return view_at(term, robot, qpos=[0.4, 0.1, z, *quat, arm, wing], qvel=qvel, **more)


def values(term: Any, **state: Any) -> Any:
    view, _ = at(term, **state)
    if getattr(term, "initial", None) is None:
        return term.compute(view)
    carry = term.initial(view, jax.random.PRNGKey(0)) if hasattr(term, "labels") else term.initial(view)
    return term.compute(view, carry)[0]


BALL = Robot.from_xml(
    """<mujoco model="ball"><option timestep="0.005" gravity="0 0 0"/><worldbody><body name="ball"><freejoint name="root"/>
      <geom size=".1" mass="2"/><body name="rod"><joint name="swing" axis="0 1 0" range="-90 90" damping=".1"/>
        <geom type="capsule" size=".02"
      fromto="0 0 0 .4 0 0" mass=".5"/></body></body></worldbody>
      <actuator><motor name="swing" joint="swing" gear="2" ctrlrange="-1 1"/></actuator></mujoco>"""
)
ARM = Robot.from_xml(
    """<mujoco model="arm"><compiler angle="radian" autolimits="true"/><option timestep="0.002" integrator="implicitfast" gravity="0 0 0"/>
      <worldbody><body><joint name="turn" axis="0 1 0" range="-2 2" armature=".05"/>
        <geom type="capsule" size=".02" fromto="0 0 0 .4 0 0" mass=".5"/></body>
      </worldbody><actuator><motor name="turn" joint="turn" ctrlrange="-1 1"/></actuator></mujoco>"""
)
BALL_SCENE = Scene(robot=BALL, control_dt=0.02, physics_dt=0.005, actuators=("swing",))


def task(robot: Robot, *, training: bool = False, engine: str = "mujoco", **changes: Any) -> Task:
    spec: dict[str, Any] = {
        "schema": 1,
        "name": "test",
        "model": "x",
        "control_dt": 0.02,
        "episode_s": 1.0,
        "observations": {"policy": [{"term": "joint_position"}, {"term": "joint_velocity"}]},
        "rewards": [{"term": "alive", "weight": 1.0}],
    }
    return compile_task(spec | changes, Catalog(), robot, engine=engine, training=training)


def roll(made: Task, steps: int, action: float = 0.0) -> tuple[Any, list[Any], list[Any]]:
    env = Environment(made, num_envs=2)
    state = env.reset(jax.random.PRNGKey(3))
    states, transitions = [state], []
    step = jax.jit(env.step) if env.pure else env.step
    for _ in range(steps):
        state, transition = step(state, jnp.full((2, env.action_size), action))
        states.append(state)
        transitions.append(transition)
    env.close()
    return env, states, transitions
