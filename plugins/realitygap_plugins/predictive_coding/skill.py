"""Skill `diagnose-transfer`; contract in skills/diagnose-transfer/skill.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from realitygap.errors import InputError
from realitygap_core.diagnosable import choose_logs, compared_channels
from realitygap_core.diagnosis import Diagnosis
from realitygap_core.gap import noise_floor
from realitygap_core.hypotheses import Believed
from realitygap_core.opening import open_recording
from realitygap_core.parameters import check, read
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot
from realitygap_core.statistics import as_json
from realitygap_core.verdict import Verdict

if TYPE_CHECKING:
    from realitygap.context import RunContext


def diagnose(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `diagnose-transfer`."""
    robot = Robot.load(inputs["model"])
    for note in robot.notes:
        run.warn(note)
    with run.reading(inputs.get("mapping"), "mapping") as mapping:
        recording = open_recording(inputs["recording"], mapping, robot, catalog=run.catalog, warn=run.warn)
    believed = _believed(inputs.get("parameters") or {}, robot)
    values = {name: b.value for name, b in believed.items()}
    # No log is what an identification puts out that held none out.
    patterns = inputs.get("logs") or None
    if inputs.get("logs") == []:
        run.warn("no log was held out: the diagnosis is on all logs, those that were fitted too, and may miss what the fit took up")
    recording.logs(patterns)  # a pattern that matches nothing is refused before any work
    run.progress(0, None, "choosing logs")
    nominal = values or {n: v for n, v in read(robot).items() if n.startswith(("mass[", "damping[", "gain[")) and v > 0}
    chosen, lost = choose_logs(robot, recording.select(patterns), nominal, max_steps=int(inputs["max_steps"]))
    if lost:
        run.warn(f"{len(lost)} logs are unstable in open loop and were left out: {', '.join(lost[:4])}{', ...' if len(lost) > 4 else ''}")
    kept = recording.select(chosen)
    replay = Replay(robot, kept, channels=compared_channels(robot, kept))

    def report(message: str) -> None:
        run.check_cancelled()
        run.progress(diagnosis.fit.problem.evaluations, None, message)

    diagnosis = Diagnosis(replay, believed, noise_floor=noise_floor(recording.select(patterns), replay.channels), report=report)
    verdicts = diagnosis.verdicts()
    run.figure("prediction-errors", _figure(diagnosis))
    return {
        "verdicts": [_row(v) for v in verdicts],
        "logs": chosen,
        "replays": diagnosis.fit.problem.evaluations,
        "hypotheses": [h.label for h in diagnosis.hypotheses],
        "summary": "\n".join(_line(v) for v in verdicts[:3]),
    }


def _believed(parameters: Mapping[str, Any], robot: Robot) -> dict[str, Believed]:
    """What `identify-parameters` put out. Raises InputError for an entry that is no number, CoreError for a name that the model lacks."""
    believed = {}
    for name, entry in parameters.items():
        row = entry if isinstance(entry, Mapping) else {"value": entry}
        value = row.get("value")
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise InputError(f"parameter '{name}' has no value", hint="give what identify-parameters put out, {name: {value, low, high}}")
        believed[name] = Believed(value=float(value), low=row.get("low"), high=row.get("high"))
    check(robot, {name: b.value for name, b in believed.items()})
    return believed


def _row(verdict: Verdict) -> dict[str, Any]:
    row = asdict(verdict)
    return {key: as_json(value) if isinstance(value, float) else value for key, value in row.items()}


def _line(v: Verdict) -> str:
    if v.kind == "none":
        return f"none: {v.evidence} ({v.confidence:.0%})"
    if v.kind == "undecided" and v.parameter is None:
        return f"undecided: {v.evidence}"
    if v.kind == "overconfidence":
        return f"overconfidence: intervals are too narrow by {v.magnitude:.2g} ({v.confidence:.0%})"
    return f"{v.kind} in {v.channel}: {v.parameter} off by {v.magnitude:.3g} [{v.low:.3g}, {v.high:.3g}] {v.unit} ({v.confidence:.0%})"


def _figure(diagnosis: Diagnosis) -> Any:
    """Prediction error of each channel over time in the first log: as believed, and with the faults that were found."""
    from matplotlib.figure import Figure

    replay = diagnosis.replay
    channels = replay.channels[:6]
    figure = Figure(figsize=(7, 1.6 * len(channels) + 0.4), layout="constrained")
    axes = figure.subplots(len(channels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, channel in zip(axes, channels, strict=True):
        rows = diagnosis.fit.parts[channel][0]
        first = replay.segment_of(channel) == replay.segment_of(channel)[0]
        t = replay.times(channel)[first]
        axis.plot(t, diagnosis.before[rows], linewidth=0.8, color="C7", label="as believed")
        axis.plot(t, diagnosis.after[rows], linewidth=0.8, color="C0", label="with what was found")
        axis.set_ylabel(f"{channel}\n{diagnosis.unit_of(channel)}", fontsize=8)
        axis.tick_params(labelsize=7)
    axes[0].legend(fontsize=7, ncols=2)
    axes[0].set_title(f"prediction error, log {replay.segments[0].log}", fontsize=9)
    axes[-1].set_xlabel("s", fontsize=8)
    return figure
