"""`skills check`: every rule finds its fault, at its place, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from realitygap.check import check_paths, kind_of
from realitygap.discovery import Registry
from realitygap.document import parse
from realitygap.errors import InputError
from realitygap.findings import Finding
from realitygap.guides import check_guide

SKILL = """\
schema: 1
name: look
version: 0.1.0
trit: -1
summary: Look.
entry: acme_gap.skill:run
depends_on: [peer]
extras: [sim]
inputs:
  seed: {type: integer, default: 0}
  robot: {type: string, format: model, default: arm}
outputs: {score: {type: number}}
examples: [{with: {seed: 1}, expect: {score: 1}}]
"""
GUIDE = """\
---
name: look
description: Looks. Use it to look.
metadata:
  trit: "-1"
---

# Look

See [the notes](references/notes.md).
"""
PLUGIN = """\
schema: 1
name: acme
api: 1
hooks: [realitygap_register_checks]
commands: {greet: "acme_gap.skill:greet"}
components:
  - {kind: observation, name: height, factory: "acme_gap.skill:run", parameters: {gain: {type: number, default: 1}}}
assets: {model: {arm: "json:__init__.py"}}
"""


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A plugin's source, not installed: acme_gap with skills look and peer."""
    monkeypatch.setenv("REALITYGAP_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "acme_gap"
    for name in ("look", "peer"):
        (folder / "skills" / name / "references").mkdir(parents=True)
        (folder / "skills" / name / "references" / "notes.md").write_text("notes")
        text = SKILL if name == "look" else SKILL.replace("name: look", "name: peer").replace("depends_on: [peer]\n", "")
        (folder / "skills" / name / "skill.yaml").write_text(text)
        (folder / "skills" / name / "SKILL.md").write_text(GUIDE.replace("name: look", f"name: {name}"))
    (folder / "__init__.py").write_text("raise RuntimeError('never imported')")
    (folder / "skill.py").write_text(
        "import no_such_module\nfrom click import command\ndef run(inputs, run): ...\n@command\ndef greet(): ...\n"
    )
    (folder / "plugin.py").write_text("raise RuntimeError")
    (folder / "plugin.yaml").write_text(PLUGIN)
    return folder


@pytest.fixture
def registry() -> Registry:
    """This project's plugins have checks of their own; here only the kernel's are tried."""
    from realitygap.plugin_record import PluginRecord

    arm = PluginRecord(
        name="arm", package="json", distribution="arm", version="1", builtin=False, assets={"model": {"arm": "json:__init__.py"}}
    )
    return Registry([arm], [])


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_a_right_plugin_has_no_findings_and_is_not_imported(package, registry):
    report = check_paths([package], registry)
    assert report.findings == []
    assert report.summary == {"skills": 2, "plugins": 1, "documents": 0, "errors": 0, "warnings": 0}


@pytest.mark.parametrize(
    ("old", "new", "rule", "line", "column", "message", "hint"),
    [
        ("trit: -1", "trit: -1\ntrit: 0", "RG003", 5, 1, "'trit' is given twice", None),
        ("name: look", "name: lok", "RG201", 2, 7, "'lok' is not that of the folder, 'look'", None),
        ("acme_gap.skill:run", "acme_gap.skill:runn", "RG202", 6, 8, "module 'acme_gap.skill' has no 'runn'", "did you mean 'run'?"),
        ("acme_gap.skill:run", "acme_gap.skil:run", "RG202", 6, 8, "there is no module 'acme_gap.skil'", "did you mean 'acme_gap.skill'?"),
        ("acme_gap.skill:run", "no_such_package_x.a:b", "RG202", 6, 8, "no package 'no_such_package_x'", None),
        ("[peer]", "[pear]", "RG203", 7, 14, "unknown skill 'pear'", "did you mean 'peer'?"),
        ("[sim]", "[simm]", "RG204", 8, 10, "unknown extra 'simm'", "did you mean 'sim'?"),
        ("default: 0", "default: x", "RG206", 10, 34, "must be a whole number", None),
        ("default: arm", "default: army", "RG206", 11, 49, "'army' of 'robot' is no model", "did you mean 'arm'?"),
        ("with: {seed: 1}", "with: {sed: 1}", "RG207", 13, 20, "unknown key 'sed'", "did you mean 'seed'?"),
        ("expect: {score", "expect: {scor", "RG207", 13, 39, "unknown output 'scor'", "did you mean 'score'?"),
        ("format: model", "format: modle", "RG208", 11, 33, "unknown format 'modle'", "did you mean 'model'?"),
    ],
)
def test_faults_of_a_manifest(package, registry, old, new, rule, line, column, message, hint):
    edit(package / "skills" / "look" / "skill.yaml", old, new)
    found = [one for one in check_paths([package], registry).findings if one.rule == rule]
    assert [(one.path, one.line, one.column) for one in found] == [("acme_gap/skills/look/skill.yaml", line, column)]
    assert message in found[0].message
    assert hint is None or found[0].hint == hint


@pytest.mark.parametrize(
    ("old", "new", "rule", "line", "message"),
    [
        ("---\nname", "# no frontmatter\nname", "RG301", 1, "no frontmatter"),
        ("metadata:", "version: 1\nmetadata:", "RG302", 4, "key 'version' is not one of the six"),
        ("name: look", "name: Look", "RG303", 2, "no name"),
        ("name: look", "name: 933133", "RG303", 2, "'name' must be a text"),
        ("name: look", "name: other", "RG310", 2, "but skill.yaml says 'look'"),
        ("Looks. Use it to look.", "Looks at <b>.", "RG304", 3, "must not contain"),
        ("description: Looks. Use it to look.", f"description: {'x' * 1025}", "RG304", 3, "1025 characters"),
        ("metadata:", "license: 3\nmetadata:", "RG305", 4, "'license' must be a text"),
        ('"-1"', "-1", "RG306", 5, "'metadata.trit' must be a text"),
        ('"-1"', '"0"', "RG311", 5, "trit '0', but skill.yaml says -1"),
        ('metadata:\n  trit: "-1"\n', "", "RG311", 2, "'metadata.trit' is missing"),
        ('"-1"', '"-1"\n  version: "9.9"', "RG312", 6, "version '9.9', but skill.yaml says '0.1.0'"),
        ("notes.md", "nots.md", "RG308", 10, "link to 'references/nots.md'"),
        ("description:", "description: x\ndescription:", "RG003", 4, "given twice"),
    ],
)
def test_faults_of_a_guide(package, registry, old, new, rule, line, message):
    guide = package / "skills" / "look" / "SKILL.md"
    edit(guide, old, new)
    found = [one for one in check_paths([package / "skills" / "look"], registry).findings if one.rule == rule]
    assert [(one.path, one.line) for one in found] == [("acme_gap/skills/look/SKILL.md", line)]
    assert message in found[0].message


def test_a_guide_may_write_a_positive_trit_with_and_without_its_sign(package, registry):
    for trit in ('"+1"', '"1"'):
        (package / "skills" / "look" / "SKILL.md").write_text(GUIDE.replace('"-1"', trit))
        (package / "skills" / "look" / "skill.yaml").write_text(SKILL.replace("trit: -1", "trit: 1"))
        assert check_paths([package], registry).findings == []


def test_a_missing_guide_and_a_guide_alone(package, registry):
    (package / "skills" / "look" / "SKILL.md").unlink()
    (package / "skills" / "peer" / "skill.yaml").unlink()
    edit(package / "skills" / "look" / "skill.yaml", "depends_on: [peer]\n", "")
    (finding,) = check_paths([package / "skills"], registry).findings
    assert (finding.rule, finding.path) == ("RG301", "acme_gap/skills/look/SKILL.md")
    assert list(check_guide(package / "skills" / "peer" / "SKILL.md", None)) == []


@pytest.mark.parametrize(
    ("old", "new", "rule", "line", "message", "hint"),
    [
        ("_checks]", "_cheks]", "RG503", 4, "unknown hook", "did you mean 'realitygap_register_checks'?"),
        ("skill:greet", "skill:great", "RG502", 5, "has no 'great'", "did you mean 'greet'?"),
        ("skill:run", "skill:rn", "RG502", 7, "has no 'rn'", "did you mean 'run'?"),
        ("kind: observation", "kind: observaton", "RG506", 7, "observaton", "did you mean 'observation'?"),
        ("default: 1", "default: x", "RG507", 7, "must be a number", None),
        ("json:__init__.py", "json:gone.xml", "RG504", 8, "no model at 'json:gone.xml'", None),
        ("json:__init__.py", "json:../x", "RG101", 8, "not allowed", "package:path/inside"),
        ("api: 1", "apy: 1", "RG102", 3, "unknown key 'apy'", "did you mean 'api'?"),
    ],
)
def test_faults_of_a_plugin_manifest(package, registry, old, new, rule, line, message, hint):
    edit(package / "plugin.yaml", old, new)
    found = [one for one in check_paths([package / "plugin.yaml"], registry).findings if one.rule == rule]
    assert [(one.path, one.line) for one in found] == [("acme_gap/plugin.yaml", line)]
    assert message in found[0].message
    assert hint is None or found[0].hint == hint


def test_yml_is_an_error_and_never_passed_over(package, registry):
    (package / "skills" / "look" / "skill.yaml").rename(package / "skills" / "look" / "skill.yml")
    findings = check_paths([package / "skills" / "look"], registry).findings
    assert [(one.rule, one.severity, one.hint) for one in findings] == [("RG007", "error", "rename it to 'skill.yaml'")]


def test_a_manifest_that_gives_no_skill_is_reported_and_the_others_are_checked(package, registry):
    (package / "skills" / "look" / "skill.yaml").write_text("[1, 2]")
    edit(package / "skills" / "peer" / "skill.yaml", "trit: -1", "trit: 0")
    rules = {(Path(one.path).parent.name, one.rule) for one in check_paths([package / "skills"], registry).findings}
    assert ("look", "RG104") in rules
    assert ("peer", "RG311") in rules


def test_hidden_folders_and_environments_are_passed_over(package, registry):
    (package / "skills" / "look" / "skill.yaml").rename(package / "skills" / "look" / "skill.yml")
    (package / "skills" / "look").rename(package / ".hidden")
    (package / "venv").mkdir()
    (package / "venv" / "pyvenv.cfg").write_text("")
    (package / ".hidden").rename(package / "venv" / "look")
    assert check_paths([package], registry).findings == []


def test_a_path_that_is_not_there_or_holds_nothing_is_a_usage_error(tmp_path, registry):
    with pytest.raises(InputError, match="no such file"):
        check_paths([tmp_path / "gone"], registry)
    with pytest.raises(InputError, match="nothing to check"):
        check_paths([tmp_path], registry)


@pytest.mark.parametrize(
    ("name", "message", "hint"),
    [
        ("gone/x.yaml", "no such file", "there is no folder 'gone' either"),
        ("gone", "no such file", "nothing in the folder '.' has a name like it"),
        ("dangling", "a link to 'nowhere', which is not there", "correct the link, or put a file in its place"),
        ("circle", "a link that leads back to itself", "correct the link, or put a file in its place"),
        ("pipe", "neither a plain file nor a folder", "save what a pipe or a device gives to a file first"),
    ],
)
def test_what_cannot_be_read_is_told_with_what_to_do(tmp_path, registry, monkeypatch, name, message, hint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    os.mkfifo("pipe")
    with pytest.raises(InputError) as caught:
        check_paths([Path(name)], registry)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    if name in ("dangling", "pipe"):
        (tmp_path / "skill").mkdir()
        (tmp_path / name).rename(tmp_path / "skill" / "SKILL.md")
        (finding,) = check_paths([Path("skill")], registry).findings
        assert (finding.rule, finding.message, finding.hint) == ("RG009", message, hint)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("x.task.yaml", "a: 1", "task"),
        ("domains/x.yaml", "a: 1", "domain"),
        ("mapping.yaml", "a: 1", "mapping"),
        ("x.yaml", "rewards: {}", "task"),
        ("x.yaml", "parameters: {}", "domain"),
        ("x.yaml", "steps: []", "pipeline"),
        ("x.yaml", "a: 1", None),
        ("x.yaml", "[1]", None),
    ],
)
def test_the_kind_of_a_document_shows_in_its_name_its_folder_or_its_keys(name, text, kind):
    assert kind_of(parse(text, name)) == kind


