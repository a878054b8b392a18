"""The triads of a registry as a picture: which skill is in which group, and whether the group balances. Mermaid, DOT and SVG.

A group joins any number of skills, so that it is a node of its own in Mermaid and DOT. The SVG is a table instead, which stays readable
with many groups and needs no layout: a row a skill, by trit, a column a group, a dot with the trit where the skill is a member.

                     1   2
    validate   -1    -   -
    describe    0    0
    train      +1    +   +
    sum              0   0        <- and what a group needs that does not balance
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from realitygap.errors import InputError
from realitygap.graph import FILLS, STROKES, escaped, node_id, quoted, trit_label

if TYPE_CHECKING:
    from realitygap.discovery import Registry

_RED = "#b3261e"
_SIGNS = {-1: "\u2212", 0: "0", 1: "+"}
_ROW, _COLUMN, _TOP, _CHARACTER, _TITLE_CHARACTER = 24, 34, 62, 7.4, 9.2
"""Pixels: height of a row, width of a column, where the rows begin, width of a character at 13 px (a wide one), and of one of the title."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """A group that skills declare."""

    members: tuple[str, ...]
    """As the registry calls them; a member that does not exist as it was written."""
    trits: tuple[int | None, ...]
    """None for one that does not exist."""

    @property
    def total(self) -> int | None:
        """Integer sum of the trits, None where one is unknown."""
        known = [trit for trit in self.trits if trit is not None]
        return sum(known) if len(known) == len(self.trits) else None

    @property
    def needs(self) -> int | None:
        """The trit that would balance the group: 0 where it does, None where a trit is unknown."""
        return None if self.total is None else (1 - self.total) % 3 - 1


def groups_of(registry: Registry, name: str | None = None) -> list[Group]:
    """The groups of all skills, each once; with a name those that contain it. Raises InputError for a name that is no skill."""
    called = {skill.qualified_name: known for known, skill in registry.skills.items()}
    wanted = called.get(registry.skill(name).qualified_name, name) if name is not None else None
    found: dict[tuple[str, ...], Group] = {}
    for skill in registry.every_skill:
        for declared in skill.triads:
            trits: dict[str, int | None] = {}
            members = []
            for member in declared:
                try:
                    one = registry.skill(member)
                    members.append(called.get(one.qualified_name, member))
                    trits[members[-1]] = one.trit
                except InputError:
                    members.append(member)
                    trits[member] = None
            members.sort(key=lambda member: (_rank(trits[member]), member))
            found.setdefault(tuple(members), Group(members=tuple(members), trits=tuple(trits[member] for member in members)))
    return [found[members] for members in sorted(found) if wanted is None or wanted in members]


def draw(registry: Registry, name: str | None = None, form: str = "mermaid") -> str:
    """The groups in `mermaid`, `dot` or `svg`. Raises InputError for a name that is no skill."""
    groups = groups_of(registry, name)
    if form == "svg":
        return svg(groups, [known for known in registry.skills if name is None or known == name])
    return _dot(groups) if form == "dot" else _mermaid(groups)


def _mermaid(groups: Sequence[Group]) -> str:
    lines = ["flowchart LR"]
    for member, trit in _skills(groups):
        label = f"{member} {trit_label(trit)}" if trit is not None else f"{member} (unknown)"
        lines.append(f'  {node_id(member)}["{quoted(label)}"]:::{"missing" if trit is None else f"trit{trit % 3}"}')
    for number, group in enumerate(groups, start=1):
        lines.append(f'  g{number}(("{quoted(_verdict(group))}")):::{"balanced" if group.needs == 0 else "unbalanced"}')
        lines += [f"  {node_id(member)} --- g{number}" for member in group.members]
    lines += [f"  classDef trit{trit % 3} fill:{FILLS[trit]},stroke:{STROKES[trit]},color:#1a1a1a" for trit in (-1, 0, 1)]
    lines.append("  classDef balanced fill:#ffffff,stroke:#1a1a1a,color:#1a1a1a")
    lines.append(f"  classDef unbalanced fill:#ffffff,stroke:{_RED},color:{_RED},stroke-width:3px")
    lines.append(f"  classDef missing fill:#ffffff,stroke:{_RED},color:{_RED},stroke-dasharray:4")
    return "\n".join(lines)


def _dot(groups: Sequence[Group]) -> str:
    lines = ['graph "triads" {', "  graph [layout=neato, overlap=false, splines=true];", '  node [fontname="sans-serif", style=filled];']
    for member, trit in _skills(groups):
        label = f"{member} {trit_label(trit)}" if trit is not None else f"{member} (unknown)"
        colors = f'fillcolor="{FILLS[trit]}", color="{STROKES[trit]}"' if trit is not None else f'fillcolor="white", color="{_RED}"'
        style = "rounded,filled" if trit is not None else "rounded,filled,dashed"
        lines.append(f'  "{escaped(member)}" [shape=box, style="{style}", label="{escaped(label)}", {colors}];')
    for number, group in enumerate(groups, start=1):
        color = "black" if group.needs == 0 else _RED
        lines.append(f'  "group {number}" [shape=circle, label="{escaped(_verdict(group))}", fillcolor="white", color="{color}"];')
        lines += [f'  "{escaped(member)}" -- "group {number}";' for member in group.members]
    return "\n".join([*lines, "}"])


def svg(groups: Sequence[Group], known: Sequence[str] = ()) -> str:
    """The groups as a table in SVG, which needs no other program. `known` are the skills of which those in no group are counted."""
    skills = _skills(groups)
    rows = {member: number for number, (member, _) in enumerate(skills)}
    columns = sorted(groups, key=lambda group: [rows[member] for member in group.members])
    title = _title(columns, len(skills), len(set(known) - set(rows)))
    left = 30 + _CHARACTER * max([len(member) for member in rows] + [10]) + 40
    body = [f'<text x="16" y="26" class="title">{quoted(title)}</text>']
    bottom = _TOP + _ROW * len(skills)
    right = left + _COLUMN * len(columns)
    for number, (member, trit) in enumerate(skills):
        y = _TOP + _ROW * number
        if number % 2 == 0:
            body.append(f'<rect x="12" y="{y}" width="{right - 4:.0f}" height="{_ROW}" class="stripe"/>')
        body.append(f'<text x="16" y="{y + 17}">{quoted(member)}</text>')
        shown, color = (_signed(trit), STROKES[trit]) if trit is not None else ("?", _RED)
        body.append(f'<text x="{left - 20:.0f}" y="{y + 17}" class="trit" style="fill:{color}">{shown}</text>')
    for number, text in enumerate(("sum", "modulo 3", "needs")):
        body.append(f'<text x="16" y="{bottom + 22 + 20 * number}" class="foot">{text}</text>')
    for number, group in enumerate(columns):
        body += _column(group, number, left + _COLUMN * (number + 0.5), rows, bottom)
    width, height = max(right + 16, 16 + _TITLE_CHARACTER * len(title) + 16), bottom + 78
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}" role="img" '
        f'aria-label="{quoted(title)}">'
    )
    return "\n".join([head, _STYLE, f'<rect width="{width:.0f}" height="{height}" fill="#ffffff"/>', *body, "</svg>"])


_STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #1a1a1a }
.title { font-weight: 600; font-size: 15px }
.stripe { fill: #f5f5f5 }
.trit { text-anchor: end; font-weight: 600 }
.middle, .sign { text-anchor: middle }
.sign { font-weight: 700 }
.times { font-size: 10px }
.foot, .number { fill: #5c5c5c }
</style>"""


