"""Skill `evaluate-policy`; contract in skills/evaluate-policy/skill.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from realitygap_core.contract import in_short
from realitygap_core.evaluate import Evaluation, evaluate
from realitygap_core.policy import Policy
from realitygap_core.sensitivity import Sensitivity, sensitivities
from realitygap_core.statistics import as_json, interquartile_mean, interquartile_mean_interval
from realitygap_core.task import Task
from realitygap_plugins.transfer.judging import domain_of, draw_film, show_film, task_of, traces_figure, write_trials

if TYPE_CHECKING:
    from realitygap.context import RunContext


def evaluate_policy(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `evaluate-policy`."""
    policy = Policy.load(inputs["policy"])
    domain = domain_of(inputs, policy, run)
    task = task_of(inputs, policy, run, domain, inputs.get("model"))
    differences = policy.robot_differences(task.nominal)
    if differences:
        run.warn(f"not the robot that the policy was trained on: {in_short(differences)}")

    def progress(done: int, total: int) -> None:
        run.check_cancelled()
        run.progress(done, total, "trials")

    trials = int(inputs.get("trials", 256))
    seed = int(inputs.get("seed", run.seed + 2_000_003))
    judged = evaluate(policy, task, trials=trials, seed=seed, stochastic=bool(inputs.get("stochastic", False)), progress=progress)
    returns = np.array([trial.episode_return for trial in judged.trials])
    plants = {name: np.array([trial.plant[name] for trial in judged.trials]) for name in judged.trials[0].plant}
    ranked = sensitivities(plants, returns, [trial.success for trial in judged.trials])
    write_trials(run.artifact("trials.csv"), judged)
    picture = _pictures(inputs, run, judged, task, ranked, plants, returns)
    low, high = interquartile_mean_interval(returns)
    rewards = {name: float(np.mean([trial.rewards[name] for trial in judged.trials])) for name in judged.trials[0].rewards}
    judgeable = task.success is not None or any(trial.success for trial in judged.trials)
    return {
        "trials": trials,
        **({"success_rate": judged.success_rate, "success_interval": list(judged.success_interval)} if judgeable else {}),
        "return_iqm": float(interquartile_mean(returns)),
        "return_interval": [as_json(low), as_json(high)],
        "return_worst": float(returns.min()),
        "failures": judged.failures if judgeable else {k: n for k, n in judged.failures.items() if k != "not_held"},
        "rewards": rewards,
        "sensitivity": [_row(one) for one in ranked],
        "robot_differences": differences,
        "records": str(run.artifact("trials.csv")),
        **picture,
        "summary": _summary(judged, task, returns, (low, high), ranked, judgeable),
    }


def _row(one: Sensitivity) -> dict[str, Any]:
    return {
        "parameter": one.parameter,
        "correlation": one.correlation,
        "p_value": one.p_value,
        "return": one.verdict,
        "low_success": list(one.low_success),
        "high_success": list(one.high_success),
    }


def _summary(
    judged: Evaluation, task: Task, returns: Any, interval: tuple[float, float], ranked: list[Sensitivity], judgeable: bool
) -> str:
    low, high = judged.success_interval
    count = len(judged.trials)
    solved = f"{100 * judged.success_rate:.1f} % of {count} trials solved [{100 * low:.1f}, {100 * high:.1f}] %; " if judgeable else ""
    lines = [
        f"{task.name}: {solved}return {float(interquartile_mean(returns)):.4g} [{interval[0]:.4g}, {interval[1]:.4g}] (IQM of {count})"
    ]
    told = [f"{one.parameter} ({one.verdict}, rho {one.correlation:+.2f})" for one in ranked if one.verdict != "undecided"]
    if told:
        lines.append(f"the return depends on {', '.join(told[:4])}")
    elif ranked:
        lines.append(f"none of {len(ranked)} parameters is seen to matter in {count} trials")
    return "\n".join(lines)


def _pictures(
    inputs: Mapping[str, Any],
    run: RunContext,
    judged: Evaluation,
    task: Task,
    ranked: list[Sensitivity],
    plants: Mapping[str, Any],
    returns: Any,
) -> dict[str, str]:
    run.figure("trials", traces_figure(judged, None, task))
    run.figure("rewards", _rewards_figure(judged))
    if ranked:
        run.figure("sensitivity", _sensitivity_figure(ranked, plants, returns, [trial.success for trial in judged.trials]))
    return show_film(draw_film(inputs, judged, task), run)


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _rewards_figure(judged: Evaluation) -> Any:
    """What each reward contributed to the return, over the trials: median, middle half, and each end."""
    names = list(judged.trials[0].rewards)
    fig, axis = _pyplot().subplots(figsize=(6.5, 0.35 * len(names) + 1.0), layout="constrained")
    axis.boxplot([[trial.rewards[name] for trial in judged.trials] for name in names], orientation="horizontal", whis=(0, 100), widths=0.6)
    axis.set_yticks(range(1, len(names) + 1), names)
    axis.axvline(0, color="#64748b", linewidth=0.8)
    axis.invert_yaxis()
    axis.set_xlabel("contribution to the return")
    axis.grid(axis="x", alpha=0.25)
    return fig


def _sensitivity_figure(ranked: list[Sensitivity], plants: Mapping[str, Any], returns: Any, solved: list[bool]) -> Any:
    """The return over each of the parameters that matter most; red where a trial failed."""
    shown = ranked[:6]
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    fig, axes = _pyplot().subplots(rows, columns, figsize=(3.2 * columns, 2.5 * rows), squeeze=False, sharey=True, layout="constrained")
    colours = ["#2563eb" if one else "#dc2626" for one in solved]
    for index, axis in enumerate(axes.ravel()):
        axis.set_visible(index < len(shown))
        if index < len(shown):
            axis.scatter(plants[shown[index].parameter], returns, s=8, c=colours, alpha=0.6, linewidths=0)
            axis.set_xlabel(shown[index].parameter)
            axis.set_title(f"rho {shown[index].correlation:+.2f}, {shown[index].verdict}", fontsize=9)
            axis.grid(alpha=0.25)
    axes[0][0].set_ylabel("return")
    return fig
