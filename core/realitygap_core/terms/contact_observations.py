"""Observations of contact between named geoms."""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp

from realitygap_core.terms.contacts import Contacts
from realitygap_core.terms.term import Observation, Scene


def contact(scene: Scene, *, geoms: Sequence[str], ground: Sequence[str] | None = None) -> Observation:
    """1 for each geom that touches the ground, else 0."""
    contacts = Contacts(scene.robot, geoms, ground)
    return Observation(
        labels=tuple(f"contact({name})" for name in contacts.geoms),
        unit="1",
        needs=contacts.needs,
        compute=lambda view: contacts.touching(view).astype(jnp.float32),
    )


def contact_force(scene: Scene, *, geoms: Sequence[str], ground: Sequence[str] | None = None) -> Observation:
    """Normal force between each geom and the ground, N."""
    contacts = Contacts(scene.robot, geoms, ground)
    return Observation(labels=tuple(f"force({n})" for n in contacts.geoms), unit="N", needs=contacts.needs, compute=contacts.force)
