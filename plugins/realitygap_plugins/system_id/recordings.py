"""Skill `import-recording`, and what the plugin's other skills use to open a recording or a raw log."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from realitygap.context import RunContext
from realitygap_core.importing import import_recording as import_logs
from realitygap_core.mapping import LogMapping
from realitygap_core.readers import ReaderFactory
from realitygap_core.recording import Finding, Recording
from realitygap_core.robot import Robot

_SHOWN_GUESSES = 6


def import_recording(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `import-recording`; contract in skills/import-recording/skill.yaml."""
    source = Path(inputs["source"])
    recording = open_recording(source, inputs.get("mapping"), inputs.get("model"), run)
    path = (
        source
        if (source / "recording.json").is_file()
        else recording.save(run.artifact(f"{_file_name(recording.name)}.recording"), overwrite=True)
    )
    seconds = sum(log.duration for log in recording.data.values())
    report = summarise_findings(recording)
    for line in report:
        run.warn(line)
    names = ", ".join(channel.name for channel in recording.channels)
    summary = f"{recording.name}: {len(recording.data)} logs, {seconds:.4g} s, channels {names}"
    return {
        "recording": str(path),
        "logs": list(recording.log_names),
        "channels": [_channel(recording, index) for index in range(len(recording.channels))],
        "seconds": seconds,
        "findings": [_finding(finding) for finding in recording.findings],
        "summary": "\n".join([summary, report[0] if report else "nothing to report: clocks are even, no values are missing"]),
    }


def open_recording(source: str | Path, mapping: str | Path | None, model: str | Path | None, run: RunContext) -> Recording:
    """The recording of a `.recording` folder, or of a raw log with its mapping.

    Args:
        source: Folder or file.
        mapping: Mapping document; needed for a raw log, without use for a recording.
        model: MJCF or URDF to check the mapping's targets against; None checks no targets.
        run: Gives the document reader and the readers of other plugins; gets a warning for what the mapping still marks as guessed.

    Raises:
        InputError: from the mapping, with file, line and column.
        CoreError: from the logs, with log, row and channel.
    """
    path = Path(source)
    if (path / "recording.json").is_file():
        if mapping is not None:
            run.warn(f"'{path.name}' is a recording already; the mapping '{Path(mapping).name}' was not used")
        return Recording.open(path)
    document = run.document(mapping, "mapping") if mapping is not None else None
    robot = Robot.load(model) if model is not None else None
    with document.locating() if document is not None else nullcontext():
        parsed = LogMapping.parse(document.data, robot) if document is not None else None
        recording = import_logs(path, parsed, robot, readers=_readers(run))
    if parsed is not None and parsed.guesses:
        shown = ", ".join(parsed.guesses[:_SHOWN_GUESSES]) + (", ..." if len(parsed.guesses) > _SHOWN_GUESSES else "")
        run.warn(f"the mapping still marks {len(parsed.guesses)} entries as guesses ({shown}): check them and remove `guess: true`")
    return recording


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


def _readers(run: RunContext) -> dict[str, ReaderFactory]:
    """Readers that other plugins bring; a broken plugin's are left out here and reported by `skills doctor`."""
    catalog = run.catalog
    return {
        name: catalog.load("reader", name)
        for name in catalog.names("reader")
        if not catalog.get("reader", name).factory.startswith("realitygap_core.")
    }


def _channel(recording: Recording, index: int) -> dict[str, Any]:
    channel = recording.channels[index]
    target: dict[str, str] = {str(channel.target.kind): channel.target.name} if channel.target else {}
    return {"name": channel.name, "role": channel.role, "unit": channel.unit, "quantity": channel.quantity, **target}


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "log": finding.log,
        "stream": finding.stream,
        "channel": finding.channel,
        "row": finding.row,
        "message": finding.message,
        "figures": dict(finding.figures),
    }


def _file_name(name: str) -> str:
    """The recording's name as a file name."""
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
    return kept.lstrip(".") or "log"
