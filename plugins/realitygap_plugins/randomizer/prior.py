"""A prior over a robot's parameters from its model alone: a relative width around each nominal value."""

from __future__ import annotations

import math
from collections.abc import Sequence

from realitygap_core.domain import Domain
from realitygap_core.errors import CoreError
from realitygap_core.marginals import LogUniform, Marginal, Uniform
from realitygap_core.parameters import ParameterInfo, describe, enumerate_parameters
from realitygap_core.robot import Robot

MECHANICAL = ("mass", "friction", "damping", "frictionloss", "armature", "stiffness", "gain", "velocity_gain", "force_limit")
"""Kinds that `auto` takes where the model has them (a nominal value that is finite and not zero); `latency` is added to them."""


def automatic(robot: Robot) -> list[str]:
    """The parameters that are randomised when none are named: what the model's mechanics have, and the latency of its commands."""
    infos = enumerate_parameters(robot)
    present = [n for n, i in infos.items() if i.kind in MECHANICAL and math.isfinite(i.nominal) and i.nominal != 0]
    return present + [n for n in infos if n == "latency"]


def around(info: ParameterInfo, width: float) -> Marginal:
    """The distribution of one parameter, `width` wide relative to its nominal value.

    A positive nominal value: uniform in log between nominal / (1 + width) and nominal * (1 + width). Otherwise uniform, `width` times
    the larger of
    |nominal| and half the search range to each side, within what is physical. So a parameter that is nominally zero gets a range too.
    """
    if not math.isfinite(info.nominal):
        raise CoreError(
            f"'{info.name}' has no nominal value to randomise around: the model sets no limit",
            hint="give it a value in the model, or leave it out",
        )
    if info.nominal > 0:
        return LogUniform(low=info.nominal / (1 + width), high=info.nominal * (1 + width), unit=info.unit)
    half = width * (abs(info.nominal) or (info.high - info.low) / 2)
    low, high = max(info.nominal - half, info.physical_low), min(info.nominal + half, info.physical_high)
    return Uniform(low=low, high=high, unit=info.unit)


def make_prior(robot: Robot, names: Sequence[str], width: float, *, model: str | None = None) -> Domain:
    """Independent distributions `around` the nominal values of `names`.

    Raises:
        CoreError: an unknown parameter (with the nearest name), one that is named twice, or both `latency` and a `delay` that it sets.
    """
    if len(set(names)) != len(names):
        raise CoreError(f"'{next(n for n in names if list(names).count(n) > 1)}' is named twice")
    if "latency" in names and any(name.startswith("delay[") for name in names):
        raise CoreError("'latency' sets every delay, and a delay is named too", hint="name one of them")
    if not names:
        raise CoreError(f"no parameter of '{robot.name}' to randomise", hint="name them: -i parameters='[\"mass[torso]\"]'")
    return Domain(parameters={name: around(describe(robot, name), width) for name in names}, model=model)
