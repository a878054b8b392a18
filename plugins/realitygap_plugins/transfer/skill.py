"""Skill `validate-transfer`; contract in skills/validate-transfer/skill.yaml."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Any

import numpy as np

from realitygap.errors import Cancelled
from realitygap_core.domain import Domain
from realitygap_core.evaluate import Evaluation, evaluate
from realitygap_core.policy import Policy
from realitygap_core.task import Task
from realitygap_plugins.transfer.judging import domain_of, draw_film, need_success, show_film, task_of, traces_figure, write_trials

if TYPE_CHECKING:
    from realitygap.context import RunContext


def validate_transfer(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `validate-transfer`."""
    policy = Policy.load(inputs["policy"])
    domain = domain_of(inputs, policy, run)
    task = need_success(task_of(inputs, policy, run, domain, inputs.get("model")))
    trials, seed = int(inputs.get("trials", 256)), int(inputs.get("seed", run.seed + 1_000_003))
    pseudo_real = inputs.get("pseudo_real")
    cases = [(task, trials, seed, bool(inputs.get("stochastic", False)))]
    if pseudo_real:
        strange = need_success(task_of(inputs, policy, run, None, pseudo_real))
        cases.append((strange, int(inputs.get("pseudo_real_trials", 64)), seed + 1, False))
    steps_done = [0] * len(cases)
    stop = threading.Event()

    def judge(number: int) -> Evaluation:
        def report(done: int, total: int) -> None:
            run.check_cancelled()
            if stop.is_set():
                raise Cancelled("the other evaluation failed")
            steps_done[number] = done
            run.progress(sum(steps_done), len(cases) * total, "fresh draws and pseudo-real" if pseudo_real else "fresh draws")

        case, count, own_seed, stochastic = cases[number]
        return evaluate(policy, case, trials=count, seed=own_seed, stochastic=stochastic, progress=report)

    # Side by side, because compiling, stepping in Python and drawing each keep one core busy; physics alone takes all.
    with ThreadPoolExecutor(len(cases) + 1) as threads:
        rounds = [threads.submit(judge, number) for number in range(len(cases))]
        filmed = threads.submit(lambda: draw_film(inputs, rounds[0].result(), task))
        ended, _ = wait(rounds, return_when=FIRST_EXCEPTION)
        if failed := [one for one in rounds if one in ended and one.exception()]:
            stop.set()
            failed[0].result()
        judged, *others = [one.result() for one in rounds]
        other = others[0] if others else None
        outputs = {"trials": trials, **_outcome(judged)}
        if other is not None:
            outputs["pseudo_real"] = {"trials": len(other.trials), **_outcome(other)}
        write_trials(run.artifact("trials.csv"), judged)
        run.figure("trials", traces_figure(judged, other, task))
        outputs |= show_film(filmed.result(), run)
    outputs["records"] = str(run.artifact("trials.csv"))
    outputs["summary"] = _summary(judged, other, task, domain)
    return outputs


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
