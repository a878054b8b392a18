"""Arithmetic of trits: the field with three elements, written with the balanced residues -1, 0 and +1.

A group of skills is balanced when its trits sum to 0 modulo 3. So (-1, 0, +1), (0, 0, 0), (+1, +1, +1) and
(-1, -1, -1) are, and so are larger groups such as (+1, +1, -1, -1). An integer sum of 0 is not needed: +1 +1 +1 = 3.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TRITS = (-1, 0, 1)


def balanced_residue(number: int) -> int:
    """The one of -1, 0, +1 that is congruent to `number` modulo 3; 2 gives -1."""
    return (number + 1) % 3 - 1


def group_sum(trits: Iterable[int]) -> int:
    """Sum in GF(3), as a balanced residue. The empty group sums to 0."""
    return balanced_residue(sum(trits))


def is_balanced(trits: Iterable[int]) -> bool:
    return sum(trits) % 3 == 0


def completing_trit(trits: Iterable[int]) -> int:
    """The trit that balances the group when it is added: the balanced residue of the negated sum."""
    return balanced_residue(-sum(trits))


def signed(trit: int) -> str:
    """How a trit is written: -1, 0, +1."""
    return "0" if trit == 0 else f"{trit:+d}"


@dataclass(frozen=True, kw_only=True)
class Mending:
    """One change that balances a group. An unbalanced group always needs exactly one."""

    kind: str
    """`change` a member's trit, `add` a skill, `remove` a member, or `replace` a member by a skill."""
    member: str | None = None
    """The member that is changed, removed or replaced."""
    skill: str | None = None
    """The skill that is added or put in the member's place; None if no known skill has the trit."""
    trit: int | None = None
    """The trit that the member gets, or that the added skill has."""

    def __str__(self) -> str:
        if self.kind == "change":
            return f"changing {self.member} to {signed(self.trit or 0)}"
        if self.kind == "remove":
            return f"removing {self.member}"
        newcomer = self.skill or f"a skill with {signed(self.trit or 0)}"
        return f"adding {newcomer}" if self.kind == "add" else f"putting {newcomer} in the place of {self.member}"


def mendings(trit_of: Mapping[str, int], others: Mapping[str, int] | None = None) -> list[Mending]:
    """All single changes that balance the group `trit_of`; empty if it is balanced.

    `others` are the skills (name to trit) that may join. Order: change, add, remove, replace; within each by name.
    A removal that would leave fewer than two members is left out.
    """
    excess = group_sum(trit_of.values())
    if excess == 0:
        return []
    joining: dict[int, list[str]] = {trit: [] for trit in TRITS}
    for name, trit in sorted((others or {}).items()):
        if name not in trit_of:
            joining[balanced_residue(trit)].append(name)
    wanted = balanced_residue(-excess)
    found = [Mending(kind="change", member=name, trit=balanced_residue(trit - excess)) for name, trit in sorted(trit_of.items())]
    found += [Mending(kind="add", skill=name, trit=wanted) for name in joining[wanted]]
    if not joining[wanted]:
        found.append(Mending(kind="add", trit=wanted))
    if len(trit_of) > 2:
        found += [Mending(kind="remove", member=name) for name, trit in sorted(trit_of.items()) if balanced_residue(trit) == excess]
    for name, trit in sorted(trit_of.items()):
        fitting = balanced_residue(trit - excess)
        found += [Mending(kind="replace", member=name, skill=other, trit=fitting) for other in joining[fitting]]
    return found


def advice(trit_of: Mapping[str, int], others: Mapping[str, int] | None = None, *, most: int = 3) -> str:
    """One line that says how to balance the group: which single changes do it. Linear in the number of `others`."""
    excess = group_sum(trit_of.values())
    if excess == 0:
        return "balanced"
    wanted = balanced_residue(-excess)
    names = sorted(trit_of)
    changes = [f"{name} to {signed(balanced_residue(trit_of[name] - excess))}" for name in names[:most]]
    fitting = (name for name, trit in (others or {}).items() if name not in trit_of and balanced_residue(trit) == wanted)
    joining = heapq.nsmallest(most, fitting)
    removals = [name for name in names if balanced_residue(trit_of[name]) == excess][:most] if len(names) > 2 else []
    parts = [f"changing {' or '.join(changes)} balances it"]
    parts.append(f"add a skill with {signed(wanted)}" + (f": {', '.join(joining)}" if joining else ""))
    if removals:
        parts.append(f"remove {' or '.join(removals)}")
    return ", or ".join(parts)
