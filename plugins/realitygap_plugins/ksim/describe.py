"""Skill `describe-task`; contract in skills/describe-task/skill.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap_core.bank import require_known
from realitygap_core.contract import joints_of
from realitygap_core.domain import Domain
from realitygap_core.parameter_units import command_unit
from realitygap_core.parameters import enumerate_parameters
from realitygap_core.robot import Robot
from realitygap_core.task import Task, compile_task
from realitygap_core.terms.pipeline import ObservationEntry

if TYPE_CHECKING:
    from realitygap.context import RunContext

_SHOWN = 6
"""Actuators that the summary names."""


def describe(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `describe-task`."""
    path = Path(inputs["task"])
    document = run.document(path, "task")
    spec = dict(document.data)
    with run.reading(own := run.own_domain(document), "domain") as given:
        domain = Domain.from_mapping(given) if own else None
    if own:
        del spec["domain"]
    robot = Robot.load(inputs["model"]) if "model" in inputs else None
    with document.locating():
        task = compile_task(spec, run.catalog, robot, folder=path.parent, engine=inputs.get("engine"), domain=domain)
    if task.domain is not None:
        require_known(task.domain, task.nominal, where=own or str(path))
    observations = {group: [_observation(entry) for entry in entries] for group, entries in task.observations.items()}
    sizes = {group: sum(entry["size"] for entry in entries) for group, entries in observations.items()}
    success = spec.get("success")
    names = [str(name) for name in task.domain.names] if task.domain is not None else []

    def about(kind: str, term: str) -> str:
        return run.catalog.get(kind, term).summary

    return {
        "task": task.name,
        "model": task.nominal.name,
        "physics_dt": task.physics_dt,
        "control_dt": task.control_dt,
        "episode_s": task.episode_steps * task.control_dt,
        "engine": {"name": task.engine.engine, "reason": task.engine.reason},
        "joints": [{key: value for key, value in joint.items() if value is not None} for joint in joints_of(task.nominal)],
        "actuators": _actuators(task),
        "latency_s": list(task.latency_s),
        "command_drop": task.action_drop,
        "sensors": list(task.layout.slices),
        "observations": observations,
        "sizes": sizes | {"action": len(task.action.actuators)},
        "rewards": [
            {"name": entry.name, "weight": entry.weight, "about": about("reward", given["term"]), **_scaled_by(entry)}
            for entry, given in zip(task.rewards, spec["rewards"], strict=True)
        ],
        "terminations": [name for name, _ in task.terminations],
        **({"command": list(task.scene.command)} if task.scene.command else {}),
        **({"actuator_terms": [_actuator_term(term, task) for term in task.actuators]} if task.actuators else {}),
        **({"events": [{"name": entry.name, **_scaled_by(entry)} for entry in task.events]} if task.events else {}),
        **({"curricula": dict(task.judged)} if task.judged else {}),
        **({"success": {**success, "hold_s": task.success.hold_s}} if isinstance(success, Mapping) and task.success else {}),
        **({"domain": names} if names else {}),
        "parameters": sorted(enumerate_parameters(task.nominal)),
        "summary": _summary(task, observations, sizes, success),
    }


def _actuators(task: Task) -> list[dict[str, Any]]:
    driven = {name: [low, high] for name, low, high in zip(task.action.actuators, task.action.low, task.action.high, strict=True)}
    rows = []
    for name in task.robot.names("actuator"):
        limits = {"limits": driven[name]} if name in driven else {}
        rows.append({"name": name, "driven": name in driven, **limits, "unit": command_unit(task.robot, name)})
    return rows


def _scaled_by(entry: Any) -> dict[str, Any]:
    return {"curriculum": entry.curriculum} if entry.curriculum is not None else {}


def _actuator_term(term: Any, task: Task) -> dict[str, Any]:
    row: dict[str, Any] = {"actuators": list(term.actuators), "compiled": term.edit is not None}
    if term.force is not None:
        row["force_every_s"] = task.actuator_steps * task.physics_dt
    return row | ({"delay_s": list(term.delay_s)} if term.delay_s[1] > 0 else {})


def _observation(entry: ObservationEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "size": entry.size,
        "unit": entry.term.unit,
        "entries": list(entry.labels),
        "noise": entry.noise is not None,
        **({"clip": list(entry.clip)} if entry.clip is not None else {}),
        **({"scale": list(entry.scale)} if entry.scale is not None else {}),
        **({"delay_s": list(entry.delay_s)} if entry.delay_s[1] > 0 else {}),
        **({"drop": entry.drop} if entry.drop > 0 else {}),
        **({"history": entry.history} if entry.history > 1 else {}),
    }


def _summary(task: Task, observations: Mapping[str, list[dict[str, Any]]], sizes: Mapping[str, int], success: Any) -> str:
    count = len(task.action.actuators)
    seen = [f"{row['name']} {row['size']}" + ("" if row["unit"] == "1" else f" ({row['unit']})") for row in observations["policy"]]
    own = observations["critic"] != observations["policy"]
    driven = [f"{row['name']} {row['limits'][0]:g} to {row['limits'][1]:g} {row['unit']}" for row in _actuators(task) if row["driven"]]
    more = [f"and {count - _SHOWN} more"] if count > _SHOWN else []
    lines = [
        ("sees", ", ".join(seen) + (f"; the critic {sizes['critic']} values" if own else "")),
        ("asked for", ", ".join(task.scene.command)),
        ("drives", ", ".join(driven[:_SHOWN] + more) + _late(task)),
        ("rewards", ", ".join(f"{entry.weight:+g} {entry.name}" for entry in task.rewards) + ", per second"),
        ("ends", ", ".join(dict.fromkeys(name for name, _ in task.terminations))),
        ("events", ", ".join(entry.name for entry in task.events)),
        ("solved", f"{success['term']} for the last {task.success.hold_s:g} s" if task.success else ""),
        ("varied", f"{len(task.domain.names)} parameters" if task.domain is not None else ""),
        ("rates", f"{task.substeps} physics steps of {1000 * task.physics_dt:g} ms a control step of {1000 * task.control_dt:g} ms"),
        ("engine", f"{task.engine.engine}: {task.engine.reason}"),
    ]
    head = (
        f"{task.name} on {task.nominal.name}: {sizes['policy']} observations, {count} action{'s' if count > 1 else ''} at "
        f"{1 / task.control_dt:g} Hz, episodes of {task.episode_steps * task.control_dt:g} s"
    )
    return "\n".join([head, *(f"{name:<10}{told}" for name, told in lines if told)])


def _late(task: Task) -> str:
    late = f", up to {1000 * task.latency_s[1]:g} ms late" if task.latency_s[1] > 0 else ""
    return late + (f", {100 * task.action_drop:g} % of commands lost" if task.action_drop > 0 else "")