def _title(groups: Sequence[Group], skills: int, alone: int) -> str:
    wrong, unknown = sum(group.needs not in (0, None) for group in groups), sum(group.needs is None for group in groups)
    said = [f"{wrong} {'does' if wrong == 1 else 'do'} not balance"] if wrong else []
    said += [f"{unknown} cannot be told"] if unknown else []
    text = f"{_number(len(groups), 'group')} of {_number(skills, 'skill')}: " + (", ".join(said) or "all balance modulo 3")
    return text + (f"; {_number(alone, 'skill')} in none" if alone else "")


def _number(number: int, word: str) -> str:
    return f"{number} {word}" + ("" if number == 1 else "s")


def _column(group: Group, number: int, x: float, rows: dict[str, int], bottom: int) -> list[str]:
    """A group: its number, a line from its first to its last member, their dots, and its sum."""
    centers = [_TOP + _ROW * rows[member] + _ROW / 2 for member in group.members]
    color = "#1a1a1a" if group.needs == 0 else _RED
    told = quoted(f"group {number + 1}: {', '.join(group.members)}; {_verdict(group)}")
    parts = [f"<g><title>{told}</title>", f'<text x="{x:.0f}" y="{_TOP - 8}" class="middle number">{number + 1}</text>']
    parts.append(f'<line x1="{x:.0f}" y1="{min(centers):.0f}" x2="{x:.0f}" y2="{max(centers):.0f}" stroke="{color}" stroke-width="2"/>')
    for member, trit, y in dict.fromkeys(zip(group.members, group.trits, centers, strict=True)):
        fill, stroke = (FILLS[trit], STROKES[trit]) if trit is not None else ("#ffffff", _RED)
        sign = _SIGNS[trit] if trit is not None else "?"
        parts.append(f'<circle cx="{x:.0f}" cy="{y:.0f}" r="9" fill="{fill}" stroke="{stroke}" stroke-width="2"/>')
        parts.append(f'<text x="{x:.0f}" y="{y + 4.5:.1f}" class="sign">{sign}</text>')
        if (times := group.members.count(member)) > 1:
            parts.append(f'<text x="{x + 10:.0f}" y="{y - 5:.0f}" class="times">\u00d7{times}</text>')
    total = group.total
    residue = None if total is None else (total + 1) % 3 - 1
    feet = (
        ("?", "?", "")
        if total is None or residue is None
        else (_signed(total), _signed(residue), "" if residue == 0 else _signed(-residue))
    )
    for place, text in enumerate(feet):
        style = f' style="fill:{color};font-weight:{400 if group.needs == 0 else 700}"'
        parts.append(f'<text x="{x:.0f}" y="{bottom + 22 + 20 * place}" class="middle"{style}>{text}</text>')
    return [*parts, "</g>"]


def _skills(groups: Sequence[Group]) -> list[tuple[str, int | None]]:
    """The members of all groups with their trits, by trit and name; what does not exist comes last."""
    trits = {member: trit for group in groups for member, trit in zip(group.members, group.trits, strict=True)}
    return sorted(trits.items(), key=lambda one: (_rank(one[1]), one[0]))


def _verdict(group: Group) -> str:
    if group.total is None:
        return "?"
    return "0" if group.needs == 0 else f"{_signed(-(group.needs or 0))}: needs {_signed(group.needs or 0)}"


def _rank(trit: int | None) -> int:
    return 2 if trit is None else trit


def _signed(trit: int) -> str:
    return "0" if trit == 0 else f"{trit:+d}".replace("-", "\u2212")
