"""A Markdown text as lines with their surroundings: headings, code fences, blocks that a tool wrote.

Made for thousands of files of which few lines matter: lines that can matter are found by substring search over the whole text, and only
these are looked at.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable
from functools import cached_property
from typing import NamedTuple

from realitygap.fences import fence_after

MAX_LINE = 20_000
"""Characters of a line that are looked at. Longer lines are data that somebody pasted."""

MAX_LINES = 10_000
"""Lines of one file that are looked at for one mark. No guide has as many; generated data has."""

Mark = str | re.Pattern[str]
"""What a line is looked at for. A pattern begins with a character that stands for itself, so that it is found as fast as a text."""

_HEADING = re.compile(r"(?P<level>#{1,6})[ \t]+(?P<title>.*)")
_UNDERLINE = re.compile(r"(?:={3,}|-{3,})[ \t]*\Z")
_TITLE = re.compile(r"\s{0,3}(?![-+*>|]\s|[>|#`~]|<!--|[0-9]{1,3}[.)]\s)\S.*")
"""A paragraph of one line, which a line below makes a heading."""
_FENCE = frozenset("`~")
_STRUCTURE = _FENCE | frozenset("#=-<")
"""What a line begins with, also in a quotation, that may be a heading, underline one, or begin or end a fence or a generated block."""
_GENERATED = re.compile(r"[ \t]*<!--\s*(?P<edge>BEGIN|END)\s+(?:AUTO-?)?GENERATED\b", re.IGNORECASE)
_COMMENT = re.compile(r"^[ \t]{0,3}<!--", re.MULTILINE)
_NO_LANGUAGE = ("", "text", "txt", "plain", "plaintext", "yaml", "yml", "markdown", "md")
_INJECTED = re.compile(r"\bSDF\s+Interleaving\b|\bCat(?:\s?#|-sharp)\s+Integration\b", re.IGNORECASE)
"""Below the title of the document: a skill may be about Cat#."""


class Surroundings(NamedTuple):
    """What holds from one line up to the next change."""

    heading: str = ""
    injected: bool = False
    fenced: bool = False
    code: bool = False
    """In a fence with the name of a language."""


