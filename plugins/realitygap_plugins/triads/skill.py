"""Skill `check-triads`; contract in skills/check-triads/skill.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap.errors import unknown
from realitygap.guide_files import reading_once
from realitygap_plugins.triads.claims import SkillRecord
from realitygap_plugins.triads.collection import Collection, collect, read_collection
from realitygap_plugins.triads.collection_checks import address_findings
from realitygap_plugins.triads.gf3 import completing_trit, group_sum, signed
from realitygap_plugins.triads.uris import collisions, colors_by_name
from realitygap_plugins.triads.verdicts import Judge, Verdict

if TYPE_CHECKING:
    from realitygap.context import RunContext
    from realitygap.skill import Skill

MOST_WARNINGS = 20


@reading_once()
def check(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Judges every declared trit and every claim about a group: of a folder, of a pipeline and its skills, or of the whole registry."""
    path, pipeline = inputs.get("path"), inputs.get("pipeline")
    registered = {} if path and not pipeline else _registered()
    if pipeline and pipeline not in registered:
        raise unknown("pipeline", pipeline, [name for name, skill in registered.items() if skill.is_pipeline])
    collection = read_collection(Path(path)) if path else collect(skill.directory for skill in registered.values())
    judge = Judge(collection.by_name)
    if pipeline and not path:
        collection = narrowed(collection, members_of(pipeline, registered))
    verdicts = [judge.judge(claim) for claim in run.track(collection.claims, "judging claims")]
    warn_of(collection.problems, run)
    outputs = count(collection, verdicts)
    if pipeline:
        outputs |= pipeline_sum(pipeline, registered)
    outputs["summary"] = summarise(outputs, verdicts)
    return outputs


def warn_of(problems: Sequence[str], run: RunContext) -> None:
    """Passes on what could not be read; of many only the first, because a collection in the wild has hundreds."""
    for problem in problems[:MOST_WARNINGS]:
        run.warn(problem)
    if len(problems) > MOST_WARNINGS:
        run.warn(f"{len(problems) - MOST_WARNINGS} more files or values could not be read as they should")


def members_of(pipeline: str, skills: Mapping[str, Skill]) -> set[str]:
    """A pipeline, the skills of its steps, and of the pipelines among them."""
    names: set[str] = set()
    waiting = [pipeline]
    while waiting:
        name = waiting.pop()
        if name not in names and name in skills:
            names.add(name)
            waiting += [str(step["uses"]) for step in skills[name].steps]
    return names


def narrowed(collection: Collection, names: set[str]) -> Collection:
    """Of a collection the skills named, and the claims in their files."""
    return Collection(
        records=tuple(record for record in collection.records if record.name in names),
        claims=tuple(claim for claim in collection.claims if claim.owner in names),
        problems=collection.problems,
        by_name={name: record for name, record in collection.by_name.items() if name in names},
        uris=tuple(uri for uri in collection.uris if uri.owner in names),
    )


def count(collection: Collection, verdicts: list[Verdict]) -> dict[str, Any]:
    """Numbers of skills by what they declare, of claims by arithmetic and truth, and the verdicts themselves."""
    records = collection.records
    arithmetic = [verdict.arithmetic for verdict in verdicts]
    conflicts = [record for record in collection.by_name.values() if record.conflicting]
    return {
        "skills": len(records),
        "declared": sum(bool(record.authored) for record in records),
        "undeclared": sum(not record.authored for record in records),
        "conflicting": len(conflicts),
        "conflicts": [conflict(record) for record in conflicts],
        "nonconforming": sum(not record.conforms for record in records),
        "records": [described(record) for record in records],
        "addresses": list(address_faults(collection)),
        "claims": len(verdicts),
        "balanced": arithmetic.count("balanced"),
        "unbalanced": arithmetic.count("unbalanced"),
        "undetermined": arithmetic.count("undetermined"),
        "false_claims": sum(verdict.truth == "false" for verdict in verdicts),
        "contradicted": sum(verdict.consistency == "contradicted" for verdict in verdicts),
        "vacuous": sum(verdict.claim.vacuous for verdict in verdicts),
        "injected": sum(verdict.claim.injected for verdict in verdicts),
        "verdicts": [{**verdict.to_json(), "vacuous": verdict.claim.vacuous} for verdict in verdicts],
    }