def test_a_document_of_unknown_kind_is_a_finding_not_a_pass(tmp_path, registry, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.yaml").write_text("a: 1")
    (finding,) = check_paths([tmp_path / "x.yaml"], registry).findings
    assert finding.rule == "RG008"


def plugin_check(monkeypatch, tmp_path, body: str) -> Registry:
    from realitygap.plugin_record import PluginRecord

    monkeypatch.syspath_prepend(tmp_path)
    name = f"acme_rules_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(
        f"from realitygap import hookimpl\nfrom realitygap.findings import Finding\ndef rule(registry, skills):\n    {body}\n"
        "@hookimpl\ndef realitygap_register_checks(register):\n    register('ACME', rule)\n"
    )
    hooks = ("realitygap_register_checks",)
    record = PluginRecord(
        name=name, package=name, distribution="acme-gap", version="1", builtin=False, directory=tmp_path, module=name, hooks=hooks
    )
    arm = PluginRecord(
        name="arm", package="json", distribution="arm", version="1", builtin=False, assets={"model": {"arm": "json:__init__.py"}}
    )
    return Registry([record, arm], [])


def test_a_check_of_a_plugin_sees_the_skills_and_its_findings_count(package, monkeypatch, tmp_path):
    body = "yield from (Finding(rule='ACME101', message=s.name, severity='warning') for s in skills if registry.skill(s.name) is s)"
    report = check_paths([package / "skills"], plugin_check(monkeypatch, tmp_path, body))
    assert [one.message for one in report.findings] == ["look", "peer"]
    assert report.summary["warnings"] == 2
    assert not report.failed


