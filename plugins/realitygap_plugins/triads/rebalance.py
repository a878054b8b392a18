"""The fewest changes that balance a set of skills: one sum, a partition into triads, or many groups that share skills.

What is exact:

- `one set`: at most one change, `gf3.mendings` lists all of them.
- `into_triads`: closed form. 3m skills fall into balanced triads exactly when they sum to 0: of the counts (M, Z, P) the sum gives P = M
  modulo 3 and the number of skills Z = -P - M = M, and equal residues r leave r triads (-1, 0, +1) and uniform ones.
- `rebalance`: to choose new trits for some skills so that many overlapping groups balance is the decoding of a ternary code, which is
  NP-hard. The number of changes found is compared with a lower bound; `exact` says whether they meet, or a search has closed the gap.
  With errors that do not touch each other the bound is met at once, at any size. Where nothing is fixed there always are changes that
  balance all groups; with fixed skills the equations say whether there are, and their solutions are compared one by one where few.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from realitygap_plugins.triads.decoding import Changes, Decoding
from realitygap_plugins.triads.gf3 import TRITS, balanced_residue, group_sum

SEARCH_NODES = 20_000
"""Partial solutions that the exact search looks at, in each part that hangs together, before it gives up."""
EASY = 100
"""Unbalanced groups in a part up to which it looks at all of these; of more it looks at fewer, since each takes longer."""


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A set of skills, cut into balanced triads after the fewest changes."""

    changes: dict[str, int] = field(default_factory=dict)
    """Skills that get another trit."""
    removed: tuple[str, ...] = ()
    """Skills that are left out."""
    added: tuple[int, ...] = ()
    """Trits of skills that are added."""
    triads: tuple[tuple[str, str, str], ...] = ()
    """The triads; an added skill is called `?+1`, `?0` or `?-1`."""

    @property
    def cost(self) -> int:
        return len(self.changes) + len(self.removed) + len(self.added)


def into_triads(trit_of: Mapping[str, int]) -> Partition:
    """Cuts the skills into balanced triads with the fewest changes, removals and additions together. Exact; linear in their number.

    3m skills: nothing to change if they sum to 0, else one trit. 3m + 2: one skill is added. 3m + 1: the one skill whose trit is the sum is
    left out, and where no skill has it two are added.
    """
    trits = {name: balanced_residue(trit_of[name]) for name in sorted(trit_of)}
    excess, left = group_sum(trits.values()), len(trits) % 3
    changes: dict[str, int] = {}
    removed: tuple[str, ...] = ()
    added: tuple[int, ...] = ()
    if left == 0 and excess:
        name = next(iter(trits))
        changes = {name: balanced_residue(trits[name] - excess)}
    elif left == 2:
        added = (balanced_residue(-excess),)
    elif left == 1:
        superfluous = next((name for name, trit in trits.items() if trit == excess), None)
        if superfluous is not None and len(trits) > 1:
            removed = (superfluous,)
        else:
            # Two trits whose sum is -excess: twice the excess, because 2 = -1.
            added = (excess, excess)
    final = {name: changes.get(name, trit) for name, trit in trits.items() if name not in removed}
    members = [*final.items(), *((f"?{trit:+d}" if trit else "?0", trit) for trit in added)]
    return Partition(changes=changes, removed=removed, added=added, triads=_triads(members))


def _triads(members: Iterable[tuple[str, int]]) -> tuple[tuple[str, str, str], ...]:
    buckets: dict[int, list[str]] = {trit: [] for trit in TRITS}
    for name, trit in members:
        buckets[trit].append(name)
    # As many mixed triads as there can be: what is left over are uniform ones.
    mixed = min(len(bucket) for bucket in buckets.values())
    found = [(buckets[-1][i], buckets[0][i], buckets[1][i]) for i in range(mixed)]
    for bucket in buckets.values():
        rest = bucket[mixed:]
        found += [(rest[i], rest[i + 1], rest[i + 2]) for i in range(0, len(rest), 3)]
    return tuple(found)


@dataclass(frozen=True, kw_only=True)
class Rebalancing:
    """New trits that balance every group."""

    changes: dict[str, int]
    """Skill to new trit, only where it differs."""
    lower_bound: int
    """No solution changes fewer skills."""
    exact: bool
    """`changes` is as small as can be. Where False the search ran out of nodes, and up to `len(changes) - lower_bound` fewer may do."""
    unbalanced: tuple[int, ...] = ()
    """Places of groups for which no change was found: with `exact` there is none, because too much is fixed."""


def rebalance(
    trit_of: Mapping[str, int], groups: Sequence[Collection[str]], *, fixed: Collection[str] = (), nodes: int = SEARCH_NODES
) -> Rebalancing:
    """The fewest skills to give another trit so that all groups balance.

    Args:
        trit_of: trit of each skill that occurs in a group.
        groups: members of each group.
        fixed: skills whose trit may not change.
        nodes: bound of the exact search.

    Raises KeyError for a member without a trit.
    """
    problem = Decoding(trit_of, groups, frozenset(fixed))
    changes: dict[str, int] = {}
    unbalanced: list[int] = []
    bound, exact = 0, True
    for violated in problem.parts():
        found, certain, least = _mended(problem, violated, problem.lower_bound(violated), nodes)
        bound += least
        exact = exact and certain
        if found is None:
            unbalanced += violated
        else:
            changes |= {name: balanced_residue(trit_of[name] + delta) for name, delta in found.items()}
    return Rebalancing(changes=changes, lower_bound=bound, exact=exact, unbalanced=tuple(sorted(unbalanced)))


def _mended(problem: Decoding, violated: list[int], least: int, nodes: int) -> tuple[Changes | None, bool, int]:
    """Few changes that balance a part, None where there are none; whether that is certain; and how many it takes at least."""
    started, left = problem.greedy(violated)
    best = None if left else started
    if best is not None and len(best) == least:
        return best, True, least
    solved, certain = problem.solve(violated, nodes)
    if certain:
        return solved, True, least if solved is None else len(solved)
    if best is None:
        solved = solved if solved is not None else problem.finish(started, left, nodes)
    if best is None or (solved is not None and len(solved) < len(best)):
        best = solved
    fewer = nodes * EASY**2 // max(EASY, len(violated)) ** 2
    better, certain, least = problem.search(violated, least, None if best is None else len(best), fewer)
    return better if better is not None else best, certain, least
