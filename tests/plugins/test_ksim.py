"""The skills `describe-task` and `rollout-policy`, and that every declared component is what its factory takes."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from realitygap.components import Catalog
from realitygap.context import RunContext
from realitygap.discovery import Registry
from realitygap.document import Document
from realitygap.errors import InputError, RunFailed
from realitygap_core import robots
from realitygap_core.errors import CoreError
from realitygap_core.policy import Policy
from realitygap_core.ppo.update import PPOConfig, init_learner
from realitygap_core.recording import Recording
from realitygap_core.robot import Robot
from realitygap_core.task import compile_task
from realitygap_plugins.entropy_ppo.task import compiled
from realitygap_plugins.ksim.describe import describe
from realitygap_plugins.ksim.listing import list_components
from realitygap_plugins.ksim.rollout import rollout


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog(Registry.discover())


def task_file(name: str) -> Path:
    path = robots.task_path(name)
    assert path is not None
    return path


def read(name: str) -> Document:
    return RunContext(folder=Path()).document(task_file(name), "task")


def test_every_component_and_parameter_is_explained_and_each_parameter_one_of_the_factory(catalog: Catalog) -> None:
    checked = 0
    for kind in ("observation", "reward", "termination", "reset", "noise", "action", "command", "event", "curriculum", "actuator"):
        for name in catalog.names(kind):
            component = catalog.get(kind, name)
            if component.plugin != "ksim":
                continue
            taken = {p.name: p for p in inspect.signature(catalog.load(kind, name)).parameters.values() if p.kind is p.KEYWORD_ONLY}
            assert set(component.parameters) == set(taken), name
            assert component.summary, name
            assert inspect.getdoc(catalog.load(kind, name)), name
            assert all(schema.get("description") for schema in component.parameters.values()), name
            for key, schema in component.parameters.items():
                optional = "default" in schema or schema.get("x-optional", False)
                assert optional == (taken[key].default is not inspect.Parameter.empty), f"{name}.{key}"
                if "default" in schema:
                    default = taken[key].default
                    assert schema["default"] == (list(default) if isinstance(default, tuple) else default), f"{name}.{key}"
            checked += 1
    assert checked >= 116


@pytest.mark.parametrize("name", sorted(path.stem for path in (robots.FOLDER / "tasks").glob("*.yaml")))
def test_each_embedded_task_passes_its_schema_and_the_catalog(name: str, catalog: Catalog) -> None:
    assert compile_task(read(name).data, catalog).name == name


def test_describe_task_lists_what_a_task_file_may_name(tmp_path: Path) -> None:
    told = describe({"task": str(task_file("qube-swingup"))}, RunContext(folder=tmp_path))
    assert [joint["name"] for joint in told["joints"]] == ["arm", "pole"]
    assert told["actuators"] == [{"name": "motor", "driven": True, "limits": [-5.0, 5.0], "unit": "command"}]
    assert told["sizes"] == {"policy": 8, "critic": 8, "action": 1}
    assert told["engine"]["name"] in ("mujoco", "mjx")
    assert told["engine"]["reason"] in told["summary"]
    assert "mass[pole]" in told["parameters"]
    assert {row["name"]: row["about"] for row in told["rewards"]}["swing_energy"].startswith("How near a swinging hinge's energy is")


def test_describe_task_says_all_of_a_walking_task_in_a_dozen_lines(tmp_path: Path) -> None:
    summary = describe({"task": str(task_file("quadruped-velocity"))}, RunContext(folder=tmp_path))["summary"]
    head, *lines = summary.splitlines()
    assert head == "quadruped-velocity on quadruped: 45 observations, 12 actions at 50 Hz, episodes of 20 s"
    told = {line[:10].strip(): line[10:] for line in lines}
    assert told["asked for"] == "vx, vy, wz"
    assert "gyro 3 (rad/s), projected_gravity 3, " in told["sees"]
    assert told["drives"].startswith("front_left_roll -0.5 to 0.5 rad, ")
    assert told["drives"].endswith("and 6 more, up to 20 ms late")
    penalty = next(entry for entry in read("quadruped-velocity").data["rewards"] if entry["term"] == "off_axis_velocity")
    assert penalty["weight"] < 0
    assert f", {penalty['weight']:+g} off_axis_velocity, " in told["rewards"]
    assert told["rewards"].endswith(", per second")
    assert told["solved"] == "velocity_tracked for the last 2 s"
    assert told["rates"] == "4 physics steps of 5 ms a control step of 20 ms"


@pytest.mark.parametrize("name", ["shaky", "shaky.yaml"])
def test_a_domain_that_a_task_gives_by_name_or_file_is_read_and_checked(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / ("elsewhere.yaml" if name == "shaky" else name)
    file.write_text("schema: 1\nparameters:\n  mass[pole]: {distribution: uniform, low: 0.05, high: 0.2}\n")
    monkeypatch.setattr(Registry, "assets", {"domain": {"shaky": str(tmp_path / "elsewhere.yaml")}})
    task = tmp_path / "task.yaml"
    text = task_file("cartpole-balance").read_text()
    task.write_text(f"{text}\ndomain: {name}\n")
    run = RunContext(folder=tmp_path)
    assert describe({"task": str(task)}, run)["domain"] == ["mass[pole]"]
    spec, learnt = compiled(run, task)
    assert learnt.domain is not None
    assert learnt.domain.names == ("mass[pole]",)
    assert "domain" not in spec, "the bundle has it in a file of its own"
    file.write_text(file.read_text().replace("pole]", "pol]"))
    with pytest.raises(CoreError, match="does not have") as caught:
        describe({"task": str(task)}, run)
    assert caught.value.where == str(file)
    task.write_text(f"{text}\ndomain: shakey.yaml\n")
    with pytest.raises(InputError, match="no such file") as missing:
        describe({"task": str(task)}, run)
    assert f"task.yaml:{text.count(chr(10)) + 2}:" in str(missing.value.where)


def test_a_wrong_joint_in_a_task_file_is_told_with_file_and_line(tmp_path: Path) -> None:
    text = task_file("pendulum-swingup").read_text(encoding="utf-8").replace("joint: hinge", "joint: hinje", 1)
    (tmp_path / "task.yaml").write_text(text, encoding="utf-8")
    line = next(number for number, row in enumerate(text.splitlines(), start=1) if "hinje" in row)
    with pytest.raises(InputError, match="no joint 'hinje'") as error:
        describe({"task": str(tmp_path / "task.yaml")}, RunContext(folder=tmp_path))
    assert f"task.yaml:{line}:" in str(error.value.where)
    assert error.value.hint == "did you mean 'hinge'?"


def test_a_search_among_components_gets_the_nearest_name_and_a_few_come_with_their_parameters(tmp_path: Path) -> None:
    run = RunContext(folder=tmp_path)
    with pytest.raises(InputError, match="no component matches 'tilt_sqared'") as error:
        list_components({"search": "tilt_sqared"}, run)
    assert error.value.hint == "did you mean 'tilt_squared'?"
    lines = list_components({"kind": "reward", "search": "track_"}, run)["summary"].splitlines()
    assert lines[0] == "5 components: 5 reward"
    assert "  entries: list of 3 strings, default ['x', 'y', 'z']: Entries of the command that give the point in the world, m." in lines
    assert len(list_components({"kind": "reward"}, run)["summary"].splitlines()) == 1 + len(run.catalog.names("reward"))


def test_a_parameter_of_the_wrong_type_is_told_by_the_schema_of_the_component(catalog: Catalog) -> None:
    spec: dict[str, Any] = read("pendulum-swingup").data
    spec["rewards"][0]["params"]["joint"] = 3
    with pytest.raises(Exception, match="joint_cosine") as error:
        compile_task(spec, catalog)
    assert getattr(error.value, "pointer", "") == "/rewards/0/params/joint"


@pytest.mark.slow
def test_a_rollout_is_a_recording_whose_commands_reproduce_its_motion(tmp_path: Path, catalog: Catalog) -> None:
    spec = read("pendulum-swingup").data | {"episode_s": 3}
    task = compile_task(spec, catalog)
    learner = init_learner(PPOConfig(), {"policy": 3, "critic": 3}, 1, 0)
    folder = Policy.from_learner(learner, task).save(tmp_path / "policy", task_spec=spec, robot=task.nominal)
    out = rollout({"policy": str(folder), "logs": 2}, RunContext(folder=tmp_path / "run", seed=4))
    recording = Recording.open(out["recording"])
    assert recording.log_names == ("episode-000", "episode-001")
    for log in recording.data.values():
        commands, sensors = log.signals["commands"], log.signals["sensors"]
        assert len(commands.t_t) + 1 == len(sensors.t_t) == task.episode_steps + 1
        assert np.abs(commands.values_tc).max() <= 1
        # Replayed by hand on the plain model, from the recorded beginning.
        robot = Robot.load(robots.model_path("pendulum") or "")
        angle, speed = sensors.column("angle"), sensors.column("angular_velocity")
        assert np.abs(replayed(robot, angle[0], speed[0], commands.values_tc[:50, 0]) - angle[1:51]).max() < 1e-5


def test_a_rollout_whose_simulation_breaks_down_is_refused_with_log_and_time(tmp_path: Path, catalog: Catalog) -> None:
    spec = read("pendulum-swingup").data
    task = compile_task(spec, catalog)
    learner = init_learner(PPOConfig(), {"policy": 3, "critic": 3}, 1, 0)
    folder = Policy.from_learner(learner, task).save(tmp_path / "policy", task_spec=spec, robot=task.nominal)
    strong = task.nominal.fresh_spec()
    strong.actuators[0].gear[0] = 1e15
    (tmp_path / "strong.xml").write_text(strong.to_xml())
    inputs = {"policy": str(folder), "model": str(tmp_path / "strong.xml"), "logs": 2, "film": False}
    with pytest.raises(RunFailed, match=r"the simulation of episode-00\d broke down after 0\.\d+ s"):
        rollout(inputs, RunContext(folder=tmp_path / "run", seed=4))


def replayed(robot: Robot, angle: float, speed: float, commands_t: np.ndarray) -> np.ndarray:
    import mujoco

    data = mujoco.MjData(robot.model)
    data.qpos[0], data.qvel[0] = angle, speed
    out = []
    for command in commands_t:
        data.ctrl[0] = command
        mujoco.mj_step(robot.model, data, 4)
        out.append(data.qpos[0])
    return np.array(out)
