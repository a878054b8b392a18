"""Moving pictures of a robot, on machines with and without a display, a GPU or OpenGL.

MuJoCo's renderer draws where OpenGL works without a display: through EGL (also in software, with Mesa), else through OSMesa. It runs in a
process of its own, since the library is chosen when MuJoCo is imported, and a bad driver may end the process. Where neither works the
geoms are drawn as wires (`wireframe`), so that there is always a picture, and the picture says which it is.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import mujoco
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from realitygap_core import wireframe
from realitygap_core.camera import Camera, follow
from realitygap_core.robot import Robot

Frames = NDArray[np.uint8]
Floats = NDArray[np.float64]
Backend = Literal["egl", "osmesa", "wireframe"]

_SECONDS_A_FRAME = 2.0
"""Patience with a renderer that draws in software on a busy machine."""
_SHADOW = 1024
"""Texels along a shadow map: as many as a small picture shows. In software MuJoCo's 4096 take three quarters of the time of a frame."""


@dataclass(frozen=True, kw_only=True)
class Film:
    """Frames [T, height, width, 3] of a motion."""

    frames: Frames
    fps: float
    """Frames a second of the robot's time."""
    backend: Backend
    """What drew them."""

    @property
    def description(self) -> str:
        """What the picture is, for a caption."""
        if self.backend == "wireframe":
            return "wireframe of the geoms (no OpenGL on this machine)"
        return f"rendered by MuJoCo through {'EGL' if self.backend == 'egl' else 'OSMesa'}"

    def save(self, path: Path) -> Path:
        """Writes an animated GIF that repeats."""
        images = [Image.fromarray(frame) for frame in self.frames]
        # One palette for all frames: a GIF has 256 colours, and a palette a frame would flicker.
        middle = Image.fromarray(np.concatenate([self.frames[0], self.frames[len(self.frames) // 2], self.frames[-1]]))
        palette = middle.quantize(colors=128, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        first, *rest = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in images]
        path.parent.mkdir(parents=True, exist_ok=True)
        # GIF counts in hundredths of a second.
        duration = max(20, round(100 / self.fps) * 10)
        first.save(path, format="GIF", save_all=True, append_images=rest, duration=duration, loop=0, optimize=False)
        return path


def film(
    robot: Robot, qpos_tq: Floats, dt: float, *, fps: float = 10.0, width: int = 320, height: int = 240, backend: Backend | None = None
) -> Film:
    """Draws the motion `qpos_tq` [T, nq], one pose every `dt` seconds.

    Args:
      robot: the robot as it was given, meshes and all.
      fps: frames a second; as near to it as whole steps allow.
      backend: what draws; by default the best that works here.
    """
    stride = max(1, round(1 / (fps * dt)))
    poses_tq = np.asarray(qpos_tq, np.float64)[::stride]
    model = _lit(robot)
    cameras = follow(model, poses_tq)
    tried: tuple[Backend, ...] = ("egl", "osmesa") if backend is None else (backend,)
    for one in tried:
        if one != "wireframe" and (frames := _rendered(model, poses_tq, cameras, one, width, height)) is not None:
            return Film(frames=frames, fps=1 / (stride * dt), backend=one)
    return Film(frames=wireframe.draw(model, poses_tq, cameras, width, height), fps=1 / (stride * dt), backend="wireframe")


def _lit(robot: Robot) -> mujoco.MjModel:
    """The robot's model with light from the camera and a bright sky, so that nothing is black on black."""
    spec = robot.fresh_spec()
    light = spec.visual.headlight
    light.ambient, light.diffuse, light.specular = [0.4] * 3, [0.45] * 3, [0.1] * 3
    spec.visual.quality.shadowsize = min(spec.visual.quality.shadowsize, _SHADOW)
    if not any(texture.type == mujoco.mjtTexture.mjTEXTURE_SKYBOX for texture in spec.textures):
        sky = spec.add_texture(name="realitygap/sky", type=mujoco.mjtTexture.mjTEXTURE_SKYBOX, width=64, height=384)
        sky.builtin, sky.rgb1, sky.rgb2 = int(mujoco.mjtBuiltin.mjBUILTIN_GRADIENT), [0.93, 0.95, 0.98], [0.72, 0.78, 0.86]
    _tiled(spec, float(robot.model.stat.extent))
    model: mujoco.MjModel = spec.compile()
    return model


def _tiled(spec: mujoco.MjSpec, extent: float) -> None:
    """Tiles on floors without a material of their own: on a plain one a robot that the camera goes along with seems to run on the spot."""
    floors = [geom for geom in spec.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE and not geom.material]
    if not floors:
        return
    tiles = spec.add_texture(name="realitygap/tiles", type=mujoco.mjtTexture.mjTEXTURE_2D, width=128, height=128)
    tiles.builtin, tiles.rgb1, tiles.rgb2 = int(mujoco.mjtBuiltin.mjBUILTIN_CHECKER), [1.0, 1.0, 1.0], [0.86, 0.87, 0.89]
    floor = spec.add_material(name="realitygap/floor", texuniform=True, texrepeat=[1 / extent] * 2)
    floor.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = tiles.name
    for geom in floors:
        geom.material = floor.name


def _rendered(model: mujoco.MjModel, poses_tq: Floats, cameras: list[Camera], backend: Backend, width: int, height: int) -> Frames | None:
    """The frames, or None where this library does not work here."""
    with tempfile.TemporaryDirectory(prefix="realitygap-film-") as name:
        folder = Path(name)
        mujoco.mj_saveModel(model, str(folder / "model.mjb"), None)
        views = np.array([camera.as_row() for camera in cameras])
        np.savez(folder / "given.npz", poses=poses_tq, views=views, size=np.array([height, width]))
        environment = {**os.environ, "MUJOCO_GL": backend, "PYOPENGL_PLATFORM": backend}
        environment.pop("DISPLAY", None)
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "realitygap_core.render_process", name],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=30 + math.ceil(_SECONDS_A_FRAME * len(poses_tq)),
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        result = folder / "frames.npy"
        if done.returncode != 0 or not result.is_file():
            return None
        frames: Frames = np.load(result, allow_pickle=False)
        return frames
