"""What a check found, and the forms in which it is shown."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
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
        values = asdict(self)
        return {key: values[key] for key in ("rule", "severity", "path", "line", "column", "message", "hint")}


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """By file, line, column, rule, each once."""
    return sorted(dict.fromkeys(findings), key=lambda one: (one.path, one.line, one.column, one.rule, one.message))


def count(findings: Iterable[Finding], **counts: int) -> dict[str, int]:
    """The summary: `errors`, `warnings` and whatever else was counted."""
    severities = [one.severity for one in findings]
    return {**counts, "errors": severities.count("error"), "warnings": severities.count("warning")}


def concise(findings: Sequence[Finding], summary: dict[str, int]) -> str:
    """One line a finding."""
    return "\n".join([*(_head(one) for one in findings), _total(summary)])


def full(findings: Sequence[Finding], summary: dict[str, int]) -> str:
    """With the line of the file, the place underlined, and the hint."""
    from realitygap.document import snippet
    from realitygap.nodes import Span

    texts: dict[str, str] = {}
    lines = []
    for one in findings:
        lines.append(_head(one))
        if one.path and one.path not in texts:
            texts[one.path] = _text(one.path)
        lines += snippet(texts.get(one.path, ""), Span(one.line, one.column, one.width))
        if one.hint:
            lines.append(f"  hint: {one_line(one.hint)}")
    return "\n".join([*lines, _total(summary)])


def as_json(findings: Sequence[Finding], summary: dict[str, int]) -> str:
    """One JSON document with `summary` and `findings`."""
    return json.dumps({"summary": summary, "findings": [one.to_json() for one in findings]}, indent=2, ensure_ascii=False)


def github(findings: Sequence[Finding], summary: dict[str, int]) -> str:
    """Workflow commands that become annotations. The total comes first: only ten annotations a step are shown."""
    lines = [_total(summary)]
    for one in findings:
        place = f"file={_property(one.path)},line={one.line},col={one.column},title={_property(one.rule)}"
        lines.append(f"::{one.severity} {place}::{_data(one.message + (f' ({one.hint})' if one.hint else ''))}")
    return "\n".join(lines)


FORMATS: dict[str, Callable[[Sequence[Finding], dict[str, int]], str]] = {
    "full": full,
    "concise": concise,
    "json": as_json,
    "github": github,
}


def _head(one: Finding) -> str:
    place = f"{one.where}: " if one.path else ""
    return one_line(f"{place}{one.severity} {one.rule}: {one.message}")


def _total(summary: dict[str, int]) -> str:
    counts = {name: number for name, number in summary.items() if number and name not in ("errors", "warnings")}
    checked = ", ".join(_number(number, name) for name, number in counts.items())
    found = ", ".join(_number(summary[name], name) for name in ("errors", "warnings") if summary[name]) or "no findings"
    return f"{checked}: {found}" if checked else found


def _number(number: int, plural: str) -> str:
    return f"{number} {plural[:-1] if number == 1 else plural}"


def _text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8", errors="replace").removeprefix("\ufeff")
    except OSError:
        return ""


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
