"""Skill `import-skills`; contract in skills/import-skills/skill.yaml."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap.check import check_paths
from realitygap.discovery import Registry
from realitygap.errors import InputError
from realitygap.findings import Finding
from realitygap_plugins.triads.collection import read_collection
from realitygap_plugins.triads.import_writing import write
from realitygap_plugins.triads.importing import UNKNOWN_VERSION, Plan, plan, shown

if TYPE_CHECKING:
    from realitygap.context import RunContext

_FIELDS = ("version", "description", "license", "color")
"""What else may be unknown, besides the trit."""


def import_skills(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Writes a collection as manifests into the run, and reports what could not be known."""
    path = Path(inputs["path"])
    root = path if path.is_dir() else path.parent
    run.progress(0, 4, "reading")
    made = plan(read_collection(path), root)
    if not made.skills:
        reasons = "; ".join(f"{shown(Path(file), root)}: {why}" for file, why in made.not_imported[:3])
        raise InputError(f"nothing here can be imported: {reasons}", where=str(inputs["path"]))
    folder = run.artifact("skills")
    folder.mkdir()
    run.check_cancelled()
    run.progress(1, 4, "writing")
    write(made, folder)
    run.check_cancelled()
    run.progress(2, 4, "checking")
    findings = [one for one in check_paths([folder], Registry.discover()).findings if one.path and _below(one, folder)]
    run.progress(3, 4, "reporting")
    facts = _facts(made, root, folder, findings)
    run.artifact("import.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
    run.artifact("import.md").write_text(_markdown(facts), "utf-8")
    run.progress(4, 4, "done")
    counts = {name: facts.pop(name) for name in ("notes", "findings")}
    return {
        **facts,
        "notes": len(counts["notes"]),
        "findings": len(findings),
        "findings_by_rule": dict(sorted(Counter(one.rule for one in findings).items())),
        "folder": str(folder),
        "report": str(run.artifact("import.md")),
        "summary": _summary(facts, len(findings), len(counts["notes"])),
    }


def _below(finding: Finding, folder: Path) -> bool:
    return Path(os.path.abspath(finding.path)).is_relative_to(os.path.abspath(folder))


def _facts(made: Plan, root: Path, folder: Path, findings: Sequence[Finding]) -> dict[str, Any]:
    """All that the report says, as data. Files are named relative to the collection, or to the folder written."""
    skills = made.skills
    return {
        "imported": len(skills),
        "with_trit": sum(one.trit is not None for one in skills),
        "groups": len(made.groups),
        "unknown_trits": [
            {"skill": one.name, "source": shown(one.source, root), "reason": _relative(one.unknown["trit"], root)}
            for one in skills
            if "trit" in one.unknown
        ],
        "unknown": [
            {"skill": one.name, "field": name, "reason": one.unknown[name]} for name in _FIELDS for one in skills if name in one.unknown
        ],
        "claims_left_out": [
            {
                "claim": one.claim.text,
                "source": shown(Path(one.claim.path), root),
                "line": one.claim.line,
                "reason": _relative(one.reason, root),
            }
            for one in made.left_out
        ],
        "not_imported": [{"source": shown(Path(file), root), "reason": _relative(why, root)} for file, why in made.not_imported],
        "notes": [{"skill": one.name, "note": note} for one in skills for note in one.notes],
        "findings": [
            {
                "rule": one.rule,
                "severity": one.severity,
                "source": Path(os.path.relpath(one.path, folder)).as_posix(),
                "line": one.line,
                "message": one.message,
            }
            for one in findings
        ],
    }


def _relative(text: str, root: Path) -> str:
    """A text without the place of the collection, which is no part of what is said."""
    for prefix in sorted({str(root), os.path.abspath(root), os.path.relpath(root)}, key=len, reverse=True):
        if prefix not in (".", "/", ""):
            text = text.replace(prefix + "/", "")
    return text


def _summary(facts: Mapping[str, Any], findings: int, notes: int) -> str:
    unknown = len(facts["unknown_trits"])
    head = f"{facts['imported']} skills became manifests, {facts['with_trit']} with a trit; {unknown} have none until somebody settles it."
    if not unknown:
        head = f"{facts['imported']} skills became manifests, each with its trit."
    left = f"{facts['groups']} groups are declared; {len(facts['claims_left_out'])} claims were left out"
    left += f", {len(facts['not_imported'])} files not imported." if facts["not_imported"] else "."
    return f"{head}\n{left}\n`skills check` has {findings} findings on what was written, all in the report, with {notes} notes."


def _markdown(facts: Mapping[str, Any]) -> str:
    """The report for a person: what is to be settled, then what was left out, then what was worked around."""
    parts = [
        "# Import",
        f"{facts['imported']} skills, {facts['with_trit']} with a trit, {facts['groups']} groups.",
        "## Trits to settle",
        "A skill.yaml below has no `trit`, because none is known. -1 validates, 0 coordinates, +1 generates: its author decides.",
        _table(facts["unknown_trits"], ("skill", "source", "reason")),
        "## Not known either",
        f"A version that is not known is written as {UNKNOWN_VERSION}; what else is not known is left out.",
        _table(facts["unknown"], ("field", "skill", "reason")),
        "## Claims that no manifest declares",
        "They stay in the text of the guides.",
        _table(facts["claims_left_out"], ("claim", "source", "line", "reason")),
        "## Not imported",
        _table(facts["not_imported"], ("source", "reason")),
        "## Worked around",
        _table(facts["notes"], ("skill", "note")),
        "## What `skills check` says of the folder written",
        _table(facts["findings"], ("rule", "severity", "source", "line", "message")),
    ]
    return "\n\n".join(parts) + "\n"


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    if not rows:
        return "Nothing."
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(_cell(row[name]) for name in columns) + " |" for row in rows])


def _cell(value: Any) -> str:
    return " ".join(str(value).replace("|", "\\|").replace("<", "&lt;").split())
