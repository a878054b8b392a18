"""Actuators: factories of what a robot's actuators are like.

What MuJoCo can express is compiled into the model, where it holds at every physics step on every engine: `torque`, `position`,
`position_velocity`, `dc_motor`, `first_order`. What it cannot, `torque_speed`, `stribeck` and `load_friction`, is a force added to
MuJoCo's, computed from the state every `actuator_dt` of the task (by default every physics step) and held in between, on every engine
alike. `delayed` is a ring buffer of commands that resolves fractions of a physics step.

Forces that are added reckon with the gains of the nominal robot, also where a domain draws others. Units are those of the actuator (its
gear included): N m and rad/s at a hinge, N and m/s at a slide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import mujoco

from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot
from realitygap_core.terms.frames import known
from realitygap_core.terms.joints import joint_range, scalar_joint
from realitygap_core.terms.term import Actuator

Edit = Callable[[mujoco.MjSpec, "mujoco.MjsActuator"], None]


def torque(robot: Robot, *, actuators: Sequence[str], limit: float) -> Actuator:
    """Command = force, within +-`limit`."""

    def edit(spec: mujoco.MjSpec, one: mujoco.MjsActuator) -> None:
        _affine(one, gain=1.0, bias=(0.0, 0.0, 0.0), command=(-limit, limit), force=limit)

    return _compiled(robot, actuators, edit)


def position(robot: Robot, *, actuators: Sequence[str], stiffness: float, damping: float = 0.0, limit: float | None = None) -> Actuator:
    """A servo: force = stiffness * (command - position) - damping * velocity, within +-`limit`. Commands lie in the joint's range."""
    ranges = _joint_ranges(robot, actuators)

    def edit(spec: mujoco.MjSpec, one: mujoco.MjsActuator) -> None:
        _affine(one, gain=stiffness, bias=(0.0, -stiffness, -damping), command=ranges[one.name], force=limit)

    return _compiled(robot, actuators, edit)


def position_velocity(
    robot: Robot, *, actuators: Sequence[str], stiffness: float, damping: float, speed: float, limit: float | None = None
) -> Actuator:
    """PD with two commands: force = stiffness * (command - position) + damping * (velocity command - velocity).

    NAME takes the position; NAME/velocity, which is added, the velocity within +-`speed`. `limit` holds for their sum, at the joint.
    """
    ranges = _joint_ranges(robot, actuators)

    def edit(spec: mujoco.MjSpec, one: mujoco.MjsActuator) -> None:
        _affine(one, gain=stiffness, bias=(0.0, -stiffness, 0.0), command=ranges[one.name], force=None)
        other = spec.add_actuator(name=f"{one.name}/velocity", trntype=one.trntype, target=one.target, gear=one.gear)
        _affine(other, gain=damping, bias=(0.0, 0.0, -damping), command=(-speed, speed), force=None)
        if limit is not None:
            joint = spec.joint(one.target)
            joint.actfrcrange, joint.actfrclimited = [-limit, limit], mujoco.mjtLimited.mjLIMITED_TRUE

    return _compiled(robot, actuators, edit)


def dc_motor(
    robot: Robot,
    *,
    actuators: Sequence[str],
    resistance: float,
    torque_constant: float,
    voltage: float,
    back_emf: float | None = None,
    current_limit: float | None = None,
) -> Actuator:
    """Command = voltage u within +-`voltage`: torque = k_t (u - k_e velocity) / R, the current within +-`current_limit` (A).

    The back-EMF gives the torque-speed line: k_t U / R at rest, nothing at U / k_e.
    """
    slope = torque_constant / resistance
    emf = torque_constant if back_emf is None else back_emf
    force = None if current_limit is None else torque_constant * current_limit

    def edit(spec: mujoco.MjSpec, one: mujoco.MjsActuator) -> None:
        _affine(one, gain=slope, bias=(0.0, 0.0, -slope * emf), command=(-voltage, voltage), force=force)

    return _compiled(robot, actuators, edit)


def first_order(robot: Robot, *, actuators: Sequence[str], time_constant_s: float) -> Actuator:
    """What the actuator acts on follows its command: d act / dt = (command - act) / time constant, integrated exactly each physics step."""

    def edit(spec: mujoco.MjSpec, one: mujoco.MjsActuator) -> None:
        one.dyntype = mujoco.mjtDyn.mjDYN_FILTEREXACT
        one.dynprm[0] = time_constant_s

    return _compiled(robot, actuators, edit)


def delayed(robot: Robot, *, actuators: Sequence[str], delay_s: Sequence[float]) -> Actuator:
    """Commands arrive late, by a time uniform in [shortest, longest] s, drawn for each actuator once an episode, on top of all other
    delays."""
    if len(delay_s) != 2 or not 0 <= delay_s[0] <= delay_s[1]:
        raise CoreError(f"a delay is [shortest, longest] of at least 0 s, it is {list(delay_s)}", pointer="/delay_s")
    return Actuator(actuators=known(robot, "actuator", actuators, pointer="/actuators"), delay_s=(float(delay_s[0]), float(delay_s[1])))


