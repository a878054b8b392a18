"""The tables of rules: complete, explained, and shown by `skills rule`."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from realitygap.check import check_paths
from realitygap.cli.execute import execute
from realitygap.discovery import Registry
from realitygap.document import load
from realitygap.findings import Finding
from realitygap.linting import CheckOptions, lint
from realitygap.plugin_record import PluginRecord
from realitygap.rules import FILE, RuleBook, load_rules
from realitygap.schema import validate

ROOT = Path(__file__).resolve().parents[2]
TABLES = [
    (ROOT / "registry" / "realitygap", ("RG",)),
    *((file.parent, tuple(load(file.with_name("plugin.yaml")).data["checks"])) for file in sorted(ROOT.glob("plugins/*/*/rules.yaml"))),
    *((file.parent, tuple(load(file.with_name("plugin.yaml")).data["checks"])) for file in sorted(ROOT.glob("examples/**/rules.yaml"))),
]
CODE = re.compile(r"[A-Z]{2,8}[0-9]{3}\Z")


def emitted(folder: Path, prefixes: tuple[str, ...]) -> Iterator[tuple[str, str | None]]:
    """Codes that the source of a folder gives to findings, with the severity where it is written beside them."""
    for path in folder.rglob("*.py"):
        tree = ast.parse(path.read_text("utf-8"))
        compared = {id(part) for node in ast.walk(tree) if isinstance(node, ast.Compare) for part in ast.walk(node)}
        severities: dict[int, str | None] = {}
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            given = next((one.value for one in node.keywords if one.arg == "severity"), None)
            name = ast.unparse(node.func)
            if name in ("Finding", "Finding.at"):
                severity = "error" if given is None else given.value if isinstance(given, ast.Constant) else None
                severities |= {id(part): severity for part in ast.walk(node)}
        for node in ast.walk(tree):
            value = node.value if isinstance(node, ast.Constant) and id(node) not in compared else None
            if isinstance(value, str) and CODE.match(value) and value.startswith(prefixes):
                yield value, severities.get(id(node))


@pytest.mark.parametrize(("folder", "prefixes"), TABLES, ids=lambda one: one.name if isinstance(one, Path) else "+".join(one))
def test_every_code_that_the_source_gives_is_declared_and_every_declared_one_is_given(folder, prefixes):
    declared = {rule.code: rule for rule in load_rules(folder / FILE, "x")}
    given = list(emitted(folder, prefixes))
    assert {code for code, _ in given} == set(declared)
    for code, rule in declared.items():
        written = {severity for one, severity in given if one == code}
        assert None in written or rule.severity in written, f"{code} is never a finding of severity {rule.severity}"


def test_the_plugins_that_give_findings_have_a_table():
    for file in ROOT.glob("plugins/*/*/plugin.yaml"):
        if load(file).data.get("checks"):
            assert (file.parent / FILE).is_file(), file.parent.name


@pytest.mark.parametrize("folder", [folder for folder, _ in TABLES], ids=lambda one: one.name)
def test_tables_follow_their_schema_and_no_two_rules_have_one_name(folder):
    assert validate(load(folder / FILE), "rules") == []
    names = [rule.name for rule in load_rules(folder / FILE, "x")]
    assert len(names) == len(set(names))


def test_a_finding_without_advice_gets_that_of_its_rule(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "look").mkdir()
    (tmp_path / "look" / "SKILL.md").write_text("---\nname: see\ndescription: Looks.\n---\n\nText.\n")
    registry = Registry([], [])
    (bare,) = check_paths([tmp_path / "look"], registry).findings
    assert (bare.rule, bare.hint) == ("RG303", None)
    (told,) = lint([tmp_path / "look"], registry, CheckOptions()).findings
    assert told.hint == "Write the folder's name, in lower case with hyphens."


def test_a_finding_of_a_plugin_without_a_table_still_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "look").mkdir()
    (tmp_path / "look" / "SKILL.md").write_text("---\nname: look\ndescription: Looks.\n---\n\nText.\n")
    (tmp_path / "acme_bare.py").write_text(
        "from realitygap import hookimpl\nfrom realitygap.findings import Finding\n"
        "@hookimpl\ndef realitygap_register_checks(register):\n    register('ACME', lambda *_: [Finding(rule='ACME1', message='m')])\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    record = PluginRecord(
        name="bare", package="acme_bare", distribution="a", version="1", builtin=False, directory=tmp_path, module="acme_bare"
    )
    record.hooks, record.checks = ("realitygap_register_checks",), ("ACME",)
    (finding,) = lint([tmp_path / "look"], Registry([record], []), CheckOptions()).findings
    assert finding.hint == "ask the author of the rule, or silence it: --ignore ACME1"


def test_rule_explains_one_and_lists_several(capsys):
    assert execute(["rule", "tri201"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("TRI201 group-does-not-balance   error, from triads")
    assert "To mend it: Change the trit" in out
    assert "ignore[TRI201]" in out
    assert execute(["rule", "RG30", "TRI205"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [*(f"RG30{n}" for n in range(1, 9)), "TRI205"]


def test_rule_as_json_holds_every_rule_whole(capsys):
    assert execute(["rule", "--all", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {"RG001", "TRI201"} <= {row["code"] for row in rows}
    assert all(set(row) == {"code", "name", "severity", "says", "why", "mend", "example", "fix", "plugin"} for row in rows)
    assert [row["code"] for row in rows if row["fix"]] == ["RG105", "RG302", "RG306"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rule", "TRI999"], "there is no rule 'TRI999'"),
        (["rule", "TRI02"], "did you mean 'TRI20"),
        (["rule"], "say which rule, or --all"),
        (["rule", "--all", "RG001"], "say which rule, or --all"),
    ],
)
def test_an_unknown_rule_is_a_usage_error(arguments, message, capsys):
    assert execute(arguments) == 2
    assert message in capsys.readouterr().err


def plugin(folder: Path, table: str | None, *, state: str = "found") -> PluginRecord:
    folder.mkdir(exist_ok=True)
    (folder / "plugin.py").write_text("raise SystemExit('imported')")
    (folder / "plugin.yaml").write_text("schema: 1\nname: acme\napi: 1\nchecks: [ACME]\n")
    if table is not None:
        (folder / FILE).write_text(table)
    record = PluginRecord(
        name="acme", package="acme", distribution="acme-gap", version="1", builtin=False, directory=folder, module="acme.plugin"
    )
    record.checks = ("ACME",)
    record.state = state  # type: ignore[assignment]
    return record


RULE = "{name: a-b, severity: warning, says: Says., why: Why., mend: Mend., example: x}"


def test_a_plugin_declares_its_rules_without_being_imported(tmp_path):
    book = RuleBook.of(Registry([plugin(tmp_path / "acme", f"schema: 1\nrules:\n  ACME101: {RULE}\n  RG101: {RULE}\n")], []))
    rule = book.find("ACME101")
    assert rule is not None
    assert (rule.plugin, rule.severity, rule.mend) == ("acme", "warning", "Mend.")
    assert book.rules["RG101"].name == "invalid-value", "a code of the registry stays its own"
    assert book.mended(Finding(rule="ACME101", message="m")).hint == "Mend."


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("rules: [1]", "'rules' maps codes to rules"),
        ("{", "not YAML"),
        ("rules: {ACME101: 3}", "must be a mapping"),
        ("rules: {ACME101: {name: a}}", "needs a text 'severity'"),
        (f"rules: {{ACME101: {RULE.replace('warning', 'fatal')}}}", "must be error or warning"),
    ],
)
def test_a_broken_table_is_noted_and_its_codes_can_still_be_named(tmp_path, table, message):
    book = RuleBook.of(Registry([plugin(tmp_path / "acme", table)], []))
    assert len(book.problems) == 1
    assert message in book.problems[0]
    assert "acme-gap 1" in book.problems[0]
    assert book.knows("ACME101")
    assert book.find("RG001") is not None


def test_codes_of_a_plugin_that_is_switched_off_are_not_called_unknown(tmp_path):
    assert not RuleBook.of(Registry([], [])).knows("ACME101")
    off = RuleBook.of(Registry([plugin(tmp_path / "acme", None, state="disabled")], []))
    assert off.knows("ACME101")
    assert not off.knows("RG999"), "those of the registry are all known"


@pytest.mark.parametrize(
    ("table", "rule", "line", "message"),
    [
        (f"schema: 1\nrules:\n  ACEM101: {RULE}\n", "RG512", 3, "'ACEM101' begins with no prefix"),
        (f"schema: 1\nrules:\n  ACME101: {RULE[:-1]}, nmae: x}}\n", "RG102", 3, "unknown key 'nmae'"),
        ("schema: 1\nrules:\n  ACME101: {}\n", "RG103", 3, "is missing in 'rules.ACME101'"),
        ("schema: 1\nrules: {\n", "RG001", 3, "not YAML"),
    ],
)
def test_check_finds_what_is_wrong_with_a_table(tmp_path, monkeypatch, table, rule, line, message):
    monkeypatch.chdir(tmp_path)
    record = plugin(tmp_path / "acme", table)
    findings = check_paths([tmp_path / "acme" / "plugin.yaml"], Registry([record], [])).findings
    found = [one for one in findings if one.rule == rule]
    assert found
    assert (found[0].path, found[0].line) == ("acme/rules.yaml", line)
    assert message in found[0].message
