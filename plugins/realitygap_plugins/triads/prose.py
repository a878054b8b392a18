"""What a Markdown text says about trits: declarations of its own skill, and claims about groups, each with its place.

The forms of claims are told apart by who reads them: `members` (named members in a line, joined by ⊗, +, →, commas, with numbers or
symbols), `sums` (numbers without names), `tables` (a column of trits with a sum, a column for each role). A statement that goes on in the
next line is joined before it is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from realitygap_plugins.triads import tables
from realitygap_plugins.triads.assertions import in_context, says_balanced
from realitygap_plugins.triads.claims import Assertion, Claim
from realitygap_plugins.triads.members import BEHIND_A_TRIT, ROUND, TRIT_BEFORE_A_NAME, RawClaim, named_groups, same_trits, says_trits
from realitygap_plugins.triads.notation import NotATrit, read_trit
from realitygap_plugins.triads.patterns import pattern
from realitygap_plugins.triads.refusals import is_refused, refuses_all, refuses_below
from realitygap_plugins.triads.sums import BEHIND_A_NUMBER, MAX_MEMBERS, anonymous_groups, listed_groups
from realitygap_plugins.triads.text import MAX_LINE, Text, line_around

MARKS = (
    *("⊗", "⊕", "⊖", "○", "[+]", "Σ", "∑", "≡", "mod 3"),
    pattern(r"=(?:(?<=[-+−–][01] =)|(?<=[-+−–] [01] =)|(?<=[-+−–][01]=))"),
    pattern(r"\((?:[-+\uff0b−–01]| [-+\uff0b−–01]|PLUS|MINUS|ERGODIC|3(?<=GF\(3)\))"),
)
"""Every line with a claim holds one of these, or carries on one that does."""
MAX_CLAIMS = 2_000
"""Claims read in one file."""
MAX_JOINED = 200
"""Lines of one statement. A longer one is left out, because half of it would be another."""

_GROUP = pattern(
    rf"[⊗Σ∑)\[01{ROUND}](?:(?<=⊗)|(?<=[Σ∑])\s?\(|(?<=[){ROUND}]){BEHIND_A_TRIT}|(?<=\[){TRIT_BEFORE_A_NAME}|(?<=[01]){BEHIND_A_NUMBER})"
)
"""What every group has: ⊗, a list behind Σ, two members or two numbers. Its first characters are sought first, because that is fast."""
_SUMMAND = pattern(r"[⊗Σ∑]|\(\s?[-+−–]?\s?[01]\s?\)\s+[+→×=≡⊢]\s")
_CARRIES_ON = frozenset("⊗⊕+→×")
_MAY_CARRY_ON = frozenset("⊗→×+=≡⊢")
_EDGE = pattern(r"\n(?:(?:[ \t>│┃║]*|[ \t]*[#/;-]{1,3}[ \t]+)[⊗→×+=≡⊢]|(?<=[⊗⊕+→×│┃║]\n)|(?<=[^\S\n]\n))")
"""Between two lines that may be of one statement."""
_CARRIED_ON = pattern(r"^\s*+(?:⊗|→|×|[+]\s+[\w`*\[@]|[=≡⊢]\s*+(?:[-+−–0-9]|needs?\b))")
_IN_BRACKETS = pattern(r"\(\s?[+\uff0b−–-]?[01][^()]{0,40}\)")
_QUOTED = " \t>"
_FRAMED = pattern(r"[ \t]*(?:(?P<wall>[│┃║])(?P<inside>[^│┃║]*+)(?:(?P=wall)\s*+)?|(?P<mark>#|//|--|;{1,2})\s(?P<comment>(?!\s*+→).*))\Z")
"""A line of one drawn box, or of a comment."""
_BRANCH = pattern(r"[\s>│|├└─]*")
_TRIT_LINE = pattern(
    r"^\s*+(?:(?:[-*+>]|#{1,6}|[0-9]{1,2}[.)])\s+)*(?:\|\s*+)?(?:\*{1,2}|_{1,2}|`)?(?P<label>(?:Skill\s+|GF\(3\)\s+|Balanced\s+)?(?:Trit|TRIT)"
    r"(?:\s+(?i:value|assignment|role))?)(?:\*{1,2}|_{1,2}|`)?\s*+(?P<mark>[:=|])\s*+(?:\*{1,2}|_{1,2}|`)?\s*+(?P<value>[^\s|][^|]*)(?P<rest>\|.*)?$"
)
_ITEM = pattern(r"\s*+[-*+]\s")
_SKILL_NAME = pattern(
    r"\s*+(?:[-*+]\s+|[0-9]{1,3}[.)]\s+)?\*{0,2}(?:(?P<slug>[a-z0-9]+(?:-[a-z0-9]+)+)|[`\[](?P<quoted>[a-z0-9]+(?:-[a-z0-9]+)*)[`\]])"
    r"(?:\([^()]*\))?\*{0,2}:?\s*+"
)
_YAML_TRIT = pattern(r"^(?P<label>trit)(?P<mark>:)[ \t]+(?P<value>[^\s#][^#]*)(?P<rest>#.*)?$")
_ASSIGNMENT = pattern(r"\btrit\b|\bassignment\b", re.IGNORECASE)
_TEMPLATE = pattern(r"^\s*+(?:Home|Poly Op|Kan Role)\s*+:")
_DENIALS = ("unbalanced", "differs", "needs")
_SDF = pattern(r"\bSDF\.Ch[0-9]+")


class BodyTrit(NamedTuple):
    """A `Trit: x` line."""

    text: str
    trit: int | None
    problem: str | None
    line: int
    injected: bool


def body_trits(text: Text, *, first: int = 1, name: str = "") -> list[BodyTrit]:
    """`**Trit**: -1 (MINUS)`, `Trit: 0`, `| Trit | 0 |` lines from line `first` on, and `trit: 0` of a second frontmatter in the body.

    In a code fence they count only where a tool wrote the block, where the heading is one of an assignment, or where the fence holds the
    frontmatter of the skill, whose `name` it gives: other code has trits of its own. Where several sections have a table of properties
    and not all of the body says the same, each table is one of its section.
    """
    found: list[BodyTrit] = []
    tables_of: dict[str, list[BodyTrit]] = {}
    for number in text.lines_with("Trit", "TRIT", "trit:"):
        if number < first:
            continue
        match = _TRIT_LINE.match(text.line(number)) or _YAML_TRIT.match(text.line(number))
        if not match or (match["mark"] == "|" and not _property_row(match)):
            continue
        around = text.at(number)
        if text.in_comment(number) or _of_another(text, number, name):
            continue
        own = _below_name(text, number, name) if match["label"] == "trit" else bool(_ASSIGNMENT.search(around.heading))
        injected = (around.injected and not around.code and match["label"] != "trit") or _written_by_a_tool(
            text, number, match["label"], own
        )
        if (around.fenced or match["label"] == "trit") and not injected and not own:
            continue
        value = match["value"].strip()
        try:
            told = BodyTrit(value, read_trit(value), None, number, injected)
        except NotATrit as error:
            if value[:1] not in "+-−–±0123456789○⊕⊖":
                continue
            told = BodyTrit(value, None, str(error), number, injected)
        found.append(told)
        if match["mark"] == "|" and not injected and not own and around.heading != text.title:
            tables_of.setdefault(around.heading, []).append(told)
    if len(tables_of) > 1 and len({one.trit for one in found if not one.injected}) > 1:
        of_sections = {one for table in tables_of.values() for one in table}
        found = [one for one in found if one not in of_sections]
    return found


def _of_another(text: Text, number: int, name: str) -> bool:
    """Whether a heading, not the title of the document, or the item of a list that holds this line is the name of another skill."""
    around, line = text.at(number), text.line(number)
    holders = [around.heading] if around.heading != text.title else []
    if line[:1].isspace() and not around.fenced:
        depth = len(line) - len(line.lstrip())
        above = (text.line(one) for one in range(number - 1, max(0, number - 10), -1))
        holders += [item for item in above if _ITEM.match(item) and len(item) - len(item.lstrip()) < depth][:1]
    found = [match for holder in holders if (match := _SKILL_NAME.fullmatch(holder))]
    return any((match["slug"] or match["quoted"]) != name for match in found)


def _below_name(text: Text, number: int, name: str) -> bool:
    """Whether the lines above, up to an empty one or the beginning of the block, give the skill's name."""
    for above in range(number - 1, max(0, number - 10), -1):
        line = text.line(above)
        if not line.strip() or line.startswith(("---", "```", "~~~")):
            return False
        if line.startswith("name:"):
            return line[5:].strip().strip("\"'") == name
    return False


