"""The files that a robot model or a document names: includes, meshes, textures, other documents.

Models are looked through as text and not by a parser: a parser that reads a file differently from the one in the simulator could be shown
something else. So every attribute that may hold a path counts, also in a comment, and what makes texts ambiguous is refused.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realitygap.errors import InputError

LARGEST_MODEL = 64 * 1024 * 1024
"""Bytes of an XML file that is still looked through."""
ARCHIVES = (".zip", ".mjz")
"""What the simulator takes as a model although it is a folder in a file."""
_SNIFFED = 4096
_DOCUMENTS = (".yaml", ".yml", ".json")
_LONGEST_PATH = 4096
_ATTRIBUTE = re.compile(r"([\w:.-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")
_FILE = re.compile(r"file|^(value|uri|url|path|content)$", re.IGNORECASE)
_FOLDER = re.compile(r".dir$", re.IGNORECASE)
_ENCODING = re.compile(r"<\?xml[^>]*encoding\s*=\s*[\"']([^\"']*)", re.IGNORECASE)


class Unreadable(Exception):
    """A file of which it cannot be said what it names."""


def files_named_by(file: Path) -> Iterator[tuple[str, Path]]:
    """What the file says and the existing file or folder that it may mean, also through other files. Raises Unreadable."""
    if _is_xml(file):
        yield from _named_by_model(file)
    elif file.suffix.lower() in _DOCUMENTS:
        yield from _named_by_document(file, {file.resolve()})


def _is_xml(file: Path) -> bool:
    if file.suffix.lower() in ARCHIVES:
        raise Unreadable("an archive is not looked through; unpack it")
    with file.open("rb") as opened:
        start = opened.read(_SNIFFED)
    if start.startswith((b"\xff\xfe", b"\xfe\xff")):
        # UTF-16: two readers would see two files.
        raise Unreadable("it is not UTF-8")
    return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<") or file.suffix.lower() in (".xml", ".urdf", ".mjcf")


def _named_by_model(top: Path) -> Iterator[tuple[str, Path]]:
    """An include may be meant from the first model's folder or from that of the file that has it, a mesh also from the folders that any
    of them sets: each that exists counts."""
    names: dict[Path, list[tuple[str, str]]] = {top: _attributes(top)}
    given: set[Path] = set()
    while True:
        bases = {path.parent for path in names}
        told = [value for found in names.values() for attribute, value in found if _FOLDER.search(attribute)]
        folders = {base / part for base in bases for value in told for part in _spellings(value)} | bases
        fresh: list[tuple[str, Path]] = []
        for word in {value for found in names.values() for _, value in found}:
            fresh += [(word, folder / part) for folder in folders for part in _spellings(word)]
        fresh = [(word, path) for word, path in fresh if path not in given and _exists(path)]
        if not fresh:
            return
        for word, path in sorted(fresh, key=lambda one: str(one[1])):
            if path in given:
                continue
            given.add(path)
            yield word, path
            real = path.resolve()
            if real.is_file() and real not in names and _is_xml(real):
                names[real] = _attributes(real)


def _attributes(file: Path) -> list[tuple[str, str]]:
    """Attributes of an XML file that may hold a path, with their values."""
    if file.stat().st_size > LARGEST_MODEL:
        raise Unreadable(f"a model of more than {LARGEST_MODEL >> 20} MB is not looked through")
    try:
        text = file.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    encoding = _ENCODING.search(text)
    if encoding and encoding[1].lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise Unreadable(f"its encoding is '{encoding[1][:40]}'; write it as UTF-8")
    if "<!doctype" in text.lower() or "<!entity" in text.lower():
        raise Unreadable("it declares a document type or entities; write it without")
    found = []
    for attribute, double, single in _ATTRIBUTE.findall(text):
        if _FILE.search(attribute) or _FOLDER.search(attribute):
            value = html.unescape(double or single)
            if value and "\0" not in value and len(value) <= _LONGEST_PATH:
                found.append((attribute, value))
    return found


def _named_by_document(file: Path, seen: set[Path]) -> Iterator[tuple[str, Path]]:
    from realitygap.document import load

    try:
        data = load(file).data
    except InputError:
        return  # the skill has the same reader, and says what is wrong
    for text in _texts(data):
        if not text.strip("/") or len(text) > _LONGEST_PATH or "\0" in text:
            continue
        for path in {file.parent / part for part in _spellings(text)}:
            if not _exists(path):
                continue
            yield text, path
            real = path.resolve()
            if real in seen or not real.is_file():
                continue
            seen.add(real)
            if _is_xml(real):
                yield from _named_by_model(real)
            elif real.suffix.lower() in _DOCUMENTS:
                yield from _named_by_document(real, seen)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def _spellings(text: str) -> set[Path]:
    """The paths that a text may stand for: as it is, without a scheme such as `package://`, and its last part."""
    plain = text.partition("://")[2] or text
    home = {Path(text).expanduser()} if text.startswith("~/") else set()
    return {Path(text), Path(plain), Path(plain.replace("\\", "/")), Path(plain.replace("\\", "/").rpartition("/")[2])} | home


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
