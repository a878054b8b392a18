"""Draws a robot's geoms as wires, without OpenGL: edges of boxes, rings and sides of cylinders and capsules, edges of meshes.

Nothing is hidden by what is in front of it; geoms that are further away are drawn first. It shows the motion, not the looks.
"""

from __future__ import annotations

import math

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from realitygap_core.camera import Camera

Floats = NDArray[np.float64]
Frames = NDArray[np.uint8]
_BACKGROUND = (244, 246, 249)
_MOST_EDGES = 600
"""Of a mesh; more would be a blot."""


def draw(model: mujoco.MjModel, poses_tq: Floats, cameras: list[Camera], width: int, height: int) -> Frames:
    """Frames [T, height, width, 3] of the poses [T, nq], one camera each."""
    data = mujoco.MjData(model)
    shown = [index for index in range(model.ngeom) if model.geom_group[index] < 3 and _colour(model, index)[3] > 0]
    wires = {index: edges(model, index) for index in shown}
    focal = 0.5 * height / math.tan(math.radians(float(model.vis.global_.fovy)) / 2)
    frames = np.empty((len(poses_tq), height, width, 3), np.uint8)
    for number, (pose, camera) in enumerate(zip(poses_tq, cameras, strict=True)):
        data.qpos[:] = pose
        mujoco.mj_kinematics(model, data)
        position, right, up, forward = camera.axes()
        image = Image.new("RGB", (width, height), _BACKGROUND)
        pen = ImageDraw.Draw(image)
        away = [float((data.geom_xpos[index] - position) @ forward) for index in shown]
        for index in (shown[place] for place in np.argsort(away)[::-1]):
            world_e2x = data.geom_xpos[index] + wires[index] @ data.geom_xmat[index].reshape(3, 3).T
            seen_e2x = (world_e2x - position) @ np.stack([right, up, forward]).T
            depth_e2 = seen_e2x[..., 2]
            in_front = np.all(depth_e2 > 1e-3 * camera.distance, axis=1)
            pixels_e2x = np.stack([seen_e2x[..., 0], -seen_e2x[..., 1]], axis=-1)[in_front] / depth_e2[in_front, :, None] * focal
            colour = tuple(int(255 * part) for part in _colour(model, index)[:3])
            for one, other in pixels_e2x + np.array([width / 2, height / 2]):
                pen.line([*one, *other], fill=colour, width=1)
        pen.text((4, height - 13), "wireframe", fill=(120, 125, 135))
        frames[number] = np.asarray(image)
    return frames


def edges(model: mujoco.MjModel, geom: int) -> Floats:
    """Edges [E, 2, 3] of a geom in its own frame."""
    kind, size = int(model.geom_type[geom]), np.array(model.geom_size[geom], np.float64)
    types = mujoco.mjtGeom
    if kind == types.mjGEOM_BOX:
        return _box(size)
    if kind == types.mjGEOM_CYLINDER:
        return np.concatenate([_ring(size[0], size[0], z) for z in (-size[1], size[1])] + [_sides(size[0], size[1])])
    if kind == types.mjGEOM_CAPSULE:
        rings = [_ring(size[0], size[0], z) for z in (-size[1], size[1])]
        return np.concatenate([*rings, _sides(size[0], size[1]), _cap(size[0], size[1]), _cap(size[0], -size[1])])
    if kind in (types.mjGEOM_SPHERE, types.mjGEOM_ELLIPSOID):
        axes = size if kind == types.mjGEOM_ELLIPSOID else np.full(3, size[0])
        flat = _ring(1.0, 1.0, 0.0)
        return np.asarray(np.concatenate([flat, flat[..., [0, 2, 1]], flat[..., [2, 0, 1]]]) * axes)
    if kind == types.mjGEOM_PLANE:
        return _grid(size, float(model.stat.extent))
    if kind == types.mjGEOM_MESH:
        return _mesh(model, int(model.geom_dataid[geom]))
    return _box(np.array(model.geom_aabb[geom, 3:]))  # a height field, or what may come: the box around it


def _colour(model: mujoco.MjModel, geom: int) -> Floats:
    material = int(model.geom_matid[geom])
    return np.asarray(model.mat_rgba[material] if material >= 0 else model.geom_rgba[geom], np.float64)


def _box(half: Floats) -> Floats:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * half
    pairs = [(a, b) for a in range(8) for b in range(a + 1, 8) if bin(a ^ b).count("1") == 1]
    return np.asarray(corners[np.array(pairs)])


def _polyline(points_n3: Floats) -> Floats:
    return np.stack([points_n3[:-1], points_n3[1:]], axis=1)


def _ring(a: float, b: float, z: float) -> Floats:
    turn = np.linspace(0, 2 * math.pi, 17)
    return _polyline(np.stack([a * np.cos(turn), b * np.sin(turn), np.full_like(turn, z)], axis=1))


def _sides(radius: float, half: float) -> Floats:
    turn = np.arange(0, 2 * math.pi, math.pi / 4)
    low = np.stack([radius * np.cos(turn), radius * np.sin(turn), np.full_like(turn, -half)], axis=1)
    return np.stack([low, low + np.array([0, 0, 2 * half])], axis=1)


def _cap(radius: float, z: float) -> Floats:
    turn = np.linspace(0, math.pi, 9)
    arc = np.stack([radius * np.cos(turn), np.zeros_like(turn), z + math.copysign(radius, z) * np.sin(turn)], axis=1)
    return np.concatenate([_polyline(arc), _polyline(arc[:, [1, 0, 2]])])


def _grid(size: Floats, extent: float) -> Floats:
    """Lines in pieces, so that only what lies behind the camera is lost; an endless or a huge plane is drawn around the origin."""
    x, y = (min(half, 6 * extent) if half > 0 else 6 * extent for half in size[:2])
    u = np.linspace(-1, 1, 17)
    points = np.stack([*np.meshgrid(u * x, u * y, indexing="ij"), np.zeros((17, 17))], axis=-1)
    along_x, along_y = np.stack([points[:-1], points[1:]], axis=2), np.stack([points[:, :-1], points[:, 1:]], axis=2)
    return np.concatenate([along_x.reshape(-1, 2, 3), along_y.reshape(-1, 2, 3)])


def _mesh(model: mujoco.MjModel, mesh: int) -> Floats:
    first, count = int(model.mesh_vertadr[mesh]), int(model.mesh_vertnum[mesh])
    vertices = np.array(model.mesh_vert[first : first + count], np.float64)
    first, count = int(model.mesh_faceadr[mesh]), int(model.mesh_facenum[mesh])
    faces = np.array(model.mesh_face[first : first + count])
    pairs = np.unique(np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1), axis=0)
    return np.asarray(vertices[pairs[:: max(1, math.ceil(len(pairs) / _MOST_EDGES))]])
