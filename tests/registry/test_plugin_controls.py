"""Which plugins take part: options, variables, strict mode, versions of the plugin API. Workers see what the program was told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from thirdparty import distribution

import realitygap
from realitygap.check import check_paths, check_registry
from realitygap.cli.execute import execute
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.plugin_record import PluginFailed
from realitygap.selection import ALLOW, DENY, SKILLS_DIR, STRICT, Selection, apply

HOOK = "from realitygap import hookimpl\n\n@hookimpl\ndef realitygap_register_checks(register):\n    register('ACME', lambda *_: [])\n"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the search path for distributions, a cache of its own, and no choice made yet."""
    monkeypatch.setenv("REALITYGAP_CACHE", str(tmp_path / "cache"))
    for name in (ALLOW, DENY, STRICT, SKILLS_DIR):
        # Set first, so that what the program sets itself is undone too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path / "site")
    before = set(sys.modules)
    yield tmp_path / "site"
    for name in set(sys.modules) - before:
        if name.partition(".")[0].endswith("_gap"):
            del sys.modules[name]


def states(capsys: pytest.CaptureFixture[str], *options: str, code: int = 0) -> dict[str, str]:
    capsys.readouterr()
    assert execute([*options, "plugins", "--json"]) == code
    return {row["name"]: row["state"] for row in json.loads(capsys.readouterr().out) if not row["builtin"] or row["name"] == "triads"}


@pytest.mark.parametrize(
    ("options", "acme", "other", "triads"),
    [
        ([], "found", "found", "found"),
        (["--plugins", "acme-gap"], "found", "disabled", "found"),
        (["--plugins=Acme_Gap,other-gap"], "found", "found", "found"),
        (["--plugins", "acme_gap", "--plugins", "other-gap"], "found", "found", "found"),
        (["--disable-plugins", "other-gap,triads"], "found", "disabled", "disabled"),
        (["--plugins", "acme-gap", "--disable-plugins", "acme-gap"], "disabled", "disabled", "found"),
        (["--no-plugins"], "disabled", "disabled", "found"),
    ],
)
def test_options_choose_the_plugins(
    site: Path, capsys: pytest.CaptureFixture[str], options: list[str], acme: str, other: str, triads: str
) -> None:
    distribution(site, "acme-gap")
    distribution(site, "other-gap")
    assert states(capsys, *options) == {"acme_gap": acme, "other_gap": other, "triads": triads}


