"""SKILL.md: the guide of a skill, against the Agent Skills specification and against skill.yaml. Rules RG3xx of `rules.yaml`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from realitygap.document import Document, LocatedError, parse, read_bytes, shown_path
from realitygap.errors import InputError, nearest
from realitygap.findings import Finding
from realitygap.nodes import MAX_BYTES, Span
from realitygap.skill import Skill

KEYS = ("name", "description", "license", "compatibility", "metadata", "allowed-tools")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
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
        if not os.path.lexists(path):
            raise NoGuide(
                "there is no SKILL.md", where=shown_path(path.parent), hint="write one: when to use the skill, what to look at, what next"
            )
        raw = read_bytes(path)
        if len(raw) > MAX_BYTES:
            raise InputError(f"larger than {MAX_BYTES // 1024**2} MiB, which no guide needs", where=shown_path(path))
        try:
            text = raw.decode("utf-8").removeprefix("\ufeff").replace("\r\n", "\n")
        except UnicodeDecodeError:
            # The reader of documents finds the place.
            parse(raw, path)
            raise
        lines = text.split("\n")
        end = next((number for number, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), None)
        if lines[0].rstrip() != "---" or end is None:
            message = "the frontmatter does not end" if lines[0].rstrip() == "---" else "there is no frontmatter"
            raise LocatedError(
                message,
                document=Document(path, text, None),
                span=Span(1, 1),
                rule="RG301",
                hint="the file begins with YAML between two lines '---'",
            )
        # An empty first line stands for the `---`, so that lines count as in the file.
        frontmatter = parse("\n" + "\n".join(lines[1:end]) + "\n", path)
        return cls(path, frontmatter, "\n".join(lines[end + 1 :]), end + 2)


def check_guide(directory: Path, skill: Skill | None) -> Iterator[Finding]:
    """Findings of a folder's SKILL.md; without a skill against the specification alone."""
    path = directory / "SKILL.md"
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
    yield from _keys(document, directory)
    yield from _body(guide)
    if skill is not None:
        yield from _agreement(document, skill)


def _keys(document: Document, directory: Path) -> Iterator[Finding]:
    data = document.data
    for key in data:
        if key not in KEYS:
            close = nearest(key, KEYS)
            hint = f"did you mean '{close}'?" if close else "move it under `metadata`, as a quoted text"
            yield Finding.at(document, f"/{key}", "RG302", f"key '{key}' is not one of the six of the specification", hint=hint, key=True)
    name = data.get("name")
    if not isinstance(name, str) or not NAME.match(name) or len(name) > 64:
        message = (
            "'name' is missing" if "name" not in data else f"'{name}' is no name: lower case letters, digits and single hyphens, at most 64"
        )
        yield Finding.at(document, "/name", "RG303", message)
    elif name != directory.resolve().name:
        yield Finding.at(document, "/name", "RG303", f"name '{name}' is not that of the folder, '{directory.resolve().name}'")
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
            yield Finding.at(document, f"/metadata/{key}", "RG306", f"'metadata.{key}' must be a text", hint=advice)


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
