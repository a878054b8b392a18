"""The skill `suggest-triads`: its groups against brute force, its changes against what they do."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from math import comb
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realitygap.context import RunContext
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap_plugins.triads.suggest import changes, suggest, ungrouped
from realitygap_plugins.triads.suggest_skill import suggest_triads
from realitygap_plugins.triads.surroundings import Surroundings

NAMES = "abcdefgh"


@st.composite
def surroundings(draw: st.DrawFn) -> Surroundings:
    """Up to eight skills, some linked, some groups named."""
    trit_of = {name: draw(st.sampled_from([-1, 0, 1])) for name in NAMES[: draw(st.integers(3, 8))]}
    pairs = list(combinations(trit_of, 2))
    links: dict[str, dict[str, str]] = {}
    for one, other in draw(st.lists(st.sampled_from(pairs), max_size=10)):
        links.setdefault(one, {})[other] = links.setdefault(other, {})[one] = f"{one}{other}"
    groups = draw(
        st.lists(st.lists(st.sampled_from(sorted(trit_of)), min_size=2, max_size=4, unique=True).map(sorted).map(tuple), max_size=5)
    )
    named = frozenset(frozenset(group) for group in groups)
    return Surroundings(trit_of=trit_of, unknown={}, groups=tuple(sorted(set(groups))), named=named, links=links)


@given(surroundings(), st.integers(1, 2), st.integers(3, 4))
def test_every_balanced_group_that_is_new_is_suggested_once_and_the_best_linked_first(known: Surroundings, given: int, size: int) -> None:
    include = sorted(known.trit_of)[:given]
    balanced = {group for group in combinations(sorted(known.trit_of), size) if set(include) <= set(group) and known.balances(group)}
    found = suggest(known, include, size=size, most=1000)
    assert found.complete
    assert found.possible == len(balanced)
    assert len(found.groups) == len({one.members for one in found.groups})
    assert {one.members for one in found.groups} == {group for group in balanced if frozenset(group) not in known.named}

    def hangs_together(group: tuple[str, ...]) -> bool:
        reached, before = set(include), set[str]()
        while reached != before:
            before = set(reached)
            reached |= {name for name in group if set(known.links.get(name, {})) & reached}
        return reached >= set(group)

    together = [one for one in found.groups if hangs_together(one.members)]
    assert list(found.groups[: len(together)]) == together, "those that hang together come first"
    assert [len(one.because) for one in together] == sorted((len(one.because) for one in together), reverse=True)
    assert all(len(one.because) == sum(b in known.links.get(a, {}) for a, b in combinations(one.members, 2)) for one in found.groups)


@given(surroundings(), st.integers(2, 5))
def test_each_change_balances_the_set_and_its_harm_is_what_happens_to_the_others(known: Surroundings, number: int) -> None:
    names = sorted(known.trit_of)[:number]
    found = changes(known, names)
    assert (found == []) == known.balances(names)
    harms = [len(one.breaks) - len(one.mends) for one in found]
    assert harms == sorted(harms)
    for one in found:
        after = dict(known.trit_of)
        if one.mending.kind == "change":
            after[str(one.mending.member)] = int(one.mending.trit or 0)
            assert sum(after[name] for name in names) % 3 == 0
        others = [group for group in known.groups if group != tuple(names)]
        before_after = {group: (known.balances(group), sum(after[name] for name in group) % 3 == 0) for group in others}
        assert set(one.breaks) == {group for group, state in before_after.items() if state == (True, False)}
        assert set(one.mends) == {group for group, state in before_after.items() if state == (False, True)}


def test_ten_thousand_skills_are_no_reason_to_wait() -> None:
    # 3333 or 3334 of each trit, no links: with one skill of trit 0 a triad takes (-1, +1) or (0, 0) besides.
    trit_of = {f"skill-{number:05d}": number % 3 - 1 for number in range(10_000)}
    known = Surroundings(trit_of=trit_of, unknown={}, groups=(), named=frozenset(), links={})
    counts = [sum(trit == one for trit in trit_of.values()) for one in (-1, 0, 1)]
    assert trit_of["skill-00001"] == 0
    found = suggest(known, ["skill-00001"], most=5)
    assert found.possible == counts[0] * counts[2] + comb(counts[1] - 1, 2)
    assert len(found.groups) == 5
    assert len(ungrouped(known)) == 10_000


def manifest(
    root: Path, name: str, trit: int | None, triads: list[list[str]] | None = None, enables: tuple[str, ...] = (), body: str = ""
) -> None:
    folder = root / name
    folder.mkdir(parents=True)
    lines = ["schema: 1", f"name: {name}", "version: 0.1.0", "summary: Does it.", "entry: a:b", "inputs: {}", "outputs: {}"]
    lines += [f"trit: {trit}"] if trit is not None else []
    lines += [f"triads: [{', '.join('[' + ', '.join(group) + ']' for group in triads)}]"] if triads else []
    lines += [f"enables: [{', '.join(enables)}]"] if enables else []
    (folder / "skill.yaml").write_text("\n".join(lines) + "\n")
    (folder / "SKILL.md").write_text(f"---\nname: {name}\ndescription: Does it.\n---\n\n{body}\n")


def run(tmp_path: Path, **inputs: Any) -> Mapping[str, Any]:
    given = {"include": [], "balance": [], "keep": [], "size": 3, "most": 10} | inputs
    return suggest_triads(given, RunContext(folder=tmp_path / "run"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "skills"
    manifest(root, "measure", -1, [["measure", "plan", "make"]], enables=("plan",))
    manifest(root, "plan", 0, enables=("make",), body="measure (-1) ⊗ plan (0) ⊗ paint (+1) = 0")
    manifest(root, "make", 1)
    manifest(root, "paint", 1)
    manifest(root, "weigh", -1)
    manifest(root, "torn", 1, body="**Trit**: -1")
    return root


def test_a_group_says_why_its_members_belong_together(folder: Path, tmp_path: Path) -> None:
    outputs = run(tmp_path, path=str(folder), include=["measure"])
    # measure -1 takes (0, +1) or (-1, -1). plan with make or paint is named already; torn, which has no trit, is no partner.
    assert outputs["possible"] == 2
    assert outputs["groups"] == []
    outputs = run(tmp_path, path=str(folder), include=["make"])
    assert outputs["groups"] == [
        {
            "members": ["make", "plan", "weigh"], "trits": [1, 0, -1], "shown": "make +1, plan 0, weigh -1", "links": 1,
            "because": ["plan enables make"],
        }
    ]  # fmt: skip
    assert [row["skill"] for row in outputs["unknown"]] == ["torn"]
    assert "it states" in outputs["unknown"][0]["reason"]
    assert "SKILL.md:6" in outputs["unknown"][0]["reason"]
    assert "2 balanced groups of 3 contain make" in outputs["summary"]


def test_the_least_harmful_change_of_a_set_comes_first(folder: Path, tmp_path: Path) -> None:
    outputs = run(tmp_path, path=str(folder), balance=["measure", "weigh", "plan"])
    # -1 -1 0 = -2: it needs -1. A new trit for measure or plan unbalances the groups that have them, one for weigh does not.
    assert outputs["set"]["sum"] == -2
    assert outputs["set"]["residue"] == 1
    by_name = {row["change"]: row for row in outputs["changes"]}
    assert by_name["changing weigh to +1"]["breaks"] == []
    assert sorted(by_name["changing measure to +1"]["breaks"]) == [["make", "measure", "plan"], ["measure", "paint", "plan"]]
    assert outputs["changes"][0]["breaks"] == []
    assert outputs["changes"][-1]["breaks"] != []
    balanced = run(tmp_path, path=str(folder), balance=["measure", "plan", "make"])
    assert (balanced["changes"], balanced["set"]["balanced"]) == ([], True)


def test_nothing_is_assumed_for_a_skill_without_a_trit(folder: Path, tmp_path: Path) -> None:
    outputs = run(tmp_path, path=str(folder), balance=["measure", "torn"])
    assert outputs["changes"] == []
    assert outputs["set"]["members"][1]["trit"] is None
    assert "torn has no trit" in outputs["summary"]
    assert "if its author declares +1" in outputs["summary"]
    with pytest.raises(InputError, match="torn has no trit: it states"):
        run(tmp_path, path=str(folder), include=["torn"])


def test_a_whole_folder_gets_a_group_for_each_skill_without_one_and_the_fewest_new_trits(folder: Path, tmp_path: Path) -> None:
    outputs = run(tmp_path, path=str(folder))
    assert outputs["ungrouped"] == 1
    assert [row["members"] for row in outputs["groups"]] == [["make", "plan", "weigh"]]
    assert outputs["rebalance"] == {"groups": 2, "unbalanced": 0, "changes": [], "lower_bound": 0, "exact": True, "unresolved": []}
    # Two groups that share `paint` and sum to +1 each: one new trit mends both, and nothing less can.
    manifest(folder, "one", 0, [["one", "other", "paint"], ["one", "third", "paint"]])
    manifest(folder, "other", 0)
    manifest(folder, "third", 0)
    outputs = run(tmp_path, path=str(folder))
    assert (outputs["rebalance"]["unbalanced"], outputs["rebalance"]["exact"], outputs["rebalance"]["lower_bound"]) == (2, True, 1)
    (change,) = outputs["rebalance"]["changes"]
    assert (change["skill"], change["from"], change["to"]) in [("one", 0, -1), ("paint", 1, 0)]
    assert "1 new trit mends all of them (fewer cannot)" in outputs["summary"]
    repairs = {tuple(row["group"]): row for row in outputs["repairs"]}
    assert set(repairs) == {("one", "other", "paint"), ("one", "paint", "third")}
    assert all(row["breaks"] == [] for row in repairs.values())
    kept = run(tmp_path, path=str(folder), keep=["one", "paint"])["rebalance"]
    assert sorted(row["skill"] for row in kept["changes"]) == ["other", "third"], "each of the two alone"
    fixed = run(tmp_path, path=str(folder), keep=["one", "paint", "other", "third"])
    assert len(fixed["rebalance"]["unresolved"]) == 2
    assert "For 2 no new trits were found with the trits that are to stay; `repairs` mends each by itself." in fixed["summary"]


@pytest.mark.parametrize(
    ("inputs", "message", "hint"),
    [
        ({"include": ["mesure"]}, "unknown skill 'mesure'", "did you mean 'measure'?"),
        ({"balance": ["measure", "nobody-at-all"]}, "unknown skill 'nobody-at-all'", "there are:"),
        ({"keep": ["plann"]}, "unknown skill 'plann'", "did you mean 'plan'?"),
        ({"include": ["measure", "plan", "make"]}, "3 skills leave no place in a group of 3", "larger `size`"),
    ],
)
def test_what_cannot_be_is_explained(folder: Path, tmp_path: Path, inputs: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        run(tmp_path, path=str(folder), **inputs)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")


def test_without_a_path_it_looks_at_what_is_installed(tmp_path: Path) -> None:
    outputs = run(tmp_path, include=["train-policy"], size=4, most=3)
    assert outputs["skills"] == len(Registry.discover().skills)
    assert len(outputs["groups"]) == 3
    assert all(len(row["members"]) == 4 and sum(row["trits"]) % 3 == 0 and row["links"] >= 3 for row in outputs["groups"])
    assert run(tmp_path)["ungrouped"] == 0
