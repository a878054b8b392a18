"""Contact between named geoms, from one sensor a pair of geoms: the only form of contact sensing that every engine has."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot
from realitygap_core.sensors import CONTACT_SLOTS, Need
from realitygap_core.terms.frames import known
from realitygap_core.terms.term import View


class Contacts:
    """What some geoms touch."""

    def __init__(self, robot: Robot, geoms: Sequence[str], ground: Sequence[str] | None) -> None:
        """`ground` are the geoms touched; by default those fixed to the world that can collide with one of `geoms`.

        Raises:
            CoreError: no such geom, or a pair that the model never lets collide.
        """
        self.geoms = known(robot, "geom", geoms, pointer="/geoms")
        others = _world(robot, self.geoms) if ground is None else known(robot, "geom", ground, pointer="/ground")
        self._pairs = [[Need("contact", geom, reference=other) for other in others if _collide(robot, geom, other)] for geom in self.geoms]
        for index, (geom, pairs) in enumerate(zip(self.geoms, self._pairs, strict=True)):
            if not pairs:
                raise CoreError(
                    f"the model lets geom '{geom}' collide with nothing that counts as ground",
                    pointer=f"/geoms/{index}",
                    hint="check contype and conaffinity, or name the `ground`",
                )
        self.needs = tuple(need for pairs in self._pairs for need in pairs)

    def touching(self, view: View) -> jax.Array:
        """True for each geom in contact [n]."""
        return jnp.stack([sum(self._slots(view, need)[:, 0].sum() for need in pairs) > 0 for pairs in self._pairs])

    def force(self, view: View) -> jax.Array:
        """Normal force of each geom [n], N: the sum over its contacts, at most the `CONTACT_SLOTS` strongest of a pair."""
        return jnp.stack([jnp.asarray(sum(self._slots(view, need)[:, 1].sum() for need in pairs)) for pairs in self._pairs])

    @staticmethod
    def _slots(view: View, need: Need) -> jax.Array:
        return view.sensor(need).reshape(CONTACT_SLOTS, 4)


def _world(robot: Robot, geoms: Sequence[str]) -> tuple[str, ...]:
    model = robot.model
    fixed = [index for index in range(model.ngeom) if model.body_weldid[model.geom_bodyid[index]] == 0]
    names = [model.geom(index).name for index in fixed if model.geom_contype[index] or model.geom_conaffinity[index]]
    if not names or not all(names):
        raise CoreError(
            "the world has no geom that can collide" if not names else "a geom of the world that can collide has no name",
            where=robot.where,
            pointer="/geoms",
            hint="name the ground in the model, or give `ground`",
        )
    return tuple(name for name in names if name not in geoms)


def _collide(robot: Robot, one: str, other: str) -> bool:
    """Whether the masks of two geoms, or an explicit pair, let them collide."""
    model = robot.model
    a, b = robot.id("geom", one), robot.id("geom", other)
    masks = (model.geom_contype[a] & model.geom_conaffinity[b]) or (model.geom_contype[b] & model.geom_conaffinity[a])
    pairs = {frozenset(pair) for pair in np.stack([model.pair_geom1, model.pair_geom2], axis=1).tolist()}
    return bool(masks) or frozenset((a, b)) in pairs
