"""Opens the logs that somebody names, and says what is worth a warning about them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from realitygap_core.importing import import_recording
from realitygap_core.mapping import LogMapping
from realitygap_core.readers import ReaderFactory, builtin_readers
from realitygap_core.recording import Finding, Recording
from realitygap_core.robot import Robot

_SHOWN_GUESSES = 6


class Catalog(Protocol):
    """Where other plugins' readers come from: `realitygap.components.Catalog`, or anything with these methods."""

    def names(self, kind: str) -> Sequence[str]:
        """Names of the components of a kind."""
        ...

    def load(self, kind: str, name: str) -> Callable[..., Any]:
        """The factory of a component; may raise anything."""
        ...


def open_recording(
    source: str | os.PathLike[str],
    mapping: Mapping[str, Any] | None = None,
    robot: Robot | None = None,
    *,
    catalog: Catalog | None = None,
    warn: Callable[[str], None] = lambda line: None,
) -> Recording:
    """The recording of a `.recording` folder, or of a raw log with its mapping.

    Args:
        source: Folder or file.
        mapping: Mapping document as plain data; needed for a raw log, without use for a recording.
        robot: Model to check the mapping's targets and the values' ranges against.
        catalog: Gives readers beside the built-in ones.
        warn: Is told a line for each kind of finding, for what the mapping still marks as guessed, and for a reader that does not load.

    Raises:
        CoreError: what is wrong, with log, row and channel, or with `pointer` into the mapping.
    """
    path = Path(source)
    if (path / "recording.json").is_file():
        if mapping is not None:
            warn(f"'{path.name}' is a recording already; the mapping was not used")
        recording = Recording.open(path)
    else:
        parsed = LogMapping.parse(mapping, robot) if mapping is not None else None
        recording = import_recording(path, parsed, robot, readers=readers_of(catalog, warn) if catalog is not None else None)
        if parsed is not None and parsed.guesses:
            shown = ", ".join(parsed.guesses[:_SHOWN_GUESSES]) + (", ..." if len(parsed.guesses) > _SHOWN_GUESSES else "")
            warn(f"the mapping still marks {len(parsed.guesses)} entries as guesses ({shown}): check them and remove `guess: true`")
    for line in summarise_findings(recording):
        warn(line)
    return recording


def readers_of(catalog: Catalog, warn: Callable[[str], None]) -> dict[str, ReaderFactory]:
    """The readers that other plugins bring. One that does not load is told and left out: the other formats go on."""
    readers: dict[str, ReaderFactory] = {}
    for name in catalog.names("reader"):
        if name in builtin_readers():
            continue
        try:
            readers[name] = catalog.load("reader", name)
        except Exception as error:  # it is somebody else's code
            warn(f"the reader '{name}' does not load: {type(error).__name__}: {error}")
    return readers


def summarise_findings(recording: Recording) -> list[str]:
    """One line a kind of finding: in how many logs, and the first one's message."""
    by_kind: dict[str, list[Finding]] = {}
    for finding in recording.findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    lines = []
    for kind, found in by_kind.items():
        logs = len({finding.log for finding in found})
        lines.append(f"{kind} in {logs} of {len(recording.data)} logs; log '{found[0].log}': {found[0].message}")
    return lines
