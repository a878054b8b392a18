"""Skills as tools: name, description, schemas, annotations. Only the manifest is read; no code of a skill is loaded."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import mcp.types as t
from pydantic import ValidationError

from realitygap.errors import InputError
from realitygap.skill import Skill

LONGEST_DESCRIPTION = 2048
"""Characters; clients cut off what is longer."""
LONGEST_NAME = 41
WAIT_S, LONGEST_WAIT_S = 20.0, 50.0
"""Default and largest wait for a run within one call; clients give up after 60 s."""

STATES = ("running", "done", "failed", "cancelled", "interrupted")

_TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
_DATA = ("default", "examples", "enum", "const")
"""Words of JSON Schema that hold values, not schemas."""
_COLOR = re.compile(r"#[0-9A-Fa-f]{6}\Z")
_GREY = "#6B7280"
_NAME = re.compile(r"^[a-z][a-z0-9_]*$")
_WAIT = {
    "type": "number",
    "minimum": 0,
    "maximum": LONGEST_WAIT_S,
    "default": WAIT_S,
    "description": "Seconds to wait for the result before a handle is returned. The run goes on in any case.",
    "x-unit": "s",
}


@dataclass(frozen=True, kw_only=True)
class SkillTool:
    """A skill and how it appears to a client."""

    skill: Skill
    tool: t.Tool
    takes_wait: bool
    """Whether `wait_s` is an argument of the server and not of the skill."""


def tool_name(skill: str) -> str:
    """`identify-parameters` becomes `identify_parameters`; `acme/fit` becomes `acme_fit`."""
    return re.sub(r"[^a-z0-9]+", "_", skill.lower()).strip("_")


def skill_tool(name: str, skill: Skill, *, outputs: Mapping[str, Any]) -> SkillTool:
    """The tool of a skill. `outputs` is the JSON Schema of its outputs as one object; a pipeline's comes from its steps."""
    takes_wait = skill.runtime == "long" and "wait_s" not in skill.inputs
    schema = dict(skill.input_schema)
    if takes_wait:
        schema["properties"] = {**schema.get("properties", {}), "wait_s": _WAIT}
    return SkillTool(
        skill=skill,
        takes_wait=takes_wait,
        tool=t.Tool(
            name=tool_name(name),
            title=skill.name.replace("-", " ").capitalize(),
            description=description(skill),
            input_schema=schema,
            output_schema=run_schema(outputs),
            annotations=hints(skill),
            icons=[icon(skill)],
        ),
    )


def icon(skill: Skill) -> t.Icon:
    """A disc in the skill's colour, grey without one, with the sign of its trit."""
    sign = {-1: "M5 8h6", 0: "M8 8h.01", 1: "M5 8h6M8 5v6"}[skill.trit]
    color = skill.color if skill.color and _COLOR.match(skill.color) else _GREY
    disc = f'<circle cx="8" cy="8" r="8" fill="{color}"/>'
    line = f'<path d="{sign}" stroke="#fff" stroke-width="2" stroke-linecap="round"/>'
    image = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16">{disc}{line}</svg>'
    return t.Icon(src="data:image/svg+xml;base64," + base64.b64encode(image.encode()).decode(), mime_type="image/svg+xml", sizes=["any"])


def description(skill: Skill) -> str:
    """What the skill does, then when to use it: its summary, and the description of its guide."""
    parts = [skill.summary.strip()]
    when = guide_description(skill)
    if when and when not in parts[0]:
        parts.append(when)
    if skill.runtime == "long":
        parts.append(
            "Runs as a job: the answer is the result if it is done within wait_s, else a handle; follow it with run_status. "
            "The same call again takes finished steps from the cache."
        )
    text = "\n\n".join(parts)
    return text if len(text) <= LONGEST_DESCRIPTION else text[: LONGEST_DESCRIPTION - 1].rstrip() + "…"


def guide_description(skill: Skill) -> str:
    """The `description` of SKILL.md, empty if there is none."""
    from realitygap.guides import Guide

    try:
        data = Guide.load(skill.guide).frontmatter.data
    except InputError:  # a broken guide is a finding of `skills check`, not a reason to lose the tool
        return ""
    found = data.get("description") if isinstance(data, dict) else None
    return found.strip() if isinstance(found, str) else ""


def hints(skill: Skill) -> t.ToolAnnotations:
    """Hints from `effects`. A skill with `effects: run` writes only into its own run folder: nothing of the user's changes."""
    return t.ToolAnnotations(
        read_only_hint=skill.effects == "none",
        destructive_hint=skill.effects == "workspace",
        idempotent_hint=skill.effects != "workspace",
        open_world_hint=False,
    )


