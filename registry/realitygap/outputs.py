"""What a skill gave back: made plain, held against its manifest, stored."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from realitygap.errors import InputError
from realitygap.inputs import properties_of, types_of, validate
from realitygap.protocol import StepOrder
from realitygap.stepstore import StrayPath, store_outputs
from realitygap.validator import is_json


class SkillDefect(Exception):
    """The skill broke its contract: wrong outputs, no function."""


def checked(order: StepOrder, folder: Path, returned: Any) -> str:
    """The outputs as they are stored, as JSON. Raises SkillDefect for what breaks the output schema."""
    if not isinstance(returned, Mapping):
        raise SkillDefect(f"skill '{order.skill}' returned {type(returned).__name__} in place of a mapping of outputs")
    outputs, text = plain({str(name): value for name, value in returned.items() if value is not None or _admits_null(order, str(name))})
    try:
        validate(outputs, order.output_schema, "output")
        return store_outputs(folder, outputs, text, order.output_schema, order.inputs, strict=order.effects != "workspace")
    except (InputError, StrayPath) as error:
        raise SkillDefect(f"skill '{order.skill}': {getattr(error, 'message', error)}") from None


def plain(outputs: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Outputs with arrays as lists and paths as texts, and that as JSON. Raises SkillDefect for what JSON cannot hold, not-a-number too."""
    try:
        text = json.dumps(outputs, default=_simpler, allow_nan=False, ensure_ascii=False)
        if is_json(outputs):
            return dict(outputs), text
        found = json.loads(text)  # of two keys that are one name there, such as 1 and "1", the last counts
    except (TypeError, ValueError):
        found = {name: _plain(value, name) for name, value in outputs.items()}  # finds the place
    try:
        return found, json.dumps(found, ensure_ascii=False)
    except ValueError as error:
        raise SkillDefect(f"the outputs cannot be written: {error}") from None


def _simpler(value: Any) -> Any:
    """One that the JSON encoder does not know, in terms of those it does."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"of type {type(value).__name__}, which JSON cannot hold")


def _plain(value: Any, name: str) -> Any:
    """As `plain`, step by step."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, Mapping):
        return {_key(key): _plain(part, f"{name}.{key}") for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(part, f"{name}[{index}]") for index, part in enumerate(value)]
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise SkillDefect(f"output '{name}' is {value}, which is not a number that JSON can hold")
        return float(value)
    try:
        return _plain(_simpler(value), name)
    except TypeError as error:
        raise SkillDefect(f"output '{name}' is {error}") from None


def _key(key: Any) -> str:
    if isinstance(key, str):
        return key
    return json.dumps(key) if key is None or isinstance(key, (bool, int, float)) else str(key)


def _admits_null(order: StepOrder, name: str) -> bool:
    return "null" in types_of(properties_of(order.output_schema).get(name, {}))
