"""Rewards for effort and smoothness: power, changes of the action, accelerations and jerks of joints and bodies, nearness to limits."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.sensors import Need
from realitygap_core.terms.frames import known
from realitygap_core.terms.joints import joint_range, scalar_joints
from realitygap_core.terms.term import Reward, Scene, View


def energy(scene: Scene, *, actuators: Sequence[str] | None = None) -> Reward:
    """Mechanical power: sum of |force * velocity| of actuators, W. Braking counts as driving does."""
    names = tuple(actuators) if actuators is not None else scene.actuators
    for index, name in enumerate(names):
        scene.robot.actuator(name, pointer=f"/actuators/{index}")
    forces, speeds = (tuple(Need(kind, name) for name in names) for kind in ("actuatorfrc", "actuatorvel"))

    def compute(view: View) -> jax.Array:
        return jnp.sum(jnp.stack([jnp.abs(view.sensor(f) * view.sensor(v))[0] for f, v in zip(forces, speeds, strict=True)]))

    return Reward(needs=(*forces, *speeds), compute=compute)


def action_acceleration_squared(scene: Scene) -> Reward:
    """Sum of squared second differences of the action from one control step to the next: (a0 - 2 a1 + a2)^2."""
    return _action_difference(scene, 2)


def action_jerk_squared(scene: Scene) -> Reward:
    """Sum of squared third differences of the action: (a0 - 3 a1 + 3 a2 - a3)^2."""
    return _action_difference(scene, 3)


def joint_acceleration_squared(scene: Scene, *, joints: Sequence[str] | None = None) -> Reward:
    """Sum of squared joint accelerations, (rad/s^2)^2 or (m/s^2)^2: the difference of velocity over a control step."""
    return _velocity_difference(scene, _joint_velocities(scene, joints), 1)


def joint_jerk_squared(scene: Scene, *, joints: Sequence[str] | None = None) -> Reward:
    """Sum of squared joint jerks, (rad/s^3)^2 or (m/s^3)^2: the second difference of velocity over two control steps."""
    return _velocity_difference(scene, _joint_velocities(scene, joints), 2)


def body_acceleration_squared(scene: Scene, *, bodies: Sequence[str]) -> Reward:
    """Sum of squared linear accelerations of bodies' origins, (m/s^2)^2: the difference of velocity over a control step."""
    return _velocity_difference(scene, _body_velocities(scene, bodies), 1)


def body_jerk_squared(scene: Scene, *, bodies: Sequence[str]) -> Reward:
    """Sum of squared linear jerks of bodies' origins, (m/s^3)^2: the second difference of velocity over two control steps."""
    return _velocity_difference(scene, _body_velocities(scene, bodies), 2)


def joint_limits(scene: Scene, *, share: float = 0.9, joints: Sequence[str] | None = None) -> Reward:
    """Sum of how far joints are outside the middle `share` of their ranges, rad or m. Joints without a range do not count."""
    if not 0 < share <= 1:
        raise CoreError(f"share lies between 0 and 1, it is {share:g}", pointer="/share")
    limits = {name: joint_range(scene.robot, name) for name in scalar_joints(scene.robot, joints)}
    ranges = {name: span for name, span in limits.items() if span is not None}
    if not ranges:
        raise CoreError("none of the joints has a range in the model", pointer="/joints")
    needs = tuple(Need("jointpos", name) for name in ranges)
    low_n, high_n = np.array(list(ranges.values()), np.float32).T
    middle_n, half_n = (low_n + high_n) / 2, share * (high_n - low_n) / 2

    def compute(view: View) -> jax.Array:
        position_n = jnp.concatenate([view.sensor(need) for need in needs])
        return jnp.sum(jnp.maximum(jnp.abs(position_n - middle_n) - half_n, 0.0))

    return Reward(needs=needs, compute=compute)


def command_beyond_reach(scene: Scene, *, limit: float, actuators: Sequence[str] | None = None) -> Reward:
    """Sum over position servos of how much further than `limit` (rad or m) a command is from where the actuator is: what no servo can do
    at once. Of actuators whose command is a position; those that the action drives by default."""
    robot, names = scene.robot, tuple(actuators) if actuators is not None else scene.actuators
    for index, name in enumerate(names):
        actuator = robot.actuator(name, pointer=f"/actuators/{index}").id
        if robot.model.actuator_gainprm[actuator, 0] != -robot.model.actuator_biasprm[actuator, 1]:
            raise CoreError(
                f"actuator '{name}' is no position servo: its command is not a position",
                pointer=f"/actuators/{index}",
                hint="name the position servos, or make it one with the actuator term `position`",
            )
    columns = np.array([int(robot.model.actuator_ctrladr[robot.actuator(name).id]) for name in names])
    needs = tuple(Need("actuatorpos", name) for name in names)

    def compute(view: View) -> jax.Array:
        position_n = jnp.concatenate([view.sensor(need) for need in needs])
        return jnp.sum(jnp.maximum(jnp.abs(jnp.asarray(view.physics.ctrl)[columns] - position_n) - limit, 0.0))

    return Reward(needs=needs, compute=compute)


def _action_difference(scene: Scene, order: int) -> Reward:
    """The carry holds the actions before, newest first; before the episode all were zero."""

    def compute(view: View, past_kn: jax.Array) -> tuple[jax.Array, jax.Array]:
        recent_kn = jnp.concatenate([view.action[None], past_kn])
        return jnp.sum(jnp.square(jnp.diff(recent_kn, n=order, axis=0))), recent_kn[:-1]

    return Reward(compute=compute, initial=lambda view: jnp.zeros((order, len(scene.actuators))))


def _joint_velocities(scene: Scene, joints: Sequence[str] | None) -> tuple[Need, ...]:
    return tuple(Need("jointvel", name) for name in scalar_joints(scene.robot, joints))


def _body_velocities(scene: Scene, bodies: Sequence[str]) -> tuple[Need, ...]:
    return tuple(Need("framelinvel", name) for name in known(scene.robot, "body", bodies, pointer="/bodies"))


def _velocity_difference(scene: Scene, needs: tuple[Need, ...], order: int) -> Reward:
    """The carry holds the velocities before, newest first; before the episode they were as at its start."""
    scale = scene.control_dt ** (2 * order)

    def velocity(view: View) -> jax.Array:
        return jnp.concatenate([view.sensor(need) for need in needs])

    def initial(view: View) -> jax.Array:
        now_n = velocity(view)
        return jnp.broadcast_to(now_n, (order, *now_n.shape))

    def compute(view: View, past_kn: jax.Array) -> tuple[jax.Array, jax.Array]:
        recent_kn = jnp.concatenate([velocity(view)[None], past_kn])
        return jnp.sum(jnp.square(jnp.diff(recent_kn, n=order, axis=0))) / scale, recent_kn[:-1]

    return Reward(needs=needs, compute=compute, initial=initial)
