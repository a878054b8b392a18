"""Reads one SKILL.md for what it says about its trit and about groups; frontmatter that is no YAML is worked around."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realitygap.document import Document, shown_path
from realitygap.errors import InputError
from realitygap.guides import MAX_GUIDE_BYTES, conformance, read_frontmatter, read_plain, split_frontmatter
from realitygap_plugins.triads.claims import Claim, Declaration, SkillRecord
from realitygap_plugins.triads.notation import NotATrit, read_trit
from realitygap_plugins.triads.prose import body_trits, find_claims
from realitygap_plugins.triads.text import Text
from realitygap_plugins.triads.uris import SkillUri, find_uris

_KEY = re.compile(r"^(?P<indent>[ \t]*)(?P<key>name|trit|metadata|color)[ \t]*:[ \t]*(?P<value>[^\n]*)$")
_PLAIN = re.compile(r"^(?P<key>[A-Za-z][\w-]*:[ \t]+)(?P<value>[^\s\"'\[{|>&*!#][^\n]*|[`@%&*!][^\n]*)$")


@dataclass(frozen=True, kw_only=True)
class GuideReading:
    """What one guide says."""

    record: SkillRecord
    claims: tuple[Claim, ...]
    uris: tuple[SkillUri, ...]


def read_guide(path: Path, owner: str | None) -> GuideReading:
    """Reads a guide. Never raises: what cannot be read is among the record's problems.

    Args:
        path: the SKILL.md.
        owner: name of the skill where a manifest gives it; else the frontmatter's `name`, else the folder's.
    """
    shown = shown_path(path)
    folder = path.resolve().parent.name if path.parent.name in ("", "..") else path.parent.name
    try:
        raw, whole = read_plain(path, MAX_GUIDE_BYTES)
    except InputError as error:
        record = SkillRecord(name=owner or folder, path=shown, problems=(str(error).split("\n")[0],))
        return GuideReading(record=record, claims=(), uris=())
    problems = [] if whole else [f"{shown}: larger than {MAX_GUIDE_BYTES // 1024**2} MiB; only the beginning was read"]
    content = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    if "\ufffd" in content and b"\xef\xbf\xbd" not in raw:
        problems.append(f"{shown}: not UTF-8; what is no text is read as \ufffd")
    text = Text(content)
    head, body_line = split_frontmatter(text.text)
    found: list[Declaration] = []
    violations: tuple[str, ...] = ()
    written: Any = None
    color: Any = None
    if head is None:
        violations = ("RG301 there is no frontmatter",)
    else:
        document, problem = _frontmatter(head, path)
        if problem:
            violations = (problem,)
            problems.append(f"{shown}: the frontmatter is not valid YAML ({problem}); " + _workaround(document))
        if document is not None and isinstance(document.data, dict):
            found += _trits(document, document.data, shown)
            written, color = document.data.get("name"), document.data.get("color")
            if not problem:
                violations = tuple(f"{one.rule} {one.message}" for one in conformance(document, path.parent) if one.severity == "error")
        elif document is None:
            written, color, trits = _scan(head, shown)
            found += trits
        else:
            violations = ("RG301 the frontmatter is no mapping of keys to values",)
    name = owner or (written.strip() if isinstance(written, str) and written.strip() else folder)
    for told in body_trits(text, first=body_line, name=name):
        source = "injected" if told.injected else "body"
        found.append(Declaration(source=source, trit=told.trit, text=told.text, path=shown, line=told.line, problem=told.problem))
    claims = tuple(find_claims(text, path=shown, owner=name))
    uris = tuple(find_uris(text, path=shown, owner=name))
    if text.cut:
        problems.append(f"{shown}: too many lines with trits; only the first were read")
    record = SkillRecord(
        name=name,
        path=shown,
        declarations=tuple(found),
        problems=tuple(problems),
        color=color if isinstance(color, str) else None,
        violations=violations,
    )
    return GuideReading(record=record, claims=claims, uris=uris)


def declaration(document: Document, pointer: str, source: str, value: object, shown: str) -> Declaration:
    """The trit at a place of a document, or why it is none."""
    line, _ = document.locate(pointer)
    return _declared(value, source, str(document.source(pointer) or value), shown, line)


def _frontmatter(head: str, path: Path) -> tuple[Document | None, str]:
    """The frontmatter, where necessary after plain texts with a colon or a backtick in them are quoted; and what was wrong with it."""
    try:
        return read_frontmatter(head, path), ""
    except InputError as error:
        problem = error.message
    repaired = "\n".join(_quoted(line) for line in head.split("\n"))
    if repaired != head:
        try:
            return read_frontmatter(repaired, path), problem
        except InputError:
            pass
    return None, problem


def _quoted(line: str) -> str:
    match = _PLAIN.match(line.rstrip())
    if not match or not (": " in match["value"] or match["value"][0] in "`@%&*!" or match["value"].endswith(":")):
        return line
    return match["key"] + "'" + match["value"].replace("'", "''") + "'"


def _workaround(document: Document | None) -> str:
    return "its name and trit were read line by line" if document is None else "it was read with its texts in quotes"


def _trits(document: Document, data: dict[str, Any], shown: str) -> list[Declaration]:
    found = []
    metadata = data.get("metadata")
    if isinstance(metadata, dict) and "trit" in metadata:
        found.append(declaration(document, "/metadata/trit", "metadata.trit", metadata["trit"], shown))
    if "trit" in data:
        found.append(declaration(document, "/trit", "frontmatter.trit", data["trit"], shown))
    return found


def _scan(head: str, shown: str) -> tuple[str | None, str | None, list[Declaration]]:
    """Name, colour and trits of frontmatter that is not YAML, line by line."""
    values: dict[str, str] = {}
    inside_metadata, found = False, []
    # The frontmatter begins on line 2 of its file.
    for number, content in enumerate(head.split("\n"), start=2):
        match = _KEY.match(content)
        if content[:1].strip():
            inside_metadata = bool(match and match["key"] == "metadata")
        if not match:
            continue
        value = match["value"].split(" #")[0].strip().strip("\"'")
        if match["key"] in ("name", "color") and not match["indent"]:
            values.setdefault(match["key"], value)
        elif match["key"] == "trit" and (inside_metadata or not match["indent"]):
            found.append(_declared(value, "metadata.trit" if match["indent"] else "frontmatter.trit", value, shown, number))
    return values.get("name"), values.get("color"), found


def _declared(value: object, source: str, text: str, shown: str, line: int) -> Declaration:
    try:
        return Declaration(source=source, trit=read_trit(value), text=text, path=shown, line=line)
    except NotATrit as error:
        return Declaration(source=source, trit=None, text=text, path=shown, line=line, problem=str(error))