def described(record: SkillRecord) -> dict[str, Any]:
    """What one skill says of itself: its trit with the strongest place that declares it, and how its guide stands to the specification."""
    strongest = record.declared
    return {
        "skill": record.name,
        "path": record.path,
        "trit": record.trit,
        "source": strongest.source if strongest else None,
        "place": strongest.place if strongest else None,
        "conflicting": record.conflicting_authored,
        "conforms": record.conforms,
        "violations": list(record.violations),
        "problems": list(record.problems),
        "copies": list(record.copies),
    }


def address_faults(collection: Collection) -> Iterator[dict[str, Any]]:
    """What is wrong with `skill://name#COLOR` in the texts, and names or colours that collide. None of it decides a trit."""
    for finding in address_findings(collection.uris, collection.by_name):
        yield {"fault": finding.message, "path": finding.path, "line": finding.line}
    for name, colors in colors_by_name(collection.uris).items():
        if len(colors) > 1:
            first, *_ = colors.values()
            told = ", ".join(f"{color} at {uri.place}" for color, uri in colors.items())
            yield {"fault": f"{name} has several colours: {told}", "path": first.path, "line": first.line}
    for color, owners in collisions(collection.uris):
        first, *_ = owners.values()
        told = ", ".join(f"{name} at {uri.place}" for name, uri in owners.items())
        yield {"fault": f"{color} is the colour of several skills: {told}", "path": first.path, "line": first.line}


def conflict(record: SkillRecord) -> dict[str, Any]:
    """A skill that states more than one trit: every declaration with its place, and whether only injected blocks disagree."""
    stated = sorted(record.declarations, key=lambda d: (d.path, d.line))
    return {
        "name": record.name,
        "injected_only": not record.conflicting_authored,
        "declarations": [
            {"trit": d.trit, "source": d.source, "path": d.path, "line": d.line, "text": d.text} for d in stated if d.trit is not None
        ],
    }


def pipeline_sum(name: str, skills: Mapping[str, Skill]) -> dict[str, Any]:
    """The trits of a pipeline's steps and what they sum to.

    The steps need not balance: the pipeline's own trit says what it does as a whole. `step_completes` is what would balance them.
    """
    uses = [(str(step["id"]), str(step["uses"])) for step in skills[name].steps]
    trits = [{"step": step, "skill": used, "trit": skills[used].trit if used in skills else None} for step, used in uses]
    known = [skills[used].trit for _, used in uses if used in skills]
    complete = bool(known) and len(known) == len(trits)
    return {
        "pipeline": name,
        "step_trits": trits,
        "step_sum": sum(known) if complete else None,
        "step_sum_gf3": group_sum(known) if complete else None,
        "step_completes": completing_trit(known) if complete else None,
    }


def summarise(outputs: Mapping[str, Any], verdicts: list[Verdict]) -> str:
    """One to three lines, answer first."""
    claims, wrong = outputs["claims"], outputs["false_claims"]
    if claims == 0:
        head = f"No group of skills is claimed to balance; {outputs['declared']} of {outputs['skills']} skills declare a trit."
    else:
        judged = "all hold" if not wrong and not outputs["undetermined"] else f"{wrong} false"
        head = (
            f"{claims} claims about groups, {judged}: {outputs['balanced']} balanced, {outputs['unbalanced']} not, "
            f"{outputs['undetermined']} undetermined; {outputs['declared']} of {outputs['skills']} skills declare a trit."
        )
    lines = [head]
    worst = next((v for v in verdicts if v.truth == "false"), None) or next((v for v in verdicts if v.contradictions), None)
    if worst:
        lines.append(f"{worst.claim.place}: {worst.claim.text}: {worst.reason}")
    elif outputs["conflicting"]:
        first = outputs["conflicts"][0]
        stated = ", ".join(f"{signed(d['trit'])} at {d['path']}:{d['line']}" for d in first["declarations"])
        lines.append(f"{first['name']} states more than one trit: {stated}")
    if "pipeline" in outputs:
        steps = outputs["step_trits"]
        if outputs["step_sum"] is None:
            lines.append(f"{outputs['pipeline']}: the trit of some of its {len(steps)} steps is unknown")
        else:
            terms = " ".join(signed(row["trit"]) for row in steps)
            lines.append(
                f"{outputs['pipeline']}: {len(steps)} steps, {terms} = {outputs['step_sum']}, {signed(outputs['step_sum_gf3'])} modulo 3"
            )
    return "\n".join(lines)


def _registered() -> dict[str, Skill]:
    from realitygap.discovery import Registry

    return Registry.discover().skills
