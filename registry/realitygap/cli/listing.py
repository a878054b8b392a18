"""The list of the skills, without click."""

from __future__ import annotations

from typing import Any

from realitygap.cli.terminal import echo, echo_json, table, warn_broken
from realitygap.discovery import Registry
from realitygap.skill import Skill


def write_list(*, as_json: bool) -> None:
    """Writes every skill: one a line, or as one JSON document."""
    registry = Registry.discover()
    skills = sorted(registry.skills.items())
    if as_json:
        echo_json([describe(name, skill, registry) for name, skill in skills])
    else:
        rows = []
        for name, skill in skills:
            extra = registry.missing_extra(skill)
            rows.append(
                (name, f"{skill.trit:+d}" if skill.trit else " 0", skill.runtime, skill.summary + (f" (needs [{extra}])" if extra else ""))
            )
        for line in table(rows, ("NAME", "TRIT", "TIME", "SUMMARY")):
            echo(line)
    warn_broken(registry)


def describe(name: str, skill: Skill, registry: Registry) -> dict[str, Any]:
    """A skill as one JSON object, without its schemas."""
    return {
        "name": name,
        "version": skill.version,
        "trit": skill.trit,
        "summary": skill.summary,
        "kind": "pipeline" if skill.is_pipeline else "skill",
        "runtime": skill.runtime,
        "effects": skill.effects,
        "plugin": skill.plugin,
        "distribution": skill.distribution,
        "extras": list(skill.extras),
        "missing_extra": registry.missing_extra(skill),
        "triads": [list(triad) for triad in skill.triads],
        "uri": skill.uri,
        "directory": str(skill.directory),
    }
