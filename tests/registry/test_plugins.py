"""Loading plugins: one by one, and what is wrong with one stays with it."""

from __future__ import annotations

import itertools
import sys
import threading
from pathlib import Path

import pytest

from realitygap.components import Catalog, ComponentError, load_object
from realitygap.contract import contract_findings
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.plugin_record import PluginRecord
from realitygap.plugins import PluginFailed, PluginHost

GOOD = """\
from realitygap import hookimpl

@hookimpl
def realitygap_register_checks(register):
    register("ACME", lambda registry, skills: [])
"""

numbers = itertools.count()


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A plugin record whose module holds the code given."""
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)

    def record(code: str, hooks: tuple[str, ...] = ("realitygap_register_checks",), **fields) -> PluginRecord:
        name = f"acme{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(code)
        return PluginRecord(
            name=name,
            package=name,
            distribution="acme-gap",
            version="0.3",
            builtin=False,
            directory=Path(tmp_path),
            module=name,
            hooks=hooks,
            **fields,
        )

    yield record
    for module in set(sys.modules) - before:
        if module.startswith("acme"):
            del sys.modules[module]


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("raise RuntimeError('no license')", "RuntimeError: no license"),
        ("import no_such_module_x", "ModuleNotFoundError: No module named 'no_such_module_x'"),
        ("import sys; sys.exit(3)", "called sys.exit(3) at import"),
        ("def f(:", "SyntaxError"),
        ("import time\ntry:\n    time.sleep(60)\nexcept Exception:\n    pass", "did not end in 0.5 s"),
        ("while True: pass", "did not end in 0.5 s"),
        (
            GOOD.replace("_checks", "_cheks"),
            "implements hook 'realitygap_register_cheks', which does not exist; did you mean 'realitygap_register_checks'",
        ),
        (GOOD.replace("(register)", "(registry)"), "PluginValidationError"),
        ("x = 1", "plugin.yaml declares hook 'realitygap_register_checks', which"),
    ],
)
def test_a_hostile_plugin_is_an_error_with_its_cause_and_the_others_go_on(make, code, cause):
    bad, good = make(code), make(GOOD)
    host = PluginHost([bad, good], timeout_s=0.5, strict=False)
    assert [record.name for record, _ in host.collect("realitygap_register_checks")] == [good.name]
    assert bad.state == "error"
    assert cause in (bad.error or "")
    assert good.state == "loaded"
    assert bad.name in bad.remedy
    assert "pip uninstall acme-gap" in bad.remedy
    assert host.load(bad.name) is False, "it is not tried again"


def test_a_hanging_import_is_given_up_outside_the_main_thread_too(make):
    bad, good = make("import time; time.sleep(60)"), make(GOOD)
    host = PluginHost([bad, good], timeout_s=0.3, strict=False)
    thread = threading.Thread(target=lambda: [host.load(one.name) for one in (bad, good)])
    thread.start()
    thread.join(20)
    assert not thread.is_alive()
    assert (bad.state, good.state) == ("error", "loaded")


def test_the_alarm_of_others_survives(make):
    import signal

    rang = []
    previous = signal.signal(signal.SIGALRM, lambda *_: rang.append(1))
    left = signal.setitimer(signal.ITIMER_REAL, 500)
    try:
        PluginHost([record := make(GOOD)], timeout_s=5, strict=False).load(record.name)
        assert 400 < signal.getitimer(signal.ITIMER_REAL)[0] <= 500
    finally:
        signal.signal(signal.SIGALRM, previous)
        signal.setitimer(signal.ITIMER_REAL, *left)
    assert rang == []


def test_strict_mode_raises_with_plugin_distribution_cause_and_remedy(make, monkeypatch):
    monkeypatch.setenv("REALITYGAP_STRICT_PLUGINS", "1")
    bad = make("raise RuntimeError('no license')")
    with pytest.raises(PluginFailed, match=f"plugin '{bad.name}' \\(acme-gap 0.3\\): RuntimeError: no license") as caught:
        PluginHost([bad]).load(bad.name)
    assert f"skills --disable-plugins {bad.name}" in (caught.value.hint or "")


def test_what_raises_in_a_registration_hook_is_isolated(make):
    bad = make(GOOD.replace('register("ACME"', 'register("ACME", print); 1 / 0; register("B"'))
    wrong = make(GOOD.replace('register("ACME", ', "register("))
    good = make(GOOD)
    host = PluginHost([bad, wrong, good], strict=False)
    assert [record.name for record, _ in host.collect("realitygap_register_checks")] == [good.name]
    assert "ZeroDivisionError" in (bad.error or "")
    assert "register(rule_prefix, function)" in (wrong.error or "")
    assert "1 / 0" in (bad.traceback or ""), "the traceback is kept"


def test_observers_that_fail_are_reported_and_stay(make):
    code = "from realitygap import hookimpl\nseen = []\n@hookimpl\n"
    code += "def realitygap_before_step(step):\n    seen.append(step)\n    raise ValueError(step)\n"
    record = make(code, hooks=("realitygap_before_step",))
    host = PluginHost([record], strict=False)
    for _ in range(2):
        (failure,) = host.notify("realitygap_before_step", run="r", step="train", skill="s", inputs={})
        assert "ValueError: train" in failure
    assert record.state == "loaded"
    assert sys.modules[record.module].seen == ["train", "train"]


def test_what_a_plugin_prints_stays_off_stdout(make, capsys):
    record = make("print('hello')\n" + GOOD)
    PluginHost([record], strict=False).load(record.name)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "hello\n"


def test_an_optional_hook_of_a_newer_host_is_no_error(make):
    record = make(GOOD + "\n@hookimpl(optionalhook=True)\ndef realitygap_of_tomorrow(x):\n    pass\n")
    assert PluginHost([record], strict=False).load(record.name)
    assert record.notes == ["implements realitygap_of_tomorrow, which plugin.yaml does not declare"]


def test_a_plugin_is_not_imported_for_a_hook_that_it_does_not_declare(make):
    record = make("raise RuntimeError", hooks=())
    host = PluginHost([record], strict=True)
    assert host.collect("realitygap_register_checks") == []
    assert record.state == "found"


# Components


def component(name: str = "foot_clearance", factory: str = "json:dumps", **fields) -> dict:
    parameters = {"height": {"type": "number", "minimum": 0, "x-unit": "m"}, "gain": {"type": "number", "default": 1.0}}
    return {"kind": "observation", "name": name, "factory": factory, "parameters": parameters, **fields}


@pytest.fixture
def catalog(make) -> Catalog:
    one = make(
        "",
        hooks=(),
        components=(component(), component("lost", "no_such_module_x:f"), component("gone", "json:dmps"), component("jax_term", "jaxx:f")),
    )
    two = make("", hooks=(), components=(component("shared"),))
    three = make("", hooks=(), components=(component("shared"),))
    three.distribution = "other-gap"
    return Catalog(Registry([one, two, three], []))


def test_a_component_is_found_checked_and_loaded_by_name(catalog):
    import json

    assert catalog.names("observation") == ["acme-gap/shared", "foot_clearance", "gone", "jax_term", "lost", "other-gap/shared"]
    assert catalog.check("observation", "foot_clearance", {"height": 0.1}) == {"height": 0.1, "gain": 1.0}
    assert catalog.load("observation", "foot_clearance") is json.dumps


@pytest.mark.parametrize(
    ("name", "parameters", "message", "hint", "pointer"),
    [
        ("foot_clearence", {}, "unknown observation 'foot_clearence'", "did you mean 'foot_clearance'?", "/observations/0"),
        ("shared", {}, "claimed by 'acme-gap' and 'other-gap'", "acme-gap/shared", "/observations/0"),
        ("foot_clearance", {}, "'height' is missing", None, "/observations/0/height"),
        ("foot_clearance", {"height": -1}, "'height' must be at least 0 m, not -1", None, "/observations/0/height"),
        ("foot_clearance", {"height": 1, "hight": 2}, "unknown key 'hight'", "did you mean 'height'?", "/observations/0/hight"),
    ],
)
def test_a_wrong_component_is_an_error_with_its_pointer(catalog, name, parameters, message, hint, pointer):
    with pytest.raises(ComponentError) as caught:
        catalog.check("observation", name, parameters, pointer="/observations/0")
    assert message in caught.value.message
    assert hint is None or hint in (caught.value.hint or "")
    assert caught.value.pointer == pointer


def test_a_factory_that_is_not_there_is_explained(catalog):
    with pytest.raises(ComponentError, match="module 'no_such_module_x' is not installed"):
        catalog.load("observation", "lost")
    with pytest.raises(ComponentError, match="'dmps'") as caught:
        catalog.load("observation", "gone")
    assert caught.value.hint == "did you mean 'dumps'?"
    with pytest.raises(InputError, match="unknown attribute"):
        load_object("json:nope_nope")


def test_the_contract_finds_what_code_and_manifest_disagree_about(make):
    code = """\