def test_a_second_check_with_one_registry_runs_the_rules_of_plugins_again(package, monkeypatch, tmp_path):
    registry = plugin_check(monkeypatch, tmp_path, "yield Finding(rule='ACME101', message='again')")
    for _ in range(2):
        assert [one.message for one in check_paths([package / "skills"], registry).findings] == ["again"]


def test_each_guide_is_read_once_however_many_rules_look_at_it(tmp_path, monkeypatch):
    from realitygap import guide_files
    from realitygap.linting import CheckOptions, lint

    read: list[str] = []
    plain = guide_files.read_plain
    monkeypatch.setattr(guide_files, "read_plain", lambda path, most: [read.append(path.parent.name), plain(path, most)][1])
    for name in ("walk", "run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "SKILL.md").write_text(f'---\nname: {name}\ndescription: It can.\nmetadata:\n  trit: "0"\n---\n\n**Trit**: 1\n')
    outcome = lint([tmp_path], Registry.discover(), CheckOptions())
    assert {one.rule for one in outcome.findings} == {"TRI210"}
    assert sorted(read) == ["run", "walk"]
    with guide_files.reading_once():
        first = guide_files.read_text(tmp_path / "run" / "SKILL.md")
        assert guide_files.read_text(tmp_path / "run" / "SKILL.md") is first
    assert guide_files.read_text(tmp_path / "run" / "SKILL.md") is not first, "it may have changed"


def test_a_frontmatter_longer_than_any_is_a_finding_and_not_parsed(tmp_path, registry):
    (tmp_path / "walk").mkdir()
    guide = tmp_path / "walk" / "SKILL.md"
    guide.write_text("---\nname: walk\ndescription: It can.\n" + "".join(f"key-{number}: a\n" for number in range(8_000)) + "---\nText.\n")
    (finding,) = check_paths([tmp_path], registry).findings
    assert (finding.rule, finding.message) == ("RG009", "the frontmatter is longer than 64 KiB")


def test_what_is_kept_of_a_guide_counts_with_the_values_of_its_frontmatter(tmp_path):
    import tracemalloc

    from realitygap import guide_files

    (tmp_path / "SKILL.md").write_text("---\nname: walk\ncompact: [" + "a," * 5_000 + "]\n---\nText.\n")
    tracemalloc.start()
    try:
        guide = guide_files.read_text(tmp_path / "SKILL.md")
        assert len(guide.document.data["compact"]) == 5_000
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.8 * taken < guide.size < 3 * taken


def test_of_more_guides_than_memory_is_for_none_is_lost(tmp_path, monkeypatch):
    from realitygap import guide_files

    paths = [tmp_path / f"{number}.md" for number in range(20)]
    for path in paths:
        path.write_text(path.name * 1_000)
    kept = guide_files._Reading(left=50_000)
    monkeypatch.setattr(guide_files, "_Reading", lambda: kept)
    with guide_files.reading_once():
        for path in (*paths, *paths):
            assert guide_files.read_text(path).text == path.name * 1_000
    assert 0 < len(kept.texts) < 20


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("yield Finding(rule='ACME1', message='a'); raise KeyError('b')", "raised KeyError: 'b'"),
        ("yield Finding(rule='RG101', message='a')", "a check for 'ACME' gave 'RG101'"),
        ("yield 'text'", "a check for 'ACME' gave 'str'"),
        ("return None", "raised TypeError"),
    ],
)
def test_a_check_that_fails_is_a_finding_that_names_the_plugin(package, monkeypatch, tmp_path, body, message):
    report = check_paths([package / "skills"], plugin_check(monkeypatch, tmp_path, body))
    faults: list[Finding] = [one for one in report.findings if one.rule == "RG508"]
    assert len(faults) == 1
    assert message in faults[0].message
    assert "acme-gap 1" in faults[0].message
