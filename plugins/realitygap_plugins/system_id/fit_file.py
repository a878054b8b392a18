"""The user's `fit` file: which parameters to fit, between which bounds, and where to begin."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realitygap.document import Document, join, load
from realitygap.errors import InputError, unknown
from realitygap_core.parameters import describe
from realitygap_core.robot import Robot

_KEYS = ("low", "high", "start")
_FORM = "write `[low, high]`, or `{low: .., high: .., start: ..}`"


@dataclass(frozen=True, kw_only=True)
class FitFile:
    """What to fit."""

    names: list[str] | None = None
    """Parameters; None for those that the logs can tell apart."""
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)
    """(low, high) of those that have their own."""
    start: dict[str, float] = field(default_factory=dict)
    """Values to begin at."""
    document: Document | None = None
    """The file; None for `auto`."""
    root: str = ""
    """Pointer to the parameters in the file."""

    def locating(self) -> AbstractContextManager[Any]:
        """Errors of the core that point to a parameter are shown with its line in the file."""
        return nullcontext() if self.document is None else self.document.locating(self.root)


def read_fit(fit: str, robot: Robot) -> FitFile:
    """`auto`, or a file: names to `[low, high]`, `{low, high, start}` or nothing, or a list of names; alone or under `parameters`.

    Raises:
        InputError: what is wrong in the file, with its line.
    """
    if fit == "auto":
        return FitFile()
    if not Path(fit).is_file():
        raise InputError(f"no file '{fit}'", hint="give `auto`, or a YAML file of parameter names with bounds")
    document = load(fit)
    data, root = document.data, ""
    if isinstance(data, Mapping) and isinstance(data.get("parameters"), (Mapping, list)):
        data, root = data["parameters"], "/parameters"
    if not isinstance(data, (Mapping, list)) or not data:
        raise document.error(root, "the file names no parameters", hint="for example `damping[knee]: [0.01, 1.0]`")
    bounds: dict[str, tuple[float, float]] = {}
    start: dict[str, float] = {}
    names: list[str] = []
    for key, entry in data.items() if isinstance(data, Mapping) else ((index, None) for index in range(len(data))):
        place = join(root, key)
        name = key if isinstance(data, Mapping) else data[key]
        if not isinstance(name, str):
            raise document.error(
                place, f"{name!r} in a list is not a name", hint="with bounds, leave the dashes out: `damping[knee]: [0.01, 1.0]`"
            )
        with document.locating():
            describe(robot, name, pointer=place)
        names.append(name)
        if entry is None:
            continue
        low, high, begin = _entry(document, place, name, entry)
        if low is not None and high is not None:
            bounds[name] = (low, high)
        if begin is not None:
            start[name] = begin
    return FitFile(names=names, bounds=bounds, start=start, document=document, root=root)


def _entry(document: Document, place: str, name: str, entry: Any) -> tuple[float | None, float | None, float | None]:
    """(low, high, start) of one entry."""
    if isinstance(entry, Mapping):
        for key in entry:
            if key not in _KEYS:
                raise unknown("key", str(key), _KEYS, where=document.where(join(place, key), key=True))
        low, high, start = (entry.get(key) for key in _KEYS)
    elif isinstance(entry, list) and len(entry) == 2:
        (low, high), start = entry, None
    else:
        raise document.error(place, f"the bounds of '{name}' are {entry!r}", hint=_FORM)
    for value, what in ((low, "lower bound"), (high, "upper bound"), (start, "start")):
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise document.error(place, f"the {what} of '{name}' is {value!r}, not a number", hint=_FORM)
    if (low is None) != (high is None):
        raise document.error(place, f"'{name}' has one bound", hint="give both, or neither")
    if low is not None and high is not None and not low < high:
        raise document.error(place, f"the bounds of '{name}' are not in order: {low:g}, {high:g}", hint="write `[low, high]`")
    return low, high, start
