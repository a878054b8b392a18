"""ACME101: a number that a skill puts out has a unit. Skills that come with realitygap are none of our business."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from realitygap.findings import Finding

if TYPE_CHECKING:
    from realitygap.discovery import Registry
    from realitygap.skill import Skill


def numbers_have_units(registry: Registry, skills: Sequence[Skill]) -> Iterator[Finding]:
    for skill in skills:
        if skill.builtin or skill.is_pipeline:
            continue
        for name, schema in skill.outputs.items():
            if schema.get("type") == "number" and "x-unit" not in schema:
                yield Finding.at(
                    skill.document(),
                    f"/outputs/{name}",
                    "ACME101",
                    f"output '{name}' is a number without a unit",
                    hint='add `x-unit: s`, or `x-unit: "1"` if it has none',
                    severity="warning",
                )
