"""Sums of trits without names: `(-1) + (0) + (+1) ≡ 0 (mod 3)`, `Σ = +1 + 0 + (-1) = 0 ✓`, `9(+1) + 8(0) + 9(-1) = 0`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from realitygap_plugins.triads.assertions import DASH, read_assertions
from realitygap_plugins.triads.claims import Assertion, Member
from realitygap_plugins.triads.members import RawClaim
from realitygap_plugins.triads.notation import MINUS_SIGNS, integer
from realitygap_plugins.triads.patterns import pattern

MAX_MEMBERS = 1000
"""Trits of one sum. Of a longer one it is only told that it is not read."""

_TRIT = rf"(?:[+]|{DASH})?\s?[01]"
_NOTE = r"(?!(?:mod|needs?|balanced|conserved|sum|total)\b)[A-Za-z]"
_INNER = (
    rf"\(\s*(?P<inner>{_TRIT}(?P<more>(?:\s?(?:[+]|{DASH})\s?(?:[+]|{DASH})?[01]){{1,40}})?)(?:(?<=[01])\s{_NOTE}[A-Za-z_-]{{0,40}})?\s*\)"
)
_PLAIN = rf"(?P<plain>(?:[+]|{DASH})?[01](?![\w.(]|\s?[×*/^]))(?:\s{{1,3}}\({_NOTE}[^()]{{0,40}}\)(?=\s*(?:[+⊗=≡→]|{DASH})))?"
_COUNT = r"(?:(?P<count>[0-9]{1,4})(?:\s?[×x·*]?\s?(?=\()|×(?=[01])))?"
_TERM = pattern(rf"(?=[(0-9+{MINUS_SIGNS}-])(?<![\w.^]){_COUNT}(?:{_INNER}|{_PLAIN})")
_EACH = pattern(rf"(?P<minus>{DASH}(?=\s?[-+{MINUS_SIGNS}]))?\s?(?P<trit>(?:[+]|{DASH})?\s?[01])")
_PLUS = pattern(rf"\s*(?:(?P<plus>[+⊗])|(?P<minus>{DASH}))\s*")
BEHIND_A_NUMBER = rf"\s*\)?\s*(?:[+⊗]|{DASH})"
BEHIND_A_NOTE = rf"(?<=[A-Za-z]\))\s*[+]\s*\(?(?:[+]|{DASH})?\s?[01]"
_TWO = pattern(rf"[01)](?:(?<=[01]){BEHIND_A_NUMBER}|{BEHIND_A_NOTE})")
_ABOUT_TRITS = pattern(r"GF\(3\)|mod\s*3|trit|[Σ∑≡⊗⊕⊖○]|\bsum|conserv|balanc", re.IGNORECASE)
_ABOUT_OTHERS = pattern(r"mod(?:ulo)?\s*(?!3)[0-9]|GF\(2\)|\bXOR\b", re.IGNORECASE)
_SAID = pattern(r"\s*(?:`|\*\*)?\s*\)?\s*(?:`|\*\*)?(?:\(?\s*mod|[=≡≢≠⊢→⇒]|!=|->)")
_RELATION = pattern(r"[=≡≢≠⊢→⇒]")
_CLOSE = pattern(r"(?:`|\*\*)?\s*\)|`|\*\*(?=\s*[=≡≢≠])")
_SIGNED = pattern(
    rf"\(\s*(?:[+]|{DASH})\s?1\s*\)|\(\s*0\s*\)|(?:^|[=:(\s])(?:[+]|{DASH})1\s{{0,12}}(?:\([A-Za-z][^()]{{0,40}}\)\s{{0,12}})?[+]|(?:^|[=:(]\s*)[+]1"
)
_LINE_MARKS = pattern(r"(?:(?:[-*>|•·#;]|//|--|/\*|\(?[0-9]{1,3}[.)])\s+){1,4}\Z")
_NO_OPERATOR = pattern(r"(?:\s(?://|--|/\*)|[^\W\d]\s[–—])\s+\Z|(?<![^\s:(])\*\*\Z|:\*{1,3}\s+\Z")
_ARROW_FROM_A_TRIT = pattern(rf"(?:\(\s?(?:[+]|{DASH})\s?1\s?\)|(?<![\w.])(?:[+]|{DASH})1)`?\s{{0,9}}(?:[→⟶⇒⟹↦↔]|[-=]>)\s{{0,9}}`?\Z")
"""`(+1) → ` before a sum, which says nothing of it alone. Behind `(0) → ` the sum is the same with and without what is before."""
_LISTED_TRIT = rf"(?:[+]|{DASH})?[01]"
_LISTED = pattern(rf"[(\[](?P<trits>\s?{_LISTED_TRIT}(?:\s?,\s?{_LISTED_TRIT}){{1,99}})\s?(?:(?P<round>\))|\])")
_SUM_OF = pattern(r"(?:[Σ∑]\s?|(?<!\w)(?i:sum|total))\Z")
_NO_LIST = pattern(r"[\w(\[]\Z|\b(?:max|min|median|mul|dot|prod|product)(?:\s+of)?\s\Z")
_YIELDS = pattern(r"\s*`?\s*(?:→|⟹|⇒|->|=>)\s*(?=(?:[+]|[-−–])?[0-9])")
_CONFIRMED = pattern(r"mod|[≡≢≠✓✔✅✗✘❌]", re.IGNORECASE)
_MODULO = pattern(r"\s*mod(?:ulo)?\s*3(?=\s*[=≡≢≠])")
_OPERATOR = pattern(rf"(?:[+⊗×·*/^]|{DASH}|[0-9](?=\s?\())\s*\(*\s*\Z")


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
    while first := _TERM.search(text, position):
        at = first.start()
        inside = next((end for begin, end in taken if begin <= at < end), None)
        if inside is not None:
            position = inside
            continue
        trits, written, end = _terms(text, at)
        position = end if written > 1 or not first["more"] else at + 1  # the sum may be in the brackets
        if written < 2 or not _SAID.match(text, end) or _is_rest(text, at) or _ARROW_FROM_A_TRIT.search(text, max(said, at - 24), at):
            continue
        close = _CLOSE.match(text, end)
        assertions, stop = _read_said(text, close.end() if close else end)
        position = said = max(stop, end)
        if assertions and (_SIGNED.search(text, max(0, at - 1), end) or _ABOUT_TRITS.search(text)) and not _ABOUT_OTHERS.search(text):
            members = tuple(Member(name="", trit=trit) for trit in trits) if len(trits) <= MAX_MEMBERS else ()
            yield RawClaim(members, assertions, text[at:position].strip(), "numbers", at, position)


def _read_said(text: str, position: int) -> tuple[tuple[Assertion, ...], int]:
    """What is said of a sum, also behind `mod 3`: 2 is then right of -1."""
    modulo = _MODULO.match(text, position)
    if not modulo:
        return read_assertions(text, position)
    found, stop = read_assertions(text, modulo.end())
    return tuple(one._replace(kind="residue") if one.kind == "sum" else one for one in found), stop


def listed_groups(text: str) -> Iterator[RawClaim]:
    """Sums that list their trits: `Σ(-1, 0, +1) = 0`, and `(-1, 0, +1) ≡ 0 (mod 3)` where it is said whether they balance.

    Without Σ there are at least three, because two are as often the arguments of something.
    """
    found = list(_LISTED.finditer(text)) if "," in text else []
    about = bool(found) and _ABOUT_TRITS.search(text) is not None and not _ABOUT_OTHERS.search(text)
    for match in found:
        start = match.start()
        if (text[start] == "(") != bool(match["round"]):
            continue
        trits = [integer(trit) for trit in match["trits"].split(",")]
        if summed := _SUM_OF.search(text, max(0, start - 6), start):
            start = summed.start()
            assertions, stop = read_assertions(text, match.end())
        else:
            assertions, stop = _balance_of_list(text, match) if about and len(trits) > 2 else ((), 0)
        if assertions and not _is_rest(text, start):
            yield RawClaim(
                tuple(Member(name="", trit=trit) for trit in trits), assertions, text[start:stop].strip(), "numbers", start, stop
            )


def _balance_of_list(text: str, match: re.Match[str]) -> tuple[tuple[Assertion, ...], int]:
    """What is said of trits in brackets without Σ, if that is whether they balance."""
    if _NO_LIST.search(text, max(0, match.start() - 20), match.start()):
        return (), 0
    if arrow := _YIELDS.match(text, match.end()):
        found, stop = read_assertions(f"= {text[arrow.end() : arrow.end() + 80]}", 0)
        stop += arrow.end() - 2
    else:
        found, stop = read_assertions(text, match.end())
    sure = _CONFIRMED.search(text, match.end(), stop) is not None
    return (found, stop) if sure and any(one.kind in ("balanced", "unbalanced", "differs") for one in found) else ((), 0)


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
        numbers = _inside(term["inner"]) if term["more"] else [integer(term["inner"] or term["plain"])]
        if len(trits) <= MAX_MEMBERS:
            trits += [sign * number for number in numbers] * min(int(term["count"] or 1), MAX_MEMBERS + 1)
        written += 1
        end = term.end()
        separator = _PLUS.match(text, end)
        if separator is None:
            break
        sign = -1 if separator["minus"] else 1
        position = separator.end()
    return trits, written, end


def _inside(terms: str) -> list[int]:
    """The trits of `+1 - 1 + -1`."""
    return [-integer(one["trit"]) if one["minus"] else integer(one["trit"]) for one in _EACH.finditer(terms)]
