"""One bounded step of linear least squares."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import lsq_linear

from realitygap_core.plant import Floats


def reduced(jacobian: Floats) -> tuple[Floats, Floats, Floats]:
    """(q, r, norms): the QR decomposition of the Jacobian with its columns scaled to norm 1, and the norms [k]."""
    norms = np.linalg.norm(jacobian, axis=0)
    norms = np.maximum(norms, 1e-8 * max(float(norms.max()), 1e-300))
    q, r = np.linalg.qr(jacobian / norms)
    return q, r, norms


def bounded_step(r: Floats, projected: Floats, norms: Floats, low: Floats, high: Floats, damping: float) -> Floats:
    """The step d [k] of least |residual + J d|^2 + damping |D d|^2 with low <= d <= high, D^2 the diagonal of J'J (Marquardt).

    `r`, `norms` from `reduced(J)`, `projected` is q' residual.
    """
    matrix = np.concatenate([r, math.sqrt(damping) * np.eye(len(norms))])
    target = np.concatenate([-projected, np.zeros(len(norms))])
    solved = lsq_linear(matrix, target, bounds=(np.minimum(low * norms, -1e-300), np.maximum(high * norms, 1e-300)), method="bvls")
    return np.asarray(np.clip(solved.x / norms, low, high))
