"""Restitution of MuJoCo's contacts, which push as spring and damper and never pull: the ratio of speeds after and before an impact.

It is left when the force is zero, before the spring is relaxed (Schwager and Poeschel 2007, doi:10.1007/s10035-007-0065-z). It holds where
the impact lasts several physics steps: it takes about pi times contact time times damping ratio, so a stiff bounce needs a small step or a
longer `contact_time`. A contact at MuJoCo's default, critical damping, keeps exp(-2) = 0.135.
"""

from __future__ import annotations

import math

from scipy.optimize import brentq

_MOST_DAMPED = 20.0
"""Damping ratio that stands for no rebound; 0.0006 of the speed is left."""


def restitution_of(damping_ratio: float) -> float:
    """Ratio of speeds of an impact with this damping ratio, within (0, 1]."""
    z = damping_ratio
    if abs(z - 1) < 1e-6:
        return math.exp(-2)
    root = math.sqrt(abs(z * z - 1))
    if z < 1:
        return math.exp(-z / root * (math.pi - math.atan2(2 * z * root, 1 - 2 * z * z)))
    return math.exp(-z / root * math.log((z + root) / (z - root)))


def damping_ratio_of(restitution: float) -> float:
    """The inverse."""
    if restitution <= restitution_of(_MOST_DAMPED):
        return _MOST_DAMPED
    return float(brentq(lambda z: restitution_of(z) - restitution, 1e-6, _MOST_DAMPED, xtol=1e-12))
