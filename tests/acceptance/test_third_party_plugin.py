"""A third party's distribution, built as a wheel and installed in a fresh environment, is used by name and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SKILL_WITHOUT_UNIT = """\
schema: 1
name: weigh-robot
version: 0.1.0
trit: 0
triads: [[weigh-robot, count-dropouts, train-policy]]
summary: Weigh a robot.
entry: realitygap_acme.dropouts:count
inputs: {}
outputs: {mass: {type: number}, summary: {type: string}}
"""
GUIDE = """\
---
name: weigh-robot
description: Weighs a robot. Use it before identification.
license: Apache-2.0
metadata:
  trit: "0"
---

# Weigh

Next: nothing.
"""


class Environment:
    """A fresh virtual environment with wheels of realitygap and of the plugin. What these depend on comes from the running one, by path."""

    def __init__(self, folder: Path, wheels: list[Path]) -> None:
        self.folder = folder
        self.home = folder / "home"
        venv.EnvBuilder(with_pip=True, symlinks=True).create(folder / "venv")
        self.bin = folder / "venv" / "bin"
        self.site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")}))
        # A path line makes the running environment's packages importable, but not what its own path lines point to.
        # So realitygap itself comes from the wheel, also where the running environment has an editable install.
        (self.site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        self.pip("install", "--no-index", "--no-deps", *map(str, wheels))

    def pip(self, *arguments: str) -> None:
        self.call([str(self.bin / "python"), "-m", "pip", "--disable-pip-version-check", "-q", *arguments])

    def skills(self, *arguments: str, status: int = 0) -> str:
        return self.call([str(self.bin / "skills"), *arguments], status)

    def json(self, *arguments: str, status: int = 0) -> dict[str, object]:
        document: dict[str, object] = json.loads(self.skills(*arguments, status=status))
        return document

    def call(self, command: list[str], status: int = 0) -> str:
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("REALITYGAP", "PYTHON", "PIP_", "UV_", "VIRTUAL_ENV"))
        }
        environment = {**kept, "REALITYGAP_HOME": str(self.home), "XDG_CACHE_HOME": str(self.folder / "cache"), "JAX_PLATFORMS": "cpu"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=self.folder, timeout=300, check=False)
        assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def build(source: Path, folder: Path, *ignored: str) -> Path:
    """The wheel of a copy of the source, so that building leaves no trace in the checkout."""
    copy = folder / source.name
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns(".git", ".venv", ".skills", "__pycache__", ".*_cache", "dist", *ignored))
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder / "wheels"), str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return max((folder / "wheels").glob("*.whl"), key=lambda wheel: wheel.stat().st_mtime)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("acme")
    wheels = [build(ROOT, folder, "examples", "tests", "benchmarks", "docs"), build(ROOT / "examples" / "plugin", folder)]
    return Environment(folder, wheels)


@pytest.mark.slow
def test_a_wheel_adds_a_skill_an_observation_and_a_check_and_leaves_nothing(environment: Environment) -> None:
    folder = environment.folder
    assert str(environment.site) in environment.call(
        [str(environment.bin / "python"), "-c", "import realitygap; print(realitygap.__file__)"]
    )

    # The skill, by name. Steps 0.01, 0.01, 0.03, 0.01, 0.01, 0.01: two samples lost in one place, after row 4; 2 of 9.
    shutil.copy(ROOT / "examples" / "plugin" / "walk.csv", folder)
    assert "count-dropouts" in environment.skills("list")
    outputs = environment.json("run", "count-dropouts", "-i", "log=walk.csv", "--json")["outputs"]
    assert isinstance(outputs, dict)
    assert outputs["lost"] == 2
    assert outputs["share"] == pytest.approx(2 / 9)
    assert outputs["dropouts"] == [{"row": 4, "time": 0.02, "missing": 2}]

    # Its errors are explained like those of the built-in skills.
    failed = environment.json("run", "count-dropouts", "-i", "log=walk.csv", "-i", "time=clock", "--json", status=2)
    assert "no column 'clock'" in str(failed["error"])

    # Its manifests pass every check, its triad with the built-in skills too.
    installed = environment.site / "realitygap_acme" / "skills"
    assert environment.json("check", str(installed), "--format", "json")["findings"] == []

    # The check, on a skill of somebody else.
    other = folder / "weigh-robot"
    other.mkdir()
    (other / "skill.yaml").write_text(SKILL_WITHOUT_UNIT)
    (other / "SKILL.md").write_text(GUIDE)
    findings = environment.json("check", str(other), "--format", "json")["findings"]
    assert isinstance(findings, list)
    assert [(one["rule"], one["line"]) for one in findings if one["rule"].startswith("ACME")] == [("ACME101", 9)]

    assert "from acme" in environment.skills("rule", "ACME101")

    # The observation, by name in a task file.
    assets = "from realitygap.discovery import Registry; print(Registry.discover().assets['task']['cartpole-balance'])"
    task = Path(environment.call([str(environment.bin / "python"), "-c", assets]).strip())
    (folder / "task.yaml").write_text(with_observation(task))
    described = environment.json("run", "describe-task", "-i", "task=task.yaml", "--json")
    assert "joint_speed" in json.dumps(described["outputs"])

    environment.pip("uninstall", "--yes", "realitygap-acme")
    assert "count-dropouts" not in environment.skills("list")
    environment.skills("run", "count-dropouts", status=2)
    left = [path for path in (folder / "venv").rglob("*acme*") if "__pycache__" not in path.parts]
    assert left == []


def with_observation(task: Path) -> str:
    """An embedded task with `joint_speed` among the policy's observations."""
    from realitygap.document import load

    data = load(task).data
    data["observations"]["policy"] = [*data["observations"]["policy"], {"term": "joint_speed"}]
    if str(data["model"]).endswith((".xml", ".urdf")):
        data["model"] = str((task.parent / data["model"]).resolve())
    return json.dumps(data)
