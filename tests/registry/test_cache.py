"""What the key of a step is made of, and what a finished step's folder means in another run."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from realitygap.cache import differences, key_parts
from realitygap.contents import content, digest, tree_hash
from realitygap.pipeline import make_plan
from realitygap.plan import Plan
from realitygap.runs import plan_run
from realitygap.skill import Skill
from realitygap.stepstore import StrayPath, load_outputs, store_outputs

MODEL = """<mujoco><compiler meshdir="meshes"/><include file="common.xml"/>
<asset><mesh name="a" file="a.obj"/><hfield name="h" file="h.png"/></asset></mujoco>"""


@pytest.fixture
def robot(tmp_path: Path) -> Path:
    folder = tmp_path / "robot"
    (folder / "meshes").mkdir(parents=True)
    (folder / "robot.xml").write_text(MODEL)
    (folder / "common.xml").write_text('<mujoco><asset><texture name="t" file="t.png" type="2d"/></asset></mujoco>')
    for name in ("meshes/a.obj", "meshes/h.png", "t.png", "unrelated.txt"):
        (folder / name).write_text(name)
    return folder


@pytest.mark.parametrize(
    ("name", "counts"),
    [("robot.xml", True), ("common.xml", True), ("meshes/a.obj", True), ("meshes/h.png", True), ("t.png", True), ("unrelated.txt", False)],
)
def test_a_model_counts_with_all_that_it_refers_to_and_with_nothing_else(robot: Path, name: str, counts: bool) -> None:
    before = content(robot / "robot.xml", {})
    with (robot / name).open("a") as file:
        file.write(" ")
    assert (content(robot / "robot.xml", {}) != before) is counts


def test_a_document_counts_with_the_files_and_assets_that_it_names(robot: Path) -> None:
    task = robot / "task.yaml"
    task.write_text("model: robot.xml\nrecording: qube\n")
    recording = robot / "qube.recording"
    recording.mkdir()
    (recording / "data").write_text("1")
    assets = {"recording": {"qube": str(recording)}}
    first = content(task, assets)
    (recording / "data").write_text("2")
    second = content(task, assets)
    (robot / "meshes" / "a.obj").write_text("moved")
    assert len({digest(one) for one in (first, second, content(task, assets))}) == 3


def test_the_path_itself_is_no_part_of_the_content(robot: Path, tmp_path: Path) -> None:
    before = content(robot / "robot.xml", {})
    robot.rename(tmp_path / "elsewhere")
    assert content(tmp_path / "elsewhere" / "robot.xml", {}) == before
    assert tree_hash(tmp_path / "elsewhere") == tree_hash(tmp_path / "elsewhere")


def test_links_that_lead_nowhere_count_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("1")
    plain = tree_hash(tmp_path)
    for name, target in (("gone", "nowhere"), ("loop", "loop"), ("through-a-file", "log.csv/x"), ("long", "x" * 300)):
        (tmp_path / name).symlink_to(target)
    assert tree_hash(tmp_path) == plain


def test_a_folder_counts_once_however_many_links_lead_to_it(tmp_path: Path) -> None:
    logs, elsewhere = tmp_path / "logs", tmp_path / "elsewhere"
    for folder in (logs / "a", elsewhere):
        folder.mkdir(parents=True)
        (folder / "data").write_text("1")
    plain = tree_hash(logs)
    # Followed, each of these would double what there is to read, or lead to all files of the machine.
    for name, target in {"b": "a", "c": "a", "again": ".", "twice": ".", "up": "..", "top": "/"}.items():
        (logs / name).symlink_to(target)
    linked = tree_hash(logs)
    (logs / "far").symlink_to(elsewhere)
    far = tree_hash(logs)
    (elsewhere / "data").write_text("22")
    assert len({plain, linked, far, tree_hash(logs)}) == 4


def test_a_name_that_is_no_utf_8_counts(tmp_path: Path) -> None:
    hashes = []
    for name in (b"a\xff", b"a\xfe", b"a"):
        file = Path(os.fsdecode(os.fsencode(tmp_path / "folder") + b"/" + name))
        file.parent.mkdir()
        file.write_text("1")
        hashes.append(tree_hash(file.parent))
        file.unlink()
        file.parent.rmdir()
    assert len(set(hashes)) == 3


def plan_of(tmp_path: Path, extras: tuple[str, ...] = ()) -> Plan:
    (tmp_path / "skill.yaml").write_text("schema: 1\n")
    inputs: dict[str, dict[str, Any]] = {
        "log": {"type": "string", "format": "path"},
        "level": {"type": "number"},
        "parameters": {"type": "object", "default": {}},
    }
    skill = Skill(
        name="demo",
        version="0.1.0",
        trit=0,
        summary="",
        entry="json.tool:main",
        inputs=inputs,
        outputs={},
        extras=extras,
        directory=tmp_path,
        plugin="demo",
        distribution="demo",
    )

    class Skills:
        def skill(self, name: str) -> Skill:
            return skill

    return make_plan(skill, {}, Skills())


def test_the_key_follows_content_seed_and_manifest_and_says_what_changed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    log = tmp_path / "log.csv"
    log.write_text("1")

    def parts(seed: int = 0, **inputs: Any) -> dict[str, Any]:
        return key_parts(plan.pipeline.steps[0].skill, {"log": str(log), "level": 1, **inputs}, seed, plan, tmp_path / "runs")

    before = parts()
    assert parts() == before
    assert differences(before, parts(level=2)) == ["inputs.level: 1 -> 2"]
    assert differences(before, parts(seed=5)) == ["seed: 0 -> 5"]
    log.write_text("2")
    assert differences(before, parts()) == ["inputs.log: content changed"]
    assert "libraries" not in before
    assert set(before) == {"format", "skill", "version", "manifest", "entry", "code", "seed", "inputs"}


def test_of_a_collection_nothing_is_read_for_being_named_in_it(tmp_path: Path) -> None:
    skills = tmp_path / "skills"
    skills.mkdir()
    (tmp_path / "secret.yaml").write_text("a: 1")
    (skills / "notes.yaml").write_text("model: ../secret.yaml")
    plan, hashed = plan_of(tmp_path), {}
    for kind in ("path", "collection"):
        schema = {"type": "object", "properties": {"log": {"type": "string", "format": kind}}}
        skill = dataclasses.replace(plan.pipeline.steps[0].skill, input_schema=schema)
        hashed[kind] = key_parts(skill, {"log": str(skills)}, 0, plan, tmp_path / "runs")["inputs"]["log"]
    assert list(hashed["path"].pop("refers_to")) == ["../secret.yaml"]
    assert hashed["path"] == hashed["collection"]


def test_a_simulation_counts_libraries_device_and_the_core(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, extras=("sim",))
    parts = key_parts(plan.pipeline.steps[0].skill, {}, 0, plan, tmp_path / "runs")
    assert {"jax", "jaxlib", "mujoco", "mujoco-mjx"} <= set(parts["libraries"])
    assert parts["device"]["kind"] in ("cpu", "gpu")
    assert "realitygap_core" in parts["code"]


def test_a_path_into_an_earlier_run_counts_by_content_even_without_a_format(tmp_path: Path) -> None:
    plan = plan_of(tmp_path)
    keys = []
    for run in ("one", "two"):
        path = tmp_path / "runs" / run / "model.xml"
        path.parent.mkdir(parents=True)
        path.write_text("<mujoco/>")
        keys.append(digest(key_parts(plan.pipeline.steps[0].skill, {"parameters": {"model": str(path)}}, 0, plan, tmp_path / "runs")))
    assert keys[0] == keys[1]


SCHEMA = {
    "properties": {
        "policy": {"type": "string", "format": "policy"},
        "same": {"type": "string", "format": "path"},
        "all": {"type": "array", "items": {"type": "string", "format": "path"}},
    }
}


def test_paths_in_outputs_follow_the_folder_and_the_inputs_that_they_came_from(tmp_path: Path) -> None:
    here, there, given = tmp_path / "here", tmp_path / "there", tmp_path / "given"
    (here / "artifacts" / "policy").mkdir(parents=True)
    (given / "inside").mkdir(parents=True)
    outputs = {"policy": str(here / "artifacts" / "policy"), "same": str(given / "inside"), "all": ["policy"]}
    stored = json.loads(store_outputs(here, outputs, json.dumps(outputs), SCHEMA, {"log": str(given)}, strict=True))
    assert stored == {"policy": "step://artifacts/policy", "same": "input://log/inside", "all": ["step://artifacts/policy"]}
    moved = load_outputs(there, stored, {"log": "/elsewhere"})
    assert moved == {
        "policy": str(there / "artifacts" / "policy"),
        "same": "/elsewhere/inside",
        "all": [str(there / "artifacts" / "policy")],
    }


@pytest.mark.parametrize(
    ("outputs", "stored"),
    [
        ({"said": "nothing of a path"}, {"said": "nothing of a path"}),
        ({"said": ["{here}/artifacts/x"]}, {"said": ["step://artifacts/x"]}),
        ({"all": ["policy"]}, {"all": ["step://artifacts/policy"]}),
    ],
)
def test_what_is_stored_names_no_folder_of_a_run(tmp_path: Path, outputs: dict[str, Any], stored: dict[str, Any]) -> None:
    here = tmp_path / "here"
    (here / "artifacts" / "policy").mkdir(parents=True)
    given = json.loads(json.dumps(outputs).replace("{here}", str(here)))
    assert json.loads(store_outputs(here, given, json.dumps(given), SCHEMA, {}, strict=True)) == stored


@pytest.mark.parametrize(
    "path", [lambda root: "/etc", lambda root: str(root / "link"), lambda root: str(root / "artifacts" / ".." / ".." / "x")]
)
def test_an_output_outside_of_the_step_is_refused(tmp_path: Path, path: Callable[[Path], str]) -> None:
    here = tmp_path / "here"
    (here / "artifacts").mkdir(parents=True)
    (tmp_path / "x").touch()
    (here / "artifacts" / "link").symlink_to("/etc")
    (here / "link").symlink_to("/etc")
    with pytest.raises(StrayPath):
        store_outputs(here, {"same": path(here)}, "{}", SCHEMA, {}, strict=True)


def test_code_that_no_document_can_name_decides_no_result() -> None:
    plan = plan_run("train-policy", {}, need_extras=False)
    # A task may name a reward of core; it cannot name how the server is or where steps run.
    assert "realitygap_core" in plan.components
    assert "realitygap_server" not in plan.components
