"""C MuJoCo: batches of environments on a persistent thread pool, each with its own model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import mujoco
import numpy as np
from mujoco import rollout
from numpy.typing import NDArray

from realitygap_core.state import PhysicsState


class MujocoEngine:
    """Steps B robots in C. State is NumPy float64; not pure, so it is called from Python, never from inside a jitted function."""

    name = "mujoco"
    pure = False

    def __init__(self, model: mujoco.MjModel, *, threads: int | None = None) -> None:
        """`threads` workers, as many as this process may use cores by default; one runs on the calling thread."""
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
        count = threads or cores
        self.model = model
        self._pool = rollout.Rollout(nthread=0 if count == 1 else count)
        self._data = [mujoco.MjData(model) for _ in range(count)]
        self._sizes = (model.nq, model.nv, model.na)

    def step(self, plants: Sequence[mujoco.MjModel], state: PhysicsState, ctrl_bsu: NDArray[np.floating[Any]]) -> PhysicsState:
        """The state after the physics steps that `ctrl_bsu` [B, substeps, nu] commands.

        MuJoCo evaluates sensors before it integrates, so one step more is run: its sensors are those of the state before it. A robot whose
        simulation broke down has NaN in `qpos`, `qvel` and `sensordata`.
        """
        substeps = ctrl_bsu.shape[1]
        control = np.empty((ctrl_bsu.shape[0], substeps + 1, ctrl_bsu.shape[2]))
        control[:, :-1] = ctrl_bsu
        control[:, -1] = ctrl_bsu[:, -1]
        states, sensors = self._run(plants, state, control)
        after = states[:, substeps - 1]
        result = self._unpack(after, sensors[:, substeps], control[:, -1].copy())
        # A rollout that diverges repeats its last state; then time stands still.
        elapsed = states[:, substeps, 0] - np.asarray(state.time)
        broken = ~(np.abs(elapsed - (substeps + 1) * self.model.opt.timestep) < 0.5 * self.model.opt.timestep)
        if broken.any():
            for field in (result.qpos, result.qvel, result.sensordata):
                field[broken] = np.nan
        return result

    def settle(self, plants: Sequence[mujoco.MjModel], state: PhysicsState) -> PhysicsState:
        """The same state with the sensors that belong to it."""
        control = np.array(state.ctrl, dtype=np.float64)[:, None]
        _, sensors = self._run(plants, state, control)
        return state.replace(sensordata=sensors[:, 0].copy())

    def rollout(
        self, plants: Sequence[mujoco.MjModel], state: PhysicsState, ctrl_bsu: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """All states [B, substeps, 1 + nq + nv + na] (time, qpos, qvel, act), and sensors [B, substeps, nsensordata], one step older."""
        return self._run(plants, state, np.asarray(ctrl_bsu, dtype=np.float64))

    def close(self) -> None:
        """Ends the threads."""
        self._pool.close()

    def _run(
        self, plants: Sequence[mujoco.MjModel], state: PhysicsState, control: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        initial = np.concatenate([np.asarray(state.time)[:, None], state.qpos, state.qvel, state.act], axis=1, dtype=np.float64)
        states, sensors = self._pool.rollout(
            list(plants), self._data, initial, control, nstep=control.shape[1], control_spec=int(mujoco.mjtState.mjSTATE_CTRL)
        )
        return states, sensors

    def _unpack(self, full: NDArray[np.float64], sensors: NDArray[np.float64], ctrl: NDArray[np.float64]) -> PhysicsState:
        nq, nv, na = self._sizes
        return PhysicsState(
            time=full[:, 0].copy(),
            qpos=full[:, 1 : 1 + nq].copy(),
            qvel=full[:, 1 + nq : 1 + nq + nv].copy(),
            act=full[:, 1 + nq + nv : 1 + nq + nv + na].copy(),
            ctrl=ctrl,
            sensordata=sensors.copy(),
        )
