"""Skill `train-policy`; contract in skills/train-policy/skill.yaml."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from realitygap_core.bank import require_known
from realitygap_core.domain import Domain
from realitygap_core.environment import Environment
from realitygap_core.policy import Policy
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.temperature import TemperatureConfig
from realitygap_core.ppo.train import TrainResult, train
from realitygap_core.ppo.update import PPOConfig
from realitygap_core.robot import Robot
from realitygap_core.task import Task, compile_task

if TYPE_CHECKING:
    from realitygap.context import RunContext

SHOWN = ("return", "success", "policy_entropy", "temperature")
"""Curves of the figure, in order."""


def train_policy(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `train-policy`."""
    spec, task, domain = _task(inputs, run)
    seed = int(inputs.get("seed", run.seed))
    config = _config(inputs)
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
    run.figure("training", _figure(result))
    _warn(result, config, run)
    return {
        "env_steps": result.env_steps,
        "wall_s": result.wall_s,
        "compile_s": result.compile_s,
        "steps_per_second": result.steps_per_second,
        "steps_per_second_compiled": result.steps_per_second_compiled,
        "return_iqm": result.return_iqm if np.isfinite(result.return_iqm) else None,
        "training_success": result.success_rate if np.isfinite(result.success_rate) else None,
        "policy": str(folder),
        "digest": result.digests[-1],
        "entropy": result.curves["policy_entropy"][-1],
        "temperature": result.curves["temperature"][-1],
        "engine": task.engine.engine,
        "summary": _summary(result, task, domain),
    }


def _task(inputs: Mapping[str, Any], run: RunContext) -> tuple[dict[str, Any], Task, Domain | None]:
    path = Path(inputs["task"])
    document = run.document(path, "task")
    spec = dict(document.data)
    robot = Robot.load(inputs["model"]) if "model" in inputs else None
    chosen = inputs.get("domain") or run.own_domain(document)
    with run.reading(chosen, "domain") as given:
        domain = Domain.from_mapping(given) if chosen else None
    if chosen:
        spec.pop("domain", None)
    learnt = dict(spec)
    if "physics_dt" in inputs:
        learnt["training"] = dict(spec.get("training", {})) | {"physics_dt": inputs["physics_dt"]}
    with document.locating():
        task = compile_task(learnt, run.catalog, robot, folder=path.parent, engine=inputs.get("engine"), domain=domain, training=True)
    if task.domain is not None:
        require_known(task.domain, task.nominal, where=chosen or str(path))
    return spec, task, task.domain


def _config(inputs: Mapping[str, Any]) -> PPOConfig:
    given = {name: inputs[name] for name in ("env_steps", "learning_rate", "gamma") if name in inputs}
    temperature: dict[str, Any] = {"mode": inputs.get("temperature_mode", "auto")}
    if "target_entropy" in inputs:
        temperature |= {
            "target_entropy_per_dim": inputs["target_entropy"],
            "final_target_entropy_per_dim": inputs.get("final_target_entropy"),
        }
    if "temperature" in inputs:
        temperature["initial"] = inputs["temperature"]
    hidden: dict[str, Any] = {name: tuple(inputs["hidden"]) for name in ("actor_hidden", "critic_hidden") if "hidden" in inputs}
    return PPOConfig(**given, temperature=TemperatureConfig(**temperature), network=NetworkConfig(**hidden))


def _warn(result: TrainResult, config: PPOConfig, run: RunContext) -> None:
    low, high = config.temperature.log_alpha_range
    log_alpha = float(np.log(result.curves["temperature"][-1]))
    if config.temperature.mode == "auto" and (log_alpha <= low + 1e-3 or log_alpha >= high - 1e-3):
        run.warn("the temperature ended at its limit: the target entropy was not met")
    if not np.isfinite(result.return_iqm):
        run.warn("no episode ended during the training: it is shorter than one episode")


def _summary(result: TrainResult, task: Task, domain: Domain | None) -> str:
    under = f"under draws of {len(domain.free)} parameters" if domain is not None else "on the nominal plant"
    if np.isfinite(result.return_iqm):
        first = (
            f"{task.name} {under}: return {result.return_iqm:.3g}, {100 * result.success_rate:.0f} % of the last training episodes solved"
        )
    else:
        first = f"{task.name} {under}: no episode ended, train longer"
    return (
        f"{first}\n{result.env_steps} steps in {result.wall_s:.0f} s ({result.compile_s:.0f} s compiling): "
        f"{result.steps_per_second:.0f} steps/s, "
        f"{result.steps_per_second_compiled:.0f} without compiling, {task.engine.engine} engine"
    )


def _figure(result: TrainResult) -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    labels = {
        "return": "return",
        "success": "share solved",
        "policy_entropy": "entropy of the action [nats]",
        "temperature": "temperature",
    }
    fig, axes = pyplot.subplots(2, 2, figsize=(8, 5), sharex=True)
    steps = np.array(result.curves["env_steps"]) / 1e6
    for axis, name in zip(axes.flat, SHOWN, strict=True):
        axis.plot(steps, result.curves[name], color="#2563eb", linewidth=1.4)
        axis.set_ylabel(labels[name])
        axis.grid(alpha=0.25)
    axes[1, 0].plot(steps, result.curves["target_entropy"], color="#9ca3af", linestyle="--", linewidth=1, label="target")
    axes[1, 0].legend(frameon=False)
    axes[0, 1].set_ylim(-0.02, 1.02)
    axes[1, 1].set_yscale("log")
    for axis in axes[1]:
        axis.set_xlabel("environment steps [million]")
    fig.tight_layout()
    return fig
