"""Skill `identify-parameters`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import yaml

from realitygap.context import RunContext
from realitygap.errors import InputError
from realitygap_core.diagnosable import choose_logs
from realitygap_core.gap import ChannelGap, gaps, noise_floor
from realitygap_core.identification import Identified, posterior
from realitygap_core.identification import identify as identify_robot
from realitygap_core.model_file import save_model
from realitygap_core.parameters import apply, read
from realitygap_core.recording import Recording
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot
from realitygap_core.selection import own_parameters
from realitygap_core.structure import SearchConfig
from realitygap_plugins.system_id import figures
from realitygap_plugins.system_id.fit_file import read_fit
from realitygap_plugins.system_id.plants import gaps_json, open_loop_logs, open_pair, patterns, position_channels, split_logs


def identify(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `identify-parameters`; contract in skills/identify-parameters/skill.yaml."""
    max_terms = int(inputs["max_terms"])
    stages = max_terms + 4
    done = 0

    def report(line: str) -> None:
        nonlocal done
        done = min(done + 1, stages - 1)
        run.log.info(line)
        run.progress(done, stages, line)

    robot, recording = open_pair(inputs, run)
    asked = read_fit(inputs["fit"], robot)
    train, test, reason = _logs(inputs, robot, recording)
    channels = position_channels(robot, recording)
    training = Replay(robot, recording, logs=train, channels=channels)
    testing = Replay(robot, recording, logs=test, channels=channels) if test else None
    with asked.locating():
        found = identify_robot(
            training,
            names=asked.names,
            bounds=asked.bounds,
            start=asked.start,
            terms=SearchConfig(max_terms=max_terms),
            report=report,
            check=run.check_cancelled,
        )
    report("testing")
    shown = testing or training
    plants = (apply(robot, {}), apply(robot, found.fit.values))
    nominal, final = ({name: rows[0] for name, rows in shown.simulate([plant]).items()} for plant in plants)
    gap_nominal, gap_final = gaps(shown, nominal), gaps(shown, final)
    every = recording.select([*train, *test])
    floor = noise_floor(every, channels)
    parameters = {
        item.name: {
            "value": item.value,
            "low": item.low,
            "high": item.high,
            "unit": item.unit,
            "at_bound": item.at_bound,
            "identified": item.identified,
        }
        for item in found.fit.estimates
    }
    domain = run.artifact("posterior.yaml")
    document = posterior(training, found.fit, model=robot.name, bounds=found.bounds)
    domain.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
    model = save_model(robot, found.fit.values, run.artifact("identified.xml"))
    log = shown.recording.log_names[0]
    run.figure("identified", figures.overlay(shown, {"nominal": nominal, "identified": final}, log))
    run.figure("gap", figures.bars({"nominal": gap_nominal, "identified": gap_final}, floor))
    run.figure("parameters", figures.intervals(parameters, read(robot)))
    for item in found.fit.estimates:
        if item.at_bound and item.low > 0:
            run.warn(f"{item.name} ended on its bound ({item.value:.4g} {item.unit})")
    run.progress(stages, stages, "done")
    outputs: dict[str, Any] = {
        "parameters": parameters,
        "gap_nominal": gaps_json(gap_nominal),
        "gap_train": gaps_json(found.fit.gap),
        "gap_test": gaps_json(gap_final) if testing else None,
        "noise_floor": floor,
        "structure": [item.as_json(found.fit.values) for item in found.found],
        "domain": str(domain),
        "model": str(model),
        "identifiability": {
            "cannot_be_told_apart": [{"parts": dict(item.parts), "text": item.text} for item in found.fit.unidentified],
            "left_at_nominal": found.left_out,
            "effective_samples": found.fit.effective_samples,
            "converged": found.fit.converged,
        },
        "train_logs": list(training.recording.log_names),
        "test_logs": list(testing.recording.log_names) if testing else [],
        "summary": _summary(found, gap_nominal, gap_final, floor, testing is not None, reason),
    }
    if testing is None:
        run.warn("no log was held out: `gap_test` is null, and the gaps on the logs that were fitted do not test the model")
    return outputs


def _logs(inputs: Mapping[str, Any], robot: Robot, recording: Recording) -> tuple[list[str], list[str], str]:
    """(training logs, test logs, why)."""
    train, test = patterns(inputs.get("train_logs")), patterns(inputs.get("test_logs"))
    if train is None:
        if test is None:
            return _split(robot, recording)
        held = {log.name for log in recording.logs(test)} if test else set()
        chosen, others, reason = _split(robot, recording)
        rest = [name for name in (*chosen, *others) if name not in held]
        if not rest:
            raise InputError("every log is a test log", hint="name `train_logs`, or fewer `test_logs`")
        return rest, sorted(held), reason
    used = [log.name for log in recording.logs(train)]
    held_out = [log.name for log in recording.logs(test)] if test else []
    if both := sorted(set(used) & set(held_out)):
        raise InputError(f"log '{both[0]}' is a training log and a test log", hint="a test log must not be used for fitting")
    return used, held_out, "as asked for"


def _split(robot: Robot, recording: Recording) -> tuple[list[str], list[str], str]:
    """As `split_logs`, without logs that an open-loop replay cannot follow, such as those of a controller that balances."""
    chosen, _ = open_loop_logs(recording)
    nominal = {name: info.nominal for name, info in own_parameters(robot).items()}
    usable, lost = choose_logs(robot, recording.select(chosen), nominal, max_steps=sys.maxsize)
    train, test, reason = split_logs(recording.select([name for name in chosen if name in usable]))
    return train, test, reason + (f"; open loop cannot follow {', '.join(lost)}" if lost else "")


def _summary(
    found: Identified,
    nominal: Mapping[str, ChannelGap],
    final: Mapping[str, ChannelGap],
    floor: Mapping[str, float] | None,
    tested: bool,
    reason: str,
) -> str:
    parts = [f"{name} {nominal[name].rmse:.3g} to {final[name].rmse:.3g} {final[name].unit}".rstrip() for name in final]
    where = "on logs not used for fitting" if tested else "on the training logs; there are no others"
    lines = [f"open-loop RMSE {', '.join(parts)}, {where}" + (f" ({reason})" if tested else "")]
    lines.append(
        f"missing in the model: {', '.join(item.term for item in found.found)}" if found.found else "no term is missing in the model"
    )
    if floor:
        lines.append("noise floor: " + ", ".join(f"{name} {value:.2g}" for name, value in floor.items()))
    return "\n".join(lines)
