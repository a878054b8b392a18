"""Which findings count: `--select`, `--ignore` and what the configuration ignores by file."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from realitygap.findings import Finding
from realitygap.rules import RuleBook


@dataclass(frozen=True, kw_only=True)
class RuleSelection:
    """Codes and prefixes of rules. The longer one decides: `select=("TRI205",), ignore=("TRI",)` leaves TRI205; of equals ignore wins."""

    select: tuple[str, ...] = ()
    """Only these count; empty or `ALL` is every rule."""
    ignore: tuple[str, ...] = ()
    """These do not count."""
    per_file: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Pattern of paths and what does not count there. `*` stands for any characters, `/` included."""
    folder: Path = Path()
    """The patterns are relative to it."""

    def require(self, book: RuleBook) -> None:
        """Raises `InputError` for a code or prefix that no rule has."""
        for option, selectors in (("--select", self.select), ("--ignore", self.ignore)):
            for one in selectors:
                book.require(one, option)
        for pattern, selectors in self.per_file:
            for one in selectors:
                book.require(one, f"per-file-ignores, '{pattern}'")

    def admits(self, finding: Finding) -> bool:
        """Whether a finding counts."""
        selected = _specificity(finding.rule, self.select or ("ALL",))
        ignored = _specificity(finding.rule, self.ignore)
        if selected <= ignored:
            return False
        if self.per_file and finding.path:
            path = Path(os.path.relpath(finding.path, self.folder)).as_posix()
            for pattern, selectors in self.per_file:
                if fnmatchcase(path, pattern) and _specificity(finding.rule, selectors) >= 0:
                    return False
        return True


def codes(texts: Iterable[str]) -> tuple[str, ...]:
    """The codes of an option that takes several, with commas or repeated."""
    return tuple(one.strip() for text in texts for one in text.split(",") if one.strip())


def _specificity(rule: str, selectors: Iterable[str]) -> int:
    """Length of the longest selector that covers the rule, 0 for `ALL`, -1 where none does."""
    return max((0 if one == "ALL" else len(one) for one in selectors if one == "ALL" or rule.startswith(one)), default=-1)