def _property_row(match: re.Match[str]) -> bool:
    """`| Trit | -1 |` of a table of properties, not the header of a table of skills or a row with several values."""
    rest = (match["rest"] or "|").strip()
    return rest == "|" and match.string.lstrip().startswith("|")


def _written_by_a_tool(text: Text, number: int, label: str, own: bool) -> bool:
    """Whether the lines around are those of a known template. Below a heading of an assignment an author may write the same ones."""
    if not own and any(_TEMPLATE.match(text.line(number + below)) for below in range(1, 4)):
        return True
    return label.startswith("Skill") and any(_SDF.search(text.line(number - above)) for above in range(1, 9))


class Statement(NamedTuple):
    """One line, or several that carry one statement."""

    text: str
    starts: tuple[tuple[int, int], ...]
    """Where in `text` each line begins, and its number."""

    def line_at(self, position: int) -> int:
        """The line that a position in `text` is from."""
        if len(self.starts) == 1:
            return self.starts[0][1]
        return next(line for start, line in reversed(self.starts) if start <= position)


def statements(text: Text) -> Iterator[Statement]:
    """The lines that can hold a claim, joined where one ends in a separator or the next begins with one."""
    done = 0
    for number, at in text.lines_with(*MARKS, where=_may_hold_a_group).items():
        if number <= done:
            continue
        start, end = line_around(text.text, at)
        if not _may_go_on(text.text, start, end):
            yield Statement(text.text[start:end].strip(), ((0, number),))
            continue
        first = last = number
        while first > done + 1 and _joins(*_contents(text.line(first - 1), text.line(first))):
            first -= 1
        while last < len(text.lines) and _joins(*_contents(text.line(last), text.line(last + 1))):
            last += 1
        done = last
        if why := _too_long(text, first, last):
            # Long lines without trits are data that somebody pasted.
            if any(_SUMMAND.search(text.lines[one - 1]) for one in range(first, last + 1)):
                text.cut(first, why)
            continue
        if first == last:
            yield Statement(text.line(first).strip(), ((0, first),))
            continue
        joined, starts = _contents(text.line(first), text.line(first + 1))[0].strip(), [(0, first)]
        for one in range(first + 1, last + 1):
            starts.append((len(joined) + 1, one))
            joined += " " + _BRANCH.sub("", _contents(text.line(first), text.line(one))[1], count=1).strip()
        if len(joined) > MAX_LINE:
            text.cut(first, f"a statement of {len(joined):,} characters; up to {MAX_LINE:,} are read")
        else:
            yield Statement(joined, tuple(starts))


