"""Paths of a client lead to the workspace, to what runs put out, and to assets. To nothing else, also not through a model or a document."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realitygap.errors import InputError
from realitygap.skill import Skill
from realitygap_server import named_files
from realitygap_server.containment import Containment

SECRET = "not yours"
INPUTS = {
    "model": {"type": "string", "format": "model", "x-optional": True},
    "logs": {"type": "array", "items": {"type": "string", "format": "recording"}, "x-optional": True},
    "options": {"type": "object", "properties": {"file": {"type": "string", "format": "path"}}, "x-optional": True},
    "skills": {"type": "string", "format": "collection", "x-optional": True},
    "target": {"type": "string", "format": "path", "x-new": True, "x-optional": True},
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """`outside` beside `workspace`, with the runs in `workspace/.skills`."""
    artifacts = tmp_path / "workspace" / ".skills" / "runs" / "2026-x" / "steps" / "fit" / "artifacts"
    artifacts.mkdir(parents=True)
    (artifacts / "fitted.xml").write_text("<mujoco/>")
    (artifacts.parent / "log.txt").write_text(SECRET)
    (artifacts.parents[2] / "supervisor.log").write_text(SECRET)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.xml").write_text(f"<mujoco><!-- {SECRET} --></mujoco>")
    (tmp_path / "outside" / "mesh.stl").write_text(SECRET)
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "qube.xml").write_text('<mujoco><include file="part.xml"/></mujoco>')
    (tmp_path / "shipped" / "part.xml").write_text("<mujoco/>")
    (tmp_path / "workspace" / "robot.xml").write_text("<mujoco/>")
    return tmp_path


@pytest.fixture
def skill(place: Path) -> Skill:
    return Skill(
        name="look",
        version="0.1.0",
        trit=0,
        summary="Looks.",
        entry="a:b",
        directory=place,
        plugin="p",
        distribution="acme",
        runtime="quick",
        effects="run",
        inputs=INPUTS,
        outputs={},
    )


@pytest.fixture
def admit(place: Path, skill: Skill) -> Callable[..., dict[str, Any]]:
    assets = {"model": {"qube": str(place / "shipped" / "qube.xml")}}
    workspace = place / "workspace"
    containment = Containment(workspace, workspace / ".skills", assets)
    return lambda **given: containment.admit(skill, given)


def refused(admit: Callable[..., dict[str, Any]], **given: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        admit(**given)
    assert SECRET not in str(caught.value)
    assert "secret.xml" not in str(caught.value.hint)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        "../outside/secret.xml", "../outside/gone.xml", "/etc/passwd", "//etc/passwd", "/nowhere", "~/secret.xml", "~root/x.xml",
        "robot.xml/../../outside/secret.xml", "link.xml", "folder/secret.xml", "..", "/", "/proc/self/environ",
        ".skills/runs/2026-x/steps/fit/log.txt", ".skills/runs/2026-x/supervisor.log", ".skills/runs/2026-x", ".skills",
        ".skills/runs/2026-x/steps/fit/artifacts/../log.txt", "a\0b",
    ],
)  # fmt: skip
def test_a_path_out_of_the_workspace_is_refused_wherever_it_stands(place: Path, admit: Callable[..., dict[str, Any]], text: str) -> None:
    (place / "workspace" / "link.xml").symlink_to(place / "outside" / "secret.xml")
    (place / "workspace" / "folder").symlink_to(place / "outside")
    told = {str(refused(admit, model=text)).partition(" ")[2].partition("'")[2].partition("'")[2]}
    told |= {str(refused(admit, logs=["robot.xml", text])).partition("'")[2].partition("'")[2]}
    told |= {str(refused(admit, options={"file": text})).partition("'")[2].partition("'")[2]}
    told |= {str(refused(admit, target=text)).partition("'")[2].partition("'")[2]}
    assert all("leads out of the workspace" in one or "NUL" in one for one in told)


def test_the_answer_does_not_tell_whether_something_is_there(admit: Callable[..., dict[str, Any]]) -> None:
    there, gone = refused(admit, model="../outside/secret.xml"), refused(admit, model="../outside/secret2.xml")
    assert (there.message, there.hint) == (gone.message, gone.hint)


@pytest.mark.parametrize("text", ["../outside/{}", "{place}/outside/{}", "a/../../outside/{}", "link/{}", "file://{place}/outside/{}"])
def test_the_answer_to_a_document_does_not_tell_whether_something_is_there(
    place: Path, admit: Callable[..., dict[str, Any]], text: str
) -> None:
    (place / "workspace" / "a").mkdir()
    (place / "workspace" / "link").symlink_to(place / "outside")
    where = text.format("{}", place=place)
    documents = {"task.yaml": f'model: "{where}"', "robot.xml": f'<mujoco><a value="{where}"/></mujoco>', "notes.md": f'see path="{where}"'}
    for name, document in documents.items():
        told = set()
        for named in ("secret.xml", "secre2.xml"):
            (place / "workspace" / name).write_text(document.format(named))
            error = refused(admit, model=name)
            told.add((error.message.replace(named, ""), error.hint))
        assert len(told) == 1, name


@pytest.mark.parametrize(
    "text",
    ["../see " + "word " * 60, "a/../" + "x" * 300, "x" * 300, "x/" * 3000 + "y", "a/../loop", "loop/x", "back/y", "\\dev", "~nobody/x"],
)
def test_a_document_may_hold_any_text(place: Path, admit: Callable[..., dict[str, Any]], text: str) -> None:
    workspace = place / "workspace"
    (workspace / "a").mkdir()
    (workspace / "loop").symlink_to("loop2")
    (workspace / "loop2").symlink_to("loop")
    (workspace / "back").symlink_to("a/../forth/x")
    (workspace / "forth").symlink_to("back/y")
    for name, document in {"a/task.json": json.dumps({"note": text}), "a/robot.xml": f'<mujoco><a value="{text}"/></mujoco>'}.items():
        (workspace / name).write_text(document)
        with contextlib.suppress(InputError):
            admit(model=name)


def test_names_are_not_decoded_a_second_time(admit: Callable[..., dict[str, Any]]) -> None:
    assert "no such file" in refused(admit, model="%2e%2e/outside/secret.xml").message


def test_the_workspace_assets_and_artifacts_are_read(place: Path, admit: Callable[..., dict[str, Any]]) -> None:
    made = ".skills/runs/2026-x/steps/fit/artifacts/fitted.xml"
    workspace = place / "workspace"
    assert admit(model="robot.xml") == {"model": str(workspace / "robot.xml")}
    assert admit(model=str(workspace / "robot.xml")) == {"model": str(workspace / "robot.xml")}
    assert admit(model="qube") == {"model": str(place / "shipped" / "qube.xml")}
    assert admit(logs=[made]) == {"logs": [str(workspace / made)]}
    assert admit(target="new/file.csv") == {"target": str(workspace / "new" / "file.csv")}


def test_a_workspace_that_is_the_home_of_the_runs_is_read_but_for_their_logs(place: Path) -> None:
    home = place / "workspace" / ".skills"
    (home / "robot.xml").write_text("<mujoco/>")
    containment = Containment(home, home, {})
    assert containment.allows(home / "robot.xml")
    assert containment.allows(home / "runs" / "2026-x" / "steps" / "fit" / "artifacts" / "fitted.xml")
    assert not containment.allows(home / "runs" / "2026-x" / "supervisor.log")
    assert not containment.allows(home.parent / "robot.xml")


MODELS = [
    '<include file="../outside/secret.xml"/>',
    "<include file='../outside/secret.xml'/>",
    '<include file = "{outside}/secret.xml"/>',
    '<include file="{outside}/./secret.xml"/>',
    '<asset><mesh name="m" file="../outside/mesh.stl"/></asset>',
    '<compiler meshdir="../outside"/><asset><mesh name="m" file="mesh.stl"/></asset>',
    '<compiler assetdir="{outside}"/><asset><mesh name="m" file="mesh.stl"/></asset>',
    '<compiler strippath="true" meshdir="{outside}"/><asset><mesh name="m" file="C:\\meshes\\mesh.stl"/></asset>',
    '<asset><texture name="t" type="cube" fileup="../outside/mesh.stl"/></asset>',
    '<asset><hfield name="h" file="&#46;&#46;/outside/mesh.stl"/></asset>',
    '<asset><mesh name="m" file="&#x2e;&#x2e;&#x2f;outside&#47;mesh.stl"/></asset>',
    '<include file="part/inner.xml"/>',
    '<include file="linked.xml"/>',
    '<robot><link name="l"><visual><mesh filename="package://../outside/mesh.stl"/></visual></link></robot>',
    '<mesh filename="file://{outside}/mesh.stl"/>',
    '<extension><plugin plugin="x"><instance name="i"><config key="path" value="{outside}/mesh.stl"/></instance></plugin></extension>',
    '<!-- <include file="../outside/secret.xml"/> -->',
    '<![CDATA[<include file="../outside/secret.xml"/>]]>',
    '<!-- x=" --><include file="{outside}/secret.xml"/><!-- " -->',
    '<a><![CDATA[ x=" ]]><include file="{outside}/secret.xml"/><![CDATA[ " ]]></a>',
    '<?x y=" ?><include file="{outside}/secret.xml"/><?x " ?>',
    "<!-- x=' --><include file='{outside}/secret.xml'/><!-- ' -->",
    '<include file="blank.txt"/>',
    '<include file="words.txt"/>',
    '<include file="leg.stl"/>',
    '<include file="latin.bin"/>',
    '<include file="&sol;/../../outside/secret.xml"/>',
    '<compiler strippath="true" meshdir="../outside"/><mesh file="{long}/mesh.stl"/>',
    '<include file="{outside}/gone.xml"/>',
    '<include file="../outside/gone.xml"/>',
    '<mesh filename="file://{outside}/gone.stl"/>',
]


@pytest.mark.parametrize("inside", MODELS)
def test_a_model_reads_files_of_the_workspace_alone(place: Path, admit: Callable[..., dict[str, Any]], inside: str) -> None:
    workspace = place / "workspace"
    (workspace / "part").mkdir()
    (workspace / "part" / "inner.xml").write_text('<mujoco><include file="../../outside/secret.xml"/></mujoco>')
    (workspace / "linked.xml").symlink_to(place / "outside" / "secret.xml")
    (workspace / "&sol;").mkdir()
    include = f'<mujoco><include file="{place}/outside/secret.xml"/></mujoco>'
    (workspace / "blank.txt").write_text(" " * 5000 + include)
    (workspace / "words.txt").write_text("words " + include)
    (workspace / "leg.stl").write_text(include)
    (workspace / "latin.bin").write_bytes(b"\xff" + include.encode())
    inside = inside.replace("{outside}", str(place / "outside")).replace("{long}", "x/" * 3000)
    for name, before in (("bad.xml", ""), ("bad.txt", ""), ("blank.log", " " * 5000), ("words.log", "words ")):
        (workspace / name).write_text(f"{before}<mujoco>{inside}</mujoco>")
        assert "leads out of the workspace" in refused(admit, model=name).message


@pytest.mark.parametrize(
    "data",
    [
        b'<!DOCTYPE mujoco [<!ENTITY a SYSTEM "file:///etc/passwd">]><mujoco>&a;</mujoco>',
        b'<?xml version="1.0" encoding="UTF-7"?><mujoco/>',
        b'<?xml version="1.0" encoding="cp037"?><mujoco/>',
        "<mujoco/>".encode("utf-16"),
        b"<mujoco>\xff</mujoco>",
        b"<mujoco>\0</mujoco>",
        b'<mujoco><include file="/outside/secret.xml&#0;"/></mujoco>',
        b'<mujoco><include file="/outside/secret.xml&#x0;zz"/></mujoco>',
        b'<mujoco><include file="/outside/secret.xml&#4294967296;"/></mujoco>',
        b'<mujoco><include file="/outside/secret.xml&#xD800;"/></mujoco>',
    ],
)
def test_a_model_that_two_readers_could_read_differently_is_refused(place: Path, admit: Callable[..., dict[str, Any]], data: bytes) -> None:
    (place / "workspace" / "odd.xml").write_bytes(data)
    error = refused(admit, model="odd.xml")
    assert error.where == "odd.xml"


def test_a_model_with_too_many_names_and_folders_is_refused_before_they_are_looked_for(
    place: Path, admit: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def model(number: int) -> str:
        return "".join(f'<include file="part{one}.xml"/><compiler meshdir="folder{one}"/>' for one in range(number))

    looked: list[Path] = []
    monkeypatch.setattr(named_files, "_exists", looked.append)
    (place / "workspace" / "many.xml").write_text(f"<mujoco>{model(300)}</mujoco>")
    error = refused(admit, model="many.xml")
    assert "too many files and folders" in error.message
    assert error.where == "many.xml"
    assert not looked


def test_a_chain_of_includes_counts_as_a_whole(place: Path, admit: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    # Each include is found one round later: 1 + 2 + ... + 9 names, and 9 once more, in one folder are 54.
    for one in range(10):
        inner = f'<include file="{one + 1}.xml"/>' if one < 9 else ""
        (place / "workspace" / f"{one}.xml").write_text(f"<mujoco>{inner}</mujoco>")
    monkeypatch.setattr(named_files, "MOST_PLACES", 54)
    assert admit(model="0.xml")
    monkeypatch.setattr(named_files, "MOST_PLACES", 53)
    assert "too many files and folders" in refused(admit, model="0.xml").message


@pytest.mark.parametrize("name", ["robot.zip", "robot.mjz", "outer.xml"])
def test_a_model_in_an_archive_is_refused(place: Path, admit: Callable[..., dict[str, Any]], name: str) -> None:
    for archive in ("robot.zip", "robot.mjz"):
        (place / "workspace" / archive).write_bytes(b"PK")
    (place / "workspace" / "outer.xml").write_text('<mujoco><asset><model name="r" file="robot.zip"/></asset></mujoco>')
    assert "an archive is not looked through" in refused(admit, model=name).message


def test_a_model_with_parts_and_meshes_of_the_workspace_is_read(place: Path, admit: Callable[..., dict[str, Any]]) -> None:
    robot = place / "workspace" / "robot"
    (robot / "meshes").mkdir(parents=True)
    (robot / "meshes" / "leg.stl").write_text("solid")
    (robot / "parts").mkdir()
    (robot / "parts" / "leg.xml").write_text(
        '<mujoco><compiler meshdir="../meshes"/><asset><mesh name="l" file="leg.stl"/></asset></mujoco>'
    )
    (robot / "robot.xml").write_text('<?xml version="1.0" encoding="utf-8"?>\n<mujoco><include file="parts/leg.xml"/></mujoco>')
    assert admit(model="robot/robot.xml")


@pytest.mark.parametrize(
    "text",
    [
        "model: ../outside/secret.xml",
        "model: {outside}/secret.xml",
        'model: "{outside}/a b/secret.xml"',
        "logs: [{file: ../outside/mesh.stl}]",
        "domain: other.yaml",
        "domain: other.dat",
        "model: named.xml",
    ],
)
def test_a_document_names_files_of_the_workspace_alone(place: Path, admit: Callable[..., dict[str, Any]], text: str) -> None:
    workspace = place / "workspace"
    (place / "outside" / "a b").mkdir()
    (place / "outside" / "a b" / "secret.xml").write_text("<mujoco/>")
    (workspace / "other.yaml").write_text("model: ../outside/secret.xml")
    (workspace / "other.dat").write_text("model: ../outside/secret.xml")
    (workspace / "named.xml").write_text('<mujoco><include file="../outside/secret.xml"/></mujoco>')
    for name in ("task.yaml", "task.txt", "task", "task.csv", "task.JSON"):
        (workspace / name).write_text(text.replace("{outside}", str(place / "outside")))
        assert "leads out of the workspace" in refused(admit, model=name).message, name


def test_a_document_that_names_assets_topics_and_files_beside_it_is_read(place: Path, admit: Callable[..., dict[str, Any]]) -> None:
    text = "model: qube\nrobot: robot.xml\ntopic: /joint_states\nunit: rad/s\nnote: see .. and /\n"
    (place / "workspace" / "task.yaml").write_text(text)
    assert admit(model="task.yaml")


def test_a_collection_of_skills_is_read_whatever_its_texts_name(place: Path, admit: Callable[..., dict[str, Any]]) -> None:
    guide = place / "workspace" / "skills" / "zig"
    guide.mkdir(parents=True)
    (guide / "SKILL.md").write_text('---\nname: zig\n---\nRun it with `file="/tmp/out.txt"` or `path: ../../../outside/secret.xml`.\n')
    (guide / "notes.yaml").write_text("model: ../../../outside/secret.xml")
    assert "leads out of the workspace" in refused(admit, model="skills").message
    assert admit(skills="skills") == {"skills": str(guide.parent)}
    assert admit(skills="skills/zig/SKILL.md") == {"skills": str(guide / "SKILL.md")}
    (guide / "more").symlink_to(place / "outside")
    for name in ("skills", "skills/zig/SKILL.md", "skills/zig/notes.yaml"):
        assert "leads out of the workspace" in refused(admit, skills=name).message
    assert "leads out of the workspace" in refused(admit, skills="../outside").message


def test_a_collection_does_not_hold_the_runs_where_these_are_not_hidden(place: Path, skill: Skill) -> None:
    workspace = place / "workspace"
    (workspace / "SKILL.md").write_text("---\nname: workspace\n---\n")
    assert Containment(workspace, workspace / ".skills", {}).admit(skill, {"skills": "."})
    for home in (workspace, workspace / "store"):
        with pytest.raises(InputError, match="the runs of this workspace are in it"):
            Containment(workspace, home, {}).admit(skill, {"skills": "."})


def test_a_folder_with_a_link_that_leads_out_is_refused(place: Path, admit: Callable[..., dict[str, Any]]) -> None:
    folder = place / "workspace" / "walk.recording"
    folder.mkdir()
    (folder / "recording.json").write_text("{}")
    assert admit(logs=["walk.recording"])
    (folder / "joints.parquet").symlink_to(place / "outside" / "mesh.stl")
    assert "leads out of the workspace" in refused(admit, logs=["walk.recording"]).message


@pytest.mark.parametrize("folder", [".", "policy"])
def test_a_folder_with_a_document_that_leads_out_is_refused_also_where_it_is_the_workspace(
    place: Path, admit: Callable[..., dict[str, Any]], folder: str
) -> None:
    workspace = place / "workspace"
    (workspace / "policy").mkdir()
    # Below the workspace may lie anything, and at its top the settings of programs.
    (workspace / "task.yaml").write_text("model: robot.xml")
    (workspace / ".mcp.json").write_text(f'{{"command": "{place}/outside/mesh.stl"}}')
    assert admit(options={"file": folder})
    (workspace / folder / "task.yaml").write_text(f"model: {place}/outside/secret.xml")
    assert "task.yaml names" in refused(admit, options={"file": folder}).message
    if folder != ".":
        assert admit(options={"file": "."})


@pytest.mark.parametrize(
    "link", ["guides/evil/SKILL.md", "sub/.claude/skills/evil/SKILL.md", "log.csv", "sub/folder", "venv/bin/python.csv"]
)
def test_a_link_that_leads_out_is_refused_wherever_it_lies_below(place: Path, admit: Callable[..., dict[str, Any]], link: str) -> None:
    workspace = place / "workspace"
    for folder in (workspace / link).parent, workspace / "venv" / "bin", workspace / ".git":
        folder.mkdir(parents=True, exist_ok=True)
    # What every workspace has: the link of a virtual environment to its Python, and the store of Git.
    (workspace / "venv" / "pyvenv.cfg").touch()
    (workspace / "venv" / "bin" / "python3.11").symlink_to(place / "outside" / "mesh.stl")
    (workspace / ".git" / "hook").symlink_to(place / "outside" / "mesh.stl")
    assert admit(logs=["."])
    (workspace / link).symlink_to(place / "outside" / "secret.xml")
    assert "leads out of the workspace" in refused(admit, logs=["."]).message
    if link != "log.csv":
        assert "leads out of the workspace" in refused(admit, options={"file": link.split("/")[0]}).message


def test_a_model_of_nothing_but_beginnings_is_looked_through_in_one_pass(place: Path) -> None:
    # Each of the 400,000 beginnings read to the end of the text would be 4e11 steps.
    (place / "workspace" / "odd.xml").write_text("<?xml" * 400_000)
    code = "import sys, pathlib; from realitygap_server.named_files import files_named_by; list(files_named_by(pathlib.Path(sys.argv[1])))"
    subprocess.run([sys.executable, "-c", code, str(place / "workspace" / "odd.xml")], check=True, timeout=60)


def test_a_large_log_is_no_model(place: Path, admit: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(named_files, "LARGEST_MODEL", 1000)
    (place / "workspace" / "log.csv").write_text("time,file\n" + "0.1,2\n" * 1000)
    assert admit(logs=["log.csv"])
    (place / "workspace" / "log.csv").write_text("time" * 1000 + '<mujoco><include file = "x.xml"/></mujoco>')
    assert "more than 0 MB" in refused(admit, logs=["log.csv"]).message


@given(st.text(alphabet=st.sampled_from("./~\\%2eab\0é "), max_size=30))
def test_no_text_leads_out(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.mktemp("place")
    (root / "workspace" / "a").mkdir(parents=True)
    (root / "b").write_text(SECRET)
    containment = Containment(root / "workspace", root / "workspace" / ".skills", {})
    skill = Skill(
        name="look", version="0.1.0", trit=0, summary="Looks.", entry="a:b", directory=root, plugin="p", distribution="acme",
        runtime="quick", effects="run", inputs=INPUTS, outputs={},
    )  # fmt: skip
    try:
        found = containment.admit(skill, {"target": text})["target"]
    except InputError:
        return
    assert Path(found).is_relative_to((root / "workspace").resolve())
