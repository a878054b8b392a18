"""Third parties' distributions, built as wheels and installed in a fresh environment, are used by name and leave nothing behind.

Among them one of each kind as `skills new` writes it, and the one of docs/plugins.md, made by the commands of that guide.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from realitygap.document import load
from realitygap.scaffold.names import KINDS, Names
from realitygap.scaffold.write import first_run, write

ROOT = Path(__file__).resolve().parents[2]
MADE = [Names(name=f"made-{kind}", kind=kind) for kind in KINDS]
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
    """A fresh virtual environment with wheels of realitygap and of plugins. What these depend on comes from the running one, by path."""

    def __init__(self, folder: Path, wheels: list[Path]) -> None:
        self.folder = folder
        self.home = folder / "home"
        venv.EnvBuilder(with_pip=True, symlinks=True).create(folder / "venv")
        self.bin = folder / "venv" / "bin"
        self.site = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv"), "platbase": str(folder / "venv")}))
        # A path line makes the running environment's packages importable, but not what its own path lines point to.
        # So realitygap itself comes from the wheel, also where the running environment has an editable install.
        (self.site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
        # Tools are found as if they had been installed here; ruff is no Python program.
        (self.bin / "ruff").symlink_to(Path(sys.executable).parent / "ruff")
        for tool in ("pytest", "mypy"):
            (self.bin / tool).write_text(f'#!/bin/sh\nexec "{self.bin}/python" -m {tool} "$@"\n')
            (self.bin / tool).chmod(0o755)
        self.pip("install", "--no-index", "--no-deps", *map(str, wheels))

    @property
    def variables(self) -> dict[str, str]:
        """Of its processes: nothing of the running environment's settings, a home and caches of its own."""
        dropped = ("REALITYGAP", "PYTHON", "PIP_", "UV_", "VIRTUAL_ENV")
        kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
        own = {"REALITYGAP_HOME": str(self.home), "XDG_CACHE_HOME": str(self.folder / "cache"), "JAX_PLATFORMS": "cpu"}
        caches = {"MYPY_CACHE_DIR": str(self.folder / "mypy"), "PYTEST_ADDOPTS": "-p no:cacheprovider"}
        return {**kept, **own, **caches, "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}"}

    def pip(self, *arguments: str) -> None:
        self.python("-m", "pip", "--disable-pip-version-check", "-q", *arguments)

    def python(self, *arguments: str, cwd: Path | None = None) -> str:
        return self.call([str(self.bin / "python"), *arguments], cwd=cwd)

    def skills(self, *arguments: str, status: int = 0) -> str:
        return self.call([str(self.bin / "skills"), *arguments], status)

    def json(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.skills(*arguments, status=status))
        return document

    def call(self, command: list[str], status: int = 0, cwd: Path | None = None) -> str:
        done = subprocess.run(command, capture_output=True, text=True, env=self.variables, cwd=cwd or self.folder, timeout=600, check=False)
        assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def left_of(self, name: str) -> list[Path]:
        """What has a name in its path, anywhere in the environment."""
        return [path for path in (self.folder / "venv").rglob("*") if name in path.name]


def build(source: Path, folder: Path, *ignored: str) -> Path:
    """The wheel of a copy of the source, without the folders `ignored` at its top, so that building leaves no trace in the checkout."""
    copy = folder / source.name
    everywhere = shutil.ignore_patterns(".git", ".venv", ".skills", "__pycache__", ".*_cache", "dist")
    shutil.copytree(source, copy, ignore=lambda place, names: {*everywhere(place, names), *(ignored if Path(place) == source else ())})
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
    assert environment.left_of("acme") == []


