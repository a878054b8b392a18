"""The four verdicts on a claim: arithmetic, consistency, existence, truth. Each stands alone; none repairs another.

arithmetic   do the trits given with the claim sum to 0 modulo 3?
consistency  do they equal what each member declares itself?
existence    is every member a known skill?
truth        does what is said of the group hold for those trits? "needs +1" is true of an unbalanced group that +1 completes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from realitygap_plugins.triads.claims import Assertion, Claim, Member, SkillRecord, repeated
from realitygap_plugins.triads.gf3 import advice, balanced_residue, completing_trit, group_sum, is_balanced, signed

Arithmetic = Literal["balanced", "unbalanced", "undetermined"]
Consistency = Literal["consistent", "contradicted", "undetermined"]
Existence = Literal["known", "missing", "undetermined"]
Truth = Literal["true", "false", "undetermined"]


@dataclass(frozen=True, kw_only=True)
class Verdict:
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
    missing: tuple[str, ...]
    reason: str
    """One line: why, and how to mend what is wrong."""

    def to_json(self) -> dict[str, Any]:
        """A row of the output `verdicts`."""
        claim = self.claim
        return {
            "claim": claim.text,
            "path": claim.path,
            "line": claim.line,
            "owner": claim.owner,
            "form": claim.form,
            "members": [{"name": m.name, "trit": t, "placeholder": m.placeholder} for m, t in zip(claim.members, self.trits, strict=True)],
            "numbers": claim.numbers,
            "sum": self.total,
            "arithmetic": self.arithmetic,
            "consistency": self.consistency,
            "existence": self.existence,
            "truth": self.truth,
            "by_declared": self.by_declared,
            "contradictions": list(self.contradictions),
            "missing": list(self.missing),
            "injected": claim.injected,
            "notes": list(claim.notes),
            "reason": self.reason,
        }


def judge(claim: Claim, skills: Mapping[str, SkillRecord]) -> Verdict:
    """The verdicts on one claim, given the known skills by name."""
    declared = tuple(_declared(member, skills) for member in claim.members)
    trits = declared if claim.numbers == "declared" else tuple(member.trit for member in claim.members)
    known = [trit for trit in trits if trit is not None]
    complete = len(known) == len(trits)
    arithmetic = _arithmetic(trits)
    contradictions = _contradictions(claim, skills)
    missing = tuple(dict.fromkeys(m.name for m in claim.members if not m.placeholder and m.name not in skills))
    verdict = Verdict(
        claim=claim,
        trits=trits,
        arithmetic=arithmetic,
        consistency=_consistency(claim, skills, declared, contradictions),
        existence="missing" if missing else "undetermined" if any(m.placeholder for m in claim.members) else "known",
        truth=_truth(claim.assertions, known) if complete else "undetermined",
        by_declared=_arithmetic(declared),
        total=sum(known) if complete else None,
        contradictions=contradictions,
        missing=missing,
        reason="",
    )
    return _with_reason(verdict, skills)


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


def _consistency(
    claim: Claim, skills: Mapping[str, SkillRecord], declared: Sequence[int | None], contradictions: Sequence[str]
) -> Consistency:
    if contradictions:
        return "contradicted"
    if claim.numbers == "stated" and any(member.trit is None for member in claim.members):
        return "undetermined"
    return "undetermined" if any(trit is None for trit in declared) else "consistent"


def _truth(assertions: Sequence[Assertion], trits: Sequence[int]) -> Truth:
    if not assertions:
        return "undetermined"
    return "true" if all(_holds(assertion, trits) for assertion in assertions) else "false"


def _holds(assertion: Assertion, trits: Sequence[int]) -> bool:
    if assertion.kind == "balanced":
        return is_balanced(trits)
    if assertion.kind == "unbalanced":
        return not is_balanced(trits)
    if assertion.kind == "needs":
        return not is_balanced(trits) and completing_trit(trits) == assertion.value
    if assertion.kind == "sum":
        return sum(trits) == assertion.value
    return group_sum(trits) == balanced_residue(assertion.value)


def _places(record: SkillRecord) -> str:
    return " and ".join(f"{signed(d.trit or 0)} ({d.place})" for d in record.authored)


def _with_reason(verdict: Verdict, skills: Mapping[str, SkillRecord]) -> Verdict:
    claim = verdict.claim
    parts = []
    if problems := [f"{m.name}: {m.problem}" for m in claim.members if m.problem]:
        parts.append("; ".join(problems))
    if verdict.total is not None:
        terms = " ".join(signed(trit) for trit in verdict.trits if trit is not None)
        residue = balanced_residue(verdict.total)
        parts.append(f"{terms} = {verdict.total}" + ("" if residue == verdict.total else f", {signed(residue)} modulo 3"))
    else:
        parts.append("no trit known for " + ", ".join(m.name for m, t in zip(claim.members, verdict.trits, strict=True) if t is None))
    if verdict.truth == "false":
        group = {m.name: t for m, t in zip(claim.members, verdict.trits, strict=True) if t is not None}
        denied = verdict.arithmetic == "balanced"
        mend = "" if denied or len(group) < len(claim.members) else "; " + advice(group, _others(skills))
        parts.append(("false: the group balances" if denied else "false") + mend)
    if twice := repeated([m.name for m in claim.members]):
        parts.append(f"named twice: {', '.join(twice)}")
    parts += verdict.contradictions
    if verdict.missing:
        parts.append(f"not a known skill: {', '.join(verdict.missing)}")
    if claim.injected:
        parts.append("in a block written by a tool")
    return replace(verdict, reason="; ".join(parts))


def _others(skills: Mapping[str, SkillRecord]) -> dict[str, int]:
    return {name: record.trit for name, record in skills.items() if record.trit is not None}
