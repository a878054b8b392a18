"""A collection in the wild as manifests: what each skill is called, which trit it has, which groups it declares.

Nothing is made up. A trit comes from what an author declares; where that is nothing, or two things, the manifest has none, `skills check`
says so, and the report lists it with every place. A group is declared in the manifests of its members where a claim says that it balances,
it does by what they declare, and the claim gives them no other trits; every other claim stays in the text and is listed with the reason.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realitygap.document import shown_path
from realitygap.errors import InputError
from realitygap.guide_files import GUIDES
from realitygap.guides import KEYS, NAME
from realitygap_plugins.triads.claims import Claim, SkillRecord
from realitygap_plugins.triads.collection import MANIFEST, Collection
from realitygap_plugins.triads.gf3 import signed
from realitygap_plugins.triads.surroundings import why_unknown
from realitygap_plugins.triads.verdicts import Judge
from realitygap_plugins.triads.wild_guide import WildGuide, as_text, first_sentence, read_wild_guide

UNKNOWN_VERSION = "0.0.0"
ENTRY = "realitygap_plugins.triads.guide_skill:read_guide"
"""A guide without code is run by reading it."""
LONGEST_NAME, LONGEST_SUMMARY, LONGEST_COMPATIBILITY = 64, 200, 500
_VERSION = re.compile(r"[0-9]+(\.[0-9]+){0,3}([-.+]?[A-Za-z0-9]+)*\Z")
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}\Z")


@dataclass(kw_only=True)
class Imported:
    """A skill as it will be written."""

    name: str
    source: Path
    """The guide that it comes from."""
    guide: WildGuide
    trit: int | None
    frontmatter: dict[str, Any]
    """Of the new SKILL.md: the keys of the specification, `metadata` with texts."""
    version: str | None
    summary: str | None
    color: str | None = None
    triads: list[tuple[str, ...]] = field(default_factory=list)
    unknown: dict[str, str] = field(default_factory=dict)
    """What could not be known, and why: `trit`, `version`, `description`, `license`, `color`."""
    notes: list[str] = field(default_factory=list)
    """What was worked around or renamed."""
    has_manifest: bool = False
    """It has a skill.yaml already, which stays as it is, and so does its guide."""

    def manifest(self) -> dict[str, Any]:
        """The data of its skill.yaml; what is not known is left out, but for a version, which none has no place for."""
        data: dict[str, Any] = {"schema": 1, "name": self.name, "version": self.version or UNKNOWN_VERSION}
        if self.trit is not None:
            data["trit"] = self.trit
        if self.triads:
            data["triads"] = [list(group) for group in self.triads]
        if self.color:
            data["color"] = self.color
        if self.summary:
            data["summary"] = self.summary
        return data | {"entry": ENTRY, "runtime": "quick", "effects": "none", "cache": False, "inputs": {}, "outputs": OUTPUTS}


OUTPUTS = {
    "guide": {"type": "string", "description": "The text of the guide."},
    "summary": {"type": "string"},
}


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A claim that no manifest declares."""

    claim: Claim
    reason: str


@dataclass(kw_only=True)
class Plan:
    """What an import will write, and what it leaves out."""

    skills: list[Imported] = field(default_factory=list)
    not_imported: list[tuple[str, str]] = field(default_factory=list)
    """File and why."""
    groups: dict[frozenset[str], str] = field(default_factory=dict)
    """Groups that manifests declare, each with the place of the first claim."""
    left_out: list[LeftOut] = field(default_factory=list)


