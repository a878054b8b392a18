"""Rewards for how the robot holds itself: tilt, height, joints near a pose, both sides alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from realitygap_core.errors import CoreError, unknown
from realitygap_core.sensors import Need
from realitygap_core.terms.frames import Base, known
from realitygap_core.terms.joints import addresses, scalar_joints
from realitygap_core.terms.term import Reward, Scene, View

_TILTS = {"both": slice(0, 2), "pitch": slice(0, 1), "roll": slice(1, 2)}
"""Entries of the vertical in a body's axes that a turn about y (pitch) and about x (roll) move."""


def upright(scene: Scene, *, body: str | None = None) -> Reward:
    """(1 + cos(tilt)) / 2: 1 where the body's z axis points up, 0 upside down."""
    base = Base(scene.robot, body)
    return Reward(needs=(base.orientation,), compute=lambda view: (1 + base.up(view)[2]) / 2)


def tilt_squared(scene: Scene, *, body: str | None = None, about: str = "both") -> Reward:
    """Squared sine of the tilt: what the horizontal entries of projected gravity come to. `roll` counts only what leans to a side (a turn
    about the body's x axis), `pitch` only what leans forwards or backwards."""
    if about not in _TILTS:
        raise unknown("value of about", about, _TILTS, pointer="/about")
    base, axes = Base(scene.robot, body), _TILTS[about]
    return Reward(needs=(base.orientation,), compute=lambda view: jnp.sum(jnp.square(base.up(view)[axes])))


def base_height(scene: Scene, *, target: float, width: float, body: str | None = None) -> Reward:
    """exp(-((z - target) / width)^2) of a body's origin, m."""
    base = Base(scene.robot, body)
    return Reward(needs=(base.position,), compute=lambda view: jnp.exp(-jnp.square((base.height(view) - target) / width)))


def height_above(scene: Scene, *, height: float, margin: float, body: str | None = None) -> Reward:
    """1 at or above `height`, falling linearly to 0 at `margin` below it, m."""
    base = Base(scene.robot, body)
    return Reward(needs=(base.position,), compute=lambda view: jnp.clip((base.height(view) - height) / margin + 1, 0.0, 1.0))


def height_within(scene: Scene, *, low: float, high: float, margin: float, body: str | None = None) -> Reward:
    """1 while a body's origin is between `low` and `high`, falling linearly to 0 at `margin` outside, m."""
    if not low <= high:
        raise CoreError(f"the heights are not in order: {low:g}, {high:g}", pointer="/low", hint="give low <= high")
    base = Base(scene.robot, body)

    def compute(view: View) -> jax.Array:
        outside = jnp.maximum(low - base.height(view), base.height(view) - high)
        return jnp.clip(1 - outside / margin, 0.0, 1.0)

    return Reward(needs=(base.position,), compute=compute)


def height_reached(scene: Scene, *, height: float, body: str | None = None) -> Reward:
    """Paid once an episode, when a body's origin is first as high as `height` (m): its integral over time is 1, or 0 if it never was."""
    base = Base(scene.robot, body)

    def compute(view: View, before: jax.Array) -> tuple[jax.Array, jax.Array]:
        reached = base.height(view) >= height
        return (reached & ~before) / jnp.float32(scene.control_dt), reached | before

    return Reward(needs=(base.position,), compute=compute, initial=lambda view: base.height(view) >= height)


def site_distance(
    scene: Scene, site: str, target: str | None, point: Sequence[float] | None
) -> tuple[tuple[Need, ...], Callable[[View], jax.Array]]:
    """Sensors and function of the distance from a site to another, or to a point of the world, m. Raises CoreError unless just one is
    given."""
    known(scene.robot, "site", [site], pointer="/site")
    if (target is None) == (point is None):
        raise CoreError("give either `target`, another site, or `point`, [x, y, z]", pointer="/target" if target is not None else "")
    first = Need("framepos", site, "site")
    if target is not None:
        known(scene.robot, "site", [target], pointer="/target")
        second = Need("framepos", target, "site")
        return (first, second), lambda view: jnp.linalg.norm(view.sensor(second) - view.sensor(first))
    place = np.array(point, np.float32)
    if place.shape != (3,):
        raise CoreError(f"a point is [x, y, z], not {point}", pointer="/point")
    return (first,), lambda view: jnp.linalg.norm(jnp.asarray(place) - view.sensor(first))


def site_near(scene: Scene, *, site: str, width: float, target: str | None = None, point: Sequence[float] | None = None) -> Reward:
    """exp(-(distance / width)^2) from a site to another, or to a point of the world."""
    needs, away = site_distance(scene, site, target, point)
    return Reward(needs=needs, compute=lambda view: jnp.exp(-jnp.square(away(view) / width)))


