"""Pipelines: from a manifest with `steps` to a plan.

The types of references, what a step's outputs look like, and `make_plan`. The static check is in `pipeline_check`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from realitygap.errors import InputError
from realitygap.executor import LOCAL
from realitygap.inputs import PATH_FORMATS, properties_of, types_of
from realitygap.plan import Options, PipelinePlan, Plan, SkillPlan, StepPlan
from realitygap.references import Malformed, Reference, parse_reference, references

if TYPE_CHECKING:
    from realitygap.skill import Skill

Schema = Mapping[str, Any]


class Lookup(Protocol):
    """What is needed of the registry."""

    def skill(self, name: str) -> Skill:
        """The skill of that name. Raises InputError."""


def make_plan(
    skill: Skill,
    inputs: Mapping[str, Any],
    registry: Lookup,
    *,
    seed: int = 0,
    options: Options | None = None,
    assets: Mapping[str, Mapping[str, str]] | None = None,
    packages: Mapping[str, str] | None = None,
    components: tuple[str, ...] = (),
    observers: tuple[str, ...] = (),
    executor: str = LOCAL,
) -> Plan:
    """The plan of a skill or a pipeline whose inputs are prepared. A pipeline must have passed its check.

    Args:
        packages: plugin name to the package whose sources count in the cache key.
    """
    packages = packages or {}
    if skill.is_pipeline:
        pipeline = _pipeline_plan(skill, registry, packages, ())
    else:
        leaf = _skill_plan(skill, packages)
        outputs = {name: f"${{{{ steps.{skill.name}.outputs.{name} }}}}" for name in skill.outputs}
        step = StepPlan(id=skill.name, skill=leaf, given=dict(inputs), after=())
        pipeline = PipelinePlan(name=skill.name, steps=(step,), outputs=outputs, output_schema=leaf.output_schema)
    return Plan(
        skill=_skill_plan(skill, packages),
        pipeline=pipeline,
        is_pipeline=skill.is_pipeline,
        inputs=dict(inputs),
        seed=seed,
        options=options or Options(),
        assets={kind: dict(names) for kind, names in (assets or {}).items()},
        components=components,
        observers=observers,
        executor=executor,
    )


def output_schema(skill: Skill, registry: Lookup, seen: tuple[str, ...] = ()) -> dict[str, Any]:
    """JSON Schema of the outputs as one object; those of a pipeline are the schemas of what its references refer to.

    A reference that cannot be followed gives the empty schema; the check reports it.
    """
    if not skill.is_pipeline:
        return skill.output_schema
    properties: dict[str, Any] = {}
    required = []
    steps = {str(step.get("id")): step for step in skill.steps}
    for name, value in skill.outputs.items():
        try:
            reference = parse_reference(value)
        except Malformed:
            reference = None
        schema, optional = (None, False)
        if reference is not None:
            schema, optional = reference_schema(reference, skill, steps, registry, (*seen, skill.name))
        properties[name] = dict(schema or {})
        if not optional:
            required.append(name)
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def reference_schema(
    reference: Reference, skill: Skill, steps: Mapping[str, Mapping[str, Any]], registry: Lookup, seen: tuple[str, ...] = ()
) -> tuple[Schema | None, bool]:
    """(schema of the value, whether it may be absent); None where the reference leads nowhere or nothing is known."""
    if reference.kind == "input":
        part = skill.inputs.get(reference.name)
        return part, part is not None and is_optional(part) and "default" not in part
    if reference.kind == "run":
        return ({"type": "integer"}, False) if reference.name == "seed" else ({"type": "string", "format": "report"}, False)
    if reference.kind == "pipeline":
        return {"type": "string"}, False
    if reference.kind == "item":
        return None, False  # depends on the step that asks; see item_schema
    step = steps.get(reference.step)
    if step is None:
        return None, False
    try:
        used = registry.skill(str(step.get("uses")))
    except InputError:
        return None, False
    if used.name in seen:
        return None, False
    outputs = output_schema(used, registry, seen)
    part = properties_of(outputs).get(reference.name)
    if part is None:
        return None, False
    optional = reference.name not in outputs.get("required", ())
    return ({"type": "array", "items": dict(part)} if "foreach" in step else part), optional


def item_schema(step: Mapping[str, Any], skill: Skill, steps: Mapping[str, Mapping[str, Any]], registry: Lookup) -> Schema | None:
    """Schema of `item` in a step with `foreach`."""
    over = step.get("foreach")
    if isinstance(over, list):
        return {"enum": over} if over and not any(references(over)) else {}
    try:
        reference = parse_reference(over)
    except Malformed:
        return None
    if reference is None:
        return None
    schema, _ = reference_schema(reference, skill, steps, registry)
    return None if schema is None else schema.get("items", {})


def is_optional(schema: Schema) -> bool:
    return "default" in schema or bool(schema.get("x-optional"))


def fits(source: Schema, target: Schema) -> bool | None:
    """Whether every value of `source` is one of `target`: False when certainly not, None when it cannot be told."""
    wanted, given = types_of(target), types_of(source)
    if not wanted and not given and "enum" not in target:
        return None if target else True
    if not wanted:
        return True if not target or set(target) <= {"description", "x-unit", "default", "x-optional", "examples", "title"} else None
    if not given:
        return None
    admitted = {*wanted, "integer"} if "number" in wanted else set(wanted)
    if not set(given) & admitted:
        return False
    if not set(given) <= admitted:
        return None if any(word in source for word in ("anyOf", "oneOf")) else False
    if "enum" in target:
        if "enum" not in source:
            return None
        if not all(choice in target["enum"] for choice in source["enum"]):
            return False
    have, want = source.get("format"), target.get("format")
    if want in PATH_FORMATS and have != want and "string" in given:
        if have not in PATH_FORMATS:
            return None
        if "path" not in (have, want):
            return False
    if "array" in wanted and "array" in given and isinstance(source.get("items"), Mapping) and isinstance(target.get("items"), Mapping):
        return fits(source["items"], target["items"])
    if "object" in wanted and "object" in given:
        return _object_fits(source, target)
    return None if any(word in target for word in ("minimum", "maximum", "pattern", "minItems", "const")) and source != target else True


def _object_fits(source: Schema, target: Schema) -> bool | None:
    have, want = properties_of(source), properties_of(target)
    needed = [name for name in target.get("required", ()) if name not in have]
    if needed:
        return False if source.get("additionalProperties") is False else None
    verdicts = [fits(have[name], part) for name, part in want.items() if name in have]
    return False if False in verdicts else None if None in verdicts else True


def step_references(step: Mapping[str, Any]) -> list[Reference]:
    """The well-formed references of a step, in `with` and `foreach`."""
    found = []
    for part in (step.get("with", {}), step.get("foreach")):
        for _, text in references(part):
            try:
                reference = parse_reference(text)
            except Malformed:
                continue
            if reference is not None:
                found.append(reference)
    return found


def dependencies(step: Mapping[str, Any]) -> tuple[str, ...]:
    """Ids of the steps that must be done before this one, each once."""
    needs = step.get("needs") or []
    return tuple(dict.fromkeys([*(one.step for one in step_references(step) if one.kind == "output"), *(str(name) for name in needs)]))


def _pipeline_plan(skill: Skill, registry: Lookup, packages: Mapping[str, str], seen: tuple[str, ...]) -> PipelinePlan:
    if skill.name in seen:
        raise InputError(f"pipeline '{skill.name}' uses itself: {' -> '.join([*seen, skill.name])}", where=str(skill.manifest))
    steps = []
    for step in skill.steps:
        used = registry.skill(str(step["uses"]))
        nested = _pipeline_plan(used, registry, packages, (*seen, skill.name)) if used.is_pipeline else None
        plan = StepPlan(
            id=str(step["id"]),
            skill=_skill_plan(used, packages),
            given=dict(step.get("with") or {}),
            after=dependencies(step),
            foreach=step.get("foreach"),
            max_parallel=step.get("max_parallel"),
            pipeline=nested,
        )
        steps.append(plan)
    return PipelinePlan(name=skill.name, steps=tuple(steps), outputs=dict(skill.outputs), output_schema=output_schema(skill, registry))


def _skill_plan(skill: Skill, packages: Mapping[str, str]) -> SkillPlan:
    package = (
        packages.get(skill.plugin) or (skill.entry or "").partition(":")[0].rpartition(".")[0] or (skill.entry or "").partition(":")[0]
    )
    return SkillPlan(
        name=skill.name,
        version=skill.version,
        trit=skill.trit,
        entry=skill.entry,
        extras=tuple(skill.extras),
        runtime=skill.runtime,
        effects=skill.effects,
        cache=skill.cache,
        input_schema=skill.input_schema,
        output_schema=skill.output_schema,
        manifest_hash=_hash_of(skill.manifest),
        plugin=skill.plugin,
        package=package,
    )


def _hash_of(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"cannot read the manifest: {error.strerror}", where=str(path)) from None
