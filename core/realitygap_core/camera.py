"""Where a picture of a robot is taken from: a free camera that goes along with a robot that travels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_VERTICAL = 0.99
"""Share of a unit vector that points up; 8 degrees."""


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A camera that looks at a point, as MuJoCo's free one."""

    lookat: tuple[float, float, float]
    """m"""
    distance: float
    """From there, m."""
    azimuth: float
    """Degrees about the vertical; 90 looks along +y."""
    elevation: float
    """Degrees; negative looks down."""

    def as_row(self) -> list[float]:
        """lookat, distance, azimuth, elevation."""
        return [*self.lookat, self.distance, self.azimuth, self.elevation]

    def axes(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Position, and the unit vectors right, up and forward, in the world."""
        azimuth, elevation = math.radians(self.azimuth), math.radians(self.elevation)
        forward = np.array([math.cos(elevation) * math.cos(azimuth), math.cos(elevation) * math.sin(azimuth), math.sin(elevation)])
        right = np.array([math.sin(azimuth), -math.cos(azimuth), 0.0])
        return np.asarray(self.lookat) - self.distance * forward, right, np.cross(right, forward), forward


def follow(model: mujoco.MjModel, poses_tq: Floats) -> list[Camera]:
    """One camera a pose. It stands still where the robot stays in one place, and moves along with its centre of mass where it travels.

    It looks from the side, and from above at a robot whose hinges all turn about the vertical."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    axes = data.xaxis[model.jnt_type == mujoco.mjtJoint.mjJNT_HINGE]
    lies = len(axes) > 0 and bool(np.all(np.abs(axes[:, 2]) > _VERTICAL)) and not np.any(model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)
    centre, extent = np.array(model.stat.center), float(model.stat.extent)
    coms = np.empty((len(poses_tq), 3))
    for index, pose in enumerate(poses_tq):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        coms[index] = data.subtree_com[0]
    travels = len(coms) > 1 and float(np.ptp(coms[:, :2], axis=0).max()) > extent
    distance = 1.4 * extent
    cameras = []
    elevation = -65.0 if lies else -15.0
    for com in coms:
        x, y = com[:2] if travels else centre[:2]
        cameras.append(Camera(lookat=(float(x), float(y), float(centre[2])), distance=distance, azimuth=100.0, elevation=elevation))
    return cameras
