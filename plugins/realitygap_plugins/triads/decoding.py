"""The search behind `rebalance`: changes of trits, as small a number as possible, that bring all groups to sum 0.

Unknown is a change 0, +1 or -1 of each skill; a group is a linear equation over GF(3) in the changes of its members, and the sums as they
are stand on the right. Skills that no chain of groups connects are solved apart.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from realitygap_plugins.triads import linear
from realitygap_plugins.triads.gf3 import balanced_residue

Changes = dict[str, int]
"""Skill to what is added to its trit, +1 or -1."""
MAX_UNKNOWNS = 500
"""Skills whose changes are solved for at once, as linear equations."""


class Decoding:
    """Groups with their sums, to be changed and changed back."""

    def __init__(self, trit_of: Mapping[str, int], groups: Sequence[Collection[str]], fixed: Collection[str]) -> None:
        self.trit_of = trit_of
        # A member that is named twice counts twice in the sum, and its change with it.
        self.weights = [_weights(group, fixed) for group in groups]
        self.sums = [sum(trit_of[name] for name in group) % 3 for group in groups]
        self.groups_of: dict[str, list[int]] = {}
        for place, weights in enumerate(self.weights):
            for name in weights:
                self.groups_of.setdefault(name, []).append(place)
        self.violated = {place for place, total in enumerate(self.sums) if total}

    def parts(self) -> Iterator[list[int]]:
        """The unbalanced groups, those together that a chain of groups connects; in order."""
        seen: set[int] = set()
        for start in sorted(self.violated):
            if start in seen:
                continue
            part, waiting = [], [start]
            seen.add(start)
            while waiting:
                place = waiting.pop()
                part.append(place)
                for name in self.weights[place]:
                    fresh = [other for other in self.groups_of[name] if other not in seen]
                    seen.update(fresh)
                    waiting += fresh
            yield sorted(place for place in part if place in self.violated)

    def change(self, name: str, delta: int) -> None:
        for place in self.groups_of[name]:
            self.sums[place] = (self.sums[place] + delta * self.weights[place][name]) % 3
            if self.sums[place]:
                self.violated.add(place)
            else:
                self.violated.discard(place)

    def lower_bound(self, violated: Collection[int]) -> int:
        """Unbalanced groups of which no two share a skill: each needs a change of its own."""
        taken: set[str] = set()
        found = 0
        # Groups that meet few others first: that packs more of them.
        crowd = {place: sum(other in self.violated for name in self.weights[place] for other in self.groups_of[name]) for place in violated}
        for place in sorted(violated, key=lambda one: (crowd[one], one)):
            if taken.isdisjoint(self.weights[place]):
                taken.update(self.weights[place])
                found += 1
        return found

    def greedy(self, violated: Collection[int]) -> tuple[Changes, set[int]]:
        """The change that balances most groups, again and again, and the groups left where that ends. Leaves everything as it was."""
        mine, done = set(violated), Changes()
        heap: list[tuple[int, str, int]] = []

        def offer(place: int) -> None:
            for name in self.weights[place]:
                for delta in (1, -1):
                    heapq.heappush(heap, (-self.gain(name, delta), name, delta))

        for place in violated:
            offer(place)
        while mine and heap:
            negative, name, delta = heapq.heappop(heap)
            gain = self.gain(name, delta)
            if gain != -negative:
                continue  # an old offer; the new one is in the heap
            if gain <= 0:
                break
            self.change(name, delta)
            total = balanced_residue(done.pop(name, 0) + delta)
            if total:
                done[name] = total
            for place in self.groups_of[name]:
                if place in self.violated:
                    mine.add(place)
                else:
                    mine.discard(place)
                offer(place)
        for name, delta in done.items():
            self.change(name, -delta)
        return done, mine

    def solve(self, violated: Collection[int], nodes: int) -> tuple[Changes | None, bool]:
        """Changes that balance a part, as solutions of its equations; whether it is certain that there are not fewer, or none at all.
        None, and not certain, for a part of more than MAX_UNKNOWNS skills."""
        names = self._members(violated)
        while len(names) <= MAX_UNKNOWNS:
            wider = self._members(place for name in names for place in self.groups_of[name])
            if len(wider) == len(names):
                return self._solved(names, violated, nodes)
            names = wider
        return None, False

    def finish(self, started: Changes, left: Collection[int], nodes: int) -> Changes | None:
        """Changes that balance a large part, begun by the greedy search: with changes near the groups that it left, as far around them as
        there is need, else with every trit 0. None where neither does."""
        try:
            for name, delta in started.items():
                self.change(name, delta)
            names = self._members(left)
            while len(names) <= MAX_UNKNOWNS:
                found, _ = self._solved(names, left, nodes)
                if found is not None:
                    totals = {name: balanced_residue(started.get(name, 0) + found.get(name, 0)) for name in started | found}
                    return {name: total for name, total in totals.items() if total}
                names = self._members(place for name in names for place in self.groups_of[name])
        finally:
            for name, delta in started.items():
                self.change(name, -delta)
        return self._all_zero(left)

    def _all_zero(self, places: Collection[int]) -> Changes | None:
        """Every trit 0 in the part of these groups: that balances whatever holds no fixed member, and is far from the fewest changes."""
        part, waiting = set(places), list(places)
        while waiting:
            for name in self.weights[waiting.pop()]:
                fresh = [place for place in self.groups_of[name] if place not in part]
                part.update(fresh)
                waiting += fresh
        found = {name: -trit for name in sorted(self._members(part)) if (trit := balanced_residue(self.trit_of[name]))}
        for name, delta in found.items():
            self.change(name, delta)
        balanced = self.violated.isdisjoint(part)
        for name, delta in found.items():
            self.change(name, -delta)
        return found if balanced else None

    def _members(self, places: Iterable[int]) -> set[str]:
        return {name for place in set(places) for name in self.weights[place]}

    def _solved(self, names: Collection[str], places: Iterable[int], nodes: int) -> tuple[Changes | None, bool]:
        """Changes of these skills alone that balance these groups and leave all others that they are in balanced."""
        bit = {name: 1 << place for place, name in enumerate(sorted(names))}
        rows = []
        for place in sorted({*places, *(place for name in names for place in self.groups_of[name])}):
            inside = [(bit[name], weight % 3) for name, weight in self.weights[place].items() if name in bit]
            row = sum(one for one, weight in inside if weight == 1), sum(one for one, weight in inside if weight == 2)
            rows.append((row, -self.sums[place]))
        solutions = linear.solve(rows, len(bit))
        if solutions is None:
            return None, True
        (plus, minus), certain = solutions.fewest(nodes)
        return {name: 1 if one & plus else -1 for name, one in bit.items() if one & (plus | minus)}, certain

    def gain(self, name: str, delta: int) -> int:
        """How many more groups balance after the change."""
        total = 0
        for place in self.groups_of[name]:
            after = (self.sums[place] + delta * self.weights[place][name]) % 3
            total += (self.sums[place] != 0) - (after != 0)
        return total

    def search(self, violated: Sequence[int], least: int, best: int | None, nodes: int) -> tuple[Changes | None, bool, int]:
        """Fewer changes than `best`, by trying all of `least`, of one more, ...

        Returns the changes (None where there are none below `best`, or none were found in time), whether that is certain, and how many
        changes are needed at least.
        """
        budget = iter(range(nodes))
        others = self.violated - set(violated)
        self.violated -= others
        try:
            limit = least
            while best is None or limit < best:
                state = _State(self, budget)
                found = state.extend(limit)
                if found is not None:
                    return found, True, limit
                if state.out_of_budget:
                    return None, False, limit
                if not state.cut:
                    return None, True, limit  # nothing was left untried for want of changes: there is no solution
                limit += 1
            return None, True, limit
        finally:
            self.violated |= others


class _State:
    """One depth-first search with a given number of changes."""

    def __init__(self, problem: Decoding, budget: Iterator[int]) -> None:
        self.problem, self.budget = problem, budget
        self.chosen: Changes = {}
        self.settled: set[str] = set()
        """Skills whose change is decided, be it none."""
        self.out_of_budget = False
        self.cut = False
        """Something was given up because the changes ran out."""

    def extend(self, left: int) -> Changes | None:
        problem = self.problem
        if not problem.violated:
            return dict(self.chosen)
        if next(self.budget, None) is None:
            self.out_of_budget = True
            return None
        if left == 0 or problem.lower_bound(problem.violated) > left:
            self.cut = True
            return None
        # One member at least must change; where few can, few branches are.
        place = min(problem.violated, key=lambda one: (sum(name not in self.settled for name in problem.weights[one]), one))
        open_members = sorted(name for name in problem.weights[place] if name not in self.settled)
        tried: list[str] = []
        found = None
        for name in open_members:
            self.settled.add(name)
            tried.append(name)
            for delta in (1, -1):
                problem.change(name, delta)
                self.chosen[name] = delta
                found = self.extend(left - 1)
                del self.chosen[name]
                problem.change(name, -delta)
                if found is not None or self.out_of_budget:
                    break
            if found is not None or self.out_of_budget:
                break
        self.settled.difference_update(tried)
        return found


def _weights(group: Collection[str], fixed: Collection[str]) -> dict[str, int]:
    weights: dict[str, int] = {}
    for name in group:
        if name not in fixed:
            weights[name] = weights.get(name, 0) + 1
    return {name: weight for name, weight in weights.items() if weight % 3}