def plan(collection: Collection, root: Path) -> Plan:
    """Decides what becomes of a collection below `root`; reads its guides, writes nothing. A guide that is a link out of it stays out."""
    made = Plan()
    called: dict[str, str] = {}
    taken: dict[str, tuple[str, SkillRecord]] = {}
    for record in sorted(collection.records, key=_nearness):
        source = _guide_of(record)
        if source is None:
            made.not_imported.append((record.path, f"it has a {MANIFEST} and no {GUIDES[0]}"))
            continue
        name = slug(record.name) or slug(source.parent.name)
        if not name:
            made.not_imported.append((record.path, f"'{record.name}' holds no letter or digit that a name may have"))
            continue
        if name in taken:
            made.not_imported.append((record.path, f"the name '{name}' is taken by {taken[name][1].path}"))
            called.setdefault(record.name, name)
            continue
        if not source.resolve().is_relative_to(root.resolve()):
            made.not_imported.append((record.path, "its guide is a link out of the collection"))
            continue
        try:
            guide = read_wild_guide(source)
        except InputError as error:
            made.not_imported.append((record.path, error.message))
            continue
        taken[name], called[record.name] = (record.name, record), name
        has_manifest = Path(record.path).name == MANIFEST
        made.skills.append(_imported(name, record.name, collection.by_name[record.name], guide, has_manifest))
    _settle_shared_names(made, collection, called)
    _declare_groups(made, collection, called)
    made.skills.sort(key=lambda one: one.name)
    return made


def _nearness(record: SkillRecord) -> tuple[int, bool, str]:
    """Of several skills with one name the one nearest to the root has it, before all others the one whose folder is called so: a deeper
    one is a copy in somebody's own folder."""
    return record.path.count("/"), Path(record.path).parent.name != record.name, record.path


def slug(text: str) -> str:
    """A name by the rules of Agent Skills, as near to the text as they allow; empty where nothing is left."""
    if NAME.match(text) and len(text) <= LONGEST_NAME:
        return text
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:LONGEST_NAME].rstrip("-")


def _guide_of(record: SkillRecord) -> Path | None:
    path = Path(record.path)
    if path.name != MANIFEST:
        return path
    return next((guide for guide in (path.with_name(one) for one in GUIDES) if guide.is_file()), None)


def _imported(name: str, written: str, record: SkillRecord, guide: WildGuide, has_manifest: bool) -> Imported:
    one = Imported(name=name, source=guide.path, guide=guide, trit=record.trit, frontmatter={}, version=None, summary=None)
    if has_manifest:
        one.has_manifest, one.notes = True, [f"it has a {MANIFEST}, which stays as it is"]
        return one
    one.notes += guide.problems
    if written != name:
        one.notes.append(f"called '{written}' there, which no skill may be called")
    if guide.path.name != GUIDES[0]:
        one.notes.append(f"its guide is called {guide.path.name} there")
    if record.trit is None:
        one.unknown["trit"] = why_unknown(record)
    _describe(one)
    _version_of(one)
    _color_of(one)
    return one


def _describe(one: Imported) -> None:
    """Fills in the frontmatter: the six keys where they hold what they should, everything else under `metadata` as text."""
    guide, kept = one.guide, dict[str, Any](name=one.name)
    rest = {key: value for key, value in guide.values.items() if key not in ("name", "metadata")}
    description = guide.text("description")
    if description is None:
        one.unknown["description"] = "no description is given"
    else:
        kept["description"] = " ".join(description.split())
        one.summary = first_sentence(description, longest=LONGEST_SUMMARY)
        rest.pop("description")
    for key in ("license", "compatibility", "allowed-tools"):
        value = rest.get(key)
        if key == "allowed-tools" and isinstance(value, list) and all(isinstance(tool, str) for tool in value):
            value = " ".join(value)
        if isinstance(value, str) and value.strip() and not (key == "compatibility" and len(value) > LONGEST_COMPATIBILITY):
            kept[key] = value.strip()
            rest.pop(key)
    if "license" not in kept:
        one.unknown["license"] = "no licence is given"
    metadata: dict[str, str] = {}
    for key, value in {**rest, **guide.metadata}.items():
        text = as_text(value)
        # Both may have a key; what the author put under `metadata` has it, and the other stays readable too.
        if key in metadata and metadata[key] != text:
            metadata[f"frontmatter-{key}"] = metadata[key]
        metadata[f"frontmatter-{key}" if key in KEYS else key] = text
    if "metadata" in guide.values and not isinstance(guide.values["metadata"], Mapping):
        metadata["frontmatter-metadata"] = as_text(guide.values["metadata"])
    one.frontmatter = {**kept, "metadata": metadata}
    stated = metadata.pop("trit", None)
    if one.trit is not None:
        metadata["trit"] = signed(one.trit)
    elif stated is not None:
        metadata["stated-trit"] = stated


