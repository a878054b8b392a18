"""Collections in the wild: every planted error is found and nothing else, and hostile files neither hang nor crash the reader."""

from __future__ import annotations

import gc
import json
import os
import time
from collections import Counter
from pathlib import Path

import pytest
from triadgen import write_collection

from realitygap.check import check_paths
from realitygap.cli.execute import execute
from realitygap.discovery import Registry
from realitygap.document import Document, load, shown_path
from realitygap.skill import Skill
from realitygap_plugins.triads.checks import check_triads
from realitygap_plugins.triads.collection import read_collection
from realitygap_plugins.triads.collection_checks import check_collection, read_paths


def found_in(root: Path) -> Counter[tuple[str, str, int]]:
    collection = read_paths([root], {})
    assert collection is not None
    return Counter((one.rule, one.path, one.line) for one in check_collection(collection, {}))


@pytest.mark.parametrize("seed", range(4))
def test_every_planted_error_is_found_and_nothing_else(tmp_path: Path, seed: int) -> None:
    generated = write_collection(tmp_path, skills=200, claims=400, errors=80, seed=seed, shown=shown_path)
    planted = Counter((one.rule, one.path, one.line) for one in generated.planted)
    found = found_in(tmp_path)
    assert sorted((planted - found).elements()) == []
    assert sorted((found - planted).elements()) == []


def skill(root: Path, name: str, text: str, file: str = "SKILL.md") -> Path:
    (root / name).mkdir(parents=True, exist_ok=True)
    (root / name / file).write_text(text, "utf-8")
    return root / name / file


def guide(name: str, trit: int, body: str = "") -> str:
    return f'---\nname: {name}\ndescription: Does it.\nmetadata:\n  trit: "{trit:+d}"\n---\n\n{body}\n'


def rules(root: Path) -> list[tuple[str, str, int]]:
    return sorted((rule, Path(path).parent.name, line) for rule, path, line in found_in(root).elements())


def test_each_fault_of_a_declaration_has_its_rule_and_its_line(tmp_path: Path) -> None:
    skill(tmp_path, "two", guide("two", 1, "**Trit**: 0 (ERGODIC)"))
    skill(tmp_path, "unreadable", "---\nname: unreadable\ndescription: x\n---\n\n**Trit**: ±1\n")
    skill(tmp_path, "block", guide("block", 1, "## Cat# Integration\n\n```\nTrit: 0 (ERGODIC)\nHome: Prof\n```"))
    skill(tmp_path, "only-block", "---\nname: only-block\ndescription: x\n---\n\n## Cat# Integration\n\n```\nTrit: 0 (ERGODIC)\n```\n")
    skill(tmp_path, "silent", "---\nname: silent\ndescription: x\ncolor: '#D82626'\n---\n\nskill://silent#D82626\n")
    assert rules(tmp_path) == [
        ("TRI203", "unreadable", 6),
        ("TRI210", "two", 8),
        ("TRI211", "block", 11),
        ("TRI211", "only-block", 9),
        ("TRI212", "silent", 1),
    ]


def test_addresses_are_checked_for_name_colour_and_collisions_and_give_no_trit(tmp_path: Path) -> None:
    skill(tmp_path, "kinfer-runtime", guide("kinfer-runtime", -1, "**URI**: skill://kinfer#7758D6"))
    skill(
        tmp_path, "kinfer", guide("kinfer", -1, "URI: skill://kinfer#E85A71\n\nskill://kinfer#12345\n\nskill://{name}#{color} skill://...")
    )
    skill(tmp_path, "gym", guide("gym", 1, "URI: skill://gym#7758D6\n\nskill://nobody#000000"))
    assert rules(tmp_path) == [
        ("TRI217", "gym", 10),  # unknown
        ("TRI217", "kinfer", 10),  # no colour
        ("TRI217", "kinfer-runtime", 8),  # the address of another skill
        ("TRI218", "kinfer-runtime", 8),  # kinfer has another colour where it gives its own
        ("TRI218", "kinfer-runtime", 8),  # and gym has this one
    ]


