"""The training loop: unroll, update, refresh the domain, checkpoint. The same seed gives the same digest at every update."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core import events
from realitygap_core.errors import CoreError
from realitygap_core.events import Event
from realitygap_core.ppo import guard
from realitygap_core.ppo.checkpoint import digest, from_arrays, read_checkpoint, to_arrays, write_checkpoint
from realitygap_core.ppo.parallel import device_mesh, replicate, split_environments
from realitygap_core.ppo.rollout import Env, Episodes, Tally, Unroller
from realitygap_core.ppo.update import Learner, PPOConfig, Rollout, init_learner, strip_weak_types, update_in_threads, update_jit
from realitygap_core.statistics import interquartile_mean, interquartile_mean_interval

CHECKPOINT = "checkpoint.npz"


@dataclass(frozen=True, kw_only=True)
class TrainResult:
    """What a training ends with."""

    learner: Learner
    """Networks and normalisers; `policy.Policy.from_learner` makes the bundle of it."""
    curves: dict[str, list[float]]
    """One value an update, by name; `env_steps` is the abscissa. `return` and `success` are nan until an episode has ended. `episodes`
    ended in the update, `diverged` of them because physics broke down."""
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
    return_interval: tuple[float, float]
    """Bootstrap interval of it, 95 %, over those episodes; nan when there are too few."""
    success_rate: float
    """Share of those episodes that succeeded."""
    cancelled: bool
    """Ended early because `cancelled()` said so; a checkpoint holds the rest."""
    events: list[Event]
    """One event an update, of the whole training; with `header` the log that `events.write_log` writes."""
    header: dict[str, Any]
    """First line of that log."""
    diverged_at: str | None = None
    """Environment, step and update of the first breakdown of physics; None where there was none."""


def training_identity(config: PPOConfig, seed: int, env: Env, devices: int, about: Mapping[str, Any]) -> dict[str, Any]:
    """What two trainings must agree in to be the same, as plain data: the header of the log of one."""
    parts = events.header(
        of="training",
        updates=config.updates(env.num_envs),
        config=dataclasses.asdict(config),
        seed=seed,
        devices=devices,
        num_envs=env.num_envs,
        sizes=env.observation_sizes,
        action=env.action_size,
        about=dict(about),
        **env.identity,
    )
    plain: dict[str, Any] = json.loads(json.dumps(parts))
    return plain


def state_digest(learner: Learner, tally: Tally, env: Env, state: Any, key: jax.Array, rng: np.random.Generator) -> str:
    """SHA-256 over all that the rest of the training follows from: parameters, statistics, memories, environments, random keys."""
    groups = {"learner": to_arrays(learner), "tally": to_arrays(tally), "env": env.to_arrays(state), "key": {"actions": np.asarray(key)}}
    draws = json.dumps(rng.bit_generator.state, sort_keys=True)
    return hashlib.sha256("".join([*(digest(groups[name]) for name in sorted(groups)), draws]).encode()).hexdigest()


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
    observe: Callable[[Event], None] | None = None,
    devices: int = 1,
    about: Mapping[str, Any] | None = None,
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
        observe: given the event of each update.
        devices: accelerators (or host devices) over which environments and minibatches are split. The result is that of one up to the order
            of sums, so digests compare between trainings with the same number only.
        about: what else makes this training what it is, plain data; stands in the header of the events, and a checkpoint must agree in it.

    Raises:
        CoreError: the configuration does not fit, a checkpoint belongs to another training, or the training diverged: then it says in which
            environment, step and term, and `fault.npz` in `checkpoint_dir` has the states that led there. Physics that breaks down only
            ends its episode; the states that led to the first such end are kept in `diverged.npz`.
    """
    config.validate(env.num_envs)
    total_updates, steps_per_update = config.updates(env.num_envs), env.num_envs * config.unroll
    mesh = device_mesh(devices)
    head = training_identity(config, seed, env, devices, about or {})
    start = time.perf_counter()

    learner = init_learner(config, env.observation_sizes, env.action_size, seed)
    rng = np.random.default_rng(np.random.SeedSequence([seed, 1]))
    env_key, key = jax.random.split(jax.random.fold_in(jax.random.PRNGKey(seed), 1))
    tally: Tally = strip_weak_types(Tally(env.num_envs, learner.network.fresh_memory(env.num_envs), whole=False))
    curves: dict[str, list[float]] = {}
    digests: list[str] = []
    log: list[Event] = []
    finished: deque[tuple[float, bool]] = deque(maxlen=4 * env.num_envs)
    done, earlier_s, compile_s = 0, 0.0, 0.0
    diverged_at: str | None = None

    path = None if checkpoint_dir is None else checkpoint_dir / CHECKPOINT
    if path is not None and path.exists():
        groups, meta = read_checkpoint(path)
        if meta.get("identity") != head:
            raise CoreError(
                f"this checkpoint belongs to another training: {'; '.join(_differences(meta.get('identity'), head)[:4])}",
                where=str(path),
                hint="delete it to start the training anew, or train as it was begun",
            )
        learner = from_arrays(learner, groups["learner"], where=str(path))
        tally = from_arrays(tally, groups["tally"], where=str(path))
        key = jnp.asarray(groups["keys"]["actions"])
        state = env.from_arrays(groups["env"])
        rng.bit_generator.state = meta["rng"]
        done, digests, curves = meta["updates"], meta["digests"], meta["curves"]
        earlier_s, compile_s, diverged_at = meta["wall_s"], meta["compile_s"], meta.get("diverged_at")
        finished.extend((float(value), bool(success)) for value, success in meta["finished"])
        log = [Event(**event) for event in meta["events"]]
    else:
        state = env.reset(env_key, staggered=True)
        if env.pure:
            state = strip_weak_types(state)
    before = state_digest(learner, tally, env, state, key, rng)
    if log and log[-1].after != before:
        raise CoreError("this checkpoint is not the state that was saved", where=str(path), hint="delete it to start the training anew")
    learner = replicate(learner, mesh)
    state, tally = split_environments((state, tally), mesh, env.num_envs)

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
                "identity": head,
                "updates": done,
                "digests": digests,
                "curves": curves,
                "rng": rng.bit_generator.state,
                "finished": list(finished),
                "events": [dataclasses.asdict(event) for event in log],
                "wall_s": earlier_s + time.perf_counter() - start,
                "compile_s": compile_s,
                "diverged_at": diverged_at,
            },
        )

    while done < total_updates and not stop:
        began = time.perf_counter()
        if done % config.refresh_every == 0 and done > 0:
            state = env.refresh_bank(state, rng)
        begun = (state, tally, key)
        state, tally, key, rollout, episodes = unroll(learner, *begun)
        if not guard.finite(rollout):
            raise _diverged(env, learner, begun, rollout, episodes, done + 1, checkpoint_dir)
        diverged_tb = episodes.metrics_tb.get("diverged", np.zeros(0))
        if diverged_at is None and diverged_tb.any():
            diverged_at = _breakdown(env, learner, begun, rollout, diverged_tb, done + 1, checkpoint_dir)
        if env.pure or mesh is not None:
            learner, scalars = update_jit(learner, rollout, config=config, total_updates=total_updates, mesh=mesh)
        else:
            learner, scalars = update_in_threads(learner, rollout, config=config, total_updates=total_updates)
        values = {name: float(value) for name, value in jax.device_get(scalars).items()}
        digests.append(digest(learner.network))
        done += 1
        _check_finite(values, done)
        values["episodes"] = float((np.asarray(rollout.terminated_tb) | np.asarray(rollout.truncated_tb)).sum())
        values["diverged"] = float(diverged_tb.sum())
        values |= {name: float(metric_tb.mean()) for name, metric_tb in episodes.metrics_tb.items() if name.startswith("reward/")}

        after = state_digest(learner, tally, env, state, key, rng)
        log.append(events.follow(head, log[-1] if log else None, **_change(rollout, episodes, log, before, after)))
        before = after
        if observe is not None:
            observe(log[-1])

        ended = episodes.done_tb
        finished.extend(zip(episodes.return_tb[ended].tolist(), episodes.success_tb[ended].tolist(), strict=True))
        values["env_steps"] = float(done * steps_per_update)
        if finished:
            values["return"] = float(np.mean([value for value, _ in finished]))
            values["success"] = float(np.mean([success for _, success in finished]))
        else:
            values["return"] = values["success"] = float("nan")
        for name, value in values.items():
            curves.setdefault(name, []).append(value)
            if metric is not None and name != "env_steps" and np.isfinite(value):
                metric(name, value, done * steps_per_update)
        durations.append(time.perf_counter() - began)
        if len(durations) == 2:
            compile_s += max(0.0, durations[0] - durations[1])
        stop = cancelled is not None and cancelled()
        if stop or done == total_updates or done % checkpoint_every == 0:
            save()
        if progress is not None:
            message = f"return {values['return']:.3g}, success {values['success']:.2f}" if finished else "no episode ended yet"
            progress(done * steps_per_update, total_updates * steps_per_update, message)

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
        return_iqm=float(interquartile_mean(returns)) if returns.size else float("nan"),
        return_interval=interquartile_mean_interval(returns),
        success_rate=float(np.mean([success for _, success in finished])) if finished else float("nan"),
        cancelled=stop and done < total_updates,
        events=log,
        header=head,
        diverged_at=diverged_at,
    )


