"""What the skills that judge policies share: the domain, the task, the table of the trials, their traces."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from realitygap.errors import InputError
from realitygap_core.bank import require_known
from realitygap_core.contract import joints_of
from realitygap_core.domain import Domain
from realitygap_core.evaluate import Evaluation
from realitygap_core.film import Film, film
from realitygap_core.policy import Policy
from realitygap_core.robot import Robot
from realitygap_core.task import Task, compile_task

if TYPE_CHECKING:
    from realitygap.context import RunContext


def domain_of(inputs: Mapping[str, Any], policy: Policy, run: RunContext) -> Domain | None:
    """The domain of the inputs, else that of the bundle, else None with a warning."""
    path = inputs.get("domain")
    if path is None and policy.folder is not None and (policy.folder / "domain.yaml").is_file():
        path = policy.folder / "domain.yaml"
    if path is None:
        run.warn("there is no domain: all trials are on the nominal plant and differ in noise, latency and start only")
        return None
    document = run.document(path, "domain")
    with document.locating():
        return Domain.from_mapping(document.data)


def task_of(inputs: Mapping[str, Any], policy: Policy, run: RunContext, domain: Domain | None, model: str | None) -> Task:
    """The task to judge by, on C MuJoCo. Raises InputError and CoreError with file and line."""
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
    return task


def need_success(task: Task) -> Task:
    """The task. Raises InputError where it does not say what success is."""
    if task.success is None:
        raise InputError(f"task '{task.name}' does not say what success is", hint="add `success` to the task")
    return task


def draw_film(inputs: Mapping[str, Any], judged: Evaluation, task: Task) -> Film | None:
    """A film of the first trial; None when `film` is off. Most of it happens in another process."""
    if not inputs.get("film", True) or judged.poses_tkq is None:
        return None
    return film(task.nominal, judged.poses_tkq[:, 0], task.control_dt)


def show_film(moving: Film | None, run: RunContext) -> dict[str, str]:
    """Puts a film into the report; empty without one."""
    if moving is None:
        return {}
    return {"film": str(moving.save(run.picture("first-trial.gif"))), "film_drawn": moving.description}


def write_trials(path: Path, judged: Evaluation) -> None:
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
                *(f"reward[{n}]" for n in first.rewards),
                *(f"largest[{n}]" for n in first.largest),
                *first.plant,
            ]
        )
        for index, trial in enumerate(judged.trials):
            failed_at = "" if trial.failed_at_s is None else trial.failed_at_s
            row = [index, int(trial.success), trial.failure or "", failed_at, trial.held_s, trial.fraction_held, trial.episode_return]
            writer.writerow([*row, *trial.rewards.values(), *trial.largest.values(), *trial.plant.values()])


def traces_figure(judged: Evaluation, other: Evaluation | None, task: Task) -> Any:
    """Positions and commands of the first trials; red where a trial failed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = list(judged.first)[:6]
    units = {joint["name"]: joint["unit"] for joint in joints_of(task.nominal)}
    columns = [
        ("fresh draws" if task.domain is not None else "nominal plant", judged),
        *([("pseudo-real", other)] if other is not None else []),
    ]
    fig, axes = pyplot.subplots(
        len(names), len(columns), figsize=(4.5 * len(columns), 1.7 * len(names) + 0.6), sharex=True, squeeze=False, layout="constrained"
    )
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
                axis.set_ylabel(f"{name} [{units[name]}]" if units.get(name) else name)
        axes[0][column].set_title(f"{title}: {100 * evaluation.success_rate:.0f} % solved", fontsize=10)
        axes[-1][column].set_xlabel("time [s]")
    return fig
