"""Sums of trits without names: `(-1) + (0) + (+1) ≡ 0 (mod 3)`, `Σ = +1 + 0 + (-1) = 0 ✓`, `9(+1) + 8(0) + 9(-1) = 0`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from realitygap_plugins.triads.assertions import DASH, read_assertions
from realitygap_plugins.triads.claims import Member
from realitygap_plugins.triads.members import RawClaim
from realitygap_plugins.triads.notation import integer
from realitygap_plugins.triads.patterns import pattern

MAX_MEMBERS = 1000
"""Trits of one sum. Of a longer one it is only told that it is not read."""

_TERM_TEXT = (
    rf"(?:(?P<count>[0-9]{{1,4}})\s?[×x·*]?\s?(?=\())?"
    rf"(?:\(\s*+(?P<inner>(?:[+]|{DASH})?\s?[01])\s*+\)|(?P<plain>(?:[+]|{DASH})?[01](?![\w.(]|\s?[×*/^])))"
)
_TERM = pattern(_TERM_TEXT)
_FIRST = pattern(rf"(?<![\w.^]){_TERM_TEXT}")
_PLUS = pattern(rf"\s*+(?:(?P<plus>[+⊗])|(?P<minus>{DASH}))\s*+")
BEHIND_A_NUMBER = rf"\s*+\)?\s*+(?:[+⊗]|{DASH})"
_TWO = pattern(rf"[01]{BEHIND_A_NUMBER}")
_ABOUT_TRITS = pattern(r"GF\(3\)|mod\s*+3|trit|[Σ∑≡⊗⊕⊖○]|\bsum|conserv|balanc", re.IGNORECASE)
_ABOUT_OTHERS = pattern(r"mod(?:ulo)?\s*+(?!3)[0-9]|GF\(2\)|\bXOR\b", re.IGNORECASE)
_SAID = pattern(r"\s*+(?:`|\*\*)?\s*+\)?\s*+(?:`|\*\*)?(?:\(?\s*+mod|[=≡≢≠⊢→⇒]|!=|->)")
_RELATION = pattern(r"[=≡≢≠⊢→⇒]")
_CLOSE = pattern(r"(?:`|\*\*)?\s*+\)|`|\*\*(?=\s*+[=≡≢≠])")
_SIGNED = pattern(rf"\(\s*+(?:[+]|{DASH})\s?1\s*+\)|\(\s*+0\s*+\)|(?:^|[=:(\s])(?:[+]|{DASH})1\s?[+]|(?:^|[=:(]\s*+)[+]1")
_LINE_MARKS = pattern(r"(?:(?:[-*>|•·#;]|//|--|/\*|\(?[0-9]{1,3}[.)])\s+){1,4}\Z")
_NO_OPERATOR = pattern(r"(?:\s(?://|--|/\*)|[^\W\d]\s[–—])\s+\Z|(?<![^\s:(])\*\*\Z|:\*{1,3}\s+\Z")
_ARROW_FROM_A_TRIT = pattern(rf"(?:\(\s?(?:[+]|{DASH})\s?1\s?\)|(?<![\w.])(?:[+]|{DASH})1)`?\s{{0,9}}(?:[→⟶⇒⟹↦↔]|[-=]>)\s{{0,9}}`?\Z")
"""`(+1) → ` before a sum, which says nothing of it alone. Behind `(0) → ` the sum is the same with and without what is before."""
_LISTED_TRIT = rf"(?:[+]|{DASH})?[01]"
_LISTED = pattern(rf"[Σ∑]\s?\((?P<trits>\s?{_LISTED_TRIT}(?:\s?,\s?{_LISTED_TRIT}){{1,99}})\s?\)")
_OPERATOR = pattern(rf"(?:[+⊗×·*/^]|{DASH}|[0-9](?=\s?\())\s*+\(*\s*+\Z")


def anonymous_groups(text: str, taken: list[tuple[int, int]]) -> Iterator[RawClaim]:
    """Sums of at least two trits of which something is said. `taken` are the parts of the text that named groups use.

    Only what is written as trits counts, with a sign in brackets or with a word about them beside: `1 + 1 = 2` is no claim. A sum of more
    than MAX_MEMBERS has no members.
    """
    if not _TWO.search(text):
        return
    outside = text[: taken[0][0]] + text[taken[-1][1] :] if taken else text
    if not _RELATION.search(outside):
        return
    position = said = 0
    meant: tuple[bool, bool] | None = None
    while first := _FIRST.search(text, position):
        at = first.start()
        inside = next((end for begin, end in taken if begin <= at < end), None)
        if inside is not None:
            position = inside
            continue
        trits, written, end = _terms(text, at)
        position = end
        if written < 2 or not _SAID.match(text, end) or _is_rest(text, at) or _ARROW_FROM_A_TRIT.search(text, max(said, at - 24), at):
            continue
        close = _CLOSE.match(text, end)
        assertions, stop = read_assertions(text, close.end() if close else end)
        position = said = max(stop, end)
        if not assertions:
            continue
        if meant is None:  # by the whole text, which may hold thousands of sums
            meant = bool(_ABOUT_TRITS.search(text)), bool(_ABOUT_OTHERS.search(text))
        if not meant[1] and (meant[0] or _SIGNED.search(text, max(0, at - 1), end)):
            members = tuple(Member(name="", trit=trit) for trit in trits) if len(trits) <= MAX_MEMBERS else ()
            yield RawClaim(members, assertions, text[at:position].strip(), "numbers", at, position)


def listed_groups(text: str) -> Iterator[RawClaim]:
    """Sums that list their trits: `Σ(-1, 0, +1) = 0`."""
    if "Σ" not in text and "∑" not in text:
        return
    for match in _LISTED.finditer(text):
        assertions, stop = read_assertions(text, match.end())
        if assertions and not _is_rest(text, match.start()):
            members = tuple(Member(name="", trit=integer(trit)) for trit in match["trits"].split(","))
            yield RawClaim(members, assertions, text[match.start() : stop].strip(), "numbers", match.start(), stop)


def _is_rest(text: str, at: int) -> bool:
    """Whether an operator stands before a sum, which is then the rest of a longer one, not the mark of a list, a comment or bold text."""
    if not _OPERATOR.search(text, max(0, at - 8), at):
        return False
    return not _NO_OPERATOR.search(text, max(0, at - 8), at) and not (at <= 16 and _LINE_MARKS.match(text[:at]))


def _terms(text: str, position: int) -> tuple[list[int], int, int]:
    """The trits that are added from `position` on, how many terms are written, and where they end."""
    trits: list[int] = []
    written = 0
    end = position
    sign = 1
    while term := _TERM.match(text, position):
        number = integer(term["inner"] or term["plain"])
        if len(trits) <= MAX_MEMBERS:
            trits += [sign * number] * min(int(term["count"] or 1), MAX_MEMBERS + 1)
        written += 1
        end = term.end()
        separator = _PLUS.match(text, end)
        if separator is None:
            break
        sign = -1 if separator["minus"] else 1
        position = separator.end()
    return trits, written, end
