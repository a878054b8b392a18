"""Writes a collection of Agent Skills with claims in every form that is read, some of them wrong on purpose, and says which.

    planted = write_collection(folder, skills=300, claims=600, errors=60, seed=1)

Everything else in it is right, so that a finding which is not planted is a false alarm.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

MINUS = "\u2212"
SYMBOL = {-1: "⊖", 0: "○", 1: "⊕"}
BRACKET = {-1: MINUS, 0: "○", 1: "+"}
LABEL = {-1: "MINUS", 0: "ERGODIC", 1: "PLUS"}

Group = list[tuple[str, int]]


@dataclass(frozen=True, kw_only=True)
class Planted:
    """One error: the code of the rule that must find it, and the line."""

    rule: str
    path: str
    line: int


@dataclass
class Page:
    """A file that grows line by line."""

    path: Path
    lines: list[str] = field(default_factory=list)

    def add(self, *lines: str) -> int:
        """Adds lines and gives the number of the first."""
        first = len(self.lines) + 1
        self.lines += lines
        return first


@dataclass
class Generated:
    """What was written."""

    trits: dict[str, int]
    claims: int
    planted: list[Planted]


def number(trit: int, random_: random.Random) -> str:
    if trit == 0:
        return "0"
    return random_.choice(["+1", "1"]) if trit > 0 else random_.choice(["-1", f"{MINUS}1"])


def completing(total: int) -> int:
    return (-total + 1) % 3 - 1


# Each form writes a group with what is said of it, `said` being such as `= 0 ✓`, and gives the lines and which of them the claim begins on.
# Text as it stands in the wild: in a fence, in a list, bold, without blanks, over two lines, with labels and remarks.


def line_form(group: Group, said: str, rng: random.Random) -> list[str]:
    mark = rng.choice([" ⊗ ", " ⊗ ", " + ", " → "])
    style = rng.choice(["{} ({})", "{}({})", "`{}` ({})", "**{}** ({})", "{} (as a tool) ({})", "{} ({}, so to say)"])
    text = mark.join(style.format(name, number(trit, rng)) for name, trit in group)
    return [rng.choice(["", "- ", "**Triad**: ", "    "]) + f"{text} {said}" + rng.choice(["", "  [A label]"])]


def two_lines(group: Group, said: str, rng: random.Random) -> list[str]:
    half = len(group) // 2 or 1
    first = " ⊗ ".join(f"{name} ({number(trit, rng)})" for name, trit in group[:half])
    second = " ⊗ ".join(f"{name} ({number(trit, rng)})" for name, trit in group[half:])
    return [f"{first} ⊗", f"    {second} {said}"]


def suffix_symbols(group: Group, said: str, rng: random.Random) -> list[str]:
    return [" ⊗ ".join(f"{name}{SYMBOL[trit]}" for name, trit in group) + f" {said}"]


def prefix_symbols(group: Group, said: str, rng: random.Random) -> list[str]:
    return ["Triad: " + ", ".join(f"[{BRACKET[trit]}]{name}" for name, trit in group) + f" {said}"]


def table(group: Group, said: str, rng: random.Random) -> list[str]:
    rows = [f"| {rng.choice(['', '`', '**'])}{name}".replace("`", "") + f" | {number(trit, rng)} | does it |" for name, trit in group]
    rows = [row.replace("**", "") for row in rows]
    return ["| Skill | Trit | Role |", "|-------|------|------|", *rows, "", f"**Sum** {said}"]


def roles(group: Group, said: str, rng: random.Random) -> list[str]:
    by_trit = {trit: name for name, trit in group}
    sign = said.removeprefix("= ")
    return ["| Triad | PLUS (+1) | ERGODIC (0) | MINUS (-1) | Sum |", "|---|---|---|---|---|",
            f"| Core | `{by_trit[1]}` | `{by_trit[0]}` | {by_trit[-1]} | {sign} |"]  # fmt: skip


def sums(group: Group, said: str, rng: random.Random) -> list[str]:
    text = " + ".join(f"({number(trit, rng)})" for _, trit in group)
    return [rng.choice(["Σ = ", "**Conservation**: ", ""]) + f"{text} {said}"]


FORMS: list[tuple[Callable[[Group, str, random.Random], list[str]], int]] = [
    (line_form, 0), (line_form, 0), (two_lines, 0), (suffix_symbols, 0), (prefix_symbols, 0), (table, 0), (roles, 2), (sums, 0),
]  # fmt: skip
RIGHT = ("= 0 ✓", "= 0", "= 0 (mod 3)", "≡ 0 (mod 3) ✓", "= 0 ✓ CONSERVED")


def write_collection(root: Path, *, skills: int, claims: int, errors: int, seed: int, shown: Callable[[Path], str] = str) -> Generated:
    """Writes `skills` guides below `root` with `claims` claims, of which up to `errors` are wrong, or whose skills are.

    Args:
        shown: how findings name a path.
    """
    rng = random.Random(seed)
    width = len(str(skills))
    trits = {f"{rng.choice(['walk', 'grasp', 'plan', 'sense'])}-{index:0{width}d}": rng.choice([-1, 0, 1]) for index in range(skills)}
    names = sorted(trits)
    by_trit = {trit: [name for name in names if trits[name] == trit] for trit in (-1, 0, 1)}
    pages = {name: _guide(root, name, trits[name], rng) for name in names}
    planted: list[Planted] = []
    faulty = set(rng.sample(range(claims), min(errors, claims)))
    own_faults = iter(rng.sample(names, min(len(names), max(1, errors // 10))))
    for index in range(claims):
        page = pages[rng.choice(names)]
        if index in faulty:
            planted += _wrong_claim(page, names, trits, by_trit, rng, shown)
        else:
            _right_claim(page, trits, by_trit, names, rng)
    for name in own_faults:
        planted += _wrong_skill(pages[name], name, trits[name], rng, shown)
    for page in pages.values():
        page.path.parent.mkdir(parents=True, exist_ok=True)
        page.path.write_text("\n".join(page.lines) + "\n", encoding="utf-8")
    return Generated(trits, claims, planted)


def _guide(root: Path, name: str, trit: int, rng: random.Random) -> Page:
    page = Page(root / "skills" / name / "SKILL.md")
    sign = "0" if trit == 0 else f"{trit:+d}"
    page.add("---", f"name: {name}", f"description: Does what {name} does. Use it to do that.")
    where = rng.choice(["metadata", "metadata", "body", "plain"])
    if where == "metadata":
        page.add("metadata:", f'  trit: "{sign}"')
    page.add("---", "", f"# {name}", "")
    if where != "metadata":
        page.add(f"**Trit**: {sign} ({LABEL[trit]})" if where == "body" else f"Trit: {sign}")
    page.add("", f"**URI**: skill://{name}", "", "Values (1), (2) and [3] of `f(0) + g(1)`; 1 + 1 = 2; see O(1).", "")
    if rng.random() < 0.2:
        page.add("## Cat# Integration", "", "```", f"Trit: {sign} ({LABEL[trit]})", "Home: Prof", "Poly Op: ⊗", "```", "")
    if rng.random() < 0.2:
        page.add("```python", "trit: int = 1", "Trit: 0", "```", "")
    page.add("## Groups", "")
    return page


def _balanced(by_trit: dict[int, list[str]], names: list[str], trits: dict[str, int], rng: random.Random, form: object) -> Group:
    if form is roles:
        return [(rng.choice(by_trit[trit]), trit) for trit in (-1, 0, 1)]
    while True:
        some = rng.sample(names, rng.choice([2, 2, 2, 3, 4]))
        wanted = completing(sum(trits[name] for name in some))
        last = rng.choice(by_trit[wanted])
        if last not in some:
            return [(name, trits[name]) for name in (*some, last)]


def _write(
    page: Page, form: Callable[[Group, str, random.Random], list[str]], offset: int, group: Group, said: str, rng: random.Random
) -> int:
    if form in (line_form, two_lines, suffix_symbols, prefix_symbols) and rng.random() < 0.5:
        line = page.add("```", *form(group, said, rng), "```", "") + 1
    else:
        line = page.add(*form(group, said, rng), "")
    return line + offset


def _right_claim(page: Page, trits: dict[str, int], by_trit: dict[int, list[str]], names: list[str], rng: random.Random) -> None:
    form, offset = rng.choice(FORMS)
    group = _balanced(by_trit, names, trits, rng, form)
    total = sum(trit for _, trit in group)
    said = rng.choice(RIGHT)
    if form is prefix_symbols:
        said = "(Σ=0)"
    elif form is suffix_symbols:
        said = "⊢ 0"
    elif form in (table, roles):
        said = "= 0 ✓"
    elif form is line_form and total and rng.random() < 0.5:
        said = f"= {total} ≡ 0 (mod 3) ✓"
    elif form is line_form and rng.random() < 0.2:
        # Not balanced, and it says so.
        group = group[:-1]
        total = sum(trit for _, trit in group)
        need = completing(total)
        said = f"= {total} ✗ → needs {need:+d}" if need else "= 0"
    _write(page, form, offset, group, said, rng)


def _wrong_claim(
    page: Page, names: list[str], trits: dict[str, int], by_trit: dict[int, list[str]], rng: random.Random, shown: Callable[[Path], str]
) -> list[Planted]:
    kind = rng.choice(["balance", "balance", "denial", "completion", "sum", "contradiction", "missing", "placeholder", "undetermined"])
    form, offset = rng.choice([one for one in FORMS if one[0] is not roles])
    where = shown(page.path)
    if kind == "balance":
        group = _balanced(by_trit, names, trits, rng, form)
        while sum(trit for _, trit in group) % 3 == 0:
            group = [(name, trits[name]) for name in rng.sample(names, rng.choice([2, 3, 4]))]
        said = "(Σ=0)" if form is prefix_symbols else "⊢ 0" if form is suffix_symbols else "= 0 ✓"
        return [Planted(rule="TRI208", path=where, line=_write(page, form, offset, group, said, rng))]
    group = _balanced(by_trit, names, trits, rng, line_form)
    if kind == "denial":
        said = rng.choice(["= needs balancing", "✗ UNBALANCED", "≢ 0 (mod 3)"])
        return [Planted(rule="TRI208", path=where, line=_write(page, line_form, 0, group, said, rng))]
    if kind == "completion":
        said = f"= needs {rng.choice(['+1', '-1'])}"
        return [Planted(rule="TRI208", path=where, line=_write(page, line_form, 0, group, said, rng))]
    if kind == "sum":
        said = f"= {sum(trit for _, trit in group) + rng.choice([-2, -1, 1, 2])} ✗"
        return [Planted(rule="TRI208", path=where, line=_write(page, line_form, 0, group, said, rng))]
    if kind == "contradiction":
        # Right by its own numbers, wrong about two members.
        (first, one), (second, other), *rest = group
        group = [(first, completing(-one - 1)), (second, completing(-other + 1)), *rest]
        return [Planted(rule="TRI209", path=where, line=_write(page, line_form, 0, group, "= 0 ✓", rng))]
    if kind == "missing":
        group[0] = (f"no-such-{rng.randrange(10**6)}", group[0][1])
        return [Planted(rule="TRI214", path=where, line=_write(page, line_form, 0, group, "= 0 ✓", rng))]
    if kind == "placeholder":
        group[-1] = ("[balancer]", group[-1][1])
        line = page.add(" + ".join(f"{name} ({number(trit, rng)})" for name, trit in group) + " = 0", "")
        return [Planted(rule="TRI215", path=where, line=line)]
    line = page.add(" ⊗ ".join(name for name, _ in group) + " = 0 ✓", "")
    return [Planted(rule="TRI216", path=where, line=line)]


def _wrong_skill(page: Page, name: str, trit: int, rng: random.Random, shown: Callable[[Path], str]) -> list[Planted]:
    where = shown(page.path)
    kind = rng.choice(["unreadable", "injected", "address", "malformed", "elsewhere"])
    if kind == "unreadable":
        return [Planted(rule="TRI203", path=where, line=page.add("**Trit**: ±1", ""))]
    if kind == "injected":
        other = completing(-trit - 1)
        line = page.add("## SDF Interleaving", "", f"**Skill Trit**: {other} ({LABEL[other]})", "") + 2
        return [Planted(rule="TRI211", path=where, line=line)]
    if kind == "address":
        return [Planted(rule="TRI217", path=where, line=page.add(f"**URI**: skill://{name}-else#{rng.randrange(16**6):06X}", ""))]
    if kind == "malformed":
        return [Planted(rule="TRI217", path=where, line=page.add(f"See skill://{name}#12XY34.", ""))]
    return [
        Planted(rule="TRI217", path=where, line=page.add(f"See skill://no-such-{rng.randrange(10**6)}#{rng.randrange(16**6):06X}.", ""))
    ]
