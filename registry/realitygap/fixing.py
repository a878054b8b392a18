"""`skills check --fix`: what would change, as a unified diff, and how it is written."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from realitygap.document import shown_path
from realitygap.errors import InputError, one_line
from realitygap.guide_files import GUIDES
from realitygap.guide_fix import Fixed, fix_guide
from realitygap.manifest_fix import fix_manifest
from realitygap.nodes import MAX_BYTES

FIXES: dict[str, Callable[[str], Fixed]] = {**dict.fromkeys(GUIDES, fix_guide), "skill.yaml": fix_manifest}
"""File name to what mends it."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """A file as it is and as it would be."""

    path: Path
    before: str
    after: str
    done: tuple[str, ...]
    """What is mended; empty where nothing is."""
    left: tuple[tuple[int, str], ...]
    """Line and why something there is left alone."""

    @property
    def shown(self) -> str:
        return shown_path(self.path)


def propose(files: Iterable[Path]) -> list[Change]:
    """What would change in these files; those in which there is nothing to say are left out. Nothing is written."""
    changes = []
    for path in files:
        fix = FIXES.get(path.name)
        if fix is None:
            continue
        text, why = _read(path)
        fixed = fix(text) if text is not None else Fixed(text="", left=[(1, why)])
        if fixed.done or fixed.left:
            changes.append(Change(path=path, before=text or "", after=fixed.text, done=tuple(fixed.done), left=tuple(fixed.left)))
    return changes


def unified_diff(change: Change) -> Iterator[str]:
    """Lines that `patch -p1` and `git apply` take, without line ends."""
    import difflib

    before, after = _lines(change.before), _lines(change.after)
    # Edits are at the beginning, and the text of a guide may be long: of what stays the same at the end three lines are context enough.
    same = 0
    while same < min(len(before), len(after)) and before[-1 - same] == after[-1 - same]:
        same += 1
    cut = max(0, same - 3)
    before, after = before[: len(before) - cut], after[: len(after) - cut]
    name = one_line(change.shown)
    for line in difflib.unified_diff(before, after, f"a/{name}", f"b/{name}"):
        yield line.removesuffix("\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def _lines(text: str) -> list[str]:
    """Lines with their ends; those of YAML's other line breaks stay inside."""
    *lines, last = text.split("\n")
    return [line + "\n" for line in lines] + ([last] if last else [])


def write(change: Change) -> None:
    """Puts the mended file in the place of the old one, in one step, with its permissions.

    Raises:
        InputError: it cannot be written, or it has changed since it was read; then it is as it was.
    """
    temporary = change.path.with_name(f".{change.path.name}.{os.getpid()}.tmp")
    try:
        mode = stat.S_IMODE(os.lstat(change.path).st_mode)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(change.after.encode("utf-8"))
                file.flush()
                os.fchmod(file.fileno(), mode)
                os.fsync(file.fileno())
            if _read(change.path)[0] != change.before:
                raise InputError("has changed since it was read", where=change.shown, hint="run it again")
            os.replace(temporary, change.path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", where=change.shown) from None


def _read(path: Path) -> tuple[str | None, str]:
    """The text of a file, or None and why it is left alone."""
    try:
        status = os.lstat(path)
        if stat.S_ISLNK(status.st_mode):
            return None, "a link: what it leads to is not this folder's"
        if not stat.S_ISREG(status.st_mode):
            return None, "no plain file"
        if status.st_size > MAX_BYTES:
            return None, f"larger than {MAX_BYTES // 1024**2} MiB"
        return path.read_bytes().decode("utf-8"), ""
    except UnicodeDecodeError:
        return None, "not UTF-8"
    except OSError as error:
        return None, f"cannot be read: {error.strerror}"
