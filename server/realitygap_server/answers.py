"""What a tool answers about a run: one document that is enough by itself, because some clients show a model nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import mcp.types as t

from realitygap.discovery import Registry
from realitygap.pipeline import fits
from realitygap.runs import RunStatus
from realitygap.skill import Skill
from realitygap.workspace import read_json
from realitygap_server.tools import LONGEST_WAIT_S, tool_name

LARGEST_ANSWER = 24_000
"""Characters of outputs in one answer: about 8,000 tokens."""
_CRASH = re.compile(r"killed by SIG[A-Z]+|ended with code -?\d+|[A-Za-z]+(?:Error|Exception|Exit)(?=:|$)")
_POLL_RANGE_S = (3.0, 30.0)


def handle(status: RunStatus) -> dict[str, Any]:
    """The document of a run that goes on: how far it is, when to ask again, and how."""
    return {
        "run_id": status.id,
        "skill": status.skill,
        "state": status.state,
        "seconds": status.seconds,
        "progress": progress(status),
        "poll_after_s": poll_after(status),
        "summary": _how_far(status),
        "warnings": status.warnings,
        "next_steps": [
            {
                "tool": "run_status",
                "arguments": {"run_id": status.id, "wait_s": LONGEST_WAIT_S},
                "why": "waits for the run and gives its result",
            },
            {"tool": "run_cancel", "arguments": {"run_id": status.id}, "why": "stops it; what is finished stays in the cache"},
        ],
    }


def outcome(result: Mapping[str, Any], status: RunStatus, registry: Registry) -> dict[str, Any]:
    """The document of a run that has ended."""
    outputs, omitted = fitting(result["outputs"], status.id)
    error = told_error(result["error"], status)
    answer: dict[str, Any] = {
        "run_id": status.id,
        "skill": status.skill,
        "state": status.state,
        "seconds": result["seconds"],
        "cached": result["cached"],
        "summary": _summary(result, status, error),
        "outputs": outputs,
        "artifacts": artifacts(result["artifacts"]),
        "warnings": result["warnings"],
        "error": error,
        "next_steps": list(next_steps(result, status, registry)),
    }
    if omitted:
        answer["omitted"] = omitted
    return answer


def fitting(outputs: Mapping[str, Any], run_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The outputs that fit into one answer, the smallest first, and for the others how to read them."""
    sizes = {name: len(json.dumps(value, ensure_ascii=False)) for name, value in outputs.items()}
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
    """Name to size in bytes; None for a folder."""
    found: dict[str, Any] = {}
    for name, path in paths.items():
        place = Path(path)
        found[name] = place.stat().st_size if place.is_file() else None
    return found


def progress(status: RunStatus) -> dict[str, Any]:
    return {
        "fraction": status.progress,
        "message": status.message,
        "eta_s": status.eta,
        "steps": [
            {"id": step.id, "skill": step.skill, "state": step.state, "seconds": step.seconds, "summary": step.summary}
            for step in status.steps
        ],
    }


def poll_after(status: RunStatus) -> float:
    """Seconds after which the answer will have changed: a third of what the step still needs, within bounds."""
    low, high = _POLL_RANGE_S
    return round(min(high, max(low, status.eta / 3)), 1) if status.eta is not None else 10.0


def next_steps(result: Mapping[str, Any], status: RunStatus, registry: Registry) -> Iterator[dict[str, Any]]:
    """Tools to call next: those that the skill enables, with arguments from this run's outputs."""
    if status.state == "interrupted":
        yield {"tool": tool_name(status.skill), "why": "the same arguments again: finished steps come from the cache"}
        return
    if status.state != "done":
        return
    skill = registry.skills.get(status.skill)
    for name in skill.enables if skill else ():
        enabled = registry.skills.get(name)
        if enabled is not None and skill is not None:
            yield {"tool": tool_name(name), "arguments": _arguments(result["outputs"], skill, enabled), "why": enabled.summary}


def text_of(document: Mapping[str, Any]) -> str:
    return json.dumps(document, ensure_ascii=False, default=str)


def answer(document: dict[str, Any], *, failed: bool = False) -> t.CallToolResult:
    """A result with the document as structured content, and as text for clients that read only that."""
    return t.CallToolResult(content=[t.TextContent(text=text_of(document))], structured_content=document, is_error=failed)


def refusal(message: str, *, hint: str | None = None, where: str | None = None) -> t.CallToolResult:
    """An error that the model can mend: what, where, what to do."""
    lines = [f"{where}: {message}" if where else message]
    if hint:
        lines.append(f"hint: {hint}")
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
        return dict(error)
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
    done = [step.id for step in status.steps if step.state in ("done", "cached")]
    now = [step.id for step in status.steps if step.state == "running"]
    share = f"{status.progress:.0%} done" if status.progress is not None else "begun"
    parts = [f"{share} after {status.seconds or 0:.0f} s"]
    if now:
        parts.append(f"now: {', '.join(now)}" + (f" ({status.message})" if status.message else ""))
    if done:
        parts.append(f"finished: {', '.join(done)}")
    return "; ".join(parts)


def _arguments(outputs: Mapping[str, Any], skill: Skill, enabled: Skill) -> dict[str, Any]:
    """Outputs with the name and type of an input of the other skill. Only short ones: the rest the model takes from `outputs`."""
    found = {}
    for name, value in outputs.items():
        if name in enabled.inputs and isinstance(value, str | int | float | bool):
            source = skill.outputs.get(name)
            if not isinstance(source, Mapping) or fits(source, enabled.inputs[name]) is not False:
                found[name] = value
    return found