def test_a_colour_that_two_skills_have_is_found_also_where_it_is_declared(tmp_path: Path) -> None:
    def colored(name: str, color: str, body: str = "") -> str:
        return guide(name, 0, body).replace("metadata", f"color: '{color}'\nmetadata")

    skill(tmp_path, "a", colored("a", "#A1BE3C", "skill://a#A1BE3C"))
    skill(tmp_path, "b", colored("b", "#a1be3c"))
    skill(tmp_path, "c", colored("c", "#000000"))
    skill(tmp_path, "d", guide("d", 0, "URI: skill://d#000000"))
    skill(tmp_path, "e", colored("e", "blue") + colored("f", "blue"))
    assert rules(tmp_path) == [("TRI218", "b", 1), ("TRI218", "c", 1)]


def test_copies_of_a_skill_count_together(tmp_path: Path) -> None:
    skill(tmp_path, ".agents/skills/unworld", guide("unworld", 1))
    skill(tmp_path, "skills/unworld", guide("unworld", 1))
    skill(tmp_path, ".cache/unworld", guide("unworld", -1))
    assert rules(tmp_path) == [("TRI219", "unworld", 1)]


def test_a_folder_in_two_spellings_or_behind_a_link_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    skill(tmp_path, "q/a", guide("a", 1, "a (+1) ⊗ b (0) = 0"))
    skill(tmp_path, "q/b", guide("b", 0, "Text."))
    (tmp_path / "q" / "README.md").write_text("a (+1) ⊗ b (0) = 0\n")
    (tmp_path / "link").symlink_to("q")
    once = check_paths([Path("q")], Registry.discover())
    assert [one.rule for one in once.findings] == ["TRI208", "TRI208"]
    for again in (tmp_path / "q", Path("link"), Path("q/../q"), tmp_path / "q" / "a", Path("link/a/SKILL.md")):
        both = check_paths([Path("q"), again], Registry.discover())
        assert (both.findings, both.summary) == (once.findings, once.summary)
        assert check_paths([again, Path("q")], Registry.discover()).summary == once.summary


def test_a_guide_that_could_not_be_read_is_not_said_to_declare_no_trit(tmp_path: Path) -> None:
    for name in ("pipe", "loop", "utf-16", "large", "none"):
        (tmp_path / name).mkdir()
    text = "---\nname: none\ndescription: Does it.\n---\n\nText.\n"
    os.mkfifo(tmp_path / "pipe" / "SKILL.md")
    (tmp_path / "loop" / "SKILL.md").symlink_to("SKILL.md")
    (tmp_path / "utf-16" / "SKILL.md").write_text(text, encoding="utf-16")
    (tmp_path / "large" / "SKILL.md").write_text(text + "Text.\n" * 1_000_000)
    (tmp_path / "none" / "SKILL.md").write_text(text)
    assert [(rule, name) for rule, name, _ in rules(tmp_path) if rule == "TRI212"] == [("TRI212", "none")]


def test_three_backticks_around_a_word_open_no_code(tmp_path: Path) -> None:
    skill(tmp_path, "a", "---\nname: a\ndescription: Does it.\n---\n\n```code``` is nice [here](gone.md).\n\n**Trit**: +1\n")
    (record,) = read_collection(tmp_path).records
    assert record.trit == 1
    assert [one.rule for one in check_paths([tmp_path], Registry([], [])).findings] == ["RG308"]


def test_no_frontmatter_stays_in_memory_for_what_was_read_of_it(tmp_path: Path) -> None:
    def documents() -> int:
        return sum(isinstance(one, Document) for one in gc.get_objects())

    for number in range(10):
        skill(tmp_path, f"a{number}", guide(f"a{number}", 1))
        skill(tmp_path, f"b{number}", guide(f"b{number}", -1).replace("description: ", "description: not: YAML "))
    before = documents()
    collection = read_collection(tmp_path)
    assert documents() < before + 5
    assert [record.trit for record in collection.records] == [1] * 10 + [-1] * 10
    assert [len(record.violations) for record in collection.records] == [0] * 10 + [1] * 10


