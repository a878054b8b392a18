"""What is said of a group: `= 0 ✓`, `= 3 ≡ 0 (mod 3)`, `= -1 ✗ → needs +1`, `≢ 0`, `(Σ=0)`, `⊢ 0`, `= needs balancing`."""

from __future__ import annotations

import re
from functools import lru_cache

from realitygap_plugins.triads.claims import Assertion
from realitygap_plugins.triads.notation import MINUS_SIGNS, integer, read_trit
from realitygap_plugins.triads.patterns import pattern

DASH = f"[-{MINUS_SIGNS}]"

_ARROW = r"(?:→|⇒|⟹|->|=>|=|,|;|:|#|—)"
# At most this much is read of one number: what is longer is no sum of trits.
_DIGITS = r"[0-9]{1,6}(?![0-9A-Za-z%]|\.[0-9])"
_QUOTE = r"(?:`|\*{1,3})?"
_NUMBER = pattern(rf"\s*+{_QUOTE}\(?\s*+(?P<number>(?:[+]|{DASH})?\s?{_DIGITS})(?:`|\*\*(?!\s*+[\w(]))?\s*+\)?")
_TERM = pattern(rf"\s*+(?P<sign>[+]|{DASH})\s*+\(?\s*+(?P<number>(?:[+]|{DASH})?\s?{_DIGITS})\s*+\)?(?!\s*+[(\w×])")
_RELATION = pattern(rf"\s*+{_QUOTE}(?:→|⇒|⟹)?\s*+[(\[]?\s*+(?:Σ|∑|[Ss]um|SUM|[Tt]otal)?\s*+(?P<relation>≢|≠|!=|≡|==?|⊢)\s*+(?:Σ\s*+=\s*+)?")
_MODULO = pattern(r"\s*+\(?\s*+(?:mod(?:ulo)?\s*+3|in\s+GF\(3\))\s*+\)?", re.IGNORECASE)
_MODULAR = pattern(r"GF\(3\)|mod(?:ulo)?\s*+3|≡", re.IGNORECASE)
_CLOSE = pattern(r"\s*+[)\]]")
_NEEDS = pattern(
    rf"\s*+{_ARROW}?\s*+[(\[]?\s*+needs?:?\s+(?:a\s+|an\s+)?(?:`|\()?(?P<need>[+]\s?1|{DASH}\s?1|0(?!\s+(?!to\b|for\b|trit)[a-z]))(?![\w%.])",
    re.IGNORECASE,
)
_NEEDS_SOME = pattern(rf"\s*+{_ARROW}?\s*+[(\[]?\s*+needs?\s+(?:a\s+)?(?:balanc\w*|complet\w*|rebalanc\w*)", re.IGNORECASE)
_DENIED = pattern(
    rf"\s*+(?:→\s*+)?{_QUOTE}(?:✗|✘|❌|✖|[(\[]?\s*+(?:not\s+(?:balanced|conserved|zero)|unbalanced|imbalanced?|violat(?:ed|ion))"
    r"(?![\w-]|\s+(?!(?:needs?|mod|in|and|but|so|by)\b)[a-z]))",
    re.IGNORECASE,
)
_AFFIRMED = pattern(
    rf"\s*+(?:→\s*+)?{_QUOTE}(?:(?P<mark>[✓✔✅☑])|[(\[]?\s*+(?:balanced|conserved)"
    r"(?![\w-]|\s+(?:by|with|against|once|if|only|when|broken|fails|violated)\b))",
    re.IGNORECASE,
)
_BEGINS = pattern(rf"\s*+{_QUOTE}(?:[(\[)\]]\s*+)?(?:[→⇒⟹=≡≢≠!⊢,;:#—Σ∑✓✔✅☑✗✘❌✖]|->|(?i:need|not|un|im|viol|bal|cons|sum|total))")
_SHORT = 60
"""Characters behind a group that are remembered with what they say."""
_OPEN = pattern(r"\s*+=\s*+\?+")
_ASKED = pattern(r"\s?\?")
_CLAIMED = pattern(r"balanced|conserved|\bsums? to (?:0|zero)(?!\.?\w)|(?<!trit)(?<!trit )[=≡]\s*+0(?!\.?\w)", re.IGNORECASE)
_NOT_CLAIMED = pattern(
    r"\b(?:not|non|no|never|without|violat\w*|out of|to be|vs|load|how to|find(?:ing)?|candidates?)\b|n't\b"
    r"|\b(?:un|im|non)(?:balanced|conserved)|≠|≢|!=",
    re.IGNORECASE,
)


