"""Skill `train-policy`; contract in skills/train-policy/skill.yaml."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from realitygap_core.domain import Domain
from realitygap_core.environment import Environment
from realitygap_core.events import write_log
from realitygap_core.policy import Policy
from realitygap_core.ppo import guard
from realitygap_core.ppo.train import TrainResult, train
from realitygap_core.ppo.update import PPOConfig
from realitygap_core.task import Task
from realitygap_plugins.entropy_ppo import figures
from realitygap_plugins.entropy_ppo.config import learner_config
from realitygap_plugins.entropy_ppo.replay import EVENTS
from realitygap_plugins.entropy_ppo.task import compiled

if TYPE_CHECKING:
    from realitygap.context import RunContext


def train_policy(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `train-policy`."""
    spec, task = compiled(
        run,
        Path(inputs["task"]),
        model=inputs.get("model"),
        domain_file=inputs.get("domain"),
        engine=inputs.get("engine"),
        physics_dt=inputs.get("physics_dt"),
    )
    domain = task.domain
    seed = int(inputs.get("seed", run.seed))
    config = learner_config(inputs)
    env = Environment(task, num_envs=int(inputs.get("num_envs", 256)), bank_seed=seed)
    run.log.info("engine %s: %s", task.engine.engine, task.engine.reason)
    try:
        result = train(
            config,
            env,
            seed=seed,
            progress=run.progress,
            metric=run.metric,
            checkpoint_dir=run.checkpoint("ppo"),
            checkpoint_every=int(inputs.get("checkpoint_every", 10)),
            cancelled=run.cancelled,
            devices=int(inputs.get("devices", 1)),
            about={
                "task": task.name,
                "engine": task.engine.engine,
                "physics_dt": task.physics_dt,
                "model_digest": task.nominal.digest,
            },
        )
    finally:
        env.close()
    run.check_cancelled()

    provenance = {
        "task": task.name,
        "seed": seed,
        "env_steps": result.env_steps,
        "engine": task.engine.engine,
        "training_digest": result.digests[-1],
        "config": dataclasses.asdict(config),
        "training_physics_dt": task.physics_dt,
        "return_iqm": result.return_iqm,
    }
    policy = Policy.from_learner(result.learner, task, provenance)
    folder = policy.save(run.artifact("policy"), task_spec=spec, robot=task.nominal)
    if domain is not None:
        (folder / "domain.yaml").write_text(yaml.safe_dump(domain.to_mapping(), sort_keys=False, allow_unicode=True), encoding="utf-8")
    log = write_log(folder / EVENTS, result.header, result.events)
    run.figure("training", figures.training(result))
    if (breakdown := figures.rewards(result)) is not None:
        run.figure("rewards", breakdown)
    _warn(result, config, run)
    return {
        "env_steps": result.env_steps,
        "wall_s": result.wall_s,
        "compile_s": result.compile_s,
        "steps_per_second": result.steps_per_second,
        "steps_per_second_compiled": result.steps_per_second_compiled,
        "return_iqm": result.return_iqm if np.isfinite(result.return_iqm) else None,
        "return_interval": list(result.return_interval) if np.all(np.isfinite(result.return_interval)) else None,
        "training_success": result.success_rate if np.isfinite(result.success_rate) else None,
        "policy": str(folder),
        "events": str(log),
        "digest": result.digests[-1],
        "entropy": result.curves["policy_entropy"][-1],
        "temperature": result.curves["temperature"][-1],
        "engine": task.engine.engine,
        "summary": _summary(result, task, domain),
    }


def _warn(result: TrainResult, config: PPOConfig, run: RunContext) -> None:
    low, high = config.temperature.log_alpha_range
    log_alpha = float(np.log(result.curves["temperature"][-1]))
    if config.temperature.mode == "auto" and (log_alpha <= low + 1e-3 or log_alpha >= high - 1e-3):
        run.warn("the temperature ended at its limit: the target entropy was not met")
    if not np.isfinite(result.return_iqm):
        run.warn("no episode ended during the training: it is shorter than one episode")
    if result.diverged_at is not None:
        broken, ended = sum(result.curves["diverged"]), sum(result.curves["episodes"])
        states = run.artifact(guard.BREAKDOWN)
        shutil.copyfile(run.checkpoint("ppo") / guard.BREAKDOWN, states)
        run.warn(
            f"{broken:.0f} of {ended:.0f} training episodes ({100 * broken / ended:.2g} %) ended because the simulation broke down, "
            f"the first in {result.diverged_at}: choose a smaller `physics_dt`, more armature or damping, or softer contacts and gains; "
            f"the states that led there are in {states}"
        )


def _interval(result: TrainResult) -> str:
    low, high = result.return_interval
    return f" [{low:.3g}, {high:.3g}]" if np.isfinite(low) else ""


def _summary(result: TrainResult, task: Task, domain: Domain | None) -> str:
    under = f"under draws of {len(domain.free)} parameters" if domain is not None else "on the nominal plant"
    if np.isfinite(result.return_iqm):
        first = (
            f"{task.name} {under}: return {result.return_iqm:.3g}{_interval(result)}, "
            f"{100 * result.success_rate:.0f} % of the last training episodes solved"
        )
    else:
        first = f"{task.name} {under}: no episode ended, train longer"
    return (
        f"{first}\n{result.env_steps} steps in {result.wall_s:.0f} s ({result.compile_s:.0f} s compiling): "
        f"{result.steps_per_second:.0f} steps/s, "
        f"{result.steps_per_second_compiled:.0f} without compiling, {task.engine.engine} engine"
    )
