"""The contract of a policy: what it must be given, what it gives, at which rates, for which robot. Plain data, in order.

A controller on the robot's computer needs nothing else: names, order, scale, clip, history and units of the observations; actuators with
the map from action to command, limits, rates and gains; joints in order; the model's digest.

What training imitates of a real robot is in it too, for comparison with the robot and not to be added there: `delay_s` and `drop` of an
observation, `latency_s` and `command_drop` of commands. Where a sample or a command does not arrive, the last one holds (`lost: hold`):
a policy with a chance of `drop` has learnt to bear that. Noise and bias are of training alone and are left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError
from realitygap_core.parameter_kinds import TARGETS
from realitygap_core.parameter_units import command_unit
from realitygap_core.parameters import read, split
from realitygap_core.plant import signal_path
from realitygap_core.robot import Robot
from realitygap_core.task import Task
from realitygap_core.terms.pipeline import ObservationEntry

SCHEMA = 1
_JOINT_TYPES = {int(getattr(mujoco.mjtJoint, f"mjJNT_{name.upper()}")): name for name in ("free", "ball", "slide", "hinge")}
_NOT_COMPARED = ("/network", "/model", "/latency_s", "/command_drop", "/task", "/schema", "/joints", "/physics_dt")
_OF_THE_PLANT = ("delay_s", "drop", "gear", "gain", "bias", "force_limit", "rate", "bias_rad")
"""What a plant may have otherwise than the one trained on: judging a policy on other plants is what validation does."""


def contract_of(task: Task) -> dict[str, Any]:
    """What a policy for `task` must be given and gives: plain data, in order."""
    return {
        "schema": SCHEMA,
        "task": task.name,
        "control_dt": task.control_dt,
        "physics_dt": task.physics_dt,
        "observations": [_observation(entry) for entry in task.observations["policy"]],
        "actions": _actions(task),
        "latency_s": list(task.latency_s),
        "command_drop": task.action_drop,
        "lost": "hold",
        "command": _command(task),
        "joints": joints_of(task.nominal),
        "model": {"name": task.nominal.name, "digest": task.nominal.digest},
    }


def joints_of(robot: Robot) -> list[dict[str, Any]]:
    """The joints in the model's order, with type, unit and range (null for none)."""
    model, rows = robot.model, []
    for index in range(model.njnt):
        kind = _JOINT_TYPES[int(model.jnt_type[index])]
        span = [float(value) for value in model.jnt_range[index]] if model.jnt_limited[index] else None
        rows.append({"name": model.joint(index).name, "type": kind, "unit": {"hinge": "rad", "slide": "m"}.get(kind), "range": span})
    return rows


def differences(contract: Mapping[str, Any], task: Task) -> list[str]:
    """What of the contract `task` does not keep, one sentence each; empty when the policy fits.

    The model's digest and what belongs to the plant (gains, delays) are not compared: judging a policy on another plant is what
    validation does. `robot_differences` names these."""
    found = _joint_differences(contract.get("joints"), joints_of(task.nominal), fatal=True)
    _compare(contract, contract_of(task), "", found)
    return found


def robot_differences(contract: Mapping[str, Any], robot: Robot, trained_on: Robot | None = None) -> list[str]:
    """In what `robot` is not the robot of the contract, by name, one sentence each; empty for the very same model.

    With the model that the policy was trained on, every physical parameter that differs is named with both values.
    """
    if contract["model"]["digest"] == robot.digest:
        return []
    found = _joint_differences(contract.get("joints"), joints_of(robot), fatal=False)
    known = robot.names("actuator")
    found += [f"actuator '{entry['actuator']}' is missing" for entry in contract["actions"] if entry["actuator"] not in known]
    if trained_on is not None:
        before, now = read(trained_on), read(robot)
        found += _lacking(before, now, "missing")
        found += [
            f"{name} is {now[name]:.6g} instead of {before[name]:.6g}" for name in before if name in now and _apart(before[name], now[name])
        ]
        found += _lacking(now, before, "new")
    found = list(dict.fromkeys(found))
    return found or [f"model '{robot.name}' has digest {robot.digest[:12]} instead of {contract['model']['digest'][:12]}"]


