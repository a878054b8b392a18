"""`skills new`: what it writes is whole, tidy and typed, nothing is overwritten, and names that cannot work are told beforehand."""

from __future__ import annotations

import ast
import builtins
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realitygap import API_VERSION
from realitygap.check import check_paths
from realitygap.cli.execute import execute
from realitygap.discovery import Registry, Selection
from realitygap.document import parse
from realitygap.errors import InputError
from realitygap.scaffold import names as scaffold_names
from realitygap.scaffold.names import KINDS, LONGEST, Names, checked
from realitygap.scaffold.write import render, write

ROOT = Path(__file__).parents[2]
SHORTEST_AND_LONGEST = ("ab", "a" + "-bcdefghi" * 4 + "-kl")


@pytest.fixture(scope="module")
def registry() -> Registry:
    return Registry.discover(Selection(allow=frozenset()))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with packages of every kind, under the shortest and the longest name."""
    folder = tmp_path_factory.mktemp("generated")
    for kind in KINDS:
        for name in (f"{SHORTEST_AND_LONGEST[0]}{kind[0]}", SHORTEST_AND_LONGEST[1][: LONGEST - 1] + kind[0]):
            write(Names(name=name, kind=kind), folder, "0.1.0")
    return folder


def test_what_is_written_is_formatted_and_linted_whatever_the_length_of_the_name(generated: Path) -> None:
    assert max(len(path.name.removeprefix("realitygap-")) for path in generated.iterdir()) == LONGEST
    for arguments in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *arguments, "--no-cache", "."], cwd=generated, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_written_passes_skills_check_without_a_warning_and_before_it_is_installed(generated: Path, registry: Registry) -> None:
    report = check_paths([generated], registry)
    assert [f"{one.path}:{one.line} {one.rule} {one.message}" for one in report.findings] == []
    assert (report.skills, report.plugins) == (2 * len(KINDS), 2 * len(KINDS))


def test_no_token_is_left_and_every_python_file_compiles(generated: Path) -> None:
    for path in generated.rglob("*"):
        if path.is_file():
            text = path.read_text("utf-8")
            assert "@@" not in text, path
            assert not re.search(r"\b(PACKAGE|SKILL)\b(?!\.md)", text), path
            if path.suffix == ".py":
                ast.parse(text)
                assert "from __future__ import annotations" in text or path.name == "__init__.py"


@pytest.mark.parametrize("kind", KINDS)
def test_a_package_has_all_that_publishing_needs(kind: str) -> None:
    names = Names(name="joint-speed", kind=kind)
    files = render(names, "0.1.0")
    package, skill = "src/realitygap_joint_speed", f"src/realitygap_joint_speed/skills/{names.skill}"
    common = {"pyproject.toml", "README.md", "LICENSE", ".gitignore", ".github/workflows/ci.yml"}
    assert {
        *common,
        "tests/conftest.py",
        "tests/test_contract.py",
        f"{package}/plugin.yaml",
        f"{package}/py.typed",
        f"{skill}/skill.yaml",
        f"{skill}/SKILL.md",
    } <= set(files)
    assert sum(path.startswith("tests/test_") for path in files) == 2
    project = tomllib.loads(files["pyproject.toml"])
    assert project["project"]["entry-points"]["realitygap"] == {"joint_speed": "realitygap_joint_speed"}
    assert project["project"]["dependencies"] == ["realitygap>=0.1,<0.2"]
    assert project["build-system"]["build-backend"] == "hatchling.build"
    assert ("sim" in project["project"]["optional-dependencies"]) == names.needs_sim
    manifest = parse(files[f"{package}/plugin.yaml"]).data
    assert (manifest["name"], manifest["api"]) == ("joint_speed", API_VERSION)
    assert f"skills run {names.skill}" in files["README.md"]
    for path in re.findall(r"^\| `([^`]+)`", files["README.md"], re.MULTILINE):
        assert any(one == path or one.startswith(path) for one in files), path
    assert parse(files[".github/workflows/ci.yml"]).data["jobs"]["test"]["steps"]
    assert not re.search(r"https?://(?!www\.apache\.org)", "".join(files.values()))


@pytest.mark.parametrize(("version", "allowed"), [("0.1.0", ">=0.1,<0.2"), ("0.12.3rc1", ">=0.12,<0.13"), ("1.4", ">=1.4,<2")])
def test_a_package_is_for_the_versions_that_its_author_has(version: str, allowed: str) -> None:
    assert f'"realitygap{allowed}"' in render(Names(name="ab", kind="skill"), version)["pyproject.toml"]


def test_the_licence_is_that_of_this_project() -> None:
    assert render(Names(name="ab", kind="skill"), "0.1.0")["LICENSE"] == (ROOT / "LICENSE").read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "kind", "message", "hint"),
    [
        ("JointSpeed", "observation", "'JointSpeed' is no name", "for example 'joint-speed'"),
        ("joint_speed", "observation", "'joint_speed' is no name", "for example 'joint-speed'"),
        ("9lives", "skill", "'9lives' is no name", "for example 'lives'"),
        ("../../etc", "skill", "is no name", "for example 'etc'"),
        ("a--b", "skill", "is no name", "for example 'a-b'"),
        ("", "skill", "is no name", "for example 'joint-speed'"),
        ("naïve", "skill", "is no name", "for example"),
        ("realitygap-speed", "skill", "the distribution is called realitygap-NAME by itself", "leave it out: 'speed'"),
        ("x", "skill", "has 1 characters; 2 to 40", None),
        ("x" * 41, "skill", "has 41 characters", None),
        ("lambda", "observation", "is a word of Python", "lambda-of-joints"),
        ("max", "reward", "is a word of Python", "max-of-joints"),
        ("true", "skill", "'true' is no text in YAML", "true-of-joints"),
        ("null", "reward", "'null' is no text in YAML", "null-of-joints"),
        ("off", "skill", "'off' is no text in YAML", "off-of-joints"),
        ("jax", "observation", "is what the code around it calls something else", "joint-jax"),
        ("compare-domains", "skill", "skill 'compare-domains' belongs to realitygap", "choose another name"),
        ("joint-velocity", "observation", "observation 'joint_velocity' belongs to realitygap", "choose another name"),
        ("ksim", "reward", "plugin 'ksim' belongs to realitygap", "choose another name"),
        ("limits-given", "check", None, None),
        ("tr", "check", "rule prefix 'TR' belongs to realitygap", "choose another name"),
        ("triads-of-mine", "check", "rule prefix 'TRIADSOF' belongs to realitygap", "choose another name"),
        ("tri", "check", "rule prefix 'TRI' belongs to realitygap", "choose another name"),
        ("rg", "check", "rule prefix 'RG' belongs to realitygap", "choose another name"),
    ],
)
def test_a_name_that_cannot_work_is_told_with_one_that_can(
    registry: Registry, name: str, kind: str, message: str | None, hint: str | None
) -> None:
    if message is None:
        assert checked(name, kind, registry).name == name
        return
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        checked(name, kind, registry)
    assert hint is None or hint in (caught.value.hint or "")


@given(st.text(max_size=50), st.sampled_from(KINDS))
def test_any_text_is_either_refused_or_gives_valid_names(name: str, kind: str) -> None:
    try:
        names = checked(name, kind, EMPTY)
    except InputError:
        return
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", names.skill)
    assert len(names.skill) <= 64
    assert names.package.isidentifier()
    assert names.component.isidentifier()
    assert re.fullmatch(r"[A-Z]{2,8}", names.prefix)


EMPTY = Registry([], [])


def test_a_function_named_after_the_package_hides_nothing_that_its_module_uses() -> None:
    for kind in KINDS:
        for path, text in render(Names(name="zz-zz", kind=kind), "0.1.0").items():
            if not path.endswith(".py") or ("def zz_zz" not in text and "import zz_zz" not in text):
                continue
            nodes = list(ast.walk(ast.parse(text)))
            bound = {node.id for node in nodes if isinstance(node, ast.Name)}
            imports = [node for node in nodes if isinstance(node, ast.ImportFrom | ast.Import)]
            bound |= {alias.asname or alias.name for node in imports for alias in node.names}
            lower = {one for one in bound if re.fullmatch(r"[a-z][a-z0-9_]*", one)} - {"zz_zz", *dir(builtins)}
            assert lower <= scaffold_names._USED_BY_TEMPLATES, path


def tree(folder: Path) -> dict[str, Any]:
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize("there", ["a file", "a folder with a file", "a link"])
def test_what_is_there_is_never_overwritten(tmp_path: Path, there: str) -> None:
    target = tmp_path / "realitygap-walk-clock"
    if there == "a file":
        target.write_text("mine")
    elif there == "a link":
        (tmp_path / "elsewhere").mkdir()
        target.symlink_to(tmp_path / "elsewhere")
    else:
        target.mkdir()
        (target / "notes.txt").write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(InputError, match="nothing is overwritten") as caught:
        write(Names(name="walk-clock", kind="skill"), tmp_path, "0.1.0")
    assert caught.value.where == str(target)
    assert tree(tmp_path) == before


def test_an_empty_folder_is_filled_and_the_same_name_gives_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "a" / "realitygap-walk-clock").mkdir(parents=True)
    for parent in ("a", "b"):
        write(Names(name="walk-clock", kind="skill"), tmp_path / parent, "0.1.0")
    assert tree(tmp_path / "a") == tree(tmp_path / "b")
    assert sorted(os.listdir(tmp_path / "b")) == ["realitygap-walk-clock"], "no draft is left"


def test_a_place_that_cannot_be_written_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write(Names(name="walk-clock", kind="skill"), tmp_path / "file", "0.1.0")

    def full(*_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="No space left"):
        write(Names(name="walk-clock", kind="skill"), tmp_path / "disk", "0.1.0")
    assert os.listdir(tmp_path / "disk") == []


def test_the_command_says_what_it_wrote_and_what_to_do_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert execute(["new", "joint-speed", "--kind", "observation"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "realitygap-joint-speed: observation 'joint_speed', 16 files. Next:"
    assert [line.strip() for line in told[1:]] == [
        "cd realitygap-joint-speed",
        'pip install -e ".[dev]"',
        "pytest",
        "skills run try-joint-speed -i task=try-joint-speed",
    ]
    assert execute(["new", "joint-speed", "--kind", "reward"]) == 2
    error = capsys.readouterr().err
    assert "nothing is overwritten" in error
    assert execute(["new", "Joint", "--kind", "robot"]) == 2
    assert "'robot' is not one of" in capsys.readouterr().err


def test_every_block_of_code_in_the_guide_is_what_the_command_writes() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text("utf-8")
    files = render(Names(name="joint-speed", kind="observation"), "0.1.0")
    blocks = re.findall(r"^<!-- file: (\S+) -->\n```\w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 5
    for path, block in blocks:
        assert block in files[path], path
    commands = re.findall(r"^<!-- run -->\n```sh\n", text, re.MULTILINE)
    assert len(re.findall(r"^```\w+$", text, re.MULTILINE)) == len(blocks) + len(commands), "a block that nothing checks"
    for kind in KINDS:
        assert f"| `{kind}` |" in text