@pytest.mark.slow
def test_the_guide_for_authors_holds_as_it_is_written(environment: Environment) -> None:
    """Every command of docs/plugins.md, in one shell. Without a network: what it would fetch is there already."""
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    commands = [
        line for block in re.findall(r"^<!-- run -->\n```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL) for line in block.splitlines()
    ]
    assert commands[0] == "skills new joint-speed --kind observation"
    assert {"pytest", "skills check src", "python -m build --wheel"} <= set(commands)
    offline = {'pip install -e ".[dev]"': " --no-index --no-build-isolation", "python -m build --wheel": " --no-isolation"}
    # The example has an observation of that name too.
    script = "set -ex\nexport REALITYGAP_DISABLE_PLUGINS=acme\n" + "".join(f"{line}{offline.get(line, '')}\n" for line in commands)
    told = environment.call(["bash", "-c", script])
    assert "11 passed" in told
    assert "sees      joint_position 2 (m, rad), joint_velocity 2 (m/s, rad/s), joint_speed 1 (rad/s)" in told
    assert "1 skill, 1 plugin: no findings" in told
    made = environment.folder / "realitygap-joint-speed"
    (wheel,) = (made / "dist").glob("*.whl")
    assert wheel.name == "realitygap_joint_speed-0.1.0-py3-none-any.whl"
    environment.pip("uninstall", "--yes", "realitygap-joint-speed")
    assert environment.left_of("joint_speed") == []


@pytest.mark.slow
def test_one_of_each_kind_is_built_installed_tested_run_and_removed(environment: Environment) -> None:
    folder = environment.folder / "made"
    sources = [write(names, folder, "0.1.0") for names in MADE]
    # The hook of the build backend that `python -m build` calls, in one process for all.
    script = "import os, sys, hatchling.build as b\nfor place in sys.argv[2:]: os.chdir(place); b.build_wheel(sys.argv[1])"
    wheels = folder / "wheels"
    wheels.mkdir()
    environment.python("-c", script, str(wheels), *map(str, sources))
    environment.pip("install", "--no-index", "--no-deps", *map(str, sorted(wheels.glob("*.whl"))))

    # As installed: no finding, no plugin in error, every file of the package in the wheel.
    installed = [environment.site / names.package for names in MADE]
    assert environment.json("check", *map(str, installed), "--format", "json")["findings"] == []
    states = {one["name"]: (one["state"], one["skills"]) for one in json.loads(environment.skills("plugins", "--json"))}
    assert {names.component: states[names.component] for names in MADE} == {names.component: ("found", [names.skill]) for names in MADE}
    for source in sources:
        own = [path.relative_to(source / "src") for path in (source / "src").rglob("*") if path.is_file()]
        assert [path for path in own if not (environment.site / path).is_file()] == []

    # Their own tests; those of the observation are what the guide runs. Types in one process, where each folder of tests needs a name.
    for names, source in zip(MADE, sources, strict=True):
        if names.kind != "observation":
            told = environment.python("-m", "pytest", "-q", cwd=source)
            assert re.search(r"^\d+ passed in", told, re.MULTILINE), told
        shutil.copytree(source / "tests", folder / "typed" / f"tests_of_{names.component}", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(source / "src" / names.package, folder / "typed" / names.package, ignore=shutil.ignore_patterns("__pycache__"))
    told = environment.python("-m", "mypy", "--strict", "--namespace-packages", "--explicit-package-bases", ".", cwd=folder / "typed")
    assert "no issues found in" in told

    # The skill over MCP, by the first run that the README of each names; then over the command line, which gives the same.
    given = {names.skill: dict(part.split("=") for part in first_run(names).split(" ")[2::2]) for names in MADE}
    over_mcp = anyio.run(over_the_protocol, environment, given)
    for names in MADE:
        arguments = [part for key, value in given[names.skill].items() for part in ("-i", f"{key}={value}")]
        document = environment.json("run", names.skill, *arguments, "--json")
        assert document["status"] == "done"
        assert set(over_mcp[names.skill]) <= set(document["outputs"])
        assert over_mcp[names.skill]["summary"] == document["outputs"]["summary"]

    environment.pip("uninstall", "--yes", *(names.distribution for names in MADE))
    assert environment.left_of("made_") + environment.left_of("made-") == []
    assert "made-" not in environment.skills("list")
    assert "made" not in environment.skills("plugins", "--json")
    environment.skills("run", MADE[0].skill, status=2)


async def over_the_protocol(environment: Environment, given: dict[str, dict[str, str]]) -> dict[str, dict[str, Any]]:
    """Skill to its outputs, each called as a tool of one server."""
    serve = ["-m", "realitygap.cli", "serve", "--toolsets", ",".join(names.component for names in MADE)]
    parameters = StdioServerParameters(
        command=str(environment.bin / "python"), args=serve, env=environment.variables, cwd=environment.folder
    )
    outputs: dict[str, dict[str, Any]] = {}
    async with Client(parameters) as client:
        for skill, arguments in given.items():
            document = (await client.call_tool(skill.replace("-", "_"), arguments)).structured_content or {}
            with anyio.fail_after(300):
                while document.get("state") == "running":
                    follow = document["next_steps"][0]
                    document = (await client.call_tool(follow["tool"], {**follow["arguments"], "wait_s": 20})).structured_content or {}
            assert document.get("state") == "done", document
            outputs[skill] = {**document["outputs"], "summary": document["outputs"].get("summary", document["summary"])}
    return outputs


def with_observation(task: Path) -> str:
    """An embedded task with `joint_speed` among the policy's observations."""
    data = load(task).data
    data["observations"]["policy"] = [*data["observations"]["policy"], {"term": "joint_speed"}]
    if str(data["model"]).endswith((".xml", ".urdf")):
        data["model"] = str((task.parent / data["model"]).resolve())
    return json.dumps(data)
