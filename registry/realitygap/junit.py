"""Findings as JUnit XML, which most CI systems show beside the tests.

A finding that counts is a failed test, one that does not a passed test with its text, and a file without findings a passed test.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from realitygap.errors import one_line
from realitygap.findings import Finding

if TYPE_CHECKING:
    from realitygap.formats import Outcome

_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;"}


def junit(outcome: Outcome) -> str:
    """One suite."""
    cases = [_case(finding, counts=outcome.counts(finding)) for finding in outcome.findings]
    faulty = {finding.path for finding in outcome.findings}
    cases += [
        f'    <testcase classname="skills check" name="{_text(path)}" file="{_text(path)}"/>'
        for path in outcome.files
        if path not in faulty
    ]
    failures = sum(map(outcome.counts, outcome.findings))
    numbers = f'tests="{len(cases)}" failures="{failures}" errors="0" skipped="0"'
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<testsuites name="skills check" {numbers}>',
        f'  <testsuite name="skills check" {numbers}>',
    ]
    return "\n".join([*lines, *cases, "  </testsuite>", "</testsuites>"])


def _case(finding: Finding, *, counts: bool) -> str:
    place = _text(finding.where if finding.path else "installation")
    file = f' file="{_text(finding.path)}" line="{finding.line}"' if finding.path else ""
    said = f"{finding.where}: " if finding.path else ""
    said = _text(f"{said}{finding.severity} {finding.rule}: {finding.message}") + (f"\nhint: {_text(finding.hint)}" if finding.hint else "")
    if counts:
        inside = f'<failure type="{_text(finding.rule)}" message="{_text(finding.message)}">{said}</failure>'
    else:
        inside = f"<system-out>{said}</system-out>"
    return f'    <testcase classname="{_text(finding.rule)}" name="{place}"{file}>{inside}</testcase>'


def _text(text: str) -> str:
    """What XML 1.0 does not allow, or what is invisible, escaped; then what it gives a meaning."""
    return "".join(_ENTITIES.get(character, character) for character in one_line(text))