class Text:
    """Lines of a text, from 1, with their surroundings."""

    def __init__(self, text: str) -> None:
        if "\r" in text:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.text = text
        self.cuts: dict[int, str] = {}
        """What is not looked at although it may matter: the line on which it begins, and why."""

    @cached_property
    def lines(self) -> list[str]:
        # Not `splitlines`, which also splits at form feeds and the like, where no editor counts a line.
        return self.text.split("\n")

    def line(self, number: int) -> str:
        """A line, at most `MAX_LINE` characters of it; empty outside the text."""
        try:
            line = self.lines[number - 1] if number > 0 else ""
        except IndexError:
            return ""
        return line if len(line) <= MAX_LINE else line[:MAX_LINE]

    def cut(self, line: int, why: str) -> None:
        """Notes that something is left out from a line on."""
        self.cuts.setdefault(line, why)

    def is_long(self, number: int) -> bool:
        """Whether `line` gives a part of the line only."""
        return 1 <= number <= len(self.lines) and len(self.lines[number - 1]) > MAX_LINE

    def at(self, number: int) -> Surroundings:
        """What surrounds a line. A heading belongs to what it opens, the lines of a fence to the code."""
        starts, states = self._surroundings
        return states[bisect_right(starts, number) - 1]

    @cached_property
    def title(self) -> str:
        """The first heading."""
        return next((state.heading for state in self._surroundings[1] if state.heading), "")

    def in_comment(self, number: int) -> bool:
        """Whether a line stands between `<!--` at the beginning of a line above and `-->`."""
        begins, ends = self._comments
        last = bisect_right(begins, number - 1) - 1
        return last >= 0 and number <= ends[last]

    @cached_property
    def _comments(self) -> tuple[list[int], list[int]]:
        """The first and last lines of comments that begin a line and are closed."""
        begins, ends = [], []
        number, counted, closed = 1, 0, 0
        for match in _COMMENT.finditer(self.text) if "<!--" in self.text else ():
            if match.start() < closed:
                continue
            closed = self.text.find("-->", match.end())
            if closed < 0:
                break
            number += self.text.count("\n", counted, match.start())
            counted = match.start()
            if not self.at(number).fenced:
                begins.append(number)
                ends.append(number + self.text.count("\n", match.start(), closed))
        return begins, ends

    def lines_with(self, *marks: Mark, where: Callable[[str, int, int], bool] | None = None) -> dict[int, int]:
        """Numbers of the lines that hold one of the marks, in order, each with a position in that line; of these only the ones from whose
        start to whose end in the text `where` is true."""
        text = self.text
        positions: list[int] = []
        for mark in marks:
            at, most = _find(text, mark, 0), len(positions) + MAX_LINES
            while at >= 0:
                if len(positions) == most:
                    shown = mark if isinstance(mark, str) else text[at]
                    self.cut(text.count("\n", 0, at) + 1, f"more than {MAX_LINES:,} lines hold '{shown}'")
                    break
                positions.append(at)
                end = text.find("\n", at)
                at = _find(text, mark, end) if end >= 0 else -1
        return self.numbers(positions if where is None else [at for at in positions if where(text, *line_around(text, at))])

    def numbers(self, positions: list[int]) -> dict[int, int]:
        """The lines of these positions, each once, in order, with the last position in it."""
        count, number, last = self.text.count, 1, 0
        found: dict[int, int] = {}
        for position in sorted(positions):
            number += count("\n", last, position)
            last = found[number] = position
        return found

    @cached_property
    def _surroundings(self) -> tuple[list[int], list[Surroundings]]:
        starts, states = [1], [Surroundings()]
        fence = ""
        level_injected = 0
        generated = False
        # The line that ends the frontmatter underlines no heading.
        body = self.text.find("\n---", 3) + 1 if self.text.startswith("---\n") else 0
        head = self.text.count("\n", 0, body) + 1 if body else 0
        marks = _STRUCTURE
        for number, line in enumerate(self.lines, 1):
            mark = line.lstrip(" \t>")[:1]
            if mark not in marks or (mark == "-" and number <= head):
                continue
            line, before = line[:MAX_LINE], states[-1]
            if mark in _FENCE:
                after = fence_after(line, fence)
                if after and not fence:
                    language = line.partition(after)[2].strip().lower()
                    starts.append(number)
                    states.append(Surroundings(before.heading, before.injected, True, language not in _NO_LANGUAGE))
                elif fence and not after:
                    starts.append(number + 1)
                    states.append(states[-2])  # as before the fence
                fence, marks = after, _FENCE if after else _STRUCTURE
            elif mark == "<":
                if match := _GENERATED.match(line):
                    generated = match["edge"].upper() == "BEGIN"
                    starts.append(number)
                    states.append(Surroundings(before.heading, generated or level_injected > 0))
            elif line.startswith(("#", "===", "---")) and (heading := self._heading(number, line)):
                level, title, start = heading
                if level_injected and level <= level_injected:
                    level_injected = 0
                if level > 1 and not level_injected and _INJECTED.search(title):
                    level_injected = level
                starts.append(start)
                states.append(Surroundings(title, generated or level_injected > 0))
        return starts, states

    def _heading(self, number: int, line: str) -> tuple[int, str, int] | None:
        """The level, the title and the first line of a heading that this line is, or underlines."""
        if match := _HEADING.match(line):
            return len(match["level"]), match["title"].strip(), number
        if _UNDERLINE.match(line) and not self.line(number - 2).strip() and (title := _TITLE.match(self.line(number - 1))):
            return 1 if line[0] == "=" else 2, title[0].strip(), number - 1
        return None


def line_around(text: str, position: int) -> tuple[int, int]:
    """Where the line with a position begins and ends."""
    end = text.find("\n", position)
    return text.rfind("\n", 0, position) + 1, end if end >= 0 else len(text)


def _find(text: str, mark: Mark, start: int) -> int:
    """Where a mark comes next; -1 where it does not."""
    if isinstance(mark, str):
        return text.find(mark, start)
    match = mark.search(text, start)
    return match.start() if match else -1
