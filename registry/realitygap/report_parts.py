"""The parts of the report: numbers, tables, curves, figures. Every function gives HTML in which all that came from outside is escaped."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from realitygap.inputs import Schema, properties_of

_MAX_ROWS = 40
_MAX_COLUMNS = 9
_MAX_POINTS = 400
_LARGEST_SVG = 1_500_000


def number(value: Any) -> str:
    """A value in few characters: four significant digits of a float, more where it is large enough to be a whole number."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        if abs(value) >= 1e9 or (value != int(value) and abs(value) < 9999.5):
            return f"{value:.4g}"
        value = round(value)
    if isinstance(value, int):
        return f"{value:,}".replace(",", " ") if abs(value) >= 10000 else str(value)
    return str(value)


def duration(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def trit_badge(trit: int) -> str:
    kind = {1: "plus", -1: "minus"}.get(trit, "")
    return f'<span class="pill {kind}" title="trit">{f"{trit:+d}" if trit else "0"}</span>'


def outputs(values: Mapping[str, Any], schema: Schema) -> str:
    """Key numbers as tiles, objects and lists of numbers as tables; long texts and paths are left out."""
    properties = properties_of(schema)
    tiles, tables = [], []
    for name, value in values.items():
        if name == "summary":
            continue
        part = properties.get(name, {})
        if isinstance(value, (bool, int, float)):
            tiles.append(_tile(name, number(value), part))
        elif isinstance(value, str) and "format" not in part and len(value) <= 24:
            tiles.append(_tile(name, value, part))
        elif isinstance(value, list) and 0 < len(value) <= 3 and all(_is_number(one) for one in value):
            tiles.append(_tile(name, " to ".join(number(one) for one in value) if len(value) == 2 else ", ".join(map(number, value)), part))
        elif isinstance(value, (dict, list)) and value and (body := _table(value)):
            unit = f" [{escape(str(part['x-unit']))}]" if "x-unit" in part else ""
            tables.append(f"<h3>{escape(_label(name))}{unit}</h3>{body}")
    return (f'<div class="numbers">{"".join(tiles)}</div>' if tiles else "") + "".join(tables)


def curves(path: Path) -> str:
    """The curves of a metrics file, as small charts."""
    series: dict[str, list[tuple[float, float]]] = {}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        try:
            row = json.loads(line)
            if row["value"] is not None:
                series.setdefault(str(row["name"]), []).append((float(row["step"]), float(row["value"])))
        except (ValueError, KeyError, TypeError):
            continue
    charts = [_curve(name, sorted(points)) for name, points in series.items() if len(points) > 1]
    return f'<h3>Curves</h3><div class="curves">{"".join(charts)}</div>' if charts else ""


def figure(artifacts: Path, name: str) -> str:
    """A figure, inside the page: as SVG, or as PNG when that is too large; a GIF moves."""
    path = artifacts / name
    smaller = path.with_suffix(".png")
    if (not path.is_file() or path.stat().st_size > _LARGEST_SVG) and smaller.is_file():
        path = smaller
    if not path.is_file():
        return ""
    kind = {".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif"}.get(path.suffix)
    if kind is None:
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    title = escape(_label(Path(name).stem))
    # As an image an SVG runs no script and loads nothing.
    return f'<figure><img alt="{title}" src="data:{kind};base64,{data}"><figcaption>{title}</figcaption></figure>'


def note(kind: str, message: str, *more: str | None) -> str:
    details = "".join(f"<small>{escape(text)}</small>" for text in more if text)
    return f'<div class="note {kind}">{escape(message)}{details}</div>'


def facts(pairs: Sequence[tuple[str, str]]) -> str:
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in pairs if value)
        + "</dl>"
    )


def _tile(name: str, text: str, schema: Schema) -> str:
    unit = f" <small>{escape(str(schema['x-unit']))}</small>" if "x-unit" in schema else ""
    title = f' title="{escape(str(schema["description"]))}"' if "description" in schema else ""
    return f'<div class="number"{title}><b>{escape(text)}{unit}</b><span>{escape(_label(name))}</span></div>'