def _apart(one: float, other: float) -> bool:
    return not (one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-15))


def _lacking(some: Iterable[str], others: Iterable[str], word: str) -> list[str]:
    """A sentence for each body, geom, joint, ... that has parameters among `some` and none among `others`; for single parameters else."""

    def owner(name: str) -> tuple[str, str]:
        kind, target = split(name)
        return TARGETS[kind], target

    there, names = {owner(name) for name in others}, set(others)
    lacking = [name for name in some if name not in names]
    owners = {name: owner(name) for name in lacking}
    return list(
        dict.fromkeys(
            f"{name} is {word}" if owners[name] in there else f"{owners[name][0]} '{owners[name][1]}' is {word}" for name in lacking
        )
    )


def in_short(found: list[str], most: int = 4) -> str:
    """The first of the differences, and how many more there are."""
    return "; ".join(found[:most]) + (f"; and {len(found) - most} more" if len(found) > most else "")


def _joint_differences(wanted: Any, given: list[dict[str, Any]], *, fatal: bool) -> list[str]:
    """Of the joints; `fatal` leaves out what a policy survives: joints more, other ranges, another order."""
    if not isinstance(wanted, list):
        return []  # a bundle of before joints were written down
    ours, theirs = {joint["name"]: joint for joint in wanted}, {joint["name"]: joint for joint in given}
    found = [f"joint '{name}' is missing" for name in ours if name not in theirs]
    for name in ours:
        if name in theirs and ours[name]["type"] != theirs[name]["type"]:
            found.append(f"joint '{name}' is a {theirs[name]['type']} instead of a {ours[name]['type']}")
        elif not fatal and name in theirs and not _equal(ours[name]["range"], theirs[name]["range"]):
            found.append(f"the range of joint '{name}' is {theirs[name]['range']} instead of {ours[name]['range']}")
    if fatal:
        return found
    found += [f"joint '{name}' is new" for name in theirs if name not in ours]
    if not found and list(ours) != list(theirs):
        found.append(f"the joints are in the order {', '.join(theirs)} instead of {', '.join(ours)}")
    return found


def _observation(entry: ObservationEntry) -> dict[str, Any]:
    return {
        "name": entry.name,
        "term": entry.component or entry.name,
        "params": dict(entry.params),
        "labels": list(entry.labels),
        "unit": entry.term.unit,
        "reads": [{"sensor": need.type, "of": need.object} for need in entry.term.needs],
        "clip": list(entry.clip) if entry.clip is not None else None,
        "scale": list(entry.scale) if entry.scale is not None else None,
        "delay_s": list(entry.delay_s),
        "drop": entry.drop,
        "history": entry.history,
    }


def _actions(task: Task) -> list[dict[str, Any]]:
    """One entry an actuator. The map to commands is found by probing: `command = clip(offset + scale * action, low, high)` or null."""
    robot, action = task.nominal, task.action
    model, rates = robot.model, signal_path(robot).rate_u
    maps = affine_map(task)
    rows = []
    for number, (name, low, high) in enumerate(zip(action.actuators, action.low, action.high, strict=True)):
        index = robot.actuator(name).id
        force = [float(value) for value in model.actuator_forcerange[index]] if model.actuator_forcelimited[index] else None
        rate = float(rates[index])
        rows.append(
            {
                "actuator": name,
                "drives": _driven(model, index),
                "unit": command_unit(robot, name),
                "low": float(low),
                "high": float(high),
                "offset": None if maps is None else float(maps[0][number]),
                "scale": None if maps is None else float(maps[1][number]),
                "rate": rate if math.isfinite(rate) else None,
                "gear": float(model.actuator_gear[index, 0]),
                "gain": float(model.actuator_gainprm[index, 0]),
                "bias": [float(value) for value in model.actuator_biasprm[index, :3]],
                "force_limit": force,
            }
        )
    return rows


