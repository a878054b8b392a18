"""Balanced groups counted and listed, partitions and overlapping groups mended with the fewest changes, all against brute force."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import combinations, islice, product
from math import comb

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from realitygap_plugins.triads import decoding
from realitygap_plugins.triads.gf3 import is_balanced
from realitygap_plugins.triads.groups import balanced_groups, count_balanced, count_balanced_with, counts_of, patterns
from realitygap_plugins.triads.rebalance import into_triads, rebalance

trits = st.sampled_from([-1, 0, 1])
skills = st.dictionaries(st.sampled_from("abcdefgh"), trits, max_size=8)
sizes = st.integers(0, 5)


def test_the_patterns_of_triads_and_quads_by_hand() -> None:
    assert sorted(patterns(3)) == [(0, 0, 3), (0, 3, 0), (1, 1, 1), (3, 0, 0)]
    assert sorted(patterns(4)) == [(0, 1, 3), (0, 4, 0), (1, 2, 1), (2, 0, 2), (3, 1, 0)]


@given(skills, sizes)
def test_the_closed_form_counts_what_the_iterator_lists_and_brute_force_finds(trit_of: dict[str, int], size: int) -> None:
    expected = {group for group in combinations(sorted(trit_of), size) if is_balanced(trit_of[name] for name in group)}
    listed = list(balanced_groups(trit_of, size))
    assert set(listed) == expected
    assert len(listed) == len(expected) == count_balanced(counts_of(trit_of.values()), size)


@given(skills, sizes, st.lists(st.sampled_from("abcdefgh"), max_size=3))
def test_groups_that_contain_given_skills(trit_of: dict[str, int], size: int, wanted: list[str]) -> None:
    assume(set(wanted) <= set(trit_of))
    expected = {group for group in balanced_groups(trit_of, size) if set(wanted) <= set(group)}
    assert set(balanced_groups(trit_of, size, containing=wanted)) == expected
    assert count_balanced_with(trit_of, wanted, size) == len(expected)


def test_ten_thousand_skills_have_their_triads_counted_and_begun_at_once() -> None:
    trit_of = {f"s{index:05d}": index % 3 - 1 for index in range(10_000)}
    # 3334 of -1, 3333 of 0 and of +1.
    assert count_balanced(counts_of(trit_of.values())) == comb(3334, 3) + 2 * comb(3333, 3) + 3334 * 3333 * 3333 == 55_538_892_222
    assert [is_balanced(trit_of[name] for name in group) for group in islice(balanced_groups(trit_of, 4), 50)] == [True] * 50


def fewest_for_triads(trit_of: Mapping[str, int]) -> int:
    """Fewest changed, removed or added skills so that at least one triad is left and all fall into balanced triads, by trying."""

    def partitions(values: tuple[int, ...]) -> bool:
        if not values:
            return True
        first, rest = values[0], values[1:]
        return any(
            (first + rest[i] + rest[j]) % 3 == 0 and partitions(rest[:i] + rest[i + 1 : j] + rest[j + 1 :])
            for i, j in combinations(range(len(rest)), 2)
        )

    frontier, cost = {tuple(sorted(trit_of.values()))}, 0
    while not any(len(one) >= 3 and len(one) % 3 == 0 and partitions(one) for one in frontier):
        following = set()
        for one in frontier:
            for place in range(len(one)):
                following.add(tuple(sorted(one[:place] + one[place + 1 :])))
                following |= {tuple(sorted((*one[:place], trit, *one[place + 1 :]))) for trit in (-1, 0, 1)}
            following |= {tuple(sorted((*one, trit))) for trit in (-1, 0, 1)}
        frontier, cost = following, cost + 1
    return cost


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from("abcdefg"), trits, min_size=1, max_size=7))
def test_a_partition_into_triads_takes_the_fewest_changes(trit_of: dict[str, int]) -> None:
    found = into_triads(trit_of)
    final = {name: found.changes.get(name, trit) for name, trit in trit_of.items() if name not in found.removed}
    members = [name for triad in found.triads for name in triad]
    assert sorted(name for name in members if not name.startswith("?")) == sorted(final)
    assert len(members) == len(final) + len(found.added)
    value = {**final, "?+1": 1, "?0": 0, "?-1": -1}
    assert all(is_balanced(value[name] for name in triad) for triad in found.triads)
    assert found.cost == fewest_for_triads(trit_of)


def fewest_changes(trit_of: Mapping[str, int], groups: list[list[str]], fixed: set[str]) -> int | None:
    names = sorted(set(trit_of) - fixed)
    best = None
    for values in product((-1, 0, 1), repeat=len(names)):
        after = {**trit_of, **dict(zip(names, values, strict=True))}
        if all(is_balanced(after[name] for name in group) for group in groups):
            cost = sum(after[name] != trit_of[name] for name in names)
            best = cost if best is None else min(best, cost)
    return best


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(dict.fromkeys("abcdef", trits)),
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4), max_size=6),
    st.sets(st.sampled_from("abcdef"), max_size=3),
)
def test_overlapping_groups_are_balanced_with_the_fewest_changes(trit_of: dict[str, int], groups: list[list[str]], fixed: set[str]) -> None:
    found = rebalance(trit_of, groups, fixed=fixed)
    best = fewest_changes(trit_of, groups, fixed)
    assert found.exact
    assert (found.unbalanced == ()) == (best is not None)
    if best is not None:
        after = {**trit_of, **found.changes}
        assert all(is_balanced(after[name] for name in group) for group in groups)
        assert not set(found.changes) & fixed
        assert len(found.changes) == found.lower_bound == best


@settings(max_examples=150, deadline=None)
@given(
    st.fixed_dictionaries(dict.fromkeys("abcdef", trits)),
    st.lists(st.lists(st.sampled_from("abcdef"), min_size=1, max_size=4), max_size=6),
    st.sets(st.sampled_from("abcdef"), max_size=3),
    st.integers(0, 30),
)
def test_without_time_to_search_a_balance_is_still_found_where_there_is_one_and_its_bound_holds(
    trit_of: dict[str, int], groups: list[list[str]], fixed: set[str], nodes: int
) -> None:
    found = rebalance(trit_of, groups, fixed=fixed, nodes=nodes)
    best = fewest_changes(trit_of, groups, fixed)
    assert (found.unbalanced == ()) == (best is not None)
    if best is not None:
        after = {**trit_of, **found.changes}
        assert all(is_balanced(after[name] for name in group) for group in groups)
        assert not set(found.changes) & fixed
        assert found.lower_bound <= best <= len(found.changes)
        assert len(found.changes) == best or not found.exact


def overlapping(seed: int, skills: int, number: int) -> tuple[dict[str, int], list[list[str]]]:
    rng = random.Random(seed)
    names = [f"s{index}" for index in range(skills)]
    return {name: rng.choice([-1, 0, 1]) for name in names}, [rng.sample(names, 3) for _ in range(number)]


@pytest.mark.parametrize(("skills", "number"), [(30, 20), (60, 60), (100, 80), (200, 140)])
@pytest.mark.parametrize("at_once", [0, 10, 500])
def test_with_nothing_fixed_every_group_is_balanced_however_much_they_overlap(
    skills: int, number: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Every trit 0 balances everything, so that there always is a solution; below `at_once` skills it is found by equations.
    monkeypatch.setattr(decoding, "MAX_UNKNOWNS", at_once)
    trit_of, groups = overlapping(0, skills, number)
    found = rebalance(trit_of, groups, nodes=200)
    after = {**trit_of, **found.changes}
    assert found.unbalanced == ()
    assert all(is_balanced(after[name] for name in group) for group in groups)
    assert found.lower_bound <= len(found.changes) <= sum(trit != 0 for trit in trit_of.values())


def test_as_many_groups_as_skills_leave_few_solutions_and_the_best_is_found() -> None:
    trit_of, groups = overlapping(0, 60, 60)
    found = rebalance(trit_of, groups)
    assert (found.exact, found.lower_bound, found.unbalanced) == (True, len(found.changes), ())
    assert 0 < len(found.changes) <= sum(trit != 0 for trit in trit_of.values())


def test_what_is_fixed_too_far_is_said_to_have_no_solution_with_certainty_and_counts_in_the_bound() -> None:
    trit_of, groups = overlapping(0, 60, 60)
    # Two groups of the same skills and one more that is fixed on different trits.
    trit_of |= {"here": 0, "there": 1}
    groups += [["s0", "s1", "here"], ["s0", "s1", "there"]]
    found = rebalance(trit_of, groups, fixed=("here", "there"))
    assert found.unbalanced
    assert found.exact
    assert found.lower_bound > 0


@pytest.mark.parametrize("seed", range(2))
def test_errors_planted_apart_among_ten_thousand_skills_are_all_found(seed: int) -> None:
    rng = random.Random(seed)
    right = {f"s{index}": rng.choice([-1, 0, 1]) for index in range(10_000)}
    by_trit: dict[int, list[str]] = {trit: [name for name, one in right.items() if one == trit] for trit in (-1, 0, 1)}
    groups, names = [], sorted(right)
    for _ in range(20_000):
        first, second = rng.sample(names, 2)
        groups.append([first, second, rng.choice(by_trit[(-right[first] - right[second] + 1) % 3 - 1])])
    used = {name for group in groups for name in group}
    wrong = rng.sample(sorted(used), 40)
    broken = {**right, **{name: (right[name] + 2) % 3 - 1 for name in wrong}}
    found = rebalance(broken, groups)
    after = {**broken, **found.changes}
    assert all(is_balanced(after[name] for name in group) for group in groups)
    # Undoing the errors balances all, so that no more are needed; and that fewer do not is proved.
    assert (len(found.changes), found.lower_bound, found.exact) == (40, 40, True)
