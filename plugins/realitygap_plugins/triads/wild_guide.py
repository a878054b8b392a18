"""A SKILL.md as it is found: read leniently, so that nothing that it says is lost, and written as the specification wants it.

Frontmatter that is no YAML, most often because of a colon in an unquoted description, is read line by line. What does not belong to the six
keys of Agent Skills goes under `metadata` as text, word for word where it is one value and as JSON where it is more.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realitygap import document as documents
from realitygap.errors import InputError
from realitygap.guides import KEYS, MAX_GUIDE_BYTES, read_plain

_KEY = re.compile(r"^(?P<indent>[ \t]*)(?P<key>[A-Za-z_][\w.-]*)[ \t]*:(?:[ \t]+(?P<value>.*))?$")
_BLOCK = re.compile(r"^[|>][+-]?\d?$")


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


def read_guide(path: Path) -> WildGuide:
    """Reads a guide. Raises InputError where it is too large, or cannot be read at all."""
    raw, whole = read_plain(path, MAX_GUIDE_BYTES)
    if not whole:
        raise InputError(f"larger than {MAX_GUIDE_BYTES // 1024**2} MiB, which no guide is", where=documents.shown_path(path))
    guide = WildGuide(path=path)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        text = raw.decode("utf-8", "replace")
        guide.problems.append(f"byte {error.start} is not UTF-8; such bytes became U+FFFD")
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
        guide.problems.append("it holds NUL characters, which became U+FFFD")
    head, guide.body = _split(text.removeprefix("\ufeff"))
    if head is None:
        guide.problems.append("it has no frontmatter")
        return guide
    try:
        document = documents.parse("\n" + head + "\n", path.with_suffix(".yaml"))
        if not isinstance(document.data, dict | None):
            raise InputError("it is no mapping of keys to values")
        pairs = (document.data or {}).items()
        guide.values = {str(key): _as_written(document, documents.join("", str(key)), value) for key, value in pairs}
    except InputError as error:
        line = f"line {error.line}: " if isinstance(error, documents.LocatedError) else ""
        guide.problems.append(f"the frontmatter is not YAML ({line}{error.message}); it was read line by line")
        guide.values = _line_by_line(head)
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


def _split(text: str) -> tuple[str | None, str]:
    """Frontmatter and the rest. Lines may end as on any system."""
    match = re.match(r"---[ \t]*\r?\n(.*?)(?<=\n)---[ \t]*(?:\r?\n|\Z)(.*)", text, re.DOTALL)
    if match is None:
        return None, text
    return match[1].replace("\r\n", "\n"), match[2]


def _as_written(document: documents.Document, pointer: str, value: Any) -> Any:
    """Scalars as they stand in the file, so that `1.10` stays 1.10."""
    if isinstance(value, dict):
        return {str(key): _as_written(document, documents.join(pointer, str(key)), one) for key, one in value.items()}
    if isinstance(value, str | list) or value is None:
        return "" if value is None else value
    return document.source(pointer) or str(value)


def _line_by_line(head: str) -> dict[str, Any]:
    """Keys and values of frontmatter that is not YAML: what follows a key on its line, and the indented lines below it."""
    values: dict[str, Any] = {}
    lines = head.split("\n")
    number = 0
    while number < len(lines):
        match = _KEY.match(lines[number])
        number += 1
        if match is None or match["indent"]:
            continue
        below = []
        while number < len(lines) and (not lines[number].strip() or lines[number][0] in " \t"):
            below.append(lines[number])
            number += 1
        # Of two equal keys the first counts: the other readers of such files see no more than that.
        if match["key"] not in values:
            values[match["key"]] = _value((match["value"] or "").strip(), below)
    return values


def _value(first: str, below: list[str]) -> Any:
    pairs = dict(_pairs(below))
    if not first and pairs:
        return pairs
    texts = [line.strip() for line in below]
    if not first and texts and all(line.startswith("- ") for line in texts if line):
        return [_unquoted(line[2:].strip()) for line in texts if line]
    if first and not _BLOCK.match(first):
        texts.insert(0, _unquoted(first))
    return " ".join(text for text in texts if text)


def _pairs(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        if match := _KEY.match(line):
            yield match["key"], _unquoted((match["value"] or "").strip())


def _unquoted(text: str) -> str:
    for quote in ('"', "'"):
        if len(text) >= 2 and text[0] == text[-1] == quote and quote not in text[1:-1]:
            return text[1:-1]
    return text
