"""Comments that silence findings: where they reach, and what is said of those that silence nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from realitygap.document import load
from realitygap.findings import Finding
from realitygap.inline_ignores import apply_ignores, read_ignores
from realitygap.rules import Rule, RuleBook
from realitygap.sources import source_line

TEXTS = {"says": "x", "why": "x", "mend": "x", "example": "x"}
BOOK = RuleBook([Rule(code=code, name=code.lower(), severity="error", **TEXTS) for code in ("RG101", "RG102", "TRI201", "TRI205")])


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return name

    return write


def left(path: str, *places: tuple[str, int]) -> list[tuple[str, int]]:
    """What is left of findings (rule, line) of a file, and what is said of its comments."""
    findings = [Finding(rule=rule, message="m", path=path, line=line) for rule, line in places]
    return [(one.rule, one.line) for one in apply_ignores(findings, [path], lambda: BOOK)]


def test_a_comment_at_the_end_of_a_line_covers_that_line(file):
    path = file("skill.yaml", "a: 1   # realitygap: ignore[RG101]\nb: 1\n")
    assert left(path, ("RG101", 1), ("RG101", 2), ("RG102", 1)) == [("RG101", 2), ("RG102", 1)]


@pytest.mark.parametrize("mark", ["\f", "\v", "\x1c", "\x85", "\u2028", "\u2029"])
def test_lines_are_counted_as_an_editor_does_whatever_stands_in_them(file, mark):
    head = "" if mark in "\f\v\x1c" else f"x{mark}y # and{mark}b: 1"
    path = file(
        "SKILL.md",
        f"---\r\na: {head}\nzz: 1  # realitygap: ignore[RG102]\n---\nsome{mark}text\n\nHere. <!-- realitygap: ignore[RG101] -->\n",
    )
    assert left(path, ("RG102", 3), ("RG101", 7)) == []
    assert source_line(path, 7).startswith("Here.")
    if head:
        assert load(file("x.yaml", f"a: {head}\nb: 1\n")).locate("/b") == (2, 4)
        assert left(file("x.yaml", f"a: {head}\nb: 1  # realitygap: ignore[RG102]\n"), ("RG102", 2)) == []


def test_a_comment_on_its_own_line_covers_the_entry_that_follows(file):
    text = "# realitygap: ignore[TRI201]\n\n# why\ntriads:\n- [a, b]\n  # inside\n- [c]\nb:\n  c: 1\n"
    path = file("skill.yaml", text)
    assert left(path, *(("TRI201", line) for line in range(1, 10))) == [("TRI201", line) for line in (1, 2, 3, 8, 9)]
    path = file("item.yaml", "triads:\n  # realitygap: ignore[TRI201]\n  - [a,\n     b]\n  - [c]\n")
    assert left(path, *(("TRI201", line) for line in range(1, 6))) == [("TRI201", 1), ("TRI201", 2), ("TRI201", 5)]


def test_a_comment_behind_a_text_that_looks_like_one_counts(file):
    path = file("skill.yaml", 'a: "# realitygap: ignore[RG102]"   # realitygap: ignore[RG101]\n')
    assert left(path, ("RG101", 1), ("RG102", 1)) == [("RG102", 1)]


def test_ignore_file_covers_the_file_and_a_prefix_every_rule_that_begins_with_it(file):
    path = file("skill.yaml", "a: 1\n# realitygap: ignore-file[TRI, RG102] a legacy file\nb: 1\n")
    assert left(path, ("TRI201", 1), ("TRI205", 3), ("RG102", 1), ("RG101", 1)) == [("RG101", 1)]


def test_in_markdown_a_comment_covers_its_line_or_the_block_that_follows(file):
    text = """\
---
name: look   # realitygap: ignore[RG101]
# realitygap: ignore[RG102]
metadata:
  trit: 1
---
a ⊗ b <!-- realitygap: ignore[TRI201] -->
c

<!-- realitygap: ignore[TRI201] -->

```
d

e
```
f

<!-- realitygap: ignore[TRI201] -->
| g |
| h |

