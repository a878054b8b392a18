"""Observations of an inertial measurement unit at a site, in the site's own axes."""

from __future__ import annotations

from realitygap_core.sensors import Need
from realitygap_core.terms.term import Observation, Scene


def gyro(scene: Scene, *, site: str) -> Observation:
    """Angular velocity, rad/s."""
    return _triple(scene, "gyro", site, "rad/s")


def accelerometer(scene: Scene, *, site: str) -> Observation:
    """Proper acceleration, m/s^2: at rest it points up and is as large as gravity; in free fall it is zero."""
    return _triple(scene, "accelerometer", site, "m/s^2")


def _triple(scene: Scene, kind: str, site: str, unit: str) -> Observation:
    scene.robot.id("site", site, pointer="/site")
    need = Need(kind, site)
    labels = tuple(f"{kind}.{axis}({site})" for axis in "xyz")
    return Observation(labels=labels, unit=unit, needs=(need,), compute=lambda view: view.sensor(need))