def run_schema(outputs: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """JSON Schema of a run as every tool that concerns one run answers it.

    The outputs have the schemas of the manifest. None of them is required: they come when the run is done, and one too large for an
    answer is left out and named in `omitted`.
    """
    loose = (
        {"type": "object"}
        if outputs is None
        else {key: value for key, value in outputs.items() if key not in ("required", "additionalProperties")}
    )
    return {
        "type": "object",
        "properties": {
            "run_id": {"type": "string"},
            "skill": {"type": "string"},
            "state": {"type": "string", "enum": list(STATES)},
            "seconds": {"type": ["number", "null"], "x-unit": "s"},
            "cached": {"type": "boolean", "description": "Whether every step came from the cache."},
            "progress": {
                "type": ["object", "null"],
                "description": "fraction of the whole, eta_s of the running step, message, and the steps.",
            },
            "poll_after_s": {"type": "number", "x-unit": "s", "description": "When to ask run_status again."},
            "summary": {"type": "string"},
            "outputs": loose,
            "units": {"type": "object", "description": "Place of a number in `outputs` to its unit."},
            "omitted": {"type": "object", "description": "Outputs too large for one answer, and how to read them."},
            "more_omitted": {"type": "integer", "description": "How many outputs more were too large."},
            "artifacts": {"type": "object", "description": "Names for artifact_read, with their sizes in bytes."},
            "more_artifacts": {"type": "object", "description": "How many more there are, and how to list them."},
            "warnings": {"type": "array", "items": {"type": "string"}},
            "error": {"type": ["object", "null"], "description": "message, where, hint."},
            "next_steps": {"type": "array", "items": {"type": "object"}, "description": "Tools to call next, with arguments, and why."},
        },
        "required": ["run_id", "state"],
    }


def faults(tool: t.Tool) -> list[str]:
    """Why a client of some protocol version would refuse the tool, or the whole list because of it; empty if none would."""
    found = []
    if not _NAME.match(tool.name) or len(tool.name) > LONGEST_NAME:
        found.append(f"the name '{tool.name}' is not 1 to {LONGEST_NAME} lower-case letters, digits and _")
    for side, schema in (("input", tool.input_schema), ("output", tool.output_schema)):
        if schema is None:
            continue
        if schema.get("type") != "object":
            found.append(f"the {side} schema is not an object at its root")
        found += [f"the {side} schema has '{word}' at its root" for word in ("oneOf", "anyOf", "allOf", "if", "not") if word in schema]
        found += [
            f"the {side} '{name}' is no property name"
            for name in schema.get("properties", {})
            if not re.match(r"^[A-Za-z0-9_.-]{1,64}$", name)
        ]
        found += [f"the {side} schema {reason}" for reason in _misshapen(schema)]
    if not found:
        found += _unserialisable(tool)
    return found


def _misshapen(schema: Any) -> Iterator[str]:
    """What no client can make sense of, anywhere in a schema: a type that does not exist, a reference out of the document."""
    if isinstance(schema, list):
        for one in schema:
            yield from _misshapen(one)
    if not isinstance(schema, Mapping):
        return
    for key, value in schema.items():
        if key in _DATA:
            continue
        if key in ("properties", "$defs", "patternProperties", "dependentSchemas"):
            # Here keys are names, not words of the language.
            yield from _misshapen(list(value.values()) if isinstance(value, Mapping) else None)
            continue
        if key == "type":
            kinds = value if isinstance(value, list) else [value]
            yield from (f"has the type {kind!r}, which does not exist" for kind in kinds if kind not in _TYPES)
        elif key == "$ref" and not str(value).startswith("#"):
            yield f"refers to '{value}', which is elsewhere"
        yield from _misshapen(value)


def _unserialisable(tool: t.Tool) -> Iterable[str]:
    from mcp.types.methods import serialize_server_result
    from mcp.types.version import KNOWN_PROTOCOL_VERSIONS

    listing = t.ListToolsResult(tools=[tool]).model_dump(by_alias=True, mode="json", exclude_none=True)
    for version in KNOWN_PROTOCOL_VERSIONS:
        modern = {"resultType": "complete", "ttlMs": 0, "cacheScope": "public"} if version >= "2026" else {}
        try:
            serialize_server_result("tools/list", version, {**listing, **modern})
        except ValidationError as error:
            yield f"protocol {version} cannot carry it: {error.errors()[0]['msg']}"
