"""C MuJoCo: batches of environments on a persistent thread pool, each with its own model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from mujoco import rollout
from numpy.typing import NDArray

from realitygap_core import stopwatches
from realitygap_core.applied import Applied
from realitygap_core.state import PhysicsState

_APPLIED = int(mujoco.mjtState.mjSTATE_QFRC_APPLIED) | int(mujoco.mjtState.mjSTATE_XFRC_APPLIED)
_CTRL = int(mujoco.mjtState.mjSTATE_CTRL)

_STATE_SENSORS = (mujoco.mjtSensor.mjSENS_JOINTPOS, mujoco.mjtSensor.mjSENS_JOINTVEL)
"""Sensors that are entries of qpos and qvel: reading them needs no evaluation of the model."""


class MujocoEngine:
    """Steps B robots in C. State is NumPy float64; not pure, so it is called from Python, never from inside a jitted function."""

    name = "mujoco"
    pure = False

    def __init__(self, model: mujoco.MjModel, *, threads: int | None = None) -> None:
        """`threads` workers, as many as this process may use cores by default. With one, the calling thread does the work."""
        stopwatches.switch_off()
        count = threads or cores()
        self.model = model
        self._pool = rollout.Rollout(nthread=0 if count == 1 else count)
        self._data = [mujoco.MjData(model) for _ in range(count)]
        self._sizes = (model.nq, model.nv, model.na)
        self._entries = _state_entries(model)

    def step(
        self, plants: Sequence[mujoco.MjModel], state: PhysicsState, ctrl_bsu: NDArray[np.floating[Any]], applied: Applied | None = None
    ) -> PhysicsState:
        """The state after the physics steps that `ctrl_bsu` [B, substeps, nu] commands, with the forces of `applied` throughout; sensors
        settled.

        MuJoCo evaluates sensors before it integrates, so one step more is run, whose sensors are those of the state before it; where all
        sensors are entries of the state, they are read from it instead. A robot whose simulation broke down has NaN in `qpos`, `qvel` and
        `sensordata`.
        """
        batch, substeps, nu = ctrl_bsu.shape
        steps = substeps if self._entries is not None else substeps + 1
        control = np.empty((batch, steps, nu))
        control[:, :substeps] = ctrl_bsu
        control[:, substeps:] = ctrl_bsu[:, -1:]
        states, sensors = self._run(plants, state, control, applied)
        after = states[:, substeps - 1]
        # A rollout that diverges repeats its last state; then time stands still.
        elapsed = states[:, -1, 0] - state.time
        broken = ~(np.abs(elapsed - steps * self.model.opt.timestep) < 0.5 * self.model.opt.timestep)
        if broken.any():
            after = np.where(broken[:, None], np.nan, after)
            after[:, 0] = states[:, substeps - 1, 0]
        settled = after[:, self._entries] if self._entries is not None else np.where(broken[:, None], np.nan, sensors[:, substeps])
        nq, nv, _ = self._sizes
        return PhysicsState(
            time=after[:, 0].copy(),
            qpos=after[:, 1 : 1 + nq].copy(),
            qvel=after[:, 1 + nq : 1 + nq + nv].copy(),
            act=states[:, substeps - 1, 1 + nq + nv :].copy(),
            ctrl=control[:, -1].copy(),
            sensordata=settled,
        )

    def settle(self, plants: Sequence[mujoco.MjModel], state: PhysicsState) -> PhysicsState:
        """The same state with the sensors that belong to it."""
        if self._entries is not None:
            return state.replace(sensordata=self._full(state)[:, self._entries])
        control = np.array(state.ctrl, dtype=np.float64)[:, None]
        _, sensors = self._run(plants, state, control)
        return state.replace(sensordata=sensors[:, 0].copy())

    def rollout(
        self, plants: Sequence[mujoco.MjModel], state: PhysicsState, ctrl_bsu: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """All states [B, substeps, 1 + nq + nv + na] (time, qpos, qvel, act), and sensors [B, substeps, nsensordata], one step older."""
        return self._run(plants, state, np.ascontiguousarray(ctrl_bsu, dtype=np.float64))

    def close(self) -> None:
        """Ends the threads."""
        self._pool.close()

    def _run(
        self, plants: Sequence[mujoco.MjModel], state: PhysicsState, control: NDArray[np.float64], applied: Applied | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        batch, steps, _ = control.shape
        initial = self._full(state)
        if control.shape[2] != self.model.nu or not len(plants) == len(initial) == batch:
            raise ValueError(f"{len(plants)} plants, {len(initial)} states and ctrl {control.shape} for {self.model.nu} actuators")
        spec = _CTRL
        if applied is not None:
            spec |= _APPLIED
            forces = np.concatenate([np.asarray(applied.joint), np.asarray(applied.body).reshape(len(control), -1)], axis=1)
            control = np.concatenate([control, np.repeat(forces[:, None], control.shape[1], axis=1)], axis=2, dtype=np.float64)
        # All plants are edited copies of one model, so the pool's checks, which cost as much as two steps of a small robot, are left out.
        states, sensors = self._pool.rollout(
            list(plants),
            self._data,
            initial,
            control,
            skip_checks=True,
            nstep=steps,
            control_spec=spec,
            state=np.empty((batch, steps, initial.shape[1])),
            sensordata=np.empty((batch, steps, self.model.nsensordata)),
        )
        return states, sensors

    @staticmethod
    def _full(state: PhysicsState) -> NDArray[np.float64]:
        return np.concatenate([np.asarray(state.time)[:, None], state.qpos, state.qvel, state.act], axis=1, dtype=np.float64)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _state_entries(model: mujoco.MjModel) -> NDArray[np.intp] | None:
    """Column of (time, qpos, qvel, act) that each entry of sensordata is, or None where some entry is not one of them."""
    if np.any(np.isin(model.sensor_type, _STATE_SENSORS, invert=True)) or np.any(model.sensor_cutoff > 0):
        return None
    positions = model.sensor_type == _STATE_SENSORS[0]
    joints = model.sensor_objid
    columns: NDArray[np.intp] = np.where(positions, 1 + model.jnt_qposadr[joints], 1 + model.nq + model.jnt_dofadr[joints]).astype(np.intp)
    return columns
