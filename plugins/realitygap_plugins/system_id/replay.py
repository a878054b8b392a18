"""Skill `replay-recording`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from realitygap.context import RunContext
from realitygap_core.gap import ChannelGap, gaps, noise_floor
from realitygap_core.parameters import apply
from realitygap_core.replay import Replay
from realitygap_plugins.system_id import figures
from realitygap_plugins.system_id.plants import gaps_json, open_loop_logs, open_pair, parameter_values, patterns


def replay(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `replay-recording`; contract in skills/replay-recording/skill.yaml."""
    run.progress(0, 4, "reading")
    robot, recording = open_pair(inputs, run)
    asked = patterns(inputs.get("logs"))
    chosen, reason = (asked, "as asked for") if asked is not None else open_loop_logs(recording)
    plant = apply(robot, parameter_values(robot, inputs.get("parameters"), run))
    work = Replay(robot, recording, logs=chosen)
    run.log.info("logs (%s): %s", reason, ", ".join(work.recording.log_names))
    run.check_cancelled()
    run.progress(1, 4, "replaying")
    shown = {name: values[0] for name, values in work.simulate([plant]).items()}
    gap = gaps(work, shown)
    floor = noise_floor(work.recording, work.channels)
    per_log = {log: gaps(work, shown, log=log) for log in work.recording.log_names}
    run.check_cancelled()
    run.progress(2, 4, "replaying from recorded states")
    window = inputs["window"]
    restarted = None
    if window > 0:
        short = Replay(robot, recording, logs=chosen, window=window)
        restarted = gaps(short, {name: values[0] for name, values in short.simulate([plant]).items()})
    run.progress(3, 4, "writing")
    simulated, real = work.recordings(plant, rng=np.random.default_rng(run.seed))
    paths = {
        "simulated": str(simulated.save(run.artifact("simulated.recording"), overwrite=True)),
        "real": str(real.save(run.artifact("real.recording"), overwrite=True)),
    }
    worst = _representative(per_log, gap)
    run.figure("replay", figures.overlay(work, {"simulated": shown}, worst))
    run.figure("gap", figures.bars({"gap": gap}, floor))
    run.progress(4, 4, "done")
    outputs: dict[str, Any] = {
        "gap": gaps_json(gap),
        "noise_floor": floor,
        **paths,
        "per_log": {log: gaps_json(values) for log, values in per_log.items()},
        "logs": list(work.recording.log_names),
        "summary": _summary(gap, floor, per_log, reason),
    }
    if restarted is not None:
        outputs["gap_window"] = gaps_json(restarted)
    return outputs


def _representative(per_log: Mapping[str, Mapping[str, ChannelGap]], pooled: Mapping[str, ChannelGap]) -> str:
    """The log whose gap is nearest to the pooled one, over all channels."""

    def distance(log: str) -> float:
        return sum(abs(gap.rmse / pooled[name].rmse - 1.0) for name, gap in per_log[log].items() if pooled[name].rmse > 0)

    return min(per_log, key=distance)


def _dominant(per_log: Mapping[str, Mapping[str, ChannelGap]]) -> tuple[str, float]:
    """The log with the largest share of the squared error, and that share, the channels' shares averaged."""
    shares = dict.fromkeys(per_log, 0.0)
    channels = next(iter(per_log.values())).keys()
    for channel in channels:
        squares = {log: gaps[channel].samples * gaps[channel].rmse ** 2 for log, gaps in per_log.items() if channel in gaps}
        total = sum(squares.values()) or 1.0
        for log, square in squares.items():
            shares[log] += square / total / len(channels)
    worst = max(shares, key=lambda log: shares[log])
    return worst, shares[worst]


def _summary(
    gap: Mapping[str, ChannelGap], floor: Mapping[str, float] | None, per_log: Mapping[str, Mapping[str, ChannelGap]], reason: str
) -> str:
    parts = [f"{name} {value.rmse:.3g} {value.unit}".rstrip() for name, value in gap.items()]
    first = f"open-loop RMSE over {len(per_log)} logs: {', '.join(parts)}"
    second = (
        "noise floor (repeats of the robot itself): " + ", ".join(f"{name} {value:.2g}" for name, value in floor.items())
        if floor
        else "no noise floor: no command was repeated"
    )
    third = f"logs: {reason}"
    if len(per_log) > 2 and (worst := _dominant(per_log))[1] > 0.5:
        third += f"; {worst[1]:.0%} of the squared error is in log '{worst[0]}', leave it out with `logs` to see the others"
    return f"{first}\n{second}\n{third}"
