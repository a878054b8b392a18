"""Data parallelism: environments and samples are split over devices, parameters are on all of them.

Where an array lies changes where the work is done, not what is computed: XLA inserts the sums over devices that a mean over a split
minibatch needs. So the result is that of one device up to the order of those sums.
"""

from __future__ import annotations

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from realitygap_core.errors import CoreError

_AXIS = "environments"


def device_mesh(devices: int) -> Mesh | None:
    """The first `devices` devices of JAX's default backend as a mesh; None for one, which needs none. Raises CoreError for too many."""
    available = jax.devices()
    if not 1 <= devices <= len(available):
        raise CoreError(
            f"{devices} devices asked for, {len(available)} there ({available[0].platform})",
            hint=f"give `devices` from 1 to {len(available)}",
        )
    return None if devices == 1 else Mesh(np.array(available[:devices]), (_AXIS,))


def spread(tree: Any, mesh: Mesh | None, axis: int) -> Any:
    """Inside a jitted function: arrays split over the devices along `axis`; one whose length does not divide is left to XLA."""
    if mesh is None:
        return tree
    sharding = NamedSharding(mesh, PartitionSpec(*[None] * axis, _AXIS))  # type: ignore[no-untyped-call]
    return jax.tree.map(
        lambda x: jax.lax.with_sharding_constraint(x, sharding) if x.shape[axis] % mesh.size == 0 else x,  # type: ignore[no-untyped-call]
        tree,
    )


def replicate(tree: Any, mesh: Mesh | None) -> Any:
    """A copy of every array on all devices."""
    return tree if mesh is None else _place(tree, lambda _: NamedSharding(mesh, PartitionSpec()))  # type: ignore[no-untyped-call]


def split_environments(tree: Any, mesh: Mesh | None, num_envs: int) -> Any:
    """Arrays [num_envs, ...] split over the devices, all others copied to each. NumPy arrays, which are for the host, stay there."""
    if mesh is None:
        return tree

    def sharding(x: jax.Array) -> NamedSharding:
        whole = x.ndim == 0 or x.shape[0] != num_envs or num_envs % mesh.size != 0
        return NamedSharding(mesh, PartitionSpec() if whole else PartitionSpec(_AXIS))  # type: ignore[no-untyped-call]

    return _place(tree, sharding)


def _place(tree: Any, sharding: Any) -> Any:
    arrays, rest = eqx.partition(tree, lambda x: isinstance(x, jax.Array))
    return eqx.combine(jax.tree.map(lambda x: jax.device_put(x, sharding(x)), arrays), rest)
