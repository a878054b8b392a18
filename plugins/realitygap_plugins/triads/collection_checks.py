"""The rules for guides, be they of a skill.yaml, Agent Skills or a collection in the wild, and for other Markdown files beside them."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from realitygap.errors import nearest
from realitygap.findings import Finding
from realitygap.guide_files import Spellings
from realitygap_plugins.triads.claims import Claim, Cut, SkillRecord
from realitygap_plugins.triads.collection import Collection, beside, collect, survey
from realitygap_plugins.triads.gf3 import signed
from realitygap_plugins.triads.uris import SkillUri, collisions, colors_by_name, own_color
from realitygap_plugins.triads.verdicts import Judge, Verdict

MAX_SHOWN = 160
"""Characters of a claim that a message quotes."""


def read_paths(paths: Sequence[Path], manifests: Mapping[Path, str]) -> Collection | None:
    """The collection of the skills with a manifest and of the guides without one in these folders and files; None where there is nothing.

    Other Markdown files are read only beside guides without a manifest: a registry's own documentation makes no claims about it.

    Args:
        paths: where guides without a manifest are looked for.
        manifests: the folders of skills with one, and what the skills are called.
    """
    spellings = Spellings(manifests)
    # Without another spelling every folder is called as it was found.
    called = spellings.first if manifests or len(paths) > 1 else None
    folders: dict[Path, Sequence[str]] = dict.fromkeys(manifests, ())
    documents: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found, others = survey(path)
            if called:
                found = {folder: names for one, names in found.items() if (folder := called(one)) not in manifests}
                others = [called(one.parent) / one.name for one in others]
            folders |= found
            if found:
                documents |= dict.fromkeys(others)
        elif path.name.lower() == "skill.md" and (folder := called(path.parent) if called else path.parent) not in manifests:
            folders[folder] = ()
    return collect(folders, documents, manifests) if folders else None


def check_collection(collection: Collection, known: Mapping[str, SkillRecord]) -> Iterator[Finding]:
    """Findings on a collection. A claim may also name skills in the folders beside it, and `known` ones, such as those installed."""
    skills = {**known, **beside(collection), **collection.by_name}
    for record in collection.records:
        yield from declarations(record)
    yield from _copies(collection)
    yield from cut_findings(collection.cuts)
    judge, similar = Judge(skills, own=collection.by_name), Similar(skills)
    alone = len(collection.records) < 2
    for claim in collection.claims:
        if claim.source != "manifest":
            yield from claim_findings(judge.judge(claim), similar, alone=alone)
    yield from address_findings(collection.uris, skills, alone=alone)
    yield from _color_findings(collection)


class Similar:
    """Names that another was probably meant to be. Only names with the same two letters at the beginning are compared, of which there are
    few: a collection names hundreds of skills that it does not have."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = names
        self._found: dict[str, str | None] = {}

    @cached_property
    def _by_beginning(self) -> dict[str, list[str]]:
        beginnings: dict[str, list[str]] = {}
        for name in sorted(self._names):
            beginnings.setdefault(name[:2].lower(), []).append(name)
        return beginnings

    def to(self, name: str) -> str | None:
        """The most similar name, None where none is similar. `waddington` is short for `waddington-landscape`."""
        if name not in self._found:
            candidates = self._by_beginning.get(name[:2].lower(), [])
            longer = next((one for one in candidates if one.startswith((f"{name}-", f"{name}_")) or name.startswith(f"{one}-")), None)
            # Of a thousand names with one beginning the nearest in the alphabet are enough.
            at = bisect_left(candidates, name)
            self._found[name] = longer or nearest(name, candidates[max(0, at - 20) : at + 20])
        return self._found[name]


def declarations(record: SkillRecord) -> Iterator[Finding]:
    """TRI203, 210, 211, 212: what a skill says of its own trit. What the frontmatter says beside a skill.yaml is RG311."""
    in_manifest = any(told.source == "skill.yaml" for told in record.declarations)
    declared = [told for told in record.declarations if not in_manifest or told.source not in ("skill.yaml", "metadata.trit")]
    for told in declared:
        if told.problem:
            yield Finding(rule="TRI203", message=f"{record.name}: {told.problem}", path=told.path, line=told.line, hint="write -1, 0 or +1")
    authored = record.authored
    strongest = record.declared
    for told in authored[1:]:
        if strongest is None or told.trit == strongest.trit or told not in declared:
            continue
        if in_manifest:
            yield Finding(
                rule="TRI203",
                message=f"{os.path.basename(told.path)} says {signed(told.trit or 0)}, skill.yaml says {signed(strongest.trit or 0)}",
                path=told.path,
                line=told.line,
                hint="say the same in both, or leave it out of the text",
            )
        else:
            yield Finding(
                rule="TRI210",
                message=f"{record.name} declares {signed(told.trit or 0)} here and {signed(strongest.trit or 0)} at {strongest.place}",
                path=told.path,
                line=told.line,
                places=(strongest.place,),
                hint=f"say the same in both; '{strongest.source}' is the stronger place, but until they agree the trit counts as unknown",
            )
    injected = [told for told in record.declarations if told.source == "injected" and told.trit is not None]
    for told in injected:
        if told.trit not in record.authored_values:
            here = signed(told.trit or 0)
            if strongest is not None:
                message = (
                    f"{record.name} declares {signed(strongest.trit or 0)} at {strongest.place}; a block written by a tool says {here}"
                )
            else:
                message = f"only a block written by a tool gives {record.name} a trit, {here}, which does not count"
            places = (strongest.place,) if strongest else ()
            yield Finding(rule="TRI211", message=message, path=told.path, line=told.line, severity="warning", hint=_DECLARE, places=places)
    if not authored and not injected and not record.unread and not any(told.problem for told in record.declarations):
        yield Finding(rule="TRI212", message=f"{record.name} declares no trit", path=record.path, severity="warning", hint=_DECLARE)


