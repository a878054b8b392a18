"""Mends the frontmatter of a SKILL.md: keys that Agent Skills does not know go under `metadata`, and what stands there becomes text.

The text is edited, not written anew: comments, order, quotes and the guide itself stay as they are. What came out is read again and must
say what the frontmatter said, with the moved keys under `metadata` as texts; else nothing is changed.

    name: look                  name: look
    trit: -1    # checks        metadata:
    version: 1.10                 trit: "-1"    # checks
                                  version: "1.10"
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from realitygap.errors import nearest
from realitygap.guide_files import split_frontmatter
from realitygap.guides import KEYS
from realitygap.nodes import Malformed, Node, Span
from realitygap.yaml_reader import read_yaml

INDENT = 2
"""Of a `metadata` that is added."""


@dataclass(kw_only=True)
class Fixed:
    """A text as it could be."""

    text: str
    done: list[str] = field(default_factory=list)
    """What was mended, a few words each."""
    left: list[tuple[int, str]] = field(default_factory=list)
    """Line and why something there was left alone."""


class _Refused(Exception):
    """The text cannot be edited safely."""


def fix_guide(text: str) -> Fixed:
    """The SKILL.md, mended as far as that is safe. Raises nothing."""
    fixed = Fixed(text=text)
    mark, lines = ("\ufeff", text[1:].split("\n")) if text.startswith("\ufeff") else ("", text.split("\n"))
    frontmatter, _, body_line = split_frontmatter("\n".join(lines))
    if frontmatter is None:
        fixed.left.append((1, "there is no frontmatter"))
        return fixed
    end, crlf = body_line - 2, lines[0].endswith("\r")
    head = [line.removesuffix("\r") for line in lines[1:end]]
    if any(line.endswith("\r") != crlf for line in lines[1:end]) or any("\r" in line for line in head):
        fixed.left.append((1, "its lines end in different ways"))
        return fixed
    try:
        new = _Frontmatter(head, fixed).mended()
    except _Refused as error:
        fixed.done.clear()
        fixed.left.append((1, str(error)))
        return fixed
    if fixed.done:
        ending = "\r" if crlf else ""
        fixed.text = mark + "\n".join([lines[0], *(line + ending for line in new), *lines[end:]])
    return fixed


class _Frontmatter:
    """Lines between the two `---`; the first is number 2 of the file."""

    def __init__(self, lines: list[str], fixed: Fixed) -> None:
        self.lines = list(lines)
        self.fixed = fixed
        root = self._read(lines)
        if root is None or root.kind != "mapping" or (lines and lines[root.span.line - 1].lstrip().startswith("{")):
            raise _Refused("the frontmatter is no mapping of one key a line")
        if any(span.column != 1 for _, span, _ in root.items):
            raise _Refused("the keys of the frontmatter are indented")
        self.root = root
        self.data: dict[str, Any] = root.data()
        self.expected: dict[str, Any] = root.data()

    def mended(self) -> list[str]:
        metadata = self.root.child("metadata")
        node = metadata[0] if metadata else None
        if node is not None and not (node.kind == "mapping" or (node.kind == "scalar" and node.value is None and not node.source)):
            self._leave(node.span, "'metadata' is no mapping")
            return self.lines
        if node is not None and node.kind == "mapping":
            self._quote_values(node)
        moves = self._moves()
        if moves:
            self._move(moves, node)
        if self.fixed.done:
            self._verify()
        return self.lines

    def _moves(self) -> list[tuple[str, Span, Node]]:
        """Keys that can go under `metadata`; why others cannot is noted."""
        taken = self.data.get("metadata") or {}
        moves = []
        for key, span, value in self.root.items:
            if key in KEYS:
                continue
            close = nearest(key, KEYS)
            if close:
                self._leave(span, f"'{key}' may be meant as '{close}'")
            elif key in taken:
                self._leave(span, f"'{key}' is in 'metadata' too: which of the two holds is for its author to say")
            elif value.kind != "scalar":
                what = "a list" if value.kind == "sequence" else "a mapping"
                self._leave(span, f"'{key}' is {what}, and 'metadata' holds texts only")
            else:
                moves.append((key, span, value))
        return moves

    def _quote_values(self, metadata: Node) -> None:
        # From the last to the first, so that places on one line stay right.
        for key, span, value in reversed(metadata.items):
            if value.kind != "scalar":
                self._leave(span, f"'metadata.{key}' is {'a list' if value.kind == 'sequence' else 'a mapping'}, and should be a text")
            elif not isinstance(value.value, str):
                self._quote(span, value)
                self.expected["metadata"][key] = value.source
                self.fixed.done.append(f"quotes metadata.{key}")
        self.fixed.done.reverse()

    def _move(self, moves: list[tuple[str, Span, Node]], metadata: Node | None) -> None:
        if metadata is not None and metadata.kind == "mapping" and self._is_flow(metadata):
            self._move_into_flow(moves, metadata)
            return
        for key, span, value in moves:
            if not isinstance(value.value, str):
                self._quote(span, value)
            self.fixed.done.append(f"moves {key} under metadata")
        sections = self._sections()
        moved = [sections[key] for key, _, _ in moves]
        indent = metadata.items[0][1].column - 1 if metadata is not None and metadata.kind == "mapping" else INDENT
        block = [" " * indent + line if line.strip() else line for first, last in moved for line in self.lines[first:last]]
        gone = {number for first, last in moved for number in range(first, last)}
        if metadata is None:
            place, block = moved[0][0], ["metadata:", *block]
        else:
            place = sections["metadata"][1]
        self.lines = [
            line
            for number in range(len(self.lines) + 1)
            for line in [*(block if number == place else []), *(self.lines[number : number + 1] if number not in gone else [])]
        ]
        self._expect(moves)

    def _move_into_flow(self, moves: list[tuple[str, Span, Node]], metadata: Node) -> None:
        sections = self._sections()
        entries, gone, moving = [], set(), []
        for key, span, value in moves:
            first, last = sections[key]
            if any("#" in line for line in self.lines[first:last]):
                self._leave(span, f"'{key}' has a comment, for which 'metadata' in braces has no place")
                continue
            entries.append(f"{key}: {json.dumps(_text_of(value), ensure_ascii=False)}")
            gone |= set(range(first, last))
            moving.append((key, span, value))
            self.fixed.done.append(f"moves {key} under metadata")
        if not moving:
            return
        # The values before the brace may have been quoted, so it is looked for anew.
        node = self._read(self.lines)
        found = node.child("metadata") if node else None
        if found is None:
            raise _Refused("'metadata' cannot be found again")
        line, column = found[0].end[0] - 1, found[0].end[1] - 2
        before, after = self.lines[line][:column], self.lines[line][column:]
        if not after.startswith("}"):
            raise _Refused("'metadata' does not end in a brace")
        ended = "".join([*self.lines[:line], before]).rstrip().endswith(",")
        separator = ", " if metadata.items and not ended else ""
        self.lines[line] = (before.rstrip() or before) + separator + ", ".join(entries) + after
        self.lines = [text for number, text in enumerate(self.lines) if number not in gone]
        self._expect(moving)

    def _sections(self) -> dict[str, tuple[int, int]]:
        """First line and the line after the last of each key, with the comments right above it; empty lines after it are not its own."""
        starts = []
        for key, span, _ in self.root.items:
            first = span.line - 1
            while first > 0 and self.lines[first - 1].startswith("#"):
                first -= 1
            starts.append((key, first, span.line - 1))
        sections = {}
        for number, (key, first, own) in enumerate(starts):
            last = starts[number + 1][1] if number + 1 < len(starts) else len(self.lines)
            while last > own + 1 and (not self.lines[last - 1].strip() or self.lines[last - 1].startswith("#")):
                last -= 1
            sections[key] = (first, last)
        return sections

    def _quote(self, key: Span, value: Node) -> None:
        """Puts a plain scalar of one line in quotes."""
        number = value.span.line - 1
        line = self.lines[number]
        if not value.source:
            # Nothing stands there: after the colon.
            number = key.line - 1
            line = self.lines[number]
            place = line.find(":", key.column - 1 + key.width)
            if place < key.column - 1 + key.width:
                raise _Refused("an empty value without a colon")
            self.lines[number] = line[: place + 1] + ' ""' + line[place + 1 :]
            return
        first = value.span.column - 1
        written = line[first : first + len(value.source)]
        if written != value.source or '"' in written or "\\" in written:
            raise _Refused("a value with a tag or an anchor")
        self.lines[number] = f'{line[:first]}"{written}"{line[first + len(written) :]}'

    def _expect(self, moves: list[tuple[str, Span, Node]]) -> None:
        """What the frontmatter says with these keys moved, found without looking at the text."""
        texts = {key: _text_of(value) for key, _, value in moves}
        if isinstance(self.expected.get("metadata"), dict):
            self.expected["metadata"].update(texts)
            self.expected = {key: value for key, value in self.expected.items() if key not in texts}
            return
        renewed: dict[str, Any] = {}
        for key, value in self.expected.items():
            if key == "metadata" or (key in texts and "metadata" not in renewed and "metadata" not in self.expected):
                renewed["metadata"] = texts
            elif key not in texts:
                renewed[key] = value
        self.expected = renewed

    def _verify(self) -> None:
        root = self._read(self.lines)
        data = root.data() if root else None
        if not _same(data, self.expected):
            raise _Refused("an edit would change what it says")

    def _read(self, lines: list[str]) -> Node | None:
        try:
            root = read_yaml("\n".join(lines) + "\n")
            if root is not None:
                root.data()  # aliases that blow up show only here
            return root
        except Malformed as error:
            raise _Refused(f"line {error.span.line + 1}: {error.message}") from None

    def _is_flow(self, metadata: Node) -> bool:
        return self.lines[metadata.span.line - 1][metadata.span.column - 1 :].startswith("{")

    def _leave(self, span: Span, why: str) -> None:
        self.fixed.left.append((span.line + 1, why))


def _text_of(value: Node) -> str:
    return value.value if isinstance(value.value, str) else value.source


def _same(one: Any, other: Any) -> bool:
    """Equal, with the keys in the same order and numbers of the same type."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return list(one) == list(other) and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    return type(one) is type(other) and one == other
