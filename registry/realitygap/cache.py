"""The cache: the key of a step, the parts it is made of, and how two keys differ.

The key is the sha256 of the canonical JSON of its parts. The parts are stored beside the outputs (`key.json`), so that a miss can
be explained. A path counts by what lies there, never by itself.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from realitygap.contents import content, file_hash, source_hash
from realitygap.errors import InputError
from realitygap.inputs import map_paths
from realitygap.plan import Plan, SkillPlan

FORMAT = 1
"""Version of the key; a new one makes every earlier result a miss."""

SIMULATION_EXTRA = "sim"
SIMULATION_PACKAGE = "realitygap_core"
LIBRARIES = ("jax", "jaxlib", "mujoco", "mujoco-mjx")
"""Distributions whose versions count for skills with the extra `sim`."""
SETTINGS = ("JAX_PLATFORMS", "JAX_ENABLE_X64", "JAX_DEFAULT_MATMUL_PRECISION", "XLA_FLAGS")
"""Variables that change what a simulation computes."""

_TERMS = {"task", "domain", "policy"}
_TOKEN, _PLAIN_TOKEN = "\0path:", "\0collection:"
"""Before a path; the second before one whose skill opens nothing that is named there."""


def is_cacheable(skill: SkillPlan) -> bool:
    """Whether a result may be used again: nothing outside the run folder was written, and only the inputs decide."""
    return skill.cache and skill.effects in ("none", "run")


def key_parts(skill: SkillPlan, inputs: Mapping[str, Any], seed: int, plan: Plan, runs: Path) -> dict[str, Any]:
    """The parts of the key of a step.

    Args:
        inputs: with defaults, formats resolved to absolute paths.
        runs: folder of all runs; a text that is a path below it counts by content even without a format.

    Raises:
        InputError: a file of an input cannot be read.
    """
    # A task may name any component; its code then decides the result too.
    takes_terms = any(schema.get("format") in _TERMS for schema in skill.input_schema.get("properties", {}).values())
    return {
        "format": FORMAT,
        "skill": skill.name,
        "version": skill.version,
        "manifest": skill.manifest_hash,
        "entry": skill.entry,
        "seed": seed,
        "inputs": _canonical(skill, inputs, plan, runs),
        **surroundings([skill.package, *(plan.components if takes_terms else ())], simulation=SIMULATION_EXTRA in skill.extras),
    }


def surroundings(packages: Iterable[str], *, simulation: bool) -> dict[str, Any]:
    """What else decides a result: sources, and for a simulation libraries and device. A machine that executes a step must have the same."""
    if not simulation:
        return {"code": {package: _package_hash(package) for package in packages}}
    code = {package: _package_hash(package) for package in (*packages, SIMULATION_PACKAGE)}
    return {"code": code, "libraries": _libraries(), "device": device()}


def forget_sources() -> None:
    """Sources may have changed since: a process that lives on looks at them again."""
    _package_hash.cache_clear()


def differences(old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = "") -> list[str]:
    """One line for each part that differs: `inputs.seed: 0 -> 1`."""
    lines = []
    for name in dict.fromkeys([*old, *new]):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        label = f"{prefix}{name}"
        if isinstance(before, Mapping) and isinstance(after, Mapping) and "content" not in before:
            lines += differences(before, after, f"{label}.")
        elif label == "manifest" or label.startswith("code."):
            lines.append(f"{label} changed" if name in old and name in new else f"{label} {'is new' if name in new else 'is gone'}")
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            changed = [] if before.get("content") == after.get("content") else ["content"]
            changed += [line.partition(" ")[0] for line in differences(before.get("refers_to", {}), after.get("refers_to", {}))]
            lines.append(f"{label}: {', '.join(changed) or 'kind'} changed")
        elif name not in old:
            lines.append(f"{label} is new: {_shown(after)}")
        elif name not in new:
            lines.append(f"{label} is gone: was {_shown(before)}")
        else:
            lines.append(f"{label}: {_shown(before)} -> {_shown(after)}")
    return lines


@lru_cache(maxsize=1)
def device() -> dict[str, str | None]:
    """What simulations run on, found out without importing jax: device, its name, the machine, the settings."""
    accelerated = os.environ.get("JAX_PLATFORMS", "").lower() not in ("cpu",) and _has_plugin()
    gpus = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")) if accelerated else []
    names = [
        line.partition(":")[2].strip() for gpu in gpus for line in gpu.read_text(errors="replace").splitlines() if line.startswith("Model")
    ]
    facts: dict[str, str | None] = {"kind": "gpu" if names else "cpu", "name": names[0] if names else None, "machine": platform.machine()}
    return facts | {name: os.environ[name] for name in SETTINGS if name in os.environ}


def _has_plugin() -> bool:
    return any(find_spec(name) is not None for name in ("jax_cuda12_plugin", "jax_cuda13_plugin", "jax_rocm7_plugin"))


@lru_cache(maxsize=1)
def _libraries() -> dict[str, str | None]:
    versions: dict[str, str | None] = {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = None
    return versions


@lru_cache(maxsize=256)
def _package_hash(package: str) -> str | None:
    """Hash of a package's or module's sources, found without importing anything; None when it is not installed."""
    from realitygap.scan import module_file, package_directories

    if directories := package_directories(package):
        return source_hash(directories[0])
    file = module_file(package)
    return file_hash(file) if file else None


def _canonical(skill: SkillPlan, inputs: Mapping[str, Any], plan: Plan, runs: Path) -> dict[str, Any]:
    prefix = str(runs.resolve()) + os.sep

    def restore(value: Any, name: str) -> Any:
        if isinstance(value, dict):
            return {key: restore(part, f"{name}.{key}") for key, part in value.items()}
        if isinstance(value, list):
            return [restore(part, f"{name}[{index}]") for index, part in enumerate(value)]
        if not isinstance(value, str):
            return value
        marked, plain = value.startswith((_TOKEN, _PLAIN_TOKEN)), value.startswith(_PLAIN_TOKEN)
        text = value.removeprefix(_TOKEN).removeprefix(_PLAIN_TOKEN)
        if not (marked or text.startswith(prefix)):
            return value
        path = Path(text)
        try:
            return content(path, plan.assets, follow=not plain) if path.exists() else text
        except OSError as error:
            raise InputError(f"input '{name}' cannot be read: {error.strerror}", where=text) from None

    def mark(name: str, text: str, schema: Mapping[str, Any]) -> str:
        return (_PLAIN_TOKEN if schema.get("format") == "collection" else _TOKEN) + text

    marked = map_paths(inputs, skill.input_schema, mark)
    return {name: restore(value, name) for name, value in sorted(marked.items())}


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."
