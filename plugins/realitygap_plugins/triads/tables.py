"""Groups in tables: a column of trits with a sum below, and rows of one skill for each role."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from realitygap_plugins.triads.assertions import DASH, in_context, read_assertions, says_balanced
from realitygap_plugins.triads.claims import Assertion, Member
from realitygap_plugins.triads.gf3 import signed
from realitygap_plugins.triads.members import RawClaim, named_groups, same_trits
from realitygap_plugins.triads.notation import NotATrit, read_trit
from realitygap_plugins.triads.patterns import pattern
from realitygap_plugins.triads.sums import anonymous_groups
from realitygap_plugins.triads.text import MAX_LINE, Text, line_around

_ROW = pattern(r"\|.*+(?P<rule>\n(?=[|:+ \t]*-)(?=[-:+ \t]*\|)(?=[-|:+ \t]*(?:\n|\Z)))?")
"""The rest of a line from its first `|` on; a header has `rule`: `|---|:-:|` is the line below."""
_WORDS = ("Trit", "trit", "TRIT", "GF(3)", "ERGODIC", "Ergodic", "ergodic", "Coordinator", "COORDINATOR", "coordinator")
"""Of which a header has one."""
SUM_WITHIN = 3
"""Lines below a table in which its sum may stand."""
MAX_ROWS = 2_000
"""Rows of one table. The sum of a longer one is left out, because some of its rows would be another."""

MAX_RELATIONS = 20
"""Signs such as `=` in a line below a table from which its sum is read."""

_CELL = pattern(r"(?<!\\)\|")
_TRIT_HEADER = pattern(r"(?:gf\(3\)\s*)?trits?(?:\s+(?:value|assignment))?|gf\(3\)", re.IGNORECASE)
_NAME_HEADERS = ("skill", "skills", "name", "member", "component", "mcp", "agent", "sub-skill", "tool", "server")
_NO_NAME = pattern(r"(?:role|position|#|index|colou?r|hue|hex|symbol|purpose|description|value|function|n|no)\b", re.IGNORECASE)
_ROLES = {
    -1: pattern(rf"\bminus\b|\bvalidators?\b|\(\s*{DASH}\s?1\s*\)", re.IGNORECASE),
    0: pattern(r"\bergodic\b|\bcoordinators?\b|\(\s*0\s*\)", re.IGNORECASE),
    1: pattern(r"\bplus\b|\bgenerators?\b|\(\s*[+]\s?1\s*\)", re.IGNORECASE),
}
_TOTAL = pattern(r"(?:Σ|∑|sum|total|net|gf\(3\)(?:\s+sum)?|balance|conservation)\b:?", re.IGNORECASE)
_SUM_LINE = pattern(r"Σ|∑|\bsums?\b|\btotal\b|\bnet\b|conserv|balance", re.IGNORECASE)
_SAYS = pattern(r"\s*(?:≢|≠|!=|≡|=|⊢)|✓|✔|✅|✗|❌|\bneeds?\b", re.IGNORECASE)
_CONSERVE = pattern(r"\bconserv(?:e|es|ed)\s+GF\(3\)|\bGF\(3\)[\s-]+(?:conserved|balanced)\b|\bbalanced\b", re.IGNORECASE)
_COLON = pattern(rf"(?:[Σ∑]|\b(?:sum|net))[*_`]*\s?:[*_`\s]*(?=(?:[+]|{DASH})?\s?[0-9])", re.IGNORECASE)
_OF_OTHERS = pattern(r"\s*(?!(?:mod|in|and|but|so|is|which|needs?|not|by|for|trits?|total|overall|balanced|conserv\w*)\b)[a-z]\w+")
_NEGATED = pattern(
    r"\b(?:un|im|no|isn't|aren't|violat\w*)[\s-]*(?:balanced|conserv|sum)|\bnot\b[\w\s-]{0,20}\b(?:balanced|conserv|sum)", re.IGNORECASE
)
_CLEAN = pattern(r"\[([^\]]{0,200})\]\([^)]{0,300}\)|`|\*{1,3}|(?<!\w)_{1,2}(?=\w)|(?<=\w)_{1,2}(?!\w)")
_MARKUP = pattern(r"[`*_\[]")
_CONDITION = pattern(
    r"\b(?:violat\w*|if|iff|when|whenever|unless|any|every|each|must|should|needs? to|add|with|first|over all|weighted"
    r"|per|across|as a whole|workflows?|registry|costs?|flows?|load)\b|--\w|[∀⟺⇔]|\w_i\b|\[ \]",
    re.IGNORECASE,
)
"""Of a line that speaks of something else than the table above it."""
_MEMBER_TRIT = pattern(rf"\w[`*]*\s?\(\s?(?:[+]|{DASH})?\s?[01]\s?\)")
_COUNTED = pattern(r"\b(?:skills|members|agents|rows|entries|files)\s*\Z", re.IGNORECASE)
_PLACEHOLDERS = ("?", "??", "???", "…", "...", "TBD")
_COUNT_HEADER = pattern(r"count|skills|agents|members|instances|n|number|qty|quantity|weight|#\s*(?:of\s+)?\w+|×|x", re.IGNORECASE)
_ONE = r"[\w@][\w.:@/#-]*"
_SEVERAL = pattern(
    rf"(?:\A\s*{_ONE}\s*(?:\s/\s|\s&\s|\s\+\s|\sand\s)\s*{_ONE}\s*\Z|\s[0-9]+\s?[-–]\s?[0-9]+\Z"
    r"|\b[0-9]+\s+(?:others?|more)\b|(?:×|\sx)\s?[0-9]+\)?\Z|\A[0-9]+\s?[×x]\s|\(\s*(?:[2-9]|[1-9][0-9])\s*\)\Z)",
    re.IGNORECASE,
)
"""Of a cell that stands for several, or for nobody knows how many: `a / b`, `a and b`, `skills 1-5`, `7 others`, `a ×2`, `a (2)`."""
_BREAK = pattern(r"[,;]|<br\s*/?>", re.IGNORECASE)
_WORD = pattern(r"\s*(?=[\d_.@/#-]{0,40}[^\W\d_])[\w@][\w.:@/#-]*\s*")
_REMARK = pattern(r"\s*\([^()]*\)\s*$")
_LETTER = pattern(r"[^\W\d_]")
_LEADING = pattern(r"(?:[+]|[-−–])?\s?[01]\b|⊕|⊖|○")


class TableClaim(NamedTuple):
    """A group found in a table, with its lines."""

    claim: RawClaim
    line: int
    end: int


def table_groups(text: Text) -> Iterator[TableClaim]:
    """Groups in the tables of a text."""
    if "|" not in text.text:
        return
    headers = (match.start() for match in _ROW.finditer(text.text) if match["rule"])
    for number in text.numbers([at for at in headers if _may_head_trits(text.text, at)]):
        cells = _cells(text.line(number))
        roles, column = _role_columns(cells), _trit_column(cells)
        if not roles and column is None:
            continue
        rows = list(_rows(text, number + 2))
        if not rows:
            continue
        if why := _too_long(text, rows):
            text.cut(number, why)
        if roles:
            yield from _by_role(text, number, cells, roles, rows)
        elif column is not None and not why:
            yield from _by_trit(text, number, cells, column, rows)


def _may_head_trits(text: str, at: int) -> bool:
    start, end = line_around(text, at)
    return any(text.find(word, start, end) >= 0 for word in _WORDS)


def _too_long(text: Text, rows: list[tuple[int, list[str]]]) -> str:
    """Why only a part of a table is read; empty where all of it is."""
    if len(rows) >= MAX_ROWS and "|" in text.line(rows[-1][0] + 1):
        return f"a table of more than {MAX_ROWS:,} rows"
    return f"a table with a row of more than {MAX_LINE:,} characters" if any(text.is_long(number) for number, _ in rows) else ""


def _by_role(text: Text, header: int, cells: list[str], roles: dict[int, int], rows: list[tuple[int, list[str]]]) -> Iterator[TableClaim]:
    said_above = _context(text, header)
    totals = [place for place, cell in enumerate(cells) if _TOTAL.fullmatch(cell)]
    for number, row in rows:
        members = []
        for trit, column in sorted(roles.items()):
            for name in _names(row[column]) if column < len(row) else ():
                members.append(Member(name=name, trit=trit, placeholder=_is_placeholder(name)))
        if len(members) < 2 or any(column < len(row) and (_unclear(row[column]) or row[column].isdecimal()) for column in roles.values()):
            continue
        assertions = next((found for place in totals if place < len(row) and (found := _total(row[place]))), said_above)
        shown = " | ".join(row)
        yield TableClaim(RawClaim(tuple(members), assertions, shown, "roles"), number, number)


def _by_trit(text: Text, header: int, cells: list[str], column: int, rows: list[tuple[int, list[str]]]) -> Iterator[TableClaim]:
    named = _name_column(cells, column)
    if named is None or _counts(cells, named, rows) or any(_unclear(row[named]) for _, row in rows if named < len(row)):
        return
    members: list[Member] = []
    assertions: tuple[Assertion, ...] = ()
    last = header + 1
    for number, row in rows:
        if column >= len(row) or named >= len(row):
            continue
        last = number
        # A row without a name counts: its trit is in the sum.
        names, value = _names(row[named]) or [""], row[column]
        if any(_TOTAL.fullmatch(cell) for cell in row[: column + 1]):
            assertions = _total(value)
            continue
        if assertions:
            return  # this row is not in the sum
        try:
            members += [Member(name=name, trit=read_trit(value), placeholder=_is_placeholder(name)) for name in names]
        except NotATrit as error:
            if _LEADING.match(value):
                members += [Member(name=name, problem=str(error)) for name in names]
            else:
                return  # a table of something else
    said = None
    if not assertions:
        said = _sum_below(text, header, rows[-1][0] + 1, members)
        assertions = said[1] if said else ()
    if len(members) >= 2 and assertions:
        shown = ", ".join(f"{member.name or '?'} ({'?' if member.trit is None else signed(member.trit)})" for member in members)
        end = said[0] if said else last
        yield TableClaim(RawClaim(tuple(members), assertions, shown[:400], "table"), header, end)


def _sum_below(text: Text, header: int, number: int, members: list[Member]) -> tuple[int, tuple[Assertion, ...]] | None:
    """The line near below a table that says what it sums to. A fence says it only of a table inside it."""
    seen = 0
    while seen < SUM_WITHIN and number <= len(text.lines):
        line = text.line(number).strip()
        if line.startswith(("|", "#")):
            return None
        if line and not line.startswith(("```", "~~~")):
            seen += 1
            around = text.at(number)
            if (not around.fenced or around is text.at(header)) and _is_sum_of(line, members) and (found := _said(line)):
                return number, found
        number += 1
    return None


def _is_sum_of(line: str, members: list[Member]) -> bool:
    """Whether a line below a table speaks of the sum of its trits: not of named members, and where it writes a sum out, of the same."""
    if _CONDITION.search(line) or named_groups(line)[0]:
        return False
    if written := list(anonymous_groups(line, [])):
        return any(same_trits(one.members, members) for one in written)
    return _SUM_LINE.search(line) is not None and not _MEMBER_TRIT.search(line)


def _said(line: str) -> tuple[Assertion, ...]:
    """What a line below a table says: from its first relation on, or in words."""
    if _NEGATED.search(line):
        return (Assertion(kind="unbalanced"),)
    for relation in islice(_SAYS.finditer(line), MAX_RELATIONS):
        # `Sum: (-1) + 0 + (+1) = 0`: the first relation from which something can be read, not `total skills = 5`.
        if not _COUNTED.search(line, max(0, relation.start() - 20), relation.start()) and (found := _not_of_others(line, relation.start())):
            return in_context(found, line)
    if colon := _COLON.search(line):
        return in_context(_not_of_others(f"= {line[colon.end() :]}", 0), line)
    return (Assertion(kind="balanced"),) if _CONSERVE.search(line) else ()


def _not_of_others(line: str, position: int) -> tuple[Assertion, ...]:
    """What is said from a position on, unless the number is one of other things: `= 3 skills`."""
    found, end = read_assertions(line, position)
    number = bool(found) and found[-1].kind in ("balanced", "sum", "residue")
    return () if number and _OF_OTHERS.match(line, end) else found


def _total(cell: str) -> tuple[Assertion, ...]:
    """What a cell of a column or row of sums says: `0 ✓`, `= 0`, `+1 ✗`."""
    cell = cell.strip()
    return read_assertions(cell if _SAYS.match(cell) else f"= {cell}", 0)[0] if cell else ()


def _context(text: Text, header: int) -> tuple[Assertion, ...]:
    """Whether the heading or the text just above says that what follows balances."""
    above = [text.at(header).heading]
    for number in range(header - 1, max(0, header - 4), -1):
        line = text.line(number).strip()
        if line.startswith("|"):
            break
        above.append(line)
    return (Assertion(kind="balanced"),) if says_balanced(" ".join(above)) else ()


def _is_rule(line: str) -> bool:
    """Whether this is the line below the header of a table: `|---|:-:|`."""
    return "-" in line and "|" in line and not line.strip("|:-+ \t")


def _role_columns(cells: list[str]) -> dict[int, int]:
    """Trit to the one column of its role; empty unless all three have exactly one."""
    found: dict[int, int] = {}
    for place, cell in enumerate(cells):
        for trit, role in _ROLES.items():
            if role.search(cell):
                if trit in found or place in found.values():
                    return {}
                found[trit] = place
    return found if len(found) == 3 else {}


def _trit_column(cells: list[str]) -> int | None:
    return next((place for place, cell in enumerate(cells) if _TRIT_HEADER.fullmatch(cell)), None)


def _name_column(cells: list[str], column: int) -> int | None:
    lowered = [cell.lower() for cell in cells]
    for wanted in _NAME_HEADERS:
        if wanted in lowered and lowered.index(wanted) != column:
            return lowered.index(wanted)
    others = [place for place, cell in enumerate(cells) if place != column and not _NO_NAME.match(cell)]
    return others[0] if others else None


def _is_placeholder(name: str) -> bool:
    return name.startswith("[") or name in _PLACEHOLDERS


def _unclear(cell: str) -> bool:
    """Whether it is not known how many skills a cell stands for."""
    return _SEVERAL.search(cell) is not None


def _counts(cells: list[str], named: int, rows: list[tuple[int, list[str]]]) -> bool:
    """Whether a column says that a row stands for more or fewer than it names."""
    for column, header in enumerate(cells):
        if _COUNT_HEADER.fullmatch(header):
            counted = [(row[column], len(_names(row[named])) or 1) for _, row in rows if max(column, named) < len(row) and row[column]]
            numbered = [value for value, _ in counted] == [str(number) for number in range(1, len(counted) + 1)]
            if not numbered and all(value.isdecimal() for value, _ in counted) and any(int(value) != names for value, names in counted):
                return True
    return False


def _rows(text: Text, number: int) -> Iterator[tuple[int, list[str]]]:
    for row in range(number, number + MAX_ROWS):
        line = text.line(row)
        if "|" not in line or _is_rule(text.line(row + 1)):
            return  # the end, or the header of another table
        yield row, _cells(line)


def _cells(line: str) -> list[str]:
    stripped = line.strip().strip("│").strip()
    bare = stripped.removeprefix("|").removesuffix("|")
    parts = _CELL.split(bare) if "\\" in bare else bare.split("|")
    if not _MARKUP.search(bare):
        return [part.strip() for part in parts]
    return [_CLEAN.sub(lambda match: match[1] or "", part.strip()).strip() for part in parts]


def _names(cell: str) -> list[str]:
    """The skills that a cell names: all of it, without a remark in brackets behind, or several where each part is one word."""
    if _BREAK.search(cell) and all(_WORD.fullmatch(part) for part in _BREAK.split(cell)):
        return [part.strip() for part in _BREAK.split(cell)]
    if cell in _PLACEHOLDERS:
        return [cell]
    name = _REMARK.sub("", cell).strip()
    return [name] if _LETTER.search(name) and name.lower() not in ("self", "none", "n/a") else []
