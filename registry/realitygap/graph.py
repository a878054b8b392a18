"""A pipeline as a graph, in Mermaid or DOT. Steps are nodes, references and `needs` are edges; nested pipelines are boxes."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import TYPE_CHECKING

from realitygap.errors import InputError
from realitygap.pipeline import Lookup, dependencies

if TYPE_CHECKING:
    from realitygap.skill import Skill

FILLS = {-1: "#dbe7f5", 0: "#ececec", 1: "#f6e3d3"}
STROKES = {-1: "#2f6db3", 0: "#7a7a7a", 1: "#b8651b"}
"""Colours of a trit, everywhere. Blue and orange are told apart by those who cannot tell red from green."""


def draw(skill: Skill, registry: Lookup, form: str = "mermaid") -> str:
    """The graph of a pipeline, or of a single skill with what it depends on and enables. Raises InputError for an unknown skill."""
    nodes, edges = list(_nodes(skill, registry, "", 0)), list(dict.fromkeys(_edges(skill, registry, "")))
    if not skill.is_pipeline:
        nodes = [(skill.name, f"{skill.name} {trit_label(skill.trit)}", skill.trit, 0)]
        for other, ends in [(name, (name, skill.name)) for name in skill.depends_on] + [
            (name, (skill.name, name)) for name in skill.enables
        ]:
            trit = registry.skill(other).trit
            nodes.append((other, f"{other} {trit_label(trit)}", trit, 0))
            edges.append(ends)
    if form == "mermaid":
        return _mermaid(nodes, edges)
    dot = _dot(skill.name, nodes, edges)
    return as_svg(dot) if form == "svg" else dot


Node = tuple[str, str, int | None, int]
"""Id, label, trit (None: a box opens; its id is empty: one closes), depth."""


def _nodes(skill: Skill, registry: Lookup, prefix: str, depth: int) -> Iterator[Node]:
    for step in skill.steps:
        used = registry.skill(str(step["uses"]))
        name = f"{prefix}{step['id']}"
        label = f"{step['id']}: {used.name}" if step["id"] != used.name else used.name
        label += " (for each)" if "foreach" in step else ""
        if used.is_pipeline:
            yield name, f"{label} {trit_label(used.trit)}", None, depth
            yield from _nodes(used, registry, f"{name}.", depth + 1)
            yield "", "", None, depth
        else:
            yield name, f"{label} {trit_label(used.trit)}", used.trit, depth


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
            lines.append(f'{pad}subgraph {node_id(name)}["{quoted(label)}"]' if name else f"{pad}end")
        else:
            lines.append(f'{pad}{node_id(name)}["{quoted(label)}"]:::trit{trit % 3}')
    lines += [f"  {node_id(source)} --> {node_id(target)}" for source, target in edges]
    lines += [f"  classDef trit{trit % 3} fill:{FILLS[trit]},stroke:{STROKES[trit]},color:#1a1a1a" for trit in (-1, 0, 1)]
    return "\n".join(lines)


def _dot(title: str, nodes: list[Node], edges: list[tuple[str, str]]) -> str:
    lines = [f'digraph "{escaped(title)}" {{', '  node [shape=box, style="rounded,filled", fontname="sans-serif"];']
    for name, label, trit, depth in nodes:
        pad = "  " * (depth + 1)
        if trit is None:
            lines.append(f'{pad}subgraph "cluster_{escaped(name)}" {{ label="{escaped(label)}";' if name else f"{pad}}}")
        else:
            lines.append(f'{pad}"{escaped(name)}" [label="{escaped(label)}", fillcolor="{FILLS[trit]}", color="{STROKES[trit]}"];')
    lines += [f'  "{escaped(source)}" -> "{escaped(target)}";' for source, target in edges]
    return "\n".join([*lines, "}"])


def as_svg(dot: str) -> str:
    """A graph in DOT as SVG, by graphviz. Raises InputError where it is not installed, or refuses the graph."""
    program = shutil.which("dot")
    if program is None:
        raise InputError(
            "SVG of a pipeline needs graphviz, which is not installed", hint="`--format mermaid` and `--format dot` need nothing"
        )
    try:
        done = subprocess.run([program, "-Tsvg"], input=dot, capture_output=True, text=True, encoding="utf-8", timeout=60)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InputError(f"graphviz could not be run: {error}", hint="`--format dot` gives its input") from None
    if done.returncode:
        raise InputError(
            f"graphviz failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}", hint="`--format dot` gives its input"
        )
    return done.stdout.rstrip()


def trit_label(trit: int) -> str:
    """A trit beside a name: (-1), (0), (+1)."""
    return f"({trit:+d})" if trit else "(0)"


def node_id(name: str) -> str:
    """An id that Mermaid takes for this name, and for no other."""
    # `end` is a word of Mermaid, and a dash or a dot would end an id.
    return "s_" + "".join(letter if letter.isalnum() else f"_{ord(letter):x}_" for letter in name)


def quoted(text: str) -> str:
    """A text inside quotes of Mermaid or of XML."""
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")


def escaped(text: str) -> str:
    """A text inside quotes of DOT."""
    return text.replace("\\", "\\\\").replace('"', '\\"')
