"""The state of physics that every engine exposes: what terms, recordings and a real robot have in common."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

ArrayLike = Any  # a NumPy array on the C engine, a JAX array on mjx; the shapes are the same


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class PhysicsState:
    """State of a batch of B simulated robots; every field has the leading axis B (terms see one robot, without it)."""

    time: ArrayLike
    """Simulated time [B], s."""
    qpos: ArrayLike
    """Generalised positions [B, nq], as in MuJoCo; address them by joint name."""
    qvel: ArrayLike
    """Generalised velocities [B, nv]."""
    act: ArrayLike
    """Activations of actuators with internal state [B, na]."""
    ctrl: ArrayLike
    """What the actuators were last given [B, nu]."""
    sensordata: ArrayLike
    """All sensors [B, nsensordata], of the same instant as `qpos`."""

    def replace(self, **changes: ArrayLike) -> PhysicsState:
        """A copy with the fields in `changes` replaced."""
        return dataclasses.replace(self, **changes)
