"""Skill `describe-task`; contract in skills/describe-task/skill.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mujoco

from realitygap_core.bank import require_known
from realitygap_core.domain import Domain
from realitygap_core.parameters import enumerate_parameters
from realitygap_core.robot import Robot
from realitygap_core.task import Task, compile_task

if TYPE_CHECKING:
    from realitygap.context import RunContext

_JOINT_TYPES = {int(getattr(mujoco.mjtJoint, f"mjJNT_{name.upper()}")): name for name in ("free", "ball", "slide", "hinge")}


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
    return {
        "task": task.name,
        "model": task.nominal.name,
        "physics_dt": task.physics_dt,
        "control_dt": task.control_dt,
        "episode_s": task.episode_steps * task.control_dt,
        "engine": {"name": task.engine.engine, "reason": task.engine.reason},
        "joints": _joints(task.nominal),
        "actuators": _actuators(task),
        "sensors": list(task.layout.slices),
        "observations": observations,
        "sizes": sizes | {"action": len(task.action.actuators)},
        "rewards": [{"name": entry.name, "weight": entry.weight} for entry in task.rewards],
        "terminations": [name for name, _ in task.terminations],
        **({"success": dict(success)} if isinstance(success, Mapping) else {}),
        **({"domain": names} if names else {}),
        "parameters": sorted(enumerate_parameters(task.nominal)),
        "summary": _summary(task, sizes),
    }


def _joints(robot: Robot) -> list[dict[str, Any]]:
    rows = []
    for name in robot.names("joint"):
        index = robot.joint(name).id
        limited = bool(robot.model.jnt_limited[index])
        kind = _JOINT_TYPES[int(robot.model.jnt_type[index])]
        limits = [float(value) for value in robot.model.jnt_range[index]] if limited else None
        unit = {"hinge": "rad", "slide": "m"}.get(kind)
        row: dict[str, Any] = {"name": name, "type": kind}
        rows.append(row | ({"range": limits} if limits else {}) | ({"unit": unit} if unit else {}))
    return rows


def _actuators(task: Task) -> list[dict[str, Any]]:
    driven = {name: [low, high] for name, low, high in zip(task.action.actuators, task.action.low, task.action.high, strict=True)}
    names = task.nominal.names("actuator")
    return [{"name": name, "driven": name in driven, **({"limits": driven[name]} if name in driven else {})} for name in names]


def _observation(entry: Any) -> dict[str, Any]:
    return {
        "name": entry.name,
        "size": entry.size,
        "unit": entry.term.unit,
        "entries": list(entry.labels),
        "noise": entry.noise is not None,
        **({"scale": list(entry.scale)} if entry.scale is not None else {}),
        **({"delay_s": list(entry.delay_s)} if entry.delay_s[1] > 0 else {}),
    }


def _summary(task: Task, sizes: Mapping[str, int]) -> str:
    return (
        f"{task.name} on {task.nominal.name}: {sizes['policy']} observations, {len(task.action.actuators)} actions at "
        f"{1 / task.control_dt:g} Hz, episodes of {task.episode_steps * task.control_dt:g} s\n"
        f"engine {task.engine.engine}: {task.engine.reason}\n"
        f"{task.substeps} physics steps of {1000 * task.physics_dt:g} ms a control step"
    )
