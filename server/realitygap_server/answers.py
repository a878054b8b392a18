"""What a tool answers about a run: one document that is enough by itself, because some clients show a model nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mcp.types as t

from realitygap.discovery import Registry
from realitygap.pipeline import output_schema
from realitygap.runs import RunStatus
from realitygap.workspace import read_json
from realitygap_server import next_steps
from realitygap_server.sizes import clipped, cost

LARGEST_ANSWER = 18_000
"""Characters (`sizes.cost`) of outputs in one answer. With all else that an answer holds, it stays below 10,000 tokens."""
MOST_WARNINGS, MOST_STEPS, MOST_OMITTED = 8, 30, 16
"""Of each in one answer; what is left out is counted."""
LONGEST_LIST = 2_500
"""Characters of the names of artifacts."""
_LONGEST_SUMMARY, _LONGEST_TEXT, _LONGEST_WARNING, _LONGEST_REFUSAL = 1_500, 800, 250, 6_000
_CRASH = re.compile(r"killed by SIG[A-Z]+|ended with code -?\d+|[A-Za-z]+(?:Error|Exception|Exit)(?=:|$)")
_POLL_RANGE_S = (3.0, 30.0)


def handle(status: RunStatus, offered: Collection[str] | None = None) -> dict[str, Any]:
    """The document of a run that goes on: how far it is, when to ask again, and how. `offered` as for `outcome`."""
    return {
        "run_id": status.id,
        "skill": status.skill,
        "state": status.state,
        "seconds": status.seconds,
        "progress": progress(status),
        "poll_after_s": poll_after(status),
        "summary": _how_far(status),
        "warnings": told_warnings(status.warnings),
        "next_steps": next_steps.while_running(status, offered),
    }


def outcome(result: Mapping[str, Any], status: RunStatus, registry: Registry, offered: Collection[str] | None = None) -> dict[str, Any]:
    """The document of a run that has ended. `offered` are the tools that a next step may name; None for all."""
    outputs, omitted = fitting(result["outputs"], status.id)
    error = told_error(result["error"], status)
    answer: dict[str, Any] = {
        "run_id": status.id,
        "skill": status.skill,
        "state": status.state,
        "seconds": result["seconds"],
        "cached": result["cached"],
        "summary": clipped(_summary(result, status, error), _LONGEST_SUMMARY),
        "outputs": outputs,
        "units": _units_of(status.skill, outputs, registry),
        "artifacts": artifacts(result["artifacts"]),
        "warnings": told_warnings(result["warnings"]),
        "error": error,
        "next_steps": list(next_steps.after(result, status, registry, offered)),
    }
    if omitted:
        answer["omitted"] = dict(list(omitted.items())[:MOST_OMITTED])
    if len(omitted) > MOST_OMITTED:
        answer["more_omitted"] = len(omitted) - MOST_OMITTED
    if left_out := len(result["artifacts"]) - len(answer["artifacts"]):
        answer["more_artifacts"] = {
            "count": left_out,
            "tool": "artifact_read",
            "arguments": {"run_id": status.id, "name": ".", "offset": len(answer["artifacts"])},
        }
    return answer


def units(schema: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, str]]:
    """(place, unit) of each number whose schema says `x-unit`: `wall_s`, `largest.*` for the values of a mapping, `times[]` of a list."""
    unit = schema.get("x-unit")
    if isinstance(unit, str) and place:
        yield place, unit
    for name, part in schema.get("properties", {}).items():
        if isinstance(part, Mapping):
            yield from units(part, f"{place}.{name}" if place else name)
    for key, mark in (("additionalProperties", ".*"), ("items", "[]")):
        if isinstance(part := schema.get(key), Mapping):
            yield from units(part, place + mark)


def _units_of(skill: str, outputs: Mapping[str, Any], registry: Registry) -> dict[str, str]:
    """Units of the outputs that an answer holds."""
    found = registry.skills.get(skill)
    properties = output_schema(found, registry)["properties"] if found else {}
    return dict(units({"properties": {name: schema for name, schema in properties.items() if name in outputs}}))


def told_warnings(warnings: Sequence[str]) -> list[str]:
    """The warnings that fit, and how many there are besides."""
    told = [short(one) for one in warnings[:MOST_WARNINGS]]
    return told if len(warnings) <= MOST_WARNINGS else [*told, f"and {len(warnings) - MOST_WARNINGS} more"]


def fitting(outputs: Mapping[str, Any], run_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The outputs that fit into one answer, the smallest first, and for the others how to read them."""
    sizes = {name: cost(value) for name, value in outputs.items()}
    kept: set[str] = set()
    left = LARGEST_ANSWER
    for name in sorted(sizes, key=lambda one: sizes[one]):
        if sizes[name] <= left:
            kept.add(name)
            left -= sizes[name]
    omitted = {
        name: {"characters": sizes[name], "tool": "run_result", "arguments": {"run_id": run_id, "output": name}}
        for name in outputs
        if name not in kept
    }
    return {name: value for name, value in outputs.items() if name in kept}, omitted


