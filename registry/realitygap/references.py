"""References between steps: `${{ steps.train.outputs.policy }}`, whole strings only, no expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["input", "output", "item", "run", "pipeline"]

FORMS = "inputs.NAME, steps.ID.outputs.NAME, item, run.report, run.seed, pipeline.name"

_WHOLE = re.compile(r"^\$\{\{\s*(.*?)\s*\}\}$", re.DOTALL)
_NAME = r"[A-Za-z0-9_][A-Za-z0-9_-]*"
_PATTERNS: tuple[tuple[Kind, re.Pattern[str]], ...] = (
    ("input", re.compile(rf"inputs\.(?P<name>{_NAME})")),
    ("output", re.compile(rf"steps\.(?P<step>{_NAME})\.outputs\.(?P<name>{_NAME})")),
    ("item", re.compile(r"(?P<name>item)")),
    ("run", re.compile(r"run\.(?P<name>report|seed)")),
    ("pipeline", re.compile(r"pipeline\.(?P<name>name)")),
)


class Malformed(ValueError):
    """A string that looks like a reference and is none."""


class Absent:
    """The value of a reference to something optional that is not there."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = Absent()


@dataclass(frozen=True, kw_only=True)
class Reference:
    """What one `${{ ... }}` refers to."""

    kind: Kind
    name: str
    """Name of the input or output, `item`, `report`, `seed` or `name`."""
    step: str = ""
    """Id of the step, for an output."""

    def __str__(self) -> str:
        words = {
            "input": f"inputs.{self.name}",
            "output": f"steps.{self.step}.outputs.{self.name}",
            "item": "item",
            "run": f"run.{self.name}",
            "pipeline": "pipeline.name",
        }
        return words[self.kind]


def parse_reference(value: Any) -> Reference | None:
    """The reference that a value is, or None for any other value. Raises Malformed for one that is meant as a reference and is not."""
    if not isinstance(value, str) or "${{" not in value:
        return None
    whole = _WHOLE.match(value.strip())
    if whole is None or "${{" in whole[1]:
        raise Malformed("a reference is the whole value; text around it and several in one value are not possible")
    for kind, pattern in _PATTERNS:
        if match := pattern.fullmatch(whole[1]):
            return Reference(kind=kind, name=match["name"], step=match.groupdict().get("step") or "")
    raise Malformed(f"'{whole[1]}' is not a reference; there are: {FORMS}")


def references(value: Any, pointer: str = "") -> Iterator[tuple[str, Any]]:
    """Every string in a value that holds `${{`, with its JSON pointer."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from references(part, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from references(part, f"{pointer}/{index}")
    elif isinstance(value, str) and "${{" in value:
        yield pointer, value


def substitute(value: Any, lookup: Callable[[Reference], Any]) -> Any:
    """The value with every reference replaced; keys and items whose reference is ABSENT are dropped."""
    if isinstance(value, dict):
        parts = {key: substitute(part, lookup) for key, part in value.items()}
        return {key: part for key, part in parts.items() if part is not ABSENT}
    if isinstance(value, list):
        return [part for part in (substitute(part, lookup) for part in value) if part is not ABSENT]
    reference = parse_reference(value)
    return value if reference is None else lookup(reference)
