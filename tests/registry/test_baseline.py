"""A baseline knows what was found, wherever its lines move, and nothing else."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from realitygap import baseline
from realitygap.cli.execute import execute
from realitygap.errors import InputError
from realitygap.findings import Finding
from realitygap.sources import source_lines

HEAD = "---\nname: look\ndescription: Looks.\nmetadata: {trit: '0'}\n"
GUIDE = HEAD + "version: 1\nauthor: me\n---\n\nSee [x](gone.md).\n"
"""RG302 on lines 5 and 6, RG308 on line 9."""


@pytest.fixture
def look(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("look", "peer"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "SKILL.md").write_text(GUIDE.replace("look", name))
    assert execute(["check", ".", "--baseline", "known.json", "--write-baseline"]) == 0
    return tmp_path


def check(
    capsys: pytest.CaptureFixture[str], *arguments: str, paths: tuple[str, ...] = (".",)
) -> tuple[list[tuple[str, int]], dict[str, int]]:
    capsys.readouterr()
    execute(["check", *paths, "--baseline", "known.json", "--format", "json", *arguments])
    document = json.loads(capsys.readouterr().out)
    return [(one["rule"], one["line"]) for one in document["findings"]], document["summary"]


def test_what_a_baseline_knows_does_not_count(look, capsys):
    assert execute(["check", ".", "--baseline", "known.json", "--format", "concise"]) == 0
    assert "no findings, and 6 known to the baseline" in capsys.readouterr().out


def test_lines_may_move_and_be_indented_anew(look, capsys):
    guide = look / "look" / "SKILL.md"
    guide.write_text(GUIDE.replace("author: me\n", "license: MIT\nauthor:   me\n").replace("See", "\n\n\nMore.\n\n  See"))
    findings, summary = check(capsys)
    assert findings == []
    assert (summary["known"], summary["gone"]) == (6, 0)


def test_another_fault_of_the_same_rule_is_new_and_a_copied_line_too(look, capsys):
    guide = look / "look" / "SKILL.md"
    guide.write_text(GUIDE.replace("author", "status: x\nauthor").replace("See [x](gone.md).", "See [x](gone.md).\nSee [x](gone.md)."))
    assert check(capsys)[0] == [("RG302", 6), ("RG308", 11)]
    guide.write_text(GUIDE.replace("gone.md", "lost.md"))
    findings, summary = check(capsys)
    assert findings == [("RG308", 9)]
    assert summary["gone"] == 1


def test_what_is_mended_is_said_to_be_gone_and_dropped_when_the_baseline_is_written_anew(look, capsys):
    (look / "look" / "SKILL.md").write_text(HEAD + "---\n\nText.\n")
    assert check(capsys)[1]["gone"] == 3
    assert execute(["check", ".", "--baseline", "known.json", "--format", "concise"]) == 0
    assert "3 of the baseline are gone: `--write-baseline` drops them" in capsys.readouterr().out
    assert check(capsys, "--select", "RG302")[1]["gone"] == 0, "of what is not selected nothing is known"
    check(capsys, "--write-baseline")
    assert check(capsys)[1]["gone"] == 0
    assert len(json.loads((look / "known.json").read_text())["findings"]) == 3


def test_writing_for_one_folder_leaves_the_others_as_they_are(look, capsys):
    before = json.loads((look / "known.json").read_text())
    (look / "peer" / "SKILL.md").write_text(HEAD.replace("look", "peer") + "---\n\nText.\n")
    check(capsys, "--write-baseline", paths=("peer",))
    after = json.loads((look / "known.json").read_text())
    assert after["findings"] == [one for one in before["findings"] if one["path"].startswith("look/")]
    assert check(capsys, paths=("look",))[1] == {
        "skills": 0,
        "plugins": 0,
        "documents": 1,
        "errors": 0,
        "warnings": 0,
        "known": 3,
        "gone": 0,
    }


def test_a_baseline_is_read_from_any_folder_and_written_in_an_order_that_stays(look, capsys, monkeypatch):
    text = (look / "known.json").read_text()
    assert [one["path"] for one in json.loads(text)["findings"]] == ["look/SKILL.md"] * 3 + ["peer/SKILL.md"] * 3
    monkeypatch.chdir(look / "look")
    assert execute(["check", ".", "--baseline", "../known.json", "--format", "json"]) == 0
    monkeypatch.chdir(look)
    check(capsys, "--write-baseline", paths=("peer", "look"))
    assert (look / "known.json").read_text() == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "there is no such baseline"),
        ("{", "is no baseline"),
        ("[]", "is no baseline"),
        ('{"version": 1}', "is no baseline"),
        ('{"version": 1, "findings": [{"rule": "RG1", "path": "a", "fingerprint": "0", "count": true}]}', "is no baseline"),
        ('{"version": 1, "findings": [3]}', "is no baseline"),
        ('{"version": 2, "findings": []}', "written by a newer realitygap"),
        ("[" * 100_000, "is no baseline"),
    ],
)
def test_a_baseline_that_cannot_be_used_is_a_usage_error_and_is_never_overwritten(tmp_path, monkeypatch, capsys, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SKILL.md").write_text(GUIDE)
    if text is not None:
        (tmp_path / "known.json").write_text(text)
    assert execute(["check", ".", "--baseline", "known.json"]) == 2
    assert message in capsys.readouterr().err
    if text is not None:
        assert execute(["check", ".", "--baseline", "known.json", "--write-baseline"]) == 2
        assert (tmp_path / "known.json").read_text() == text


def test_write_baseline_needs_to_know_where(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert execute(["check", ".", "--write-baseline"]) == 2
    assert "--write-baseline needs --baseline FILE" in capsys.readouterr().err
    (tmp_path / "look").mkdir()
    (tmp_path / "look" / "SKILL.md").write_text(GUIDE)
    (tmp_path / "pyproject.toml").write_text('[tool.realitygap.check]\nbaseline = "known.json"\n')
    assert execute(["check", ".", "--write-baseline"]) == 0
    assert execute(["check", "."]) == 0


def test_a_place_that_cannot_be_written_is_an_error_with_the_place(look):
    with pytest.raises(InputError, match="cannot be written"):
        baseline.write([], look / "known.json" / "x.json", [])


def test_what_is_found_outside_of_the_scope_is_known_once_however_often_it_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    known = Path("known.json")
    some = [Finding(rule="RG501", message="plugin 'a' fails"), Finding(rule="RG301", message="m", path="elsewhere/SKILL.md")]
    for _ in range(3):
        assert baseline.write(some, known, [Path("skills")]) == 2
    assert baseline.compare(some, known, [Path("skills")]) == baseline.Compared(new=(), known=2, gone=0)
    assert len(baseline.compare(some * 2, known, [Path("skills")]).new) == 2


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("the guide has 512 lines", "the guide has 613 lines", True),
        ("look is -1 at skills/look/SKILL.md:7", "look is -1 at skills/look/SKILL.md:8", True),
        ("the group sums to -1", "the group sums to +1", False),
        ("look says 0", "look says 1", False),
        ("key 'a'", "key 'b'", False),
    ],
)
def test_numbers_of_lines_do_not_tell_findings_apart_and_trits_do(one, other, same):
    assert (baseline.fingerprint(Finding(rule="R1", message=one)) == baseline.fingerprint(Finding(rule="R1", message=other))) is same


def test_a_name_that_is_not_utf_8_can_be_in_a_baseline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finding = Finding(rule="RG301", message="gone \udcff", path=os.fsdecode(b"look-\xff/SKILL.md"))
    baseline.write([finding], Path("known.json"), [])
    assert baseline.compare([finding], Path("known.json"), []).new == ()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.text("ab: ", min_size=1, max_size=6), min_size=1, max_size=12),
    picks=st.lists(st.tuples(st.integers(0, 11), st.sampled_from(["RG101", "RG102"])), max_size=15),
    above=st.integers(0, 5),
    extra=st.integers(0, 3),
)
def test_moving_lines_changes_nothing_and_each_further_copy_is_new(tmp_path, monkeypatch, lines, picks, above, extra):
    monkeypatch.chdir(tmp_path)
    file, known = tmp_path / "x.yaml", tmp_path / "known.json"
    known.unlink(missing_ok=True)

    def findings(shift: int) -> list[Finding]:
        source_lines.cache_clear()
        file.write_text("# more\n" * shift + "\n".join(lines) + "\n")
        places = [(number % len(lines) + 1, rule) for number, rule in picks]
        return [Finding(rule=rule, message=f"at line {line + shift}", path="x.yaml", line=line + shift) for line, rule in places]

    baseline.write(findings(0), known, [])
    moved = findings(above)
    compared = baseline.compare(moved, known, [])
    assert (compared.new, compared.known, compared.gone) == ((), len(picks), 0)
    assert len(baseline.compare([*moved, *moved[:1] * extra], known, []).new) == (extra if moved else 0)
