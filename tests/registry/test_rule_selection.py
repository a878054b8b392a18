"""Which findings count: options, configuration, precedence."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from realitygap.check_config import CheckConfig, read_config
from realitygap.cli.execute import execute
from realitygap.findings import Finding
from realitygap.linting import CheckOptions
from realitygap.rule_selection import RuleSelection, codes

GUIDE = "---\nname: look\ndescription: Looks.\nmetadata: {trit: '0'}\nversion: 1\n---\n\nSee [x](gone.md).\n"
"""RG302 on line 5, RG308 on line 8."""


@pytest.fixture
def look(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "look").mkdir()
    (tmp_path / "look" / "SKILL.md").write_text(GUIDE)
    return tmp_path


def rules(capsys: pytest.CaptureFixture[str], *arguments: str, code: int | None = None) -> list[str]:
    got = execute(["check", "look", "--format", "json", *arguments])
    captured = capsys.readouterr()
    assert code is None or got == code, captured.err
    return [one["rule"] for one in json.loads(captured.out)["findings"]]


@pytest.mark.parametrize(
    ("select", "ignore", "counts"),
    [
        ((), (), True),
        (("TRI",), (), True),
        (("RG",), (), False),
        ((), ("TRI2",), False),
        (("ALL",), ("TRI",), False),
        (("TRI205",), ("TRI",), True),
        (("TRI",), ("TRI205",), False),
        (("TRI205",), ("TRI205",), False),
        (("TRI20", "RG"), ("TRI2",), True),
        (("ALL",), ("ALL",), False),
    ],
)
def test_the_longer_of_two_that_fit_decides_and_of_equals_ignore(select, ignore, counts):
    assert RuleSelection(select=select, ignore=ignore).admits(Finding(rule="TRI205", message="")) is counts


def test_codes_come_with_commas_or_repeated():
    assert codes(["TRI, RG3", "", "RG1,"]) == ("TRI", "RG3", "RG1")


def test_select_and_ignore_choose_what_is_reported_and_what_the_exit_code_says(look, capsys):
    assert rules(capsys, code=1) == ["RG302", "RG308"]
    assert rules(capsys, "--select", "RG308", code=1) == ["RG308"]
    assert rules(capsys, "--ignore", "RG302,RG308", code=0) == []
    assert rules(capsys, "--select", "RG302", "--ignore", "RG3", code=1) == ["RG302"]


@pytest.mark.parametrize("option", ["--select", "--ignore"])
def test_a_code_that_no_rule_has_is_a_usage_error(look, capsys, option):
    assert execute(["check", "look", option, "RG380"]) == 2
    assert f"{option}: no rule has the code or prefix 'RG380'" in capsys.readouterr().err


def test_pyproject_gives_defaults_that_options_replace(look, capsys):
    (look / "pyproject.toml").write_text('[tool.realitygap.check]\nignore = ["RG302"]\n')
    assert rules(capsys) == ["RG308"]
    assert rules(capsys, "--ignore", "RG308") == ["RG302"]
    (look / "pyproject.toml").write_text('[tool.realitygap.check]\nwarn-as-error = true\nselect = ["RG010"]\n')
    (look / "look" / "SKILL.md").write_text(GUIDE.replace("See", "<!-- realitygap: ignore[RG301] -->\nSee"))
    assert rules(capsys, code=1) == ["RG010"]


def test_patterns_ignore_by_file_relative_to_the_configuration(look, capsys, monkeypatch):
    (look / "pyproject.toml").write_text('[tool.realitygap.check.per-file-ignores]\n"look/*" = ["RG30"]\n"other/*" = ["RG"]\n')
    assert rules(capsys, code=0) == []
    (look / "pyproject.toml").write_text('[tool.realitygap.check.per-file-ignores]\n"*/SKILL.md" = ["RG302"]\n')
    assert rules(capsys) == ["RG308"]
    monkeypatch.chdir(look / "look")
    assert execute(["check", ".", "--format", "json"]) == 1
    assert [one["rule"] for one in json.loads(capsys.readouterr().out)["findings"]] == ["RG308"]


def test_the_nearest_file_with_the_table_counts(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text('[tool.realitygap.check]\nselect = ["RG"]\nbaseline = "known.json"\n')
    (tmp_path / "a" / "pyproject.toml").write_text("[project]\nname = 'realitygap-acme'\n")
    config = read_config(tmp_path / "a" / "b")
    assert config == CheckConfig(path=tmp_path / "pyproject.toml", select=("RG",), baseline=tmp_path / "known.json")
    assert read_config(Path("/")) == CheckConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("realitygap = [", "no TOML"),
        ("[tool.realitygap.check]\nslect = []", "did you mean 'select'?"),
        ("[tool.realitygap.check]\nselect = 'RG'", "'select' must be a list of codes"),
        ("[tool.realitygap.check]\nwarn-as-error = 1", "must be true or false"),
        ("[tool.realitygap.check]\nbaseline = 3", "must be the name of a file"),
        ("[tool.realitygap.check]\nper-file-ignores = ['RG']", "must be a table"),
        ("[tool.realitygap]\ncheck = 3", "must be a table"),
        ("[tool.realitygap.check]\nignore = ['RG777']", "no rule has the code or prefix 'RG777'"),
    ],
)
def test_a_wrong_configuration_is_a_usage_error_that_names_the_file(look, capsys, text, message):
    (look / "pyproject.toml").write_text(text)
    assert execute(["check", "look"]) == 2
    assert message in capsys.readouterr().err


def test_the_guide_shows_a_configuration_that_is_one(tmp_path):
    guide = (Path(__file__).resolve().parents[2] / "docs" / "checking.md").read_text()
    (block,) = re.findall(r"^```toml\n(.*?)^```", guide, re.MULTILINE | re.DOTALL)
    (tmp_path / "pyproject.toml").write_text(block)
    config = read_config(tmp_path)
    assert (config.select, config.ignore, config.warn_as_error) == (("RG", "TRI"), ("TRI205",), True)
    assert config.baseline == tmp_path / "skills-baseline.json"
    assert config.per_file_ignores == (("skills/legacy-*", ("RG302", "TRI")),)


def test_an_option_replaces_what_the_configuration_says():
    config = CheckConfig(select=("RG",), ignore=("RG1",), warn_as_error=True, baseline=Path("a"))
    assert CheckOptions.of(config).rules == RuleSelection(select=("RG",), ignore=("RG1",))
    options = CheckOptions.of(config, select=["TRI"], baseline_file=Path("b"))
    assert (options.rules.select, options.rules.ignore, options.baseline, options.warn_as_error) == (("TRI",), ("RG1",), Path("b"), True)
