"""What a check found, and the forms in which it is shown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from realitygap.errors import one_line

if TYPE_CHECKING:
    from realitygap.document import Document

Severity = Literal["error", "warning"]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong at one place."""

    rule: str
    """Code such as `RG201`, or that of a plugin's rule such as `TRI201`."""
    message: str
    """One line: what is wrong."""
    path: str = ""
    """The file, relative to the working directory where it lies inside; empty where there is none."""
    line: int = 1
    column: int = 1
    severity: Severity = "error"
    hint: str | None = None
    """One line: what to do."""
    width: int = 1
    """Characters to underline."""
    places: tuple[str, ...] = ()
    """Places in other files, as the message names them. They change with those files and the working directory, and a baseline does not
    hold them."""

    @classmethod
    def at(
        cls,
        document: Document,
        pointer: str,
        rule: str,
        message: str,
        *,
        hint: str | None = None,
        severity: Severity = "error",
        key: bool = False,
    ) -> Finding:
        """A finding at a JSON pointer of a document; `key` places it on the key instead of the value."""
        span = document.span(pointer, key=key)
        return cls(
            rule=rule,
            message=message,
            path=document.shown,
            line=span.line,
            column=span.column,
            severity=severity,
            hint=hint,
            width=span.width,
        )

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}:{self.column}"

    def to_json(self) -> dict[str, Any]:
        return {key: getattr(self, key) for key in ("rule", "severity", "path", "line", "column", "message", "hint")}


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """By file, line, column, rule, each once."""
    return sorted(dict.fromkeys(findings), key=lambda one: (one.path, one.line, one.column, one.rule, one.message))


def count(findings: Iterable[Finding], **counts: int) -> dict[str, int]:
    """The summary: `errors`, `warnings` and whatever else was counted."""
    severities = [one.severity for one in findings]
    return {**counts, "errors": severities.count("error"), "warnings": severities.count("warning")}


def concise(findings: Sequence[Finding], summary: dict[str, int]) -> str:
    """One line a finding, with what to do in brackets."""
    return "\n".join([*(_head(one) + (f" ({one_line(one.hint)})" if one.hint else "") for one in findings), total(summary)])


def full(findings: Sequence[Finding], summary: dict[str, int]) -> str:
    """With the line of the file, the place underlined, and the hint."""
    from realitygap.document import underlined
    from realitygap.nodes import Span
    from realitygap.sources import source_line

    lines = []
    for one in findings:
        lines.append(_head(one))
        line = source_line(one.path, one.line)
        lines += underlined(line, Span(one.line, one.column, one.width)) if line else []
        if one.hint:
            lines.append(f"  hint: {one_line(one.hint)}")
    return "\n".join([*lines, total(summary)])


def as_json(findings: Sequence[Finding], summary: dict[str, int]) -> str:
    """One JSON document with `summary` and `findings`."""
    return json_text({"summary": summary, "findings": [one.to_json() for one in findings]})


def json_text(value: Any) -> str:
    """JSON in which every character that is invisible, drives a terminal or is half of a pair is escaped; the rest stays readable."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # Outside of texts there is nothing but ASCII.
    return "\n".join(line if line.isprintable() else _escaped(line) for line in text.split("\n"))


def _escaped(text: str) -> str:
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


def github(findings: Sequence[Finding], summary: dict[str, int]) -> str:
    """Workflow commands that become annotations. The total comes first: only ten annotations a step are shown."""
    from realitygap.repository import from_root

    lines = [total(summary)]
    for one in findings:
        title = f"title={_property(one.rule)}"
        place = f"file={_property(from_root(one.path))},line={one.line},col={one.column},{title}" if one.path else title
        lines.append(f"::{one.severity} {place}::{_data(one.message + (f' ({one.hint})' if one.hint else ''))}")
    return "\n".join(lines)


def _head(one: Finding) -> str:
    place = f"{one.where}: " if one.path else ""
    return one_line(f"{place}{one.severity} {one.rule}: {one.message}")


def total(summary: dict[str, int]) -> str:
    """One line: what was checked and what was found."""
    counts = {name: number for name, number in summary.items() if number and name not in ("errors", "warnings", "known", "gone")}
    checked = ", ".join(_number(number, name) for name, number in counts.items())
    found = ", ".join(_number(summary[name], name) for name in ("errors", "warnings") if summary[name]) or "no findings"
    known = f", and {summary['known']} known to the baseline" if summary.get("known") else ""
    gone = f"; {summary['gone']} of the baseline are gone: `--write-baseline` drops them" if summary.get("gone") else ""
    return (f"{checked}: {found}" if checked else found) + known + gone


def _number(number: int, plural: str) -> str:
    return f"{number} {plural[:-1] if number == 1 else plural}"


def _data(text: str) -> str:
    """As workflow commands have it; line breaks stay line breaks, what else is invisible is escaped."""
    text = "\n".join(one_line(line) for line in text.replace("\r\n", "\n").split("\n"))
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
