"""The hook, the action and the GitLab job do what their services would do with them: installed from a copy of this repository, run in a
repository of skills."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest

from realitygap.document import load

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

MANIFEST = """\
schema: 1
name: {name}
version: 0.1.0
trit: {trit}
triads: [[look, fit, train]]
summary: Does it.
entry: json:loads
inputs: {{}}
outputs: {{summary: {{type: string}}}}
"""
GUIDE = '---\nname: {name}\ndescription: Does it. Use it.\nmetadata:\n  trit: "{text}"\n---\n\nText.\n'
TRITS = {"look": "-1", "fit": "0", "train": "+1"}


@dataclass(frozen=True)
class Services:
    """What a service has before it begins."""

    action: Path
    """A copy of this repository, as a service checks it out."""
    temp: Path
    environment: Mapping[str, str]

    def shell(self, script: str, folder: Path, more: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """As a runner calls a step with `shell: bash`."""
        file = self.temp / "step.sh"
        file.write_text(script)
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(file)]
        environment = {**self.environment, **more}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)


def links_to_dependencies(folder: Path) -> None:
    """What a fresh environment would download, linked from the running one: what the base install needs, and what builds it."""
    waiting, seen = ["click", "jsonschema", "jsonschema-rs", "pluggy", "pyyaml", "hatchling"], set()
    folder.mkdir()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            found = distribution(name)
        except PackageNotFoundError:
            continue  # for another system or Python; pip says so if not
        for file in found.files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(found.locate_file(top))))
        for line in found.requires or ():
            needed = re.match(r"[\w.-]+", line)
            if needed and "extra ==" not in line:
                waiting.append(needed[0])


def step(services: Services, name: str, folder: Path, inputs: Mapping[str, str], **more: str) -> subprocess.CompletedProcess[str]:
    """One step of the action, its environment filled from the inputs."""
    action = load(ROOT / "action.yml").data
    (found,) = [one for one in action["runs"]["steps"] if one["name"] == name]
    assert found["shell"] == "bash"
    assert "${{" not in found["run"], "an input must not become part of a command"
    given = {key: str(one["default"]) for key, one in action["inputs"].items()} | dict(inputs)
    assert set(given) == set(action["inputs"])
    environment = {}
    for variable, value in found["env"].items():
        (input_name,) = re.fullmatch(r"\$\{\{ inputs\.([\w-]+) \}\}", value).groups()  # type: ignore[union-attr]
        environment[variable] = given[input_name]
    return services.shell(found["run"], folder, {**environment, **more})


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Services:
    """A runner on which the action's first step has installed the program."""
    temp = tmp_path_factory.mktemp("runner")
    ignored = shutil.ignore_patterns(".git", ".venv", ".skills", "__pycache__", ".*_cache", ".hypothesis", "dist", "tests", "benchmarks")
    shutil.copytree(ROOT, temp / "action", ignore=ignored)
    links_to_dependencies(temp / "dependencies")
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("REALITYGAP", "PYTHON", "PIP_", "UV_", "VIRTUAL_ENV", "GITHUB_", "CI"))
    }
    environment = {
        **kept,
        "RUNNER_TEMP": str(temp),
        "GITHUB_ACTION_PATH": str(temp / "action"),
        "XDG_CACHE_HOME": str(temp / "cache"),
        # There is no network here: what would be downloaded is on the path already.
        "PYTHONPATH": str(temp / "dependencies"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_NO_COMPILE": "1",
    }
    services = Services(temp / "action", temp, environment)
    done = step(services, "Install", temp, {"python": sys.executable})
    assert done.returncode == 0, done.stderr
    return services


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of three skills that balance."""
    for name, text in TRITS.items():
        folder = tmp_path / "repo" / "skills" / name
        folder.mkdir(parents=True)
        (folder / "skill.yaml").write_text(MANIFEST.format(name=name, trit=int(text)))
        (folder / "SKILL.md").write_text(GUIDE.format(name=name, text=text))
    (tmp_path / "repo" / "README.md").write_text("Skills.\n")
    return tmp_path / "repo"


def spoil(repository: Path) -> None:
    """train becomes 0, so that the group sums to -1; and its guide gets a key of its own."""
    manifest, guide = (repository / "skills" / "train" / name for name in ("skill.yaml", "SKILL.md"))
    manifest.write_text(manifest.read_text().replace("trit: 1", "trit: 0"))
    guide.write_text(guide.read_text().replace('"+1"', '"0"').replace("metadata:", "version: 1\nmetadata:"))


def hook(services: Services, identifier: str, repository: Path, *changed: str) -> subprocess.CompletedProcess[str]:
    """As pre-commit runs a hook: the entry, split as a shell would, with those of the changed files that fit."""
    (found,) = [one for one in load(ROOT / ".pre-commit-hooks.yaml").data if one["id"] == identifier]
    assert found["language"] == "python", "it installs the repository with pip, as the action does"
    files = [one for one in changed if re.search(found["files"], one)]
    if not files:
        return subprocess.CompletedProcess([], 0, "", "skipped")
    command = [*shlex.split(found["entry"]), *found.get("args", []), *(files if found.get("pass_filenames", True) else [])]
    command[0] = str(services.temp / "realitygap" / "bin" / command[0])
    return subprocess.run(command, cwd=repository, env=dict(services.environment), capture_output=True, text=True, timeout=120, check=False)


def test_the_action_installs_only_what_the_base_needs(services):
    done = subprocess.run(
        [str(services.temp / "realitygap" / "bin" / "python"), "-c", "import realitygap; print(realitygap.__file__)"],
        env=dict(services.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(services.temp / "realitygap") in done.stdout
    assert not list((services.temp / "realitygap").glob("lib/*/site-packages/jax*"))


def test_the_hook_checks_what_a_commit_changes_with_its_surroundings(services, repository):
    # One file of three: the other members of the group lie beside it.
    done = hook(services, "skills-check", repository, "skills/train/skill.yaml", "README.md")
    assert (done.returncode, done.stdout) == (0, "1 skill: no findings\n"), done.stderr
    spoil(repository)
    done = hook(services, "skills-check", repository, "skills/train/skill.yaml", "skills/train/SKILL.md")
    assert done.returncode == 1
    assert "skills/train/skill.yaml:5:10: error TRI201: the group sums to -1" in done.stdout
    assert "balances it" in done.stdout
    assert "skills/train/SKILL.md:4:1: error RG302" in done.stdout
    assert hook(services, "skills-check", repository, "README.md").stderr == "skipped"


def test_the_hook_for_the_whole_repository_finds_what_a_commit_breaks_elsewhere(services, repository):
    assert hook(services, "skills-check-all", repository, "skills/fit/SKILL.md").returncode == 0
    shutil.rmtree(repository / "skills" / "train")
    done = hook(services, "skills-check-all", repository, "skills/fit/SKILL.md")
    assert done.returncode == 1
    assert "skills/look/skill.yaml:5:22: error TRI202: no skill 'train'" in done.stdout


def test_the_fixing_hook_mends_the_files_it_is_given_so_that_the_commit_stops(services, repository):
    spoil(repository)
    guide = repository / "skills" / "train" / "SKILL.md"
    hook(services, "skills-fix", repository, "skills/train/SKILL.md")
    assert 'metadata:\n  trit: "0"\n  version: "1"\n' in guide.read_text()
    before = guide.read_text()
    hook(services, "skills-fix", repository, "skills/train/SKILL.md")
    assert guide.read_text() == before


def github(services: Services, repository: Path, **inputs: str) -> subprocess.CompletedProcess[str]:
    given = {key.replace("_", "-"): value for key, value in inputs.items()}
    summary = repository.parent / "summary.md"
    return step(
        services,
        "Check",
        repository,
        given,
        GITHUB_ACTIONS="true",
        GITHUB_WORKSPACE=str(repository),
        GITHUB_STEP_SUMMARY=str(summary),
    )


def test_the_action_annotates_writes_sarif_and_a_summary_and_fails_the_job(services, repository):
    done = github(services, repository, sarif_file="out.sarif")
    assert (done.returncode, done.stdout) == (0, "3 skills: no findings\n"), done.stderr
    assert "### skills check: passed" in (repository.parent / "summary.md").read_text()
    spoil(repository)
    done = github(services, repository, path="skills\n\n", sarif_file="out.sarif")
    assert done.returncode == 1
    annotations = [line for line in done.stdout.splitlines() if line.startswith("::error ")]
    assert len(annotations) == 4
    assert any(line.startswith("::error file=skills/train/SKILL.md,line=4,col=1,title=RG302::") for line in annotations)
    assert (repository.parent / "summary.md").read_text().count("### skills check") == 2, "one a run of the action"
    results = json.loads((repository / "out.sarif").read_text())["runs"][0]["results"]
    assert sorted(one["ruleId"] for one in results) == ["RG302", "TRI201", "TRI201", "TRI201"]


def test_the_inputs_of_the_action_reach_the_program_as_they_are(services, repository):
    spoil(repository)
    assert github(services, repository, select="RG3", ignore="RG302").returncode == 0
    hostile = "skills/look\n$(touch owned); `touch owned`\n"
    done = github(services, repository, path=hostile, sarif_file="out.sarif")
    assert done.returncode == 2
    assert "no such file" in done.stderr
    assert not (repository / "owned").exists()
    assert github(services, repository, baseline="gone.json", sarif_file="out.sarif").returncode == 2
    program = str(services.temp / "realitygap" / "bin" / "skills")
    command = [program, "check", "skills", "--baseline", "known.json", "--write-baseline"]
    subprocess.run(command, cwd=repository, env=dict(services.environment), check=True, capture_output=True)
    done = github(services, repository, baseline="known.json")
    assert (done.returncode, done.stdout) == (0, "3 skills: no findings, and 4 known to the baseline\n")
    (repository / "skills" / "look" / "SKILL.md").write_text(
        GUIDE.format(name="look", text="-1") + "\n<!-- realitygap: ignore[RG308] -->\n"
    )
    assert github(services, repository, baseline="known.json").returncode == 0
    assert github(services, repository, baseline="known.json", warn_as_error="true").returncode == 1


def gitlab(services: Services, repository: Path) -> subprocess.CompletedProcess[str]:
    """As a GitLab runner runs a job: the lines of its script in one shell that stops at the first that fails."""
    job: dict[str, Any] = load(ROOT / "examples" / "ci" / "gitlab-ci.yml").data["skills-check"]
    lines = job["script"]
    assert lines[0] == "pip install realitygap", "acted out by the first step of the action"
    path = f"{services.temp / 'realitygap' / 'bin'}{os.pathsep}{services.environment['PATH']}"
    return services.shell("\n".join(lines[1:]), repository, {"PATH": path, "CI_PROJECT_DIR": str(repository), "GITLAB_CI": "true"})


def test_the_gitlab_job_leaves_a_report_also_where_it_fails(services, repository):
    job = load(ROOT / "examples" / "ci" / "gitlab-ci.yml").data["skills-check"]
    report = repository / job["artifacts"]["reports"]["junit"]
    assert job["artifacts"]["when"] == "always"
    done = gitlab(services, repository)
    assert done.returncode == 0, done.stderr
    (suite,) = ElementTree.parse(report).getroot()
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("6", "0")
    spoil(repository)
    done = gitlab(services, repository)
    assert done.returncode == 1
    assert "skills/train/SKILL.md:4:1: error RG302" in done.stdout
    (suite,) = ElementTree.parse(report).getroot()
    assert sorted(one.attrib["type"] for one in suite.iter("failure")) == ["RG302", "TRI201", "TRI201", "TRI201"]


def test_the_guide_shows_the_hooks_the_inputs_and_the_job_as_they_are():
    guide = (ROOT / "docs" / "checking.md").read_text()
    for one in load(ROOT / ".pre-commit-hooks.yaml").data:
        assert f"`{one['id']}`" in guide
    for name in load(ROOT / "action.yml").data["inputs"]:
        assert f"`{name}`" in guide
    script = load(ROOT / "examples" / "ci" / "gitlab-ci.yml").data["skills-check"]["script"]
    assert all(line in guide for line in script)
