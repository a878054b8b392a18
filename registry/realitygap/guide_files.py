"""Guides as files: the folders in which they are looked for, and their text. Each is read once and parsed once, whoever asks.

with reading_once():
    check_guide(path, None)     # reads the file and parses its frontmatter
    read_text(path).document    # the same text, and the same document
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from realitygap.document import Document, parse, shown_path
from realitygap.errors import InputError
from realitygap.sources import read_plain, why_unreadable

GUIDES = ("SKILL.md", "skill.md")
"""Names that a guide has in the wild. The specification's is the first."""
SKILL_HOMES = frozenset(
    {".agents", ".claude", ".claude-marketplaces", ".codex", ".cursor", ".gemini", ".github", ".opencode", ".ruler", ".skillz", ".windsurf"}
)
"""Hidden folders in which Agent Skills live; others are not searched."""
_SKIPPED = frozenset({"__pycache__", "node_modules", "site-packages", "build", "dist", "venv", "target"})
"""Environments and build products; one that holds a guide itself is a skill of that name."""
MAX_GUIDE_BYTES = 4 * 1024 * 1024
"""Largest guide read; 500 lines are advised."""
MAX_FRONTMATTER = 64 * 1024
"""Characters of the longest frontmatter parsed; a description has at most 1024."""
_BYTES_A_VALUE = 400
"""Of memory for a value of a frontmatter with its place."""
_VALUE_BEGINS = ("\n", ":", ",", "[", "{", "- ")
"""What stands before each value."""
MAX_KEPT = 192 * 1024 * 1024
"""Bytes of memory for guides that are kept for the next who asks; what is more is read again."""
_LINE_END = re.compile(r"\r\n|\r|\n")


class NoGuide(InputError):
    """A folder without a SKILL.md."""


class GuideText:
    """A guide as text, with its frontmatter."""

    def __init__(self, path: Path, written: str, *, whole: bool, problems: tuple[str, ...], utf8: bool, nul: bool) -> None:
        self.path = path
        self.whole = whole
        """False where the file is larger than MAX_GUIDE_BYTES, and this is its beginning."""
        self.problems = problems
        """What was worked around, one line each."""
        self.utf8 = utf8
        """Whether every byte is UTF-8."""
        self.written = written
        """As in the file, without a byte order mark."""
        lines = _LINE_END.sub("\n", written) if "\r" in written else written
        self.text = lines.replace("\0", "\ufffd") if nul else lines
        """All of it, every line ended by a line feed, NUL characters replaced."""
        self.head, start, self.body_line = split_frontmatter(lines)
        """The frontmatter as it stands there, None where there is none; and the line on which the body begins."""
        self._body_start = start

    @cached_property
    def shown(self) -> str:
        """The file as messages name it."""
        return shown_path(self.path)

    @property
    def size(self) -> int:
        """Bytes of memory that it takes, about, its document included."""
        head = self.head if self.head is not None and len(self.head) <= MAX_FRONTMATTER else ""
        values = sum(map(head.count, _VALUE_BEGINS))
        written = 0 if self.written is self.text else sys.getsizeof(self.written)
        return sys.getsizeof(self.text) + written + _BYTES_A_VALUE * values

    @property
    def body(self) -> str:
        """What follows the frontmatter."""
        return self.text[self._body_start :]

    @property
    def written_body(self) -> str:
        """What follows the frontmatter, with its line ends as in the file."""
        start = 0
        for _ in range(self.body_line - 1):
            match = _LINE_END.search(self.written, start)
            start = match.end() if match else len(self.written)
        return self.written[start:]

    @cached_property
    def document(self) -> Document:
        """The frontmatter, whose lines count as in the file. Not to be changed. Raises `InputError`, with the place where it is no YAML."""
        # An error is not kept: it would keep the frames, and so the memory, of whoever caught it.
        return parse_head(self.head or "", self.path)


