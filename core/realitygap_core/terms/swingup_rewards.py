"""Rewards of swing-ups as products: every factor must be high at once."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError
from realitygap_core.sensors import Need
from realitygap_core.terms.joints import is_hinge, scalar_joint
from realitygap_core.terms.term import Reward, Scene, View


def calm_swingup(scene: Scene, *, hinge: str, slide: str, target: float = 0.0, middle: float = 2.0, speed: float = 5.0) -> Reward:
    """Upright, in the middle, with little effort and little speed: the reward of cart-pole swing-up in the DeepMind Control Suite
    (Tassa et al. 2018, arXiv:1801.00690), within [0, 1].

    (1 + cos(q - target)) / 2  *  (1 + g(x / middle)) / 2  *  (4 + max(0, 1 - a^2)) / 5  *  (1 + g(dq/dt / speed)) / 2,  g(z) = 0.1^(z^2),
    with the action a that is furthest from 0. A weight of 1 / control_dt makes the return the number of perfect steps.
    """
    scalar_joint(scene.robot, hinge, pointer="/hinge")
    if not is_hinge(scene.robot, hinge):
        raise CoreError(f"joint '{hinge}' is not a hinge", pointer="/hinge", hint="name the joint of the pole")
    scalar_joint(scene.robot, slide, pointer="/slide")
    angle, velocity, place = Need("jointpos", hinge), Need("jointvel", hinge), Need("jointpos", slide)

    def compute(view: View) -> jax.Array:
        upright = (1 + jnp.cos(view.sensor(angle)[0] - target)) / 2
        centred = (1 + 0.1 ** jnp.square(view.sensor(place)[0] / middle)) / 2
        calm = (1 + 0.1 ** jnp.square(view.sensor(velocity)[0] / speed)) / 2
        gentle = (4 + jnp.maximum(0, 1 - jnp.max(jnp.square(view.action)))) / 5
        return upright * centred * calm * gentle

    return Reward(needs=(angle, velocity, place), compute=compute)
