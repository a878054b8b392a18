"""The type of an argument that names a skill."""

from __future__ import annotations

from typing import Any

import click

from realitygap.discovery import Registry
from realitygap.errors import Explained


class SkillName(click.ParamType):  # type: ignore[type-arg]  # not generic before click 8.2
    """Name of a skill; completed from the registry."""

    name = "name"

    def shell_complete(self, context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        try:
            skills = Registry.discover().skills
        except Explained:
            return []
        return [CompletionItem(name, help=skill.summary) for name, skill in sorted(skills.items()) if name.startswith(incomplete)]
