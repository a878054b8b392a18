"""Observations of where bodies, sites and the centre of mass are."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from realitygap_core.sensors import Need
from realitygap_core.terms.base_observations import in_body, sensor_needs, upper_half
from realitygap_core.terms.frames import Base, into, known
from realitygap_core.terms.term import Observation, Scene, View

_AXES = ("x", "y", "z")


def center_of_mass(scene: Scene, *, body: str | None = None, frame: str = "body") -> Observation:
    """Centre of mass of a body with all below it, from the body's origin, m."""
    base, own = Base(scene.robot, body), in_body(frame)
    need = Need("subtreecom", base.body)

    def compute(view: View) -> jax.Array:
        offset = view.sensor(need) - view.sensor(base.position)
        return into(view.sensor(base.orientation), offset) if own else offset

    labels = tuple(f"com_{axis}({base.body})" for axis in _AXES)
    return Observation(labels=labels, unit="m", needs=(need, base.position, base.orientation), compute=compute)


def center_of_mass_velocity(scene: Scene, *, body: str | None = None, frame: str = "body") -> Observation:
    """Velocity in the world of the centre of mass of a body with all below it, m/s."""
    base, own = Base(scene.robot, body), in_body(frame)
    need = Need("subtreelinvel", base.body)

    def compute(view: View) -> jax.Array:
        velocity = view.sensor(need)
        return into(view.sensor(base.orientation), velocity) if own else velocity

    labels = tuple(f"com_v{axis}({base.body})" for axis in _AXES)
    return Observation(labels=labels, unit="m/s", needs=(need, base.orientation), compute=compute)


def body_position(scene: Scene, *, bodies: Sequence[str], relative_to: str | None = None) -> Observation:
    """Positions of bodies' origins, in the world or in the frame of another body, m."""
    return _positions(scene, "body", bodies, relative_to)


def site_position(scene: Scene, *, sites: Sequence[str], relative_to: str | None = None) -> Observation:
    """Positions of sites, in the world or in the frame of a body, m."""
    return _positions(scene, "site", sites, relative_to)


def body_orientation(scene: Scene, *, bodies: Sequence[str], relative_to: str | None = None) -> Observation:
    """Quaternions of bodies, w first and not negative, in the world or in the frame of another body."""
    return _orientations(scene, "body", bodies, relative_to)


def site_orientation(scene: Scene, *, sites: Sequence[str], relative_to: str | None = None) -> Observation:
    """Quaternions of sites, w first and not negative, in the world or in the frame of a body."""
    return _orientations(scene, "site", sites, relative_to)


def site_difference(scene: Scene, *, site: str, target: str, relative_to: str | None = None) -> Observation:
    """From `site` to `target`, in the axes of the world or of a body, m."""
    robot = scene.robot
    known(robot, "site", [site], pointer="/site")
    known(robot, "site", [target], pointer="/target")
    reference = _reference(scene, relative_to)
    first, second = sensor_needs("framepos", (site, target), "site", reference)
    return Observation(
        labels=tuple(f"{axis}({target} - {site})" for axis in _AXES),
        unit="m",
        needs=(first, second),
        compute=lambda view: view.sensor(second) - view.sensor(first),
    )


def _positions(scene: Scene, kind: str, names: Sequence[str], relative_to: str | None) -> Observation:
    needs = _frames(scene, "framepos", kind, names, relative_to)
    labels = tuple(f"{axis}({name})" for name in names for axis in _AXES)
    return Observation(labels=labels, unit="m", needs=needs, compute=lambda view: jnp.concatenate([view.sensor(n) for n in needs]))


def _orientations(scene: Scene, kind: str, names: Sequence[str], relative_to: str | None) -> Observation:
    needs = _frames(scene, "framequat", kind, names, relative_to)
    labels = tuple(f"q{axis}({name})" for name in names for axis in ("w", *_AXES))
    return Observation(
        labels=labels, unit="1", needs=needs, compute=lambda view: jnp.concatenate([upper_half(view.sensor(n)) for n in needs])
    )


def _frames(scene: Scene, sensor: str, kind: str, names: Sequence[str], relative_to: str | None) -> tuple[Need, ...]:
    checked = known(scene.robot, kind, names, pointer="/bodies" if kind == "body" else "/sites")
    return sensor_needs(sensor, checked, "xbody" if kind == "body" else "site", _reference(scene, relative_to))


def _reference(scene: Scene, body: str | None) -> str:
    if body is not None:
        scene.robot.id("body", body, pointer="/relative_to")
    return body or ""
