"""How much of an answer a text takes. Answers are counted as they go over the wire, and by the tokens that a model reads."""

from __future__ import annotations

import json
from typing import Any

_OTHER_LETTER = 3
"""Characters of English that a letter beyond ASCII counts for: many are a token each."""


def cost(value: Any) -> int:
    """Characters that a value takes as JSON: a control character takes six, a letter beyond ASCII counts for three."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return len(text) if text.isascii() else len(text) + (_OTHER_LETTER - 1) * (len(text) - len(text.encode("ascii", "ignore")))


def beginning(text: str, limit: int) -> str:
    """As much of a text as costs at most `limit`, one letter at the least."""
    low, high = 1, min(len(text), limit)
    if cost(text[:high]) <= limit:
        return text[:high]
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if cost(text[:middle]) <= limit else (low, middle - 1)
    return text[:low]


def clipped(text: str, limit: int) -> str:
    """A text that costs at most about `limit`; the end of a longer one is left out, and a mark says so."""
    kept = beginning(text, limit)
    return text if len(kept) == len(text) else kept[:-1] + "…"
