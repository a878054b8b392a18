"""The rules for one skill.yaml, beside its schema. Rules RG2xx of `rules.yaml`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from realitygap import assets, extras, static_names
from realitygap.discovery import BUILTIN_DISTRIBUTION, Registry
from realitygap.document import Document, join
from realitygap.errors import InputError, nearest
from realitygap.findings import Finding, Severity
from realitygap.guides import check_guide
from realitygap.inputs import PATH_FORMATS
from realitygap.schema import problems, validate
from realitygap.skill import Skill


def check_skill(skill: Skill, document: Document, registry: Registry) -> Iterator[Finding]:
    """Findings of one skill: its manifest, what it names, its guide, and its steps if it is a pipeline."""
    invalid = validate(document, "pipeline" if skill.is_pipeline else "skill")
    yield from invalid
    if skill.name != skill.directory.resolve().name:
        yield Finding.at(document, "/name", "RG201", f"name '{skill.name}' is not that of the folder, '{skill.directory.resolve().name}'")
    if skill.entry and not skill.is_pipeline and not any(one.rule == "RG101" and "entry" in one.message for one in invalid):
        yield from entry_finding(document, "/entry", skill.entry, "RG202")
    yield from _links(skill, document, registry)
    for number, extra in enumerate(skill.extras):
        if not extras.known(extra, skill.distribution):
            close = nearest(extra, extras.MARKERS)
            yield Finding.at(
                document, f"/extras/{number}", "RG204", f"unknown extra '{extra}'", hint=f"did you mean '{close}'?" if close else None
            )
    if not invalid:
        yield from _ports(skill, document, registry)
        yield from _examples(skill, document)
    yield from check_guide(skill.guide, skill)
    if skill.is_pipeline and not invalid:
        from realitygap.pipeline_check import check_pipeline

        yield from check_pipeline(skill, document, registry).findings


def entry_finding(document: Document, pointer: str, entry: str, rule: str) -> Iterator[Finding]:
    """A finding where `module:attribute` does not exist."""
    wrong = static_names.trouble(entry, document.path.parent if document.path else None)
    if wrong:
        yield Finding.at(document, pointer, rule, wrong[0], hint=wrong[1])


def name_findings(skill: Skill, document: Document, registry: Registry, *, installed: bool) -> Iterator[Finding]:
    """A finding where the skill's name belongs to somebody else.

    Args:
        installed: whether the skill is part of the registry, so that the clash is a fact; else it would be one once installed.
    """
    owner = registry.skills.get(skill.name)
    if owner is not None and owner.builtin and not skill.builtin:
        severity: Severity = "error" if installed else "warning"
        message = f"the name '{skill.name}' belongs to {BUILTIN_DISTRIBUTION}"
        hint = (
            f"it is reachable as '{skill.qualified_name}' only: choose another name" if installed else "an installed plugin cannot take it"
        )
        yield Finding.at(document, "/name", "RG205", message, hint=hint, severity=severity)
    for conflict in registry.conflicts:
        if installed and conflict.name == skill.name and not conflict.builtin:
            others = " and ".join(f"'{one}'" for one in conflict.claimed_by if one != skill.distribution)
            message = f"the name '{skill.name}' is claimed by {others} too"
            yield Finding.at(document, "/name", "RG205", message, hint=f"reachable as {conflict.reachable}", severity="warning")


def _links(skill: Skill, document: Document, registry: Registry) -> Iterator[Finding]:
    named = [(f"/{key}/{number}", name) for key in ("depends_on", "enables") for number, name in enumerate(getattr(skill, key))]
    for pointer, name in named:
        if name == skill.name:
            continue
        try:
            registry.skill(name)
        except InputError as error:
            if any(broken.path.parent.name == name for broken in registry.broken):
                continue
            yield Finding.at(document, pointer, "RG203", error.message, hint=error.hint)


def _ports(skill: Skill, document: Document, registry: Registry) -> Iterator[Finding]:
    sections: list[tuple[str, Mapping[str, Any]]] = [("inputs", skill.inputs)]
    if not skill.is_pipeline:
        sections.append(("outputs", skill.outputs))
    for section, ports in sections:
        for name, schema in ports.items():
            pointer = join("", section, name)
            form = schema.get("format")
            close = nearest(form, PATH_FORMATS) if isinstance(form, str) and form not in PATH_FORMATS else None
            if close:
                message = f"unknown format '{form}'"
                yield Finding.at(document, f"{pointer}/format", "RG208", message, hint=f"did you mean '{close}'?", severity="warning")
            if "default" not in schema:
                continue
            for problem in problems(schema["default"], schema):
                yield Finding.at(
                    document, f"{pointer}/default{problem.pointer}", "RG206", f"default of '{name}': {problem.message}", hint=problem.hint
                )
            default = schema["default"]
            if section == "inputs" and form in assets.KINDS and isinstance(default, str) and default not in registry.assets.get(form, {}):
                if os.path.exists(default):
                    continue
                close = nearest(default, registry.assets.get(form, {}))
                message = f"default '{default}' of '{name}' is no {form} that a plugin ships"
                yield Finding.at(document, f"{pointer}/default", "RG206", message, hint=f"did you mean '{close}'?" if close else None)


def _examples(skill: Skill, document: Document) -> Iterator[Finding]:
    for number, example in enumerate(skill.examples):
        pointer = f"/examples/{number}"
        for problem in problems(dict(example.get("with", {})), skill.input_schema):
            yield Finding.at(
                document, f"{pointer}/with{problem.pointer}", "RG207", f"example: {problem.message}", hint=problem.hint, key=problem.on_key
            )
        for name in example.get("expect", {}):
            if name not in skill.outputs:
                close = nearest(name, skill.outputs)
                hint = f"did you mean '{close}'?" if close else None
                yield Finding.at(
                    document, join(pointer, "expect", name), "RG207", f"example expects unknown output '{name}'", hint=hint, key=True
                )
