"""Draws frames with MuJoCo's renderer: a process of its own, `python -m realitygap_core.render_process FOLDER`, see `film`.

In FOLDER: `model.mjb`, `given.npz` (poses [T, nq], views [T, 6], size (height, width)); it writes `frames.npy` [T, height, width, 3].
`MUJOCO_GL` says which library draws.
"""

from __future__ import annotations

import sys
from pathlib import Path

import mujoco
import numpy as np


def main(folder: Path) -> None:
    model = mujoco.MjModel.from_binary_path(str(folder / "model.mjb"))
    data = mujoco.MjData(model)
    with np.load(folder / "given.npz", allow_pickle=False) as given:
        poses, views, (height, width) = given["poses"], given["views"], given["size"]
    model.vis.global_.offwidth = max(int(model.vis.global_.offwidth), int(width))
    model.vis.global_.offheight = max(int(model.vis.global_.offheight), int(height))
    frames = np.empty((len(poses), height, width, 3), np.uint8)
    with mujoco.Renderer(model, int(height), int(width)) as renderer:
        for index, (pose, view) in enumerate(zip(poses, views, strict=True)):
            data.qpos[:] = pose
            mujoco.mj_forward(model, data)
            renderer.update_scene(data, camera=_camera(view))
            frames[index] = renderer.render()
    if frames.min() == frames.max():
        raise SystemExit("every pixel is the same: nothing was drawn")
    np.save(folder / "frames.npy", frames)


def _camera(view: np.ndarray[tuple[int], np.dtype[np.float64]]) -> mujoco.MjvCamera:
    camera = mujoco.MjvCamera()
    camera.type = mujoco.mjtCamera.mjCAMERA_FREE
    camera.lookat[:] = view[:3]
    camera.distance, camera.azimuth, camera.elevation = view[3:]
    return camera


if __name__ == "__main__":
    main(Path(sys.argv[1]))
