"""How a hook goes: its author is told the plugin, the replacement and the version; after that, what to implement instead."""

from __future__ import annotations

import sys
import types
import warnings
from collections.abc import Iterator
from pathlib import Path

import pluggy
import pytest

from realitygap import hooknames, hookspecs, plugin_check
from realitygap.contract import contract_findings
from realitygap.deprecation import HookDeprecation
from realitygap.discovery import Registry
from realitygap.document import parse
from realitygap.plugin_record import PluginRecord
from realitygap.plugins import PluginHost

hookspec = pluggy.HookspecMarker("realitygap")
CODE = """\
from realitygap import hookimpl

@hookimpl
def realitygap_register_rewards(register):
    pass

@hookimpl
def realitygap_before_step(run, step):
    pass
"""


def specifications() -> types.ModuleType:
    """Version 0.3 of a realitygap that is about to drop a hook, and an argument of another."""
    module = types.ModuleType("specifications")

    @hookspec(warn_on_impl=HookDeprecation(since="0.3", removed_in="0.5", instead="implement realitygap_register_components"))
    def realitygap_register_rewards(register: object) -> None: ...

    @hookspec(warn_on_impl_args={"step": HookDeprecation(since="0.3", removed_in="0.5", instead="take `steps`")})
    def realitygap_before_step(run: str, step: str, steps: object) -> None: ...

    module.__dict__.update(realitygap_register_rewards=realitygap_register_rewards, realitygap_before_step=realitygap_before_step)
    return module


WHOLE = "hook realitygap_register_rewards is deprecated since realitygap 0.3 and removed in 0.5: implement realitygap_register_components"
ARGUMENT = "argument 'step' of hook realitygap_before_step is deprecated since realitygap 0.3 and removed in 0.5: take `steps`"


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PluginRecord]:
    (tmp_path / "acme_old.py").write_text(CODE)
    monkeypatch.syspath_prepend(tmp_path)
    hooks = ("realitygap_register_rewards", "realitygap_before_step")
    yield PluginRecord(
        name="acme",
        package="acme_old",
        module="acme_old",
        distribution="acme-gap",
        version="0.3",
        builtin=False,
        hooks=hooks,
        directory=tmp_path,
    )
    sys.modules.pop("acme_old", None)


def test_the_author_is_told_plugin_replacement_and_version_at_the_line_of_the_implementation(record: PluginRecord, tmp_path: Path) -> None:
    host = PluginHost([record], strict=True, specifications=specifications())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert host.load("acme")
    assert sorted(record.deprecations) == sorted([WHOLE, ARGUMENT])
    assert record.state == "loaded", "until then it works"
    shown = {str(one.message): (Path(one.filename).name, one.lineno) for one in told if issubclass(one.category, DeprecationWarning)}
    # Once each, with the name: pluggy's own warning, which has none, is not shown beside it.
    assert shown == {
        f"plugin 'acme' (acme-gap 0.3): {WHOLE}": ("acme_old.py", 3),
        f"plugin 'acme' (acme-gap 0.3): {ARGUMENT}": ("acme_old.py", 7),
    }


def test_an_implementation_without_the_argument_that_goes_is_not_told(record: PluginRecord, tmp_path: Path) -> None:
    (tmp_path / "acme_old.py").write_text(CODE.replace("run, step", "run, steps"))
    with pytest.warns(HookDeprecation, match="register_components"):
        PluginHost([record], strict=True, specifications=specifications()).load("acme")
    assert record.deprecations == [WHOLE]


def test_the_contract_has_it_as_a_warning(record: PluginRecord) -> None:
    record.hooks = ("realitygap_before_step",)  # the contract compares what a registration hook registers, and knows nothing of this one
    registry = Registry([record], [])
    registry.host = PluginHost([record], specifications=specifications())
    with pytest.warns(HookDeprecation):
        found = [one for one in contract_findings(registry) if one.rule == "RG511"]
    assert {one.severity for one in found} == {"warning"}
    assert {one.message for one in found} == {f"plugin 'acme' (acme-gap 0.3): {text}" for text in (WHOLE, ARGUMENT)}


def test_the_static_check_says_it_too_and_of_a_hook_that_is_gone_what_to_write(
    record: PluginRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hookspecs, "realitygap_register_rewards", specifications().realitygap_register_rewards, raising=False)
    monkeypatch.setattr(plugin_check, "HOOKS", (*hooknames.HOOKS, "realitygap_register_rewards"))
    monkeypatch.setitem(hooknames.REMOVED, "realitygap_register_terms", "since 0.2; implement realitygap_register_components")
    text = "schema: 1\nname: acme\napi: 1\nmodule: acme_old\nhooks:\n- realitygap_register_rewards\n- realitygap_register_terms\n"
    found = {one.rule: one for one in plugin_check.check_plugin(record, parse(text, "plugin.yaml"))}
    assert (found["RG511"].line, found["RG511"].severity, found["RG511"].message) == (6, "warning", WHOLE)
    assert (found["RG503"].line, found["RG503"].hint) == (7, "since 0.2; implement realitygap_register_components")


def test_a_plugin_with_a_hook_that_is_gone_is_told_what_to_implement(record: PluginRecord, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(hooknames.REMOVED, "realitygap_register_rewards", "since 0.5; implement realitygap_register_components")
    host = PluginHost([record], strict=False)
    assert not host.load("acme")
    assert "'realitygap_register_rewards', which is gone: since 0.5; implement realitygap_register_components" in (record.error or "")
