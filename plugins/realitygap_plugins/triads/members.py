"""Groups with named members in a line: `a (-1) ⊗ b (0) ⊗ c (+1) = 0 ✓` and its relatives."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from realitygap_plugins.triads.assertions import DASH, read_assertions
from realitygap_plugins.triads.claims import Assertion, Member
from realitygap_plugins.triads.notation import SYMBOLS, NotATrit, read_trit
from realitygap_plugins.triads.patterns import pattern

ROUND = "⊕⊖○⊙◯"
_PLUS = "+\uff0b"
# A name has a letter, so that the 9 of `9(+1)` is none. No dot or colon at its end.
# Every repetition is bounded, so that no line makes the search go back and forth for long.
_NAME = r"(?!GF\(|Σ)(?=[0-9_.@/#-]{0,40}[^\W\d_])[\w@](?:[\w.:@/#-]{0,120}\w)?"
_QUOTE = r"[*`]{0,4}"
_PLACEHOLDER = r"\[[^\]\[\n|]{1,60}\](?!\()"
_LINK = r"(?P<link>\[[^\]\[\n|]{1,80}\])\([^()\s]{1,300}\)"
_NOTE = rf"(?:\s{{0,3}}\((?!\s*+(?:[{_PLUS}{ROUND}0-9±]|{DASH}))[^()\n]{{1,80}}\))?"
_NUMBER = rf"(?:[{_PLUS}±]|{DASH})?\s?[0-9](?![0-9A-Za-z.%])"
_STATED = rf"\(\s*+(?P<trit>[{_PLUS}{ROUND}]|{DASH}|{_NUMBER}|(?:PLUS|MINUS|ERGODIC)\b)(?P<more>[^()\n]{{0,60}})\)"
_NAMED = rf"{_QUOTE}(?:{_LINK}|(?P<name>{_PLACEHOLDER}|{_NAME})){_QUOTE}"
_BEFORE = rf"\[\s*+(?P<before>[{_PLUS}{ROUND}]|{DASH})\s*+\]\s?"
_BEHIND = rf"(?:(?P<after>[{ROUND}])|{_NOTE}\s{{0,40}}{_STATED})"
_MEMBER = pattern(rf"(?:{_BEFORE})?{_NAMED}{_BEHIND}?(?:[`*]{{1,3}}(?!\s*+[0-9]))?")
_TRITS = pattern(rf"[{ROUND}]|\(\s*+(?:[{_PLUS}±0-9]|{DASH}|PLUS|MINUS|ERGODIC)|\[\s*+(?:[+]|{DASH})\s*+\]")
_SEPARATOR = pattern(r"\s*+(?P<mark>⊗|⊕|\+|→|⟶|->|×|·|∘|,)\s*+")
BEHIND_A_TRIT = r"[`*]{0,3}\s*+(?:⊕|\+|→|⟶|->|×|·|∘|,)"
TRIT_BEFORE_A_NAME = rf"\s*+(?:[+{ROUND}]|{DASH})\s*+\]"
_STATED_MEMBER = pattern(rf"[)\[{ROUND}](?:(?<!\[){BEHIND_A_TRIT}|(?<=\[){TRIT_BEFORE_A_NAME})")
"""What is between two members that ⊗ does not join, because each has its trit: behind the first, or before both."""
_INSIDE = pattern(rf"\((?P<trit>(?:[+]|{DASH})?\s?[01])\)")
_GOES_ON = pattern(r"\s*+\)?\s*+(?:[⊗⊕+×·∘→⟶]|->)")
"""Behind the last member that could be read: one follows that could not."""
_USUAL = ("- ", "* ", "> ", "| ")
_LIST_MARK = pattern(r"(?:(?:[-*+>•·]|\(?[0-9]{1,3}[.)])\s+)+")
_ANY_TRIT = (
    rf"(?:\(\s*+[`*]{{0,2}}(?:[{_PLUS}±0-9]|{DASH}|PLUS|MINUS|ERGODIC)[^()]{{0,60}}\)|[{ROUND}]|\[\s*+(?:[{_PLUS}±]|{DASH})\s?[01]\s*+\])"
)
_CLOSED = r"[`*\]]{0,4}(?:\([^()\s]{1,100}\)|\[\^\w{1,20}\])?[`*]{0,3}\s{0,9}"
"""What may close a member behind its trit: quotes, the rest of a link, a footnote."""
_REST, _REST_OF_COMMAS = (
    pattern(
        rf"(?:[⊗⊕+×·∘]|{_ANY_TRIT}{_CLOSED}(?:(?:[⊗⊕+×·∘→⟶↔&;/|{comma}]|->|{DASH})[^()=≡≠≢⊢:]{{0,60}}|[\w\s'’]{{0,60}}))"
        r"[\s(\[\"'“]{0,9}\Z|[0-9]\Z"
    )
    for comma in ("", ",")
)
"""Before a group that is the rest of a longer one: an operator, or a trit with an operator or only words behind it."""
_SIGN = pattern(rf"\(\s*+(?:[{_PLUS}±{ROUND}]|{DASH}|PLUS|MINUS|ERGODIC)|(?<=\S)[{ROUND}]|\[\s*+(?:[+]|{DASH})\s*+\]")


_TRIT_WORD = pattern(r"GF\(3\)|mod\s*+3|trit|balanc|conserv|\bneeds?\b|[Σ∑≡≢⊢✓✔✅✗✘❌]", re.IGNORECASE)


class RawClaim(NamedTuple):
    """A group found in a line, before it is given its place."""

    members: tuple[Member, ...]
    assertions: tuple[Assertion, ...]
    text: str
    form: str
    start: int = 0
    end: int = 0


def named_groups(text: str) -> tuple[list[RawClaim], list[tuple[int, int]]]:
    """Groups of named members joined by ⊗, + or →, with their trits as numbers or symbols, and placeholders such as `[balancer] (+)`.

    A group joined by commas, and one of bare names, count only with something said of them. A bare name is a member only beside ⊗,
    because + and → join all kinds of words. The second list has the parts of the text that members use, also those of groups that are
    left out.
    """
    found: list[RawClaim] = []
    taken: list[tuple[int, int]] = []
    if "⊗" not in text and (not _STATED_MEMBER.search(text) or len(_TRITS.findall(text)) < 2):
        return found, taken
    position = 0
    while first := _MEMBER.search(text, position):
        end = first.end()
        if not _SEPARATOR.match(text, end):
            position = end
            continue
        members, marks = [_member(first)], []
        while (separator := _SEPARATOR.match(text, end)) and (following := _MEMBER.match(text, separator.end())):
            newcomer = _member(following)
            if separator["mark"] != "⊗" and (_bare(members[-1]) or _bare(newcomer)):
                break
            members.append(newcomer)
            marks.append(separator["mark"])
            end = following.end()
        if len(members) < 2:
            position = first.end()
            continue
        assertions, stop = read_assertions(text, end)
        position = max(stop, end)
        if "⊗" not in marks and _calls(text, first.start(), end):
            continue
        taken.append((first.start(), position))
        if (not assertions and _GOES_ON.match(text, end)) or _is_rest(text[max(0, first.start() - 200) : first.start()], marks[0]):
            continue
        stated = sum(not _bare(member) for member in members)
        if (assertions and (stated or "⊗" in marks)) or (set(marks) == {"⊗"} and stated >= 2):
            form = "names" if not stated else "comma" if set(marks) == {","} else "symbols" if _symbolic(first) else "line"
            found.append(RawClaim(tuple(members), assertions, text[first.start() : position].strip(), form, first.start(), position))
    return found, taken


def _is_rest(before: str, mark: str) -> bool:
    """Whether members that could not be read stand before a group whose first two members a mark joins."""
    if not before or before in _USUAL:
        return False
    if before.startswith("|"):
        before = before[before.rindex("|") + 1 :]  # cells of a table, which the same character divides
    rest = _REST_OF_COMMAS if mark == "," else _REST
    return rest.search(_LIST_MARK.sub("", before, count=1) if _LIST_MARK.match(before) else before) is not None


def _calls(text: str, start: int, end: int) -> bool:
    """Whether these are calls of functions, as in `f(1) + g(0) = 1` or `f(0) + g(0) == 0`: no sign, and nothing about trits."""
    return not _SIGN.search(text, start, end) and (text[end:].lstrip().startswith("==") or not says_trits(text))


def says_trits(line: str) -> bool:
    """Whether a word or a mark of a line tells that its numbers are trits."""
    return _TRIT_WORD.search(line) is not None


def _member(match: re.Match[str]) -> Member:
    name = (match["link"] or match["name"]).strip()
    linked = match["link"] is not None
    placeholder = not linked and name.startswith("[")
    name = name[1:-1].strip("`* ") if linked else name
    text = match["before"] or match["after"] or ((match["trit"] + match["more"]) if match["trit"] else "")
    if not text and placeholder and len(inside := _INSIDE.findall(name)) == 1:
        text = inside[0]
    if not text:
        return Member(name=name, placeholder=placeholder)
    try:
        return Member(name=name, trit=read_trit(text), placeholder=placeholder)
    except NotATrit as error:
        return Member(name=name, placeholder=placeholder, problem=str(error))


def _bare(member: Member) -> bool:
    return member.trit is None and member.problem is None


def _symbolic(match: re.Match[str]) -> bool:
    return bool(match["before"] or match["after"] or (match["trit"] in SYMBOLS and not match["more"].strip()))


def same_trits(one: Sequence[Member], other: Sequence[Member]) -> bool:
    """Whether two groups have the same trits, in whatever order."""
    return sorted(member.trit or 0 for member in one) == sorted(member.trit or 0 for member in other)
