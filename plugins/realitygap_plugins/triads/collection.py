"""Reads skills with their trits and claims from folders: manifests of this registry, Agent Skills, and collections in the wild.

Everything that a skill says is kept with its place. Where two sources disagree both stay, and nothing is picked.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from pathlib import Path

from realitygap import document as documents
from realitygap.document import Document, shown_path
from realitygap.errors import InputError
from realitygap.guide_files import GUIDES, read_text, walk
from realitygap_plugins.triads.claims import Assertion, Claim, Cut, Member, SkillRecord
from realitygap_plugins.triads.guide_reader import GuideReading, cuts_of, declaration, read_guide
from realitygap_plugins.triads.prose import find_claims
from realitygap_plugins.triads.text import Text
from realitygap_plugins.triads.uris import SkillUri, find_uris

MANIFEST = "skill.yaml"


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
    uris: tuple[SkillUri, ...] = ()
    """Every `skill://` address."""
    cuts: tuple[Cut, ...] = ()
    """What was not read because it is too long, or too much; `problems` has it too."""
    documents: int = 0
    """Markdown files read that are no skill's guide."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one folder, or one document, says."""

    record: SkillRecord | None
    claims: tuple[Claim, ...]
    uris: tuple[SkillUri, ...] = ()
    problems: tuple[str, ...] = ()
    cuts: tuple[Cut, ...] = ()


def read_collection(path: Path, *, documents: bool = True) -> Collection:
    """All skills below `path`, which may also be one skill's folder, or one guide.

    Args:
        path: a folder or a file.
        documents: whether to read claims in other Markdown files too, such as a README with a table of triads.

    Raises InputError if there is no skill.
    """
    if not os.path.lexists(path):
        raise InputError("no such file or folder", where=shown_path(path), hint="give a folder with skill.yaml or SKILL.md files below it")
    if not os.path.isdir(path):
        if path.name == MANIFEST:
            return collect([path.parent])
        return _collection([_guide(read_guide(path, None))]) if path.suffix.lower() == ".md" else _nothing(path)
    folders, others = survey(path)
    if not folders:
        return _nothing(path)
    return collect(folders, others if documents else ())


def collect(
    folders: Iterable[Path] | Mapping[Path, Sequence[str]], documents: Iterable[Path] = (), names: Mapping[Path, str] | None = None
) -> Collection:
    """The skills of these folders, and the claims in these other documents.

    Args:
        folders: may come with the names of their files, so that none is asked for.
        documents: Markdown files that are no guides.
        names: what skills are called whose own name is that of another.
    """
    files = folders if isinstance(folders, Mapping) else {}
    readings = [_read_files(folder, files[folder]) if files.get(folder) else read_folder(folder) for folder in folders]
    if names:
        readings = [_called(reading, names.get(folder)) for reading, folder in zip(readings, folders, strict=True)]
    owners = {os.path.dirname(reading.record.path): reading.record.name for reading in readings if reading.record}
    others = [read_document(path, _owner(path, owners)) for path in documents]
    return _collection(readings, others)


def _called(reading: Reading, name: str | None) -> Reading:
    if name is None or reading.record is None or reading.record.name == name:
        return reading
    return replace(reading, record=replace(reading.record, name=name))


def beside(collection: Collection) -> dict[str, SkillRecord]:
    """Skills that claims and addresses in guides name, that are not in the collection, and that lie in the folder beside who names them."""
    named = [(claim.path, name) for claim in collection.claims if claim.source == "guide" for name in claim.names]
    named += [(uri.path, uri.name) for uri in collection.uris if uri.owner]
    found: dict[str, SkillRecord] = {}
    around = cache(lambda path: Path(os.path.realpath(path)).parent.parent)
    for path, name in dict.fromkeys(named):
        if not name or name in collection.by_name or name in found or name.startswith(".") or "/" in name:
            continue
        folder = around(path) / name
        if not os.path.isdir(folder):
            continue
        try:
            record = read_folder(folder).record
        except InputError:
            continue  # no skill, or a finding of its own when it is checked
        if record is not None and record.name == name:
            found[name] = record
    return found


def survey(root: Path) -> tuple[dict[Path, Sequence[str]], list[Path]]:
    """Folders with a manifest or a guide, below `root` and itself, with the names of their files; and the other Markdown files; in order.
    Links to folders are not followed."""
    folders: dict[Path, Sequence[str]] = {}
    others: list[Path] = []
    for folder, files in walk(root):
        guide = next((name for name in GUIDES if name in files), None)
        if MANIFEST in files or guide:
            folders[Path(folder)] = files
        others += [Path(folder, name) for name in files if name.endswith((".md", ".MD")) and name != guide]
    return folders, others


