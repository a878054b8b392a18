"""What to call next, with which arguments, given how a run ended."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from realitygap.discovery import Registry
from realitygap.pipeline import fits, output_schema
from realitygap.runs import RunStatus
from realitygap.skill import Skill
from realitygap.workspace import read_object
from realitygap_server.artifacts import IMAGES
from realitygap_server.tools import LONGEST_WAIT_S, tool_name

_SHORT = 400
"""Characters of an argument; what is longer the model takes from `outputs`."""


def while_running(status: RunStatus, offered: Collection[str] | None = None) -> list[dict[str, Any]]:
    steps = [
        _step("run_status", {"run_id": status.id, "wait_s": LONGEST_WAIT_S}, "waits for the run and gives its result"),
        _step("run_cancel", {"run_id": status.id}, "stops it; what is finished stays in the cache"),
    ]
    return [step for step in steps if offered is None or step["tool"] in offered]


def after(
    result: Mapping[str, Any], status: RunStatus, registry: Registry, offered: Collection[str] | None = None
) -> Iterator[dict[str, Any]]:
    """Calls that make sense after a run has ended.

    Args:
        offered: tools of skills that the server has; None for all. A tool that it does not have is not proposed.
    """
    skill = registry.skills.get(status.skill)
    if skill is None:
        return
    given = _given(skill, status, registry)
    if status.state in ("interrupted", "cancelled"):
        if offered is None or tool_name(skill.name) in offered:
            yield _step(tool_name(skill.name), given, "the same again: finished steps come from the cache")
        return
    if status.state != "done":
        return
    schemas = output_schema(skill, registry).get("properties", {})
    for name in skill.enables:
        enabled = registry.skills.get(name)
        if enabled is None or (offered is not None and tool_name(name) not in offered):
            continue
        arguments = {**_inherited(given, skill, enabled), **_handed_on(result["outputs"], schemas, enabled)}
        missing = [one for one in enabled.input_schema["required"] if one not in arguments]
        yield _step(tool_name(name), arguments, enabled.summary) | ({"missing": missing} if missing else {})
    picture = next((name for name in sorted(result["artifacts"]) if name.endswith(tuple(IMAGES))), None)
    if picture is not None:
        yield _step("artifact_read", {"run_id": status.id, "name": picture}, "shows a figure of this run")


def _step(tool: str, arguments: Mapping[str, Any], why: str) -> dict[str, Any]:
    return {"tool": tool, "arguments": dict(arguments), "why": why}


def _handed_on(outputs: Mapping[str, Any], schemas: Mapping[str, Any], enabled: Skill) -> dict[str, Any]:
    """Outputs with the name, their own or `x-input`, and the type of an input of the other skill."""
    described = [(schemas.get(name, {}), name, value) for name, value in outputs.items()]
    named = [(schema.get("x-input", name), schema, value) for schema, name, value in described]
    return {
        name: value
        for name, schema, value in named
        if name in enabled.inputs and _is_short(value) and fits(schema, enabled.inputs[name]) is not False
    }


def _inherited(given: Mapping[str, Any], skill: Skill, enabled: Skill) -> dict[str, Any]:
    """Files and folders that this run was about and that the other skill takes too: the same robot, the same logs."""
    return {
        name: value
        for name, value in given.items()
        if name in enabled.inputs and "format" in skill.inputs[name] and skill.inputs[name]["format"] == enabled.inputs[name].get("format")
    }


def _given(skill: Skill, status: RunStatus, registry: Registry) -> dict[str, Any]:
    """The arguments of a run that are not the defaults; too long ones are left out."""
    inputs = read_object(status.folder / "plan.json").get("inputs", {})
    return {
        name: value
        for name, value in (inputs.items() if isinstance(inputs, Mapping) else ())
        if name in skill.inputs and _is_short(value) and value != _default(skill.inputs[name], registry)
    }


def _default(schema: Mapping[str, Any], registry: Registry) -> Any:
    """The default as the plan of a run holds it: the name of an asset as its path."""
    default = schema.get("default")
    return registry.assets.get(str(schema.get("format")), {}).get(default, default) if isinstance(default, str) else default


def _is_short(value: Any) -> bool:
    return value is not None and len(json.dumps(value, default=str)) <= _SHORT