def _may_hold_a_group(text: str, start: int, end: int) -> bool:
    """Whether a line may hold a group, or a part of one that goes on in a line beside it. Few do of those that hold a mark."""
    return _may_go_on(text, start, end) or _GROUP.search(text[start:end]) is not None


def _may_go_on(text: str, start: int, end: int) -> bool:
    """Whether a line may be of one statement with that above or below, or is too long to be one. Of most lines it is neither."""
    return end - start > MAX_LINE or _EDGE.match(text, start - 1) is not None or _EDGE.match(text, end) is not None


def _too_long(text: Text, first: int, last: int) -> str:
    """Why a statement in these lines is not read; empty where it is."""
    if last - first >= MAX_JOINED:
        return f"a statement of {last - first + 1} lines; up to {MAX_JOINED} are read"
    long = next((line for line in text.lines[first - 1 : last] if len(line) > MAX_LINE), "")
    return f"a line of {len(long):,} characters; up to {MAX_LINE:,} are read" if long else ""


def _contents(line: str, following: str) -> tuple[str, str]:
    """Two lines without the walls of the box around both, or the marks of a comment before both; as they are where there are none."""
    one = _FRAMED.match(line)
    other = _FRAMED.match(following) if one else None
    if not one or not other or one.group("wall", "mark") != other.group("wall", "mark"):
        return line, following
    return one["inside"] or one["comment"] or "", other["inside"] or other["comment"] or ""


