"""Balanced groups that would contain given skills, and the changes that balance a set.

There are very many balanced groups: 10,000 skills have more than 10^11 balanced triads. Nearly all say nothing, because their members have
nothing to do with each other. So groups that hang together come first, grown from the given skills along links (`surroundings`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from realitygap_plugins.triads.gf3 import Mending, balanced_residue, completing_trit, mendings
from realitygap_plugins.triads.groups import balanced_groups, count_balanced_with
from realitygap_plugins.triads.surroundings import Surroundings

MOST_GROWN = 50_000
"""Partial groups looked at in one growth. A skill that is linked with thousands has more."""


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """A balanced group that nobody has named yet."""

    members: tuple[str, ...]
    because: tuple[str, ...]
    """Why members belong together, one text a linked pair. Empty: the group balances, and that is all."""


@dataclass(frozen=True, kw_only=True)
class Suggestions:
    """The best groups that contain given skills."""

    groups: tuple[Suggestion, ...]
    possible: int
    """All balanced groups of this size that contain the skills, those already named included."""
    complete: bool
    """Whether all groups that hang together were looked at; else there may be better ones."""


def suggest(known: Surroundings, include: Sequence[str], *, size: int = 3, most: int = 10) -> Suggestions:
    """The groups of `size` that contain `include`, those with the most links first, then by name.

    After those that hang together come others, lazily, where `most` are not reached. Raises KeyError for a skill without a trit.
    """
    fixed = frozenset(include)
    grown, complete = _grown(known, fixed, size)
    scored = sorted((-len(known.linked(group)), tuple(sorted(group))) for group in grown if group not in known.named)
    members = [group for _, group in scored[:most]]
    if len(members) < most:
        seen = {*map(frozenset, members), *known.named}
        for group in balanced_groups(known.trit_of, size, containing=fixed):
            if frozenset(group) not in seen:
                members.append(group)
            if len(members) == most:
                break
    return Suggestions(
        groups=tuple(Suggestion(members=group, because=known.linked(group)) for group in members),
        possible=count_balanced_with(known.trit_of, fixed, size),
        complete=complete,
    )


def _grown(known: Surroundings, fixed: frozenset[str], size: int) -> tuple[set[frozenset[str]], bool]:
    """Balanced groups in which each added member is linked with one that was there; and whether that is all of them."""
    groups, complete = {fixed}, True
    for place in range(len(fixed), size):
        larger: set[frozenset[str]] = set()
        for group in sorted(groups, key=sorted):
            wanted = completing_trit(known.trit_of[name] for name in group) if place == size - 1 else None
            for name in sorted({other for member in group for other in known.links.get(member, {})} - group):
                if name in known.trit_of and wanted in (None, known.trit_of[name]):
                    larger.add(group | {name})
            if len(larger) > MOST_GROWN:
                complete = False
                break
        groups = larger
    return {group for group in groups if known.balances(group)}, complete


def ungrouped(known: Surroundings) -> list[str]:
    """Skills with a trit that no group names, by name."""
    grouped = set[str]().union(*known.named)
    return sorted(name for name in known.trit_of if name not in grouped)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change that balances a set, with what it does elsewhere."""

    mending: Mending
    breaks: tuple[tuple[str, ...], ...] = ()
    """Groups that balance now and would not."""
    mends: tuple[tuple[str, ...], ...] = ()
    """Groups that do not balance now and would."""
    because: tuple[str, ...] = ()
    """Why a skill that joins belongs to the others."""

    @property
    def cost(self) -> tuple[int, int]:
        """What to compare changes by: groups broken less groups mended, then fewer links of a newcomer."""
        return len(self.breaks) - len(self.mends), -len(self.because)


def changes(known: Surroundings, names: Sequence[str]) -> list[Change]:
    """Every single change that balances the set, the least harmful first; empty where it balances. Raises KeyError without a trit.

    A set never needs more than one change. They differ in what they do to the other groups: a new trit unbalances each balanced group that
    has the skill.
    """
    trits = {name: known.trit_of[name] for name in names}
    found = [_weighed(known, trits, one) for one in mendings(trits, known.trit_of)]
    # Sorting keeps the order of `mendings` among equals: change, add, remove, replace.
    return sorted(found, key=lambda change: change.cost)


def _weighed(known: Surroundings, trits: dict[str, int], mending: Mending) -> Change:
    if mending.kind == "change" and mending.member is not None and mending.trit is not None:
        delta = mending.trit - trits[mending.member]
        own = tuple(sorted(trits))
        touched = [group for group in known.groups if mending.member in group and group != own]
        sums = {group: sum(known.trit_of[name] for name in group) for group in touched}
        return Change(
            mending=mending,
            breaks=tuple(group for group in touched if balanced_residue(sums[group]) == 0),
            mends=tuple(group for group in touched if balanced_residue(sums[group] + delta) == 0),
        )
    if mending.skill is None:
        return Change(mending=mending)
    stay = [name for name in trits if name != mending.member]
    return Change(mending=mending, because=tuple(_joins(known, mending.skill, stay)))


def _joins(known: Surroundings, newcomer: str, members: Sequence[str]) -> Iterator[str]:
    links = known.links.get(newcomer, {})
    yield from (links[name] for name in members if name in links)