def read_folder(folder: Path) -> Reading:
    """The skill of one folder: what its manifest and its guide say. Remembered while its files stay. Raises InputError if there is none."""
    files = []
    place = os.fspath(folder)
    for name in (MANIFEST, *GUIDES):
        try:
            status = os.stat(f"{place}{os.sep}{name}")
        except FileNotFoundError:
            continue
        except OSError as error:
            files.append((name, 0, error.errno or 0, 0))
        else:
            files.append((name, status.st_ino, status.st_mtime_ns, status.st_size))
    return _read_folder(folder, shown_path(folder), tuple(files))


# As long as the folder is shown in the same way: the places that a skill names are.
@lru_cache(maxsize=512)
def _read_folder(folder: Path, shown: str, files: tuple[tuple[str, int, int, int], ...]) -> Reading:
    return _read_files(folder, [name for name, *_ in files])


def _read_files(folder: Path, present: Sequence[str]) -> Reading:
    manifest = _read_manifest(folder / MANIFEST) if MANIFEST in present else None
    guide = next((name for name in GUIDES if name in present), None)
    if guide is None:
        if manifest is None:
            raise InputError("no skill here", where=shown_path(folder), hint=f"a skill has a {MANIFEST} or a {GUIDES[0]}")
        return manifest
    told = _guide(read_guide(folder / guide, manifest.record.name if manifest and manifest.record else None))
    if manifest is None or manifest.record is None or told.record is None:
        return told
    record = replace(
        manifest.record,
        declarations=manifest.record.declarations + told.record.declarations,
        problems=manifest.record.problems + told.record.problems,
        unread=manifest.record.unread or told.record.unread,
        color=manifest.record.color or told.record.color,
        conformance=told.record.conformance,
    )
    return Reading(record=record, claims=manifest.claims + told.claims, uris=told.uris, cuts=told.cuts)


def read_document(path: Path, owner: str | None) -> Reading:
    """The claims and addresses in a Markdown file that is no guide; `owner` is the skill in whose folder it lies."""
    try:
        told = read_text(path)
    except InputError as error:
        return Reading(record=None, claims=(), problems=(str(error).split("\n")[0],))
    text, shown = Text(told.text), shown_path(path)
    claims = tuple(claim._replace(source="document") for claim in find_claims(text, path=shown, owner=owner))
    uris = tuple(find_uris(text, path=shown, owner=owner))
    problems = tuple(f"{shown}: {problem}" for problem in told.problems)
    return Reading(record=None, claims=claims, uris=uris, problems=problems, cuts=cuts_of(text, told, shown))


def _guide(told: GuideReading) -> Reading:
    return Reading(record=told.record, claims=told.claims, uris=told.uris, cuts=told.cuts)


def _read_manifest(path: Path) -> Reading:
    shown = shown_path(path)
    try:
        document = documents.load(path)
    except InputError as error:
        problem = str(error).split("\n")[0]
        return Reading(record=SkillRecord(name=path.parent.name, path=shown, problems=(problem,), unread=True), claims=())
    data = document.data if isinstance(document.data, dict) else {}
    name = data["name"] if isinstance(data.get("name"), str) else path.parent.name
    found = (declaration(document, "/trit", "skill.yaml", data["trit"], shown),) if "trit" in data else ()
    color = data["color"] if isinstance(data.get("color"), str) else None
    record = SkillRecord(name=name, path=shown, declarations=found, color=color)
    return Reading(record=record, claims=tuple(manifest_claims(document, name)))


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
                source="manifest",
            )
        )
    return claims


def _owner(path: Path, names: dict[str, str]) -> str | None:
    """The skill in whose folder a document lies, however deep."""
    folder = os.path.dirname(shown_path(path))
    while folder:
        if folder in names:
            return names[folder]
        parent = os.path.dirname(folder)
        if parent == folder:
            return None
        folder = parent
    return None


def _collection(readings: list[Reading], others: Iterable[Reading] = ()) -> Collection:
    others = list(others)
    records = tuple(reading.record for reading in readings if reading.record)
    by_name: dict[str, SkillRecord] = {}
    for record in records:
        known = by_name.get(record.name)
        if known is not None:
            record = replace(known, declarations=known.declarations + record.declarations, copies=(*known.copies, record.path))
        by_name[record.name] = record
    problems = [problem for record in records for problem in record.problems]
    problems += [f"{d.place}: {d.problem}" for record in records for d in record.declarations if d.problem]
    problems += [problem for other in others for problem in other.problems]
    everything = [*readings, *others]
    cuts = tuple(cut for one in everything for cut in one.cuts)
    problems += [str(cut) for cut in cuts]
    return Collection(
        records=records,
        claims=tuple(claim for one in everything for claim in one.claims),
        problems=tuple(problems),
        by_name=by_name,
        uris=tuple(uri for one in everything for uri in one.uris),
        cuts=cuts,
        documents=len(others),
    )


def _nothing(path: Path) -> Collection:
    raise InputError(f"no {MANIFEST} and no {GUIDES[0]} here or below", where=shown_path(path), hint="give a folder with skills")
