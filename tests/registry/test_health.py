"""What plugins add to `skills doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from realitygap import doctor
from realitygap.discovery import Registry
from realitygap.plugin_record import PluginRecord

CODE = """
import sys
from realitygap.doctor import Item

def well(registry):
    yield Item("acme", "ok", "the bench answers")

def crashes(registry):
    yield Item("acme", "ok", "so far")
    raise RuntimeError("no bench")

def leaves(registry):
    sys.exit(3)
"""


def test_a_plugin_tells_its_health_and_one_that_fails_costs_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_health.py").write_text(CODE)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = ("crashes", "leaves", "well", "gone")
    components = tuple({"kind": "health", "name": name, "factory": f"acme_health:{name}"} for name in names)
    other = {"kind": "health", "name": "absent", "factory": "nowhere:x", "extras": ["ray-of-light"]}
    record = PluginRecord(
        name="acme", package="acme_health", distribution="acme", version="1", builtin=False, components=(*components, other)
    )
    items = {(item.name, item.state): item.text for item in doctor._of_plugins(Registry([record], []))}
    assert items["acme", "ok"] == "the bench answers"
    assert "no bench" in items["crashes", "broken"]
    assert "SystemExit" in items["leaves", "broken"]
    assert "gone" in items["gone", "broken"]
    sys.modules.pop("acme_health", None)
