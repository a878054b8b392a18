"""`skills graph --triads`: every group and every member is in the picture, and what does not balance is seen."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import pytest

from realitygap.cli.execute import execute
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.skill import Skill
from realitygap.triad_graph import draw, groups_of

NAMESPACE = "{http://www.w3.org/2000/svg}"


def registry(trits: Mapping[str, int], triads: Sequence[Sequence[str]], distribution: str = "acme-gap") -> Registry:
    """Skills with these trits; each declares the groups that contain it."""
    return Registry(
        [],
        [
            Skill(
                name=name, version="0.1.0", trit=trit, summary="Does it.", entry="a:b", inputs={}, outputs={}, directory=Path(name),
                plugin="acme", distribution=distribution, triads=tuple(tuple(group) for group in triads if name in group),
            )
            for name, trit in trits.items()
        ],
    )  # fmt: skip


TRITS = {"a": -1, "b": 0, "c": 1, "d": 1, "e": 0}
TRIADS = [["a", "b", "c"], ["c", "a", "d"], ["a", "gone", "c"], ["c", "c", "d"]]


def test_a_group_is_there_once_with_its_sum_and_what_it_needs() -> None:
    groups = {group.members: (group.total, group.needs) for group in groups_of(registry(TRITS, TRIADS))}
    # -1 + 0 + 1 = 0; -1 + 1 + 1 = 1 needs -1; an unknown member leaves it open; +1 +1 +1 = 3 is 0 modulo 3.
    assert groups == {("a", "b", "c"): (0, 0), ("a", "c", "d"): (1, -1), ("a", "c", "gone"): (None, None), ("c", "c", "d"): (3, 0)}
    assert [group.members for group in groups_of(registry(TRITS, TRIADS), "d")] == [("a", "c", "d"), ("c", "c", "d")]
    with pytest.raises(InputError, match="unknown skill 'aa'"):
        groups_of(registry(TRITS, TRIADS), "aa")


def test_the_table_has_a_row_a_skill_a_column_a_group_and_a_dot_a_member() -> None:
    root = ElementTree.fromstring(draw(registry(TRITS, TRIADS), form="svg"))
    texts = [element.text for element in root.iter(f"{NAMESPACE}text")]
    assert texts[0] == "4 groups of 5 skills: 1 does not balance, 1 cannot be told; 1 skill in none"
    assert {"a", "b", "c", "d", "gone"} <= set(texts)
    assert "e" not in texts
    columns = root.findall(f"{NAMESPACE}g")
    dots = [len(column.findall(f"{NAMESPACE}circle")) for column in columns]
    titles = [column.findtext(f"{NAMESPACE}title") or "" for column in columns]
    assert [title.split(": ", 1)[1] for title in titles] == ["a, b, c; 0", "a, c, d; +1: needs −1", "a, c, gone; ?", "c, c, d; 0"]
    assert dots == [3, 3, 3, 2]
    feet = [[text.text or "" for text in column.findall(f"{NAMESPACE}text")][-3:] for column in columns]
    assert feet == [["0", "0", ""], ["+1", "+1", "−1"], ["?", "?", ""], ["+3", "0", ""]]
    # Nothing lies outside the picture: the rightmost dot with its radius.
    assert max(float(dot.get("cx", "0")) + 9 for dot in root.iter(f"{NAMESPACE}circle")) <= float(root.get("width", "0"))


def test_mermaid_and_dot_join_each_member_to_its_group() -> None:
    mermaid = draw(registry(TRITS, TRIADS), form="mermaid")
    assert len(re.findall(r"^  s_\w+ --- g\d$", mermaid, re.MULTILINE)) == 12
    assert 'g2(("+1: needs −1")):::unbalanced' in mermaid
    assert 's_gone["gone (unknown)"]:::missing' in mermaid
    dot = draw(registry(TRITS, TRIADS), form="dot")
    assert dot.count(" -- ") == 12
    assert dot.startswith('graph "triads" {')


def test_what_a_stranger_writes_cannot_leave_its_place() -> None:
    hostile = '<script>"x" & \\'
    made = registry({"a": -1}, [["a", hostile]])
    root = ElementTree.fromstring(draw(made, form="svg"))
    assert hostile in [element.text for element in root.iter(f"{NAMESPACE}text")]
    assert "<script>" not in draw(made, form="mermaid")
    assert '"<script>\\"x\\" & \\\\"' in draw(made, form="dot")


def test_a_name_that_two_distributions_claim_stays_two_skills() -> None:
    one, other = registry({"a": -1, "b": 1}, [["a", "b"]]), registry({"a": 1}, [], "other-gap")
    # `a` alone names both, and so none.
    assert [(group.members, group.total) for group in groups_of(Registry([], [*one.every_skill, *other.every_skill]))] == [
        (("b", "a"), None)
    ]
    named = registry({"b": 1, "c": 1}, [["b", "c", "other-gap/a"]])
    assert [(group.members, group.needs) for group in groups_of(Registry([], [*named.every_skill, *other.every_skill]))] == [
        (("a", "b", "c"), 0)
    ]


def test_no_groups_is_a_picture_too() -> None:
    assert "0 groups of 0 skills" in draw(registry({"a": 0}, []), form="svg")
    assert draw(registry({"a": 0}, []), form="mermaid").startswith("flowchart")


def test_the_command_draws_triads_without_graphviz_and_pipelines_with_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert execute(["graph", "--triads", "--format", "svg"]) == 0
    ElementTree.fromstring(capsys.readouterr().out)
    assert execute(["graph", "--triads", "check-triads"]) == 0
    assert "check-triads (-1)" in capsys.readouterr().out
    assert execute(["graph"]) == 2
    assert "--triads" in capsys.readouterr().err
    assert execute(["graph", "kscale-ksim", "--format", "svg"]) == 2
    assert "graphviz, which is not installed" in capsys.readouterr().err
    # A program of that name that answers with what it was given.
    (tmp_path / "dot").write_text("#!/bin/sh\necho \"<svg arguments='$*'/>\"; exec /bin/cat >&2\n")
    os.chmod(tmp_path / "dot", 0o755)
    assert execute(["graph", "kscale-ksim", "--format", "svg"]) == 0
    assert capsys.readouterr().out == "<svg arguments='-Tsvg'/>\n"
    (tmp_path / "dot").write_text("#!/bin/sh\n/bin/cat >/dev/null; echo 'syntax error in line 1' >&2; exit 1\n")
    assert execute(["graph", "kscale-ksim", "--format", "svg"]) == 2
    assert "graphviz failed: syntax error in line 1" in capsys.readouterr().err
