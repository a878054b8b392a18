"""Curricula: factories of factors that change in the course of a training, for each environment by itself.

Each has a level between 0 and 1 and gives initial + level * (final - initial). A policy is judged at `final`.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError
from realitygap_core.terms.term import Curriculum, EpisodeProgress, Scene


def constant(scene: Scene, *, value: float = 1.0) -> Curriculum:
    """The same value throughout."""
    return Curriculum(
        initial=jnp.zeros(0), advance=lambda carry, _progress: carry, value=lambda carry: jnp.full((), value, jnp.float32), final=value
    )


def linear(scene: Scene, *, over_s: float, after_s: float = 0.0, initial: float = 0.0, final: float = 1.0) -> Curriculum:
    """Rises from `after_s` on, for `over_s`: simulated time that this environment has run in this training, s."""
    return Curriculum(
        initial=jnp.zeros((), jnp.int32),  # control steps: a sum of small times in single precision would stand still
        advance=lambda steps, _progress: steps + 1,
        value=lambda steps: _between(initial, final, (steps * scene.control_dt - after_s) / over_s),
        final=final,
    )


def by_return(scene: Scene, *, low: float, high: float, episodes: float = 10.0, initial: float = 0.0, final: float = 1.0) -> Curriculum:
    """Level 0 where the running mean of this environment's returns is `low`, 1 at `high`. Before the first episode has ended: 0."""
    if not low < high:
        raise CoreError(f"the returns are not in order: {low:g}, {high:g}", pointer="/low", hint="give low < high")
    return _averaged(lambda p: p.episode_return, low, lambda mean: _between(initial, final, (mean - low) / (high - low)), final, episodes)


def by_success(scene: Scene, *, target: float = 0.8, episodes: float = 10.0, initial: float = 0.0, final: float = 1.0) -> Curriculum:
    """Level 0 where none of this environment's recent episodes was solved, 1 where a share of `target` was."""
    if not 0 < target <= 1:
        raise CoreError(f"target is a share above 0 and at most 1, not {target:g}", pointer="/target")
    return _averaged(lambda p: p.success.astype(jnp.float32), 0.0, lambda mean: _between(initial, final, mean / target), final, episodes)


def levels(scene: Scene, *, promote: float, demote: float, count: int = 10, initial: float = 0.0, final: float = 1.0) -> Curriculum:
    """`count` levels from 0 to 1: one up after an episode whose return is at least `promote`, one down after one below `demote`."""
    if not demote <= promote:
        raise CoreError(f"demote {demote:g} is above promote {promote:g}", pointer="/demote", hint="give demote <= promote")
    if count < 2:
        raise CoreError(f"there are at least 2 levels, not {count}", pointer="/count")

    def advance(level: jax.Array, progress: EpisodeProgress) -> jax.Array:
        change = (progress.episode_return >= promote).astype(jnp.int32) - (progress.episode_return < demote).astype(jnp.int32)
        return jnp.where(progress.done, jnp.clip(level + change, 0, count - 1), level)

    return Curriculum(
        initial=jnp.zeros((), jnp.int32), advance=advance, value=lambda level: _between(initial, final, level / (count - 1)), final=final
    )


def _averaged(measure: Any, start: float, value: Any, final: float, episodes: float) -> Curriculum:
    """A curriculum of an exponential mean over episodes; each counts 1 / `episodes`."""
    if not episodes >= 1:
        raise CoreError(f"episodes is at least 1, not {episodes:g}", pointer="/episodes")

    def advance(mean: jax.Array, progress: EpisodeProgress) -> jax.Array:
        return jnp.where(progress.done, mean + (measure(progress) - mean) / episodes, mean)

    return Curriculum(initial=jnp.full((), start, jnp.float32), advance=advance, value=value, final=final)


def _between(initial: float, final: float, level: jax.Array) -> jax.Array:
    return initial + jnp.clip(level, 0.0, 1.0) * (final - initial)
