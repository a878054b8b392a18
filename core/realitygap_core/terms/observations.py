"""Observations: factories of vectors that a policy or a critic sees."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError
from realitygap_core.sensors import Need
from realitygap_core.terms.joints import is_hinge, scalar_joints
from realitygap_core.terms.term import Observation, Scene, View


def _read(needs: Sequence[Need], view: View) -> jax.Array:
    return jnp.concatenate([view.sensor(need) for need in needs])


def joint_position(scene: Scene, *, joints: Sequence[str] | None = None) -> Observation:
    """Positions of hinge and slide joints, rad or m; all of them by default."""
    names = scalar_joints(scene.robot, joints)
    needs = tuple(Need("jointpos", name) for name in names)
    return Observation(labels=names, unit=_unit(scene, names), needs=needs, compute=lambda view: _read(needs, view))


def joint_angle_sincos(scene: Scene, *, joints: Sequence[str] | None = None) -> Observation:
    """Sine and cosine of hinge angles, sines first: continuous where an angle wraps. All hinges by default."""
    named = scalar_joints(scene.robot, joints)
    names = tuple(name for name in named if is_hinge(scene.robot, name))
    if joints is not None and names != named:
        slide = next(index for index, name in enumerate(named) if name not in names)
        raise CoreError(f"joint '{named[slide]}' is not a hinge", pointer=f"/joints/{slide}", hint="observe a slide with joint_position")
    needs = tuple(Need("jointpos", name) for name in names)

    def compute(view: View) -> jax.Array:
        angle_n = _read(needs, view)
        return jnp.concatenate([jnp.sin(angle_n), jnp.cos(angle_n)])

    return Observation(labels=(*(f"sin({n})" for n in names), *(f"cos({n})" for n in names)), unit="1", needs=needs, compute=compute)


def joint_velocity(scene: Scene, *, joints: Sequence[str] | None = None) -> Observation:
    """Velocities of hinge and slide joints, rad/s or m/s; all of them by default."""
    names = scalar_joints(scene.robot, joints)
    needs = tuple(Need("jointvel", name) for name in names)
    return Observation(
        labels=tuple(f"d{n}/dt" for n in names), unit=_unit(scene, names, "/s"), needs=needs, compute=lambda view: _read(needs, view)
    )


def actuator_force(scene: Scene, *, actuators: Sequence[str] | None = None) -> Observation:
    """Forces of actuators, N or N m; all of them by default."""
    names = tuple(actuators) if actuators is not None else scene.robot.names("actuator")
    for index, name in enumerate(names):
        scene.robot.actuator(name, pointer=f"/actuators/{index}")
    needs = tuple(Need("actuatorfrc", name) for name in names)
    return Observation(labels=names, unit="N or N m", needs=needs, compute=lambda view: _read(needs, view))


def sensor(scene: Scene, *, name: str) -> Observation:
    """A sensor that the model itself defines, by its name."""
    size = int(scene.robot.sensor(name, pointer="/name").dim[0])
    need = Need("named", name)
    labels = (name,) if size == 1 else tuple(f"{name}[{index}]" for index in range(size))
    return Observation(labels=labels, unit="SI of the sensor", needs=(need,), compute=lambda view: view.sensor(need))


def last_action(scene: Scene) -> Observation:
    """The action that led to this state, in [-1, 1]."""
    return Observation(labels=tuple(f"action({n})" for n in scene.actuators), unit="1", compute=lambda view: view.action)


def episode_time(scene: Scene) -> Observation:
    """Time since the episode began, s."""
    return Observation(labels=("time",), unit="s", compute=lambda view: view.episode_time[None])


def command(scene: Scene) -> Observation:
    """What the policy is asked for, as the task's command term draws it."""
    if not scene.command:
        raise CoreError("the task has no command to observe", hint="add a `command` to the task, or remove this observation")
    return Observation(labels=scene.command, unit="SI of the command", compute=lambda view: view.command[: len(scene.command)])


def _unit(scene: Scene, names: Sequence[str], suffix: str = "") -> str:
    units = dict.fromkeys(("rad" if is_hinge(scene.robot, name) else "m") + suffix for name in names)
    return ", ".join(units)
