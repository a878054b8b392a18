"""The summary of a job on GitHub: a table on its page, beside the annotations, of which only ten of a kind are shown."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from realitygap.errors import InputError, one_line
from realitygap.findings import Finding, total
from realitygap.repository import from_root

if TYPE_CHECKING:
    from realitygap.formats import Outcome

MOST_ROWS = 200
"""Rows of the table. A step's summary may have one MiB."""
MOST_CHARACTERS = 500
"""Of one cell."""


def append_summary(outcome: Outcome) -> None:
    """Appends to the file that `GITHUB_STEP_SUMMARY` names, if it names one. Raises `InputError` where it cannot be written."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with open(path, "a", encoding="utf-8") as file:
            file.write(summary(outcome))
    except OSError as error:
        raise InputError(f"the summary cannot be written: {error.strerror}", where=path, hint="unset GITHUB_STEP_SUMMARY") from None


def summary(outcome: Outcome) -> str:
    """Markdown: the total, how often each rule is broken, and the findings."""
    lines = [f"### skills check: {'failed' if outcome.failed else 'passed'}", "", _cell(total(outcome.summary)), ""]
    if not outcome.findings:
        return "\n".join(lines) + "\n"
    book = outcome.rules()
    lines += ["| rule | count | says |", "|---|---:|---|"]
    numbers: dict[str, int] = {}
    for finding in outcome.findings:
        numbers[finding.rule] = numbers.get(finding.rule, 0) + 1
    for code, number in sorted(numbers.items(), key=lambda one: (-one[1], one[0])):
        rule = book.find(code)
        lines.append(f"| {_cell(code)} | {number} | {_cell(rule.says) if rule else ''} |")
    lines += ["", "| | place | rule | what | what to do |", "|---|---|---|---|---|"]
    # Errors first: what does not fit is the less important.
    shown = sorted(outcome.findings, key=lambda one: one.severity != "error")
    lines += [_row(finding) for finding in shown[:MOST_ROWS]]
    if len(shown) > MOST_ROWS:
        lines += ["", f"and {len(shown) - MOST_ROWS} more: `skills check --format concise` lists them all"]
    return "\n".join(lines) + "\n\n"


def _row(finding: Finding) -> str:
    place = f"{from_root(finding.path)}:{finding.line}" if finding.path else ""
    return f"| {finding.severity} | {_cell(place)} | {_cell(finding.rule)} | {_cell(finding.message)} | {_cell(finding.hint or '')} |"


def _cell(text: str) -> str:
    """A text that Markdown and HTML leave as it is."""
    text = one_line(text)
    text = text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"
    return re.sub(r"[\\`*_{}\[\]<>()#!|~&@$]", lambda match: f"&#{ord(match[0])};", text)