def test_a_trit_in_a_frontmatter_that_is_too_long_to_be_parsed_is_read(tmp_path: Path) -> None:
    skill(tmp_path, "a", guide("a", 1).replace("\n---\n", "\n" + "".join(f"key{number}: x\n" for number in range(8_000)) + "---\n", 1))
    (record,) = read_collection(tmp_path).records
    assert record.trit == 1
    assert record.violations == ("the frontmatter is longer than 64 KiB",)


def test_a_skill_may_have_the_name_of_a_folder_that_is_passed_over(tmp_path: Path) -> None:
    for place in ("skills/build", "skills/target", "node_modules/other", ".git/hooks", "env/lib/walk", "venv/lib/a", "target/b"):
        skill(tmp_path, place, f"---\nname: {Path(place).name}\ndescription: x\n---\n\nText.\n")
    (tmp_path / "env" / "pyvenv.cfg").write_text("home = /usr/bin\n")
    # A folder of packages holds guides of others; one that is called so and has a guide itself is a skill.
    assert [name for rule, name, _ in rules(tmp_path)] == ["build", "target"]
    report = check_paths([tmp_path], Registry([], []))
    assert report.documents == 2


def test_a_claim_in_another_document_of_the_collection_is_found(tmp_path: Path) -> None:
    skill(tmp_path, "a", guide("a", 1))
    skill(tmp_path, "b", guide("b", 1))
    (tmp_path / "QUICK.md").write_text(
        "| Skill | Trit |\n|---|---|\n| **a** | +1 |\n| `b` | +1 |\n\n**All conserve GF(3)** (sum of trits ≡ 0 mod 3)\n"
    )
    assert [(rule, line) for rule, _, line in rules(tmp_path)] == [("TRI208", 1)]


def test_a_missing_member_is_told_with_what_was_probably_meant(tmp_path: Path) -> None:
    skill(tmp_path, "waddington-landscape", guide("waddington-landscape", 1, "waddington (+1) ⊗ b (-1) = 0 ✓"))
    skill(tmp_path, "b", guide("b", -1))
    collection = read_paths([tmp_path], {})
    assert collection is not None
    (finding,) = check_collection(collection, {})
    assert (finding.rule, finding.hint) == ("TRI214", "did you mean 'waddington-landscape'?")


def test_one_folder_alone_says_nothing_about_what_may_lie_beside_it(tmp_path: Path) -> None:
    skill(tmp_path, "a", guide("a", 1, "a (+1) ⊗ elsewhere (-1) = 0 ✓ and skill://elsewhere#000000"))
    assert rules(tmp_path / "a") == []


def test_some_folders_of_a_collection_have_the_findings_that_they_have_among_all(tmp_path: Path) -> None:
    body = "a (+1) ⊗ b (0) ⊗ c (0) = 1\n\na (+1) ⊗ ghost (-1) = 0 ✓\n\nskill://b#A1BE3C skill://c skill://nobody#000000\n"
    body += "\n[../b](+1) ⊗ a (-1) = 0"
    skill(tmp_path, "a", guide("a", 1, body))
    skill(tmp_path, "b", guide("b", -1).replace("metadata", "color: '#D82626'\nmetadata"))
    skill(tmp_path, "c", guide("c", 0))
    skill(tmp_path, "d", guide("d", 0))
    everything = [one for one in rules(tmp_path) if one[1] == "a"]
    assert {"TRI209", "TRI214", "TRI217"} <= {rule for rule, *_ in everything}
    collection = read_paths([tmp_path / "a" / "SKILL.md", tmp_path / "d"], {})
    assert collection is not None
    found = sorted((one.rule, Path(one.path).parent.name, one.line) for one in check_collection(collection, {}))
    assert found == everything, "b and c are read beside a, ghost and nobody are not there"
    (tmp_path / "b" / "SKILL.md").write_text(guide("other", -1))
    assert [one.message for one in check_collection(collection, {}) if "no skill 'b'" in one.message] != []


