"""The plugins of this distribution do what their plugin.yaml says."""

from __future__ import annotations

import pytest

from realitygap.contract import contract_findings
from realitygap.discovery import Registry

pytest.importorskip("jax", reason="the factories of the built-in components need the extra sim")

NAMES = [record.name for record in Registry.discover().plugins.values() if record.builtin]


@pytest.mark.parametrize("plugin", NAMES)
def test_a_built_in_plugin_keeps_its_contract(plugin):
    registry = Registry.discover()
    assert registry.plugins[plugin].state == "found", registry.plugins[plugin].error
    assert [one.message for one in contract_findings(registry, plugin)] == []
