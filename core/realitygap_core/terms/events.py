"""Events: factories of what happens to the robot in the course of an episode, each on a timer of its own."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.terms.frames import base, free_joint
from realitygap_core.terms.joints import addresses, scalar_joints
from realitygap_core.terms.term import Disturbance, Event, Scene, View
from realitygap_core.terms.timers import Timer

_NONE = (0.0, 0.0)


def velocity_kick(
    scene: Scene,
    *,
    every_s: Sequence[float],
    horizontal: float = 0.0,
    vertical: float = 0.0,
    angular: float = 0.0,
    joint: str | None = None,
) -> Event:
    """Adds to the velocity of a free joint at once, uniform within +-: x and y by `horizontal`, z by `vertical` (m/s, axes of the world),
    each axis of the body by `angular` (rad/s)."""
    dof = int(scene.robot.joint(free_joint(scene.robot, joint)).dofadr[0])
    largest = np.array([horizontal, horizontal, vertical, angular, angular, angular], np.float32)
    return _kick(scene, every_s, np.arange(dof, dof + 6), largest)


def joint_kick(scene: Scene, *, every_s: Sequence[float], speed: float, joints: Sequence[str] | None = None) -> Event:
    """Adds to the velocities of hinge and slide joints at once, uniform within +-`speed`, rad/s or m/s."""
    _, dofs = addresses(scene.robot, scalar_joints(scene.robot, joints))
    return _kick(scene, every_s, np.array(dofs), np.full(len(dofs), speed, np.float32))


def force_push(
    scene: Scene,
    *,
    every_s: Sequence[float],
    duration_s: Sequence[float],
    force: Sequence[float] = _NONE,
    torque: Sequence[float] = _NONE,
    vertical: bool = False,
    body: str | None = None,
) -> Event:
    """A force and a torque on a body, held for a time: magnitudes (N, N m) and duration uniform in [low, high], directions uniform.

    The force acts at the body's centre of mass, in a direction that is fixed in the world: horizontal, or with `vertical` any. The torque's
    direction is any. A push that begins while another lasts takes its place.
    """
    for name, span in (("force", force), ("torque", torque)):
        if len(span) != 2 or not 0 <= span[0] <= span[1]:
            raise CoreError(f"{name} must be [smallest, largest] of at least 0, it is {list(span)}", pointer=f"/{name}")
    timer, duration = Timer(every_s, scene.control_dt), Timer(duration_s, scene.control_dt, pointer="/duration_s")
    index = scene.robot.id("body", base(scene.robot, body))
    model = scene.robot.model

    def initial(key: jax.Array) -> dict[str, jax.Array]:
        return {"wait": timer.initial(key), "left": jnp.zeros((), jnp.int32), "wrench": jnp.zeros(6)}

    def draw(key: jax.Array) -> jax.Array:
        keys = jax.random.split(key, 4)
        line = jax.random.normal(keys[0], (3,)) * jnp.array([1.0, 1.0, 1.0 if vertical else 0.0])
        axis = jax.random.normal(keys[1], (3,))
        strength = jax.random.uniform(keys[2], (), minval=force[0], maxval=force[1])
        twist = jax.random.uniform(keys[3], (), minval=torque[0], maxval=torque[1])
        return jnp.concatenate([strength * line / jnp.linalg.norm(line), twist * axis / jnp.linalg.norm(axis)])

    def advance(view: View, carry: dict[str, jax.Array], key: jax.Array, strength: jax.Array) -> tuple[Disturbance, dict[str, jax.Array]]:
        fires, wait = timer.advance(carry["wait"], jax.random.fold_in(key, 0))
        left = jnp.where(fires, duration.initial(jax.random.fold_in(key, 1)), jnp.maximum(carry["left"] - 1, 0))
        wrench = jnp.where(fires, draw(jax.random.fold_in(key, 2)), carry["wrench"])
        # The carry keeps the push as drawn, so that its strength does not compound.
        push = jnp.zeros((model.nbody, 6)).at[index].set(jnp.where(left > 0, strength * wrench, 0.0))
        return Disturbance(jnp.zeros(model.nv), push), {"wait": wait, "left": left, "wrench": wrench}

    return Event(initial=initial, advance=advance)


def _kick(
    scene: Scene,
    every_s: Sequence[float],
    dofs: np.ndarray[tuple[int], np.dtype[np.intp]],
    largest: np.ndarray[tuple[int], np.dtype[np.float32]],
) -> Event:
    timer, model = Timer(every_s, scene.control_dt), scene.robot.model

    def advance(view: View, left: jax.Array, key: jax.Array, strength: jax.Array) -> tuple[Disturbance, jax.Array]:
        fires, left = timer.advance(left, jax.random.fold_in(key, 0))
        draw = strength * jax.random.uniform(jax.random.fold_in(key, 1), (len(dofs),), minval=-largest, maxval=largest)
        kick = jnp.zeros(model.nv).at[dofs].set(jnp.where(fires, draw, 0.0))
        return Disturbance(kick, jnp.zeros((model.nbody, 6))), left

    return Event(initial=timer.initial, advance=advance)