def test_a_baseline_holds_in_every_folder_also_for_messages_that_name_another_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "my (old) skills"
    skill(root, "a", guide("a", 1, "**Trit**: 0\n\na (-1) ⊗ b (0) = 0\n\na (2) ⊗ b (+1) = 0\n\nskill://a#000000 skill://b#111111"))
    skill(root, "b", guide("b", -1, "a (-1) ⊗ b (+1) = 0\n\nskill://a#000001 skill://b#000000\n\n## Cat# Integration\n\nTrit: 0 (X)"))
    skill(root, "more/b", guide("b", -1))
    monkeypatch.chdir(tmp_path)
    select = ["--select", "TRI208,TRI209,TRI210,TRI211,TRI216,TRI218,TRI219", "--format", "json"]
    execute(["check", ".", "--baseline", "known.json", "--write-baseline", *select])
    known = {one["rule"] for one in json.loads((tmp_path / "known.json").read_text())["findings"]}
    assert known == {"TRI208", "TRI209", "TRI210", "TRI211", "TRI216", "TRI218", "TRI219"}
    for folder, path in ((root, "."), (root / "a", ".."), (tmp_path / "..", os.fspath(root))):
        monkeypatch.chdir(folder)
        assert execute(["check", path, "--baseline", os.fspath(tmp_path / "known.json"), *select]) == 0


@pytest.mark.parametrize(
    "kind",
    ["alias bomb", "large", "one line", "not utf-8", "loop", "dangling", "folder", "pipe", "nul", "backtracking", "deep", "no permission"],
)
def test_hostile_files_are_reported_and_the_others_read(tmp_path: Path, kind: str) -> None:
    skill(tmp_path, "good", guide("good", 1, "good (+1) ⊗ bad (-1) = 0 ✓"))
    folder = tmp_path / "bad"
    folder.mkdir()
    file = folder / "SKILL.md"
    if kind == "alias bomb":
        lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
        file.write_text("---\nname: bad\ntrit: -1\n" + "\n".join(lines) + "\n---\n")
    elif kind == "large":
        file.write_bytes(guide("bad", -1).encode() + b"a (0) + b (1) = 0 x\n" * 2_500_000)
    elif kind == "one line":
        file.write_bytes(guide("bad", -1).encode() + "a ⊗ (0) + ".encode() * 500_000)
    elif kind == "not utf-8":
        file.write_bytes(b"---\nname: bad\ntrit: -1\n---\n\n\xff\xfe bad (-1) + \x80\n")
    elif kind == "loop":
        os.symlink(folder, folder / "again")
        file.write_text(guide("bad", -1))
    elif kind == "dangling":
        os.symlink("SKILL.md", file)
    elif kind == "folder":
        file.mkdir()
        (folder / "skill.yaml").mkdir()
    elif kind == "pipe":
        os.mkfifo(file)
        os.mkfifo(tmp_path / "README.md")
    elif kind == "backtracking":
        nasty = ["*", "`", "[", "(", "-", ".", "_", "#", " ", "| ", "0 + ", "a ", "a-", "(0)", "[x]", "\t", "⊗", "skill://", "=", "a(0) + "]
        body = "".join(f"⊗ {one * (12_000 // len(one))} x (0) + y\n\n| Trit | {one * 2_000} |\n|---|{one * 9_000}x\n\n" for one in nasty)
        file.write_text(guide("bad", -1, body))
    elif kind == "nul":
        file.write_bytes(b"---\nname: bad\x00\ntrit: -1\n---\n\x00\x00\n")
    elif kind == "deep":
        file.write_text("---\nname: bad\ntrit: -1\nx: " + "[" * 5000 + "\n---\n")
    else:
        file.write_text(guide("bad", -1))
        file.chmod(0)
    collection = read_paths([tmp_path], {})
    assert collection is not None
    assert collection.by_name["good"].trit == 1
    list(check_collection(collection, {}))
    if kind in ("alias bomb", "not utf-8", "loop", "deep"):
        assert collection.by_name["bad"].trit == -1
    if kind in ("alias bomb", "large", "one line", "not utf-8", "dangling", "pipe", "nul", "deep"):
        assert any("bad" in problem for problem in collection.problems), collection.problems
    report = check_paths([tmp_path], Registry([], []))
    assert not any("good" in one.path for one in report.findings if one.severity == "error")