def torque_speed(robot: Robot, *, actuators: Sequence[str], stall: float, no_load_speed: float, limit: float | None = None) -> Actuator:
    """Cuts the force of a motor off at its torque-speed line: in the direction of motion at most stall * (1 - v / no-load speed), against
    it at most stall * (1 + ...), and never more than `limit`. The added force is what is cut off."""
    most = stall if limit is None else min(limit, stall)

    def force(motor_n: jax.Array, velocity_n: jax.Array) -> jax.Array:
        ratio_n = velocity_n / no_load_speed
        high_n = jnp.clip(stall * (1 - ratio_n), -most, most)
        low_n = jnp.clip(-stall * (1 + ratio_n), -most, most)
        return jnp.clip(motor_n, low_n, high_n) - motor_n

    return Actuator(actuators=known(robot, "actuator", actuators, pointer="/actuators"), force=force)


def stribeck(
    robot: Robot,
    *,
    actuators: Sequence[str],
    coulomb: float,
    breakaway: float,
    stribeck_speed: float,
    viscous: float = 0.0,
    slip_speed: float = 0.01,
) -> Actuator:
    """Friction -(F_c + (F_s - F_c) exp(-(v / v_s)^2)) tanh(v / slip_speed) - viscous v.

    Stribeck's curve (Armstrong-Helouvry, Dupont and Canudas de Wit 1994, doi:10.1016/0005-1098(94)90209-7). Within `slip_speed` it rises
    smoothly from zero: the slope breakaway / slip_speed times `actuator_dt` must stay below the joint's inertia, or the friction rings.
    """
    if not 0 <= coulomb <= breakaway:
        raise CoreError(
            f"breakaway {breakaway:g} is below coulomb {coulomb:g}", pointer="/breakaway", hint="static friction is the larger one"
        )

    def force(motor_n: jax.Array, velocity_n: jax.Array) -> jax.Array:
        level_n = coulomb + (breakaway - coulomb) * jnp.exp(-jnp.square(velocity_n / stribeck_speed))
        return -level_n * jnp.tanh(velocity_n / slip_speed) - viscous * velocity_n

    return Actuator(actuators=known(robot, "actuator", actuators, pointer="/actuators"), force=force)


def load_friction(robot: Robot, *, actuators: Sequence[str], share: float, coulomb: float = 0.0, slip_speed: float = 0.01) -> Actuator:
    """Friction of a gear: -(coulomb + share * |transmitted force|) tanh(v / slip_speed). The transmitted force is the motor's."""

    def force(motor_n: jax.Array, velocity_n: jax.Array) -> jax.Array:
        return -(coulomb + share * jnp.abs(motor_n)) * jnp.tanh(velocity_n / slip_speed)

    return Actuator(actuators=known(robot, "actuator", actuators, pointer="/actuators"), force=force)


def _compiled(robot: Robot, actuators: Sequence[str], edit: Edit) -> Actuator:
    names = known(robot, "actuator", actuators, pointer="/actuators")

    def change(spec: mujoco.MjSpec) -> None:
        for name in names:
            edit(spec, spec.actuator(name))

    return Actuator(actuators=names, edit=change)


def _affine(
    one: mujoco.MjsActuator, *, gain: float, bias: tuple[float, float, float], command: tuple[float, float] | None, force: float | None
) -> None:
    """Makes an actuator's force gain * command + bias . (1, position, velocity), with its limits."""
    one.gaintype, one.biastype = mujoco.mjtGain.mjGAIN_FIXED, mujoco.mjtBias.mjBIAS_AFFINE
    one.gainprm[0] = gain
    one.biasprm[:3] = bias
    if command is not None:
        one.ctrlrange, one.ctrllimited = list(command), mujoco.mjtLimited.mjLIMITED_TRUE
    if force is not None:
        one.forcerange, one.forcelimited = [-force, force], mujoco.mjtLimited.mjLIMITED_TRUE


def _joint_ranges(robot: Robot, actuators: Sequence[str]) -> dict[str, tuple[float, float] | None]:
    """Range of the joint of each actuator, in the actuator's unit; None where the joint has none. Raises CoreError unless it drives a
    joint."""
    ranges: dict[str, tuple[float, float] | None] = {}
    model = robot.model
    for index, name in enumerate(known(robot, "actuator", actuators, pointer="/actuators")):
        actuator = robot.actuator(name).id
        if model.actuator_trntype[actuator] != mujoco.mjtTrn.mjTRN_JOINT:
            raise CoreError(f"actuator '{name}' does not drive a joint", pointer=f"/actuators/{index}")
        joint = scalar_joint(robot, model.joint(int(model.actuator_trnid[actuator, 0])).name, pointer=f"/actuators/{index}")
        ends = joint_range(robot, joint)
        gear = float(model.actuator_gear[actuator, 0])
        ranges[name] = None if ends is None else (min(gear * ends[0], gear * ends[1]), max(gear * ends[0], gear * ends[1]))
    return ranges