def _differences(there: Any, here: Any, name: str = "") -> list[str]:
    """What two identities differ in, one phrase each: `config.gamma is 0.99 there and 0.95 here`."""
    if isinstance(there, dict) and isinstance(here, dict):
        inner = [(key, f"{name}.{key}" if name else key) for key in sorted({*there, *here})]
        return [phrase for key, path in inner for phrase in _differences(there.get(key), here.get(key), path)]
    return [] if there == here else [f"{name or 'all'} is {str(there)[:12]} there and {str(here)[:12]} here"]


def _change(rollout: Rollout, episodes: Episodes, log: list[Event], before: str, after: str) -> dict[str, Any]:
    """The fields of the event of one update; its trit compares the mean reward with that of the update before."""
    reward_tb, action_tbn = np.asarray(rollout.reward_tb), np.ascontiguousarray(rollout.raw_action_tbn)
    per_env_b = reward_tb.mean(axis=0, dtype=np.float64)
    delta: dict[str, Any] = {
        "reward": float(per_env_b.mean()),
        "standard_error": float(per_env_b.std() / np.sqrt(len(per_env_b) - 1)) if len(per_env_b) > 1 else None,
        "episodes": int(episodes.done_tb.sum()),
        "successes": int((episodes.success_tb & episodes.done_tb).sum()),
        "actions": hashlib.sha256(action_tbn.tobytes()).hexdigest(),
        "rewards": hashlib.sha256(np.ascontiguousarray(reward_tb).tobytes()).hexdigest(),
    }
    last = log[-1].delta if log else delta
    change = delta["reward"] - last["reward"]
    trit = events.trit(change, delta["standard_error"], last["standard_error"])
    return {"before": before, "after": after, "delta": delta, "trit": trit, "impact": int(delta["episodes"] > 0)}


