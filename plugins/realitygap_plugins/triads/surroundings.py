"""What a suggestion needs to know of a collection: trits, groups that are claimed, and which skills belong together.

Two skills belong together where a manifest says so (`depends_on`, `enables`, steps of one pipeline), or where a claim names both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap import document as documents
from realitygap.errors import InputError
from realitygap_plugins.triads.claims import Claim, SkillRecord
from realitygap_plugins.triads.collection import MANIFEST, Collection
from realitygap_plugins.triads.gf3 import is_balanced, signed

if TYPE_CHECKING:
    from realitygap.skill import Skill


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """A collection as suggestions see it."""

    trit_of: Mapping[str, int]
    """Skills whose author declares one trit."""
    unknown: Mapping[str, str]
    """The other skills, and why each has no trit."""
    groups: tuple[tuple[str, ...], ...]
    """Groups that are claimed to balance and whose members all have a trit: each once, members sorted, none twice."""
    named: frozenset[frozenset[str]]
    """Every group that is named in any way."""
    links: Mapping[str, Mapping[str, str]]
    """Skill to skill to why they belong together, both ways."""

    def balances(self, group: Iterable[str]) -> bool:
        return is_balanced(self.trit_of[name] for name in group)

    def linked(self, members: Iterable[str]) -> tuple[str, ...]:
        """Why members of a group belong together, one text a pair that does."""
        pairs = combinations(sorted(members), 2)
        return tuple(self.links[one][other] for one, other in pairs if other in self.links.get(one, {}))


def survey(collection: Collection, skills: Mapping[str, Skill] | None = None) -> Surroundings:
    """The surroundings of a collection. `skills` are those of a registry; without them the manifests of the collection are read."""
    by_name = collection.by_name
    claims = [claim for claim in collection.claims if claim.named and not claim.injected]
    trit_of = {name: record.trit for name, record in by_name.items() if record.trit is not None}
    groups = {
        tuple(sorted(claim.names))
        for claim in claims
        if len(set(claim.names)) == len(claim.names) > 1 and all(name in trit_of for name in claim.names) and _says_balanced(claim)
    }
    links: dict[str, dict[str, str]] = {}
    for one, other, why in _links(collection, skills, claims):
        if one != other and one in by_name and other in by_name:
            links.setdefault(one, {}).setdefault(other, why)
            links.setdefault(other, {}).setdefault(one, why)
    return Surroundings(
        trit_of=trit_of,
        unknown={name: why_unknown(record) for name, record in by_name.items() if record.trit is None},
        groups=tuple(sorted(groups)),
        named=frozenset(frozenset(claim.names) for claim in claims),
        links=links,
    )


def why_unknown(record: SkillRecord) -> str:
    """Why a skill has no trit. Raises nothing; empty for one that has."""
    if record.conflicting_authored:
        return "it states " + " and ".join(f"{signed(one.trit or 0)} ({one.place})" for one in record.authored)
    if record.authored:
        return ""
    if unread := [one for one in record.declarations if one.problem]:
        return "; ".join(f"{one.problem} ({one.place})" for one in unread)
    if injected := [one for one in record.declarations if one.trit is not None]:
        return "only in a block written by a tool: " + ", ".join(f"{signed(one.trit or 0)} ({one.place})" for one in injected)
    return "no trit is stated"


def _says_balanced(claim: Claim) -> bool:
    return not claim.assertions or any(one.kind == "balanced" for one in claim.assertions)


def _links(collection: Collection, skills: Mapping[str, Skill] | None, claims: Iterable[Claim]) -> Iterator[tuple[str, str, str]]:
    """What an author links comes before what only stands together."""
    if skills is None:
        manifests = list(_manifests(collection))
    else:
        manifests = [(name, {"depends_on": one.depends_on, "enables": one.enables, "steps": one.steps}) for name, one in skills.items()]
    for name, data in manifests:
        yield from ((name, other, f"{name} depends on {other}") for other in _texts(data.get("depends_on")))
        yield from ((name, other, f"{name} enables {other}") for other in _texts(data.get("enables")))
    for name, data in manifests:
        used = _texts([step.get("uses") for step in data.get("steps") or () if isinstance(step, Mapping)])
        yield from ((one, other, f"{one} and {other} are steps of {name}") for one, other in combinations(sorted(set(used)), 2))
        yield from ((name, one, f"{name} uses {one}") for one in used)
    for claim in claims:
        place = f"named together at {claim.place}"
        yield from ((one, other, f"{one} and {other} are {place}") for one, other in combinations(dict.fromkeys(claim.names), 2))


def _manifests(collection: Collection) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for record in collection.records:
        path = Path(record.path)
        if path.name != MANIFEST:
            continue
        try:
            data = documents.load(path).data
        except InputError:
            continue  # `Collection.problems` has it
        if isinstance(data, Mapping):
            yield record.name, data


def _texts(value: Any) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list | tuple) else []
