"""Seconds from starting the process to a cart-pole swing-up return of 750 of 1000, import and compilation included; then once more.

    python benchmarks/cold_start.py --json

The reward is dm_control's, an episode has 1000 steps. The return is that of the last 1000 steps under sampled actions, the mean over all
environments, which are at all ages of an episode alike, on the physics of training. Then the clock stops, and the policy is judged as it
would be deployed, by its most likely action on the physics of the task: `judged_return`, a mean over 64 episodes. The second start finds
the compiled programs of the first in JAX's persistent cache.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from typing import Any

TASK = "cartpole-swingup"
TARGET = 750.0
NUM_ENVS, UNROLL = 256, 40
MOST_STEPS = 8_000_000
TRIALS = 64


def learn(seed: int) -> None:
    """Trains until the return is reached, and prints what that took; then judges the policy, and prints that."""
    from common import compiled, rates

    from realitygap_core.environment import Environment
    from realitygap_core.evaluate import evaluate
    from realitygap_core.policy import Policy
    from realitygap_core.ppo.networks import NetworkConfig
    from realitygap_core.ppo.train import train
    from realitygap_core.ppo.update import PPOConfig

    env = Environment(compiled(TASK, engine="mujoco"), num_envs=NUM_ENVS)
    # No episode ends early, and at any time the environments are at all ages alike: what they were paid in the last 1000 steps is a return.
    updates = env.episode_steps // UNROLL
    assert updates * UNROLL == env.episode_steps
    rewards: list[float] = []
    returns: list[float] = []

    def metric(name: str, value: float, _: int) -> None:
        if name == "reward":
            rewards.append(value)

    def reached() -> bool:
        if len(rewards) < updates:
            return False
        returns.append(UNROLL * sum(rewards[-updates:]))
        return returns[-1] >= TARGET

    network = NetworkConfig(actor_hidden=(64, 64), critic_hidden=(64, 64))
    config = PPOConfig(env_steps=MOST_STEPS, unroll=UNROLL, minibatches=16, network=network)
    result = train(config, env, seed=seed, metric=metric, cancelled=reached)
    reached_it = returns[-1] >= TARGET
    told = {"env_steps": result.env_steps, "returns": returns, "compile_s": result.compile_s, "reached": reached_it, **rates(env.task)}
    print(json.dumps(told), flush=True)
    env.close()
    task = compiled(TASK, engine="mujoco", training=False)
    judged = evaluate(Policy.from_learner(result.learner, task), task, trials=TRIALS, seed=seed)
    mean = sum(trial.episode_return for trial in judged.trials) / TRIALS
    print(json.dumps({"judged_return": mean, "judged_trials": TRIALS, "judged_physics_dt": task.physics_dt}))


def start(cache: str, seed: int) -> dict[str, Any]:
    """One process; the clock runs from its start to its first line, which says that the return is reached."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1"}
    began = time.perf_counter()
    command = [sys.executable, __file__, "--learn", "--seed", str(seed)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        reached = process.stdout.readline()
        wall_s = time.perf_counter() - began
        judged = process.stdout.readline()
    if process.returncode:
        raise SystemExit("the training failed: see above")
    return {"wall_s": round(wall_s, 1), **json.loads(reached), **json.loads(judged)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="print only the JSON")
    parser.add_argument("--learn", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.learn:
        learn(given.seed)
        return
    from common import keep, setting

    about = setting()
    with tempfile.TemporaryDirectory() as cache:
        results = {"first": start(cache, given.seed), "second": start(cache, given.seed)}
    path = keep("cold_start", results, about)
    if given.json:
        print(json.dumps(results, indent=2))
    else:
        for name, one in results.items():
            told = f"return {one['returns'][-1]:.0f} after {one['wall_s']} s, {one['env_steps']} steps"
            print(f"{name} start: {told}; judged {one['judged_return']:.0f}")
        print(f"written to {path}")


if __name__ == "__main__":
    main()
