"""The skill `import-skills`: what becomes of a collection in the wild, and that nothing is made up or lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from realitygap.cli.execute import execute
from realitygap.context import RunContext
from realitygap.document import load, parse
from realitygap.errors import InputError
from realitygap.guides import NAME, Guide
from realitygap_plugins.triads.guide_reader import read_guide
from realitygap_plugins.triads.import_skill import import_skills
from realitygap_plugins.triads.importing import slug
from realitygap_plugins.triads.wild_guide import first_sentence, read_wild_guide, write_guide, yaml_text


def guide(root: Path, folder: str, text: str, name: str = "SKILL.md") -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    (root / folder / name).write_text(text)
    return root / folder / name


def run(tmp_path: Path, path: Path) -> Mapping[str, Any]:
    return import_skills({"path": str(path)}, RunContext(folder=tmp_path / "run"))


def head(folder: Path) -> dict[str, Any]:
    data = Guide.load(folder / "SKILL.md").frontmatter.data
    assert isinstance(data, dict)
    return data


@pytest.fixture
def wild(tmp_path: Path) -> Path:
    root = tmp_path / "collection"
    head = "name: measure\ndescription: Measures the gap. Then stops.\nversion: 1.10\nlicense: MIT\ntags: [a, b]"
    claims = [f"measure (-1) ⊗ {one} (0) ⊗ {other} (+1) = 0 ✓" for one, other in (("plan", "make"), ("torn", "make"), ("plan", "nobody"))]
    guide(root, "measure", f"---\n{head}\n---\n\n**Trit**: -1 (MINUS)\n\n" + "\n".join(claims) + "\n")
    guide(root, "plan", "---\nname: plan\ndescription: Plans: first this, then that\ntrit: 0\n---\nText.\n")
    guide(
        root,
        "make",
        "---\nname: make\ndescription: Makes.\nmetadata:\n  trit: 1\n  made: 2026-01-02\n---\nsee [notes](references/notes.md)\n",
    )
    (root / "make" / "references").mkdir()
    (root / "make" / "references" / "notes.md").write_text("Notes.\n")
    guide(root, "torn", "---\nname: torn\ndescription: Torn.\ntrit: -1\n---\n**Trit**: 0\n")
    guide(root, "silent", "---\nname: silent\ndescription: Says nothing of a trit. #D82626\ncolor: '#D82626'\n---\nText.\n")
    guide(
        root, "injected", "---\nname: injected\ndescription: Injected.\n---\nText.\n\n## Cat# Integration\n\n```\nTrit: 0 (ERGODIC)\n```\n"
    )
    guide(root, "Under_Score", "---\nname: Under_Score\ndescription: Oddly called.\ntrit: '±1'\n---\nText.\n", "skill.md")
    guide(root, "deep/copies/plan", "---\nname: plan\ndescription: An old copy.\n---\nOther text.\n")
    guide(root, "bare", "No frontmatter at all.\n")
    return root


def test_each_guide_becomes_a_manifest_and_unknown_trits_stay_unknown(wild: Path, tmp_path: Path) -> None:
    outputs = run(tmp_path, wild)
    folder = Path(outputs["folder"])
    assert sorted(os.listdir(folder)) == ["bare", "injected", "make", "measure", "plan", "silent", "torn", "under-score"]
    trits = {name: load(folder / name / "skill.yaml").data.get("trit") for name in os.listdir(folder)}
    assert trits == {"measure": -1, "plan": 0, "make": 1} | dict.fromkeys(("bare", "injected", "silent", "torn", "under-score"))
    reasons = {row["skill"]: row["reason"] for row in outputs["unknown_trits"]}
    assert set(reasons) == {"bare", "injected", "silent", "torn", "under-score"}
    assert reasons["torn"] == "it states -1 (torn/SKILL.md:4) and 0 (torn/SKILL.md:6)"
    assert reasons["injected"].startswith("only in a block written by a tool: 0 (injected/SKILL.md:")
    assert reasons["silent"] == "no trit is stated"
    assert "'±1' is not a trit" in reasons["under-score"]
    assert (outputs["imported"], outputs["with_trit"]) == (8, 3)
    assert "8 skills became manifests, 3 with a trit; 5 have none" in outputs["summary"]


def test_frontmatter_conforms_and_says_what_it_said(wild: Path, tmp_path: Path) -> None:
    folder = Path(run(tmp_path, wild)["folder"])
    assert head(folder / "measure") == {
        "name": "measure", "description": "Measures the gap. Then stops.", "license": "MIT",
        "metadata": {"tags": '["a", "b"]', "version": "1.10", "trit": "-1"},
    }  # fmt: skip
    manifest = load(folder / "measure" / "skill.yaml").data
    assert (manifest["version"], manifest["summary"]) == ("1.10", "Measures the gap.")
    # Not YAML, because of the second colon: read with its texts in quotes.
    assert head(folder / "plan") == {"name": "plan", "description": "Plans: first this, then that", "metadata": {"trit": "0"}}
    assert head(folder / "make")["metadata"] == {"trit": "+1", "made": "2026-01-02"}
    assert head(folder / "under-score")["metadata"] == {"stated-trit": "±1"}, "what was stated is kept, and decides nothing"
    assert head(folder / "torn")["metadata"] == {"stated-trit": "-1"}
    body = (folder / "measure" / "SKILL.md").read_text().split("---\n", 2)[2]
    assert body == (wild / "measure" / "SKILL.md").read_text().split("---\n", 2)[2], "word for word"


def test_frontmatter_that_is_mended_keeps_its_lists_and_mappings_and_leaves_comments_out(tmp_path: Path) -> None:
    root = tmp_path / "collection"
    rest = 'tags:\n- one\n- two\nlicense: MIT  # see LICENSE\nmetadata: {version: "1.2.0", author: me}\n'
    guide(root, "told", f"---\nname: told\ndescription: Use this: always\n{rest}---\nText.\n")
    # A tab, which no quotes mend: read line by line.
    by_line = 'tags:\n- one\n- "two"\nlicense: MIT  # see LICENSE\nmetadata:\n  version: "1.2.0"  # so far\n  trit: 0 # all\n\tauthor: me\n'
    guide(root, "lines", f"---\nname: lines\ndescription: Use this: always\n{by_line}---\nText.\n")
    folder = Path(run(tmp_path, root)["folder"])
    same = {"tags": '["one", "two"]', "version": "1.2.0", "author": "me"}
    assert head(folder / "told") == {"name": "told", "description": "Use this: always", "license": "MIT", "metadata": same}
    assert head(folder / "lines") == {
        "name": "lines", "description": "Use this: always", "license": "MIT", "metadata": {**same, "trit": "0"},
    }  # fmt: skip
    assert load(folder / "told" / "skill.yaml").data["version"] == "1.2.0"
    assert load(folder / "lines" / "skill.yaml").data["trit"] == 0


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("begin", ["", "\ufeff"])
def test_the_check_and_the_import_read_the_same_whatever_ends_a_line(tmp_path: Path, begin: str, end: str) -> None:
    body = end.join(["Text.", "", "more", ""])
    text = begin + end.join(["---", "name: x", "description: It: ends.", "trit: -1", "---", body])
    (tmp_path / "x").mkdir()
    path = tmp_path / "x" / "SKILL.md"
    path.write_bytes(text.encode())
    guide = read_wild_guide(path)
    assert guide.values == {"name": "x", "description": "It: ends.", "trit": "-1"}
    assert guide.body == body, "word for word, with its line ends"
    record = read_guide(path, None).record
    assert (record.name, record.trit) == ("x", -1)
    assert [one.line for one in record.declarations] == [4]


def test_of_a_key_that_stands_twice_no_trit_is_picked(tmp_path: Path) -> None:
    path = guide(tmp_path, "x", "---\nname: x\ntrit: -1\ntrit: 1\n---\nText.\n")
    told = read_guide(path, None).record.declarations
    assert [(one.trit, one.line) for one in told] == [(-1, 3), (1, 4)]


def test_groups_that_hold_are_declared_by_all_their_members_and_the_others_are_listed(wild: Path, tmp_path: Path) -> None:
    outputs = run(tmp_path, wild)
    folder = Path(outputs["folder"])
    assert outputs["groups"] == 1
    for name in ("measure", "plan", "make"):
        assert load(folder / name / "skill.yaml").data["triads"] == [["make", "measure", "plan"]]
    left = {(row["source"], row["line"]): row["reason"] for row in outputs["claims_left_out"]}
    assert left == {
        ("measure/SKILL.md", 12): "no trit is known of torn",
        ("measure/SKILL.md", 13): "not a skill of this collection: nobody",
    }


def test_what_else_is_not_known_is_listed_and_copies_are_named(wild: Path, tmp_path: Path) -> None:
    outputs = run(tmp_path, wild)
    unknown = {(row["skill"], row["field"]) for row in outputs["unknown"]}
    assert ("plan", "version") in unknown
    assert ("measure", "version") not in unknown
    assert ("measure", "license") not in unknown
    assert ("bare", "description") in unknown
    (copy,) = outputs["not_imported"]
    assert copy == {"source": "deep/copies/plan/SKILL.md", "reason": "the name 'plan' is taken by plan/SKILL.md"}
    report = Path(outputs["report"]).read_text()
    facts = json.loads(Path(outputs["report"]).with_suffix(".json").read_text())
    assert "| torn | torn/SKILL.md | it states -1" in report
    assert {"skill": "under-score", "note": "called 'Under_Score' there, which no skill may be called"} in facts["notes"]
    assert {"skill": "under-score", "note": "its guide is called skill.md there"} in facts["notes"]
    assert str(tmp_path) not in report + json.dumps(facts), "a run may be linked into another"


def test_what_it_writes_passes_the_check_apart_from_what_it_announced(
    wild: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = run(tmp_path, wild)
    folder = Path(outputs["folder"])
    monkeypatch.chdir(folder)
    assert execute(["check", str(folder), "--format", "json"]) == 1
    found = {
        (one["rule"], one["path"], one["line"], one["message"]) for one in json.loads(capsys.readouterr().out)["findings"] if one["path"]
    }
    facts = json.loads(Path(outputs["report"]).with_suffix(".json").read_text())
    assert found == {(one["rule"], one["source"], one["line"], one["message"]) for one in facts["findings"]}
    # Each of them is one of the things that could not be known.
    trits = {row["skill"] for row in outputs["unknown_trits"]}
    without_group = {"bare", "injected", "silent", "torn", "under-score"}
    for rule, path, _, message in found:
        skill = path.split("/")[0]
        known = {
            "RG103": ("'trit'" in message and skill in trits) or ("'summary'" in message and skill == "bare"),
            "RG304": skill == "bare",
            "TRI205": skill in without_group,
            "TRI211": skill == "injected",
            "TRI212": skill in trits,
            "TRI214": any(row["claim"] in message for row in outputs["claims_left_out"]),
        }
        assert known.get(rule), f"{path}: {rule} {message}"
    assert {path for rule, path, _, message in found if rule == "RG103" and "'trit'" in message} == {
        f"{skill}/skill.yaml" for skill in trits
    }


def test_a_collection_that_says_all_passes_the_check_and_its_skills_run(tmp_path: Path) -> None:
    root = tmp_path / "collection"
    claim = "measure (-1) ⊗ plan (0) ⊗ make (+1) = 0 ✓"
    for name, trit in (("measure", "-1"), ("plan", "0"), ("make", "+1")):
        text = f"---\nname: {name}\ndescription: It {name}s the robot.\nversion: 1.0.0\nlicense: MIT\ntrit: {trit}\n---\n\n{claim}\n"
        guide(root, name, text)
    outputs = run(tmp_path, root)
    assert (outputs["findings"], outputs["unknown"], outputs["unknown_trits"], outputs["claims_left_out"]) == (0, [], [], [])
    assert outputs["groups"] == 1
    done = subprocess.run(
        [sys.executable, "-m", "realitygap.cli", "--skills-dir", outputs["folder"], "run", "plan", "--json"],
        capture_output=True, text=True, timeout=120, env=os.environ | {"REALITYGAP_HOME": str(tmp_path / "home")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outputs"] == {"guide": claim, "summary": "The guide of plan: It plans the robot."}


def test_files_beside_a_guide_come_along_and_links_do_not(wild: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (wild / "make" / "references" / "out.md").symlink_to(tmp_path / "secret")
    (wild / "make" / "loop").symlink_to(wild)
    guide(wild, "linked", "x")
    (wild / "linked" / "SKILL.md").unlink()
    (wild / "linked" / "SKILL.md").symlink_to(tmp_path / "secret")
    outputs = run(tmp_path, wild)
    folder = Path(outputs["folder"])
    assert sorted(path.relative_to(folder).as_posix() for path in (folder / "make").rglob("*")) == [
        "make/SKILL.md", "make/references", "make/references/notes.md", "make/skill.yaml",
    ]  # fmt: skip
    assert not [path for path in folder.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
    facts = json.loads(Path(outputs["report"]).with_suffix(".json").read_text())
    assert {"skill": "make", "note": "2 links beside its guide are not copied"} in facts["notes"]
    assert not (folder / "linked").exists()


def test_what_has_a_manifest_keeps_it(wild: Path, tmp_path: Path) -> None:
    text = (
        "schema: 1\nname: ready\nversion: 2.0.0\ntrit: 0\ntriads: [[ready]]\nsummary: Ready.\nentry: json:dumps\ninputs: {}\noutputs: {}\n"
    )
    guide(wild, "ready", "---\nname: ready\ndescription: Ready.\nlicense: MIT\nmetadata: {trit: '0'}\n---\nText.\n")
    (wild / "ready" / "skill.yaml").write_text(text)
    folder = Path(run(tmp_path, wild)["folder"])
    assert (folder / "ready" / "skill.yaml").read_text() == text
    assert (folder / "ready" / "SKILL.md").read_text() == (wild / "ready" / "SKILL.md").read_text()


def test_one_guide_alone_and_a_folder_without_any(wild: Path, tmp_path: Path) -> None:
    assert run(tmp_path, wild / "measure" / "SKILL.md")["imported"] == 1
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no skill\.yaml and no SKILL\.md"):
        import_skills({"path": str(tmp_path / "empty")}, RunContext(folder=tmp_path / "other"))
    with pytest.raises(InputError, match="no such file"):
        import_skills({"path": str(tmp_path / "gone")}, RunContext(folder=tmp_path / "third"))


HOSTILE = {
    "alias-bomb": b"---\nname: alias-bomb\ndescription: &a [x, x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b]\n---\nText.\n",
    "no-utf8": b"---\nname: no-utf8\ndescription: Reibungsma\xdf\n---\nText \xff\xfe.\n",
    "nul": b"---\nname: nul\ndescription: Holds \x00.\n---\nText \x00.\n",
    "endless": b"---\nname: endless\n" + b"k: v\n" * 2000,
    "twice": b"---\nname: twice\ndescription: Twice.\ntrit: 1\ntrit: -1\n---\nText.\n",
    "list": b"---\n- a\n- b\n---\nText.\n",
    "crlf": b"---\r\nname: crlf\r\ndescription: Windows.\r\n---\r\nText.\r\n",
    "bom": b"\xef\xbb\xbf---\nname: bom\ndescription: Marked.\n---\nText.\n",
    "nested": b"---\nname: nested\ndescription: Deep.\nmetadata: {a: {b: {c: [1, 2]}}}\nmetadata2: 3\n---\nText.\n",
    "angry": b"---\nname: ../../angry\ndescription: <script>alert(1)</script>\n---\nText.\n",
    "empty": b"",
}


def test_hostile_guides_neither_stop_the_others_nor_leave_their_folder(tmp_path: Path) -> None:
    root = tmp_path / "collection"
    for name, raw in HOSTILE.items():
        (root / name).mkdir(parents=True)
        (root / name / "SKILL.md").write_bytes(raw)
    (root / "huge").mkdir()
    with (root / "huge" / "SKILL.md").open("wb") as file:
        file.write(b"---\nname: huge\ndescription: Huge.\n---\n")
        file.truncate(50 << 20)
    (root / "a-folder" / "SKILL.md").mkdir(parents=True)
    guide(root, "good", "---\nname: good\ndescription: Good.\ntrit: 1\n---\nText.\n")
    before = {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "run")}
    outputs = run(tmp_path, root)
    folder = Path(outputs["folder"])
    assert set(os.listdir(folder)) == (set(HOSTILE) | {"good"})
    assert {path for path in tmp_path.rglob("*") if not path.is_relative_to(tmp_path / "run")} == before
    assert "huge/SKILL.md" in {row["source"] for row in outputs["not_imported"]}
    assert "larger than 4 MiB" in next(row["reason"] for row in outputs["not_imported"] if row["source"] == "huge/SKILL.md")
    for name in os.listdir(folder):
        manifest = load(folder / name / "skill.yaml").data
        assert manifest["name"] == name
        assert head(folder / name)["name"] == name
    assert (folder / "crlf" / "SKILL.md").read_bytes().endswith(b"Text.\r\n")
    assert load(folder / "twice" / "skill.yaml").data.get("trit") is None
    assert load(folder / "good" / "skill.yaml").data["trit"] == 1
    # None of them has a finding that the schema of frontmatter or manifests would have, but for what is missing or not allowed in words.
    assert set(outputs["findings_by_rule"]) <= {"RG103", "RG304", "RG307", "TRI205", "TRI212"}


@given(st.text(max_size=80))
@example("../..")
@example("Ünder Score--x")
@example("a" * 200)
def test_a_name_is_always_allowed_or_empty(text: str) -> None:
    name = slug(text)
    assert name == "" or (NAME.match(name) and len(name) <= 64)
    assert slug(name) == name


@given(st.text(max_size=60))
@example("no")
@example("1e-3")
@example("012")
@example("a: b")
@example("\x85\u2028 x")
@example("'quoted'")
def test_a_text_comes_back_from_yaml_as_it_was(text: str) -> None:
    text = text.encode("utf-8", "replace").decode()
    assert parse(f"key: {yaml_text(text)}\n").data == {"key": text}


keys = st.sampled_from(["name", "description", "license", "tags", "trit", "x-y", "version"])


@given(st.dictionaries(keys, st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)), st.text(max_size=40))
def test_a_guide_that_is_written_reads_back_the_same(tmp_path_factory: pytest.TempPathFactory, values: dict[str, str], body: str) -> None:
    body = body.replace("\0", "").encode("utf-8", "replace").decode()
    folder = tmp_path_factory.mktemp("guide")
    source = folder / "SKILL.md"
    source.write_bytes(f"---\nname: x\n---\n{body}".encode())
    known = {key: value for key, value in values.items() if key in ("name", "description", "license")}
    metadata = {key: value for key, value in values.items() if key not in known}
    source.write_bytes(write_guide(read_wild_guide(source), {**known, "metadata": metadata}).encode())
    again = read_wild_guide(source)
    assert again.problems == []
    assert {key: value for key, value in again.values.items() if key != "metadata"} == known
    assert dict(again.metadata) == metadata
    assert again.body == body


@pytest.mark.parametrize(
    ("text", "longest", "summary"),
    [
        ("Measures the gap. Then stops.", 200, "Measures the gap."),
        ("Uses e.g. this and that", 200, "Uses e.g. this and that"),
        ("One\nline", 200, "One line"),
        ("A sentence of many words without an end", 20, "A sentence of many…"),
        ("v1.2 of it. Next.", 200, "v1.2 of it. Next."),
    ],
)
def test_a_summary_is_the_first_sentence(text: str, longest: int, summary: str) -> None:
    assert first_sentence(text, longest=longest) == summary
