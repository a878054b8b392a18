"""What a user is told when something is wrong: what, where, and what to do. Never a traceback."""

from __future__ import annotations

from collections.abc import Iterable


class Explained(Exception):
    """An anticipated failure with a message for the user."""

    exit_code = 3

    def __init__(self, message: str, *, where: str | None = None, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        """One line: what is wrong."""
        self.where = where
        """`file:line:column`, or log, row and channel: whatever names the place."""
        self.hint = hint
        """One line: what to do."""

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        return f"{text}\n  hint: {self.hint}" if self.hint else text

    def to_json(self) -> dict[str, str | None]:
        return {"message": self.message, "where": self.where, "hint": self.hint}


class InputError(Explained):
    """What the user gave is wrong: a value, a file, a name. Exit code 2."""

    exit_code = 2


class RunFailed(Explained):
    """A run began and did not end well. Exit code 3."""

    exit_code = 3


class Cancelled(Exception):
    """The run was asked to stop; a skill lets this pass."""


def one_line(text: str) -> str:
    """A text as a terminal may show it: line breaks, control and invisible characters escaped."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() or character in "\xa0\u202f" else repr(character)[1:-1] for character in text)


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that `name` was probably meant to be, or None."""
    # Only what goes wrong needs it, and importing it takes as long as reading the index.
    import difflib

    close = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return close[0] if close else None


def unknown(kind: str, name: str, names: Iterable[str], *, where: str | None = None) -> InputError:
    """The error for a name that does not exist, with the nearest one that does."""
    known = sorted(names)
    close = nearest(name, known)
    listed = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
    hint = f"did you mean '{close}'?" if close else f"there are: {listed or 'none'}"
    return InputError(f"unknown {kind} '{name}'", where=where, hint=hint)