def _version_of(one: Imported) -> None:
    metadata = one.frontmatter["metadata"]
    stated = metadata.pop("version", "").strip()
    if _VERSION.match(stated):
        one.version = metadata["version"] = stated
    else:
        one.unknown["version"] = f"'{stated}' is no version" if stated else "no version is given"
        if stated:
            metadata["stated-version"] = stated


def _color_of(one: Imported) -> None:
    """The colour by which the guide itself names the skill, if it is one. It identifies, and decides nothing."""
    found = {match[1].upper() for match in re.finditer(rf"skill://{re.escape(one.name)}(#[0-9A-Fa-f]{{6}})\b", one.guide.body)}
    stated = str(one.frontmatter["metadata"].get("color", "")).strip()
    if _COLOR.match(stated):
        found.add(stated.upper())
    if len(found) == 1:
        one.color = found.pop()
    elif found:
        one.unknown["color"] = "several colours are stated: " + ", ".join(sorted(found))


def _settle_shared_names(made: Plan, collection: Collection, called: Mapping[str, str]) -> None:
    """Names that differ only in what no name may have are one skill here; where they declare different trits it has none."""
    spelled: dict[str, set[str]] = {}
    for written, name in called.items():
        spelled.setdefault(name, set()).add(written)
    for one in made.skills:
        trits = {collection.by_name[written].trit for written in spelled[one.name]}
        if len(trits) > 1 and one.trit is not None and not one.has_manifest:
            told = ", ".join(
                f"{written} {signed(trit) if trit is not None else 'none'}" for written, trit in _trits(spelled[one.name], collection)
            )
            one.trit, one.unknown["trit"] = None, f"spelled differently it is stated differently: {told}"
            one.frontmatter["metadata"]["stated-trit"] = one.frontmatter["metadata"].pop("trit")


def _trits(names: Iterable[str], collection: Collection) -> list[tuple[str, int | None]]:
    return [(name, collection.by_name[name].trit) for name in sorted(names)]


def _declare_groups(made: Plan, collection: Collection, called: Mapping[str, str]) -> None:
    skills = {one.name: one for one in made.skills}
    judge = Judge(collection.by_name)
    for claim in collection.claims:
        if not claim.named:
            continue  # a sum of numbers says nothing of anybody
        members = tuple(called.get(name, name) for name in claim.names)
        group = frozenset(members)
        if reason := _why_not(claim, members, skills, judge):
            made.left_out.append(LeftOut(claim=claim, reason=reason))
        elif group not in made.groups:
            made.groups[group] = claim.place
            for name in group:
                if not skills[name].has_manifest:
                    skills[name].triads.append(tuple(sorted(group)))
    for one in made.skills:
        one.triads.sort()


def _why_not(claim: Claim, members: Sequence[str], skills: Mapping[str, Imported], judge: Judge) -> str | None:
    """Why no manifest declares this group, or None."""
    if claim.injected:
        return "it stands in a block written by a tool"
    if placeholders := [member.name for member in claim.members if member.placeholder]:
        return f"{', '.join(placeholders)} is a placeholder"
    if len(set(members)) < len(members) or len(members) < 2:
        return "it names a member twice" if len(members) > 1 else "it names one member"
    if missing := [name for name in members if name not in skills]:
        return f"not a skill of this collection: {', '.join(missing)}"
    if without := [name for name in members if skills[name].trit is None]:
        return f"no trit is known of {', '.join(without)}"
    verdict = judge.judge(claim)
    if verdict.by_declared != "balanced":
        return f"it does not balance: {verdict.reason}"
    if verdict.truth == "false" or verdict.consistency == "contradicted":
        return f"the text says otherwise than the members declare: {verdict.reason}"
    return None


def shown(path: Path, root: Path) -> str:
    """A file as the report names it: relative to the collection, so that the report says the same wherever it lies."""
    try:
        return path.resolve().relative_to(root.resolve()).as_posix()
    except ValueError:
        return shown_path(path)
