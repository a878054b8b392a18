"""Pictures: both ways of drawing see the same robot in the same place, and there is always a film."""

from __future__ import annotations

from pathlib import Path

import mujoco
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from realitygap_core import film as film_module
from realitygap_core import robots, wireframe
from realitygap_core.camera import Camera, follow
from realitygap_core.film import film
from realitygap_core.robot import Robot


def robot(name: str) -> Robot:
    return Robot.load(robots.model_path(name) or "")


def swing(one: Robot, steps: int = 20) -> NDArray[np.float64]:
    """The pole turns from hanging by a quarter of a turn."""
    poses = np.tile(one.model.qpos0, (steps, 1))
    poses[:, 1] = np.linspace(0, np.pi / 2, steps)
    return poses


def test_a_point_in_front_of_the_camera_is_drawn_where_a_pinhole_puts_it() -> None:
    # At the origin, looking along +y from 4 m away: x to the right, z up.
    camera = Camera(lookat=(0.0, 0.0, 0.0), distance=4.0, azimuth=90.0, elevation=0.0)
    position, right, up, forward = camera.axes()
    np.testing.assert_allclose(position, [0, -4, 0], atol=1e-12)
    np.testing.assert_allclose([right, up, forward], [[1, 0, 0], [0, 0, 1], [0, 1, 0]], atol=1e-12)


def test_a_box_has_twelve_edges_and_a_sphere_lies_on_its_radius() -> None:
    xml = '<mujoco><worldbody><geom type="box" size="1 2 3"/><geom type="sphere" size="2"/></worldbody></mujoco>'
    model = mujoco.MjModel.from_xml_string(xml)
    box = wireframe.edges(model, 0)
    assert box.shape == (12, 2, 3)
    assert sorted(np.linalg.norm(box[:, 0] - box[:, 1], axis=1)) == pytest.approx([2] * 4 + [4] * 4 + [6] * 4)
    np.testing.assert_allclose(np.linalg.norm(wireframe.edges(model, 1), axis=2), 2.0)


def test_the_wires_move_with_the_robot_and_the_film_is_a_gif_that_says_what_it_is(tmp_path: Path) -> None:
    one = robot("qube")
    moving = film(one, swing(one), 0.04, fps=12.5, backend="wireframe")
    assert moving.frames.shape == (10, 240, 320, 3)
    assert moving.fps == pytest.approx(12.5)
    red = [np.argwhere((frame[..., 0] > 150) & (frame[..., 1] < 80)) for frame in (moving.frames[0], moving.frames[-1])]
    # The red pole hangs at first and points along the camera's axis at last.
    assert np.ptp(red[0][:, 0]) > 3 * np.ptp(red[1][:, 0])
    with Image.open(moving.save(tmp_path / "swing.gif")) as picture:
        assert (picture.format, getattr(picture, "n_frames", 0), picture.info["duration"]) == ("GIF", 10, 80)
    assert "wireframe" in moving.description


def test_without_opengl_there_is_still_a_film(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(film_module, "_rendered", lambda *_: None)
    one = robot("qube")
    assert film(one, swing(one, 3), 0.1).backend == "wireframe"


def test_the_renderer_and_the_wires_see_the_robot_in_the_same_place() -> None:
    one = robot("qube")
    rendered = film(one, swing(one, 1), 0.1)
    if rendered.backend == "wireframe":
        pytest.skip("this machine has no OpenGL without a display")
    wires = film(one, swing(one, 1), 0.1, backend="wireframe")
    red = [np.argwhere((f[..., 0] > 150) & (f[..., 1] < 80)).astype(float) for f in (rendered.frames[0], wires.frames[0])]
    np.testing.assert_allclose(red[0].mean(0), red[1].mean(0), atol=3)
    np.testing.assert_allclose(red[0].max(0), red[1].max(0), atol=3)


def test_the_camera_stands_still_for_a_robot_on_a_foot_and_goes_along_with_one_that_travels() -> None:
    one = robot("qube")
    assert len({camera.lookat for camera in follow(one.model, swing(one))}) == 1
    # From the side; from above where every hinge turns about the vertical, and not at a robot that only has a yaw joint at its hip.
    seen = {name: follow(robot(name).model, robot(name).model.qpos0[None])[0].elevation for name in ("qube", "reacher", "biped")}
    assert seen == {"qube": -15, "reacher": -65, "biped": -15}
    xml = '<mujoco><worldbody><body><joint type="slide" axis="1 0 0"/><geom size="0.1" mass="1"/></body></worldbody></mujoco>'
    model = mujoco.MjModel.from_xml_string(xml)
    cameras = follow(model, np.linspace(0, 30, 5)[:, None])
    assert [camera.lookat[0] for camera in cameras] == pytest.approx([0, 7.5, 15, 22.5, 30])


def test_a_plain_floor_gets_tiles_and_one_with_a_material_keeps_it() -> None:
    xml = """<mujoco><asset><material name="lawn" rgba="0 1 0 1"/></asset><worldbody><geom name="plain" type="plane" size="1 1 .1"/>
        <geom name="green" type="plane" size="1 1 .1" material="lawn"/><geom size=".1"/></worldbody></mujoco>"""
    model = film_module._lit(Robot.from_xml(xml))
    materials = [model.mat(int(model.geom_matid[index])).name if model.geom_matid[index] >= 0 else None for index in range(3)]
    assert materials == ["realitygap/floor", "lawn", None]
    assert model.tex(int(model.mat("realitygap/floor").texid[mujoco.mjtTextureRole.mjTEXROLE_RGB])).name == "realitygap/tiles"
