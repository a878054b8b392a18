"""What an imported skill does: it has no code, so running it gives its guide."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from realitygap.discovery import Registry
from realitygap.guides import Guide
from realitygap_plugins.triads.wild_guide import first_sentence

if TYPE_CHECKING:
    from realitygap.context import RunContext


def read_guide(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """The text of the SKILL.md of the skill that is run. Raises InputError where there is none."""
    skill = Registry.discover().skill(run.skill)
    guide = Guide.load(skill.guide)
    return {"guide": guide.body.strip(), "summary": f"The guide of {skill.name}: {first_sentence(skill.summary, longest=160)}"}
