"""docs/hooks.md and the hook specifications say the same, and what the page shows works."""

from __future__ import annotations

import inspect
import os
import re
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hookdocs
import pytest

from realitygap import hookspecs
from realitygap.discovery import Registry
from realitygap.findings import Finding
from realitygap.hooknames import HOOKS
from realitygap.plugin_record import PluginRecord
from realitygap.plugins import PluginHost

OBSERVED: dict[str, Any] = {
    "run": "2026-01-01", "step": "train", "skill": "train-policy", "inputs": {}, "outputs": {}, "seconds": 1.5,
    "error": {"message": "no joint 'hip_l'", "where": "robot.xml:3:5", "hint": None},
}  # fmt: skip


def documented() -> dict[str, tuple[str, str]]:
    """Name of each hook in the page to its signature and its example; read without the code that wrote them."""
    page = hookdocs.PAGE.read_text("utf-8")
    found = re.findall(r"^### (realitygap_\w+)\n+```python\n(.*?)```\n(.*?)```python\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    assert len({name for name, *_ in found}) == len(found)
    for name, _, text, _ in found:
        assert len(text.strip()) > 40, f"{name} is not described"
    return {name: (signature, example) for name, signature, _, example in found}


def test_the_page_is_what_the_specifications_say() -> None:
    if os.environ.get("REALITYGAP_RENEW_HOOKS"):
        hookdocs.PAGE.write_text(hookdocs.written(), "utf-8")
    assert hookdocs.PAGE.read_text("utf-8") == hookdocs.written(), "REALITYGAP_RENEW_HOOKS=1 writes it anew"


def test_the_page_has_every_hook_with_its_arguments() -> None:
    pages = documented()
    assert set(pages) == set(HOOKS) == {name for name in dir(hookspecs) if name.startswith("realitygap_")}
    for name, (signature, _) in pages.items():
        shown = re.match(rf"{name}\((.*)\)$", signature.split("\n")[0])
        assert shown, name
        arguments = re.findall(r"(\w+):", shown[1])
        assert arguments == list(inspect.signature(getattr(hookspecs, name)).parameters), name


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the search path, and the package `acme_gap` that the examples import from: whatever is asked of it is there."""

    class Anything(types.ModuleType):
        def __getattr__(self, name: str) -> Any:
            if name.startswith("__"):
                raise AttributeError(name)
            return type(name, (), {})

    before = set(sys.modules)
    for name in ("acme_gap", "acme_gap.commands", "acme_gap.terms", "acme_gap.readers", "acme_gap.slurm"):
        monkeypatch.setitem(sys.modules, name, Anything(name))
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("documented_"):
            del sys.modules[name]


@pytest.mark.parametrize("hook", HOOKS)
def test_the_example_of_the_page_registers_and_does_what_it_says(hook: str, acme: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prelude = "import sys\nfrom realitygap import hookimpl\nfrom realitygap.findings import Finding\ntold = []\n"
    prelude += "def gauge(*values, **names): told.append(values)\n\ndef notify(*values): told.append(values)\n\n"
    module = f"documented_{hook}"
    (acme / f"{module}.py").write_text(prelude + documented()[hook][1])
    record = PluginRecord(
        name="acme", package=module, module=module, distribution="acme-gap", version="0.3", builtin=False, hooks=(hook,), directory=acme
    )
    host = PluginHost([record], strict=True)
    assert host.load("acme"), record.error
    assert record.notes == record.deprecations == []
    if not hook.startswith("realitygap_register_"):
        arguments = {name: OBSERVED[name] for name in inspect.signature(getattr(hookspecs, hook)).parameters}
        assert host.notify(hook, **arguments) == []
        assert sys.modules[module].told or "train" in capsys.readouterr().err, "it tells somebody"
        return
    calls = [call for _, call in host.collect(hook)]
    assert calls, "it registers something"
    if hook == "realitygap_register_checks":
        ((prefix, function),) = calls
        registry = Registry.discover()
        findings = list(function(registry, registry.every_skill))
        assert all(isinstance(one, Finding) and one.rule.startswith(prefix) for one in findings)
        assert findings, "some built-in output has no unit, so the rule of the example finds it"
