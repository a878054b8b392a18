"""Hashes of what files, folders, robot models and documents hold, whatever their paths are."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

_IGNORED = {"__pycache__", ".git", ".DS_Store"}
_SOURCES = {".py", ".pyi", ".so", ".json", ".yaml", ".yml", ".toml", ".xml"}
_FILE_ATTRIBUTES = ("file", "filename", "fileup", "filedown", "fileleft", "fileright", "filefront", "fileback")
_WORDS = re.compile(r"[^\s\"'\[\]{},#]+")
_DOCUMENTS = {".yaml", ".yml", ".json"}
_LARGEST_DOCUMENT = 1 << 20

_hashes: dict[tuple[str, int, int, int], str] = {}


def file_hash(path: Path) -> str:
    """sha256 of a file's bytes; remembered while its inode, size and mtime stay."""
    return _hash(str(path), path.stat())


def _hash(path: str, status: os.stat_result) -> str:
    key = (path, status.st_ino, status.st_mtime_ns, status.st_size)
    if key not in _hashes:
        with open(path, "rb") as file:
            _hashes[key] = hashlib.file_digest(file, "sha256").hexdigest()
    return _hashes[key]


def tree_hash(root: Path, suffixes: Iterable[str] | None = None) -> str:
    """sha256 over the relative names and contents of all files of a folder, of those with one of `suffixes` if given.

    Links to folders are followed: a skill that opens a file through one must run again when that file changes. Each folder counts once,
    however many links lead to it, and none that holds `root`: where it is met again stands where it is.
    """
    wanted = None if suffixes is None else set(suffixes)
    real = root.resolve()
    seen = {_identity(one.stat()): os.path.relpath(one, real) for one in (real, *real.parents)}
    entries: list[tuple[str, str]] = []

    to_see = [(str(root), "")]
    while to_see:
        folder, prefix = to_see.pop()
        inner = []
        try:
            found = sorted(os.scandir(folder), key=lambda one: one.name)
        except OSError:  # what cannot be listed holds nothing
            continue
        for entry in found:
            relative = prefix + entry.name
            if entry.name in _IGNORED:
                continue
            if _is(entry.is_dir):
                known = seen.setdefault(_identity(entry.stat()), relative)
                if known == relative:
                    inner.append((entry.path, relative + "/"))
                else:
                    entries.append((relative, f"the folder {known}"))
            elif (wanted is None or os.path.splitext(entry.name)[1] in wanted) and _is(entry.is_file):
                entries.append((relative, _hash(entry.path, entry.stat())))
        to_see += reversed(inner)
    return digest(sorted(entries))


def source_hash(package: Path) -> str:
    """sha256 of the sources of a package: code and the small data that it reads."""
    return tree_hash(package, _SOURCES)


def content(path: Path, assets: Mapping[str, Mapping[str, str]], *, follow: bool = True) -> dict[str, Any]:
    """What a path stands for: its bytes, and, unless told not to `follow` them, those of every file it refers to.

    An MJCF or URDF counts with its includes, meshes, textures and height fields, a YAML or JSON document with the files and assets that
    its words name. Raises OSError when it cannot be read.
    """
    found: dict[str, Any] = {"suffix": path.suffix, "content": tree_hash(path) if path.is_dir() else file_hash(path)}
    referred: dict[str, str] = {}
    if follow:
        _follow(path, assets, {path.resolve()}, referred)
    if referred:
        found["refers_to"] = referred
    return found


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of a value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # The name of a file need not be UTF-8; Python holds its other bytes as surrogates.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _is(kind: Callable[[], bool]) -> bool:
    """Whether an entry is a folder or a file; a link that leads nowhere is neither."""
    try:
        return kind()
    except OSError:
        return False


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _follow(path: Path, assets: Mapping[str, Mapping[str, str]], seen: set[Path], found: dict[str, str]) -> None:
    if path.is_dir():
        below = [one for one in sorted(path.iterdir()) if one.suffix in _DOCUMENTS | {".xml", ".urdf"} and one.is_file()]
        parts = [part for one in below for part in _named_files(one, assets)]
    else:
        parts = _named_files(path, assets)
    for word, target in parts:
        real = target.resolve()
        if real in seen:
            continue
        seen.add(real)
        found[word] = tree_hash(target) if target.is_dir() else file_hash(target)
        _follow(target, assets, seen, found)


def _named_files(path: Path, assets: Mapping[str, Mapping[str, str]]) -> list[tuple[str, Path]]:
    if path.suffix in (".xml", ".urdf"):
        return _model_files(path)
    if path.suffix not in _DOCUMENTS or path.stat().st_size > _LARGEST_DOCUMENT:
        return []
    named = {name: Path(place) for names in assets.values() for name, place in names.items()}
    parts = []
    for word in sorted(set(_WORDS.findall(path.read_text(encoding="utf-8", errors="replace")))):
        word = word.rstrip(":")
        candidate = path.parent / word
        if "." in word.strip(".") and len(word) < 1024 and _is_file(candidate):
            parts.append((word, candidate))
        elif word in named and named[word].exists():
            parts.append((word, named[word]))
    return parts


def _model_files(path: Path) -> list[tuple[str, Path]]:
    """Files that an MJCF or URDF names, as far as they exist; the compiler reports the others."""
    from xml.etree import ElementTree

    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError):
        return []
    folders = [path.parent]
    for compiler in root.iter("compiler"):
        folders += [path.parent / compiler.attrib[name] for name in ("assetdir", "meshdir", "texturedir") if name in compiler.attrib]
    parts = []
    for element in root.iter():
        for attribute in _FILE_ATTRIBUTES:
            name = element.attrib.get(attribute)
            if not name:
                continue
            plain = name.partition("://")[2] or name
            candidates = [folder / part for folder in folders for part in (plain, os.path.basename(plain))]
            target = next((one for one in candidates if _is_file(one)), None)
            if target is not None:
                parts.append((name, target))
    return parts


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
