"""Groups of which a text claims nothing: beside a cross or a word such as `Wrong:`, struck out, denied, under a condition."""

from __future__ import annotations

import re
from functools import lru_cache

from realitygap_plugins.triads.patterns import pattern

_CROSS = "[❌✗✘✖🚫⛔]"
_WORD = r"(?:bad|wrong|incorrect|invalid|false|falsch|broken)"
_LEAD = r"(?:[-+>|•·]\s+|[0-9]{1,3}[.)]\s+|(?:[#*]|//|--)\s*+|[`_])*"
_LINE = pattern(rf"{_LEAD}(?:{_CROSS}|(?:not|never|don['’]t|{_WORD})\b[*_`]*\s*+(?:[:|—–]|-\s))", re.IGNORECASE)
_LINE_ABOVE = pattern(rf"\s*+(?:(?:#|//|--)\s*+{_WORD}\b[^=⊗()]{{0,60}}|{_LEAD}{_WORD}\b[^=⊗()]{{0,60}}:[*_]*)\s*+\Z", re.IGNORECASE)
_HEADING = pattern(rf"{_CROSS}|\b{_WORD}\b", re.IGNORECASE)
_BEFORE = pattern(
    rf"\b(?:not|never|don['’]t|if|whether|instead of|rather than|{_WORD})"
    r"(?:[\s*+_`\"“(]+[^\W\d]\w*){0,3}[\s*+_`\"“(]*\Z",
    re.IGNORECASE,
)
_BEHIND = pattern(
    rf"[\s\"'”’`*_()#←/—–-]{{0,8}}(?:(?:(?:is|was|would\s+be)\s+)?{_WORD}\b|(?:is|was)\s+(?:a\s+mistake|an\s+error)\b"
    r"|was\s+the\s+old\b|only\s+(?:if|when)\b|iff?\b|unless\b)",
    re.IGNORECASE,
)
_NEAR = 60
"""Characters before a group in which it is denied."""


def is_refused(line: str, start: int, end: int) -> bool:
    """Whether what stands between two positions of a line is no claim: a mark or a word beside it says so, or it is struck out."""
    return (
        _LINE.match(line) is not None
        or line.count("~~", 0, start) % 2 == 1
        or (start > 2 and _BEFORE.search(line, max(0, start - _NEAR), start) is not None)
        or _BEHIND.match(line, end) is not None
    )


def refuses_below(line: str) -> bool:
    """Whether a line says that the one below it is wrong: a comment `# WRONG`, or `Wrong:` alone."""
    return _LINE_ABOVE.match(line) is not None


@lru_cache(maxsize=1024)
def refuses_all(heading: str) -> bool:
    """Whether a heading says that what stands below it is wrong."""
    return _HEADING.search(heading) is not None
