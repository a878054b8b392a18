"""Rewards: factories of scalar rates. Every value is as its name says; the sign is in the weight of the task file."""

from __future__ import annotations

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot
from realitygap_core.sensors import Need
from realitygap_core.terms.joints import addresses, is_hinge, joint_range, scalar_joint, scalar_joints
from realitygap_core.terms.term import Reward, Scene, View


def distance(value: jax.Array, target: float, *, periodic: bool) -> jax.Array:
    """Signed distance from `target`; of angles the short way round, within [-pi, pi]."""
    difference = value - target
    return jnp.arctan2(jnp.sin(difference), jnp.cos(difference)) if periodic else difference


def is_periodic(scene: Scene, joint: str) -> bool:
    """True for a hinge that may turn all the way round: only there is target + 2 pi the same pose."""
    limits = joint_range(scene.robot, joint)
    return is_hinge(scene.robot, joint) and (limits is None or limits[1] - limits[0] > 6.2)


def joint_cosine(scene: Scene, *, joint: str, target: float = 0.0) -> Reward:
    """(1 + cos(q - target)) / 2 of a hinge: 1 at the target, 0 opposite; a slope everywhere, for swing-ups."""
    scalar_joint(scene.robot, joint)
    if not is_hinge(scene.robot, joint):
        raise CoreError(f"joint '{joint}' is not a hinge", pointer="/joint", hint="use joint_near for a slide")
    need = Need("jointpos", joint)
    return Reward(needs=(need,), compute=lambda view: (1 + jnp.cos(view.sensor(need)[0] - target)) / 2)


def joint_near(scene: Scene, *, joint: str, width: float, target: float = 0.0) -> Reward:
    """exp(-((q - target) / width)^2): 1 at the target, 0.37 at `width` (rad or m) from it."""
    scalar_joint(scene.robot, joint)
    need, periodic = Need("jointpos", joint), is_periodic(scene, joint)
    return Reward(
        needs=(need,), compute=lambda view: jnp.exp(-jnp.square(distance(view.sensor(need)[0], target, periodic=periodic) / width))
    )


def pose_near(scene: Scene, *, targets: dict[str, float], width: float) -> Reward:
    """exp(-sum of ((q - target) / width)^2) over several joints: all must be near."""
    names = scalar_joints(scene.robot, list(targets), pointer="/targets")
    needs = tuple(Need("jointpos", name) for name in names)
    periodic = tuple(is_periodic(scene, name) for name in names)

    def compute(view: View) -> jax.Array:
        errors = [distance(view.sensor(n)[0], targets[n.object], periodic=p) / width for n, p in zip(needs, periodic, strict=True)]
        return jnp.exp(-jnp.sum(jnp.square(jnp.stack(errors))))

    return Reward(needs=needs, compute=compute)


def still_near(scene: Scene, *, joint: str, width: float, speed: float, target: float = 0.0) -> Reward:
    """exp(-((q - target) / width)^2 - (dq/dt / speed)^2): high only at rest at the target."""
    scalar_joint(scene.robot, joint)
    position, velocity, periodic = Need("jointpos", joint), Need("jointvel", joint), is_periodic(scene, joint)

    def compute(view: View) -> jax.Array:
        error = distance(view.sensor(position)[0], target, periodic=periodic) / width
        return jnp.exp(-jnp.square(error) - jnp.square(view.sensor(velocity)[0] / speed))

    return Reward(needs=(position, velocity), compute=compute)


def swing_energy(scene: Scene, *, joint: str) -> Reward:
    """1 - |E - E_up| / (E_up - E_down) of a hinge that swings under gravity: 1 at rest upright and for any swing that just gets there,
    0 at rest hanging, and less the more a spin overshoots. E is the joint's own energy with all other joints still at their reference
    (swing-up by energy: Astrom and Furuta 2000, doi:10.1016/S0005-1098(99)00140-5)."""
    scalar_joint(scene.robot, joint)
    if not is_hinge(scene.robot, joint):
        raise CoreError(f"joint '{joint}' is not a hinge", pointer="/joint", hint="a slide does not swing; leave the term out")
    inertia, amplitude, upright = _pendulum(scene.robot, joint)
    if amplitude < 1e-9 * max(inertia, 1e-9):
        raise CoreError(f"gravity does not turn joint '{joint}'", pointer="/joint", hint="name a joint that swings in a vertical plane")
    position, velocity = Need("jointpos", joint), Need("jointvel", joint)

    def compute(view: View) -> jax.Array:
        kinetic = 0.5 * inertia / amplitude * jnp.square(view.sensor(velocity)[0])
        return 1 - jnp.abs(kinetic + jnp.cos(view.sensor(position)[0] - upright) - 1) / 2

    return Reward(needs=(position, velocity), compute=compute)


