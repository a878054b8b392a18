"""The GF(3) rules of `skills check`.

`rules.yaml` says what each code means. TRI210 to TRI219 (`collection_checks`) are about Agent Skills without a skill.yaml, and about
Markdown files beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from realitygap.document import shown_path
from realitygap.errors import InputError, nearest
from realitygap.findings import Finding
from realitygap.sources import lines_of
from realitygap_plugins.triads.claims import Declaration, SkillRecord, repeated
from realitygap_plugins.triads.collection import read_folder
from realitygap_plugins.triads.collection_checks import check_collection, cut_findings, read_paths
from realitygap_plugins.triads.gf3 import advice, balanced_residue, is_balanced, signed
from realitygap_plugins.triads.verdicts import Judge

if TYPE_CHECKING:
    from realitygap.discovery import Registry
    from realitygap.document import Document
    from realitygap.skill import Skill

_URI = re.compile(r"skill://(?P<name>[A-Za-z0-9._/-]+)(?P<color>#[0-9A-Fa-f]{6})?")


def check_triads(registry: Registry, skills: Sequence[Skill], paths: Sequence[Path] = ()) -> Iterator[Finding]:
    """Findings on what these skills, and the guides without a manifest in `paths`, declare and say about trits."""
    known = {name: _record(name, skill) for name, skill in registry.skills.items()}
    judge = Judge(known)
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
        yield from check_guide(skill, judge)
    if (collection := read_paths(paths, [skill.directory for skill in skills])) is not None:
        yield from check_collection(collection, known)


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


def check_guide(skill: Skill, judge: Judge) -> Iterator[Finding]:
    """TRI203, 207, 208, 209 and 213 for what SKILL.md says."""
    try:
        reading = read_folder(skill.directory)
    except InputError:
        return
    for told in reading.record.declarations if reading.record else ():
        if told.source != "body" or told.trit == skill.trit:
            continue
        problem = told.problem or f"SKILL.md says {signed(told.trit or 0)}, skill.yaml says {signed(skill.trit)}"
        yield Finding(
            rule="TRI203", message=problem, path=told.path, line=told.line, hint="say the same in both, or leave it out of the text"
        )
    yield from _uris(skill)
    yield from cut_findings(reading.cuts)
    for claim in reading.claims:
        if claim.form == "manifest" or claim.injected:
            continue
        verdict = judge.judge(claim)
        if verdict.truth == "false":
            message = f"{claim.text}: {verdict.why}"
            yield Finding(rule="TRI208", message=message, path=claim.path, line=claim.line, hint=verdict.mend, places=verdict.places)
        elif verdict.contradictions:
            yield Finding(rule="TRI209", message="; ".join(verdict.contradictions), path=claim.path, line=claim.line, places=verdict.places)


def _uris(skill: Skill) -> Iterable[Finding]:
    """A colour names a skill and decides nothing, so that a wrong one is a warning."""
    try:
        lines = lines_of(skill.guide.read_text("utf-8", "replace"))
    except OSError:
        return
    for number, line in enumerate(lines, start=1):
        for match in _URI.finditer(line):
            if match["name"] == skill.name and match["color"] and match["color"].lower() != (skill.color or "").lower():
                own = f"the skill's colour is {skill.color}" if skill.color else "the skill has no colour"
                yield Finding(
                    rule="TRI207",
                    message=f"{match[0]}: {own}",
                    path=shown_path(skill.guide),
                    line=number,
                    column=match.start() + 1,
                    width=len(match[0]),
                    severity="warning",
                    hint=f"write {skill.uri}",
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
