"""What the core says when the user's model, log or document is wrong."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_LISTED = 12
"""Names that a hint lists."""


class CoreError(ValueError):
    """Something in the user's input is wrong: what, where, and what to do about it."""

    def __init__(self, message: str, *, where: str | None = None, pointer: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        """One line: what is wrong."""
        self.where = where
        """File, log, row, channel: whatever names the place."""
        self.pointer = pointer
        """JSON pointer (RFC 6901) into the document that the caller passed, which the registry turns into file:line:column."""
        self.hint = hint
        """One line: what to do."""


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` was probably meant to be, or None."""
    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return close[0] if close else None


def unknown(kind: str, name: str, names: Iterable[str], *, where: str | None = None, pointer: str | None = None) -> CoreError:
    """The error for a name that does not exist: `no joint 'hip_l' in ...; did you mean 'left_hip'?`."""
    known = sorted(names)
    close = nearest(name, known)
    shown = ", ".join(known[:_LISTED]) + (f" and {len(known) - _LISTED} more" if len(known) > _LISTED else "")
    hint = f"did you mean '{close}'?" if close else f"there are: {shown or 'none'}"
    return CoreError(f"no {kind} '{name}'", where=where, pointer=pointer, hint=hint)
