"""Whether the tuned temperature holds the entropy it is told to, and what that costs beside the best fixed coefficient.

    python benchmarks/temperature.py --json

Every training of a task has the same budget. `auto` is the default of `TemperatureConfig` with one of four targets; `fixed` one of four
coefficients of which nobody knows beforehand which is best. Two questions are answered for each target:

    held         |H - target| of the executed action, nats per dimension: its mean over the updates of the last half of the training, over
                 all seeds, is to stay below 0.1. Beside it stand the worst seed's, the largest of single updates, and how far the mean
                 over a stretch as long as an episode was off at most.
    return       interquartile mean over seeds and episodes of the policy's most likely action, which is what is deployed, on the physics of
                 the task, which may be finer than that of its training. The interval is that of its difference to the best fixed
                 coefficient, 95 %, by a bootstrap over seeds and episodes within them. The best of four is chosen after the fact, which
                 favours it.

Each training is kept when it ends, so the script can be stopped and started again; `--task` and `--minutes` do a part.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import time
from typing import Any

import numpy as np
from common import HERE, compiled, keep, rates, setting
from numpy.typing import NDArray

TARGETS = (0.2, 0.3, 0.4, 0.5)
"""A weight that is never negative can only hold the entropy up: after an overshoot it comes down no faster than the rewards make it, so
low targets are held less closely."""
FIXED = (0.0, 0.001, 0.01, 0.03)
TASKS = {"cartpole-balance": 300_000, "cartpole-swingup": 300_000}
"""Environment steps of each training."""
SEEDS = (0, 1, 2)
NUM_ENVS, UNROLL, MINIBATCHES, EPISODES = 64, 16, 8, 16
LIMIT = 0.1
"""Nats per dimension."""


def names() -> list[str]:
    """The settings of a task."""
    return [f"auto {target:g}" for target in TARGETS] + [f"fixed {value:g}" for value in FIXED]


def training(env: Any, task: Any, name: str, seed: int) -> dict[str, Any]:
    """One training in `env`, and its judgement on `task`."""
    from realitygap_core.evaluate import evaluate
    from realitygap_core.policy import Policy
    from realitygap_core.ppo.networks import NetworkConfig
    from realitygap_core.ppo.temperature import TemperatureConfig
    from realitygap_core.ppo.train import train
    from realitygap_core.ppo.update import PPOConfig

    mode, value = name.split()
    temperature = TemperatureConfig(mode="fixed", initial=float(value))
    if mode == "auto":
        temperature = TemperatureConfig(target_entropy_per_dim=float(value))
    config = PPOConfig(
        env_steps=TASKS[env.task.name],
        unroll=UNROLL,
        minibatches=MINIBATCHES,
        network=NetworkConfig(actor_hidden=(64, 64), critic_hidden=(64, 64)),
        temperature=temperature,
    )
    result = train(config, env, seed=seed)
    judged = evaluate(Policy.from_learner(result.learner, task), task, trials=EPISODES, seed=seed)
    entropy = np.array(result.curves["policy_entropy"]) / env.action_size
    return {
        "returns": [round(trial.episode_return, 3) for trial in judged.trials],
        "training_return": result.return_iqm,
        "episode_updates": math.ceil(env.episode_steps / UNROLL),
        "entropy_last_half": [round(value, 4) for value in entropy[len(entropy) // 2 :].tolist()],
        "temperature": result.curves["temperature"][-1],
        "wall_s": round(result.wall_s, 1),
    }


def difference(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> tuple[float, float, float]:
    """Interquartile mean of `ours` [seeds, episodes] less that of `theirs`, and its interval: seeds are drawn anew, then episodes."""
    from realitygap_core.statistics import interquartile_mean

    rng = np.random.default_rng(0)

    def drawn(returns_se: NDArray[np.float64]) -> float:
        seeds, episodes = returns_se.shape
        chosen_se = returns_se[rng.integers(seeds, size=seeds)[:, None], rng.integers(episodes, size=(seeds, episodes))]
        return float(interquartile_mean(chosen_se.ravel()))

    draws = [drawn(ours) - drawn(theirs) for _ in range(2000)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(interquartile_mean(ours.ravel()) - interquartile_mean(theirs.ravel())), float(low), float(high)


def table(runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The answers for the tasks whose trainings are all there."""
    from realitygap_core.statistics import interquartile_mean

    made: dict[str, Any] = {}
    for task in TASKS:
        if any(f"{task} {name} {seed}" not in runs for name in names() for seed in SEEDS):
            continue
        returns = {name: np.array([runs[f"{task} {name} {seed}"]["returns"] for seed in SEEDS]) for name in names()}
        means = {name: float(interquartile_mean(values.ravel())) for name, values in returns.items()}
        best = max((f"fixed {value:g}" for value in FIXED), key=lambda name: means[name])
        rows = {}
        for target in TARGETS:
            name = f"auto {target:g}"
            error = np.array([runs[f"{task} {name} {seed}"]["entropy_last_half"] for seed in SEEDS]) - target
            width = runs[f"{task} {name} {SEEDS[0]}"]["episode_updates"]
            stretches = np.abs(np.lib.stride_tricks.sliding_window_view(error, width, axis=1).mean(-1))
            less, low, high = difference(returns[name], returns[best])
            rows[name] = {
                "return": round(means[name], 1),
                "difference_to_best_fixed": round(less, 1),
                "interval": [round(low, 1), round(high, 1)],
                "not_worse": high >= 0,
                "entropy_error": round(float(np.abs(error).mean()), 3),
                "held": bool(np.abs(error).mean() <= LIMIT),
                "entropy_error_of_the_worst_seed": round(float(np.abs(error).mean(1).max()), 3),
                "largest_entropy_error": {
                    "of_an_update": round(float(np.abs(error).max()), 3),
                    "of_an_episode": round(float(stretches.max()), 3),
                },
            }
        fixed = {f"fixed {value:g}": round(means[f"fixed {value:g}"], 1) for value in FIXED}
        made[task] = {"auto": rows, "fixed": fixed, "best_fixed": best}
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", choices=TASKS, help="one task (may be repeated); all by default")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no training after this time; start again to go on")
    parser.add_argument("--fresh", action="store_true", help="forget the trainings that are kept")
    parser.add_argument("--json", action="store_true", help="print only the JSON")
    given = parser.parse_args()
    from realitygap_core.environment import Environment
    from realitygap_core.ppo.temperature import TemperatureConfig

    taught = {name: compiled(name, engine="mujoco") for name in TASKS}
    judged = {name: compiled(name, engine="mujoco", training=False) for name in TASKS}
    physics = {name: {"training": rates(taught[name]), "judged": rates(judged[name])} for name in TASKS}
    sizes = {"num_envs": NUM_ENVS, "unroll": UNROLL, "minibatches": MINIBATCHES, "seeds": SEEDS, "episodes": EPISODES}
    about = setting() | {"setting": {"tasks": TASKS, "physics": physics, **sizes, "auto": dataclasses.asdict(TemperatureConfig())}}
    about = json.loads(json.dumps(about))
    path, runs = HERE / "results" / "temperature.json", {}
    if path.exists() and not given.fresh:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept.get("setting") == about["setting"] and kept.get("versions") == about["versions"]:
            runs = kept["runs"]
    began = time.perf_counter()
    for task in given.task or TASKS:
        env = Environment(taught[task], num_envs=NUM_ENVS)
        for name in names():
            for seed in SEEDS:
                key = f"{task} {name} {seed}"
                if key not in runs and time.perf_counter() - began < 60 * given.minutes:
                    runs[key] = training(env, judged[task], name, seed)
                    path = keep("temperature", table(runs), {**about, "runs": runs})
                    if not given.json:
                        print(f"{key}: return {np.mean(runs[key]['returns']):.1f}, {runs[key]['wall_s']} s", flush=True)
        env.close()
    results = table(runs)
    if given.json:
        print(json.dumps(results, indent=2))
        return
    for task, rows in results.items():
        print(f"{task}: best fixed coefficient {rows['best_fixed']}, {rows['fixed'][rows['best_fixed']]}")
        for name, row in rows["auto"].items():
            print(
                f"  {name}: return {row['return']}, difference {row['difference_to_best_fixed']} {row['interval']}; "
                f"entropy off by {row['entropy_error']} in the mean"
            )
    print(f"written to {path}")


if __name__ == "__main__":
    main()
