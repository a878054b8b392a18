"""Findings in their forms."""

from __future__ import annotations

import json

from realitygap.findings import Finding, as_json, concise, count, full, github, ordered

FINDING = Finding(rule="RG105", message="100 % wrong,\nreally", path="a:b.yaml", line=2, column=4, hint="mend it", width=3)


def test_json_has_the_names_that_stay():
    document = json.loads(as_json([FINDING], count([FINDING], skills=3)))
    assert document["summary"] == {"skills": 3, "errors": 1, "warnings": 0}
    (row,) = document["findings"]
    assert row == {
        "rule": "RG105",
        "severity": "error",
        "path": "a:b.yaml",
        "line": 2,
        "column": 4,
        "message": "100 % wrong,\nreally",
        "hint": "mend it",
    }


def test_github_escapes_what_would_end_a_command():
    line = github([FINDING], count([FINDING])).split("\n")[1]
    assert line == "::error file=a%3Ab.yaml,line=2,col=4,title=RG105::100 %25 wrong,%0Areally (mend it)"


def test_full_shows_the_line_and_underlines_the_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text("a: 1\nb: {trit: 2}\n")
    finding = Finding(rule="RG105", message="no", path="x.yaml", line=2, column=11, width=1, hint="write 1")
    assert full([finding], count([finding], skills=1)).split("\n") == [
        "x.yaml:2:11: error RG105: no",
        "    2 | b: {trit: 2}",
        "      |           ^",
        "  hint: write 1",
        "1 skill: 1 error",
    ]
    assert concise([], count([], skills=2, plugins=0)) == "2 skills: no findings"


def test_findings_are_ordered_by_place_and_each_comes_once():
    one, two = Finding(rule="B", message="", path="a", line=2), Finding(rule="A", message="", path="a", line=10)
    assert ordered([two, one, two]) == [one, two]