def joint_deviation(scene: Scene, *, joints: Sequence[str] | None = None, keyframe: str | None = None) -> Reward:
    """Sum of |q - pose| over joints, rad or m; the pose is that of a keyframe, or the model's reference."""
    needs, deviation = _deviation(scene, joints, keyframe)
    return Reward(needs=needs, compute=deviation)


def stand_still(scene: Scene, *, below: float = 0.1, joints: Sequence[str] | None = None, keyframe: str | None = None) -> Reward:
    """The same sum, where the norm of the command's vx, vy and wz is less than `below`; else 0."""
    (needs, deviation), asked = _deviation(scene, joints, keyframe), _asked(scene)
    return Reward(needs=needs, compute=lambda view: jnp.where(asked(view) < below, deviation(view), 0.0))


def motion_at_rest(scene: Scene, *, below: float = 0.1, joints: Sequence[str] | None = None, body: str | None = None) -> Reward:
    """Motion where the norm of the command's vx, vy and wz is less than `below`, in three parts: squared speed of a body (m/s)^2, squared
    rate (rad/s)^2, and the sum of squared velocities of joints; else 0."""
    base, asked = Base(scene.robot, body), _asked(scene)
    needs = tuple(Need("jointvel", name) for name in scalar_joints(scene.robot, joints))

    def compute(view: View) -> dict[str, jax.Array]:
        parts = {
            "linear": view.sensor(base.linear),
            "angular": view.sensor(base.angular),
            "joints": jnp.concatenate([view.sensor(need) for need in needs]) if needs else jnp.zeros(1),
        }
        return {name: jnp.where(asked(view) < below, jnp.sum(jnp.square(part)), 0.0) for name, part in parts.items()}

    return Reward(needs=(base.linear, base.angular, *needs), compute=compute)


def asked_speed(scene: Scene) -> Callable[[View], jax.Array] | None:
    """The norm of the command's vx, vy and wz (m/s and rad/s alike), or None for a task without such a command."""
    if "vx" not in scene.command:
        return None
    index = jnp.array([scene.command_index(label) for label in ("vx", "vy", "wz")])
    return lambda view: jnp.linalg.norm(view.command[index])


def _asked(scene: Scene) -> Callable[[View], jax.Array]:
    speed = asked_speed(scene)
    if speed is None:
        raise CoreError("the task's command has no entry 'vx'", hint="add the command `velocity`")
    return speed


def symmetry(scene: Scene, *, pairs: Sequence[Sequence[str]], mirrored: bool = False, over_s: float = 1.0) -> Reward:
    """Sum over pairs of squared differences of the running means of left and right joint, rad^2 or m^2.

    A running mean over `over_s` (first-order) lets a gait alternate and still be symmetric. `mirrored`: the right joint counts with the
    opposite sign.
    """
    for index, pair in enumerate(pairs):
        if len(pair) != 2:
            raise CoreError(f"a pair is [left, right], not {list(pair)}", pointer=f"/pairs/{index}")
        scalar_joints(scene.robot, list(pair), pointer=f"/pairs/{index}")
    left = tuple(Need("jointpos", pair[0]) for pair in pairs)
    right = tuple(Need("jointpos", pair[1]) for pair in pairs)
    gain, sign = 1 - math.exp(-scene.control_dt / over_s) if over_s > 0 else 1.0, -1.0 if mirrored else 1.0

    def difference(view: View) -> jax.Array:
        return jnp.concatenate([view.sensor(one) - sign * view.sensor(other) for one, other in zip(left, right, strict=True)])

    def compute(view: View, mean_n: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean_n = mean_n + gain * (difference(view) - mean_n)
        return jnp.sum(jnp.square(mean_n)), mean_n

    return Reward(needs=(*left, *right), compute=compute, initial=difference)


def pose(scene: Scene, joints: Sequence[str], keyframe: str | None) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Positions of joints in a keyframe, or in the model's reference pose. Raises CoreError for no such keyframe."""
    model = scene.robot.model
    positions, _ = addresses(scene.robot, joints)
    names = [mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_KEY, index) or "" for index in range(model.nkey)]
    if keyframe is not None and keyframe not in names:
        raise unknown("keyframe", keyframe, names, pointer="/keyframe")
    qpos = model.qpos0 if keyframe is None else model.key_qpos[names.index(keyframe)]
    return np.asarray(qpos[positions], np.float32)


def _deviation(scene: Scene, joints: Sequence[str] | None, keyframe: str | None) -> tuple[tuple[Need, ...], Callable[[View], jax.Array]]:
    names = scalar_joints(scene.robot, joints)
    target, needs = pose(scene, names, keyframe), tuple(Need("jointpos", name) for name in names)
    return needs, lambda view: jnp.sum(jnp.abs(jnp.concatenate([view.sensor(need) for need in needs]) - target))