i
"""
    path = file("SKILL.md", text)
    assert left(path, ("RG101", 2), ("RG102", 4), ("RG102", 5), *(("TRI201", line) for line in range(7, 24))) == [
        ("TRI201", line) for line in (8, 9, 10, 11, 17, 18, 19, 22, 23)
    ]


@pytest.mark.parametrize(
    "text",
    [
        'a: "# realitygap: ignore[RG101]"\n',
        "a: |\n  # realitygap: ignore[RG101]\n",
        "a: x#realitygap: ignore[RG101]\n",
        "a: 'x\n\n  # realitygap: ignore[RG101]'\n",
    ],
)
def test_what_stands_in_a_text_is_no_comment(file, text):
    assert list(read_ignores(file("skill.yaml", text))) == []


@pytest.mark.parametrize(
    "text",
    [
        "`<!-- realitygap: ignore[RG101] -->` is how it is written\n",
        "```\n<!-- realitygap: ignore[RG101] -->\n```\n",
        "> ```\n> <!-- realitygap: ignore[RG101] -->\n> ```\n",
        "~~~~\n~~~\n<!-- realitygap: ignore[RG101] -->\n",
        "```\n```python\n<!-- realitygap: ignore[RG101] -->\n",
        "realitygap: ignore[RG101]\n",
        "# realitygap: ignore[RG101]\n",
    ],
)
def test_what_markdown_shows_is_no_comment(file, text):
    assert list(read_ignores(file("SKILL.md", text))) == []


@pytest.mark.parametrize("sentence", ["```code``` is nice", "~~~\ncode\n~~~", "> ````\n> ```\n> ````"])
def test_behind_code_a_comment_counts(file, sentence):
    assert len(list(read_ignores(file("SKILL.md", f"{sentence}\n<!-- realitygap: ignore[RG101] -->\n")))) == 1


@pytest.mark.parametrize(
    ("comment", "rule", "message", "hint"),
    [
        ("ignore[RG102]", "RG010", "the ignore of RG102 silences nothing", "remove RG102 from it"),
        ("ignore[RG101, RG102]", "RG010", "the ignore of RG102 silences nothing", "remove RG102 from it"),
        ("ignore[RG110]", "RG011", "names 'RG110', which no rule has", "did you mean 'RG10"),
        ("ignore[]", "RG011", "names no rule", "write the code in brackets"),
        ("ignore", "RG011", "names no rule", "write the code in brackets"),
        ("ignore[rg101]", "RG011", "names 'rg101', which no rule has", "did you mean 'RG101'?"),
    ],
)
def test_an_ignore_that_silences_nothing_is_a_warning_that_says_what_to_do(file, comment, rule, message, hint):
    path = file("skill.yaml", f"x: 1\na: 1  # realitygap: {comment}\n")
    found = [
        one for one in apply_ignores([Finding(rule="RG101", message="m", path=path, line=2)], [path], lambda: BOOK) if one.rule == rule
    ]
    assert [(one.path, one.line, one.column, one.severity) for one in found] == [(path, 2, 9, "warning")]
    assert message in found[0].message
    assert hint in (found[0].hint or "")


def test_a_comment_in_a_file_without_findings_is_unused_and_one_in_a_file_that_was_not_checked_is_not(file):
    file("a.yaml", "a: 1 # realitygap: ignore[RG101]\n")
    assert left("a.yaml") == [("RG010", 1)]
    assert apply_ignores([], [], lambda: BOOK) == []


def test_hostile_files_hold_no_comments(tmp_path, monkeypatch):
    import os

    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.yaml")
    Path("folder.yaml").mkdir()
    Path("loop.yaml").symlink_to("loop.yaml")
    Path("bytes.yaml").write_bytes(b"\xff # realitygap: ignore[RG101]\n")
    Path("broken.yaml").write_text("a: [ # realitygap: ignore[RG101]\n")
    for name in ("pipe.yaml", "folder.yaml", "loop.yaml", "gone.yaml"):
        assert list(read_ignores(name)) == []
    # What is no YAML can still be silenced, so that a legacy file need not be mended first.
    assert left("broken.yaml", ("RG101", 1)) == []
    assert left("bytes.yaml", ("RG101", 1)) == []
