"""Mass, centre and inertia of a body under parameters that always leave it a body that can be.

Mass points of positive mass have a positive definite pseudo-inertia J = [[S, h], [h', m]], with S their second moments and h their first;
and every positive definite J is that of some points (Wensing, Kim and Slotine 2018, doi:10.1109/LRA.2017.2729659). J = L L' with a
triangular L of positive diagonal, exp(alpha) [[A, t], [0, 1]], has no constraint left on its ten numbers (log-Cholesky; Rucker and
Wensing 2022, doi:10.1109/LRA.2022.3144517). Here the ten numbers are relative to the nominal body, 0 where nothing changes:

    J' = T J T',  T = exp(alpha) [[A, t], [0, 1]],  A = [[e^dx, sxy, sxz], [0, e^dy, syz], [0, 0, e^dz]]

which is the nominal body with its points moved from p to A p + t and its density times exp(2 alpha), in the axes of its inertial frame.
"""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np

from realitygap_core.parameter_kinds import COM_AXIS, PSEUDO_INERTIA
from realitygap_core.plant import Floats


def write_inertia(model: mujoco.MjModel, base: mujoco.MjModel, body: int, values: Mapping[str, float]) -> None:
    """Writes a body's inertial properties, from those of `base`: mass, inertia_scale and com_* first, then what moves the mass points."""
    nominal = base.body_mass[body]
    mass = values.get("mass", nominal)
    inertia = base.body_inertia[body] * (mass / nominal * values.get("inertia_scale", 1.0))
    centre, axes = base.body_ipos[body].copy(), base.body_iquat[body].copy()
    for kind, axis in COM_AXIS.items():
        centre[axis] = values.get(kind, centre[axis])
    if any(kind in values for kind in PSEUDO_INERTIA):
        ten = np.array([values.get(kind, 0.0) for kind in PSEUDO_INERTIA])
        mass, shift, inertia, turn = moved_points(mass, inertia, ten)
        centre += _rotation(axes) @ shift
        mujoco.mju_mulQuat(axes, axes.copy(), turn)
    model.body_mass[body], model.body_inertia[body] = mass, inertia
    place_frame(model, base, body, centre, axes)


def moved_points(mass: float, inertia: Floats, ten: Floats) -> tuple[float, Floats, Floats, Floats]:
    """What becomes of a body of principal moments `inertia` [3] under alpha, dx, dy, dz, sxy, sxz, syz, tx, ty, tz.

    Returns: mass, shift of the centre [3] and rotation of the principal axes (quaternion), both in the old principal axes, and moments [3].
    """
    alpha, stretch, (sxy, sxz, syz), shift = ten[0], ten[1:4], ten[4:7], ten[7:]
    second = np.diag(inertia.sum() / 2 - inertia)
    linear = np.diag(np.exp(stretch)) + np.array([[0, sxy, sxz], [0, 0, syz], [0, 0, 0]])
    density = np.exp(2 * alpha)
    second = density * linear @ second @ linear.T
    full = np.trace(second) * np.eye(3) - second
    moments, turn = np.diag(full).copy(), np.array([1.0, 0.0, 0.0, 0.0])
    if sxy or sxz or syz:  # else the axes stay, and with them the order of the moments
        mujoco.mju_eig3(moments, np.zeros(9), turn, full.ravel())
    return float(density * mass), shift, moments, turn


def place_frame(model: mujoco.MjModel, base: mujoco.MjModel, body: int, centre: Floats, axes: Floats) -> None:
    """Sets a body's inertial frame; the bounding volumes of its geoms are stored in that frame, so they move the other way."""
    first, count = int(base.body_bvhadr[body]), int(base.body_bvhnum[body])
    if count:
        rows = slice(first, first + count)
        old, new = _rotation(base.body_iquat[body]), _rotation(axes)
        turn = new.T @ old if not np.array_equal(axes, base.body_iquat[body]) else np.eye(3)
        model.bvh_aabb[rows, :3] = base.bvh_aabb[rows, :3] @ turn.T + new.T @ (base.body_ipos[body] - centre)
        model.bvh_aabb[rows, 3:] = base.bvh_aabb[rows, 3:] @ np.abs(turn).T
    model.body_ipos[body], model.body_iquat[body] = centre, axes


def _rotation(quaternion: Floats) -> Floats:
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, quaternion)
    return matrix.reshape(3, 3)