def _diverged(
    env: Env,
    learner: Learner,
    begun: tuple[Any, Tally, jax.Array],
    rollout: Rollout,
    episodes: Episodes,
    update: int,
    folder: Path | None,
) -> CoreError:
    fault = guard.find(rollout, episodes, getattr(env, "observation_labels", {}))
    saved = None if folder is None else guard.save_states(folder / guard.FAULT, env, learner, begun, rollout, fault, {"update": update})
    look = "" if saved is None else "; the file has the states of that environment up to there"
    return CoreError(
        f"the training diverged: {fault.term} is {fault.value} in environment {fault.environment}, step {fault.step} of update {update}",
        where=None if saved is None else str(saved),
        hint=f"look at that term and at the limits of what it measures{look}",
    )


def _breakdown(
    env: Env, learner: Learner, begun: tuple[Any, Tally, jax.Array], rollout: Rollout, diverged_tb: Any, update: int, folder: Path | None
) -> str:
    """Keeps the states that led to the first breakdown of physics in an unroll, and says where it was."""
    step, environment = np.argwhere(diverged_tb)[0].tolist()
    if folder is not None:
        fault = guard.Fault(environment=environment, step=step, term="physics", value=float("nan"))
        guard.save_states(folder / guard.BREAKDOWN, env, learner, begun, rollout, fault, {"update": update})
    return f"environment {environment}, step {step} of update {update}"


def _check_finite(values: dict[str, Any], done: int) -> None:
    for name, value in values.items():
        if not np.isfinite(value):
            raise CoreError(
                f"the training diverged: {name} is {value} at update {done}", hint="lower the learning rate or the rewards' weights"
            )
