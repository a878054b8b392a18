"""A SKILL.md as it is found: read leniently, so that nothing that it says is lost, and written as the specification wants it.

`frontmatter` reads it. What does not belong to the six keys of Agent Skills goes under `metadata` as text, word for word where it is one
value and as JSON where it is more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realitygap.document import shown_path
from realitygap.errors import InputError
from realitygap.guide_files import MAX_GUIDE_BYTES, read_text
from realitygap.guides import KEYS
from realitygap_plugins.triads.frontmatter import parse_frontmatter


@dataclass(kw_only=True)
class WildGuide:
    """What a guide says, with its trit still among the rest."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)
    """Top-level keys to their values: texts as written, lists and mappings as data. `metadata` is a mapping of such."""
    body: str = ""
    problems: list[str] = field(default_factory=list)
    """What was worked around, one line each."""

    def text(self, key: str) -> str | None:
        """The value of a top-level key where it is a text with something in it."""
        value = self.values.get(key)
        return value.strip() if isinstance(value, str) and value.strip() else None

    @property
    def metadata(self) -> Mapping[str, Any]:
        value = self.values.get("metadata")
        return value if isinstance(value, Mapping) else {}


def read_wild_guide(path: Path) -> WildGuide:
    """Reads a guide. Raises InputError where it is too large, or cannot be read at all."""
    told = read_text(path)
    if not told.whole:
        raise InputError(f"larger than {MAX_GUIDE_BYTES // 1024**2} MiB, which no guide is", where=shown_path(path))
    guide = WildGuide(path=path, body=told.written_body, problems=list(told.problems))
    if told.head is None:
        guide.problems.append("it has no frontmatter")
        return guide
    frontmatter = parse_frontmatter(told)
    guide.values = frontmatter.values
    if frontmatter.problem:
        guide.problems.append(f"the frontmatter is not YAML (line {frontmatter.line}: {frontmatter.problem}); {frontmatter.workaround}")
    elif frontmatter.document is not None and not isinstance(frontmatter.document.data, dict | None):
        guide.problems.append("the frontmatter is no mapping of keys to values")
    return guide


def write_guide(guide: WildGuide, values: Mapping[str, Any]) -> str:
    """The guide with other frontmatter, its text as it was. Values are texts, `metadata` a mapping of texts."""
    lines = ["---"]
    for key in KEYS:
        value = values.get(key)
        if isinstance(value, Mapping):
            if value:
                lines.append(f"{key}:")
                lines += [f"  {yaml_text(name)}: {yaml_text(text)}" for name, text in value.items()]
        elif value is not None:
            lines.append(f"{key}: {yaml_text(value)}")
    return "\n".join([*lines, "---", ""]) + guide.body


def as_text(value: Any) -> str:
    """A value of the frontmatter as one text: as it was written, or as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def first_sentence(text: str, *, longest: int) -> str:
    """The first sentence of a text on one line, cut at a word where it is too long."""
    line = " ".join(text.split())
    if match := re.match(r"(.{12,}?[.!?])(?=\s+[A-Z0-9]|$)", line):
        line = match[1]
    if len(line) <= longest:
        return line
    return line[: longest - 1].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"


def yaml_text(text: str) -> str:
    """A text as a scalar of YAML: plain where no reader can take it for anything else, else in quotes."""
    # JSON's strings are YAML's, once what JSON leaves alone and YAML does not allow is escaped too.
    quoted = json.dumps(text, ensure_ascii=False)
    quoted = re.sub(r"[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]|[\ud800-\udfff]", lambda match: f"\\u{ord(match[0]):04x}", quoted)
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_./()-]*(?: [A-Za-z0-9_./();,'-]+)*", text)
    return text if plain and text.lower() not in ("null", "true", "false") else quoted
