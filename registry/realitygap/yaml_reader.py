"""YAML to nodes, by the types of YAML 1.2: `no` is a string, `1e-3` a number, a date a string.

PyYAML follows YAML 1.1, where `no` is false, `1e-3` a string, `12:30` is 750 and the last of two equal keys wins. So only its scanner and
parser are used, and the tree is built here from their events, without recursion.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from realitygap.nodes import MAX_DEPTH, Malformed, Node, Span
from realitygap.sources import lines_of

_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)\Z")
_BASED = re.compile(r"0o[0-7]+\Z|0x[0-9a-fA-F]+\Z")
_LEADING_ZERO = re.compile(r"[-+]?0[0-9]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_INFINITE = re.compile(r"([-+]?)\.(inf|Inf|INF)\Z")
_CONSTANTS = (
    {"": None, "~": None, "null": None, "Null": None, "NULL": None}
    | dict.fromkeys(("true", "True", "TRUE"), True)
    | dict.fromkeys(("false", "False", "FALSE"), False)
)
_BEGINS_NUMBER = frozenset("+-.0123456789")
_SURROGATE = re.compile("[\ud800-\udfff]")
_OTHER_BREAKS = str.maketrans("\x85\u2028\u2029", "   ")
"""To YAML 1.1 they begin a line, to 1.2 and every editor they do not."""
_TAG = "tag:yaml.org,2002:"


def read_yaml(text: str) -> Node | None:
    """The root node, None for a text without any value. Raises `Malformed`."""
    import yaml

    half = None if text.isascii() else _SURROGATE.search(text)
    if half:
        raise Malformed("RG002", "half of a surrogate pair", _place(text, half.start()))
    loader = _loader(text, yaml)
    try:
        return _build(loader, yaml)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        span = Span(mark.line + 1, mark.column + 1) if mark else Span(1, 1)
        problem = " ".join(part for part in (error.problem, error.context) if part) or "not YAML"
        raise Malformed("RG001", f"not YAML: {problem}", span, _syntax_hint(text, span)) from None
    except yaml.reader.ReaderError as error:
        # libyaml counts bytes here, PyYAML's own reader characters.
        position = error.position if isinstance(error.position, int) else 0
        if error.encoding != "unicode":
            position = len(text.encode("utf-8")[:position].decode("utf-8", "ignore"))
        raise Malformed("RG002", f"a character that YAML does not allow: {error.reason}", _place(text, position)) from None
    finally:
        loader.dispose()


def _loader(text: str, yaml: Any) -> Any:
    return getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text if text.isascii() else text.translate(_OTHER_BREAKS))


def in_scalar(text: str) -> Callable[[int, int], bool]:
    """Whether a place (line and column from 1) lies inside a scalar, so that a `#` there begins no comment.

    Of a text that is no YAML, what comes before the fault is known.
    """
    import yaml

    spans: list[tuple[tuple[int, int], tuple[int, int]]] = []
    loader = _loader(text, yaml)
    try:
        while loader.check_event():
            event = loader.get_event()
            if isinstance(event, yaml.ScalarEvent):
                span = _span(event)
                spans.append(((span.line, span.column), _end(event)))
    except yaml.YAMLError:
        pass
    finally:
        loader.dispose()
    return lambda line, column: any(start <= (line, column) < end for start, end in spans)


def _build(loader: Any, yaml: Any) -> Node | None:
    root: Node | None = None
    stack: list[Node] = []
    pending_key: list[tuple[str, Span] | None] = []
    keys: list[set[str]] = []
    anchors: dict[str, Node] = {}
    documents = 0

    def attach(node: Node, event: Any) -> None:
        nonlocal root
        if not stack:
            root = node
        elif stack[-1].kind == "sequence":
            stack[-1].items.append(node)
        elif pending_key[-1] is None:
            if node.kind != "scalar":
                raise Malformed("RG001", "a key must be a plain word", _span(event))
            pending_key[-1] = _key(node.source, node.span, event, yaml, keys[-1]), _span(event)
        else:
            stack[-1].items.append((*pending_key[-1], node))
            pending_key[-1] = None

    scalar, end = yaml.ScalarEvent, yaml.StreamEndEvent
    while not isinstance(event := loader.get_event(), end):
        if isinstance(event, scalar):
            span = _span(event)
            as_key = stack and stack[-1].kind == "mapping" and pending_key[-1] is None
            if as_key and not event.anchor:
                pending_key[-1] = _key(event.value, span, event, yaml, keys[-1]), span
                continue
            node = Node("scalar", span, value=event.value if as_key else _scalar(event), source=event.value)
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in anchors:
                raise Malformed("RG001", f"alias '*{event.anchor}' has no anchor '&{event.anchor}' before it", _span(event))
            attach(anchors[event.anchor], event)
            continue
        elif isinstance(event, yaml.CollectionStartEvent):
            node = Node("mapping" if isinstance(event, yaml.MappingStartEvent) else "sequence", _span(event))
            if event.tag not in (None, "!", _TAG + "map", _TAG + "seq"):
                raise _bad_tag(event)
            if len(stack) >= MAX_DEPTH:
                raise Malformed("RG006", f"nested deeper than {MAX_DEPTH} levels", node.span)
        elif isinstance(event, yaml.CollectionEndEvent):
            stack.pop().end = _end(event)
            pending_key.pop()
            keys.pop()
            continue
        else:
            documents += isinstance(event, yaml.DocumentStartEvent)
            if documents > 1:
                raise Malformed("RG001", "a second document begins here; one is read", _span(event), "remove the second '---'")
            continue
        if event.anchor:
            anchors[event.anchor] = node
        attach(node, event)
        if node.kind != "scalar":
            stack.append(node)
            pending_key.append(None)
            keys.append(set())
    return root


def _key(text: str, span: Span, event: Any, yaml: Any, taken: set[str]) -> str:
    """The key, whose word stands at a place. The event may be an alias for it. Raises `Malformed`."""
    if text == "<<" and isinstance(event, yaml.ScalarEvent) and event.implicit[0]:
        raise Malformed("RG001", "merge keys '<<' are not part of YAML 1.2", span, "write the keys out")
    if text in taken:
        raise Malformed("RG003", f"key '{text}' is given twice", span, "remove one of the two")
    taken.add(text)
    return text


def _scalar(event: Any) -> Any:
    text: str = event.value
    if event.tag is not None and event.tag != "!":
        if event.tag == _TAG + "str":
            return text
        if not event.tag.startswith(_TAG) or event.tag[len(_TAG) :] not in ("int", "float", "bool", "null"):
            raise _bad_tag(event)
        value = _plain(text, event)
        kind = {"int": int, "float": float, "bool": bool, "null": type(None)}[event.tag[len(_TAG) :]]
        if kind is float and type(value) is int:
            return float(value)
        if type(value) is not kind:
            raise Malformed("RG001", f"'{text}' is no {event.tag[len(_TAG) :]}", _span(event))
        return value
    return _plain(text, event) if event.implicit[0] and event.tag is None else text


def _plain(text: str, event: Any) -> Any:
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if text[0] not in _BEGINS_NUMBER:
        return text
    if _INTEGER.match(text) or _BASED.match(text):
        if len(text) > 300:
            raise Malformed("RG004", f"a number of {len(text)} digits", _span(event), "put it in quotes if it is text")
        return int(text, 0)
    if _LEADING_ZERO.match(text):
        hint = f"write {text.lstrip('+-0') or '0'} for a number, '{text}' in quotes for text"
        raise Malformed("RG004", f"'{text}' is octal to some readers of YAML and decimal to others", _span(event), hint)
    if _FLOAT.match(text):
        return float(text)
    if infinite := _INFINITE.match(text):
        return float(infinite[1] + "inf")
    if text in (".nan", ".NaN", ".NAN"):
        raise Malformed("RG004", "'.nan' is no value that a document may hold", _span(event), "give a number, or leave the key out")
    return text


def _bad_tag(event: Any) -> Malformed:
    shown = event.tag.replace(_TAG, "!!")
    return Malformed(
        "RG001", f"tag '{shown}' is not allowed", _span(event), "documents hold strings, numbers, booleans, lists and mappings only"
    )


def _span(event: Any) -> Span:
    start, end = event.start_mark, event.end_mark
    return Span(start.line + 1, start.column + 1, end.column - start.column if end.line == start.line else 1)


def _end(event: Any) -> tuple[int, int]:
    return event.end_mark.line + 1, event.end_mark.column + 1


def _place(text: str, index: int) -> Span:
    return Span(text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index))


def _syntax_hint(text: str, span: Span) -> str | None:
    lines = lines_of(text)
    line = lines[span.line - 1] if span.line <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return "indent with spaces, not tabs"
    if line.count(": ") > 1:
        return "a text with ': ' in it needs quotes"
    return None