def says_balanced(heading: str) -> bool:
    """Whether a heading or a sentence says that the groups below it balance. One that denies anything says nothing of them."""
    return _CLAIMED.search(heading) is not None and not _NOT_CLAIMED.search(heading)


def read_assertions(text: str, position: int) -> tuple[tuple[Assertion, ...], int]:
    """What is said of the group that ends at `position`: the assertions, and where they end.

    `= 0` says balanced; `= 3 ≡ 0 (mod 3)` says the sum and that it balances; `= -1 ✗ → needs +1` says the sum, that it does not balance,
    and what completes it; `= -1 + 1 = 0` says a sum that is written as a calculation, and that it balances. `= ???` and `= 0?` say nothing.
    """
    rest = len(text) - position
    if rest > _SHORT:
        return _read(text, position)
    assertions, stop = _read_short(text[position:])
    return assertions, position + stop


@lru_cache(maxsize=4096)
def _read_short(text: str) -> tuple[tuple[Assertion, ...], int]:
    # `= 0 ✓` and the like stand behind most groups.
    return _read(text, 0)


def _read(text: str, position: int) -> tuple[tuple[Assertion, ...], int]:
    found: list[Assertion] = []
    if unknown := _OPEN.match(text, position):
        return (), unknown.end()
    while _BEGINS.match(text, position):
        if (relation := _RELATION.match(text, position)) and (number := _NUMBER.match(text, relation.end())):
            value, end = _calculation(text, integer(number["number"]), number.end())
            modulo = _MODULO.match(text, end)
            sign = relation["relation"]
            if sign in {"≢", "≠", "!="}:
                found.append(Assertion(kind="unbalanced") if value % 3 == 0 else Assertion(kind="differs", value=value))
            elif value == 0 and end == number.end():
                found.append(Assertion(kind="balanced"))
            else:
                found.append(Assertion(kind="residue" if sign == "≡" or modulo else "sum", value=value))
            position = modulo.end() if modulo else end
        elif match := _NEEDS.match(text, position):
            found.append(Assertion(kind="needs", value=read_trit(match["need"].replace(" ", ""))))
            position = match.end()
        elif match := _NEEDS_SOME.match(text, position) or _DENIED.match(text, position):
            if found and found[-1].kind == "balanced":
                found.pop()  # `= 0 ✗`
            found.append(Assertion(kind="unbalanced"))
            position = match.end()
        elif match := _AFFIRMED.match(text, position):
            # A mark confirms what is said before: `= +1 ✓` is not balanced.
            if match["mark"] is None or not found or not _denies(found[-1]):
                found.append(Assertion(kind="balanced"))
            position = match.end()
        elif found and (match := _CLOSE.match(text, position)) and _verdict_mark(text, match.end()):
            position = match.end()
        else:
            break
    if found and (match := _CLOSE.match(text, position)):
        position = match.end()
    if found and (asked := _ASKED.match(text, position)):
        return (), asked.end()
    return tuple(dict.fromkeys(found)), position


def in_context(assertions: tuple[Assertion, ...], line: str) -> tuple[Assertion, ...]:
    """What is said of a group in a line: where that names GF(3), `= -1` is right of +1 and +1, and of all that sums to -1 too."""
    if not any(one.kind == "sum" and abs(one.value) <= 1 for one in assertions) or not _MODULAR.search(line):
        return assertions
    return tuple(one._replace(kind="residue") if one.kind == "sum" and abs(one.value) <= 1 else one for one in assertions)


def _denies(one: Assertion) -> bool:
    """Whether a group of which this is true does not balance."""
    return one.kind != "balanced" and (one.kind not in ("sum", "residue") or one.value % 3 != 0)


def _verdict_mark(text: str, position: int) -> bool:
    """Whether `✓`, `✗` or their words stand here."""
    return bool(_AFFIRMED.match(text, position) or _DENIED.match(text, position))


def _calculation(text: str, value: int, end: int) -> tuple[int, int]:
    """The value of `-1 + 1 - (+2)`, of which the first term is read, and where it ends."""
    while term := _TERM.match(text, end):
        number = integer(term["number"])
        value += number if term["sign"] == "+" else -number
        end = term.end()
    return value, end
