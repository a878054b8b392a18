"""Claims about groups written in prose, such as `a (-1) ⊗ b (0) ⊗ c (+1) = 0 ✓`.

Each syntactic form is one function from the lines of a document to raw claims, listed in `FORMS`. A new form is a new
function there. Lines are joined first where a group carries on, so that a form sees whole statements with the line they begin on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from realitygap_plugins.triads.claims import Assertion, Claim, Member
from realitygap_plugins.triads.notation import MINUS_SIGNS, NotATrit, read_trit

_DASH = f"[-{MINUS_SIGNS}]"
_NAME = r"`?(?P<name>\[[^\]\n]{1,60}\]|[A-Za-z_À-ɏΑ-ω][\w.:@/À-ɏΑ-ω-]*)`?"
_NOTE = r"(?:\s*\((?!\s*(?:[+○⊕⊖⊙◯0-9]|" + _DASH + r"))[^()\n]{1,80}\))?"
_TRIT = (
    r"\(\s*(?P<trit>(?:[+○⊕⊖⊙◯]|"
    + _DASH
    + r"|[+]?\d|"
    + _DASH
    + r"\s?\d|±\s?1)[^()\n]{0,60})\)|\(\s*(?P<symbol>[+○⊕⊖⊙◯]|"
    + _DASH
    + r"|\d)\s*\)"
)
_MEMBER = re.compile(rf"(?:\*\*)?{_NAME}(?:\*\*)?{_NOTE}\s*(?:{_TRIT})")
_ANY = re.compile(rf"(?:\*\*)?{_NAME}(?:\*\*)?(?:{_NOTE}\s*(?:{_TRIT}))?")
_SEPARATOR = re.compile(r"\s*(?P<mark>⊗|⊕|\+|→|->|×|·|,)\s*")
_CARRIES_ON = re.compile(r"(?:⊗|⊕|\+|→|×)\s*$")
_CARRIED_ON = re.compile(r"^\s*(?:⊗|⊕|→|×|[=≡]\s*[+0-9-])")
_NUMBER = re.compile(rf"\s*(?P<number>(?:[+]|{_DASH})?\s?\d+)")
_RELATION = re.compile(r"\s*(?P<relation>≢|≠|!=|≡|==?)")
_MODULO = re.compile(r"\s*\(?\s*mod(?:ulo)?\s*3\s*\)?", re.IGNORECASE)
_NEEDS = re.compile(rf"\s*(?:→|->|=>|=|,|;)?\s*needs?\s+(?:a\s+)?(?:`|\()?(?P<need>[+]\s?1|{_DASH}\s?1|0)\b", re.IGNORECASE)
_NEEDS_SOME = re.compile(r"\s*(?:→|->|=>|=|,|;)?\s*needs?\s+(?:a\s+)?(?:balanc\w*|complet\w*|rebalanc\w*)", re.IGNORECASE)
_DENIED = re.compile(r"\s*(?:→\s*)?(?:✗|✘|❌|\(?\s*(?:NOT\s+BALANCED|UNBALANCED|IMBALANCED|imbalanced|unbalanced|not balanced)\b)")
_AFFIRMED = re.compile(r"\s*(?:→\s*)?(?:✓|✔|✅|\(?\s*(?:BALANCED|balanced|conserved|CONSERVED)\b)")

_INJECTED_HEADING = re.compile(r"SDF\s+Interleaving|Cat#\s*Integration|Cat\s*#|Cat-sharp", re.IGNORECASE)
_HEADING = re.compile(r"^(#{1,6})\s+(.*)$")
_FENCE = re.compile(r"^\s*(```+|~~~+)")
_BODY_TRIT = re.compile(
    r"^\s*(?:[-*>|]\s+)?(?:\*\*|__)?(?P<label>(?:Skill\s+|GF\(3\)\s+)?Trit)(?:\*\*|__)?\s*:\s*(?:\*\*|__)?\s*(?P<value>\S.*)$"
)


@dataclass(frozen=True)
class Line:
    """One line of a document, or several that carry one statement."""

    text: str
    number: int
    end: int
    injected: bool = False
    fenced: bool = False


@dataclass(frozen=True)
class BodyTrit:
    """A `Trit: x` line."""

    text: str
    trit: int | None
    problem: str | None
    line: int
    injected: bool


def read_lines(text: str, *, first: int = 1) -> list[Line]:
    """The lines of a document, each marked with whether it stands in an injected section or in a code fence."""
    lines: list[Line] = []
    injected_level = 0
    fence: str | None = None
    for number, content in enumerate(text.splitlines(), start=first):
        mark = _FENCE.match(content)
        if mark and (fence is None or mark.group(1).startswith(fence)):
            fence = mark.group(1) if fence is None else None
        heading = _HEADING.match(content) if fence is None else None
        if heading:
            level = len(heading.group(1))
            if injected_level and level <= injected_level:
                injected_level = 0
            if not injected_level and _INJECTED_HEADING.search(heading.group(2)):
                injected_level = level
        lines.append(Line(content, number, number, injected_level > 0, fence is not None))
    return lines


def join_statements(lines: Iterable[Line]) -> Iterator[Line]:
    """Joins a line that ends in a separator with the next one, and one that begins with a separator with the one before."""
    held: Line | None = None
    for line in lines:
        text = line.text.strip()
        if held is not None and text and (_CARRIES_ON.search(held.text) or (_CARRIED_ON.match(text) and _MEMBER.search(held.text))):
            held = Line(f"{held.text} {text}", held.number, line.number, held.injected or line.injected, held.fenced)
            continue
        if held is not None:
            yield held
        held = Line(text, line.number, line.number, line.injected, line.fenced)
    if held is not None:
        yield held


def body_trits(lines: Iterable[Line]) -> list[BodyTrit]:
    """`**Trit**: -1 (MINUS)` and `Trit: 0` lines. In code they count only inside an injected block."""
    found = []
    for line in lines:
        match = _BODY_TRIT.match(line.text)
        if not match or (line.fenced and not line.injected):
            continue
        value = match.group("value").strip()
        try:
            found.append(BodyTrit(value, read_trit(value), None, line.number, line.injected))
        except NotATrit as error:
            found.append(BodyTrit(value, None, str(error), line.number, line.injected))
    return found


@dataclass(frozen=True)
class RawClaim:
    members: tuple[Member, ...]
    assertions: tuple[Assertion, ...]
    text: str
    form: str


def line_form(text: str) -> Iterator[RawClaim]:
    """`a (-1) ⊗ b (0) ⊗ c (+1) = 0 ✓`, also with + or → between, `needs +1`, `= -1 ✗`, and placeholders such as `[balancer] (+)`.

    A group joined by commas, and one of bare names, count only with something said of them. A bare name is a member only
    beside ⊗, because + and → join all kinds of words.
    """
    position = 0
    while first := _ANY.search(text, position):
        members, marks, end = [_member(first)], [], first.end()
        while (separator := _SEPARATOR.match(text, end)) and (following := _ANY.match(text, separator.end())):
            if separator.group("mark") != "⊗" and (_bare(members[-1]) or _bare(_member(following))):
                break
            members.append(_member(following))
            marks.append(separator.group("mark"))
            end = following.end()
        if len(members) < 2:
            position = first.end()
            continue
        assertions, stop = read_assertions(text, end)
        position = max(stop, end)
        if assertions or (set(marks) == {"⊗"} and not all(_bare(member) for member in members)):
            yield RawClaim(tuple(members), assertions, text[first.start() : position].strip(), "line")


FORMS: tuple[Callable[[str], Iterator[RawClaim]], ...] = (line_form,)


def read_assertions(text: str, position: int) -> tuple[tuple[Assertion, ...], int]:
    """What is said of the group that ends at `position`: the assertions, and where they end.

    `= 0` says balanced; `= 3 ≡ 0 (mod 3)` says the sum and that it balances; `= -1 ✗ → needs +1` says the sum, that it
    does not balance, and what completes it.
    """
    found: list[Assertion] = []
    while True:
        if match := _NEEDS.match(text, position):
            found.append(Assertion(kind="needs", value=read_trit(match.group("need").replace(" ", ""))))
        elif (match := _NEEDS_SOME.match(text, position)) or (match := _DENIED.match(text, position)):
            found.append(Assertion(kind="unbalanced"))
        elif match := _AFFIRMED.match(text, position):
            found.append(Assertion(kind="balanced"))
        elif (relation := _RELATION.match(text, position)) and (match := _NUMBER.match(text, relation.end())):
            value = _integer(match.group("number"))
            modulo = _MODULO.match(text, match.end())
            sign = relation.group("relation")
            if sign in {"≢", "≠", "!="}:
                found.append(Assertion(kind="unbalanced"))
            elif value == 0:
                found.append(Assertion(kind="balanced"))
            else:
                found.append(Assertion(kind="residue" if sign == "≡" or modulo else "sum", value=value))
            match = modulo or match
        else:
            return tuple(dict.fromkeys(found)), position
        position = match.end()


def find_claims(lines: Iterable[Line], *, path: str, owner: str | None = None) -> list[Claim]:
    """Every claim in the document, in order."""
    claims = []
    for statement in join_statements(lines):
        for form in FORMS:
            for raw in form(statement.text):
                claims.append(
                    Claim(
                        members=raw.members,
                        assertions=raw.assertions,
                        text=raw.text,
                        path=path,
                        line=statement.number,
                        end_line=statement.end,
                        form=raw.form,
                        owner=owner,
                        injected=statement.injected,
                    )
                )
    return claims


def _member(match: re.Match[str]) -> Member:
    name = match.group("name")
    text = (match.group("trit") or match.group("symbol") or "").strip()
    placeholder = name.startswith("[")
    if not text:
        return Member(name=name, placeholder=placeholder)
    try:
        return Member(name=name, trit=read_trit(text), placeholder=placeholder)
    except NotATrit as error:
        return Member(name=name, placeholder=placeholder, problem=str(error))


def _bare(member: Member) -> bool:
    return member.trit is None and member.problem is None


def _integer(text: str) -> int:
    for dash in MINUS_SIGNS:
        text = text.replace(dash, "-")
    return int(text.replace(" ", ""))