class Spellings:
    """Folders as they were first called: one that is given in two spellings, or by a link, is one folder."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self._first = {os.path.realpath(folder): folder for folder in folders}

    def first(self, folder: Path) -> Path:
        """The folder in the spelling in which it came first."""
        return self._first.setdefault(os.path.realpath(folder), folder)


@dataclass
class _Reading:
    texts: dict[str, GuideText] = field(default_factory=dict)
    """By path, as it was given and as it is shown."""
    left: int = MAX_KEPT
    folders: dict[str, list[tuple[str, list[str]]]] = field(default_factory=dict)
    """What `walk` found, by where it began."""


_reading: ContextVar[_Reading | None] = ContextVar("reading", default=None)


@contextmanager
def reading_once() -> Iterator[None]:
    """Inside, a file is read and a folder searched once; outside, each time anew, because it may have changed."""
    token = _reading.set(_reading.get() or _Reading())
    try:
        yield
    finally:
        _reading.reset(token)


def read_text(path: Path) -> GuideText:
    """Reads a Markdown file. Raises InputError where it cannot be read at all; of one that is too large the beginning is read, and what is
    no text is replaced."""
    reading, place = _reading.get(), str(path)
    if reading is None:
        return _read(path)
    if (known := reading.texts.get(place)) is None:
        known = _read(path)
        if (size := known.size) <= reading.left:
            reading.left -= size
            reading.texts[place] = reading.texts[known.shown] = known
    return known


def text_in_hand(shown: str) -> GuideText | None:
    """The text of a file, as messages name it, if it has been read in whole."""
    reading = _reading.get()
    known = reading.texts.get(shown) if reading else None
    return known if known and known.whole else None


def _read(path: Path) -> GuideText:
    try:
        raw, whole = read_plain(path, MAX_GUIDE_BYTES)
    except IsADirectoryError:
        raise InputError(f"{path.name} is a folder, not a file", where=shown_path(path)) from None
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            hint = "write one: when to use the skill, what to look at, what next"
            raise NoGuide(f"there is no {path.name}", where=shown_path(path.parent), hint=hint) from None
        message, advice = why_unreadable(path, error)
        raise InputError(message, where=shown_path(path), hint=advice) from None
    problems = []
    utf8 = True
    try:
        written = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        written, utf8 = raw.decode("utf-8", "replace"), False
        problems.append(f"byte {error.start} is not UTF-8; such bytes became U+FFFD")
    # Sought among bytes: in a text of wide characters every second or fourth of them is NUL.
    nul = b"\0" in raw
    if nul:
        problems.append("it holds NUL characters, which became U+FFFD")
    return GuideText(path, written.removeprefix("\ufeff"), whole=whole, problems=tuple(problems), utf8=utf8, nul=nul)


def walk(root: Path) -> list[tuple[str, list[str]]]:
    """Folders in which skills are looked for, `root` and what lies below it, with the names of their files; sorted. Hidden folders,
    environments and build products are passed over, links to folders are not followed."""
    reading, place = _reading.get(), str(root)
    known = reading.folders.get(place) if reading else None
    if known is None:
        known = list(_walk(place))
        if reading:
            reading.folders[place] = known
    return known


def _walk(root: str) -> Iterator[tuple[str, list[str]]]:
    waiting = [root]
    while waiting:
        folder = waiting.pop()
        files, folders = [], []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if not _is_folder(entry):
                        files.append(entry.name)
                    elif not entry.is_symlink() and _searched(entry):
                        folders.append(entry.name)
        except OSError:
            continue  # not to be entered, or gone
        if "pyvenv.cfg" in files and folder != root:
            continue  # an environment, whatever its name
        yield folder, sorted(files)
        waiting += [os.path.join(folder, name) for name in sorted(folders, reverse=True)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link that leads nowhere


def _searched(entry: os.DirEntry[str]) -> bool:
    if entry.name in _SKIPPED:
        # A skill may have the name `build`.
        return any(os.path.isfile(os.path.join(entry.path, name)) for name in GUIDES)
    return not entry.name.startswith(".") or entry.name in SKILL_HOMES


def split_frontmatter(text: str) -> tuple[str | None, int, int]:
    """The text between the lines `---` at the start, None where there is none; where the body begins, and on which line."""
    first = text.find("\n")
    if first < 0 or not text.startswith("---") or text[:first].rstrip() != "---":
        return None, 0, 1
    at = first
    while (at := text.find("\n---", at)) >= 0:
        end = text.find("\n", at + 1)
        end = len(text) if end < 0 else end
        if not text[at + 4 : end].strip():
            return text[first + 1 : max(first + 1, at)], min(end + 1, len(text)), text.count("\n", 0, at) + 3
        at += 1
    return None, 0, 1


def parse_head(head: str, path: Path) -> Document:
    """A frontmatter as a document whose lines count as in the file. Raises `InputError`, with the place where it is no YAML."""
    if len(head) > MAX_FRONTMATTER:
        raise InputError(
            f"the frontmatter is longer than {MAX_FRONTMATTER // 1024} KiB",
            where=shown_path(path),
            hint="move what is no metadata of the skill below the second '---'",
        )
    # An empty first line stands for the `---`.
    return parse("\n" + head + "\n", path)
