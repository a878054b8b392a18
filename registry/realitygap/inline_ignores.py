"""Findings that a comment beside them silences.

    trit: 0   # realitygap: ignore[TRI205]            this line
    # realitygap: ignore[TRI201] until arm-sim is in  the entry that follows, with all that is indented below it
    # realitygap: ignore-file[TRI2]                   the file
    <!-- realitygap: ignore[TRI208] -->               in Markdown: the line, or the paragraph or block of code that follows

Codes are separated by commas; a prefix covers every rule that begins with it. A code that silences nothing is RG010, one that no rule has
RG011.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from realitygap.errors import one_line
from realitygap.fences import fence_after
from realitygap.findings import Finding
from realitygap.guide_files import split_frontmatter, text_in_hand
from realitygap.rules import RuleBook
from realitygap.sources import lines_of, source_text

_MARK = re.compile(r"realitygap:[ \t]*ignore(?P<file>-file)?\b[ \t]*(?P<list>\[(?P<codes>[^\]\n]*)\])?")
_YAML = re.compile(r"(?:^|(?<=\s))#[^\n]*?(?=realitygap:)")
_HTML = re.compile(r"<!--[ \t]*(?=realitygap:)")


@dataclass
class Ignore:
    """One comment."""

    path: str
    line: int
    column: int
    width: int
    codes: tuple[str, ...]
    first: int
    """First line that it covers."""
    last: float
    """Last line that it covers."""
    used: set[str] = field(default_factory=set)
    """Codes that silenced something."""

    def covers(self, finding: Finding) -> bool:
        if not self.first <= finding.line <= self.last:
            return False
        matching = [code for code in self.codes if finding.rule.startswith(code)]
        self.used.update(matching)
        return bool(matching)


def apply_ignores(findings: Sequence[Finding], files: Iterable[str], book: Callable[[], RuleBook]) -> list[Finding]:
    """What is left of the findings, and what is wrong with the comments themselves.

    Args:
        files: what was checked, as findings name it; a comment in a file without findings is unused.
        book: gives the rules that can be named; called where a code has to be looked up.
    """
    ignores: dict[str, list[Ignore]] = {}
    for path in dict.fromkeys([*files, *(one.path for one in findings if one.path)]):
        if found := list(read_ignores(path)):
            ignores[path] = found
    if not ignores:
        return list(findings)
    left = []
    for finding in findings:
        # All of them, not the first: each that covers it is used.
        if not [one for one in ignores.get(finding.path, ()) if one.covers(finding)]:
            left.append(finding)
    for one in (one for found in ignores.values() for one in found):
        left += _faults(one, book)
    return left


def read_ignores(path: str) -> Iterator[Ignore]:
    """The comments of a file."""
    if not path.endswith((".yaml", ".yml", ".md")):
        return
    known = text_in_hand(path)
    text = known.text if known else source_text(path)
    # Of ten thousand guides few have one.
    if "realitygap:" not in text:
        return
    lines = lines_of(text)
    if path.endswith(".md"):
        yield from _in_markdown(path, lines)
    else:
        yield from _in_yaml(path, lines, text, 0)


def _in_yaml(path: str, lines: list[str], text: str, before: int) -> Iterator[Ignore]:
    """Comments of YAML lines, of which `before` lines stand in front."""
    from realitygap.yaml_reader import in_scalar

    inside = in_scalar(text)
    for number, line in enumerate(lines):
        start = next((one for one in _YAML.finditer(line) if not inside(number + 1, one.start() + 1)), None)
        mark = _MARK.search(line, start.end()) if start else None
        if not start or not mark:
            continue
        own = not line[: start.start()].strip()
        first, last = _entry(lines, number) if own else (number, number)
        yield _ignore(path, before + number + 1, mark, before + first + 1, before + last + 1)


def _in_markdown(path: str, lines: list[str]) -> Iterator[Ignore]:
    head, _, body = split_frontmatter("\n".join(lines))
    if head is not None:
        yield from _in_yaml(path, lines[1 : body - 2], head + "\n", 1)
    fence = ""
    for number in range(body - 1, len(lines)):
        line = lines[number]
        before, fence = fence, fence_after(line, fence)
        start = None if before or fence else _HTML.search(line)
        # Between backticks it is shown, not meant.
        if not start or line.count("`", 0, start.start()) % 2:
            continue
        found = _MARK.search(line, start.end())
        if found:
            rest = line[: start.start()] + line[start.end() :].partition("-->")[2]
            first, last = (number, number) if rest.strip() else _block(lines, number)
            yield _ignore(path, number + 1, found, first + 1, last + 1)


def _ignore(path: str, line: int, mark: re.Match[str], first: int, last: int) -> Ignore:
    codes = tuple(one.strip() for one in (mark["codes"] or "").split(",") if one.strip())
    span = (1, float("inf")) if mark["file"] else (first, last)
    return Ignore(path, line, mark.start() + 1, mark.end() - mark.start(), codes, span[0], span[1])


def _entry(lines: list[str], comment: int) -> tuple[int, int]:
    """First and last line of the YAML entry after a comment: its line and what is indented below, a list at the same depth included."""
    first = next((number for number in range(comment + 1, len(lines)) if _is_data(lines[number])), None)
    if first is None:
        return comment, comment
    depth, is_item = _depth(lines[first]), lines[first].lstrip().startswith("- ")
    last = first
    for number in range(first + 1, len(lines)):
        line = lines[number]
        if not _is_data(line):
            continue
        below = _depth(line) > depth or (_depth(line) == depth and line.lstrip().startswith("- ") and not is_item)
        if not below:
            break
        last = number
    return first, last


def _is_data(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _block(lines: list[str], comment: int) -> tuple[int, int]:
    """First and last line of the paragraph, table, list or fenced code after a comment."""
    first = next((number for number in range(comment + 1, len(lines)) if lines[number].strip() and not _HTML.search(lines[number])), None)
    if first is None:
        return comment, comment
    fence = fence_after(lines[first])
    for number in range(first + 1, len(lines)):
        if fence:
            fence = fence_after(lines[number], fence)
            if not fence:
                return first, number
        elif not lines[number].strip():
            return first, number - 1
    return first, len(lines) - 1


def _faults(one: Ignore, book: Callable[[], RuleBook]) -> Iterator[Finding]:
    def fault(rule: str, message: str, hint: str) -> Finding:
        return Finding(
            rule=rule, message=message, path=one.path, line=one.line, column=one.column, width=one.width, severity="warning", hint=hint
        )

    if not one.codes:
        yield fault("RG011", "the ignore names no rule", "write the code in brackets: ignore[TRI205]")
    for code in one.codes:
        if code in one.used:
            continue
        if not book().knows(code):
            yield fault("RG011", f"the ignore names '{one_line(code)}', which no rule has", book().did_you_mean(code))
        else:
            yield fault("RG010", f"the ignore of {one_line(code)} silences nothing", f"remove {one_line(code)} from it")
