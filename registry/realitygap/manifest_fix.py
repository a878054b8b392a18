"""Mends a skill.yaml: there the trit is a number, so one in quotes loses them. Everything else stays as it is."""

from __future__ import annotations

from realitygap.guide_fix import Fixed
from realitygap.nodes import Malformed
from realitygap.yaml_reader import read_yaml

_TRITS = {"-1": -1, "0": 0, "1": 1, "+1": 1}


def fix_manifest(text: str) -> Fixed:
    """The manifest, mended as far as that is safe. Raises nothing."""
    fixed = Fixed(text=text)
    mark, plain = ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
    try:
        root = read_yaml(plain)
        data = root.data() if root and root.kind == "mapping" else {}
    except Malformed as error:
        fixed.left.append((error.span.line, error.message))
        return fixed
    found = root.child("trit") if root and data else None
    if found is None or not isinstance(found[0].value, str) or found[0].value not in _TRITS:
        return fixed
    trit, span = _TRITS[found[0].value], found[0].span
    lines = plain.split("\n")
    line = lines[span.line - 1]
    first, last = span.column - 1, span.column - 1 + span.width
    if line[first:last] not in (f'"{found[0].value}"', f"'{found[0].value}'"):
        fixed.left.append((span.line, "the trit has a tag or an anchor"))
        return fixed
    lines[span.line - 1] = line[:first] + str(trit) + line[last:]
    new = "\n".join(lines)
    try:
        after = read_yaml(new)
    except Malformed:
        after = None
    if after is None or after.data() != {**data, "trit": trit}:
        fixed.left.append((span.line, "an edit would change what it says"))
        return fixed
    fixed.text = mark + new
    fixed.done.append("writes the trit as a number")
    return fixed