def affine_map(task: Task) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """(offset [n], scale [n]) with command = clip(offset + scale * action, low, high), or None where the action is not of that form."""
    action, n = task.action, len(task.action.actuators)
    low, high = np.asarray(action.low), np.asarray(action.high)
    command = jax.jit(jax.vmap(action.command))
    step = 1e-2
    try:
        probes = np.asarray(command(jnp.asarray(np.stack([np.zeros(n), np.full(n, step)]), jnp.float32)), np.float64)
        if probes.shape != (2, n):
            return None
        offset, scale = probes[0], (probes[1] - probes[0]) / step
        tried = np.random.default_rng(0).uniform(-1, 1, (64, n)).astype(np.float32)
        given = np.asarray(command(jnp.asarray(tried)), np.float64)
    except TypeError:
        return None  # it reads more than the action
    # Single precision of a difference over a hundredth leaves five digits; the ends give the rest.
    ends = np.asarray(command(jnp.asarray(np.stack([-np.ones(n), np.ones(n)]), jnp.float32)), np.float64)
    linear = np.isclose(ends[1] - ends[0], 2 * scale, rtol=1e-3)
    scale = np.where(linear, (ends[1] - ends[0]) / 2, scale)
    offset = np.where(linear, (ends[1] + ends[0]) / 2, offset)
    expected = np.clip(offset + scale * tried, low, high)
    return (offset, scale) if np.allclose(expected, given, rtol=0, atol=1e-4 * float(np.max(high - low))) else None


def _driven(model: mujoco.MjModel, index: int) -> str | None:
    kind, target = int(model.actuator_trntype[index]), int(model.actuator_trnid[index, 0])
    if kind in (int(mujoco.mjtTrn.mjTRN_JOINT), int(mujoco.mjtTrn.mjTRN_JOINTINPARENT)):
        return str(model.joint(target).name)
    return str(model.tendon(target).name) if kind == int(mujoco.mjtTrn.mjTRN_TENDON) else None


def _command(task: Task) -> dict[str, Any] | None:
    if task.command is None:
        return None
    every = float(task.command.every_s)
    return {"labels": list(task.command.labels), "every_s": every if math.isfinite(every) else None}


def _compare(wanted: Any, given: Any, place: str, found: list[str]) -> None:
    if place in _NOT_COMPARED or place.rpartition("/")[2] in _OF_THE_PLANT:
        return
    if isinstance(wanted, Mapping) and isinstance(given, Mapping):
        # A parameter that one of the two leaves to its default says nothing: what follows from it is in the labels and sensors.
        for key in wanted.keys() & given.keys() if place.endswith("/params") else wanted:
            _compare(wanted[key], given.get(key), f"{place}/{key}", found)
    elif isinstance(wanted, list) and isinstance(given, list) and wanted and isinstance(wanted[0], Mapping):
        ours, theirs = ([str(entry.get("name") or entry.get("actuator")) for entry in entries] for entries in (wanted, given))
        if ours != theirs:
            found.append(f"{place[1:]} are {', '.join(theirs) or 'none'} instead of {', '.join(ours)}")
            return
        for name, one, other in zip(ours, wanted, given, strict=True):
            _compare(one, other, f"{place}/{name}", found)
    elif not _equal(wanted, given):
        found.append(f"{place[1:]} is {given} instead of {wanted}")


def _equal(one: Any, other: Any) -> bool:
    numbers = (int, float)
    if isinstance(one, numbers) and isinstance(other, numbers):
        return bool(np.isclose(one, other, rtol=1e-9))
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(_equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def check_schema(contract: Mapping[str, Any], where: str) -> None:
    """Raises CoreError for a contract of another schema."""
    if contract.get("schema") != SCHEMA:
        raise CoreError(f"contract schema {contract.get('schema')!r} is not known; this reads {SCHEMA}", where=where)
