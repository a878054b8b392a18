"""The forms in which `skills check` says what it found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from realitygap.findings import Finding, as_json, concise, full, github
from realitygap.rules import RuleBook


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """All that is to be said."""

    findings: tuple[Finding, ...]
    """Ordered, each with what to do."""
    summary: dict[str, int]
    files: tuple[str, ...]
    """What was checked, as findings name it."""
    rules: Callable[[], RuleBook]
    """The rules, read when a form explains them."""
    strict: bool
    """Whether warnings count as errors."""

    def counts(self, finding: Finding) -> bool:
        """Whether a finding makes the check fail."""
        return finding.severity == "error" or self.strict

    @property
    def failed(self) -> bool:
        return any(map(self.counts, self.findings))


def _sarif(outcome: Outcome) -> str:
    from realitygap.sarif import sarif

    return sarif(outcome)


def _junit(outcome: Outcome) -> str:
    from realitygap.junit import junit

    return junit(outcome)


FORMATS: dict[str, Callable[[Outcome], str]] = {
    "full": lambda one: full(one.findings, one.summary),
    "concise": lambda one: concise(one.findings, one.summary),
    "json": lambda one: as_json(one.findings, one.summary),
    "github": lambda one: github(one.findings, one.summary),
    "sarif": _sarif,
    "junit": _junit,
}
