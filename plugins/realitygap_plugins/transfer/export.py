"""Skill `export-policy`; contract in skills/export-policy/skill.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import yaml

from realitygap.errors import RunFailed
from realitygap_core.contract import in_short
from realitygap_core.onnx_export import describe, export_onnx, largest_difference
from realitygap_core.policy import Policy
from realitygap_core.robot import Robot

if TYPE_CHECKING:
    from realitygap.context import RunContext

TOLERANCE = 1e-5
"""Largest difference between the file's actions and those of JAX, of a range of 2."""


def export_policy(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `export-policy`."""
    policy = Policy.load(inputs["policy"])
    differences = []
    if "model" in inputs:
        differences = policy.robot_differences(Robot.load(inputs["model"]))
        if differences:
            run.warn(f"not the robot that the policy was trained on: {in_short(differences, 8)}")
    path = export_onnx(policy, run.artifact("export/policy.onnx"))
    contract = path.with_name("contract.yaml")
    contract.write_text(yaml.safe_dump(dict(policy.contract), sort_keys=False, allow_unicode=True), encoding="utf-8")
    unmapped = [entry["actuator"] for entry in policy.contract["actions"] if entry.get("scale") is None]
    if unmapped:
        run.warn(f"the action of {', '.join(unmapped)} is no affine map to commands: the robot's program must compute the command itself")
    largest = None
    if find_spec("onnxruntime") is None:
        run.warn("onnxruntime is not installed: the file was checked against the standard, its actions were not compared")
    else:
        largest = largest_difference(policy, path, samples=int(inputs.get("samples", 4096)), seed=run.seed)
        if not largest <= TOLERANCE:
            raise RunFailed(f"the ONNX file's actions differ from the policy's by {largest:.2g}, more than {TOLERANCE:g}")
    size = path.stat().st_size
    told = "not compared" if largest is None else f"largest difference from JAX {largest:.1e}"
    return {
        "onnx": str(path),
        "contract": str(contract),
        "folder": str(path.parent),
        "bytes": size,
        "inputs": _inputs(policy),
        "robot_differences": differences,
        "verified": largest is not None,
        **({"largest_difference": largest} if largest is not None else {}),
        "summary": f"{describe(policy.contract)}, {size / 1000:.0f} kB; {told}",
    }


def _inputs(policy: Policy) -> dict[str, int]:
    """Name of an input of the file to its size."""
    size = sum(len(entry["labels"]) for entry in policy.contract["observations"])
    return {"observation": size} | ({"state": policy.state_size} if policy.state_size else {})
