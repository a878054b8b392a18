"""Every form of `skills check` is valid for its readers, whatever stands in names and messages."""

from __future__ import annotations

import json
import os
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from realitygap.cli.execute import execute
from realitygap.discovery import Registry
from realitygap.errors import one_line
from realitygap.findings import Finding, count
from realitygap.formats import FORMATS, Outcome
from realitygap.job_summary import MOST_ROWS, summary
from realitygap.rules import RuleBook

BOOK = RuleBook.of(Registry([], []))
HOSTILE = "a\r\n::error::b\x1b[31m\x00|`<x>&]]>%0A\u2028\u202e\udcff"
PLACE = {
    "type": "object",
    "required": ["uri"],
    "additionalProperties": False,
    "properties": {"uri": {"type": "string"}, "uriBaseId": {"type": "string"}},
}
TEXT = {
    "type": "object",
    "required": ["text"],
    "additionalProperties": False,
    "properties": {"text": {"type": "string"}, "markdown": {"type": "string"}},
}
NUMBER = {"type": "integer", "minimum": 1}
SARIF: dict[str, Any] = {
    # What the standard asks of the parts that are used here (SARIF 2.1.0, sections 3.13, 3.14, 3.19, 3.27, 3.28, 3.30, 3.49).
    "type": "object",
    "required": ["version", "runs"],
    "additionalProperties": False,
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["tool", "results"],
                "additionalProperties": False,
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "additionalProperties": False,
                        "properties": {
                            "driver": {
                                "type": "object",
                                "required": ["name", "rules"],
                                "additionalProperties": False,
                                "properties": {
                                    "name": {"type": "string"},
                                    "version": {"type": "string"},
                                    "rules": {
                                        "type": "array",
                                        "uniqueItems": True,
                                        "items": {
                                            "type": "object",
                                            "required": ["id"],
                                            "additionalProperties": False,
                                            "properties": {
                                                "id": {"type": "string"},
                                                "name": {"type": "string"},
                                                "shortDescription": TEXT,
                                                "fullDescription": TEXT,
                                                "help": TEXT,
                                                "defaultConfiguration": {
                                                    "type": "object",
                                                    "additionalProperties": False,
                                                    "properties": {"level": {"enum": ["none", "note", "warning", "error"]}},
                                                },
                                                "properties": {"type": "object"},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    },
                    "invocations": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["executionSuccessful"],
                            "additionalProperties": False,
                            "properties": {"executionSuccessful": {"type": "boolean"}, "exitCode": {"type": "integer"}},
                        },
                    },
                    "columnKind": {"enum": ["utf16CodeUnits", "unicodeCodePoints"]},
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message", "locations"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": 0},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": TEXT,
                                "partialFingerprints": {"type": "object", "additionalProperties": {"type": "string"}},
                                "locations": {
                                    "type": "array",
                                    "minItems": 1,
                                    "items": {
                                        "type": "object",
                                        "additionalProperties": False,
                                        "properties": {
                                            "physicalLocation": {
                                                "type": "object",
                                                "required": ["artifactLocation"],
                                                "additionalProperties": False,
                                                "properties": {
                                                    "artifactLocation": PLACE,
                                                    "region": {
                                                        "type": "object",
                                                        "required": ["startLine"],
                                                        "additionalProperties": False,
                                                        "properties": {"startLine": NUMBER, "startColumn": NUMBER, "endColumn": NUMBER},
                                                    },
                                                },
                                            }
                                        },
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}
texts = st.text(st.one_of(st.characters(), st.sampled_from(list(HOSTILE))), max_size=30)
findings = st.builds(
    Finding,
    rule=st.sampled_from(["RG302", "RG307", "ACME1"]),
    message=texts,
    path=texts.filter(lambda text: "\0" not in text),
    line=st.integers(1, 10**6),
    column=st.integers(1, 500),
    severity=st.sampled_from(["error", "warning"]),
    hint=texts,
    width=st.integers(1, 80),
)


def outcome(*some: Finding, strict: bool = False, files: tuple[str, ...] = ()) -> Outcome:
    return Outcome(findings=some, summary=count(some, skills=1), files=files, rules=lambda: BOOK, strict=strict)


def harmless(text: str) -> bool:
    """Nothing that drives a terminal, hides, or cannot be written as UTF-8."""
    return all(one.isprintable() or one in "\n\xa0\u202f" for one in text)


@settings(max_examples=60, deadline=None)
@given(st.lists(findings, max_size=4))
def test_no_form_lets_anything_through_that_drives_a_terminal(some):
    for form, render in FORMATS.items():
        text = render(outcome(*some))
        assert harmless(text), form
        text.encode("utf-8")
    assert harmless(summary(outcome(*some)))


@given(st.lists(findings, max_size=4))
def test_concise_and_github_have_one_line_a_finding(some):
    assert len(FORMATS["concise"](outcome(*some)).split("\n")) == len(some) + 1
    lines = FORMATS["github"](outcome(*some)).split("\n")
    assert len(lines) == len(some) + 1
    assert not lines[0].startswith("::"), "the total"
    for line, finding in zip(lines[1:], some, strict=True):
        # As a runner reads it: the command, its properties, and the rest as the message.
        command, properties, message = re.fullmatch(r"::(\w+) (.*?)::(.*)", line).groups()  # type: ignore[union-attr]
        assert command == finding.severity
        pairs = dict(pair.split("=", 1) for pair in properties.split(","))
        assert set(pairs) <= {"file", "line", "col", "title"}
        said = finding.message + (f" ({finding.hint})" if finding.hint else "")
        lines_said = [one_line(part) for part in said.replace("\r\n", "\n").split("\n")]
        assert message.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%").split("\n") == lines_said
        assert finding.rule == pairs["title"]


def test_github_escapes_a_hostile_name_so_that_it_stays_one_property(monkeypatch):
    monkeypatch.delenv("GITHUB_WORKSPACE", raising=False)
    finding = Finding(rule="RG302", message="m", path="a,line=9::b\n%.md", hint="h")
    assert FORMATS["github"](outcome(finding)).split("\n")[1] == "::error file=a%2Cline=9%3A%3Ab%0A%25.md,line=1,col=1,title=RG302::m (h)"


def test_json_says_what_the_findings_say():
    finding = Finding(rule="RG302", message=HOSTILE, path=HOSTILE, hint="⊗ mend")
    text = FORMATS["json"](outcome(finding))
    assert json.loads(text)["findings"] == [finding.to_json()]
    assert "⊗" in text, "what can be read stays readable"


@settings(max_examples=40, deadline=None)
@given(st.lists(findings, max_size=5))
@example([Finding(rule="ACME1", message="half of a pair", path="\ud800")])
def test_sarif_follows_the_standard(some):
    document = json.loads(FORMATS["sarif"](outcome(*some)))
    Draft202012Validator(SARIF).validate(document)
    (run,) = document["runs"]
    rules = run["tool"]["driver"]["rules"]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result, finding in zip(run["results"], some, strict=True):
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == finding.rule
        place = result["locations"][0]["physicalLocation"]["artifactLocation"]
        # A URI has none of what RFC 3986 does not allow, and a relative one no scheme.
        assert re.fullmatch(r"[A-Za-z0-9._~!$&'()*+,;=:@/%-]+", place["uri"])
        assert place["uri"].startswith("file:///") or (place["uriBaseId"] == "%SRCROOT%" and ":" not in place["uri"].partition("/")[0])
    keys = [
        (one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"], *one["partialFingerprints"].values()) for one in run["results"]
    ]
    assert len(set(keys)) == len(keys), "two findings of one file are never one"


def test_sarif_names_files_relative_to_the_repository_and_others_by_their_place(tmp_path, monkeypatch):
    (tmp_path / "repo" / "skills" / "look at").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "repo" / "skills")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path / "repo"))
    outside = os.fsdecode(os.fsencode(tmp_path) + b"/x\xff:y.md")
    some = [Finding(rule="RG302", message="m", path=path, line=3, column=2, width=4) for path in ("look at/SKILL.md", outside, "")]
    results = json.loads(FORMATS["sarif"](outcome(*some)))["runs"][0]["results"]
    places = [one["locations"][0]["physicalLocation"] for one in results]
    assert places[0] == {
        "artifactLocation": {"uri": "skills/look%20at/SKILL.md", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 3, "startColumn": 2, "endColumn": 6},
    }
    assert unquote(places[1]["artifactLocation"]["uri"], errors="surrogateescape") == f"file://{outside}"
    assert places[2] == {"artifactLocation": {"uri": "./", "uriBaseId": "%SRCROOT%"}}
    lines = FORMATS["github"](outcome(*some)).split("\n")
    assert lines[1].startswith("::error file=skills/look at/SKILL.md,line=3,")
    assert lines[3] == "::error title=RG302::m", "what has no file is an annotation of the job"


def test_a_fingerprint_in_sarif_stays_when_lines_move(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("look").mkdir()

    def prints(text: str) -> list[str]:
        Path("look/SKILL.md").write_text(text)
        execute(["check", "look", "--format", "sarif", "--output", "out.sarif"])
        return [one["partialFingerprints"]["realitygap/v1"] for one in json.loads(Path("out.sarif").read_text())["runs"][0]["results"]]

    head = "---\nname: look\ndescription: Looks.\nmetadata: {trit: '0'}\nversion: 1\n---\n"
    before, after = prints(head + "See [x](gone.md).\n"), prints(head + "\n\nSee [x](gone.md).\nSee [x](gone.md).\n")
    assert after[:2] == before
    assert after[2] == before[1].replace(":1", ":2")


@given(st.lists(findings, max_size=4), st.booleans())
def test_junit_is_xml_and_fails_what_makes_the_check_fail(some, strict):
    result = outcome(*some, strict=strict, files=("good.md",))
    (suite,) = ElementTree.fromstring(FORMATS["junit"](result))
    failures = suite.findall("testcase/failure")
    assert bool(failures) == result.failed
    assert int(suite.attrib["failures"]) == len(failures) == sum(strict or one.severity == "error" for one in some)
    assert int(suite.attrib["tests"]) == len(suite) == len(some) + (not any(one.path == "good.md" for one in some))
    for case, finding in zip(suite, some, strict=False):
        said = case[0].text or ""
        assert said.endswith(one_line(finding.hint or "")), "a message says how to mend"
        assert one_line(finding.message) in said


def test_the_job_summary_is_a_table_that_a_hostile_name_cannot_leave(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    name = "a|b<img src=x>`c`\n[d](e)"
    Path(name).mkdir()
    (Path(name) / "SKILL.md").write_text("---\nname: x\ndescription: y\ntrit: 1\n---\n\nz\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    (tmp_path / "summary.md").write_text("before\n")
    assert execute(["check", name, "--format", "github"]) == 1
    text = (tmp_path / "summary.md").read_text()
    assert text.startswith("before\n### skills check: failed\n")
    table = [line for line in text.split("\n") if line.startswith("|")]
    assert {line.count("|") for line in table} == {4, 6}, "three columns and five"
    assert not re.search(r"[<`\[]", text)
    assert "| RG302 | 1 | The frontmatter has a key" in text
    execute(["check", name, "--format", "concise"])
    assert (tmp_path / "summary.md").read_text() == text, "other forms write none"


def test_the_job_summary_stays_far_below_what_a_step_may_write():
    some = [Finding(rule="RG302", message="x" * 5000, path="y" * 5000, hint="&" * 5000) for _ in range(2000)]
    text = summary(outcome(*some))
    assert len(text.encode()) < 900_000
    assert f"and {2000 - MOST_ROWS} more" in text


@pytest.mark.parametrize("form", FORMATS)
def test_a_hostile_name_of_a_folder_is_escaped_in_every_form(tmp_path, monkeypatch, capsys, form):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    name = os.fsdecode(b"a\n::error::b\x1b[31m\xff\xe2\x80\xae&<]]>|%")
    Path(name).mkdir()
    (Path(name) / "SKILL.md").write_text("---\nname: x\ndescription: y\n---\n\nz\n")
    assert execute(["check", ".", "--format", form]) == 1
    out = capsys.readouterr().out
    assert harmless(out)
    assert not [line for line in out.splitlines() if line.startswith("::error::b")]
    read = {"json": json.loads, "sarif": json.loads, "junit": ElementTree.fromstring}
    read.get(form, str)(out)


def test_a_summary_that_cannot_be_written_is_said_and_decides_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("look").mkdir()
    Path("look/SKILL.md").write_text("---\nname: look\ndescription: y\n---\n\nz\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert execute(["check", "look", "--format", "github"]) == 0
    assert "the summary cannot be written: Is a directory" in capsys.readouterr().err


def test_output_goes_to_a_file_whole_and_the_total_to_stdout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("look").mkdir()
    Path("look/SKILL.md").write_text("---\nname: look\ndescription: y\ntrit: 1\n---\n\nz\n")
    assert execute(["check", "look", "--format", "json", "--output", "x.json"]) == 1
    assert capsys.readouterr().out == "1 document: 1 error\n"
    assert len(json.loads(Path("x.json").read_text())["findings"]) == 1
    assert sorted(os.listdir(".")) == ["look", "x.json"]


@pytest.mark.parametrize("place", [".", "/", "..", "look", "look/", "gone/x.json", "look/SKILL.md/x"])
def test_a_folder_and_a_place_in_no_folder_are_refused_before_anything_is_written(tmp_path, monkeypatch, capsys, place):
    monkeypatch.chdir(tmp_path)
    Path("look").mkdir()
    Path("look/SKILL.md").write_text("---\nname: look\ndescription: y\n---\n\nz\n")
    for options in (["--output", place], ["--baseline", place, "--write-baseline"]):
        assert execute(["check", "look", *options]) == 2
        told = capsys.readouterr()
        assert (told.out, "hint: " in told.err) == ("", True)
    assert sorted(os.listdir(".")) == ["look"]


@pytest.mark.parametrize("name", ["skill.yaml", "SKILL.md"])
def test_a_pipe_a_loop_and_a_file_of_50_mb_are_findings_and_nothing_hangs(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    for folder in ("pipe", "loop", "large"):
        Path(folder).mkdir()
    os.mkfifo(f"pipe/{name}")
    Path("loop", name).symlink_to(name)
    with open(f"large/{name}", "wb") as file:
        file.truncate(50_000_000)
    assert execute(["check", "."]) == 1
    out = capsys.readouterr().out
    assert [line.split(":")[0] for line in out.splitlines() if " RG009: " in line] == [f"{one}/{name}" for one in ("large", "loop", "pipe")]
    assert execute(["check", ".", "--diff"]) == 0
    assert capsys.readouterr().err.count("left alone") == 3


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_says_how_to_mend(form):
    assert "move it under" in FORMATS[form](outcome(Finding(rule="RG302", message="m", path="p", hint="move it under metadata")))


def test_output_goes_through_a_link_and_into_a_pipe_and_takes_the_place_of_neither(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("look").mkdir()
    Path("look/SKILL.md").write_text("---\nname: look\ndescription: y\ntrit: 1\n---\n\nz\n")
    Path("kept.json").touch()
    Path("link.json").symlink_to("kept.json")
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        for place in ("link.json", "pipe"):
            assert execute(["check", "look", "--format", "json", "--output", place]) == 1
        assert json.loads(os.read(reader, 1 << 16))["findings"]
    finally:
        os.close(reader)
    assert Path("link.json").is_symlink()
    assert Path("pipe").is_fifo()
    assert json.loads(Path("kept.json").read_text())["findings"]
