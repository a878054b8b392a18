"""SKILL.md: the guide of a skill, against the Agent Skills specification and against skill.yaml. Rules RG3xx of `rules.yaml`."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from realitygap.document import Document, LocatedError, parse, shown_path
from realitygap.errors import InputError, nearest
from realitygap.findings import Finding, Severity
from realitygap.nodes import Span
from realitygap.skill import Skill

KEYS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
GUIDES = ("SKILL.md", "skill.md")
"""Names that a guide has in the wild. The specification's is the first."""
SKILL_HOMES = frozenset({".agents", ".claude", ".codex", ".cursor", ".gemini", ".github", ".opencode", ".ruler", ".skillz", ".windsurf"})
"""Hidden folders in which Agent Skills live; others are not searched."""
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist", "venv", "target"})
"""Environments and build products; one that holds a guide itself is a skill of that name."""
MAX_GUIDE_BYTES = 4 * 1024 * 1024
"""Largest guide read; 500 lines are advised."""
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_END = re.compile(r"^---[^\S\n]*$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")


class NoGuide(InputError):
    """A folder without a SKILL.md."""


@dataclass(frozen=True)
class Guide:
    """A SKILL.md, split."""

    path: Path
    frontmatter: Document
    """Its places are those of the file."""
    body: str
    body_line: int
    """Line on which the body begins."""

    @classmethod
    def load(cls, path: Path) -> Guide:
        """Reads a SKILL.md. Raises `InputError`, with the place where the frontmatter is no YAML."""
        raw, whole = read_plain(path, MAX_GUIDE_BYTES)
        if not whole:
            raise InputError(f"larger than {MAX_GUIDE_BYTES // 1024**2} MiB, which no guide needs", where=shown_path(path))
        try:
            text = raw.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
        except UnicodeDecodeError:
            # The reader of documents finds the place.
            parse(raw, path)
            raise
        head, body_line = split_frontmatter(text)
        if head is None:
            message = "the frontmatter does not end" if text.split("\n", 1)[0].rstrip() == "---" else "there is no frontmatter"
            raise LocatedError(
                message,
                document=Document(path, text, None),
                span=Span(1, 1),
                rule="RG301",
                hint="the file begins with YAML between two lines '---'",
            )
        frontmatter = read_frontmatter(head, path)
        return cls(path, frontmatter, "\n".join(text.split("\n")[body_line - 1 :]), body_line)


def read_plain(path: Path, most: int) -> tuple[bytes, bool]:
    """The first `most` bytes of a plain file, and whether that is all. Raises `InputError` for what is no plain file: a pipe would keep
    the reader waiting, a device would never end."""
    try:
        status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise InputError(f"{path.name} is a folder, not a file", where=shown_path(path))
        if not stat.S_ISREG(status.st_mode):
            raise InputError("neither a plain file nor a folder", where=shown_path(path))
        with open(path, "rb") as stream:
            raw = stream.read(most + 1)
    except FileNotFoundError:
        raise NoGuide(
            f"there is no {path.name}", where=shown_path(path.parent), hint="write one: when to use the skill, what to look at, what next"
        ) from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=shown_path(path)) from None
    return raw[:most], len(raw) <= most


def holds_guide(folder: str) -> bool:
    """Whether a folder is a skill's, whatever it is called: a skill may have the name `build`."""
    return any(os.path.isfile(os.path.join(folder, name)) for name in GUIDES)


def walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders in which skills are looked for, `root` and what lies below it, with the names of their files; sorted. Hidden folders,
    environments and build products are passed over, links to folders are not followed."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = sorted(name for name in subfolders if _searched(folder, name))
        yield folder, sorted(files)


def _searched(parent: str, name: str) -> bool:
    place = os.path.join(parent, name)
    if name in _SKIPPED:
        return holds_guide(place)
    return (not name.startswith(".") or name in SKILL_HOMES) and not os.path.exists(os.path.join(place, "pyvenv.cfg"))


def split_frontmatter(text: str) -> tuple[str | None, int]:
    """The text between the lines `---` at the start, None where there is none, and the line on which the body begins."""
    if not text.startswith("---"):
        return None, 1
    end_of_first = text.find("\n")
    if end_of_first < 0 or text[:end_of_first].rstrip() != "---":
        return None, 1
    end = _END.search(text, end_of_first + 1)
    if end is None:
        return None, 1
    head = text[end_of_first + 1 : max(end_of_first + 1, end.start() - 1)]
    return head, text.count("\n", 0, end.start()) + 2


@lru_cache(maxsize=16_384)
def read_frontmatter(head: str, path: Path) -> Document:
    """The frontmatter as a document whose lines count as in the file. Raises `InputError`, with the place where it is no YAML.

    Remembered by its text: the checks of the registry and those of plugins read the same ones. Not to be changed.
    """
    # An empty first line stands for the `---`.
    return parse("\n" + head + "\n", path)


def check_guide(directory: Path, skill: Skill | None, file: str = GUIDES[0]) -> Iterator[Finding]:
    """Findings of a folder's SKILL.md; without a skill against the specification alone."""
    path = directory / file
    if file != GUIDES[0]:
        yield Finding(rule="RG313", message=f"the guide is called '{file}'", path=shown_path(path), hint=f"rename it to '{GUIDES[0]}'")
    try:
        guide = Guide.load(path)
    except LocatedError as error:
        yield Finding(
            rule=error.rule,
            message=error.message,
            path=shown_path(path),
            line=error.line,
            column=error.column,
            hint=error.hint,
            width=error.width,
        )
        return
    except InputError as error:
        rule = "RG301" if isinstance(error, NoGuide) else "RG009"
        yield Finding(rule=rule, message=error.message, path=shown_path(path), hint=error.hint)
        return
    document = guide.frontmatter
    if not isinstance(document.data, dict):
        yield Finding.at(document, "", "RG301", "the frontmatter is no mapping of keys to values")
        return
    yield from conformance(document, directory)
    yield from _body(guide)
    if skill is not None:
        yield from _agreement(document, skill)


