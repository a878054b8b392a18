"""Forces that are not commands: on joints and on bodies, held for the physics steps of one call of an engine."""

from __future__ import annotations

import dataclasses
from typing import Any

import jax

ArrayLike = Any  # NumPy on the C engine, JAX on mjx, as in PhysicsState


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Applied:
    """Forces on a batch of B robots (terms and actuators see one robot, without the axis B)."""

    joint: ArrayLike
    """Generalised forces [B, nv], N or N m: MuJoCo's `qfrc_applied`."""
    body: ArrayLike
    """Force, then torque at the centre of mass of each body, in the axes of the world [B, nbody, 6]: MuJoCo's `xfrc_applied`."""
