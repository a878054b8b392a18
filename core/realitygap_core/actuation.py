"""From the commands of a control step to physics: what pushes the robot, and what an actuator does beyond MuJoCo's own.

    kick --> [ forces of actuators at (q, dq) --> engine.step over `every` physics steps ] repeated --> state

Forces that depend on the state (friction, torque-speed line) are computed from the state at the start of each piece of
`actuator_dt` and held over it, on both engines alike; one physics step a piece is exact to the integrator's order. On C MuJoCo each piece
is one call of the thread pool from Python, so a coarser `actuator_dt` costs less; on MJX the pieces are a scan. A task without such terms
is one call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from realitygap_core.applied import Applied
from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot
from realitygap_core.state import PhysicsState

if TYPE_CHECKING:
    from realitygap_core.episode import Episode
    from realitygap_core.task import Task

Array = jax.Array
_BIASES = (int(mujoco.mjtBias.mjBIAS_NONE), int(mujoco.mjtBias.mjBIAS_AFFINE))
_GAINS = (int(mujoco.mjtGain.mjGAIN_FIXED), int(mujoco.mjtGain.mjGAIN_AFFINE))
_SCALAR = (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE))


class Drive:
    """The affine force of some actuators of a compiled model, each on one hinge or slide joint."""

    def __init__(self, robot: Robot, actuators: tuple[str, ...]) -> None:
        """Raises CoreError for an actuator that does not drive one scalar joint, or whose gain is not affine."""
        model = robot.model
        ids = np.array([robot.actuator(name).id for name in actuators])
        for name, index in zip(actuators, ids, strict=True):
            joint = int(model.actuator_trnid[index, 0])
            if model.actuator_trntype[index] != mujoco.mjtTrn.mjTRN_JOINT or int(model.jnt_type[joint]) not in _SCALAR:
                raise CoreError(f"actuator '{name}' does not drive one hinge or slide joint", hint="this term needs one that does")
            if int(model.actuator_biastype[index]) not in _BIASES or int(model.actuator_gaintype[index]) not in _GAINS:
                raise CoreError(f"actuator '{name}' is a muscle or has a gain of its own", hint="this term needs an affine actuator")
        joints = model.actuator_trnid[ids, 0]
        self.position, self.velocity = model.jnt_qposadr[joints], model.jnt_dofadr[joints]
        self._columns = model.actuator_ctrladr[ids]
        self._gear = model.actuator_gear[ids, 0].astype(np.float32)
        self._gain, self._bias = model.actuator_gainprm[ids, :3].astype(np.float32), model.actuator_biasprm[ids, :3].astype(np.float32)
        self._limits = np.where(model.actuator_ctrllimited[ids, None], model.actuator_ctrlrange[ids], [-np.inf, np.inf]).astype(np.float32)
        self._range = np.where(model.actuator_forcelimited[ids, None], model.actuator_forcerange[ids], [-np.inf, np.inf]).astype(np.float32)
        self._act = np.where(model.actuator_actnum[ids] > 0, model.actuator_actadr[ids], -1)
        self._filtered = self._act >= 0
        self._dofs = model.nv

    def force(self, qpos: Array, qvel: Array, act: Array, ctrl_u: Array) -> tuple[Array, Array]:
        """Force [n] that MuJoCo gives the actuators, and their velocity [n], in the actuators' own units (gear applied)."""
        length_n, velocity_n = self._gear * qpos[self.position], self._gear * qvel[self.velocity]
        input_n = jnp.clip(ctrl_u[self._columns], self._limits[:, 0], self._limits[:, 1])
        if self._filtered.any():
            input_n = jnp.where(self._filtered, act[jnp.maximum(self._act, 0)], input_n)
        state_n3 = jnp.stack([jnp.ones_like(length_n), length_n, velocity_n], axis=1)
        force_n = jnp.sum(self._gain * state_n3, axis=1) * input_n + jnp.sum(self._bias * state_n3, axis=1)
        return jnp.clip(force_n, self._range[:, 0], self._range[:, 1]), velocity_n

    def joint_force(self, force_n: Array) -> Array:
        """Generalised force [nv] of forces [n] of the actuators."""
        return jnp.zeros(self._dofs).at[self.velocity].add(self._gear * force_n)


class Actuation:
    """Steps physics through one control step of a task."""

    def __init__(self, task: Task) -> None:
        self._events = bool(task.events)
        self._every = task.actuator_steps
        self._bodies = task.robot.model.nbody
        self._laws = [(Drive(task.robot, term.actuators), term.force) for term in task.actuators if term.force is not None]
        self._forces = jax.jit(jax.vmap(self._joint_forces))

    def step(self, engine: Any, plants: Any, physics: PhysicsState, episode: Episode, ctrl_bsu: Any) -> PhysicsState:
        """The state one control step later; on a pure engine a pure function."""
        pure = engine.pure
        if self._events:
            physics = physics.replace(qvel=physics.qvel + (episode.kick if pure else np.asarray(episode.kick, dtype=np.float64)))
        if not self._laws:
            after: PhysicsState = engine.step(
                plants, physics, ctrl_bsu if pure else np.asarray(ctrl_bsu), self._pushed(physics, episode) if self._events else None
            )
            return after
        pieces = ctrl_bsu.shape[1] // self._every
        split = (ctrl_bsu.shape[0], pieces, self._every, ctrl_bsu.shape[2])
        xp: Any = jnp if pure else np
        ctrl_pbsu = xp.moveaxis(xp.reshape(xp.asarray(ctrl_bsu), split), 1, 0)
        if pure:
            return jax.lax.scan(lambda state, ctrl: (self._piece(engine, plants, state, episode, ctrl), None), physics, ctrl_pbsu)[0]
        for ctrl in ctrl_pbsu:
            physics = self._piece(engine, plants, physics, episode, ctrl)
        return physics

    def _piece(self, engine: Any, plants: Any, physics: PhysicsState, episode: Episode, ctrl_bsu: Any) -> PhysicsState:
        seen = (jnp.asarray(part, jnp.float32) for part in (physics.qpos, physics.qvel, physics.act))
        joint = self._forces(*seen, ctrl_bsu[:, 0])
        body = self._pushed(physics, episode).body
        if not engine.pure:
            joint = np.asarray(joint, dtype=np.float64)
        after: PhysicsState = engine.step(plants, physics, ctrl_bsu, Applied(joint=joint, body=body))
        return after

    def _pushed(self, physics: PhysicsState, episode: Episode) -> Applied:
        """The forces of events alone."""
        xp: Any = np if isinstance(physics.qvel, np.ndarray) else jnp
        batch, dofs = physics.qvel.shape
        body = xp.asarray(episode.push, physics.qvel.dtype) if self._events else xp.zeros((batch, self._bodies, 6), physics.qvel.dtype)
        return Applied(joint=xp.zeros((batch, dofs), physics.qvel.dtype), body=body)

    def _joint_forces(self, qpos: Array, qvel: Array, act: Array, ctrl_u: Array) -> Array:
        """Generalised forces [nv] of one robot; a later term sees what an earlier one of the same actuators has added."""
        total = jnp.zeros(qvel.shape[0])
        added: dict[tuple[int, ...], Array] = {}
        for drive, law in self._laws:
            place = tuple(drive.velocity.tolist())
            motor_n, velocity_n = drive.force(qpos, qvel, act, ctrl_u)
            extra_n = law(motor_n + added.get(place, jnp.zeros_like(motor_n)), velocity_n)
            added[place] = added.get(place, jnp.zeros_like(motor_n)) + extra_n
            total = total + drive.joint_force(extra_n)
        return total
