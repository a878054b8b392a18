"""Reads skills with their trits and claims from folders: manifests of this registry, and Agent Skills folders.

Everything that a skill says is kept with its place. Where two sources disagree both stay, and nothing is picked.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from realitygap import document as documents
from realitygap.document import Document, shown_path
from realitygap.errors import InputError
from realitygap_plugins.triads.claims import Assertion, Claim, Declaration, Member, SkillRecord
from realitygap_plugins.triads.notation import NotATrit, read_trit
from realitygap_plugins.triads.prose import body_trits, find_claims, read_lines

MANIFEST = "skill.yaml"
GUIDES = ("SKILL.md", "skill.md")
_SKIPPED = {".git", ".hg", ".venv", "node_modules", "__pycache__", ".skills", "target"}
_FALLBACK = re.compile(r"^(?P<indent>\s*)(?P<key>name|trit|metadata)\s*:\s*(?P<value>.*)$")
_MAX_GUIDE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Skills and the claims found beside them."""

    records: tuple[SkillRecord, ...]
    """One for each skill folder, in order of path."""
    claims: tuple[Claim, ...]
    problems: tuple[str, ...] = ()
    """What could not be read, with its place."""
    by_name: dict[str, SkillRecord] = field(default_factory=dict)
    """One for each name; copies of a skill are joined, so that they conflict where they differ."""


def read_collection(path: Path) -> Collection:
    """All skills below `path`, which may also be one skill's folder, or one guide. Raises InputError if there is none."""
    if not path.exists():
        raise InputError("no such file or folder", where=shown_path(path), hint="give a folder with skill.yaml or SKILL.md files below it")
    if path.is_file():
        if path.name == MANIFEST or path.suffix != ".md":
            return collect([path.parent]) if path.name == MANIFEST else _nothing(path)
        records, claims = _read_guide(path, None)
        return _collection([records], claims)
    folders = list(skill_folders(path))
    return collect(folders) if folders else _nothing(path)


def collect(folders: Iterable[Path]) -> Collection:
    """The skills of these folders."""
    records: list[SkillRecord] = []
    claims: list[Claim] = []
    for folder in folders:
        record, found = read_folder(folder)
        records.append(record)
        claims += found
    return _collection(records, claims)


def skill_folders(root: Path) -> Iterator[Path]:
    """Folders with a manifest or a guide, below `root` and itself, in order; links are not followed."""
    for folder, subfolders, files in os.walk(root, followlinks=False):
        subfolders[:] = sorted(name for name in subfolders if name not in _SKIPPED)
        if MANIFEST in files or any(guide in files for guide in GUIDES):
            yield Path(folder)


def read_folder(folder: Path) -> tuple[SkillRecord, tuple[Claim, ...]]:
    """The skill of one folder: what its manifest and its guide say. Remembered while its files stay."""
    files = []
    for name in (MANIFEST, *GUIDES):
        with contextlib.suppress(OSError):
            status = (folder / name).stat()
            files.append((name, status.st_ino, status.st_mtime_ns, status.st_size))
    return _read_folder(folder, shown_path(folder), tuple(files))


@lru_cache(maxsize=2048)
def _read_folder(folder: Path, shown: str, files: tuple[tuple[str, int, int, int], ...]) -> tuple[SkillRecord, tuple[Claim, ...]]:
    record: SkillRecord | None = None
    claims: list[Claim] = []
    if (folder / MANIFEST).is_file():
        record, claims = _read_manifest(folder / MANIFEST)
    for guide in GUIDES:
        if (folder / guide).is_file():
            told, more = _read_guide(folder / guide, record.name if record else None)
            if record is None:
                record = told
            else:
                record = replace(record, declarations=record.declarations + told.declarations, problems=record.problems + told.problems)
            claims += more
            break
    if record is None:
        raise InputError("no skill here", where=shown, hint=f"a skill has a {MANIFEST} or a {GUIDES[0]}")
    return record, tuple(claims)


def _read_manifest(path: Path) -> tuple[SkillRecord, list[Claim]]:
    shown = shown_path(path)
    try:
        document = documents.load(path)
    except InputError as error:
        return SkillRecord(name=path.parent.name, path=shown, problems=(str(error),)), []
    data = document.data if isinstance(document.data, dict) else {}
    name = data["name"] if isinstance(data.get("name"), str) else path.parent.name
    found = [_declaration(document, "/trit", "skill.yaml", data["trit"], shown)] if "trit" in data else []
    return SkillRecord(name=name, path=shown, declarations=tuple(found)), manifest_claims(document, name)


