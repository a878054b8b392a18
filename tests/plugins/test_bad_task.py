"""What is wrong in a task file is told with file, line and what to do, before anything is compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import pytest

from realitygap.context import RunContext
from realitygap.document import LocatedError
from realitygap_core import robots
from realitygap_core.errors import CoreError
from realitygap_core.ppo.parallel import device_mesh
from realitygap_plugins.entropy_ppo.task import compiled
from realitygap_plugins.ksim.describe import describe


def text(path: Path | None) -> str:
    assert path is not None
    return path.read_text(encoding="utf-8")


TASK = text(robots.task_path("cartpole-balance"))
MODEL = text(robots.model_path("cartpole"))
SPEED = "{term: joint_velocity,"
SLIDER = "{joint: slider, width: 1.0}"
CASES = {
    "component": (SPEED, "{term: joint_velocty,", "unknown observation 'joint_velocty'", "did you mean 'joint_velocity'?"),
    "joint": ("params: {joint: hinge}", "params: {joint: hinje}", "no joint 'hinje'", "did you mean 'hinge'?"),
    "actuator": ("actuators: [force]", "actuators: [farce]", "no actuator 'farce'", "did you mean 'force'?"),
    "sensor": (SPEED, "{term: sensor, params: {name: angel}}\n    - " + SPEED, "no sensor 'angel'", "did you mean 'angle'?"),
    "parameter": (SLIDER, "{joint: slider, wdth: 1.0}", "no parameter of 'joint_near': 'wdth'", "did you mean 'width'?"),
    "missing parameter": (SLIDER, "{joint: slider}", "'joint_near' needs the parameter 'width'", "it takes: joint, width, target"),
    "key": ("episode_s: 10", "episode_s: 10\nevent: []", "unknown key 'event'", "did you mean 'events'?"),
    "unit of a rate": ("control_dt: 0.02", "control_dt: 20 ms", "must be a number, not '20 ms'", "write the number alone, in s"),
    "unit of a parameter": (SLIDER, "{joint: slider, width: 30 deg}", "must be a number, not '30 deg'", "rad or m"),
    "weight that is no number": ("weight: 0.5", "weight: .nan", "'.nan' is no value", "give a number"),
    "rates": ("control_dt: 0.02", "control_dt: 0.0123", "not a whole number of physics steps of 0.005 s", "give 0.01 or 0.015 s"),
    "physics step": ("episode_s: 10", "episode_s: 10\nphysics_dt: 0.015", "not a whole number of physics steps", "give 0.015 or 0.03 s"),
    "latency": ("action: {", "action: {latency: [0, 30], ", "nothing would arrive", "less than `episode_s`"),
    "observation's delay": (SPEED, "{term: joint_velocity, delay: 10,", "nothing would arrive", "less than `episode_s`"),
    "actuator's delay": (
        "episode_s: 10",
        "episode_s: 10\nactuators: [{term: delayed, params: {actuators: [force], delay_s: [0, 60]}}]",
        "nothing would arrive",
        "less than `episode_s`",
    ),
    "engine": ("episode_s: 10", "episode_s: 10\nengine: mjxx", "must be one of 'auto', 'mjx', 'mujoco'", "did you mean 'mjx'?"),
    "engine that is not there": ("episode_s: 10", "episode_s: 10\nengine: warp", "must be one of 'auto', 'mjx', 'mujoco'", "engine"),
    "model": ("model: cartpole", "model: cartpol.xml", "no model file", "path of an MJCF or URDF file"),
    "no control range": ("model: cartpole", "model: free.xml", "actuator 'force' has no control range", "`limits: [low, high]`"),
    "no range of a joint": ("{joint: hinge, low: -0.6, high: 0.6}", "{joint: hinge}", "no range in the model", "give low and high"),
    "command": ("{term: action_squared,", "{term: track_height, params: {width: 1},", "no entry 'height'", "add a `command`"),
    "curriculum": ("{term: action_squared,", "{term: action_squared, curriculum: rise,", "no curriculum 'rise'", "there are: none"),
}


ELSEWHERE = {"physics step": "control_dt", "no control range": "action"}
"""Key at whose line the error is, where that is not the line changed: what does not fit is the control step, or what drives an actuator."""


def line_of(case: str, wrong: str) -> int:
    lines = wrong.splitlines()
    if case in ELSEWHERE:
        return next(number for number, line in enumerate(lines, start=1) if line.startswith(ELSEWHERE[case]))
    return next(number for number, (a, b) in enumerate(zip(lines, TASK.splitlines(), strict=False), start=1) if a != b)


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_in_a_task_is_told_with_its_line_and_what_to_do_before_anything_compiles(case: str, tmp_path: Path) -> None:
    before, after, message, hint = CASES[case]
    wrong = TASK.replace(before, after, 1)
    assert wrong != TASK
    task = tmp_path / "task.yaml"
    task.write_text(wrong, encoding="utf-8")
    (tmp_path / "free.xml").write_text(MODEL.replace(' ctrlrange="-1 1"', ""), encoding="utf-8")
    compilations: list[str] = []

    def listen(event: str, *_: Any, **__: Any) -> None:
        compilations.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        with pytest.raises(LocatedError) as described:
            describe({"task": str(task)}, RunContext(folder=tmp_path))
        with pytest.raises(LocatedError) as trained:
            compiled(RunContext(folder=tmp_path), task)
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    for error in (described.value, trained.value):
        assert Path(str(error.where).rsplit(":", 2)[0]).name == "task.yaml"
        assert error.line == line_of(case, wrong)
        assert message in error.message
        assert hint in f"{error.hint} {error.message}"
    assert not [event for event in compilations if "backend_compile" in event]


def test_devices_that_are_not_there_are_told_with_how_many_there_are() -> None:
    with pytest.raises(CoreError, match=r"4096 devices asked for, \d+ there") as error:
        device_mesh(4096)
    assert "give `devices` from 1 to" in str(error.value.hint)