INTERLEAVED = """\
---
name: entropy-sim2real
description: Bridges a gap. Use it to do so.
trit: -1
---

**Trit**: -1 (MINUS - analysis)
**URI**: skill://entropy-sim2real#E85B8E

```
entropy-sim2real (-1) ⊗ kos-firmware (+1) ⊗ mujoco-scenes (0) = 0 ✓
ksim-rl (-1) ⊗ kos-firmware (+1) ⊗ entropy-sim2real (-1) = needs +1
ksim-rl (-1) ⊗ kos-firmware (+1) ⊗ mujoco-scenes (0) = needs balancing
```

## SDF Interleaving

```
entropy-sim2real (○) + SDF.Ch8 (−) + [balancer] (+) = 0
```

**Skill Trit**: 0 (ERGODIC - coordination)
"""


def test_skills_check_judges_a_collection_whose_trits_stand_in_prose(tmp_path: Path) -> None:
    skill(tmp_path, "entropy-sim2real", INTERLEAVED)
    for name, trit in {"kos-firmware": 1, "mujoco-scenes": 0, "ksim-rl": -1}.items():
        skill(tmp_path, name, f"---\nname: {name}\ndescription: Does it.\nmetadata:\n  trit: '{trit}'\n---\n\nText.\n")
    quad = "second (+1) ⊗ kos-firmware (+1) ⊗\n  ksim-rl (-1) ⊗\n  entropy-sim2real (-1) = 0 ✓"
    skill(tmp_path, "second", "---\nname: second\ndescription: Does it.\n---\n\n" + f"Trit: +1 (PLUS)\n\nBalanced quad:\n{quad}\n")
    report = check_paths([tmp_path], Registry.discover())
    found = [(one.rule, one.line, one.severity) for one in report.findings if one.rule.startswith("TRI")]
    # The claims are right, the denial is not; the block contradicts the author, and its sum says nothing.
    assert found == [("TRI208", 13, "error"), ("TRI215", 19, "warning"), ("TRI211", 22, "warning")]
    assert report.documents == 5


def group(members: int, separator: str, said: str) -> str:
    """A group of the skills a0, a1, ... with the trit +1."""
    return separator.join(f"a{index} (+1)" for index in range(members)) + f" = {said}"


def cuts(root: Path) -> list[tuple[str, int, str]]:
    collection = read_paths([root], {})
    assert collection is not None
    told = [(one.rule, one.line, one.message) for one in check_collection(collection, {}) if one.rule in ("TRI208", "TRI213")]
    assert [f"not read: {cut.why}" for cut in collection.cuts] == [message for rule, _, message in told if rule == "TRI213"]
    assert all(str(cut) in collection.problems for cut in collection.cuts)
    return told