def artifacts(paths: Mapping[str, str]) -> dict[str, Any]:
    """Name to size in bytes; None for a folder, and for a page that is still being written. Those that come first by name, as far as they
    fit."""
    found: dict[str, Any] = {}
    left = LONGEST_LIST
    for name, path in sorted(paths.items()):
        left -= cost(name) + 10
        if left < 0:
            break
        place = Path(path)
        found[name] = place.stat().st_size if place.is_file() else None
    return found


def short(text: str) -> str:
    """A text that is one of many in an answer."""
    return clipped(text, _LONGEST_WARNING)


def progress(status: RunStatus) -> dict[str, Any]:
    """How far a run is; of many steps the latest."""
    return {
        "fraction": status.progress,
        "message": short(status.message),
        "eta_s": status.eta,
        "steps": [
            {
                "id": step.id,
                "skill": step.skill,
                "state": step.state,
                "seconds": step.seconds,
                "summary": short(step.summary),
            }
            for step in status.steps[-MOST_STEPS:]
        ],
        "steps_begun": len(status.steps),
    }


def poll_after(status: RunStatus) -> float:
    """Seconds after which the answer will have changed: a third of what the step still needs, within bounds."""
    low, high = _POLL_RANGE_S
    return round(min(high, max(low, status.eta / 3)), 1) if status.eta is not None else 10.0


def text_of(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, default=str)


def answer(document: dict[str, Any], *, failed: bool = False) -> t.CallToolResult:
    """A result with the document as structured content, and as text for clients that read only that."""
    return t.CallToolResult(content=[t.TextContent(text=text_of(document))], structured_content=document, is_error=failed)


def answer_about(document: dict[str, Any]) -> t.CallToolResult:
    """The answer to a call that started a run: an error where the run did not come to a good end."""
    return answer(document, failed=document["state"] in ("failed", "interrupted"))


def refusal(message: str, *, hint: str | None = None, where: str | None = None) -> t.CallToolResult:
    """An error that the model can mend: what, where, what to do."""
    lines = [clipped(f"{where}: {message}" if where else message, _LONGEST_REFUSAL)]
    if hint:
        lines.append(clipped(f"hint: {hint}", _LONGEST_SUMMARY))
    return t.CallToolResult(content=[t.TextContent(text="\n".join(lines))], is_error=True)


def told_error(error: Mapping[str, Any] | None, status: RunStatus) -> dict[str, Any] | None:
    """The error of a run as a client may see it.

    What a skill says of its input is meant for the reader. The text of a crash may hold anything, a path or a key: only what kind of
    crash it was is told, and the step's log on the server's machine has the rest.
    """
    if error is None:
        return None
    outcome = read_json(status.folder / "outcome.json")
    if not isinstance(outcome, Mapping) or outcome.get("kind") != "crash":
        return {name: clipped(value, _LONGEST_TEXT) if isinstance(value, str) else value for name, value in error.items()}
    kind = _CRASH.search(str(error["message"]))
    steps = ", ".join(step.id for step in status.steps if step.state == "failed") or status.skill
    return {
        "message": f"step {steps} crashed ({kind.group()})" if kind else f"step {steps} crashed",
        "where": None,
        "hint": "a defect of the skill or of the machine, not of the arguments; the step's log says more",
    }


def _summary(result: Mapping[str, Any], status: RunStatus, error: Mapping[str, Any] | None) -> str:
    if error:
        return f"{status.state}: {error['message']}"
    told = result["outputs"].get("summary")
    if isinstance(told, str):
        return told
    return "\n".join(f"{step.id}: {step.summary}" for step in status.steps if step.summary) or status.state


def _how_far(status: RunStatus) -> str:
    done = [step.id for step in status.steps if step.state in ("done", "cached")][-MOST_STEPS:]
    now = [step.id for step in status.steps if step.state == "running"]
    share = f"{status.progress:.0%} done" if status.progress is not None else "begun"
    parts = [f"{share} after {status.seconds or 0:.0f} s"]
    if now:
        parts.append(f"now: {', '.join(now)}" + (f" ({short(status.message)})" if status.message else ""))
    if done:
        parts.append(f"finished: {', '.join(done)}")
    return clipped("; ".join(parts), _LONGEST_SUMMARY)
