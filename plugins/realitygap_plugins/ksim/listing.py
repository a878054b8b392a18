"""Skill `list-components`; contract in skills/list-components/skill.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from realitygap.errors import InputError, nearest, unknown

if TYPE_CHECKING:
    from realitygap.components import Component
    from realitygap.context import RunContext


_LISTED = 60
"""Components of which the summary gives a line each."""
_TOLD = 5
"""Components of which it gives the parameters too."""


def list_components(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `list-components`."""
    catalog = run.catalog
    kinds = catalog.kinds()
    asked = inputs.get("kind")
    if asked is not None and asked not in kinds:
        raise unknown("kind of component", asked, kinds)
    word = str(inputs.get("search", "")).lower()
    rows = []
    for kind in [asked] if asked is not None else kinds:
        for name in catalog.names(kind):
            component = catalog.get(kind, name)
            if word in f"{kind} {name} {component.summary}".lower():
                rows.append(_row(component))
    if not rows:
        names = [name for kind in ([asked] if asked is not None else kinds) for name in catalog.names(kind)]
        close = nearest(word, names)
        raise InputError(
            f"no component matches '{word}'", hint=f"did you mean '{close}'?" if close else "search for less, or leave `search` out"
        )
    counts = {kind: sum(row["kind"] == kind for row in rows) for kind in dict.fromkeys(row["kind"] for row in rows)}
    for conflict in catalog.conflicts:
        run.warn(conflict.error().message)
    return {
        "components": rows,
        "kinds": counts,
        "summary": _summary(rows, counts),
    }


def _summary(rows: list[dict[str, Any]], counts: Mapping[str, int]) -> str:
    head = f"{len(rows)} component{'s' if len(rows) > 1 else ''}: " + ", ".join(f"{count} {kind}" for kind, count in counts.items())
    if len(rows) > _LISTED:
        return f"{head}\ngive `kind` or `search` to see them here; the report and --json have all"
    names = [f"{row['kind']} {row['name']}" if len(counts) > 1 else row["name"] for row in rows]
    width = max(map(len, names))
    lines = [head]
    for name, row in zip(names, rows, strict=True):
        lines.append(f"{name:<{width}}  {row['summary']}")
        if len(rows) <= _TOLD:
            lines += [f"  {key}: {told}" for key, told in row["parameters"].items()]
    return "\n".join(lines)


def _row(component: Component) -> dict[str, Any]:
    return {
        "kind": component.kind,
        "name": component.name,
        "summary": component.summary,
        "parameters": {name: _told(schema) for name, schema in component.parameters.items()},
        "needs": list(component.extras),
        "available": find_spec(component.factory.partition(":")[0].partition(".")[0]) is not None,
        "plugin": component.plugin,
        "distribution": component.distribution,
    }


def _told(schema: Mapping[str, Any]) -> str:
    """One line a parameter: type, whether it must be given, what it means."""
    kind = schema.get("type") or ("one of " + ", ".join(map(str, schema["enum"])) if "enum" in schema else "any")
    kind = " or ".join(kind) if isinstance(kind, list) else str(kind)
    if kind == "array":
        many = f" {schema['minItems']}" if schema.get("minItems") == schema.get("maxItems") is not None else ""
        kind = f"list of{many} {schema.get('items', {}).get('type', 'any')}s"
    default = f"default {schema['default']!r}" if "default" in schema else "optional" if schema.get("x-optional") else "required"
    about = str(schema.get("description", ""))
    return f"{kind}, {default}" + (f": {about}" if about else "")
