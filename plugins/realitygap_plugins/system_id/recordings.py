"""Skill `import-recording`, and how the plugin's skills open logs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from realitygap.context import RunContext
from realitygap_core.opening import open_recording, summarise_findings
from realitygap_core.recording import Recording
from realitygap_core.robot import Robot


def import_recording(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `import-recording`; contract in skills/import-recording/skill.yaml."""
    source = Path(inputs["source"])
    robot = Robot.load(inputs["model"]) if inputs.get("model") else None
    recording = open_logs(inputs, inputs["source"], robot, run)
    path = (
        source
        if (source / "recording.json").is_file()
        else recording.save(run.artifact(f"{_file_name(recording.name)}.recording"), overwrite=True)
    )
    seconds = sum(log.duration for log in recording.data.values())
    report = summarise_findings(recording)
    names = ", ".join(channel.name for channel in recording.channels)
    summary = f"{recording.name}: {len(recording.data)} logs, {seconds:.4g} s, channels {names}"
    return {
        "recording": str(path),
        "logs": list(recording.log_names),
        "channels": [_channel(recording, index) for index in range(len(recording.channels))],
        "seconds": seconds,
        "findings": [asdict(finding) for finding in recording.findings],
        "summary": "\n".join([summary, report[0] if report else "nothing to report: clocks are even, no values are missing"]),
    }


def open_logs(inputs: Mapping[str, Any], source: str, robot: Robot | None, run: RunContext) -> Recording:
    """The logs at `source`, by the `mapping` of the inputs if there is one. Raises InputError with file, line and column of the mapping."""
    with run.reading(inputs.get("mapping"), "mapping") as mapping:
        return open_recording(source, mapping, robot, catalog=run.catalog, warn=run.warn)


def _channel(recording: Recording, index: int) -> dict[str, Any]:
    channel = recording.channels[index]
    target: dict[str, str] = {str(channel.target.kind): channel.target.name} if channel.target else {}
    return {"name": channel.name, "role": channel.role, "unit": channel.unit, "quantity": channel.quantity, **target}


def _file_name(name: str) -> str:
    """The recording's name as a file name."""
    kept = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in name)
    return kept.lstrip(".") or "log"
