"""The files that a robot model or a document names: includes, meshes, textures, other documents.

Models are looked through as text and not by a parser: a parser that reads a file differently from the one in the simulator could be shown
something else. So every attribute that may hold a path counts, also in a comment, and what makes texts ambiguous is refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from realitygap.errors import InputError

LARGEST_MODEL = 16 << 20
"""Bytes of a model that is still looked through."""
MOST_PLACES = 50_000
"""How often a name may be looked for in a folder, for one model with its parts."""
ARCHIVES = (".zip", ".mjz")
"""What the simulator takes as a model although it is a folder in a file."""
_CHUNK = 1 << 20
_ATTRIBUTE = re.compile(r"(?<![\w:.-])([\w:.-]+)\s*=\s*(?=\"([^\"]*)\"|'([^']*)')")
"""Matches overlap: a quote that is opened in a comment must not swallow what comes after it."""
_FILE = re.compile(r"file|^(value|uri|url|path|content)$", re.IGNORECASE)
_FOLDER = re.compile(r".dir$", re.IGNORECASE)
_CERTAIN = re.compile(r"file|.dir$", re.IGNORECASE)
"""Attributes that hold nothing but paths."""
_GIVEN = re.compile(rb"=[\"']")
_NAME = re.compile(rb"(file|dir|value|ur[il]|path|content)[\w:.-]{0,32}$", re.IGNORECASE)
_LONGEST_NAME = 64
_REFERENCE = re.compile(r"&(?:#(?:x([0-9a-fA-F]+)|([0-9]+))|(amp|lt|gt|quot|apos));")
_LETTERS = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_ENCODING = re.compile(r"<\?xml[^<>]*encoding\s*=\s*[\"']([^\"']*)", re.IGNORECASE)


class Unreadable(Exception):
    """A file of which it cannot be said what it names."""


def files_named_by(file: Path) -> Iterator[tuple[str, Path]]:
    """What the file says and the file or folder that it may mean, also through other files. Raises Unreadable.

    Whatever its suffix, and also where nothing is there and what it says can only be a path: the answer must not tell.
    """
    yield from _named_by(file, {file.resolve()})


def _named_by(file: Path, seen: set[Path]) -> Iterator[tuple[str, Path]]:
    xml = _is_xml(file)
    if xml or _holds_paths(file):
        yield from _named_by_model(file)
    if not xml:
        yield from _named_by_document(file, seen)


def _is_xml(file: Path) -> bool:
    if file.suffix.lower() in ARCHIVES:
        raise Unreadable("an archive is not looked through; unpack it")
    with file.open("rb") as opened:
        start = opened.read(_CHUNK)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            # UTF-16: two readers would see two files.
            raise Unreadable("it is not UTF-8")
        start = start.removeprefix(b"\xef\xbb\xbf")
        while start and not (start := start.lstrip()):
            start = opened.read(_CHUNK)
    return start.startswith(b"<") or file.suffix.lower() in (".xml", ".urdf", ".mjcf")


def _holds_paths(file: Path) -> bool:
    """Whether there is an attribute that may hold a path: the simulator reads a model also where other text comes before it."""
    rest = b""
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            packed = rest + b"".join(chunk.split())
            for hit in _GIVEN.finditer(packed):
                if _NAME.search(packed, max(0, hit.start() - _LONGEST_NAME), hit.start()):
                    return True
            rest = packed[-_LONGEST_NAME - 2 :]
    return False


def _named_by_model(top: Path) -> Iterator[tuple[str, Path]]:
    """An include may be meant from the first model's folder or from that of the file that has it, a mesh also from the folders that any
    of them sets: each that exists counts. Where none does, or the path is absolute, it counts by its text."""
    names: dict[Path, list[tuple[str, str]]] = {top: _attributes(top)}
    given: set[Path] = set()
    places = 0
    while True:
        bases = {path.parent for path in names}
        told = {value for found in names.values() for attribute, value in found if _FOLDER.search(attribute)}
        words = {value for found in names.values() for _, value in found}
        places += len(words) * len(bases) * (1 + len(told))
        if places > MOST_PLACES:
            raise Unreadable("it names too many files and folders to look for each file in each folder; split it, or name fewer folders")
        folders = {base / part for base in bases for value in told for part in _spellings(value)} | bases
        fresh: list[tuple[str, Path]] = []
        there: set[str] = set()
        for word in words:
            parts = _spellings(word)
            existing = {path for folder in folders for part in parts if _exists(path := folder / part)}
            there |= {word} if existing else set()
            fresh += [(word, path) for path in existing if path not in given]
        if not fresh:
            break
        for word, path in sorted(fresh, key=lambda one: str(one[1])):
            if path in given:
                continue
            given.add(path)
            yield word, path
            real = path.resolve()
            # Whatever its suffix: an include reads a file called `leg.stl` too.
            if real.is_file() and real not in names and (_is_xml(real) or _holds_paths(real)):
                names[real] = _attributes(real)
    certain = {value for found in names.values() for attribute, value in found if _CERTAIN.search(attribute)}
    real_bases = {base.resolve() for base in bases}
    for word in sorted(words):
        plain = Path(_plain(word))
        if word in certain and (plain.is_absolute() or word not in there):
            yield from ((word, path) for path in {folder / plain for folder in folders})
        for part in _spellings(word):
            yield from ((word, base / part) for base in real_bases if _leads_elsewhere(base, part))


def _attributes(file: Path) -> list[tuple[str, str]]:
    """Attributes of a model that may hold a path, with their values."""
    if file.stat().st_size > LARGEST_MODEL:
        raise Unreadable(f"a model of more than {LARGEST_MODEL >> 20} MB is not looked through")
    xml = _is_xml(file)
    try:
        text = file.read_bytes().decode("utf-8", "strict" if xml else "surrogateescape")
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    if xml:
        _require_plain(text)
    found = []
    for attribute, double, single in _ATTRIBUTE.findall(text):
        if _FILE.search(attribute) or _FOLDER.search(attribute):
            value = _REFERENCE.sub(_letter, re.sub("\r\n?|\n\r", "\n", double or single))
            if value and "\0" not in value:
                found.append((attribute, value))
    return found


def _require_plain(text: str) -> None:
    encoding = _ENCODING.search(text)
    if encoding and encoding[1].lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
        raise Unreadable(f"its encoding is '{encoding[1][:40]}'; write it as UTF-8")
    if "<!doctype" in text.lower() or "<!entity" in text.lower():
        raise Unreadable("it declares a document type or entities; write it without")
    if "\0" in text:
        raise Unreadable("it holds a NUL character")


def _letter(reference: re.Match[str]) -> str:
    """What XML has a reference stand for. That to 0 ends a text for one reader, and is another letter for the next."""
    hexadecimal, decimal, name = reference.groups()
    if name:
        return _LETTERS[name]
    digits = (hexadecimal or decimal).lstrip("0")
    number = int(digits, 16 if hexadecimal else 10) if 0 < len(digits) < 9 else 0
    if not number or number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise Unreadable(f"'{reference[0][:40]}' is no character")
    return chr(number)


def _named_by_document(file: Path, seen: set[Path]) -> Iterator[tuple[str, Path]]:
    from realitygap.document import load

    try:
        data = load(file).data
    except InputError:
        return  # the skill has the same reader, and says what is wrong
    folder = file.parent.resolve()
    for text in _texts(data):
        if not text.strip("/") or "\0" in text:
            continue
        for part in _spellings(text):
            path = folder / part
            there = _exists(path)
            if there or _leads_elsewhere(folder, part):
                yield text, path
            if there and (real := path.resolve()) not in seen and real.is_file():
                seen.add(real)
                yield from _named_by(real, seen)


def _leads_elsewhere(folder: Path, part: Path) -> bool:
    """Whether a text can only be a path: one that climbs, goes through a link, or begins with a folder at the root of this machine, as the
    name of a topic does not."""
    if part.is_absolute():
        return len(part.parts) > 2 and _exists(Path(*part.parts[:2]))
    try:
        if len(part.parts) < 2:
            return os.path.islink(folder / part)
        return os.path.realpath(folder / part) != str(folder / part)
    except ValueError:  # no name that a file could have
        return False


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
    plain = _plain(text)
    home = {Path(text).expanduser()} if text.startswith("~/") else set()
    return {Path(text), Path(plain), Path(plain.replace("\\", "/")), Path(plain.replace("\\", "/").rpartition("/")[2])} | home


def _plain(text: str) -> str:
    return text.partition("://")[2] or text


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):
        return False
