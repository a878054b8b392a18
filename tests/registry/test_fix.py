"""`skills check --fix`: edits that say the same, shown before they are written, and files that are never half written."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from realitygap import fixing
from realitygap.cli.execute import execute
from realitygap.errors import InputError
from realitygap.guide_fix import fix_guide
from realitygap.guides import KEYS
from realitygap.manifest_fix import fix_manifest
from realitygap.yaml_reader import read_yaml


def front(text: str) -> dict[str, Any]:
    """What a frontmatter says, read by itself."""
    root = read_yaml(text.split("---\n", 2)[1])
    assert root is not None
    data: dict[str, Any] = root.data()
    return data


def fixed(frontmatter: str) -> str:
    body = "\n# Look\n\n**Trit**: 0\ntrit: 1\n"
    result = fix_guide(f"---\n{frontmatter}---\n{body}")
    assert result.text.endswith(f"---\n{body}"), "prose is left alone"
    return result.text.removeprefix("---\n").removesuffix(f"---\n{body}")


def test_keys_move_under_metadata_with_their_comments_and_in_their_order():
    before = "name: look\n# It measures.\ntrit: -1    # checks\nversion: 1.10\ndescription: >\n  Looks.\n\nauthor: 'me'\n"
    assert fixed(before) == (
        'name: look\nmetadata:\n  # It measures.\n  trit: "-1"    # checks\n  version: "1.10"\n  author: \'me\'\n'
        "description: >\n  Looks.\n\n"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("name: a\nmetadata:\n  trit: +1\n", 'name: a\nmetadata:\n  trit: "+1"\n'),
        ("metadata:\n    a: x\n    b: 1 # one\ntrit: 0\nname: a\n", 'metadata:\n    a: x\n    b: "1" # one\n    trit: "0"\nname: a\n'),
        ("metadata: {a: 1, b: true}\ntrit: +1\n", 'metadata: {a: "1", b: "true", trit: "+1"}\n'),
        ("metadata: {}\ntrit: 0\nx: 'it''s'\n", 'metadata: {trit: "0", x: "it\'s"}\n'),
        ("metadata: {a: b,\n  }\ntrit: 0\n", 'metadata: {a: b,\n  trit: "0"}\n'),
        ("metadata:\ntrit: 0\n", 'metadata:\n  trit: "0"\n'),
        ("trit:\nname: a\n", 'metadata:\n  trit: ""\nname: a\n'),
        ("created: 2026-01-01\ncolor: '#25BC3D'\n", "metadata:\n  created: 2026-01-01\n  color: '#25BC3D'\n"),
        ("note: |2\n    a\n   b\nname: x\n", "metadata:\n  note: |2\n      a\n     b\nname: x\n"),
    ],
)
def test_each_way_of_writing_metadata_stays_that_way(before, after):
    assert fixed(before) == after


@pytest.mark.parametrize(
    ("frontmatter", "line", "why"),
    [
        ("tags: [a, b]\n", 2, "'tags' is a list, and 'metadata' holds texts only"),
        ("deep:\n  a: b\n", 2, "'deep' is a mapping"),
        ("name: a\nallowed_tools: x\n", 3, "may be meant as 'allowed-tools'"),
        ("trit: 0\nmetadata:\n  trit: '1'\n", 2, "which of the two holds is for its author to say"),
        ("metadata: text\ntrit: 0\n", 2, "'metadata' is no mapping"),
        ("metadata: {a: b}\ntrit: 0 # why\n", 3, "has a comment"),
        ("metadata:\n  a: [1]\n", 3, "'metadata.a' is a list"),
        ("trit: !!int 0\n", 1, "a tag or an anchor"),
        ("trit: &t 0\nname: a\n", 1, "a tag or an anchor"),
        ("description: a: b\ntrit: 0\n", 1, "line 2: not YAML"),
        ("{name: a, trit: 0}\n", 1, "no mapping of one key a line"),
        ("- a\n", 1, "no mapping of one key a line"),
        (" name: a\n trit: 0\n", 1, "are indented"),
        ("a: &a [x, *a]\ntrit: 0\n", 1, "an alias refers to the value that contains it"),
        ("note: &n x\nname: *n\n", 1, ""),
        ("metadata:\n  a: b\nname: x\nnote: |+\n  a\n\n\nlicense: MIT\n", 1, "an edit would change what it says"),
    ],
)
def test_what_cannot_be_edited_safely_is_left_alone_with_the_reason(frontmatter, line, why):
    text = f"---\n{frontmatter}---\nText.\n"
    result = fix_guide(text)
    if not why:
        # Moving the anchor behind its alias, or not: either way the text still says the same.
        assert front(result.text).get("name") == "x"
        return
    assert (result.text, result.done) == (text, [])
    assert [one for one in result.left if one[0] == line and why in one[1]], result.left


@pytest.mark.parametrize("text", ["", "text", "---\nname: a\n", "\ufeff---\nname: a", "---\n---\n", "---\r\n---", "---\n\x00\n---\n"])
def test_a_text_without_a_frontmatter_stays_as_it_is(text):
    result = fix_guide(text)
    assert (result.text, result.done) == (text, [])


def test_line_ends_and_byte_order_mark_stay():
    text = "\ufeff---\r\nname: a\r\ntrit: 0\r\n---\r\nText.\n\rMore."
    assert fix_guide(text).text == '\ufeff---\r\nname: a\r\nmetadata:\r\n  trit: "0"\r\n---\r\nText.\n\rMore.'
    mixed = "---\r\nname: a\ntrit: 0\r\n---\r\n"
    assert fix_guide(mixed).text == mixed


values = st.one_of(
    st.sampled_from(
        ["-1", "+1", "0", "1.10", "true", "no", "null", "~", "2026-01-01", "''", '"a: b # c"', "'it''s'", "a b", "0x1f", "1e3"]
    ),
    st.text("abc xyz", min_size=1, max_size=12).map(str.strip).filter(lambda text: text and text not in ("y", "n")),
    st.sampled_from(
        ["|\n  a\n   b", ">-\n  a\n\n  b", "[a, b]", "{a: 1}", "\n  deep: 1", '"a\n  b"', "a\n  b", "&x 1", "!!str 1", "[a,\n b]"]
    ),
)
names = st.sampled_from([*KEYS, "trit", "version", "author", "status", "hue", "role", '"quoted"', "a b", "tags"])
comments = st.sampled_from(["", "", "", "   # why", " # trit: 1"])
between = st.sampled_from(["", "", "", "\n", "# above\n", "  # deep\n", "\n# apart\n\n"])
entries = st.lists(st.tuples(names, values, comments, between), max_size=7, unique_by=lambda one: one[0].strip('"'))


@settings(max_examples=400, deadline=None)
@given(entries, st.booleans(), st.sampled_from(["# Text\n", "", "---\ntrit: 1\n---\n", "text without an end"]))
def test_whatever_is_mended_says_the_same_and_a_second_time_nothing_is_left_to_mend(some, crlf, body):
    lines = "".join(f"{above}{name}: {value}{'' if chr(10) in value else comment}\n" for name, value, comment, above in some)
    text = f"---\n{lines}---\n{body}"
    text = text.replace("\n", "\r\n") if crlf else text
    result = fix_guide(text)
    if not result.done:
        assert result.text == text
        return
    assert result.text.endswith(body.replace("\n", "\r\n") if crlf else body)
    old_root, new_root = (read_yaml(one.replace("\r\n", "\n").split("---\n", 2)[1]) for one in (text, result.text))
    assume(old_root is not None and new_root is not None)
    assert old_root is not None and new_root is not None  # noqa: PT018  # for the type checker
    old, new = old_root.data(), new_root.data()
    metadata = old.get("metadata") if isinstance(old.get("metadata"), dict) else {}
    sources = {key: value for key, _, value in old_root.items}
    for key, value in old.items():
        if key == "metadata":
            continue
        if key in new:
            assert new[key] == value
            assert type(new[key]) is type(value)
        else:
            assert key not in KEYS
            assert new["metadata"][key] == (value if isinstance(value, str) else sources[key].source)
    moved = [key for key in old if key not in new and key != "metadata"]
    assert [key for key in new if key != "metadata"] == [key for key in old if key in new and key != "metadata"]
    assert set(new.get("metadata") or {}) == set(metadata) | set(moved)
    # Every comment is still there.
    assert sorted(line.strip() for line in text.splitlines() if line.strip().startswith("#")) == sorted(
        line.strip() for line in result.text.splitlines() if line.strip().startswith("#")
    )
    assert fix_guide(result.text).done == []


@settings(max_examples=300, deadline=None)
@example("\r1:")
@given(st.text(st.sampled_from("---\n:#'\"[]{}&*!|>%@`, a1t\r\t\ufeff"), max_size=80))
def test_no_text_makes_it_raise(text):
    for fix in (fix_guide, fix_manifest):
        for one in (text, f"---\n{text}\n---\n", f"---\ntrit: 0\n{text}\n---\nx"):
            assert fix(one).text == one or fix(one).done


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('name: a\ntrit: "-1"  # checks\nx: [1]\n', "name: a\ntrit: -1  # checks\nx: [1]\n"),
        ("trit: '+1'", "trit: 1"),
        ("\ufefftrit: '0'\r\nname: a\r\n", "\ufefftrit: 0\r\nname: a\r\n"),
        ("{name: a, trit: '1'}\n", "{name: a, trit: 1}\n"),
        ("trit: 0\n", "trit: 0\n"),
        ("trit: '2'\n", "trit: '2'\n"),
        ("trit: !!str 0\n", "trit: !!str 0\n"),
        ("[trit, '0']\n", "[trit, '0']\n"),
    ],
)
def test_a_manifest_gets_its_trit_as_a_number_and_nothing_else_changes(before, after):
    assert fix_manifest(before).text == after


@pytest.fixture
def look(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "skills" / "look").mkdir(parents=True)
    guide = tmp_path / "skills" / "look" / "SKILL.md"
    guide.write_text("---\nname: look\ndescription: Looks.\ntrit: -1\n---\n" + "text\n" * 50)
    return guide


def test_diff_shows_and_changes_nothing_and_fix_shows_and_writes(look, capsys):
    before = look.read_text()
    assert execute(["check", "skills", "--diff"]) == 1
    shown = capsys.readouterr().out
    assert look.read_text() == before
    assert '-trit: -1\n+metadata:\n+  trit: "-1"\n' in shown
    assert execute(["check", "skills", "--fix"]) == 0
    assert capsys.readouterr().out == shown + "1 document: no findings\n"
    assert execute(["check", "skills", "--diff"]) == 0
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("end", ["text\n", "text", "", "a\nb\nc\nd", "a\nb\nc\nd\n", "a\tb\n\x1b[31m\u2028\nc\r\n"])
def test_the_diff_is_one_that_patch_applies(look, capsys, end):
    look.write_bytes(f"---\nname: look\ntrit: -1\n---\n{end}".encode())
    (look.parent / "skill.yaml").write_text("name: look\ntrit: '-1'")
    execute(["check", "skills", "--diff"])
    (look.parents[2] / "x.diff").write_bytes(capsys.readouterr().out.encode())
    done = subprocess.run(["git", "apply", "x.diff"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert look.read_bytes().decode() == f'---\nname: look\nmetadata:\n  trit: "-1"\n---\n{end}'
    assert (look.parent / "skill.yaml").read_text() == "name: look\ntrit: -1"


def test_a_diff_cannot_drive_a_terminal_or_a_runner(look, capsys, monkeypatch):
    look.write_text("---\nname: look\ntrit: -1\n---\n::error::x\n\x1b[31m\n")
    monkeypatch.setenv("FORCE_COLOR", "1")
    execute(["check", "skills", "--diff"])
    assert r"\x1b[31m" in capsys.readouterr().out.replace("\x1b[31m", "")
    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    execute(["check", "skills", "--diff"])
    out = capsys.readouterr().out
    assert "::error::x" in out
    assert not [line for line in out.splitlines() if line.lstrip().startswith("::")]


def test_with_a_machine_format_the_document_stays_alone_on_stdout(look, capsys):
    execute(["check", "skills", "--fix", "--format", "json"])
    captured = capsys.readouterr()
    assert json.loads(captured.out)["findings"] == []
    assert "+metadata:" in captured.err


def test_permissions_stay_and_no_temporary_file_is_left(look):
    look.chmod(0o640)
    execute(["check", "skills", "--fix"])
    assert stat.S_IMODE(look.stat().st_mode) == 0o640
    assert os.listdir(look.parent) == ["SKILL.md"]


def test_links_pipes_and_what_is_not_utf_8_are_left_alone_with_the_reason(look, capsys):
    for name in ("link", "pipe", "bytes"):
        (look.parents[1] / name).mkdir()
    outside = look.parents[2] / "outside.md"
    outside.write_text(look.read_text())
    (look.parents[1] / "link" / "SKILL.md").symlink_to(outside)
    os.mkfifo(look.parents[1] / "pipe" / "SKILL.md")
    (look.parents[1] / "bytes" / "SKILL.md").write_bytes(b"---\ntrit: 0\n---\n\xff")
    execute(["check", "skills/link", "skills/bytes", "--fix"])
    assert "trit: -1\n" in outside.read_text()
    changes = {one.path.parent.name: one.left for one in fixing.propose(sorted(look.parents[1].glob("*/SKILL.md")))}
    assert {name: left[0][1].split(":")[0] for name, left in changes.items() if left} == {
        "bytes": "not UTF-8",
        "link": "a link",
        "pipe": "no plain file",
    }


def test_a_file_that_changed_in_between_or_cannot_be_written_stays_as_it_is(look, monkeypatch):
    (change,) = fixing.propose([look])
    look.write_text("new")
    with pytest.raises(InputError, match="has changed since it was read"):
        fixing.write(change)
    assert look.read_text() == "new"
    look.write_text(change.before)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="No space left"):
        fixing.write(change)
    assert look.read_text() == change.before
    assert os.listdir(look.parent) == ["SKILL.md"]


def test_without_a_path_nothing_is_fixed(capsys):
    assert execute(["check", "--fix"]) == 2
    assert "--fix and --diff need a PATH" in capsys.readouterr().err


def answer(look: Path, typed: bytes, *options: str) -> str:
    """`skills check skills --fix` on a terminal where somebody types; what the terminal showed."""
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "realitygap.cli", "check", "skills", "--fix", *options],
        cwd=look.parents[2],
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "NO_COLOR": "1"},
    )
    os.close(terminal)
    os.write(controller, typed)
    shown = b""
    while True:
        try:
            part = os.read(controller, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    process.wait(timeout=60)
    os.close(controller)
    return shown.decode()


@pytest.mark.parametrize(
    ("typed", "options", "writes"), [(b"n\n", (), False), (b"\n", (), False), (b"y\n", (), True), (b"", ("--yes",), True)]
)
def test_on_a_terminal_it_asks_before_it_writes(look, typed, options, writes):
    before = look.read_text()
    shown = answer(look, typed, *options)
    assert "+metadata:" in shown
    assert ("Change 1 file?" in shown) is not bool(options)
    assert (look.read_text() != before) is writes
