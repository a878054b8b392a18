"""SKILL.md: the guide of a skill, against the Agent Skills specification and against skill.yaml. Rules RG3xx of `rules.yaml`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from realitygap.document import Document, LocatedError, parse, shown_path
from realitygap.errors import InputError, nearest
from realitygap.fences import fence_after
from realitygap.findings import Finding, Severity
from realitygap.guide_files import GUIDES, MAX_GUIDE_BYTES, NoGuide, read_text
from realitygap.nodes import Span
from realitygap.skill import Skill
from realitygap.sources import read_plain

KEYS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
_ELSEWHERE = re.compile(r"[a-z][a-z0-9+.-]*:|/")


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
        told = read_text(path)
        if not told.whole:
            raise InputError(f"larger than {MAX_GUIDE_BYTES // 1024**2} MiB, which no guide needs", where=told.shown)
        if not told.utf8:
            # The reader of documents finds the place.
            parse(read_plain(path, MAX_GUIDE_BYTES)[0], path)
        if told.head is None:
            message = "the frontmatter does not end" if told.text.split("\n", 1)[0].rstrip() == "---" else "there is no frontmatter"
            raise LocatedError(
                message,
                document=Document(path, told.text, None),
                span=Span(1, 1),
                rule="RG301",
                hint="the file begins with YAML between two lines '---'",
            )
        return cls(path, told.document, told.body, told.body_line)


def check_guide(path: Path, skill: Skill | None) -> Iterator[Finding]:
    """Findings of a SKILL.md; without a skill against the specification alone."""
    if path.name != GUIDES[0]:
        yield Finding(rule="RG313", message=f"the guide is called '{path.name}'", path=shown_path(path), hint=f"rename it to '{GUIDES[0]}'")
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
    yield from conformance(document, path.parent)
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
    if isinstance(name, int | float):
        written = document.source("/name")
        yield Finding.at(document, "/name", "RG303", "'name' must be a text", hint=f'write it in quotes: name: "{written}"')
    elif not isinstance(name, str) or not NAME.match(name) or len(name) > 64:
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
    body = guide.body.rstrip()
    length = body.count("\n") + 1
    if not body:
        yield Finding(rule="RG307", message="the guide has no text", path=shown_path(guide.path), line=guide.body_line, severity="error")
    elif length > 500:
        message = f"the guide has {length} lines; up to 500 are advised"
        yield Finding(
            rule="RG307",
            message=message,
            path=shown_path(guide.path),
            line=guide.body_line,
            severity="warning",
            hint="move details to references/",
        )
    # Most guides link to addresses only, so that it does not matter what is fenced.
    if all(_ELSEWHERE.match(link[1]) for link in _LINK.finditer(body)):
        return
    fence = ""
    for number, line in enumerate(body.split("\n")):
        if "```" in line or "~~~" in line:
            before, fence = fence, fence_after(line, fence)
            if before or fence:
                continue
        if fence or "](" not in line:
            continue
        for link in _LINK.finditer(line):
            target = link[1]
            if _ELSEWHERE.match(target) or (guide.path.parent / target).exists():
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
