"""Generalised advantage estimation (Schulman et al. 2016, arXiv 1506.02438, equation 16)."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def gae(
    rewards_tb: jax.Array,
    values_tb: jax.Array,
    next_values_tb: jax.Array,
    *,
    terminated_tb: jax.Array,
    truncated_tb: jax.Array,
    gamma: float,
    lam: float,
) -> jax.Array:
    """Advantages [T, B]; the target of the value is `advantages + values_tb`.

    A termination ends the world: nothing comes after it. A truncation only ends the log: the return goes on, and is estimated by
    the value of the state that was really reached, not of the one after the reset. Nothing flows back over either.

    Args:
        rewards_tb: reward of each step.
        values_tb: value of the observation before each step.
        next_values_tb: value of the observation after each step, before any reset.
        terminated_tb: bool, the episode ended in a terminal state.
        truncated_tb: bool, the episode was cut off, by time.
        gamma: discount a step.
        lam: 0 is one-step temporal difference, 1 Monte Carlo.
    """
    alive_tb = 1.0 - terminated_tb.astype(rewards_tb.dtype)
    same_episode_tb = alive_tb * (1.0 - truncated_tb.astype(rewards_tb.dtype))
    deltas_tb = rewards_tb + gamma * alive_tb * next_values_tb - values_tb

    def backwards(following_b: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        delta_b, same_episode_b = step
        advantage_b = delta_b + gamma * lam * same_episode_b * following_b
        return advantage_b, advantage_b

    _, advantages_tb = jax.lax.scan(backwards, jnp.zeros_like(deltas_tb[0]), (deltas_tb, same_episode_tb), reverse=True)
    return advantages_tb