def manifest_claims(document: Document, name: str) -> list[Claim]:
    """The groups under `triads:` of a manifest. Entries that are no lists of names are the schema's business."""
    data = document.data if isinstance(document.data, dict) else {}
    groups = data.get("triads")
    claims = []
    for index, group in enumerate(groups if isinstance(groups, list) else []):
        if not isinstance(group, list) or not group or not all(isinstance(member, str) for member in group):
            continue
        line, _ = document.locate(f"/triads/{index}")
        claims.append(
            Claim(
                members=tuple(Member(name=member) for member in group),
                assertions=(Assertion(kind="balanced"),),
                text="[" + ", ".join(group) + "]",
                path=document.shown,
                line=line,
                end_line=line,
                numbers="declared",
                owner=name,
            )
        )
    return claims


def _read_guide(path: Path, owner: str | None) -> tuple[SkillRecord, list[Claim]]:
    shown = shown_path(path)
    problems: list[str] = []
    try:
        raw = path.read_bytes()[:_MAX_GUIDE_BYTES]
    except OSError as error:
        return SkillRecord(name=owner or path.parent.name, path=shown, problems=(f"{shown}: {error.strerror}",)), []
    text = raw.decode("utf-8", "replace").removeprefix("\ufeff")
    head, body_line = split_frontmatter(text)
    found: list[Declaration] = []
    name = owner or path.parent.name
    if head is not None:
        # Blank lines in front keep the line numbers of the file.
        padded = "\n" + head
        try:
            document = documents.parse(padded, path.with_suffix(".yaml"))
            data = document.data if isinstance(document.data, dict) else {}
            found += _frontmatter_trits(document, data, shown)
            written = data.get("name")
        except InputError as error:
            problems.append(f"{shown}: the frontmatter is not valid YAML ({error.message}); its trit was read line by line")
            written, trits = _scan_frontmatter(padded, shown)
            found += trits
        if owner is None and isinstance(written, str) and written.strip():
            name = written.strip()
    lines = read_lines(text)
    for told in body_trits(line for line in lines if line.number >= body_line):
        source = "injected" if told.injected else "body"
        found.append(Declaration(source=source, trit=told.trit, text=told.text, path=shown, line=told.line, problem=told.problem))
    record = SkillRecord(name=name, path=shown, declarations=tuple(found), problems=tuple(problems))
    return record, find_claims(lines, path=shown, owner=name)


def split_frontmatter(text: str) -> tuple[str | None, int]:
    """The text between the `---` lines at the start, None if there is none, and the line on which the body begins."""
    lines = text.splitlines()
    if not lines or lines[0].rstrip() != "---":
        return None, 1
    for index, content in enumerate(lines[1:], start=1):
        if content.rstrip() == "---":
            return "\n".join(lines[1:index]), index + 2
    return None, 1


def _frontmatter_trits(document: Document, data: dict[str, Any], shown: str) -> list[Declaration]:
    found = []
    metadata = data.get("metadata")
    if isinstance(metadata, dict) and "trit" in metadata:
        found.append(_declaration(document, "/metadata/trit", "metadata.trit", metadata["trit"], shown))
    if "trit" in data:
        found.append(_declaration(document, "/trit", "frontmatter.trit", data["trit"], shown))
    return found


def _scan_frontmatter(text: str, shown: str) -> tuple[str | None, list[Declaration]]:
    """Name and trits of frontmatter that is not YAML, line by line."""
    name, inside_metadata, found = None, False, []
    for number, content in enumerate(text.splitlines(), start=1):
        match = _FALLBACK.match(content)
        if content[:1].strip():
            inside_metadata = bool(match and match.group("key") == "metadata")
        if not match:
            continue
        value = match.group("value").split(" #")[0].strip().strip("\"'")
        if match.group("key") == "name" and not match.group("indent"):
            name = value
        elif match.group("key") == "trit" and (inside_metadata or not match.group("indent")):
            found.append(_declared(value, "metadata.trit" if match.group("indent") else "frontmatter.trit", value, shown, number))
    return name, found


def _declaration(document: Document, pointer: str, source: str, value: object, shown: str) -> Declaration:
    line, _ = document.locate(pointer)
    return _declared(value, source, str(document.source(pointer) or value), shown, line)


def _declared(value: object, source: str, text: str, shown: str, line: int) -> Declaration:
    try:
        return Declaration(source=source, trit=read_trit(value), text=text, path=shown, line=line)
    except NotATrit as error:
        return Declaration(source=source, trit=None, text=text, path=shown, line=line, problem=str(error))


def _collection(records: list[SkillRecord], claims: list[Claim]) -> Collection:
    by_name: dict[str, SkillRecord] = {}
    for record in records:
        known = by_name.get(record.name)
        by_name[record.name] = record if known is None else replace(known, declarations=known.declarations + record.declarations)
    problems = [problem for record in records for problem in record.problems]
    problems += [f"{d.place}: {d.problem}" for record in records for d in record.declarations if d.problem]
    return Collection(records=tuple(records), claims=tuple(claims), problems=tuple(problems), by_name=by_name)


def _nothing(path: Path) -> Collection:
    raise InputError(f"no {MANIFEST} and no {GUIDES[0]} here or below", where=shown_path(path), hint="give a folder with skills")
