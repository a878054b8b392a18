"""The tree that the readers of YAML and JSON build: values with the places where they stand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MAX_BYTES = 8 * 1024 * 1024
"""Largest document read. A manifest has a few kilobytes, a mapping of a big robot a few hundred."""
MAX_DEPTH = 64
"""Deepest nesting."""
MAX_VALUES = 200_000
"""Values in the data, each alias counted by what it stands for: nine levels of nine aliases are 387 million."""


class Span:
    """A place in a text: line and column from 1, and how many characters to underline there."""

    __slots__ = ("column", "line", "width")

    def __init__(self, line: int, column: int, width: int = 1) -> None:
        self.line = line
        self.column = column
        self.width = width if width > 1 else 1


class Malformed(Exception):
    """A text that is no document, or one that is refused."""

    def __init__(self, rule: str, message: str, span: Span, hint: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.span = span
        self.hint = hint


class Node:
    """A value and where it stands. `items` of a mapping hold (key, span of the key, value), of a sequence the values."""

    __slots__ = ("end", "items", "kind", "source", "span", "value")

    def __init__(self, kind: str, span: Span, *, value: Any = None, source: str = "") -> None:
        self.kind = kind
        """`scalar`, `sequence` or `mapping`."""
        self.span = span
        self.value = value
        self.source = source
        """A scalar as written, without quotes."""
        self.items: list[Any] = []
        self.end = (0, 0)
        """Line and column after the last character of a list or mapping that YAML gave; else nothing is known of it."""

    def child(self, token: str) -> tuple[Node, Span | None] | None:
        """The value under one token of a JSON pointer and the span of its key (None in a sequence)."""
        if self.kind == "mapping":
            for key, key_span, value in self.items:
                if key == token:
                    return value, key_span
        elif self.kind == "sequence" and token.isascii() and token.isdigit() and int(token) < len(self.items):
            return self.items[int(token)], None
        return None

    def data(self) -> Any:
        """The plain value: dict, list, str, int, float, bool, None. Raises `Malformed` where aliases blow up or refer to themselves."""
        return _plain(self, set(), iter(range(MAX_VALUES)), 0)


def _plain(node: Node, open_nodes: set[int], budget: Iterator[int], depth: int) -> Any:
    if next(budget, None) is None:
        raise Malformed("RG005", f"the document has more than {MAX_VALUES} values once its aliases are written out", node.span)
    if node.kind == "scalar":
        return node.value
    if id(node) in open_nodes:
        raise Malformed("RG005", "an alias refers to the value that contains it", node.span)
    if depth > MAX_DEPTH:
        raise Malformed("RG006", f"nested deeper than {MAX_DEPTH} levels", node.span)
    open_nodes.add(id(node))
    plain: Any
    if node.kind == "mapping":
        plain = {key: _plain(value, open_nodes, budget, depth + 1) for key, _, value in node.items}
    else:
        plain = [_plain(value, open_nodes, budget, depth + 1) for value in node.items]
    open_nodes.discard(id(node))
    return plain