_DECLARE = 'declare it in the frontmatter: metadata: {trit: "-1"}, "0" or "+1"'


def claim_findings(verdict: Verdict, similar: Similar, *, alone: bool = False) -> Iterator[Finding]:
    """TRI208, 209, 214, 215, 216 for one claim; `alone`: what it names may lie beside the one skill that was read."""
    claim = verdict.claim
    shown = _shown(claim)
    if verdict.truth == "false":
        yield Finding(
            rule="TRI208", message=f"{shown}: {verdict.why}", path=claim.path, line=claim.line, hint=verdict.mend, places=verdict.places
        )
    if claim.injected:
        # The block is reported as such where it gives its trit.
        if claim.vacuous:
            yield _vacuous(claim, shown)
        return
    if verdict.contradictions:
        hint = "state what the member declares, or change its declaration" + (
            f"; by what they declare the group is {verdict.by_declared}" if verdict.by_declared != "undetermined" else ""
        )
        yield Finding(
            rule="TRI209", message="; ".join(verdict.contradictions), path=claim.path, line=claim.line, hint=hint, places=verdict.places
        )
    if verdict.missing and not alone:
        close = similar.to(verdict.missing[0])
        hint = f"did you mean '{close}'?" if close else "correct the name, or add the skill"
        message = f"{shown}: no skill {', '.join(repr(name) for name in verdict.missing)} in this collection"
        yield Finding(rule="TRI214", message=message, path=claim.path, line=claim.line, severity="warning", hint=hint)
    if claim.vacuous:
        yield _vacuous(claim, shown)
    elif verdict.arithmetic == "undetermined":
        yield Finding(
            rule="TRI216",
            message=f"{shown}: cannot be judged; {verdict.why}",
            path=claim.path,
            line=claim.line,
            severity="warning",
            hint="write the trit behind each name: a (-1) ⊗ b (0) ⊗ c (+1) = 0",
            places=verdict.places,
        )


def address_findings(uris: Sequence[SkillUri], skills: Mapping[str, SkillRecord], *, alone: bool = False) -> Iterator[Finding]:
    """TRI217: an address that is malformed, names another skill than the one whose it is, an unknown one, or a colour that is not its."""
    for uri in uris:
        message, hint = uri.malformed, "write skill://name#RRGGBB"
        if not message and uri.own and uri.owner and uri.name.rsplit("/", 1)[-1] != uri.owner:
            message, hint = f"the address of {uri.owner} names {uri.name}", f"write skill://{uri.owner}"
        record = skills.get(uri.name)
        if not message and record is None and not alone:
            message, hint = f"no skill '{uri.name}' in this collection", "correct the name, or add the skill"
        if not message and record is not None and record.color and uri.color and record.color.lower() != uri.color:
            message, hint = f"{uri.name} has the colour {record.color}", f"write skill://{uri.name}{record.color}"
        if message:
            yield Finding(
                rule="TRI217",
                message=f"{uri.text}: {message}",
                path=uri.path,
                line=uri.line,
                column=uri.column,
                width=len(uri.text),
                severity="warning",
                hint=hint,
            )


def _color_findings(collection: Collection) -> Iterator[Finding]:
    """TRI218: one skill with two colours, or one colour on two skills."""
    for name, colors in colors_by_name(collection.uris).items():
        first, *others = colors.values()
        record = collection.by_name.get(name)
        if record is not None and record.color:
            continue  # TRI217 holds each against the skill's own
        for other in others:
            yield _color(other, f"{name} has the colour {other.color} here and {first.color} at {first.place}", "keep one", first.place)
    declared = [own for record in collection.records if (own := own_color(record.name, record.color, record.path))]
    for color, owners in collisions([*collection.uris, *declared]):
        first, *others = owners.values()
        for other in others:
            yield _color(
                other,
                f"{color} is the colour of {other.name} here and of {first.name} at {first.place}",
                "give each skill its own",
                first.place,
            )


def _color(uri: SkillUri, message: str, hint: str, place: str) -> Finding:
    return Finding(
        rule="TRI218",
        message=message,
        path=uri.path,
        line=uri.line,
        column=uri.column,
        width=len(uri.text),
        severity="warning",
        hint=f"{hint}; a colour decides no trit",
        places=(place,),
    )


def cut_findings(cuts: Iterable[Cut]) -> Iterator[Finding]:
    """TRI213: something is not read because it is too long, or too much."""
    for cut in cuts:
        yield Finding(
            rule="TRI213",
            message=f"not read: {cut.why}",
            path=cut.path,
            line=cut.line,
            severity="warning",
            hint="make it shorter, or divide it; what is not read is not checked",
        )


def _copies(collection: Collection) -> Iterator[Finding]:
    """TRI219: several folders with a skill of one name."""
    for name, record in collection.by_name.items():
        for copy in record.copies:
            yield Finding(
                rule="TRI219",
                message=f"{name} is also the name of the skill at {record.path}",
                path=copy,
                places=(record.path,),
                severity="warning",
                hint="rename one, or keep one copy; what both declare counts together",
            )


def _vacuous(claim: Claim, shown: str) -> Finding:
    placeholders = ", ".join(member.name for member in claim.members if member.placeholder)
    return Finding(
        rule="TRI215",
        message=f"{shown}: {placeholders} stands for whatever balances the group, so that the sum says nothing",
        path=claim.path,
        line=claim.line,
        severity="warning",
        hint="name the skill that balances it",
    )


def _shown(claim: Claim) -> str:
    return claim.text if len(claim.text) <= MAX_SHOWN else claim.text[:MAX_SHOWN] + " ..."
