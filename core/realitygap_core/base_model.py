"""The compiled model that parameters are written into: without the compiler's short cuts that they would break, and with other sizes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import mujoco
import numpy as np

from realitygap_core.inertial import place_frame
from realitygap_core.parameter_kinds import COM_AXIS, IMU_TILT, PSEUDO_INERTIA, size_slot
from realitygap_core.robot import Robot

_OFF = 1e-6
"""m and rad: enough for the compiler to see that two frames differ."""
_INERTIAL_FRAMES = (int(mujoco.mjtSameFrame.mjSAMEFRAME_INERTIA), int(mujoco.mjtSameFrame.mjSAMEFRAME_INERTIAROT))


def base_model(robot: Robot, parameters: Iterable[tuple[str, str]], sizes: Mapping[tuple[str, str], float] | None = None) -> mujoco.MjModel:
    """The nominal model, compiled so that `parameters` (kind, target) may be written into it, with `sizes` in place of the geoms' own.

    The compiler takes short cuts where an inertial frame or a site's frame equals another frame; moving it would then move the other, or
    nothing. Such frames are compiled slightly off, and then set back.
    """
    named = list(parameters)
    bodies = {target for kind, target in named if kind in COM_AXIS or kind in PSEUDO_INERTIA}
    sites = {target for kind, target in named if kind in IMU_TILT}
    spec, nominal = robot.spec, robot.model
    if sizes:
        spec = robot.fresh_spec()
        edit_sizes(spec, nominal, sizes)
        nominal = spec.compile()
    bodies = {name for name in bodies if _takes_short_cuts(nominal, nominal.body(name).id)}
    sites = {name for name in sites if nominal.site_sameframe[nominal.site(name).id]}
    if not bodies and not sites:
        return nominal
    spec = spec.copy()
    for name in sorted(bodies):
        body = nominal.body(name).id
        make_inertia_explicit(spec, name, nominal, body)
        spec.body(name).ipos = nominal.body_ipos[body] + _OFF * np.array([1.0, 1.3, 1.7])
        spec.body(name).iquat = _off(nominal.body_iquat[body])
    for name in sorted(sites):
        spec.site(name).quat = _off(nominal.site_quat[nominal.site(name).id])
    off = spec.compile()
    base = off.__copy__()
    for name in bodies:
        body = nominal.body(name).id
        base.body_inertia[body] = nominal.body_inertia[body]
        place_frame(base, off, body, nominal.body_ipos[body], nominal.body_iquat[body])
    for name in sites:
        base.site_quat[nominal.site(name).id] = nominal.site_quat[nominal.site(name).id]
    mujoco.mj_setConst(base, mujoco.MjData(base))
    return base


def edit_sizes(spec: mujoco.MjSpec, nominal: mujoco.MjModel, sizes: Mapping[tuple[str, str], float]) -> None:
    """Changes sizes of geoms in a spec about their own centres. Mass follows as it does for the compiler: with the volume where the file
    gives a density, not at all where it gives a mass, and the inertia in both; not where the body's inertial properties are given."""
    for (kind, name), value in sizes.items():
        index, geom = nominal.geom(name).id, spec.geom(name)
        slot = size_slot(nominal, kind, index)
        if not np.isnan(geom.fromto[0]):  # such a geom has its place and length from its ends
            geom.fromto = [math.nan] * 6
            geom.pos, geom.quat, geom.size = nominal.geom_pos[index], nominal.geom_quat[index], nominal.geom_size[index]
        size = np.array(geom.size)
        size[slot] = value / 2 if kind == "length" else value
        geom.size = size


def copy_fields(model: mujoco.MjModel, source: mujoco.MjModel) -> None:
    """Makes every number of a model that of another of the same structure."""
    for owner, other in ((model, source), (model.opt, source.opt)):
        for name in dir(owner):
            value = None if name.startswith("_") else getattr(owner, name)
            if isinstance(value, np.ndarray) and value.size and name not in ("names", "paths", "text_data"):
                value[...] = getattr(other, name)


def make_inertia_explicit(spec: mujoco.MjSpec, name: str, model: mujoco.MjModel, body_id: int) -> None:
    """Writes a body's compiled inertial properties into the spec, so that they can be edited one by one."""
    body = spec.body(name)
    if spec.compiler.inertiafromgeom == mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE:
        for other_id in range(1, model.nbody):
            other = spec.bodies[other_id]
            _write_inertia(other, model, other_id)
        spec.compiler.inertiafromgeom = mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_FALSE
    _write_inertia(body, model, body_id)


def _write_inertia(body: Any, model: mujoco.MjModel, body_id: int) -> None:
    body.explicitinertial = True
    body.mass = model.body_mass[body_id]
    body.ipos = model.body_ipos[body_id]
    body.iquat = model.body_iquat[body_id]
    body.inertia = model.body_inertia[body_id]
    body.fullinertia = [math.nan, 0, 0, 0, 0, 0]


def _takes_short_cuts(model: mujoco.MjModel, body: int) -> bool:
    """Whether the compiler has found the inertial frame equal to the body's, or to that of a geom or site of the body."""
    geoms, sites = model.geom_sameframe[model.geom_bodyid == body], model.site_sameframe[model.site_bodyid == body]
    shared = np.isin(geoms, _INERTIAL_FRAMES).any() or np.isin(sites, _INERTIAL_FRAMES).any()
    return bool(model.body_sameframe[body] or model.body_simple[body] or shared)


def _off(quaternion: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    turned = np.zeros(4)
    mujoco.mju_mulQuat(turned, quaternion, np.array([1.0, _OFF, 1.3 * _OFF, 1.7 * _OFF]))
    mujoco.mju_normalize4(turned)
    return turned
