"""Skill `suggest-triads`; contract in skills/suggest-triads/skill.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap.errors import InputError, unknown
from realitygap_plugins.triads.collection import collect, read_collection
from realitygap_plugins.triads.gf3 import completing_trit, group_sum, is_balanced, signed
from realitygap_plugins.triads.rebalance import Rebalancing, rebalance
from realitygap_plugins.triads.skill import warn_of
from realitygap_plugins.triads.suggest import Change, Suggestion, changes, suggest, ungrouped
from realitygap_plugins.triads.surroundings import Surroundings, survey

if TYPE_CHECKING:
    from realitygap.context import RunContext


def suggest_triads(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Groups that would contain the given skills, changes that balance a given set, or both of the whole collection."""
    known = _surroundings(inputs.get("path"), run)
    include, balance = _names(inputs["include"], known), _names(inputs["balance"], known)
    size, most = int(inputs["size"]), int(inputs["most"])
    outputs: dict[str, Any] = {
        "skills": len(known.trit_of) + len(known.unknown),
        "unknown": [{"skill": name, "reason": known.unknown[name]} for name in sorted(known.unknown)],
    }
    lines: list[str] = []
    if include:
        _require_trits(include, known)
        lines += _groups_with(include, size, most, known, outputs, run)
    if balance:
        lines += _set(balance, most, known, outputs)
    if not include and not balance:
        lines += _whole(size, most, frozenset(_names(inputs["keep"], known)), known, outputs, run)
    if known.unknown:
        lines.append(f"Left out, because their trit is not known: {_listed(sorted(known.unknown))}.")
    return {**outputs, "summary": "\n".join(lines[:3])}


def _surroundings(path: str | None, run: RunContext) -> Surroundings:
    if path is not None:
        collection = read_collection(Path(path))
        known = survey(collection)
    else:
        from realitygap.discovery import Registry

        skills = Registry.discover().skills
        collection = collect(skill.directory for skill in skills.values())
        known = survey(collection, skills)
    warn_of(collection.problems, run)
    return known


def _groups_with(include: Sequence[str], size: int, most: int, known: Surroundings, outputs: dict[str, Any], run: RunContext) -> list[str]:
    if len(include) >= size:
        raise InputError(
            f"{len(include)} skills leave no place in a group of {size}",
            where="input 'include'",
            hint="give a larger `size`; whether these balance, and what would balance them, says `balance`",
        )
    found = suggest(known, include, size=size, most=most)
    if not found.complete:
        run.warn(f"{_listed(include)} is linked with so many skills that not all groups were compared")
    outputs |= {"groups": [_group(one, known) for one in found.groups], "possible": found.possible}
    if not found.groups:
        wanted = signed(completing_trit(known.trit_of[name] for name in include))
        return [f"No group of {size} with {_listed(include)} balances and is new; the others would have to sum to {wanted}."]
    first = found.groups[0]
    why = f": {first.because[0]}" if first.because else ", though nothing links its members"
    return [f"{found.possible} balanced groups of {size} contain {_listed(include)}. First: {_shown(first.members, known)}{why}."]


def _set(balance: Sequence[str], most: int, known: Surroundings, outputs: dict[str, Any]) -> list[str]:
    """What balances one set. Nothing is assumed for a skill without a trit: what it would have to be is said."""
    without = [name for name in balance if name not in known.trit_of]
    trits = [known.trit_of[name] for name in balance if name in known.trit_of]
    outputs["set"] = {
        "members": [_member(name, known) for name in balance],
        "sum": None if without else sum(trits),
        "residue": None if without else group_sum(trits),
        "balanced": None if without else is_balanced(trits),
    }
    if without:
        outputs["changes"] = []
        wanted = signed(completing_trit(trits))
        if len(without) == 1:
            return [f"{without[0]} has no trit ({known.unknown[without[0]]}); the set balances if its author declares {wanted}."]
        return [f"{_listed(without)} have no trit; the set balances if what their authors declare sums to {wanted} modulo 3."]
    found = changes(known, balance)
    outputs["changes"] = [_change(one) for one in found[:most]]
    outputs["changes_found"] = len(found)
    terms = " ".join(f"{name} {signed(known.trit_of[name])}" for name in balance)
    if not found:
        return [f"The set balances: {terms} = {sum(trits)}."]
    others = f"; it breaks {len(found[0].breaks)} other groups" if found[0].breaks else "; no other group is touched"
    return [
        f"The set needs {signed(completing_trit(trits))}: {terms} = {sum(trits)}.",
        f"Least harm: {found[0].mending}{others}. {len(found)} single changes balance it.",
    ]