def _table(value: Mapping[str, Any] | Sequence[Any]) -> str:
    if isinstance(value, Mapping):
        rows = list(value.items())
        if all(isinstance(row, Mapping) for _, row in rows):
            return _grid([("", "")], [(key, row) for key, row in rows])
        if all(row is None or isinstance(row, (str, int, float)) for _, row in rows):
            return _grid([("", "")], [(key, {"": row}) for key, row in rows])
        return ""
    if all(isinstance(row, Mapping) for row in value):
        return _grid([], [("", row) for row in value])
    if all(row is None or isinstance(row, (str, int, float)) for row in value) and len(value) <= _MAX_ROWS:
        return _grid([], [("", {"": row}) for row in value])
    return ""


def _grid(first: list[tuple[str, str]], rows: list[tuple[str, Mapping[str, Any]]]) -> str:
    """A table with a column for each key that holds a scalar in some row."""
    found: dict[str, None] = {}
    for _, row in rows:
        found |= {key: None for key, cell in row.items() if key not in found and _cell(cell) is not None}
    columns = list(found)[:_MAX_COLUMNS]
    if not columns:
        return ""
    numeric = {key: all(row.get(key) is None or _is_number(row[key]) or _is_range(row[key]) for _, row in rows) for key in columns}
    head = ("<th></th>" if first else "") + "".join(
        f"<th{' class=n' if numeric[key] else ''}>{escape(_label(key))}</th>" for key in columns
    )
    body = []
    for name, row in rows[:_MAX_ROWS]:
        cells = f"<td>{_wrapping(str(name))}</td>" if first else ""
        cells += "".join(f"<td class={'n' if numeric[key] else 't'}>{_wrapping(_cell(row.get(key)) or '')}</td>" for key in columns)
        body.append(f"<tr>{cells}</tr>")
    header = f"<thead><tr>{head}</tr></thead>" if any(columns) else ""
    more = f"<p class=meta>and {len(rows) - _MAX_ROWS} more</p>" if len(rows) > _MAX_ROWS else ""
    return f'<div class="scroll"><table>{header}<tbody>{"".join(body)}</tbody></table></div>{more}'


def _wrapping(text: str) -> str:
    """Text that may break after the underscores of its names too."""
    return escape(text).replace("_", "_<wbr>")


def _cell(value: Any) -> str | None:
    if value is None or isinstance(value, (bool, int, float)):
        return number(value)
    if isinstance(value, str):
        return value if len(value) <= 300 else value[:297] + "..."
    if isinstance(value, list) and len(value) <= 6 and all(one is None or isinstance(one, (str, int, float)) for one in value):
        return ", ".join(number(one) for one in value)
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_number(one) for one in value)


def _label(name: str) -> str:
    return name.replace("_", " ")


def _curve(name: str, points: list[tuple[float, float]]) -> str:
    stride = max(1, math.ceil(len(points) / _MAX_POINTS))
    kept = points[::stride]
    if kept[-1] != points[-1]:
        kept.append(points[-1])
    width, height, left, bottom = 300.0, 120.0, 6.0, 16.0
    x_low, x_high = points[0][0], points[-1][0]
    y_low, y_high = min(y for _, y in points), max(y for _, y in points)
    x_span, y_span = (x_high - x_low) or 1.0, (y_high - y_low) or 1.0
    place = [
        f"{left + (width - 2 * left) * (x - x_low) / x_span:.1f},{height - bottom - (height - bottom - 14) * (y - y_low) / y_span:.1f}"
        for x, y in kept
    ]
    return (
        f'<div class="curve"><div class="name"><span>{escape(_label(name))}</span><b>{number(points[-1][1])}</b></div>'
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="{escape(name)} over steps">'
        f'<line x1="{left}" x2="{width - left}" y1="{height - bottom}" y2="{height - bottom}"/>'
        f'<line x1="{left}" x2="{width - left}" y1="14" y2="14"/>'
        f'<polyline points="{" ".join(place)}"/>'
        f'<text x="{left}" y="10">{number(y_high)}</text><text x="{left}" y="{height - bottom - 3}">{number(y_low)}</text>'
        f'<text x="{left}" y="{height - 3}">{number(x_low)}</text>'
        f'<text x="{width - left}" y="{height - 3}" text-anchor="end">{number(x_high)}</text>'
        "</svg></div>"
    )
