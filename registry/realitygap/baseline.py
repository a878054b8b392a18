"""Known findings of a legacy collection, kept in a file, so that only new ones count.

An entry is a rule, a file, a fingerprint of the place, and how often it occurs. The fingerprint is of what stands there and what is said of
it, not of line numbers nor of the paths of other files: lines may move, and a second fault of the same kind in a copied line is new.

    {"version": 1, "findings": [
      {"rule": "RG302", "path": "skills/look/SKILL.md", "fingerprint": "1f0c...", "count": 1, "message": "key 'version' is not ..."}
    ]}
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realitygap.document import shown_path
from realitygap.errors import InputError
from realitygap.findings import Finding
from realitygap.sources import source_line

VERSION = 1
Key = tuple[str, str, str]
"""Rule, path relative to the folder of the baseline, fingerprint."""


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Findings held against a baseline."""

    new: tuple[Finding, ...]
    """Those that it does not know."""
    known: int
    """How many it knows."""
    gone: int
    """How many of its findings were not found any more, in what was checked."""


def fingerprint(finding: Finding) -> str:
    """16 hexadecimal digits of what stands at the place and what is said of it; white space and line numbers do not count."""
    line = source_line(finding.path, finding.line)
    marked = line[finding.column - 1 : finding.column - 1 + finding.width]
    message = finding.message
    for place in sorted(finding.places, key=len, reverse=True):
        message = message.replace(place, "#")
    # A place or a length in a message changes with the lines around it: numbers of one digit are trits, and stay.
    message = re.sub(r"(?<=:)\d+|\bline \d+|\d{2,}", "#", message)
    text = "\0".join((finding.rule, " ".join(line.split()), " ".join(marked.split()), message))
    return _digest(text)


def read(path: Path) -> Counter[Key]:
    """The findings that a baseline knows, and how often.

    Raises:
        InputError: there is no such file, or it is no baseline.
    """
    try:
        data: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError("there is no such baseline", where=shown_path(path), hint="`--write-baseline` writes it") from None
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where=shown_path(path)) from None
    except (ValueError, RecursionError):
        raise _damaged(path) from None
    if isinstance(data, dict) and isinstance(data.get("version"), int) and data["version"] > VERSION:
        raise InputError("written by a newer realitygap", where=shown_path(path), hint="pip install -U realitygap")
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("findings"), list):
        raise _damaged(path)
    known: Counter[Key] = Counter()
    for entry in data["findings"]:
        if not isinstance(entry, dict):
            raise _damaged(path)
        key = tuple(entry.get(name) for name in ("rule", "path", "fingerprint"))
        number = entry.get("count", 1)
        if not all(isinstance(part, str) for part in key) or not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise _damaged(path)
        known[key] += number  # type: ignore[index]
    return known


def compare(findings: Sequence[Finding], path: Path, scope: Sequence[Path]) -> Compared:
    """What a baseline knows of these findings.

    Args:
        path: the baseline.
        scope: what was checked; empty is everything. An entry elsewhere is not gone.

    Raises:
        InputError: as `read`.
    """
    left = read(path)
    folder = _folder(path)
    new = []
    for finding in findings:
        key = _key(finding, folder)
        if left[key] > 0:
            left[key] -= 1
        else:
            new.append(finding)
    gone = sum(number for key, number in left.items() if number > 0 and _within(folder, key, scope))
    return Compared(new=tuple(new), known=len(findings) - len(new), gone=gone)


def write(findings: Iterable[Finding], path: Path, scope: Sequence[Path]) -> int:
    """Writes the baseline, whole or not at all; how many findings it knows now. Entries outside of `scope` stay as they are.

    Raises:
        InputError: it cannot be written, or what lies there is no baseline.
    """
    from realitygap.workspace import write_text

    folder = _folder(path)
    messages: dict[Key, str] = {}
    known: Counter[Key] = Counter()
    if path.exists():
        old = read(path)
        known.update({key: number for key, number in old.items() if not _within(folder, key, scope)})
        messages = _messages(path)
    found: Counter[Key] = Counter()
    for finding in findings:
        key = _key(finding, folder)
        found[key] += 1
        messages[key] = finding.message
    # What is found outside of the scope, such as a plugin that fails, may be known already: the larger number of each, not the sum.
    known |= found
    rows = [
        {"rule": key[0], "path": key[1], "fingerprint": key[2], "count": number, "message": messages.get(key, "")}
        for key, number in sorted(known.items(), key=lambda one: (one[0][1], one[0][0], one[0][2]))
    ]
    # One line a finding: a difference shows which, and two branches merge.
    listed = ",\n".join(f"  {json.dumps(row)}" for row in rows)
    try:
        write_text(
            path, f'{{"version": {VERSION}, "findings": [\n{listed}\n]}}\n' if rows else f'{{"version": {VERSION}, "findings": []}}\n'
        )
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=shown_path(path)) from None
    return sum(known.values())


def _messages(path: Path) -> dict[Key, str]:
    """The messages that stand in a baseline, which are there for its readers only."""
    rows = json.loads(path.read_bytes())["findings"]
    return {(row["rule"], row["path"], row["fingerprint"]): str(row.get("message", "")) for row in rows}


def _key(finding: Finding, folder: Path) -> Key:
    path = Path(os.path.relpath(finding.path, folder)).as_posix() if finding.path else ""
    # A name of a file need not be UTF-8, but JSON is.
    return finding.rule, path.encode("utf-8", "backslashreplace").decode("utf-8"), fingerprint(finding)


def _folder(path: Path) -> Path:
    return Path(os.path.abspath(path)).parent


def _within(folder: Path, key: Key, scope: Sequence[Path]) -> bool:
    if not scope or not key[1]:
        return not scope
    file = os.path.normpath(folder / key[1])
    return any(file == root or file.startswith(os.path.join(root, "")) for root in map(os.path.abspath, scope))


def _damaged(path: Path) -> InputError:
    return InputError("is no baseline of findings", where=shown_path(path), hint="move it away, and `--write-baseline` writes a new one")


def _digest(text: str) -> str:
    from hashlib import sha256

    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