def test_an_allow_list_given_as_option_replaces_the_variable_and_a_deny_list_adds_to_it(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("acme-gap", "other-gap", "third-gap"):
        distribution(site, name)
    monkeypatch.setenv(ALLOW, "other-gap")
    monkeypatch.setenv(DENY, "third-gap")
    found = states(capsys, "--plugins", "acme-gap,third-gap", "--disable-plugins", "triads")
    assert found == {"acme_gap": "found", "other_gap": "disabled", "third_gap": "disabled", "triads": "disabled"}
    assert (os.environ[ALLOW], os.environ[DENY]) == ("acme-gap,third-gap", "third-gap,triads"), "what is started from here sees it too"


plugin_names = st.text("abcxyz-_.", min_size=1, max_size=8)
lists = st.frozensets(plugin_names, max_size=4)


@given(st.none() | lists, lists, st.booleans(), st.lists(st.text("abc", min_size=1, max_size=4), max_size=3))
def test_a_choice_written_as_options_is_the_same_choice(
    allow: frozenset[str] | None, deny: frozenset[str], strict: bool, folders: list[str]
) -> None:
    choice = Selection(allow=allow, deny=deny, strict=strict, skills_dirs=tuple(Path("/", one) for one in folders))
    words = iter(choice.options())
    environment: dict[str, str] = {}
    apply([(word, "" if word in ("--no-plugins", "--strict-plugins") else next(words)) for word in words], environment)
    with pytest.MonkeyPatch.context() as patch:
        for name in (ALLOW, DENY, STRICT, SKILLS_DIR):
            patch.delenv(name, raising=False)
        for name, value in environment.items():
            patch.setenv(name, value)
        assert Selection.from_environment() == choice


def test_a_name_that_fits_nothing_is_refused_as_an_option_and_mentioned_in_a_variable(
    site: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    distribution(site, "acme-gap")
    for option in ("--plugins", "--disable-plugins"):
        assert execute([option, "acme-gpa", "list"]) == 2
        assert "unknown plugin 'acme-gpa'" in (told := capsys.readouterr().err)
        assert "did you mean 'acme-gap'?" in told
        for name in (ALLOW, DENY):
            monkeypatch.delenv(name, raising=False)
    assert execute(["--plugins", "zzz", "list"]) == 2
    assert "there are: acme-gap, " in (told := capsys.readouterr().err), "also where no third party has one"
    assert "entropy_ppo" in told
    assert execute(["--no-plugins", "--plugins", "acme-gap", "list"]) == 2
    assert "contradict" in capsys.readouterr().err
    monkeypatch.delenv(ALLOW)
    monkeypatch.setenv(DENY, "left-behind")
    assert execute(["list"]) == 0
    capsys.readouterr()
    assert execute(["plugins"]) == 0
    assert "called 'left-behind'" in capsys.readouterr().err
    monkeypatch.setenv(STRICT, "1")
    assert execute(["plugins"]) == 1
    assert execute(["list"]) == 3


def test_the_table_and_the_document_say_what_is_known_of_each_plugin(site: Path, capsys: pytest.CaptureFixture[str]) -> None:
    distribution(site, "acme-gap", plugin="hooks: [realitygap_register_checks]", files={"plugin.py": HOOK}, skills=("look", "peer"))
    distribution(site, "bad-gap", plugin="hooks: 3")
    assert execute(["plugins"]) == 1
    told = capsys.readouterr()
    lines = {line.split()[0]: line.split() for line in told.out.splitlines()}
    assert lines["acme_gap"] == ["acme_gap", "found", "0.3", "acme-gap", "register_checks", "2"]
    assert lines["bad_gap"][:6] == ["bad_gap", "error", "0.3", "bad-gap", "-", "0"]
    assert "'hooks' must be a list" in " ".join(lines["bad_gap"])
    assert "plugin 'bad_gap' (bad-gap 0.3): plugin.yaml: 'hooks' must be a list" in told.err
    assert "`skills --disable-plugins bad_gap ...` does without it; `pip uninstall bad-gap` removes it" in told.err
    assert execute(["plugins", "--load", "--json"]) == 1
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    row = rows["acme_gap"]
    wanted: dict[str, Any] = {
        "version": "0.3", "distribution": "acme-gap", "state": "loaded", "hooks": ["realitygap_register_checks"],
        "skills": ["look", "peer"], "error": None, "api": 1, "deprecations": [],
    }  # fmt: skip
    assert {key: row[key] for key in wanted} == wanted
    assert "'hooks' must be a list" in rows["bad_gap"]["error"]


@pytest.mark.parametrize(
    ("plugin", "files", "cause"),
    [
        ("hooks: 3", {}, "'hooks' must be a list"),
        ("api: 9", {}, "needs version 9 of the plugin API"),
        ("", {"skills/look/skill.yaml": "name: [\n"}, "look/skill.yaml:2:1"),
    ],
)
def test_strict_mode_fails_with_the_cause_where_a_plugin_is_invalid(
    site: Path, capsys: pytest.CaptureFixture[str], plugin: str, files: dict[str, str], cause: str
) -> None:
    distribution(site, "acme-gap", plugin=plugin, files=files)
    assert execute(["list"]) == 0
    capsys.readouterr()
    assert execute(["--strict-plugins", "list"]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert cause in told.err
    assert "`skills plugins` shows all of them" in told.err
    with pytest.raises(PluginFailed):
        Registry.discover()
    assert execute(["--strict-plugins", "--help"]) == 0
    assert execute(["--strict-plugins", "plugins"]) == (0 if files else 1)
    assert execute(["--strict-plugins", "--disable-plugins", "acme-gap", "list"]) == 0


def test_strict_mode_fails_where_a_plugin_cannot_be_loaded_and_otherwise_the_others_go_on(
    site: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("acme-gap", "other-gap"):
        distribution(site, name, plugin="hooks: [realitygap_register_checks]", files={"plugin.py": "raise RuntimeError('no license')"})
    (site / "look").mkdir()
    (site / "look" / "SKILL.md").write_text("---\nname: look\ndescription: Looks.\n---\nText.\n")
    assert execute(["check", str(site / "look")]) == 0, "a warning each"
    assert capsys.readouterr().out.count("RuntimeError: no license") == 2
    assert execute(["--strict-plugins", "check", str(site / "look")]) == 3
    told = capsys.readouterr().err
    assert "plugin 'acme_gap' (acme-gap 0.3): RuntimeError: no license" in told
    assert execute(["--strict-plugins", "plugins", "--load", "--json"]) == 1
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows if row["state"] == "error"] == ["acme_gap", "other_gap"], "not only the first"


@pytest.mark.parametrize(
    ("api", "message", "mend"),
    [
        (
            1,
            "written for version 1 of the plugin API, which realitygap {version} no longer has; the oldest is 2",
            "`pip install -U acme-gap`",
        ),
        (2, None, None),
        (3, None, None),
        (4, "needs version 4 of the plugin API, of a newer realitygap; realitygap {version} has version 3", "`pip install -U realitygap`"),
    ],
)
def test_a_plugin_and_a_host_that_are_too_far_apart_say_which_is_too_old(
    site: Path, monkeypatch: pytest.MonkeyPatch, api: int, message: str | None, mend: str | None
) -> None:
    from importlib.metadata import version

    monkeypatch.setattr(realitygap, "API_VERSION", 3)
    monkeypatch.setattr(realitygap, "OLDEST_API_VERSION", 2)
    distribution(site, "acme-gap", plugin=f"api: {api}", skills=("look-around",))
    registry = Registry.discover()
    record = registry.plugins["acme_gap"]
    if message is None:
        assert (record.state, record.api) == ("found", api)
        assert registry.skill("look-around").plugin == "acme_gap"
        return
    message = message.format(version=version("realitygap"))
    assert record.state == "error"
    assert message in (record.error or "")
    assert (mend or "") in record.remedy
    # Its skills are written for another version too: they are not offered, and who asks for one is told why.
    assert (record.skills, record.withheld) == ([], ["look-around"])
    with pytest.raises(InputError, match="'look-around' is not offered") as caught:
        registry.skill("look-around")
    assert message in caught.value.message
    for report in (check_registry(registry), check_paths([site / "acme_gap" / "plugin.yaml"], registry)):
        found = [one for one in report.findings if one.path.endswith("acme_gap/plugin.yaml")]
        assert [(one.rule, one.line) for one in found] == [("RG509", 3)]
        assert message in found[0].message


TELL = """\
import json
from realitygap.discovery import Registry

def run(inputs, run):
    return {"summary": json.dumps({record.name: record.state for record in Registry.discover().plugins.values()})}
"""


@pytest.mark.parametrize(
    ("options", "acme", "other"),
    [(["--disable-plugins", "acme-gap"], "disabled", "found"), (["--plugins", "tell-gap,acme-gap"], "found", "disabled")],
)
def test_a_worker_sees_the_choice_of_the_program(site: Path, tmp_path: Path, options: list[str], acme: str, other: str) -> None:
    distribution(site, "tell-gap", files={"skill.py": TELL}, skills=("tell-plugins",))
    distribution(site, "acme-gap")
    distribution(site, "other-gap")
    environment = os.environ | {"PYTHONPATH": str(site), "REALITYGAP_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-m", "realitygap.cli", *options, "run", "tell-plugins", "--json"],
        capture_output=True, text=True, timeout=120, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seen = json.loads(json.loads(done.stdout)["outputs"]["summary"])
    assert (seen["acme_gap"], seen["other_gap"], seen["tell_gap"]) == (acme, other, "found")
