"""Arithmetic in the field with three elements, against brute force."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realitygap_plugins.triads.gf3 import (
    advice,
    balanced_residue,
    completing_trit,
    group_sum,
    is_balanced,
    mendings,
)

trits = st.sampled_from([-1, 0, 1])
groups = st.lists(trits, max_size=9)
names = st.text("abcdefghij", min_size=1, max_size=3)
skills = st.dictionaries(names, trits, max_size=12)


@pytest.mark.parametrize(("number", "residue"), [(-4, -1), (-3, 0), (-2, 1), (-1, -1), (0, 0), (1, 1), (2, -1), (3, 0), (4, 1), (5, -1)])
def test_balanced_residues_by_hand(number: int, residue: int) -> None:
    assert balanced_residue(number) == residue


@given(st.integers())
def test_a_residue_is_a_trit_congruent_to_its_number(number: int) -> None:
    residue = balanced_residue(number)
    assert residue in (-1, 0, 1)
    assert (number - residue) % 3 == 0


def test_exactly_the_uniform_and_the_mixed_triads_balance() -> None:
    balanced = {tuple(sorted(triad)) for triad in product((-1, 0, 1), repeat=3) if is_balanced(triad)}
    assert balanced == {(-1, -1, -1), (0, 0, 0), (1, 1, 1), (-1, 0, 1)}


@given(groups)
def test_the_completing_trit_balances_and_is_the_only_one(group: list[int]) -> None:
    assert [trit for trit in (-1, 0, 1) if is_balanced([*group, trit])] == [completing_trit(group)]


@given(groups, groups)
def test_sums_do_not_depend_on_order_or_grouping(one: list[int], other: list[int]) -> None:
    assert group_sum([*one, *other]) == group_sum([group_sum(other), *reversed(one)])


@given(skills, skills)
def test_every_mending_balances_and_no_single_change_is_forgotten(trit_of: dict[str, int], others: dict[str, int]) -> None:
    found = mendings(trit_of, others)
    if is_balanced(trit_of.values()):
        assert found == []
        return
    joining = {name: trit for name, trit in others.items() if name not in trit_of}
    seen = set()
    for mending in found:
        group = dict(trit_of)
        if mending.kind in ("remove", "replace"):
            del group[mending.member or ""]
        if mending.kind == "change":
            group[mending.member or ""] = mending.trit or 0
        if mending.kind in ("add", "replace"):
            group[mending.skill or "a new one"] = joining.get(mending.skill or "", mending.trit or 0)
        assert is_balanced(group.values()), str(mending)
        seen.add((mending.kind, mending.member, mending.skill))
    for name in trit_of:
        assert ("change", name, None) in seen
        for other, joined in joining.items():
            fits = is_balanced([t for n, t in trit_of.items() if n != name] + [joined])
            assert (("replace", name, other) in seen) == fits
        if len(trit_of) > 2:
            assert (("remove", name, None) in seen) == is_balanced([t for n, t in trit_of.items() if n != name])
    for other, joined in joining.items():
        assert (("add", None, other) in seen) == is_balanced([*trit_of.values(), joined])


def test_advice_names_the_changes_and_the_skills_that_fit() -> None:
    # -1 + 0 + 0 = -1: it needs +1; a as 0, b as +1 or c as +1 would do, and so would leaving a out.
    text = advice({"a": -1, "b": 0, "c": 0}, {"d": 1, "e": 1, "f": 0})
    assert text == "changing a to 0 or b to +1 or c to +1 balances it, or add a skill with +1: d, e, or remove a"
    assert advice({"a": 1, "b": 1, "c": 1}) == "balanced"
