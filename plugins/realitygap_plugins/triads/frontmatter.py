"""The frontmatter of a SKILL.md, for whoever reads guides as they are found.

What is no YAML, most often because of a colon in a description, is read with such texts in quotes; where that does not help,
line by line. What was worked around is told.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from realitygap import document as documents
from realitygap.document import Document
from realitygap.errors import InputError
from realitygap.guide_files import GuideText, parse_head
from realitygap_plugins.triads.patterns import pattern

_KEY = pattern(r"^(?P<indent>[ \t]*)(?P<key>[A-Za-z_][\w.-]*)[ \t]*:(?:[ \t]+(?P<value>.*))?$")
_PLAIN = pattern(r"^(?P<key>[A-Za-z][\w-]*:[ \t]+)(?P<value>[^\s\"'\[{|>&*!#][^\n]*|[`@%&*!][^\n]*)$")
_BLOCK = pattern(r"^[|>][+-]?\d?$")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A key with its value, read line by line."""

    pointer: str
    """`/trit` or `/metadata/trit`."""
    value: Any
    line: int


@dataclass(frozen=True, kw_only=True)
class Frontmatter:
    """What stands in the frontmatter, whether it is YAML or not."""

    document: Document | None
    """Where necessary after texts in it were quoted; None where it was read line by line."""
    entries: tuple[Entry, ...] = ()
    """What was read line by line, also a second value of one key."""
    problem: str = ""
    """Why it is not YAML; empty where it is."""
    line: int = 1
    """Where that is."""

    @property
    def values(self) -> dict[str, Any]:
        """Keys to values as they are written: scalars as texts, so that `1.10` stays 1.10. Of two equal keys the first counts."""
        if self.document is not None:
            data = self.document.data if isinstance(self.document.data, dict) else {}
            return {str(key): _as_written(self.document, documents.join("", str(key)), value) for key, value in data.items()}
        values: dict[str, Any] = {}
        for entry in self.entries:
            _, key, *inner = entry.pointer.split("/")
            if not inner:
                values.setdefault(key, entry.value)
        return values

    @property
    def workaround(self) -> str:
        return "it was read line by line" if self.document is None else "it was read with its texts in quotes"


def parse_frontmatter(guide: GuideText) -> Frontmatter:
    """Reads the frontmatter, of a guide that has some. Raises nothing: what is no YAML is mended, or read line by line."""
    head = (guide.head or "").replace("\0", "\ufffd")
    try:
        return Frontmatter(document=guide.document if head == guide.head else parse_head(head, guide.path))
    except InputError as error:
        problem, line = error.message, (error.line if isinstance(error, documents.LocatedError) else None) or 1
    repaired = "\n".join(_quoted(one) for one in head.split("\n"))
    if repaired != head:
        try:
            return Frontmatter(document=parse_head(repaired, guide.path), problem=problem, line=line)
        except InputError:
            pass
    return Frontmatter(document=None, entries=tuple(_line_by_line(head)), problem=problem, line=line)


def _quoted(line: str) -> str:
    match = _PLAIN.match(line.rstrip())
    if not match or not _needs_quotes(match["value"]):
        return line
    return match["key"] + "'" + match["value"].replace("'", "''") + "'"


def _needs_quotes(value: str) -> bool:
    return ": " in value or value[:1] in tuple("`@%&*!") or value.endswith(":")


def _as_written(document: Document, pointer: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _as_written(document, documents.join(pointer, str(key)), one) for key, one in value.items()}
    if isinstance(value, str | list) or value is None:
        return "" if value is None else value
    return document.source(pointer) or str(value)


def _line_by_line(head: str) -> list[Entry]:
    """What follows a key on its line, and the lines below it that are indented or items of a list."""
    entries = []
    lines = head.split("\n")
    place = 0
    while place < len(lines):
        match = _KEY.match(lines[place])
        # The frontmatter begins on line 2 of its file.
        line = place + 2
        place += 1
        if match is None or match["indent"]:
            continue
        below = []
        while place < len(lines) and (not lines[place].strip() or lines[place].startswith((" ", "\t", "- "))):
            below.append(lines[place])
            place += 1
        pointer, first = f"/{match['key']}", (match["value"] or "").strip()
        inner = [(found, line + 1 + number) for number, one in enumerate(below) if (found := _KEY.match(one))]
        pairs = [Entry(pointer=f"{pointer}/{found['key']}", value=_scalar(found["value"] or ""), line=at) for found, at in inner]
        entries.append(Entry(pointer=pointer, value=_value(first, pairs, below), line=line))
        entries += [] if first else pairs
    return entries


def _value(first: str, pairs: list[Entry], below: list[str]) -> Any:
    if not first and pairs:
        values: dict[str, Any] = {}
        for pair in pairs:
            values.setdefault(pair.pointer.rsplit("/", 1)[-1], pair.value)
        return values
    texts = [line.strip() for line in below]
    if not first and any(texts) and all(line.startswith("- ") for line in texts if line):
        return [_scalar(line[2:]) for line in texts if line]
    if first and not _BLOCK.match(first):
        texts.insert(0, _scalar(first))
    return " ".join(text for text in texts if text)


def _scalar(text: str) -> str:
    """A value without its quotes, and without a comment behind it."""
    text = text.strip()
    if match := re.fullmatch(r"""(["'])(?P<inner>(?:(?!\1).)*)\1(?:\s+#.*)?""", text):
        return match["inner"]
    plain = re.sub(r"(?:^|\s+)#.*", "", text)
    return text if _needs_quotes(plain) else plain
