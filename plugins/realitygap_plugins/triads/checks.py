"""The GF(3) rules of `skills check`.

`rules.yaml` says what each code means. Here are those for the groups of a skill.yaml. Those for guides, with a skill.yaml beside them or
without, and for other Markdown files are in `collection_checks`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from realitygap.document import shown_path
from realitygap.errors import InputError, nearest
from realitygap.findings import Finding
from realitygap_plugins.triads.claims import Declaration, SkillRecord, repeated
from realitygap_plugins.triads.collection_checks import check_collection, read_paths
from realitygap_plugins.triads.gf3 import advice, balanced_residue, is_balanced, signed

if TYPE_CHECKING:
    from realitygap.discovery import Registry
    from realitygap.document import Document
    from realitygap.skill import Skill


def check_triads(registry: Registry, skills: Sequence[Skill], paths: Sequence[Path] = ()) -> Iterator[Finding]:
    """Findings on what these skills, and the guides without a manifest in `paths`, declare and say about trits."""
    for skill in skills:
        try:
            document = skill.document()
        except InputError:
            continue  # the schema's finding
        if not skill.triads:
            yield Finding.at(
                document,
                "/name",
                "TRI205",
                f"{skill.name} is in no group",
                severity="warning",
                hint=f"declare a group of skills used together, for example `triads: [[{skill.name}, ...]]`; it needs {_wanted(skill)}",
            )
        for index, group in enumerate(skill.triads):
            yield from check_group(registry, skill, document, index, group)
    # A name that belongs to another is said with its distribution.
    folders = {skill.directory: skill.name if registry.skills.get(skill.name) is skill else skill.qualified_name for skill in skills}
    if (collection := read_paths(paths, folders)) is not None:
        yield from check_collection(collection, {name: _record(name, skill) for name, skill in registry.skills.items()})


def check_group(registry: Registry, skill: Skill, document: Document, index: int, group: Sequence[str]) -> Iterator[Finding]:
    """TRI201, 202, 204 and 206 for one group of a manifest."""
    pointer = f"/triads/{index}"
    members = {name: found for name in group if (found := _find(registry, name)) is not None}
    for place, name in enumerate(group):
        if name not in members:
            close = nearest(name, registry.skills)
            hint = f"did you mean '{close}'?" if close else "`skills list` shows what there is"
            yield Finding.at(document, f"{pointer}/{place}", "TRI202", f"no skill '{name}'", hint=hint)
    if twice := repeated(list(group)):
        yield Finding.at(document, pointer, "TRI204", f"{', '.join(twice)} is named twice", hint="name each member once")
    if skill.name not in group and skill.qualified_name not in group:
        yield Finding.at(
            document,
            pointer,
            "TRI204",
            f"the group does not contain {skill.name}",
            hint=f"add {skill.name}, or declare the group with a member",
        )
    if len(members) == len(group):
        trits = {name: member.trit for name, member in members.items()}
        if not is_balanced([trits[name] for name in group]):
            total = sum(trits[name] for name in group)
            terms = " ".join(f"{name} {signed(trits[name])}" for name in group)
            residue = signed(balanced_residue(total))
            others = {name: one.trit for name, one in registry.skills.items()}
            yield Finding.at(
                document, pointer, "TRI201", f"the group sums to {residue}, not 0, modulo 3: {terms}", hint=advice(trits, others)
            )
    for name, member in members.items():
        if member.name == skill.name or member.distribution != skill.distribution or skill.name not in group:
            continue
        if not any(set(theirs) == set(group) for theirs in member.triads):
            shown = f"[{', '.join(group)}]"
            yield Finding.at(
                document, pointer, "TRI206", f"{name} does not declare this group", severity="warning", hint=f"add {shown} to its triads"
            )


@dataclass(frozen=True, kw_only=True)
class _InManifest(Declaration):
    """A trit of a registered skill. Its line is looked up only where a message names it."""

    skill: Skill

    @property
    def place(self) -> str:
        try:
            line, _ = self.skill.document().locate("/trit")
        except InputError:
            line = self.line
        return f"{self.path}:{line}"


def _record(name: str, skill: Skill) -> SkillRecord:
    path = shown_path(skill.manifest)
    told = _InManifest(source="skill.yaml", trit=skill.trit, text=signed(skill.trit), path=path, line=1, skill=skill)
    return SkillRecord(name=name, path=path, declarations=(told,))


def _find(registry: Registry, name: str) -> Skill | None:
    try:
        return registry.skill(name)
    except InputError:
        return None


def _wanted(skill: Skill) -> str:
    return f"trits that sum to {signed(balanced_residue(-skill.trit))} beside it"
