"""`skills show NAME`."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Mapping
from typing import Any

import click

from realitygap.cli.listing import describe
from realitygap.cli.skill_name import SkillName
from realitygap.cli.terminal import echo, echo_json, styled
from realitygap.discovery import Registry
from realitygap.skill import Skill


@click.command("show")
@click.argument("name", type=SkillName())
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--guide", is_flag=True, help="Print SKILL.md instead.")
def show(name: str, as_json: bool, guide: bool) -> None:
    """Show what a skill takes and gives."""
    if guide and as_json:
        raise click.UsageError("--guide and --json exclude each other")
    registry = Registry.discover()
    skill = registry.skill(name)
    if guide:
        from realitygap.guides import Guide

        echo(Guide.load(skill.guide).body.rstrip())
    elif as_json:
        echo_json(
            describe(name, skill, registry)
            | {
                "entry": skill.entry,
                "steps": list(skill.steps),
                "input_schema": skill.input_schema,
                "output_schema": output_schema(skill, registry),
                "examples": list(skill.examples),
                "references": list(skill.references),
                "depends_on": list(skill.depends_on),
                "enables": list(skill.enables),
            }
        )
    else:
        _print(name, skill, registry)


def output_schema(skill: Skill, registry: Registry) -> dict[str, Any]:
    """The schema of the outputs; a pipeline's come from the steps that its references name."""
    if not skill.is_pipeline:
        return skill.output_schema
    from realitygap.errors import InputError
    from realitygap.pipeline import output_schema as of_pipeline

    try:
        return of_pipeline(skill, registry)
    except InputError:
        return skill.output_schema


def _print(name: str, skill: Skill, registry: Registry) -> None:
    echo(f"{styled(name, 'bold')} {skill.version}  trit {_signed(skill.trit)}  {skill.runtime}  {skill.plugin} ({skill.distribution})")
    echo(f"  {skill.summary}")
    extra = registry.missing_extra(skill)
    if extra:
        from realitygap.extras import install_line

        echo(styled(f"  needs: {install_line(extra, skill.distribution)}", "yellow"))
    if skill.is_pipeline:
        _section("steps", [(str(step.get("id")), str(step.get("uses")), "") for step in skill.steps])
    _section("inputs", [(key, _kind(schema), _text(schema)) for key, schema in skill.inputs.items()])
    outputs = output_schema(skill, registry).get("properties", {})
    _section("outputs", [(key, _kind(schema), _text(schema)) for key, schema in outputs.items()])
    if skill.triads:
        _section("triads", [(_triad(triad, registry), "", "") for triad in skill.triads])
    if skill.references:
        _section("references", [(reference, "", "") for reference in skill.references])
    example = skill.examples[0]["with"] if skill.examples and isinstance(skill.examples[0].get("with"), Mapping) else {}
    given = "".join(
        f" -i {shlex.quote(f'{key}={value if isinstance(value, str) else json.dumps(value)}')}" for key, value in example.items()
    )
    echo(f"\nrun it\n  skills run {name}{given}")


def _section(title: str, rows: list[tuple[str, str, str]]) -> None:
    if not rows:
        return
    echo(f"\n{title}")
    first = min(max(len(row[0]) for row in rows), 32)
    second = max(len(row[1]) for row in rows)
    for name, kind, text in rows:
        head = f"  {name:<{first}}  {kind:<{second}}".rstrip() if kind or text else f"  {name}"
        lines = textwrap.wrap(text, 100) or [""]
        echo(f"{head:<{first + second + 4}}  {lines[0]}".rstrip())
        for line in lines[1:]:
            echo(" " * (first + second + 6) + line)


def _kind(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return ""
    kind = schema.get("type", "any")
    kind = "|".join(kind) if isinstance(kind, list) else str(kind)
    if kind == "array" and isinstance(schema.get("items"), Mapping):
        kind = f"list of {schema['items'].get('type', 'any')}"
    if "enum" in schema:
        kind = "|".join(str(choice) for choice in schema["enum"])
    return f"{schema['format']}" if kind == "string" and "format" in schema else kind


def _text(schema: Any) -> str:
    if not isinstance(schema, Mapping):
        return ""
    unit = f" [{schema['x-unit']}]" if "x-unit" in schema else ""
    if "default" in schema:
        note = f" (default {json.dumps(schema['default'], ensure_ascii=False)})"
    else:
        note = " (optional)" if schema.get("x-optional") else ""
    return f"{schema.get('description', '')}{unit}{note}".strip()


def _triad(triad: tuple[str, ...], registry: Registry) -> str:
    trits = [registry.skills[name].trit if name in registry.skills else None for name in triad]
    members = ", ".join(f"{name} {'?' if trit is None else _signed(trit)}" for name, trit in zip(triad, trits, strict=True))
    known = [trit for trit in trits if trit is not None]
    return f"{members}   sum {_signed(sum(known))}" if len(known) == len(trits) else members


def _signed(trit: int) -> str:
    return f"{trit:+d}" if trit else "0"
