"""`report.html`: what a run did and found, in one file that needs no server, no network and no script."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from realitygap import report_parts as parts
from realitygap.plan import PipelinePlan, Plan, SkillPlan
from realitygap.report_style import STYLE
from realitygap.run_status import read_events
from realitygap.stepstore import finished_outputs, read_step
from realitygap.workspace import read_json, read_object, write_text


@dataclass(frozen=True, kw_only=True)
class _Step:
    """One executed, cached, failed or skipped step."""

    id: str
    skill: SkillPlan
    state: str
    seconds: float | None
    folder: Path
    error: Mapping[str, Any] | None


def write_report(folder: Path, document: Mapping[str, Any]) -> Path:
    """Writes the report of a run folder. `document` is the result document of the run."""
    plan = Plan.from_json(read_json(folder / "plan.json"))
    about = read_object(folder / "run.json")
    steps = list(_steps(folder, plan))
    title = f"{plan.skill.name}: {document['status']}"
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>"
        + _header(plan, about, document)
        + (_overview(steps) if len(steps) > 1 else "")
        + "".join(_step(step) for step in steps)
        + f"<footer>Run {escape(folder.name)}. The files of every step lie in <code>steps/</code> beside this page.</footer>"
        + "</main></body></html>\n"
    )
    path = folder / "report.html"
    write_text(path, page, durable=False)
    return path


def _steps(folder: Path, plan: Plan) -> Iterator[_Step]:
    """The steps in the order in which they ended; of several attempts the last counts."""
    last: dict[str, Mapping[str, Any]] = {}
    for event in read_events(folder):
        name = event.get("step")
        if isinstance(name, str) and str(event.get("event")).startswith("step-"):
            last.pop(name, None)
            last[name] = event
    for name, final in last.items():
        skill = _skill_of(plan.pipeline, name.split("."))
        if skill is None:
            continue
        state = str(final["event"]).removeprefix("step-")
        state = "interrupted" if state == "started" else state
        yield _Step(
            id=name, skill=skill, state=state, seconds=final.get("seconds"), folder=folder / "steps" / name, error=final.get("error")
        )


def _skill_of(pipeline: PipelinePlan, path: list[str]) -> SkillPlan | None:
    step = next((one for one in pipeline.steps if one.id == path[0]), None)
    if step is None:
        return None
    rest = path[1:]
    if step.foreach is not None and rest and rest[0].isdecimal():
        rest = rest[1:]
    return _skill_of(step.pipeline, rest) if step.pipeline is not None and rest else step.skill


def _header(plan: Plan, about: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    versions = {name: version for name, version in (about.get("versions") or {}).items() if version}
    pairs = [
        ("Started", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(about.get("created", 0)))),
        ("Time", parts.duration(document["seconds"]) + (" (all from the cache)" if document["cached"] else "")),
        ("Seed", str(plan.seed)),
        *((name, version) for name, version in versions.items()),
    ]
    if plan.is_pipeline:
        total = sum(step.skill.trit for step in plan.pipeline.steps)
        pairs.insert(
            3,
            (
                "Sum of the steps' trits",
                (f"{total:+d}" if total else "0") + (", balanced" if total % 3 == 0 else f", {total % 3} modulo 3"),
            ),
        )
    status = document["status"]
    error: Mapping[str, Any] | None = document["error"]
    summary = document["outputs"].get("summary")
    return (
        f'<header><div class="title"><h1>{escape(plan.skill.name)}</h1>{parts.trit_badge(plan.skill.trit)}'
        f'<span class="pill {escape(status)}">{escape(status)}</span></div>'
        + (f'<p class="summary">{escape(summary)}</p>' if isinstance(summary, str) and plan.is_pipeline else "")
        + parts.facts(pairs)
        + (parts.note("error", str(error["message"]), error["where"], f"hint: {error['hint']}" if error["hint"] else None) if error else "")
        + "".join(parts.note("warning", str(warning)) for warning in document["warnings"])
        + _inputs(plan)
        + "</header>"
    )


def _inputs(plan: Plan) -> str:
    rows = "".join(f"<tr><td>{escape(name)}</td><td class=t>{escape(_short(value))}</td></tr>" for name, value in plan.inputs.items())
    return f'<details><summary>Inputs</summary><div class="scroll"><table><tbody>{rows}</tbody></table></div></details>' if rows else ""


def _overview(steps: list[_Step]) -> str:
    rows = []
    for step in steps:
        summary = _outputs(step).get("summary")
        line = summary.splitlines()[0] if isinstance(summary, str) and summary else ""
        state = "" if step.state in ("done", "cached") else f'<span class="pill {escape(step.state)}">{escape(step.state)}</span>'
        rows.append(
            f'<li><a href="#{escape(step.id)}">{escape(step.id)}</a>{state}<span class="line">{escape(line)}</span>'
            f'<span class="time">{"cached" if step.state == "cached" else parts.duration(step.seconds)}</span></li>'
        )
    return f"<section><nav><ol>{''.join(rows)}</ol></nav></section>"


def _step(step: _Step) -> str:
    facts = read_step(step.folder) or {}
    outputs = _outputs(step)
    summary = outputs.get("summary")
    name = f" ({escape(step.skill.name)})" if step.skill.name != step.id else ""
    origin = f", from run {facts['cached_from']}" if step.state == "cached" and facts.get("cached_from") else ""
    meta = ", ".join(part for part in (step.state, parts.duration(step.seconds)) if part) + origin
    error = step.error or {}
    figures = "".join(parts.figure(step.folder / "artifacts", str(figure)) for figure in facts.get("figures", ()))
    return (
        f'<section id="{escape(step.id)}"><div class="title"><h2>{escape(step.id)}{name}</h2>{parts.trit_badge(step.skill.trit)}'
        f'<span class="meta">{escape(meta)}</span></div>'
        + (f'<p class="summary">{escape(summary)}</p>' if isinstance(summary, str) else "")
        + (parts.note("error", str(error.get("message")), error.get("where"), error.get("hint")) if step.state == "failed" else "")
        + "".join(parts.note("warning", str(warning)) for warning in facts.get("warnings", ()))
        + parts.outputs(outputs, step.skill.output_schema)
        + figures
        + parts.curves(step.folder / "metrics.jsonl")
        + "</section>"
    )


def _outputs(step: _Step) -> dict[str, Any]:
    return finished_outputs(step.folder, {}) if step.state in ("done", "cached") else {}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= 200 else text[:197] + "..."
