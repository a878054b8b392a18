"""Draws of a domain as consistent plants: built on the host, gathered by index when an episode begins, refreshed between updates.

A draw is applied through `parameters.Applier`, so its derived constants equal those of the edited and recompiled model. On C MuJoCo
a plant is an `MjModel` of its own; on MJX it is a row of stacked fields.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import jax
import mujoco
import numpy as np
from numpy.typing import NDArray

from realitygap_core import paths
from realitygap_core.domain import Domain
from realitygap_core.errors import CoreError
from realitygap_core.parameters import Applier, describe
from realitygap_core.plant import Plant
from realitygap_core.robot import Robot
from realitygap_core.sensors import SensorLayout


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Bank:
    """K draws; a pytree, part of an environment's state."""

    values_kp: Any
    """Parameters of each draw [K, P], float64 on the host: the draws again, exactly."""
    paths: paths.Paths
    """Signal paths [K, ...]."""
    fields: Mapping[str, Any]
    """Fields of the model in which draws differ [K, ...], for MJX; empty for C MuJoCo."""

    def fields_of(self, plant_b: jax.Array) -> dict[str, jax.Array]:
        """The fields of the plants of B environments [B, ...]."""
        return {name: value[plant_b] for name, value in self.fields.items()}


class Drawer:
    """Draws banks of plants of one robot from one domain."""

    def __init__(self, robot: Robot, layout: SensorLayout, domain: Domain | None, *, stacked: bool) -> None:
        """`robot` has its sensors compiled in; without a domain every plant is nominal. `stacked` builds fields for MJX.

        Raises:
            CoreError: the domain names a parameter that the robot does not have.
        """
        self.robot, self.layout, self.domain, self.stacked = robot, layout, domain, stacked
        self.names = domain.names if domain is not None else ()
        self._applier = Applier(robot, tuple(self.names))

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.float64]:
        """Values [count, P] of `count` draws."""
        if self.domain is None:
            return np.zeros((count, 0))
        sample = self.domain.sample(rng, count)
        return np.stack([sample[name] for name in self.names], axis=1)

    def largest(self, *kinds: str) -> float:
        """The largest value that any draw of a parameter of these kinds may have, as far as the domain bounds them; 0 without such."""
        drawn = {} if self.domain is None else self.domain.parameters
        highest = (one.support[1] for name, one in drawn.items() if name.partition("[")[0] in kinds)
        return max((high for high in highest if math.isfinite(high)), default=0.0)

    def plants(self, values_kp: NDArray[np.float64]) -> list[Plant]:
        """Plants of the draws. Raises CoreError for a value outside its physical bounds."""
        return self._applier.plants(values_kp)

    def bank(self, values_kp: NDArray[np.float64], plants: list[Plant]) -> Bank:
        """The bank of draws and the plants made of them."""
        stacked = paths.stack([plant.path for plant in plants], self.robot.model, self.layout)
        return Bank(values_kp=values_kp, paths=stacked, fields=self._fields([plant.model for plant in plants]))

    def _fields(self, models: list[mujoco.MjModel]) -> dict[str, Any]:
        if not self.stacked:
            return {}
        from realitygap_core.engines import mjx

        return {name: jax.numpy.asarray(value) for name, value in mjx.stack(self.robot.model, models).items()}


def require_known(domain: Domain, robot: Robot, *, where: str | None = None) -> None:
    """Raises CoreError when the domain names a parameter that the robot does not have; `where` is the domain's file."""
    for name in domain.names:
        try:
            describe(robot, name)
        except CoreError as error:
            message = f"the domain names '{name}', which model '{robot.name}' does not have: {error.message}"
            other = "give the `model` that the domain was made for"
            raise CoreError(message, where=where, hint=f"{error.hint}; or {other}" if error.hint else other) from None
