"""What to say, and to keep, when a number in a rollout is not finite: the environment, the step, the term, and the states before it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from realitygap_core.ppo.checkpoint import write_checkpoint
from realitygap_core.ppo.rollout import Env, Episodes, Tally, again
from realitygap_core.ppo.update import Learner, Rollout

FAULT = "fault.npz"
BREAKDOWN = "diverged.npz"
"""States that led to the first breakdown of physics."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """The first number of a rollout that is not finite."""

    environment: int
    """Index in the batch."""
    step: int
    """Control step of the unroll, from 0."""
    term: str
    """What it is a value of, in words: `reward 'upright'`, `observation 'joint_velocity(pole)'`, `physics`."""
    value: float
    """nan, inf or -inf."""


@jax.jit
def finite(rollout: Rollout) -> jax.Array:
    """True when every number that was gathered is finite."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(rollout) if jnp.issubdtype(leaf.dtype, jnp.floating)]).all()


def find(rollout: Rollout, episodes: Episodes, labels: Mapping[str, Sequence[str]]) -> Fault:
    """The earliest number that is not finite, in the order in which a step computes them: what was seen, done, earned, and seen next.

    Args:
        rollout: one of which `finite` is False.
        episodes: of the same unroll; its metrics tell which reward it was.
        labels: group of observations to the name of each channel.
    """
    rewards = {name: values for name, values in episodes.metrics_tb.items() if name.startswith("reward/")}
    candidates: list[tuple[str, Any, Sequence[str]]] = [
        ("observation", rollout.policy_tbn, labels.get("policy", ())),
        ("critic's observation", rollout.critic_tbm, labels.get("critic", ())),
        ("action", rollout.raw_action_tbn, ()),
        *((f"reward '{name.removeprefix('reward/')}'", values, ()) for name, values in rewards.items()),
        ("reward", rollout.reward_tb, ()),
        ("critic's next observation", rollout.next_critic_tbm, labels.get("critic", ())),
        *(("policy's distribution", leaf, ()) for leaf in jax.tree.leaves(rollout.behaviour_tbn)),
        *(("memory", leaf[None], ()) for leaf in jax.tree.leaves(rollout.memory)),
        ("log probability of the action", rollout.log_prob_tb, ()),
    ]
    best: tuple[int, int, Fault] | None = None
    for order, (what, array, names) in enumerate(candidates):
        values = np.asarray(array)
        bad = np.argwhere(~np.isfinite(values))
        if len(bad) == 0:
            continue
        step, environment, *channel = bad[0].tolist()
        if best is None or (step, order) < best[:2]:
            term = what
            if channel:
                term = f"{what} '{names[channel[0]]}'" if channel[0] < len(names) else f"{what} {channel[0]}"
            best = step, order, Fault(environment=environment, step=step, term=term, value=float(values[tuple(bad[0])]))
    assert best is not None, "every number of the rollout is finite"
    return best[2]


def _batched(array: NDArray[Any], num_envs: int, name: str) -> bool:
    return name != "bank" and array.ndim > 0 and array.shape[0] == num_envs


def save_states(
    path: Path, env: Env, learner: Learner, start: tuple[Any, Tally, jax.Array], rollout: Rollout, fault: Fault, about: Mapping[str, Any]
) -> Path:
    """Does the unroll again from its `start` (state, tally, key) up to the fault and writes every state of the environment that broke.

    `states/NAME` [steps, ...] is the environment's state before each step, `steps/action` and `steps/policy` what it did and saw, and
    `domain/NAME` what all environments share; `read_checkpoint` reads the file. So a training that is well pays nothing for this.
    """
    rows: list[dict[str, NDArray[Any]]] = []
    for part, state, index, _, _ in itertools.islice(again(env, learner, start, fault.environment), fault.step + 1):
        arrays = part.to_arrays(state)
        rows.append({name: np.array(array[index]) for name, array in arrays.items() if _batched(array, part.num_envs, name)})
    steps, own = slice(0, fault.step + 1), fault.environment
    shared = {name: array for name, array in env.to_arrays(start[0]).items() if not _batched(array, env.num_envs, name)}
    parts = {
        "states": {name: np.stack([row[name] for row in rows]) for name in rows[0]},
        "steps": {
            "action": np.asarray(rollout.behaviour_tbn.execute(rollout.raw_action_tbn))[steps, own],
            "policy": np.asarray(rollout.policy_tbn)[steps, own],
        },
        "domain": shared,
    }
    write_checkpoint(path, parts, {**about, "environment": fault.environment, "step": fault.step, "term": fault.term})
    return path
