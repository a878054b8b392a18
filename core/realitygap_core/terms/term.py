"""What a term is: the shapes of observations, rewards, terminations, resets, noise, actions and commands.

A component's factory takes the `Scene` (the robot and the rates; an action's takes the `Robot`), then the parameters of the task file by
keyword, and returns one of the classes here. What it computes is a pure JAX function of one robot; the environment maps it over the batch.
A term reads sensors through `View.sensor`, and declares them in `needs`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax

from realitygap_core.robot import Robot
from realitygap_core.sensors import Need, SensorLayout
from realitygap_core.state import PhysicsState


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scene:
    """What a factory may know when it makes a term."""

    robot: Robot
    """The nominal robot, before sensors are added."""
    control_dt: float
    """Control step, s."""
    physics_dt: float
    """Physics step, s."""
    actuators: tuple[str, ...]
    """Actuators that the action drives, in order of the action's entries."""
    command: tuple[str, ...] = ()
    """Labels of the task's command; empty without one."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class View:
    """What a term sees of one robot at the end of a control step."""

    layout: SensorLayout
    physics: PhysicsState
    """The true state of one robot: fields without the batch axis."""
    sensordata: jax.Array
    """Sensors [nsensordata]: true for rewards, terminations and the critic; through the sensor path for the policy."""
    episode_time: jax.Array
    """Time since the episode began, s."""
    action: jax.Array
    """The action that led here [n], in [-1, 1]; zero right after a reset."""
    last_action: jax.Array
    """The action before that [n]."""
    command: jax.Array
    """What the policy is asked for [m]; empty without a command term."""

    def sensor(self, need: Need | str) -> jax.Array:
        """Value [dim] of a sensor that the term declared, or of any sensor by name."""
        return self.sensordata[self.layout[need]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Observation:
    """A vector that the policy or the critic sees."""

    labels: tuple[str, ...]
    """One name for each entry, for example `sin(pole)`; the policy's contract lists them."""
    unit: str
    """Unit of the entries; `1` for none."""
    compute: Callable[..., Any]
    """`compute(view) -> [size]`; with `initial` given, `compute(view, carry) -> ([size], carry)`."""
    needs: tuple[Need, ...] = ()
    """Sensors it reads."""
    initial: Callable[[View], Any] | None = None
    """Carry of a stateful observation at the start of an episode (a pytree of arrays)."""

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reward:
    """A scalar rate; the environment sums weight * value * control_dt, so a return does not depend on the control rate."""

    compute: Callable[..., Any]
    """`compute(view) -> scalar`; with `initial` given, `compute(view, carry) -> (scalar, carry)`."""
    needs: tuple[Need, ...] = ()
    """Sensors it reads."""
    initial: Callable[[View], Any] | None = None
    """Carry of a stateful reward at the start of an episode."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Termination:
    """Whether the episode ends here: -1 failure, 0 it goes on, +1 success."""

    compute: Callable[[View], jax.Array]
    """`compute(view) -> int`."""
    needs: tuple[Need, ...] = ()
    """Sensors it reads."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reset:
    """A change of the state in which an episode begins; resets apply in the order of the task file."""

    apply: Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]
    """`apply(key, qpos [nq], qvel [nv]) -> (qpos, qvel)`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noise:
    """What is added to an observation."""

    bias: Callable[[jax.Array, int], jax.Array]
    """`bias(key, size) -> [size]`, drawn once an episode."""
    sample: Callable[[jax.Array, jax.Array], jax.Array]
    """`sample(key, value [size]) -> [size]`, the value with the noise of this control step."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Action:
    """From the policy's output to actuator commands."""

    actuators: tuple[str, ...]
    """Names of the actuators driven, in order of the action."""
    command: Callable[[jax.Array], jax.Array]
    """`command(action [n] in [-1, 1]) -> [n]` in the actuators' units."""
    low: tuple[float, ...]
    """Smallest command of each actuator."""
    high: tuple[float, ...]
    """Largest command of each actuator."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Command:
    """What the policy is asked for, drawn anew every so often."""

    labels: tuple[str, ...]
    """One name for each entry."""
    sample: Callable[[jax.Array], jax.Array]
    """`sample(key) -> [size]`."""
    every_s: float
    """Time between draws; infinite for once an episode."""