from realitygap import hookimpl
import json

@hookimpl
def realitygap_register_components(register):
    register("observation", "foot_clearance", json.loads)
    register(kind="observation", name="extra", factory=json.dumps)
"""
    record = make(code, hooks=("realitygap_register_components",), components=(component(), component("silent")))
    messages = [one.message for one in contract_findings(Registry([record], []))]
    assert any("another factory than 'json:dumps'" in one for one in messages)
    assert any("registers observation 'extra', which plugin.yaml does not declare" in one for one in messages)
    assert any("declares observation 'silent', which realitygap_register_components does not register" in one for one in messages)
    assert len(messages) == 3


def test_the_contract_is_silent_where_they_agree(make):
    code = "from realitygap import hookimpl\nimport json\n@hookimpl\n"
    code += "def realitygap_register_components(register):\n    register('observation', 'foot_clearance', json.dumps)\n"
    record = make(code, hooks=("realitygap_register_components",), components=(component(),))
    assert list(contract_findings(Registry([record], []))) == []


@pytest.mark.parametrize("kind", ["reader", "executor"])
def test_the_contract_holds_for_kinds_with_a_hook_of_their_own(make, kind):
    hook = f"realitygap_register_{kind}s"
    code = f"from realitygap import hookimpl\nimport json\n@hookimpl\ndef {hook}(register):\n    register('one', json.loads)\n"
    declared = tuple({**component(name), "kind": kind} for name in ("one", "other"))
    messages = [one.message for one in contract_findings(Registry([make(code, hooks=(hook,), components=declared)], []))]
    assert len(messages) == 2
    assert any("another factory than 'json:dumps'" in one for one in messages)
    assert any(f"declares {kind} 'other', which {hook} does not register" in one for one in messages)
