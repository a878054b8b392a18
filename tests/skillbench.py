"""Skill functions as a run calls them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from typing import Any

from realitygap.context import RunContext
from realitygap.discovery import Registry
from realitygap.inputs import prepare


@cache
def registry() -> Registry:
    """Everything that is installed, found once a session."""
    return Registry.discover()


def skill_function(name: str) -> Callable[[Mapping[str, Any], RunContext], dict[str, Any]]:
    """The function of a skill, whose inputs go through the registry first: checked, with the manifest's defaults, paths resolved."""
    skill = registry().skill(name)
    module, _, attribute = str(skill.entry).partition(":")
    function = getattr(import_module(module), attribute)
    return lambda inputs, run: function(prepare(skill, inputs, registry().assets), run)