def _joins(line: str, following: str) -> bool:
    # Of most lines their last and first characters say that they do not.
    following = following.lstrip(_QUOTED)
    carries_on = line.rstrip()[-1:] in _CARRIES_ON
    if not carries_on and following[:1] not in _MAY_CARRY_ON:
        return False
    if (
        not following.strip()
        or not line.strip()
        or line.lstrip(_QUOTED).startswith(("#", "```", "|"))
        or following.startswith(("#", "```"))
    ):
        return False
    goes_on = carries_on or _CARRIED_ON.match(following) is not None
    return goes_on and (_has_trit(line) or (line.lstrip(_QUOTED)[:1] in "=≡" and _CARRIED_ON.match(line) is not None))


def _has_trit(line: str) -> bool:
    return "⊗" in line or "⊕" in line or "⊖" in line or "○" in line or _IN_BRACKETS.search(line) is not None


def find_claims(text: Text, *, path: str, owner: str | None = None) -> list[Claim]:
    """Every claim in the text, in order."""
    found: list[tuple[int, int, RawClaim]] = []
    for statement in statements(text):
        if len(found) >= MAX_CLAIMS:
            text.cut(statement.line_at(0), f"more than {MAX_CLAIMS:,} claims")
            break
        named, taken = named_groups(statement.text)
        for raw in (*named, *anonymous_groups(statement.text, taken), *listed_groups(statement.text)):
            line = statement.line_at(raw.start)
            if is_refused(statement.text, raw.start, raw.end) or (_is_code(raw, statement.text) and text.at(line).code):
                continue
            if raw.members:
                raw = raw._replace(assertions=in_context(raw.assertions, statement.text))
                found.append((line, statement.line_at(max(raw.start, raw.end - 1)), raw))
            else:
                text.cut(line, f"a sum of more than {MAX_MEMBERS:,} trits")
    for table in tables.table_groups(text):
        # The sum below a table, written out, is the table's claim and not another one.
        found = [
            one
            for one in found
            if not (one[2].form == "numbers" and table.line < one[0] <= table.end and same_trits(one[2].members, table.claim.members))
        ]
        found.append((table.line, table.end, table.claim))
    claims = []
    for line, end, raw in sorted(found, key=lambda one: (one[0], one[1])):
        around = text.at(line)
        if (refuses_all(around.heading) or refuses_below(text.line(line - 1))) and not any(one.kind in _DENIALS for one in raw.assertions):
            continue
        assertions, notes = raw.assertions, tuple[str, ...]()
        if not assertions and not raw.text.endswith("?") and (implied := _implied(text, line, around.heading)):
            assertions, notes = (Assertion(kind="balanced"),), (implied,)
        claims.append(
            Claim(
                members=raw.members,
                assertions=assertions,
                text=raw.text,
                path=path,
                line=line,
                end_line=end,
                form=raw.form,
                owner=owner,
                injected=around.injected or bool(_SDF.search(raw.text) and any(member.placeholder for member in raw.members)),
                notes=notes,
            )
        )
    return claims


_COMMENT = ("#", "//", "--", ";")
_KEY = pattern(r"^\s*+gf3_?-?triads?\s*+:", re.IGNORECASE)


def _is_code(raw: RawClaim, line: str) -> bool:
    """Whether this is an expression in a block of code, such as `sign(-1) + sign(+1) = 0`: nothing about trits, brackets as of calls."""
    spoken = raw.form == "numbers" or "⊗" in raw.text or " (" in raw.text or line.startswith(_COMMENT)
    return not spoken and not says_trits(line)


def _implied(text: Text, line: int, heading: str) -> str:
    """What stands above or before a group without `= 0` and says that it balances; empty where nothing does."""
    if _KEY.match(text.line(line)):
        return "claimed by its key, gf3_triad"
    return f"claimed by its heading, '{heading}'" if says_balanced(heading) else ""
