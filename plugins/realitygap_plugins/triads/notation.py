"""How a trit is written: in YAML, in prose, as a symbol. What is not a trit stays unknown, with the reason."""

from __future__ import annotations

from functools import lru_cache

from realitygap_plugins.triads.gf3 import balanced_residue
from realitygap_plugins.triads.patterns import pattern

MINUS_SIGNS = "\u2212\u2013\u2010\u2011\ufe63\uff0d"  # minus, en dash, hyphens and their wide forms
_AS_ASCII = str.maketrans(dict.fromkeys(MINUS_SIGNS, "-") | {"\uff0b": "+"})

SYMBOLS = {"+": 1, "⊕": 1, "-": -1, "⊖": -1, "○": 0, "⊙": 0, "◯": 0}
_WORDS = {"plus": 1, "minus": -1, "ergodic": 0}

_NUMBER = pattern(r"([+-]?\s?[0-9]{1,9})(?![0-9])")
_RESIDUE = pattern(r"([+-]?\s?[0-9]{1,9})\s*mod\s*3")
_SEVERAL = pattern(r"\s*(?:[,/|;&]|or\b|and\b|to\b|→|->|\.\.)\s*(?:[±+-]\s?)?[0-9]")
_LONGER = pattern(r"[\w/%]|[.-][^\W\d_]|\.[0-9]|(?:[\s,]*[×x*]\s*|·)[0-9]")
"""Behind a digit: the beginning of a longer number or of a word, not the end of a sentence."""
_LEGEND = pattern(r"[,;/|]\s*(?:(?:and|or)\s+)?([+-]?[01])\s*(?:[=:→]|(?:means?|for|is)\b)")
"""Another trit with its meaning, which another one named in passing, as in `0 (between -1 and +1)`, has not."""
_LABEL = pattern(r"[\s,:;(\[*-]*([A-Za-z]+)?")
_NAMED = pattern(
    r"(?i:(?P<word>plus|minus|ergodic|generator|coordinator|validator)\s*[(:=]|(?P<bare>plus|minus|ergodic)(?=\s+(?:[+-]\s?1|0)(?![\w.]))"
    r"|[⊕⊖○⊙◯]\s*[(:=]?|\((?=\s?[+-]?\s?[0-9](?:\)|[\s,;:]+[^\W\d])))\s*(?P<number>[+-]?\s?[0-9][^()]*)(?:\)(?P<behind>.*))?\Z"
)
_ANOTHER = pattern(
    r"(?i:\s*(?:[,/|;&→]|->|or\b|and\b|to\b)\s*(?:plus|minus|ergodic)\b"
    r"|.*(?:\b(?:plus|minus|ergodic)\s?[(:=]?\s?[+-]?\s?[01]\b|\(\s?[+-]?\s?[01]\b))"
)
"""Behind a trit in brackets: another one."""
_CALCULATED = pattern(r"\s*(?:[+/^×]|[*-]\s?[0-9(]|\.\.|mod\b)")


MAX_SHOWN = 60
"""Characters of a value that a message quotes."""


class NotATrit(ValueError):
    """The text or value does not say one trit; the message says why."""


def read_trit(value: object) -> int:
    """The trit of a value from YAML or of a piece of text.

    Accepts -1, 0, 1 as integers and text such as `-1`, `+1`, `−1`, `0 (ERGODIC)`, `+1, generator`, `PLUS`, `PLUS +1`, `PLUS (+1) - makes`,
    `(+1)`, `○`, `⊖`, and residues only when they say so (`-2 mod 3`). Raises `NotATrit` for a boolean, a float, `±1`, `2`, or a number
    whose label says otherwise (`0 (PLUS)`).
    """
    if isinstance(value, bool) or value is None:
        raise NotATrit(f"{_shown(value)} is not a trit; write -1, 0 or +1")
    if isinstance(value, int):
        return _in_range(value)
    if not isinstance(value, str):
        raise NotATrit(f"{_shown(value)} is not a trit; write -1, 0 or +1")
    return _read_text(value)


@lru_cache(maxsize=1024)
def _read_text(value: str) -> int:
    text = value.strip().strip("\"'`*_ ").translate(_AS_ASCII)
    if text in SYMBOLS:
        return SYMBOLS[text]
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if named := _NAMED.match(text):
        # `PLUS (+1)`, `⊖ (-1)`: both must say the same.
        trit, behind = read_trit(named["number"]), named["behind"] or ""
        word = (named["word"] or named["bare"] or "").lower()
        said = _WORDS.get(word, trit) if word else SYMBOLS.get(text[0], trit)
        if said != trit:
            raise NotATrit(f"{_shown(value)}: the number says {trit}, the word says {said}")
        if named["bare"]:
            behind = _NUMBER.sub("", named["number"], count=1)
        if _SEVERAL.match(behind) or _ANOTHER.match(behind):
            raise NotATrit(f"{_shown(value)} says several; write one of -1, 0, +1")
        if _LONGER.match(behind) or _CALCULATED.match(behind):
            raise NotATrit(f"{_shown(value)} is not a trit; write -1, 0 or +1")
        return trit
    residue = _RESIDUE.match(text)
    if residue:
        return balanced_residue(integer(residue.group(1)))
    number = _NUMBER.match(text)
    if not number:
        raise NotATrit(f"{_shown(value)} is not a trit; write -1, 0 or +1")
    rest = text[number.end() :]
    if _SEVERAL.match(rest):
        raise NotATrit(f"{_shown(value)} says several; write one of -1, 0, +1")
    if _LONGER.match(rest):
        raise NotATrit(f"{_shown(value)} is not a trit; write -1, 0 or +1")
    trit = _in_range(integer(number.group(1)))
    if any(int(other) != trit for other in _LEGEND.findall(rest)):
        raise NotATrit(f"{_shown(value)} says several; write one of -1, 0, +1")
    label = _LABEL.match(rest)
    word = (label.group(1) or "").lower() if label else ""
    if word in _WORDS and _WORDS[word] != trit:
        raise NotATrit(f"{_shown(value)}: the number says {trit}, the word says {_WORDS[word]}")
    return trit


def integer(text: str) -> int:
    """The number of a text such as `−1`, `+ 3`, whatever space is behind the sign."""
    return int("".join(text.translate(_AS_ASCII).split()))


def _shown(value: object) -> str:
    """A value as a message quotes it: what is no trit may be a whole paragraph."""
    text = value if isinstance(value, str) else repr(value)
    text = text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]} ..."
    return f"'{text}'" if isinstance(value, str) else text


def _in_range(number: int) -> int:
    if number not in (-1, 0, 1):
        raise NotATrit(f"{_shown(number)} is not a trit; write -1, 0 or +1")
    return number
