"""The training loop: unroll, update, refresh the domain, checkpoint. The same seed gives the same digest at every update."""

from __future__ import annotations

import dataclasses
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from realitygap_core.errors import CoreError
from realitygap_core.ppo.checkpoint import digest, from_arrays, read_checkpoint, to_arrays, write_checkpoint
from realitygap_core.ppo.rollout import Env, Tally, Unroller
from realitygap_core.ppo.update import Learner, PPOConfig, init_learner, strip_weak_types, update_jit

CHECKPOINT = "checkpoint.npz"


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a training ends with."""

    learner: Learner
    """Networks and normalisers; `policy.Policy.from_learner` makes the bundle of it."""
    curves: dict[str, list[float]]
    """One value an update, by name; `env_steps` is the abscissa."""
    digests: list[str]
    """SHA-256 of the network's parameters after each update, from the first one of the training, resumed or not."""
    env_steps: int
    """Of the whole training, those before a resume included."""
    wall_s: float
    """Seconds, compilation included; over all attempts."""
    compile_s: float
    """Seconds spent compiling: the first unroll and update beyond what the second took."""
    steps_per_second: float
    """env_steps / wall_s."""
    steps_per_second_compiled: float
    """env_steps / (wall_s - compile_s)."""
    return_iqm: float
    """Interquartile mean of the returns of the last episodes of the training, at most four an environment, sampled actions."""
    success_rate: float
    """Share of those episodes that succeeded."""
    cancelled: bool
    """Ended early because `cancelled()` said so; a checkpoint holds the rest."""


def config_digest(config: PPOConfig, seed: int, env: Env) -> str:
    """What a checkpoint must agree in to be continued."""
    parts = {
        "config": dataclasses.asdict(config),
        "seed": seed,
        "num_envs": env.num_envs,
        "sizes": env.observation_sizes,
        "action": env.action_size,
    }
    return json.dumps(parts, sort_keys=True)


def train(
    config: PPOConfig,
    env: Env,
    *,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
    metric: Callable[[str, float, int], None] | None = None,
    checkpoint_dir: Path | None = None,
    checkpoint_every: int = 10,
    cancelled: Callable[[], bool] | None = None,
) -> TrainResult:
    """Trains a policy.

    Args:
        config: all of the algorithm.
        env: environments; stepped in place of a scan where they are not pure.
        seed: of parameters, actions, permutations, episodes and draws of the domain.
        progress: called with environment steps done, their total, and a message, after each update.
        metric: called with name, value and environment steps, for every scalar of every update.
        checkpoint_dir: where the checkpoint is kept; one that lies there is continued, to the digests of an uninterrupted training.
        checkpoint_every: updates between checkpoints.
        cancelled: asked after each update.

    Raises:
        CoreError: the configuration does not fit, a checkpoint belongs to another training, or the training diverged.
    """
    config.validate(env.num_envs)
    total_updates, steps_per_update = config.updates(env.num_envs), env.num_envs * config.unroll
    identity = config_digest(config, seed, env)
    start = time.perf_counter()

    learner = init_learner(config, env.observation_sizes, env.action_size, seed)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    env_key, key = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(seed), 1))
    tally: Tally = strip_weak_types(Tally(env.num_envs))
    curves: dict[str, list[float]] = {}
    digests: list[str] = []
    finished: deque[tuple[float, bool]] = deque(maxlen=4 * env.num_envs)
    done, earlier_s, compile_s = 0, 0.0, 0.0

    path = None if checkpoint_dir is None else checkpoint_dir / CHECKPOINT
    if path is not None and path.exists():
        groups, meta = read_checkpoint(path)
        if meta["identity"] != identity:
            raise CoreError("this checkpoint belongs to another training", where=str(path), hint="delete it to start the training anew")
        learner = from_arrays(learner, groups["learner"], where=str(path))
        tally = from_arrays(tally, groups["tally"], where=str(path))
        key = jnp.asarray(groups["keys"]["actions"])
        state = env.from_arrays(groups["env"])
        rng.bit_generator.state = meta["rng"]
        done, digests, curves = meta["updates"], meta["digests"], meta["curves"]
        earlier_s, compile_s = meta["wall_s"], meta["compile_s"]
        finished.extend((float(value), bool(success)) for value, success in meta["finished"])
    else:
        state = env.reset(env_key)

    unroll = Unroller(env, config.unroll)
    durations: list[float] = []
    stop = False

    def save() -> None:
        if path is None:
            return
        write_checkpoint(
            path,
            {"learner": to_arrays(learner), "tally": to_arrays(tally), "env": env.to_arrays(state), "keys": {"actions": np.asarray(key)}},
            {
                "identity": identity,
                "updates": done,
                "digests": digests,
                "curves": curves,
                "rng": rng.bit_generator.state,
                "finished": list(finished),
                "wall_s": earlier_s + time.perf_counter() - start,
                "compile_s": compile_s,
            },
        )

    while done < total_updates and not stop:
        began = time.perf_counter()
        if done % config.refresh_every == 0 and done > 0:
            state = env.refresh_bank(state, rng)
        state, tally, key, rollout, episodes = unroll(learner, state, tally, key)
        learner, scalars = update_jit(learner, rollout, config=config, total_updates=total_updates)
        values = {name: float(value) for name, value in jax.device_get(scalars).items()}
        digests.append(digest(learner.network))
        done += 1
        _check_finite(values, done)

        ended = episodes.done_tb
        finished.extend(zip(episodes.return_tb[ended].tolist(), episodes.success_tb[ended].tolist(), strict=True))
        values["env_steps"] = float(done * steps_per_update)
        if finished:
            values["return"] = float(np.mean([value for value, _ in finished]))
            values["success"] = float(np.mean([success for _, success in finished]))
        else:
            values["return"] = values["success"] = 0.0
        for name, value in values.items():
            curves.setdefault(name, []).append(value)
            if metric is not None and name != "env_steps":
                metric(name, value, done * steps_per_update)
        durations.append(time.perf_counter() - began)
        if len(durations) == 2:
            compile_s += max(0.0, durations[0] - durations[1])
        stop = cancelled is not None and cancelled()
        if stop or done == total_updates or done % checkpoint_every == 0:
            save()
        if progress is not None:
            progress(
                done * steps_per_update, total_updates * steps_per_update, f"return {values['return']:.3g}, success {values['success']:.2f}"
            )

    wall_s = earlier_s + time.perf_counter() - start
    returns = np.array([value for value, _ in finished])
    steps = done * steps_per_update
    return TrainResult(
        learner=learner,
        curves=curves,
        digests=digests,
        env_steps=steps,
        wall_s=wall_s,
        compile_s=compile_s,
        steps_per_second=steps / wall_s,
        steps_per_second_compiled=steps / max(wall_s - compile_s, 1e-9),
        return_iqm=float(stats.trim_mean(returns, 0.25)) if returns.size else float("nan"),
        success_rate=float(np.mean([success for _, success in finished])) if finished else float("nan"),
        cancelled=stop and done < total_updates,
    )


def _check_finite(values: dict[str, Any], done: int) -> None:
    for name, value in values.items():
        if not np.isfinite(value):
            raise CoreError(
                f"the training diverged: {name} is {value} at update {done}", hint="lower the learning rate or the rewards' weights"
            )
