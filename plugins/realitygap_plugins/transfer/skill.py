"""Skill `validate-transfer`; contract in skills/validate-transfer/skill.yaml."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realitygap.errors import InputError
from realitygap_core.bank import require_known
from realitygap_core.domain import Domain
from realitygap_core.evaluate import Evaluation, evaluate
from realitygap_core.policy import Policy
from realitygap_core.robot import Robot
from realitygap_core.task import Task, compile_task

if TYPE_CHECKING:
    from realitygap.context import RunContext


def validate_transfer(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `validate-transfer`."""
    policy = Policy.load(inputs["policy"])
    domain = _domain(inputs, policy, run)
    task = _task(inputs, policy, run, domain, inputs.get("model"))
    trials, seed = int(inputs.get("trials", 256)), int(inputs.get("seed", run.seed + 1_000_003))
    pseudo_real = inputs.get("pseudo_real")
    rounds = 2 if pseudo_real else 1

    def progress(round_number: int, message: str) -> Any:
        def report(done: int, total: int) -> None:
            run.check_cancelled()
            run.progress(round_number * total + done, rounds * total, message)

        return report

    judged = evaluate(
        policy, task, trials=trials, seed=seed, stochastic=bool(inputs.get("stochastic", False)), progress=progress(0, "fresh draws")
    )
    outputs = {"trials": trials, **_outcome(judged)}
    other: Evaluation | None = None
    if pseudo_real:
        strange = _task(inputs, policy, run, None, pseudo_real)
        other = evaluate(
            policy, strange, trials=int(inputs.get("pseudo_real_trials", 64)), seed=seed + 1, progress=progress(1, "pseudo-real")
        )
        outputs["pseudo_real"] = {"trials": len(other.trials), **_outcome(other)}
    _table(run.artifact("trials.csv"), judged)
    run.figure("trials", _figure(judged, other, task))
    outputs["records"] = str(run.artifact("trials.csv"))
    outputs["summary"] = _summary(judged, other, task, domain)
    return outputs


def _domain(inputs: Mapping[str, Any], policy: Policy, run: RunContext) -> Domain | None:
    path = inputs.get("domain")
    if path is None and policy.folder is not None and (policy.folder / "domain.yaml").is_file():
        path = policy.folder / "domain.yaml"
    if path is None:
        run.warn("there is no domain: all trials are on the nominal plant and differ in noise, latency and start only")
        return None
    document = run.document(path, "domain")
    with document.locating():
        return Domain.from_mapping(document.data)


def _task(inputs: Mapping[str, Any], policy: Policy, run: RunContext, domain: Domain | None, model: str | None) -> Task:
    path = Path(inputs["task"]) if "task" in inputs else policy.task_file
    document = run.document(path, "task")
    spec = dict(document.data)
    spec.pop("domain", None)
    if "latency" in inputs:
        spec["action"] = dict(spec.get("action", {})) | {"latency": list(inputs["latency"])}
    robot = Robot.load(model) if model is not None else None
    with document.locating():
        # One engine for all verdicts: C MuJoCo, the reference, whatever the policy was trained on.
        task = compile_task(spec, run.catalog, robot, folder=path.parent, engine="mujoco", domain=domain)
    if domain is not None:
        require_known(domain, task.nominal, where=inputs.get("domain"))
    if task.success is None:
        raise InputError(f"task '{task.name}' does not say what success is", where=str(path), hint="add `success` to the task")
    return task


def _outcome(judged: Evaluation) -> dict[str, Any]:
    low, high = judged.success_interval
    return {
        "success_rate": judged.success_rate,
        "success_interval": [low, high],
        "failures": judged.failures,
        "held_s": float(np.median([trial.held_s for trial in judged.trials])),
        "largest": {name: max(trial.largest[name] for trial in judged.trials) for name in judged.trials[0].largest},
    }


def _summary(judged: Evaluation, other: Evaluation | None, task: Task, domain: Domain | None) -> str:
    low, high = judged.success_interval
    where = f"fresh draws of {len(domain.free)} parameters" if domain is not None else "trials on the nominal plant"
    failures = ", ".join(f"{reason} {count}" for reason, count in judged.failures.items())
    lines = [f"{task.name}: {100 * judged.success_rate:.1f} % of {len(judged.trials)} {where} solved [{100 * low:.1f}, {100 * high:.1f}] %"]
    if failures:
        lines.append(f"failures: {failures}")
    if other is not None:
        low, high = other.success_interval
        lines.append(f"pseudo-real: {100 * other.success_rate:.1f} % of {len(other.trials)} [{100 * low:.1f}, {100 * high:.1f}] %")
    return "\n".join(lines)


def _table(path: Path, judged: Evaluation) -> None:
    """One row a trial, plant included."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        first = judged.trials[0]
        writer.writerow(
            [
                "trial",
                "success",
                "failure",
                "failed_at_s",
                "held_s",
                "fraction_held",
                "return",
                *(f"largest[{n}]" for n in first.largest),
                *first.plant,
            ]
        )
        for index, trial in enumerate(judged.trials):
            failed_at = "" if trial.failed_at_s is None else trial.failed_at_s
            row = [index, int(trial.success), trial.failure or "", failed_at, trial.held_s, trial.fraction_held, trial.episode_return]
            writer.writerow([*row, *trial.largest.values(), *trial.plant.values()])


def _figure(judged: Evaluation, other: Evaluation | None, task: Task) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(judged.first)[:6]
    columns = [("fresh draws", judged), *([("pseudo-real", other)] if other is not None else [])]
    fig, axes = pyplot.subplots(len(names), len(columns), figsize=(4.5 * len(columns), 1.7 * len(names) + 0.6), sharex=True, squeeze=False)
    for column, (title, evaluation) in enumerate(columns):
        shown = [trial.success for trial in evaluation.trials]
        for row, name in enumerate(names):
            axis = axes[row][column]
            trace = evaluation.first[name]
            time = np.arange(1, trace.shape[0] + 1) * task.control_dt
            for index in range(min(trace.shape[1], 12)):
                axis.plot(time, trace[:, index], color="#2563eb" if shown[index] else "#dc2626", linewidth=0.8, alpha=0.6)
            axis.grid(alpha=0.25)
            if column == 0:
                axis.set_ylabel(name)
        axes[0][column].set_title(f"{title}: {100 * evaluation.success_rate:.0f} % solved", fontsize=10)
        axes[-1][column].set_xlabel("time [s]")
    fig.tight_layout()
    return fig