def _pendulum(robot: Robot, joint: str) -> tuple[float, float, float]:
    """Inertia about the joint [kg m^2], largest torque of gravity [N m], and upright angle [rad], other joints at their reference."""
    data = mujoco.MjData(robot.model)
    (position,), (dof,) = addresses(robot, [joint])
    torques = []
    for angle in (0.0, math.pi / 2):
        data.qpos[position] = angle
        mujoco.mj_forward(robot.model, data)
        torques.append(float(data.qfrc_bias[dof]))  # at rest: the slope of the potential energy, amplitude * sin(angle - hanging)
    unit, column = np.eye(robot.model.nv)[dof], np.zeros(robot.model.nv)
    mujoco.mj_mulM(robot.model, data, column, unit)
    return float(column[dof]), math.hypot(*torques), math.atan2(-torques[0], torques[1]) + math.pi


def joint_position_squared(scene: Scene, *, joints: Sequence[str] | None = None) -> Reward:
    """Sum of squared joint positions, rad^2 or m^2."""
    needs = tuple(Need("jointpos", name) for name in scalar_joints(scene.robot, joints))
    return Reward(needs=needs, compute=lambda view: _sum_of_squares(view, needs))


def joint_velocity_squared(scene: Scene, *, joints: Sequence[str] | None = None) -> Reward:
    """Sum of squared joint velocities, (rad/s)^2 or (m/s)^2."""
    needs = tuple(Need("jointvel", name) for name in scalar_joints(scene.robot, joints))
    return Reward(needs=needs, compute=lambda view: _sum_of_squares(view, needs))


def actuator_force_squared(scene: Scene, *, actuators: Sequence[str] | None = None) -> Reward:
    """Sum of squared actuator forces, N^2 or (N m)^2."""
    names = tuple(actuators) if actuators is not None else scene.actuators
    for index, name in enumerate(names):
        scene.robot.actuator(name, pointer=f"/actuators/{index}")
    needs = tuple(Need("actuatorfrc", name) for name in names)
    return Reward(needs=needs, compute=lambda view: _sum_of_squares(view, needs))


def action_squared(scene: Scene) -> Reward:
    """Sum of squared actions, each in [-1, 1]."""
    return Reward(compute=lambda view: jnp.sum(jnp.square(view.action)))


def action_change_squared(scene: Scene) -> Reward:
    """Sum of squared changes of the action from one control step to the next."""
    return Reward(compute=lambda view: jnp.sum(jnp.square(view.action - view.last_action)))


def joint_beyond(scene: Scene, *, joint: str, limit: float, low: float | None = None) -> Reward:
    """How far a joint is past a soft limit, rad or m: beyond `limit`, or below `low` (default -limit)."""
    scalar_joint(scene.robot, joint)
    need, lowest = Need("jointpos", joint), -limit if low is None else low
    if not lowest < limit:
        raise CoreError(f"the soft limits are not in order: {lowest:g}, {limit:g}", pointer="/limit", hint="give low < limit")

    def compute(view: View) -> jax.Array:
        position = view.sensor(need)[0]
        return jnp.maximum(position - limit, 0) + jnp.maximum(lowest - position, 0)

    return Reward(needs=(need,), compute=compute)


def alive(scene: Scene) -> Reward:
    """1 as long as the episode goes on."""
    return Reward(compute=lambda view: jnp.ones(()))


def _sum_of_squares(view: View, needs: Sequence[Need]) -> jax.Array:
    return sum((jnp.sum(jnp.square(view.sensor(need))) for need in needs), start=jnp.zeros(()))