HEAD = "---\nname: x\ndescription: Long.\nmetadata:\n  trit: '0'\n---\n"


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        (("(-1) + (0) + (+1) = 0 ✓\n" * 2_500) + "(0) + (+1) = 0 ✓\n", 2_007, "more than 2,000 claims"),
        ("x" * 20_000 + " (0) + (+1) = 0 ✓\n", 7, "a line of 20,017 characters; up to 20,000 are read"),
        (group(201, " ⊗\n", "0 ✓") + "\n", 7, "a statement of 201 lines; up to 200 are read"),
        (group(150, " " * 200 + "⊗\n", "0 ✓").replace("(", "`" + "x" * 150 + "` (") + "\n", 7, "a statement of "),
        ("| Skill | Trit |\n|---|---|\n" + "| a | +1 |\n" * 2_001 + "| Sum | 0 |\n", 7, "a table of more than 2,000 rows"),
        (
            "| Skill | Trit | Use |\n|---|---|---|\n| a | +1 | " + "x" * 20_000 + "|\n| b | +1 | |\n| Sum | 0 | |\n",
            7,
            "a table with a row of",
        ),
        ("x" * (4 * 1024 * 1024), 7, "the file is larger than 4 MiB"),
        ("⊗\n\n" * 10_001, 20_007, "more than 10,000 lines hold '⊗'"),
        ("9(+1) + 900(0) + 92(-1) = 0 ✓\n", 7, "a sum of more than 1,000 trits"),
        (" + ".join(["(+1)"] * 1_001) + " = 0 ✓\n", 7, "a sum of more than 1,000 trits"),
    ],
    ids=["claims", "line", "lines", "characters", "rows", "row", "file", "marks", "multiplicities", "sum"],
)
def test_what_is_too_long_is_said_and_no_part_of_it_is_judged(tmp_path: Path, text: str, line: int, why: str) -> None:
    skill(tmp_path, "x", HEAD + text)
    (told,) = cuts(tmp_path)
    assert told[:2] == ("TRI213", line)
    assert told[2].startswith(f"not read: {why}")


def test_long_statements_and_tables_within_the_limits_are_judged_whole(tmp_path: Path) -> None:
    # 18 and 501 times +1 sum to 0 modulo 3; the first twelve of 17 did, too, and 17 do not.
    rows = "| a | +1 |\n"
    table = "| Skill | Trit |\n|---|---|\n{}| Sum | 0 ✓ |\n\n"
    skill(tmp_path, "x", HEAD + group(18, " ⊗\n", "0 ✓") + "\n\n" + table.format(rows * 501))
    assert cuts(tmp_path) == []
    skill(tmp_path, "x", HEAD + group(17, " ⊗\n", "0 ✓") + "\n\n" + table.format(rows * 502))
    assert [rule for rule, *_ in cuts(tmp_path)] == ["TRI208", "TRI208"]


def test_many_tables_without_a_line_between_them_are_read_once_each(tmp_path: Path) -> None:
    table = "| Skill | Trit |\n|---|---|\n| a | +1 |\n| b | +1 |\n| Sum | 0 |\n"
    skill(tmp_path, "x", HEAD + table * 1_000)
    began = time.process_time()
    assert [rule for rule, *_ in cuts(tmp_path)] == ["TRI208"] * 1_000
    assert time.process_time() - began < 10


def test_long_lines_of_data_are_not_called_cut(tmp_path: Path) -> None:
    skill(tmp_path, "x", HEAD + "f(0),g(1,2);" * 3_000 + "\n")
    assert cuts(tmp_path) == []


def test_what_is_cut_in_the_guide_of_a_manifest_is_said_too(tmp_path: Path) -> None:
    manifest = "schema: 1\nname: x\nversion: 1.0.0\ntrit: 0\nsummary: Long.\nentry: json:loads\n"
    skill(tmp_path, "x", HEAD + group(201, " ⊗\n", "0 ✓") + "\n")
    (tmp_path / "x" / "skill.yaml").write_text(manifest)
    made = Skill.from_manifest(load(tmp_path / "x" / "skill.yaml").data, directory=tmp_path / "x", plugin="p", distribution="d")
    told = [one for one in check_triads(Registry([], [made]), [made]) if one.rule in ("TRI208", "TRI213")]
    assert [(one.rule, one.severity, one.line) for one in told] == [("TRI213", "warning", 7)]
