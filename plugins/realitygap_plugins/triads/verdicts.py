"""The four verdicts on a claim: arithmetic, consistency, existence, truth. Each stands alone; none repairs another.

arithmetic   do the trits given with the claim sum to 0 modulo 3?
consistency  do they equal what each member declares itself?
existence    is every member a known skill?
truth        does what is said of the group hold for those trits? "needs +1" is true of an unbalanced group that +1 completes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, Literal, NamedTuple

from realitygap_plugins.triads.claims import Assertion, Claim, Member, SkillRecord, repeated
from realitygap_plugins.triads.gf3 import TRITS, advice, balanced_residue, completing_trit, group_sum, is_balanced, signed

Arithmetic = Literal["balanced", "unbalanced", "undetermined"]
Consistency = Literal["consistent", "contradicted", "undetermined"]
Existence = Literal["known", "missing", "undetermined"]
Truth = Literal["true", "false", "undetermined"]
Fault = Literal["", "balance", "denial", "completion", "sum"]


class Verdict(NamedTuple):
    """A claim with its four verdicts."""

    claim: Claim
    trits: tuple[int | None, ...]
    """The trit of each member that the arithmetic used; None where there is none."""
    arithmetic: Arithmetic
    consistency: Consistency
    existence: Existence
    truth: Truth
    by_declared: Arithmetic
    """Whether the group balances by what the members declare, whatever the claim states."""
    total: int | None
    """The integer sum; 3 and 0 both balance."""
    contradictions: tuple[str, ...]
    places: tuple[str, ...]
    """Where the members declare their trits, as `contradictions` and `why` name it."""
    missing: tuple[str, ...]
    wrong: tuple[Assertion, ...]
    """What the claim says that does not hold."""
    fault: Fault
    """What a false claim is wrong about: it claims `balance`, makes a `denial` of it, names a wrong `completion`, or a wrong `sum`."""
    mend: str = ""
    """One line: how to make a false claim true; empty for others."""

    @property
    def why(self) -> str:
        """One line: what the arithmetic gives, and what is wrong."""
        return _why(self.claim, self.trits, self.wrong, self.contradictions, self.missing)

    @property
    def reason(self) -> str:
        """Why, and how to mend it."""
        return f"{self.why}; {self.mend}" if self.mend else self.why

    def to_json(self) -> dict[str, Any]:
        """A row of the output `verdicts`."""
        claim = self.claim
        return {
            "claim": claim.text,
            "path": claim.path,
            "line": claim.line,
            "owner": claim.owner,
            "form": claim.form,
            "source": claim.source,
            "members": [{"name": m.name, "trit": t, "placeholder": m.placeholder} for m, t in zip(claim.members, self.trits, strict=True)],
            "numbers": claim.numbers,
            "sum": self.total,
            "arithmetic": self.arithmetic,
            "consistency": self.consistency,
            "existence": self.existence,
            "truth": self.truth,
            "fault": self.fault,
            "by_declared": self.by_declared,
            "contradictions": list(self.contradictions),
            "missing": list(self.missing),
            "injected": claim.injected,
            "notes": list(claim.notes),
            "reason": self.reason,
        }


def judge(claim: Claim, skills: Mapping[str, SkillRecord]) -> Verdict:
    """The verdicts on one claim, given the known skills by name. For many claims use one `Judge`."""
    return Judge(skills).judge(claim)


class Judge:
    """Judges claims, given the known skills by name. Where some of the `own` ones can mend a claim, others are not advised."""

    def __init__(self, skills: Mapping[str, SkillRecord], own: Collection[str] = ()) -> None:
        self.skills = skills
        self.own = own

    def judge(self, claim: Claim) -> Verdict:
        """The verdicts on one claim."""
        skills = self.skills
        declared = tuple(_declared(member, skills) for member in claim.members)
        trits = declared if claim.numbers == "declared" else tuple(member.trit for member in claim.members)
        known = [trit for trit in trits if trit is not None]
        complete = len(known) == len(trits) and bool(trits)
        contradictions = _contradictions(claim, skills)
        missing = tuple(dict.fromkeys(m.name for m in claim.members if m.name and not m.placeholder and m.name not in skills))
        wrong = tuple([one for one in claim.assertions if not _holds(one, known)]) if complete else ()
        truth: Truth = "undetermined" if not complete or not claim.assertions else "false" if wrong else "true"
        fault: Fault = _FAULTS[wrong[0].kind] if wrong else ""
        arithmetic = _arithmetic(trits)
        return Verdict(
            claim=claim,
            trits=trits,
            arithmetic=arithmetic,
            consistency=_consistency(claim, declared, contradictions),
            existence=_existence(claim, missing),
            truth=truth,
            by_declared=_arithmetic(declared),
            total=sum(known) if complete else None,
            contradictions=contradictions,
            places=tuple(d.place for m in claim.members if m.name in skills for d in skills[m.name].authored) if contradictions else (),
            missing=missing,
            wrong=wrong,
            fault=fault,
            mend=self._mend(claim, known, wrong[0]) if wrong else "",
        )

    def _mend(self, claim: Claim, trits: Sequence[int], wrong: Assertion) -> str:
        if wrong.kind != "balanced":
            return _correction(wrong, trits)
        group = {m.name: t for m, t in zip(claim.members, trits, strict=True)}
        wanted = completing_trit(trits)
        if len(group) < len(claim.members) or "" in group:
            return f"a trit of {signed(wanted)} more balances it"
        # Enough to find some that are no members.
        fitting = [name for name in self._by_trit[wanted][: len(group) + 3] if name not in group]
        joining = [name for name in fitting if name in self.own] or fitting
        return advice(group, dict.fromkeys(joining[:3], wanted))

    @cached_property
    def _by_trit(self) -> dict[int, list[str]]:
        """Names of the skills with each trit, sorted, the own ones first: who may join a group."""
        names: dict[int, list[str]] = {trit: [] for trit in TRITS}
        for name, record in self.skills.items():
            if record.trit is not None:
                names[record.trit].append(name)
        return {trit: sorted(found, key=lambda name: (name not in self.own, name)) for trit, found in names.items()}


_FAULTS: dict[str, Fault] = {
    "balanced": "balance",
    "unbalanced": "denial",
    "differs": "denial",
    "needs": "completion",
    "sum": "sum",
    "residue": "sum",
}


def _correction(wrong: Assertion, trits: Sequence[int]) -> str:
    if wrong.kind == "needs" and not is_balanced(trits):
        return f"write needs {signed(completing_trit(trits))}"
    if wrong.kind in ("needs", "unbalanced"):
        return "the group balances: write = 0"
    total = sum(trits)
    if wrong.kind == "residue":
        return f"write ≡ {signed(balanced_residue(total))} (mod 3)"
    return f"the trits sum to {signed(total)}: write = {signed(total)}"


def _is_so(wrong: Assertion, trits: Sequence[int]) -> str:
    """What is so, in the place of what is said."""
    if is_balanced(trits):
        return "the group balances"
    if wrong.kind == "needs":
        return f"it needs {signed(completing_trit(trits))}, not {signed(wrong.value)}"
    if wrong.kind == "balanced":
        return "it does not balance"
    if wrong.kind == "sum":
        return f"the sum is not {signed(wrong.value)}"
    return f"it is {signed(group_sum(trits))} modulo 3"


def _declared(member: Member, skills: Mapping[str, SkillRecord]) -> int | None:
    record = None if member.placeholder else skills.get(member.name)
    return record.trit if record else None


def _arithmetic(trits: Sequence[int | None]) -> Arithmetic:
    known = [trit for trit in trits if trit is not None]
    if len(known) < len(trits) or not trits:
        return "undetermined"
    return "balanced" if is_balanced(known) else "unbalanced"


def _contradictions(claim: Claim, skills: Mapping[str, SkillRecord]) -> tuple[str, ...]:
    found = []
    for member in claim.members:
        record = None if member.placeholder else skills.get(member.name)
        if record is None:
            continue
        if claim.numbers == "declared":
            if record.conflicting_authored:
                found.append(f"{member.name} declares {_places(record)}")
        elif member.trit is not None and record.authored_values and member.trit not in record.authored_values:
            found.append(f"{member.name} is stated as {signed(member.trit)}, declared as {_places(record)}")
    return tuple(dict.fromkeys(found))


def _consistency(claim: Claim, declared: Sequence[int | None], contradictions: Sequence[str]) -> Consistency:
    if contradictions:
        return "contradicted"
    if claim.numbers == "stated" and any(member.trit is None for member in claim.members):
        return "undetermined"
    return "undetermined" if any(trit is None for trit in declared) else "consistent"


def _existence(claim: Claim, missing: Sequence[str]) -> Existence:
    if missing:
        return "missing"
    return "undetermined" if any(member.placeholder or not member.name for member in claim.members) else "known"


def _holds(assertion: Assertion, trits: Sequence[int]) -> bool:
    if assertion.kind == "balanced":
        return is_balanced(trits)
    if assertion.kind == "unbalanced":
        return not is_balanced(trits)
    if assertion.kind == "differs":
        return group_sum(trits) != balanced_residue(assertion.value)
    if assertion.kind == "needs":
        return not is_balanced(trits) and completing_trit(trits) == assertion.value
    if assertion.kind == "sum":
        return sum(trits) == assertion.value
    return group_sum(trits) == balanced_residue(assertion.value)


def _places(record: SkillRecord) -> str:
    return " and ".join(f"{signed(d.trit or 0)} ({d.place})" for d in record.authored)


def _why(
    claim: Claim, trits: Sequence[int | None], wrong: Sequence[Assertion], contradictions: Sequence[str], missing: Sequence[str]
) -> str:
    parts = []
    if problems := [f"{m.name or 'a member'}: {m.problem}" for m in claim.members if m.problem]:
        parts.append("; ".join(problems))
    known = [trit for trit in trits if trit is not None]
    if len(known) == len(trits):
        total = sum(known)
        residue = balanced_residue(total)
        parts.append(f"{_terms(known)} = {total}" + ("" if residue == total else f", {signed(residue)} modulo 3"))
    else:
        parts.append("no trit known for " + ", ".join(m.name or "a member" for m, t in zip(claim.members, trits, strict=True) if t is None))
    if wrong:
        parts.append("false: " + " and ".join(dict.fromkeys(_is_so(one, known) for one in wrong)))
    if twice := repeated([m.name for m in claim.members]):
        parts.append(f"named twice: {', '.join(twice)}")
    parts += contradictions
    if missing:
        parts.append(f"not a known skill: {', '.join(missing)}")
    if claim.vacuous:
        parts.append("a placeholder is a member, so that the sum says nothing")
    if claim.injected:
        parts.append("in a block written by a tool")
    return "; ".join([*parts, *claim.notes])


def _terms(trits: Sequence[int]) -> str:
    shown = " ".join(signed(trit) for trit in trits[:12])
    return shown if len(trits) <= 12 else f"{shown} ... ({len(trits)} trits)"
