"""Reads one SKILL.md for what it says about its trit and about groups; frontmatter that is no YAML is worked around."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from realitygap import guides
from realitygap.document import Document, shown_path
from realitygap.errors import InputError
from realitygap.guide_files import MAX_GUIDE_BYTES, GuideText, read_text
from realitygap_plugins.triads.claims import Claim, Cut, Declaration, SkillRecord
from realitygap_plugins.triads.frontmatter import Frontmatter, parse_frontmatter
from realitygap_plugins.triads.notation import NotATrit, read_trit
from realitygap_plugins.triads.prose import body_trits, find_claims
from realitygap_plugins.triads.text import Text
from realitygap_plugins.triads.uris import SkillUri, find_uris


@dataclass(frozen=True, kw_only=True)
class GuideReading:
    """What one guide says."""

    record: SkillRecord
    claims: tuple[Claim, ...]
    uris: tuple[SkillUri, ...]
    cuts: tuple[Cut, ...] = ()


def read_guide(path: Path, owner: str | None) -> GuideReading:
    """Reads a guide. Never raises: what cannot be read is among the record's problems.

    Args:
        path: the SKILL.md.
        owner: name of the skill where a manifest gives it; else the frontmatter's `name`, else the folder's.
    """
    folder = os.path.basename(os.path.dirname(path))
    folder = path.resolve().parent.name if folder in ("", "..") else folder
    try:
        guide = read_text(path)
    except InputError as error:
        record = SkillRecord(name=owner or folder, path=shown_path(path), problems=(str(error).split("\n")[0],), unread=True)
        return GuideReading(record=record, claims=(), uris=())
    shown = guide.shown
    problems = [f"{shown}: {problem}" for problem in guide.problems]
    text = Text(guide.text)
    found: list[Declaration] = []
    conformance: Callable[[], tuple[str, ...]] = tuple
    written: Any = None
    color: Any = None
    if guide.head is None:
        conformance = partial(tuple, ["RG301 there is no frontmatter"])
    else:
        frontmatter = parse_frontmatter(guide)
        document, problem = frontmatter.document, frontmatter.problem
        if problem:
            conformance = partial(tuple, [problem])
            problems.append(f"{shown}: the frontmatter is not valid YAML ({problem}); {frontmatter.workaround}")
        if document is not None and not isinstance(document.data, dict):
            conformance = partial(tuple, ["RG301 the frontmatter is no mapping of keys to values"])
        else:
            found += _trits(frontmatter, shown)
            source = frontmatter.values if document is None else document.data
            written, color = source.get("name"), source.get("color")
            if document is not None and isinstance(written, int | float):
                written = document.source("/name")  # `933133` is a number to YAML, and a name to who wrote it
            if document is not None and not problem:
                conformance = partial(_violations, path)
    name = owner or (written.strip() if isinstance(written, str) and written.strip() else folder)
    for told in body_trits(text, first=guide.body_line, name=name):
        source = "injected" if told.injected else "body"
        found.append(Declaration(source=source, trit=told.trit, text=told.text, path=shown, line=told.line, problem=told.problem))
    claims = tuple(find_claims(text, path=shown, owner=name))
    uris = tuple(find_uris(text, path=shown, owner=name))
    record = SkillRecord(
        name=name,
        path=shown,
        declarations=tuple(found),
        problems=tuple(problems),
        unread=not (guide.whole and guide.utf8),
        color=color if isinstance(color, str) else None,
        conformance=conformance,
    )
    return GuideReading(record=record, claims=claims, uris=uris, cuts=cuts_of(text, guide, shown))


def _violations(path: Path) -> tuple[str, ...]:
    # By its path: ten thousand documents would stay in memory for the few that are asked about.
    try:
        document = parse_frontmatter(read_text(path)).document
    except InputError as error:
        return (error.message,)
    if document is None or not isinstance(document.data, dict):
        return ("RG301 the frontmatter is no mapping of keys to values",)
    return tuple(f"{one.rule} {one.message}" for one in guides.conformance(document, path.parent) if one.severity == "error")


def cuts_of(text: Text, guide: GuideText, shown: str) -> tuple[Cut, ...]:
    """What was left out of a text, once all has been read of it."""
    found = [Cut(path=shown, line=line, why=why) for line, why in sorted(text.cuts.items())]
    if not guide.whole:
        found.append(Cut(path=shown, line=len(text.lines), why=f"the file is larger than {MAX_GUIDE_BYTES // 1024**2} MiB"))
    return tuple(found)


def declaration(document: Document, pointer: str, source: str, value: object, shown: str) -> Declaration:
    """The trit at a place of a document, or why it is none."""
    line, _ = document.locate(pointer)
    return _declared(value, source, str(document.source(pointer) or value), shown, line)


_TRITS = (
    ("/metadata/trit", "metadata.trit"),
    ("/trit", "frontmatter.trit"),
    ("/metadata/gf3-trit", "metadata.gf3-trit"),
    ("/metadata/gf3_trit", "metadata.gf3_trit"),
)
"""Where a frontmatter gives the trit, and what messages call that."""


def _trits(frontmatter: Frontmatter, shown: str) -> list[Declaration]:
    document, found = frontmatter.document, []
    for pointer, source in _TRITS:
        key = pointer.rpartition("/")[2]
        if document is None:
            same = [entry for entry in frontmatter.entries if entry.pointer == pointer]
            told = [_declared(entry.value, source, str(entry.value), shown, entry.line) for entry in same]
            if len(told) > 1 and any(one.problem for one in told):
                told = [
                    replace(one, trit=None, problem=one.problem or f"'{key}' is given twice, and not each time as a trit") for one in told
                ]
            found += told
            continue
        holder = document.data.get("metadata") if pointer.startswith("/metadata/") else document.data
        if isinstance(holder, dict) and key in holder:
            found.append(declaration(document, pointer, source, holder[key], shown))
    return found


def _declared(value: object, source: str, text: str, shown: str, line: int) -> Declaration:
    try:
        return Declaration(source=source, trit=read_trit(value), text=text, path=shown, line=line)
    except NotATrit as error:
        return Declaration(source=source, trit=None, text=text, path=shown, line=line, problem=str(error))