def conformance(document: Document, directory: Path) -> Iterator[Finding]:
    """Findings on a frontmatter, which must be a mapping, against the specification."""
    data = document.data
    for key in data:
        if key not in KEYS:
            close = _nearest_key(key)
            hint = f"did you mean '{close}'?" if close else "move it under `metadata`, as a quoted text"
            yield Finding.at(document, f"/{key}", "RG302", f"key '{key}' is not one of the six of the specification", hint=hint, key=True)
    name = data.get("name")
    if not isinstance(name, str) or not NAME.match(name) or len(name) > 64:
        message = (
            "'name' is missing" if "name" not in data else f"'{name}' is no name: lower case letters, digits and single hyphens, at most 64"
        )
        yield Finding.at(document, "/name", "RG303", message)
    elif name != directory.name and name != (folder := directory.resolve().name):
        yield Finding.at(document, "/name", "RG303", f"name '{name}' is not that of the folder, '{folder}'")
    description = data.get("description")
    if not isinstance(description, str) or not description.strip():
        yield Finding.at(
            document, "/description", "RG304", "'description' is missing or empty", hint="say what the skill does and when to use it"
        )
    elif len(description) > 1024:
        yield Finding.at(document, "/description", "RG304", f"'description' has {len(description)} characters; 1024 are allowed")
    elif "<" in description or ">" in description:
        yield Finding.at(document, "/description", "RG304", "'description' must not contain < or >")
    for key in ("license", "compatibility", "allowed-tools"):
        value = data.get(key)
        if key in data and (not isinstance(value, str) or not value.strip()):
            yield Finding.at(document, f"/{key}", "RG305", f"'{key}' must be a text")
    if isinstance(data.get("compatibility"), str) and len(data["compatibility"]) > 500:
        yield Finding.at(
            document, "/compatibility", "RG305", f"'compatibility' has {len(data['compatibility'])} characters; 500 are allowed"
        )
    metadata = data.get("metadata", {})
    if not isinstance(metadata, dict):
        yield Finding.at(document, "/metadata", "RG306", "'metadata' must map names to texts")
        return
    for key, value in metadata.items():
        if not isinstance(value, str):
            written = document.source(f"/metadata/{key}")
            advice = f'write it in quotes: {key}: "{written}"' if written is not None else None
            # A number without quotes is a text to the specification's own validator and a number to most others.
            severity: Severity = "error" if isinstance(value, dict | list) else "warning"
            message = f"'metadata.{key}' must be a text"
            yield Finding.at(document, f"/metadata/{key}", "RG306", message, hint=advice, severity=severity)


@lru_cache(maxsize=1024)
def _nearest_key(key: str) -> str | None:
    # The same few keys stand in hundreds of guides.
    return nearest(key, KEYS)


def _body(guide: Guide) -> Iterator[Finding]:
    lines = guide.body.rstrip().split("\n")
    if not guide.body.strip():
        yield Finding(rule="RG307", message="the guide has no text", path=shown_path(guide.path), line=guide.body_line, severity="error")
    elif len(lines) > 500:
        message = f"the guide has {len(lines)} lines; up to 500 are advised"
        yield Finding(
            rule="RG307",
            message=message,
            path=shown_path(guide.path),
            line=guide.body_line,
            severity="warning",
            hint="move details to references/",
        )
    if "](" not in guide.body:
        return
    fenced = False
    for number, line in enumerate(lines):
        fenced ^= line.lstrip().startswith(("```", "~~~"))
        if fenced:
            continue
        for link in _LINK.finditer(line):
            target = link[1]
            if re.match(r"[a-z][a-z0-9+.-]*:|/", target) or (guide.path.parent / target).exists():
                continue
            yield Finding(
                rule="RG308",
                message=f"link to '{target}', which is not there",
                path=shown_path(guide.path),
                line=guide.body_line + number,
                column=link.start(1) + 1,
                width=len(target),
            )


def _agreement(document: Document, skill: Skill) -> Iterator[Finding]:
    data = document.data
    if isinstance(data.get("name"), str) and data["name"] != skill.name:
        yield Finding.at(document, "/name", "RG310", f"name '{data['name']}', but skill.yaml says '{skill.name}'")
    metadata = data.get("metadata", {})
    if not isinstance(metadata, dict):
        return
    # As in a calculation: +1 with its sign, so that a reader cannot take it for a number of something.
    texts = {-1: ("-1",), 0: ("0",), 1: ("+1", "1")}[skill.trit]
    if "trit" not in metadata:
        message = f"'metadata.trit' is missing; skill.yaml says {skill.trit}"
        yield Finding.at(document, "/metadata/trit", "RG311", message, hint=f'metadata: {{trit: "{texts[0]}"}}')
    elif isinstance(metadata["trit"], str) and metadata["trit"].strip() not in texts:
        yield Finding.at(document, "/metadata/trit", "RG311", f"trit '{metadata['trit']}', but skill.yaml says {skill.trit}")
    elif isinstance(metadata["trit"], int | float) and metadata["trit"] != skill.trit:
        yield Finding.at(document, "/metadata/trit", "RG311", f"trit {metadata['trit']}, but skill.yaml says {skill.trit}")
    if isinstance(metadata.get("version"), str) and metadata["version"] != skill.version:
        message = f"version '{metadata['version']}', but skill.yaml says '{skill.version}'"
        yield Finding.at(document, "/metadata/version", "RG312", message)