def _whole(size: int, most: int, keep: frozenset[str], known: Surroundings, outputs: dict[str, Any], run: RunContext) -> list[str]:
    """For each skill in no group the best one, and the fewest new trits that balance all groups that are claimed."""
    alone = ungrouped(known)
    best = [
        found.groups[0]
        for name in run.track(alone[:most], "looking for groups")
        if (found := suggest(known, [name], size=size, most=1)).groups
    ]
    outputs |= {"ungrouped": len(alone), "groups": [_group(one, known) for one in dict.fromkeys(best)]}
    lines = [
        f"{len(alone)} of {outputs['skills']} skills are in no group"
        + (f"; for them {len(outputs['groups'])} are suggested." if best else ".")
    ]
    wrong = [group for group in known.groups if not known.balances(group)]
    repaired = rebalance(known.trit_of, known.groups, fixed=keep)
    outputs["rebalance"] = {
        "groups": len(known.groups),
        "unbalanced": len(wrong),
        "changes": [{"skill": name, "from": known.trit_of[name], "to": trit} for name, trit in sorted(repaired.changes.items())],
        "lower_bound": repaired.lower_bound,
        "exact": repaired.exact,
        "unresolved": [list(known.groups[place]) for place in repaired.unbalanced],
    }
    outputs["repairs"] = [
        {"group": list(group), **_change(changes(known, group)[0])} for group in run.track(wrong[:most], "mending one by one")
    ]
    if not wrong:
        return [*lines, f"All {len(known.groups)} groups whose trits are known balance."]
    return [*lines, f"{len(wrong)} of {len(known.groups)} groups do not balance. {_repair(repaired, known)}"]


def _repair(repaired: Rebalancing, known: Surroundings) -> str:
    """What new trits would do, in one sentence or two."""
    told = ", ".join(f"{name} {signed(known.trit_of[name])} to {signed(trit)}" for name, trit in sorted(repaired.changes.items())[:3])
    more = f" and {len(repaired.changes) - 3} more" if len(repaired.changes) > 3 else ""
    fewest = "fewer cannot" if repaired.exact else f"fewer may do, at least {repaired.lower_bound}"
    mend = "1 new trit mends" if len(repaired.changes) == 1 else f"{len(repaired.changes)} new trits mend"
    said = [f"{mend} {'some' if repaired.unbalanced else 'all'} of them ({fewest}): {told}{more}."]
    if repaired.unbalanced:
        why = "with the trits that are to stay" if repaired.exact else "in the time of the search"
        left = f"For {len(repaired.unbalanced)} no new trits were found {why}; `repairs` mends each by itself."
        said = [*said, left] if repaired.changes else [left]
    return " ".join(said)


def _names(given: Sequence[str], known: Surroundings) -> list[str]:
    names = list(dict.fromkeys(given))
    for name in names:
        if name not in known.trit_of and name not in known.unknown:
            raise unknown("skill", name, {*known.trit_of, *known.unknown})
    return names


def _require_trits(names: Sequence[str], known: Surroundings) -> None:
    for name in names:
        if name in known.unknown:
            raise InputError(f"{name} has no trit: {known.unknown[name]}", hint="its author has to settle it first")


def _group(one: Suggestion, known: Surroundings) -> dict[str, Any]:
    return {
        "members": list(one.members),
        "trits": [known.trit_of[name] for name in one.members],
        "shown": _shown(one.members, known),
        "links": len(one.because),
        "because": list(one.because),
    }


def _change(one: Change) -> dict[str, Any]:
    mending = one.mending
    return {
        "change": str(mending),
        "kind": mending.kind,
        "member": mending.member,
        "skill": mending.skill,
        "trit": mending.trit,
        "breaks": [list(group) for group in one.breaks],
        "mends": [list(group) for group in one.mends],
        "because": list(one.because),
    }


def _member(name: str, known: Surroundings) -> dict[str, Any]:
    return {"skill": name, "trit": known.trit_of.get(name), "reason": known.unknown.get(name)}


def _shown(members: Sequence[str], known: Surroundings) -> str:
    return ", ".join(f"{name} {signed(known.trit_of[name])}" for name in members)


def _listed(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
