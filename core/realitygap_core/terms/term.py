"""What a term is: the shapes of observations, rewards, terminations, resets, noise, actions and commands.

A component's factory takes the `Scene` (the robot and the rates; an action's takes the `Robot`), then the parameters of the task file by
keyword, and returns one of the classes here. What it computes is a pure JAX function of one robot; the environment maps it over the batch.
A term reads sensors through `View.sensor`, and declares them in `needs`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import mujoco

from realitygap_core.errors import CoreError
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
    command_hidden: tuple[str, ...] = ()
    """Labels of entries that follow in `View.command`, which terms may read and the policy does not see."""

    def command_index(self, label: str) -> int:
        """Where an entry lies in `View.command`. Raises CoreError when the task's command has no such entry."""
        labels = (*self.command, *self.command_hidden)
        if label not in labels:
            raise CoreError(f"the task's command has no entry '{label}'", hint="add a `command` that draws it, such as `velocity`")
        return labels.index(label)


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
    """What the policy is asked for [m], hidden entries last; empty without a command term."""

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
    initial: Callable[[View, jax.Array], Any] | None = None
    """`initial(view, key)`: carry of a stateful observation at the start of an episode (a pytree of arrays)."""

    @property
    def size(self) -> int:
        """Number of entries."""
        return len(self.labels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reward:
    """A scalar rate; the environment sums weight * value * control_dt, so a return does not depend on the control rate."""

    compute: Callable[..., Any]
    """`compute(view) -> scalar`; with `initial` given, `compute(view, carry) -> (scalar, carry)`. A mapping of name to scalar in place of
    the scalar is summed, and logged part by part."""
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
    """One name for each entry that the policy sees."""
    sample: Callable[[jax.Array], jax.Array]
    """`sample(key) -> [labels + hidden]`."""
    every_s: float
    """Time between draws; infinite for once an episode."""
    hidden: tuple[str, ...] = ()
    """Names of entries that only terms read, after the others."""
    update: Callable[[View, jax.Array], jax.Array] | None = None
    """`update(view, value [labels + hidden]) -> the same`, every control step after a draw: a heading to hold, a clock that runs."""
    needs: tuple[Need, ...] = ()
    """Sensors that `update` reads."""


class Disturbance(NamedTuple):
    """What an event does to one robot in the control step that follows."""

    kick: jax.Array
    """Added to qvel at its beginning [nv]."""
    push: jax.Array
    """Force, then torque at the centre of mass of each body throughout it, axes of the world, N and N m [nbody, 6]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happens to the robot on a timer of its own."""

    initial: Callable[[jax.Array], Any]
    """`initial(key)`: carry at the start of an episode."""
    advance: Callable[[View, Any, jax.Array, jax.Array], tuple[Disturbance, Any]]
    """`advance(view, carry, key, strength) -> (disturbance of the next control step, carry)`; `strength` scales it."""
    needs: tuple[Need, ...] = ()
    """Sensors it reads."""


class EpisodeProgress(NamedTuple):
    """What a curriculum sees of one environment after every control step."""

    done: jax.Array
    """Whether the episode ended in this step."""
    success: jax.Array
    """Whether it ended solved."""
    episode_return: jax.Array
    """Sum of its rewards so far."""
    dt: jax.Array
    """Control step, s."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Curriculum:
    """A factor that changes in the course of a training, for each environment by itself; its carry outlives episodes."""

    initial: Any
    """Carry at the start of a training: a pytree of arrays."""
    advance: Callable[[Any, EpisodeProgress], Any]
    """`advance(carry, progress) -> carry`, every control step."""
    value: Callable[[Any], jax.Array]
    """`value(carry) -> scalar`."""
    final: float
    """The factor wherever a policy is judged."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Actuator:
    """What some actuators of the robot are like: compiled into the model where MuJoCo has it, else a force added to MuJoCo's."""

    actuators: tuple[str, ...]
    """Their names."""
    edit: Callable[[mujoco.MjSpec], None] | None = None
    """Changes the model."""
    force: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    """`force(motor force [n], velocity [n]) -> added force [n]`, each in the actuators' own units."""
    delay_s: tuple[float, float] = (0.0, 0.0)
    """Delay of their commands on top of all others, drawn once an episode, s."""
