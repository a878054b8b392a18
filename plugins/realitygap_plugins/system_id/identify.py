"""Skill `identify-parameters`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from realitygap.context import RunContext
from realitygap.document import join, load
from realitygap.errors import InputError, unknown
from realitygap_core.gap import ChannelGap, gaps, noise_floor
from realitygap_core.identification import Identified, posterior
from realitygap_core.identification import identify as identify_robot
from realitygap_core.model_file import save_model
from realitygap_core.parameters import apply, describe, read
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot
from realitygap_core.structure import SearchConfig
from realitygap_plugins.system_id import figures
from realitygap_plugins.system_id.plants import open_pair, patterns, position_channels, split_logs


def identify(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `identify-parameters`; contract in skills/identify-parameters/skill.yaml."""
    stages = int(inputs.get("max_terms", 6)) + 4
    done = 0

    def report(line: str) -> None:
        nonlocal done
        done = min(done + 1, stages - 1)
        run.log.info(line)
        run.progress(done, stages, line)

    robot, recording = open_pair(inputs, run)
    names, bounds, start = _fit_names(inputs.get("fit", "auto"), robot)
    train, test, reason = _logs(inputs, recording)
    channels = position_channels(robot, recording)
    training = Replay(robot, recording, logs=train, channels=channels)
    testing = Replay(robot, recording, logs=test, channels=channels) if test else None
    found = identify_robot(
        training,
        names=names,
        bounds=bounds,
        start=start,
        terms=SearchConfig(max_terms=int(inputs.get("max_terms", 6))),
        report=report,
        check=run.check_cancelled,
    )
    report("testing")
    shown = testing or training
    plants = [apply(robot, {}), apply(robot, found.fit.values)]
    simulated = shown.simulate(plants)
    nominal, final = ({name: rows[index] for name, rows in simulated.items()} for index in (0, 1))
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
    document = posterior(training, found.fit, model=robot.name, bounds=bounds)
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
        "gap_nominal": _json(gap_nominal),
        "gap_train": _json(found.fit.gap),
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
    if testing is not None:
        outputs["gap_test"] = _json(gap_final)
    return outputs


def _json(gap: Mapping[str, ChannelGap]) -> dict[str, Any]:
    return {name: value.as_json() for name, value in gap.items()}


def _logs(inputs: Mapping[str, Any], recording: Any) -> tuple[list[str], list[str], str]:
    train, test = patterns(inputs.get("train_logs")), patterns(inputs.get("test_logs"))
    if train is None and test is None:
        return split_logs(recording)
    if train is None:
        held = {log.name for log in recording.logs(test)}
        chosen, others, reason = split_logs(recording)
        rest = [name for name in (*chosen, *others) if name not in held]
        if not rest:
            raise InputError("every log is a test log", hint="name `train_logs`, or fewer `test_logs`")
        return rest, sorted(held), reason
    used = [log.name for log in recording.logs(train)]
    held_out = [log.name for log in recording.logs(test)] if test is not None else []
    if both := sorted(set(used) & set(held_out)):
        raise InputError(f"log '{both[0]}' is a training log and a test log", hint="a test log must not be used for fitting")
    return used, held_out, "as asked for"


def _fit_names(fit: str, robot: Robot) -> tuple[list[str] | None, dict[str, tuple[float, float]], dict[str, float]]:
    """(names, bounds, starting values) of `auto` or of a file: names to `[low, high]`, `{low, high, start}` or nothing.

    Raises:
        InputError: what is wrong in the file, with its line.
    """
    if fit == "auto":
        return None, {}, {}
    path = Path(fit)
    if not path.is_file():
        raise InputError(f"no file '{fit}'", hint="give `auto`, or a YAML file of parameter names with bounds")
    document = load(path)
    data, root = document.data, ""
    if isinstance(data, Mapping) and isinstance(data.get("parameters"), (Mapping, list)):
        data, root = data["parameters"], "/parameters"
    listed = isinstance(data, list)
    if isinstance(data, list):
        if odd := [entry for entry in data if not isinstance(entry, str)]:
            raise InputError(
                f"{odd[0]!r} in a list is not a name",
                where=str(path),
                hint="with bounds, leave the dashes out: `damping[knee]: [0.01, 1.0]`",
            )
        data = dict.fromkeys(data)
    if not isinstance(data, Mapping) or not data:
        raise InputError("the file names no parameters", where=str(path), hint="for example `damping[knee]: [0.01, 1.0]`")
    names, bounds, start = [], {}, {}
    for index, (name, entry) in enumerate(data.items()):
        with document.locating():
            describe(robot, str(name), pointer=f"{root}/{index}" if listed else join(root, str(name)))
        names.append(str(name))
        if entry is None:
            continue
        if isinstance(entry, Mapping):
            for key in entry:
                if key not in ("low", "high", "start"):
                    raise unknown("key", str(key), ("low", "high", "start"), where=f"{path}, '{name}'")
            if "start" in entry and not isinstance(entry["start"], (int, float)):
                raise InputError(f"the start of '{name}' is {entry['start']!r}, not a number", where=str(path))
        pair = [entry.get("low"), entry.get("high")] if isinstance(entry, Mapping) else entry
        if isinstance(pair, (list, tuple)) and len(pair) == 2 and all(isinstance(x, (int, float)) for x in pair):
            if not pair[0] < pair[1]:
                raise InputError(
                    f"the bounds of '{name}' are not in order: {pair[0]:g}, {pair[1]:g}", where=str(path), hint="write `[low, high]`"
                )
            bounds[str(name)] = (float(pair[0]), float(pair[1]))
        elif not (isinstance(entry, Mapping) and pair == [None, None]):
            raise InputError(
                f"the bounds of '{name}' are {entry!r}", where=str(path), hint="write `[low, high]`, or `{low: .., high: .., start: ..}`"
            )
        if isinstance(entry, Mapping) and isinstance(entry.get("start"), (int, float)):
            start[str(name)] = float(entry["start"])
    return names, bounds, start


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
