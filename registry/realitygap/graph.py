"""A pipeline as a graph, in Mermaid or DOT. Steps are nodes, references and `needs` are edges; nested pipelines are boxes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from realitygap.pipeline import Lookup, dependencies

if TYPE_CHECKING:
    from realitygap.skill import Skill

_FILLS = {-1: "#dbe7f5", 0: "#ececec", 1: "#f6e3d3"}
_STROKES = {-1: "#2f6db3", 0: "#7a7a7a", 1: "#b8651b"}


def draw(skill: Skill, registry: Lookup, form: str = "mermaid") -> str:
    """The graph of a pipeline, or of a single skill with what it depends on and enables. Raises InputError for an unknown skill."""
    nodes, edges = list(_nodes(skill, registry, "", 0)), list(dict.fromkeys(_edges(skill, registry, "")))
    if not skill.is_pipeline:
        nodes = [(skill.name, f"{skill.name} {_trit(skill.trit)}", skill.trit, 0)]
        for other, ends in [(name, (name, skill.name)) for name in skill.depends_on] + [
            (name, (skill.name, name)) for name in skill.enables
        ]:
            trit = registry.skill(other).trit
            nodes.append((other, f"{other} {_trit(trit)}", trit, 0))
            edges.append(ends)
    return _dot(skill.name, nodes, edges) if form == "dot" else _mermaid(nodes, edges)


Node = tuple[str, str, int | None, int]
"""Id, label, trit (None: a box opens; its id is empty: one closes), depth."""


def _nodes(skill: Skill, registry: Lookup, prefix: str, depth: int) -> Iterator[Node]:
    for step in skill.steps:
        used = registry.skill(str(step["uses"]))
        name = f"{prefix}{step['id']}"
        label = f"{step['id']}: {used.name}" if step["id"] != used.name else used.name
        label += " (for each)" if "foreach" in step else ""
        if used.is_pipeline:
            yield name, f"{label} {_trit(used.trit)}", None, depth
            yield from _nodes(used, registry, f"{name}.", depth + 1)
            yield "", "", None, depth
        else:
            yield name, f"{label} {_trit(used.trit)}", used.trit, depth


def _edges(skill: Skill, registry: Lookup, prefix: str) -> Iterator[tuple[str, str]]:
    kinds = {str(step["id"]): registry.skill(str(step["uses"])) for step in skill.steps}
    for step in skill.steps:
        name = str(step["id"])
        for before in dependencies(step):
            for source in _last(kinds[before], registry, f"{prefix}{before}"):
                for target in _first(kinds[name], registry, f"{prefix}{name}"):
                    yield source, target
        if kinds[name].is_pipeline:
            yield from _edges(kinds[name], registry, f"{prefix}{name}.")


def _first(skill: Skill, registry: Lookup, name: str) -> Iterator[str]:
    """Steps of a nested pipeline that wait for none of its own."""
    if not skill.is_pipeline:
        yield name
        return
    for step in skill.steps:
        if not dependencies(step):
            yield from _first(registry.skill(str(step["uses"])), registry, f"{name}.{step['id']}")


def _last(skill: Skill, registry: Lookup, name: str) -> Iterator[str]:
    """Steps of a nested pipeline that none of its own waits for."""
    if not skill.is_pipeline:
        yield name
        return
    waited_for = {before for step in skill.steps for before in dependencies(step)}
    for step in skill.steps:
        if step["id"] not in waited_for:
            yield from _last(registry.skill(str(step["uses"])), registry, f"{name}.{step['id']}")


def _mermaid(nodes: list[Node], edges: list[tuple[str, str]]) -> str:
    lines = ["flowchart TD"]
    for name, label, trit, depth in nodes:
        pad = "  " * (depth + 1)
        if trit is None:
            lines.append(f'{pad}subgraph {_id(name)}["{_quoted(label)}"]' if name else f"{pad}end")
        else:
            lines.append(f'{pad}{_id(name)}["{_quoted(label)}"]:::trit{trit % 3}')
    lines += [f"  {_id(source)} --> {_id(target)}" for source, target in edges]
    lines += [f"  classDef trit{trit % 3} fill:{_FILLS[trit]},stroke:{_STROKES[trit]},color:#1a1a1a" for trit in (-1, 0, 1)]
    return "\n".join(lines)


def _dot(title: str, nodes: list[Node], edges: list[tuple[str, str]]) -> str:
    lines = [f'digraph "{_escaped(title)}" {{', '  node [shape=box, style="rounded,filled", fontname="sans-serif"];']
    for name, label, trit, depth in nodes:
        pad = "  " * (depth + 1)
        if trit is None:
            lines.append(f'{pad}subgraph "cluster_{_escaped(name)}" {{ label="{_escaped(label)}";' if name else f"{pad}}}")
        else:
            lines.append(f'{pad}"{_escaped(name)}" [label="{_escaped(label)}", fillcolor="{_FILLS[trit]}", color="{_STROKES[trit]}"];')
    lines += [f'  "{_escaped(source)}" -> "{_escaped(target)}";' for source, target in edges]
    return "\n".join([*lines, "}"])


def _trit(trit: int) -> str:
    return f"({trit:+d})" if trit else "(0)"


def _id(name: str) -> str:
    # `end` is a word of Mermaid, and a dash or a dot would end an id.
    return "s_" + "".join(letter if letter.isalnum() else f"_{ord(letter):x}_" for letter in name)


def _quoted(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
