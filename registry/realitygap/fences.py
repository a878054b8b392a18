"""Fenced code in Markdown: the one rule by which a line opens or closes it."""

from __future__ import annotations

import re

FENCE = re.compile(r"[ \t>]*(?P<fence>`{3,}(?!.*`)|~{3,})(?P<info>.*)")
"""A line that may open or close a fence, also in a quotation. No backtick stands behind those that open: "```a``` is" is text."""


def fence_after(line: str, fence: str = "") -> str:
    """The fence that is open after a line, empty where none is, if `fence` was open before it."""
    # Nearly every line.
    if "```" not in line and "~~~" not in line:
        return fence
    match = FENCE.match(line)
    if match is None:
        return fence
    if not fence:
        return match["fence"]
    return "" if match["fence"].startswith(fence) and not match["info"].strip() else fence
