"""Tasks: what a task file comes to, and what it is told when something in it is wrong."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from taskbench import Catalog, task_spec

from realitygap_core import robots
from realitygap_core.errors import CoreError
from realitygap_core.robot import Robot
from realitygap_core.task import Task, compile_task

EMBEDDED = (
    "qube-swingup", "cartpole-balance", "cartpole-swingup", "pendulum-swingup", "acrobot-swingup", "pendubot-swingup", "reacher",
    "hopper-hop", "cheetah-run", "walker-run", "quadruped-velocity", "biped-velocity",
)  # fmt: skip


def compiled(name: str, **changes: Any) -> Task:
    return compile_task(task_spec(name) | changes, Catalog())


@pytest.mark.parametrize("name", EMBEDDED)
def test_each_embedded_task_compiles_and_says_when_it_is_solved(name: str) -> None:
    task = compiled(name)
    assert task.name == name
    assert task.success is not None
    assert task.episode_steps == round(task_spec(name)["episode_s"] / task_spec(name)["control_dt"])


def test_the_qube_task_is_the_one_that_validation_judges() -> None:
    task = compiled("qube-swingup")
    assert (task.control_dt, task.physics_dt, task.substeps, task.episode_steps) == (0.02, 0.001, 20, 400)
    assert (task.action.low, task.action.high) == ((-5.0,), (5.0,))
    assert task.success is not None
    assert task.success.hold_s == 2
    assert [label for entry in task.observations["policy"] for label in entry.labels] == [
        "arm", "sin(arm)", "sin(pole)", "cos(arm)", "cos(pole)", "darm/dt", "dpole/dt", "action(motor)",
    ]  # fmt: skip


def test_the_critic_sees_what_the_policy_sees_without_noise_and_delay() -> None:
    task = compiled("qube-swingup")
    assert any(entry.noise is not None for entry in task.observations["policy"])
    assert all(entry.noise is None and entry.delay_s == (0, 0) for entry in task.observations["critic"])
    assert [entry.name for entry in task.observations["critic"]] == [entry.name for entry in task.observations["policy"]]


def test_a_physics_step_in_the_task_goes_before_the_one_of_the_model() -> None:
    task = compiled("qube-swingup", physics_dt=0.002)
    assert task.robot.model.opt.timestep == 0.002
    assert task.substeps == 10
    assert task.nominal.model.opt.timestep == 0.001


def test_a_robot_that_is_given_goes_before_the_one_that_the_task_names() -> None:
    path = robots.model_path("pendulum")
    assert path is not None
    text = path.read_text(encoding="utf-8").replace('mass="0.9"', 'mass="1.9"')
    task = compile_task(task_spec("pendulum-swingup"), Catalog(), Robot.from_xml(text))
    assert task.robot.model.body("pole").mass[0] == pytest.approx(2.0)


def test_a_model_beside_the_task_file_is_found(tmp_path: Path) -> None:
    path = robots.model_path("pendulum")
    assert path is not None
    (tmp_path / "mine.xml").write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    task = compile_task(task_spec("pendulum-swingup") | {"model": "mine.xml"}, Catalog(), folder=tmp_path)
    assert task.nominal.path == tmp_path / "mine.xml"


def test_rewards_of_one_name_stay_apart() -> None:
    task = compiled("pendulum-swingup", rewards=[{"term": "alive", "weight": 1}, {"term": "alive", "weight": 2}])
    assert [entry.name for entry in task.rewards] == ["alive", "alive_2"]


def test_the_training_part_counts_only_in_a_training() -> None:
    spec = task_spec("pendulum-swingup") | {
        "training": {
            "share": 0.25,
            "resets": [{"term": "joint_position_uniform", "params": {"low": 1, "high": 2}}],
            "physics_dt": 0.01,
        }
    }
    judged, learnt = compile_task(spec, Catalog()), compile_task(spec, Catalog(), training=True)
    assert (judged.training_share, judged.training_resets, judged.physics_dt) == (0.0, (), 0.005)
    assert (learnt.training_share, len(learnt.training_resets), learnt.physics_dt) == (0.25, 1, 0.01)
    assert len(learnt.resets) == len(judged.resets) == 1
    assert learnt.episode_steps == judged.episode_steps
    # A share without resets begins nothing.
    assert compile_task(spec | {"training": {"share": 0.25}}, Catalog(), training=True).training_share == 0


def put(spec: dict[str, Any], pointer: str, value: Any) -> dict[str, Any]:
    spec = copy.deepcopy(spec)
    *parents, last = pointer.strip("/").split("/")
    target: Any = spec
    for key in parents:
        target = target[int(key)] if isinstance(target, list) else target.setdefault(key, {})
    target[int(last) if isinstance(target, list) else last] = value
    return spec


@pytest.mark.parametrize(
    ("change", "value", "pointer", "message", "hint"),
    [
        ("/rewards/0/params/joint", "hinje", "/rewards/0/params/joint", "no joint 'hinje'", "did you mean 'hinge'?"),
        ("/observations/policy/0/params", {"joints": ["slyder"]}, "/observations/policy/0/params/joints/0", "no joint 'slyder'", "slider"),
        ("/action/params/actuators", ["farce"], "/action/params/actuators/0", "no actuator 'farce'", "did you mean 'force'?"),
        ("/rewards/0/term", "joint_cosin", "/rewards/0/term", "no reward 'joint_cosin'", "did you mean 'joint_cosine'?"),
        ("/rewards/0/params/targt", 1.0, "/rewards/0/params/targt", "no parameter of 'joint_cosine': 'targt'", "did you mean 'target'?"),
        ("/rewards/1/params", {"joint": "slider"}, "/rewards/1", "'joint_near' needs the parameter 'width'", None),
        ("/rewards/0/weight", "much", "/rewards/0/weight", "`weight` is a number", None),
        ("/control_dt", 0.0123, "/control_dt", "not a whole number of physics steps", None),
        ("/control_dt", -1, "/control_dt", "`control_dt` is a number above 0", None),
        ("/episode_s", float("nan"), "/episode_s", "`episode_s` is a number above 0", None),
        ("/reward", [], "/reward", "no key 'reward'", "did you mean 'rewards'?"),
        ("/rewards", [], "/rewards", "`rewards` is a list of terms with at least one", None),
        ("/observations/policy/2/scale", [1, 2, 3], "/observations/policy/2/scale", "scale is one number or 2 of them", None),
        ("/observations/policy/0/clip", [1, -1], "/observations/policy/0/clip", "`clip` is [low, high]", None),
        ("/observations/policy/0/delay", -0.1, "/observations/policy/0/delay", "`delay` is [low, high]", None),
        ("/observations/policy/0/history", 0, "/observations/policy/0/history", "history is a whole number", None),
        ("/observations/policy/0/noise", {"term": "gausian"}, "/observations/policy/0/noise/term", "no noise 'gausian'", "gaussian"),
        (
            "/observations/policy/0/noise",
            {"term": "gaussian", "params": {"std": -1}},
            "/observations/policy/0/noise/params/std",
            "at least 0",
            None,
        ),
        ("/terminations/0/params/high", -3, "/terminations/0/params/low", "not in order", None),
        ("/success/hold_s", 99, "/success/hold_s", "not within the episode", None),
        ("/engine", "mjxx", "/engine", "no engine 'mjxx'", "did you mean 'mjx'?"),
        ("/model", "nowhere.xml", "/model", "no model file", None),
        ("/schema", 7, "/schema", "schema 7 is not known", None),
        ("/training/share", 1.5, "/training/share", "a share lies between 0 and 1", None),
        ("/training/shares", 0.5, "/training/shares", "no key 'shares'", "did you mean 'share'?"),
        (
            "/training/resets",
            [{"term": "joint_position_uniform", "params": {"joints": ["slyder"], "low": 0, "high": 1}}],
            "/training/resets/0/params/joints/0",
            "no joint 'slyder'",
            "slider",
        ),
        ("/events", [{"term": "joint_kik"}], "/events/0/term", "no event 'joint_kik'", "joint_kick"),
        ("/domain", {"schema": 1, "parameters": {}}, "/domain/parameters", "at least one parameter", None),
    ],
)
def test_what_is_wrong_is_told_with_its_json_pointer(change: str, value: Any, pointer: str, message: str, hint: str | None) -> None:
    with pytest.raises(CoreError) as error:
        compile_task(put(task_spec("cartpole-balance"), change, value), Catalog())
    assert message in error.value.message
    assert error.value.pointer == pointer
    if hint is not None:
        assert hint in str(error.value.hint)


def test_a_missing_key_is_named() -> None:
    spec = task_spec("cartpole-balance")
    del spec["observations"]
    with pytest.raises(CoreError, match="`observations` is missing"):
        compile_task(spec, Catalog())
