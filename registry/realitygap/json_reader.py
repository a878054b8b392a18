"""JSON to nodes with places, strictly by RFC 8259, duplicate keys refused."""

from __future__ import annotations

import re
from json import JSONDecodeError
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from realitygap.nodes import MAX_DEPTH, Malformed, Node, Span

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {"true": True, "false": False, "null": None}


def read_json(text: str) -> Node:
    """The root node. Raises `Malformed`."""
    reader = _Reader(text)
    node, end = reader.value(reader.skip(0), 0)
    end = reader.skip(end)
    if end != len(text):
        raise reader.error(end, "text after the end of the document")
    return node


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.line_starts = [0, *(match.end() for match in re.finditer("\n", text))]

    def span(self, start: int, end: int | None = None) -> Span:
        from bisect import bisect_right

        line = bisect_right(self.line_starts, start)
        return Span(line, start - self.line_starts[line - 1] + 1, (end or start + 1) - start)

    def error(self, index: int, message: str, rule: str = "RG001") -> Malformed:
        return Malformed(rule, message if rule != "RG001" else f"not JSON: {message}", self.span(index))

    def skip(self, index: int) -> int:
        match = _SPACE.match(self.text, index)
        return match.end() if match else index

    def value(self, index: int, depth: int) -> tuple[Node, int]:
        if depth > MAX_DEPTH:
            raise self.error(index, f"nested deeper than {MAX_DEPTH} levels", "RG006")
        first = self.text[index : index + 1]
        if first == "{":
            return self.mapping(index, depth)
        if first == "[":
            return self.sequence(index, depth)
        if first == '"':
            string, end = self.string(index)
            return Node("scalar", self.span(index, end), value=string, source=string), end
        for word, value in _WORDS.items():
            if self.text.startswith(word, index):
                return Node("scalar", self.span(index, index + len(word)), value=value, source=word), index + len(word)
        match = _NUMBER.match(self.text, index)
        if not match:
            raise self.error(index, "a value is expected here")
        if len(match[0]) > 300:
            raise self.error(index, f"a number of {len(match[0])} digits", "RG004")
        number = float(match[0]) if match[1] or match[2] else int(match[0])
        return Node("scalar", self.span(index, match.end()), value=number, source=match[0]), match.end()

    def string(self, index: int) -> tuple[str, int]:
        try:
            string, end = scanstring(self.text, index + 1, True)
        except JSONDecodeError as error:
            raise self.error(min(error.pos, len(self.text)), error.msg.lower()) from None
        if any("\ud800" <= character <= "\udfff" for character in string):
            raise self.error(index, "a string with half of a surrogate pair")
        return string, end

    def mapping(self, index: int, depth: int) -> tuple[Node, int]:
        node, taken = Node("mapping", self.span(index)), set()
        index = self.skip(index + 1)
        while self.text[index : index + 1] != "}":
            if node.items:
                index = self.expect(index, ",", "',' or '}' is expected here")
            if self.text[index : index + 1] != '"':
                raise self.error(index, "a key in double quotes is expected here")
            key, end = self.string(index)
            span = self.span(index, end)
            if key in taken:
                raise Malformed("RG003", f"key '{key}' is given twice", span, "remove one of the two")
            taken.add(key)
            value, index = self.value(self.expect(self.skip(end), ":", "':' is expected here"), depth + 1)
            node.items.append((key, span, value))
            index = self.skip(index)
        return node, index + 1

    def sequence(self, index: int, depth: int) -> tuple[Node, int]:
        node = Node("sequence", self.span(index))
        index = self.skip(index + 1)
        while self.text[index : index + 1] != "]":
            if node.items:
                index = self.expect(index, ",", "',' or ']' is expected here")
            value, index = self.value(index, depth + 1)
            node.items.append(value)
            index = self.skip(index)
        return node, index + 1

    def expect(self, index: int, character: str, message: str) -> int:
        if self.text[index : index + 1] != character:
            raise self.error(index, message)
        return self.skip(index + 1)
