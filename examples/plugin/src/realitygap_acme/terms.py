"""An observation for task files. It works on every engine, because it reads what the task compiled into the model as sensors."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from realitygap_core.sensors import Need
from realitygap_core.terms.joints import scalar_joints
from realitygap_core.terms.term import Observation, Scene, View


def joint_speed(scene: Scene, *, joints: Sequence[str] | None = None) -> Observation:
    """Root mean square of the velocities of hinge and slide joints, rad/s (m/s for slides); one number. All joints by default."""
    names = scalar_joints(scene.robot, joints)
    needs = tuple(Need("jointvel", name) for name in names)

    def compute(view: View) -> jax.Array:
        velocity_n = jnp.concatenate([view.sensor(need) for need in needs])
        return jnp.sqrt(jnp.mean(velocity_n**2))[None]

    return Observation(labels=("joint_speed",), unit="rad/s", needs=needs, compute=compute)
