"""The one reader of documents: YAML or JSON to plain data, with the place of every value.

document = load("robot-task.yaml")
with document.locating():
    compile_task(document.data, catalog)     # an error with `pointer` "/rewards/2/weight" comes out as robot-task.yaml:14:9
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from realitygap.errors import InputError
from realitygap.nodes import MAX_BYTES, Malformed, Node, Span
from realitygap.sources import NotPlain, lines_of, why_unreadable


class LocatedError(InputError):
    """An error at a place in a document; shows the line."""

    def __init__(
        self, message: str, *, document: Document, span: Span, rule: str = "", hint: str | None = None, pointer: str | None = None
    ) -> None:
        super().__init__(message, where=f"{document.shown}:{span.line}:{span.column}", hint=hint)
        self.path = document.path
        self.line = span.line
        self.column = span.column
        self.width = span.width
        self.rule = rule
        """`RG0xx` when the text is no document, else empty."""
        self.at = pointer
        """JSON pointer of the value, None when the text is no document."""
        self.snippet = snippet(document.text, span)

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.message}", *self.snippet]
        return "\n".join([*lines, f"  hint: {self.hint}"] if self.hint else lines)


class Document:
    """Data of a YAML or JSON text, with its places."""

    def __init__(self, path: Path | None, text: str, root: Node | None) -> None:
        self.path = path
        """The file; None for a text that came from elsewhere."""
        self.text = text
        self.root = root
        self.data: Any = None
        """dict, list, str, int, float, bool or None. Its own copy: change it and nothing else changes."""

    @property
    def shown(self) -> str:
        """The file as messages name it: relative to the working directory where it lies inside."""
        return shown_path(self.path) if self.path else "<text>"

    def locate(self, pointer: str, *, key: bool = False) -> tuple[int, int]:
        """Line and column, from 1, of the value at a JSON pointer, or of its key.

        A pointer to what does not exist gives the nearest thing around it that does: the key of the mapping that lacks it.
        """
        span = self.span(pointer, key=key)
        return span.line, span.column

    def span(self, pointer: str, *, key: bool = False) -> Span:
        """As `locate`, with the number of characters to underline."""
        if self.root is None:
            return Span(1, 1)
        node, key_span = self.root, None
        for token in tokens(pointer):
            found = node.child(token)
            if found is None:
                return key_span or node.span
            node, key_span = found
        return key_span if key and key_span else node.span

    def source(self, pointer: str) -> str | None:
        """The scalar at a pointer as it was written, None if there is none: `1.10` where the data says 1.1."""
        node = self.root
        for token in tokens(pointer):
            found = node.child(token) if node else None
            node = found[0] if found else None
        return node.source if node is not None and node.kind == "scalar" else None

    def where(self, pointer: str, *, key: bool = False) -> str:
        """`file:line:column` of the value at a JSON pointer."""
        line, column = self.locate(pointer, key=key)
        return f"{self.shown}:{line}:{column}"

    def error(self, pointer: str, message: str, *, hint: str | None = None, key: bool = False) -> LocatedError:
        """The error to raise for the value at a JSON pointer."""
        return LocatedError(message, document=self, span=self.span(pointer, key=key), hint=hint, pointer=pointer)

    @contextmanager
    def locating(self, prefix: str = "") -> Iterator[Document]:
        """Any exception with a `pointer` that is raised inside becomes a `LocatedError` at that place.

        Args:
            prefix: pointer to the part of this document that was handed on; `pointer` counts from there.
        """
        try:
            yield self
        except LocatedError:
            raise
        except Exception as error:
            pointer = getattr(error, "pointer", None)
            if not isinstance(pointer, str):
                raise
            message = str(getattr(error, "message", None) or error)
            hint = getattr(error, "hint", None)
            raise self.error(prefix + pointer, message, hint=hint) from error


def load(path: str | os.PathLike[str]) -> Document:
    """Reads a `.yaml` or `.json` file. Raises `InputError` with the place of what is wrong."""
    file = Path(path)
    try:
        mode = file.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            # A pipe keeps who opens it waiting, a device never ends.
            raise NotPlain
        with file.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise InputError("a folder, not a file", where=shown_path(file)) from None
    except OSError as error:
        message, hint = why_unreadable(file, error)
        if isinstance(error, FileNotFoundError) and not file.is_symlink():
            message, hint = "no such file", _sibling_hint(file)
        raise InputError(message, where=shown_path(file), hint=hint) from None
    except ValueError as error:
        raise InputError(f"cannot be read: {error}", where=shown_path(file)) from None
    return parse(raw, file)


def parse(text: str | bytes, path: str | os.PathLike[str] | None = None) -> Document:
    """Reads a text; `path` names it in messages and chooses the format: JSON by `.json`, or without a suffix by a `{` at the beginning.

    Raises `LocatedError`.
    """
    file = path if path is None or isinstance(path, Path) else Path(path)
    if len(text) > MAX_BYTES:
        raise InputError(f"larger than {MAX_BYTES // 1024**2} MiB, which no document needs", where=shown_path(file) if file else None)
    string = _decode(text, file) if isinstance(text, bytes) else text
    string = string.removeprefix("\ufeff")
    document = Document(file, string, None)
    try:
        if file is not None and (file.suffix == ".json" or (not file.suffix and string.lstrip().startswith("{"))):
            from realitygap.json_reader import read_json

            document.root = read_json(string)
        else:
            from realitygap.yaml_reader import read_yaml

            document.root = read_yaml(string)
        document.data = document.root.data() if document.root else None
    except Malformed as error:
        raise LocatedError(error.message, document=document, span=error.span, rule=error.rule, hint=error.hint) from None
    return document


def snippet(text: str, span: Span) -> list[str]:
    """The line with the place underlined, as two lines of text; nothing where the text has no such line."""
    lines = lines_of(text)
    return underlined(lines[span.line - 1], span) if 1 <= span.line <= len(lines) else []


def underlined(line: str, span: Span) -> list[str]:
    """As `snippet`, of the line itself."""
    # A tab is one character to the reader and many on the screen; the rest could drive the terminal.
    shown, offset = line if line.isprintable() else "".join(one if one.isprintable() else " " for one in line), 0
    if len(shown) > 120:
        offset = max(0, span.column - 60)
        shown = shown[offset : offset + 120]
    column = span.column - 1 - offset
    number = f"{span.line:5d}"
    return [f"{number} | {shown}", f"{' ' * len(number)} | {' ' * column}{'^' * max(1, min(span.width, len(shown) - column))}"]


def tokens(pointer: str) -> list[str]:
    """The parts of a JSON pointer (RFC 6901), unescaped."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def join(pointer: str, *parts: str | int) -> str:
    """A JSON pointer, extended."""
    return pointer + "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def shown_path(path: Path) -> str:
    """A path as messages name it: relative to the working directory where it lies inside."""
    place = str(path)
    plain = ".." not in place
    if plain and not place.startswith("/"):
        return place
    try:
        absolute, here = place if plain else os.path.abspath(path), os.getcwd()
    except OSError:
        return place
    if absolute == here:
        return "."
    inside = here if here.endswith(os.sep) else here + os.sep
    return absolute[len(inside) :] if absolute.startswith(inside) else place


def _decode(raw: bytes, path: Path | None) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        raise InputError("the text is UTF-16", where=shown_path(path) if path else None, hint="save it as UTF-8")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        span = Span(before.count(b"\n") + 1, len(before[before.rfind(b"\n") + 1 :].decode("utf-8")) + 1)
        document = Document(path, raw.decode("utf-8", "replace"), None)
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise LocatedError(message, document=document, span=span, rule="RG002", hint="save the file as UTF-8") from None


def _sibling_hint(path: Path) -> str:
    from realitygap.errors import nearest

    if path.suffix == ".yaml" and path.with_suffix(".yml").exists():
        return f"'{path.with_suffix('.yml').name}' is there; only '.yaml' is read: rename it"
    try:
        # A link to nothing is listed, and is not there.
        close = nearest(path.name, [one for one in os.listdir(path.parent) if one != path.name])
    except OSError:
        return f"there is no folder '{shown_path(path.parent)}' either"
    return f"did you mean '{path.with_name(close)}'?" if close else f"nothing in the folder '{shown_path(path.parent)}' has a name like it"
