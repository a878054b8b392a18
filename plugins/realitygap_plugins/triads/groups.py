"""Balanced groups of skills: how many there are, in closed form, and which, one after another.

A balanced group of k skills takes m of trit -1, z of trit 0 and p of trit +1 with m + z + p = k and p - m divisible by 3. So its
*pattern* (m, z, p) decides, and with M, Z and P skills of each trit there are C(M, m) C(Z, z) C(P, p) groups of a pattern. For triads the
patterns are (3, 0, 0), (0, 3, 0), (0, 0, 3) and (1, 1, 1); for quads (0, 4, 0), (2, 0, 2), (1, 2, 1), (3, 1, 0) and (0, 1, 3).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import combinations
from math import comb

from realitygap_plugins.triads.gf3 import TRITS, balanced_residue

Counts = tuple[int, int, int]
"""Skills of trit -1, of trit 0 and of trit +1."""


def counts_of(trits: Iterable[int]) -> Counts:
    """How many of the trits are -1, 0 and +1."""
    counts = [0, 0, 0]
    for trit in trits:
        counts[balanced_residue(trit) + 1] += 1
    return counts[0], counts[1], counts[2]


def patterns(size: int, *, residue: int = 0) -> list[Counts]:
    """The ways in which `size` trits sum to `residue` modulo 3, as numbers of -1, 0 and +1."""
    return [
        (minus, size - minus - plus, plus)
        for minus in range(size + 1)
        for plus in range(size - minus + 1)
        if (plus - minus - residue) % 3 == 0
    ]


def count_balanced(counts: Counts, size: int = 3, *, residue: int = 0) -> int:
    """Number of groups of `size` distinct skills that sum to `residue` modulo 3, given how many skills have each trit.

    10,000 skills have more than 10^11 balanced triads; the sum over patterns needs a handful of binomials.
    """
    return sum(comb(counts[0], m) * comb(counts[1], z) * comb(counts[2], p) for m, z, p in patterns(size, residue=residue))


def count_balanced_with(trit_of: Mapping[str, int], containing: Collection[str], size: int = 3) -> int:
    """Number of balanced groups of `size` that contain all of `containing`. Raises KeyError for a name without a trit."""
    fixed = set(containing)
    if len(fixed) > size:
        return 0
    others = counts_of(trit for name, trit in trit_of.items() if name not in fixed)
    return count_balanced(others, size - len(fixed), residue=balanced_residue(-sum(trit_of[name] for name in fixed)))


def balanced_groups(trit_of: Mapping[str, int], size: int = 3, *, containing: Collection[str] = ()) -> Iterator[tuple[str, ...]]:
    """Every balanced group of `size` skills once, each sorted by name; with `containing`, those that contain all of these.

    Lazy: the first groups of 10,000 skills come at once. Mixed patterns come first, uniform ones such as (0, 0, 0) last.
    Raises KeyError where `containing` names a skill without a trit.
    """
    fixed = sorted(set(containing))
    if len(fixed) > size:
        return
    residue = balanced_residue(-sum(trit_of[name] for name in fixed))
    buckets: dict[int, list[str]] = {trit: [] for trit in TRITS}
    for name in sorted(trit_of):
        if name not in fixed:
            buckets[balanced_residue(trit_of[name])].append(name)
    for pattern in sorted(patterns(size - len(fixed), residue=residue), key=lambda one: (max(one), one)):
        minus, zero, plus = (buckets[trit] for trit in TRITS)
        for some_minus in combinations(minus, pattern[0]):
            for some_zero in combinations(zero, pattern[1]):
                for some_plus in combinations(plus, pattern[2]):
                    yield tuple(sorted((*fixed, *some_minus, *some_zero, *some_plus)))
