"""The losses of one minibatch: clipped surrogate and entropy for the actor, squared error for the critic.

Schulman et al. 2017, arXiv 1707.06347, equations 7 and 9.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from realitygap_core.ppo.distributions import ActionDistribution, kl_divergence
from realitygap_core.ppo.networks import ActorCritic


class ActorBatch(eqx.Module):
    """What one gradient step of the actor sees; N samples, observations already normalised. With a memory [N] is [T, B]: sequences."""

    observation: jax.Array
    """[N, policy size]"""
    raw_action: jax.Array
    """Sample before squashing, or index of the value [N, n]."""
    behaviour: ActionDistribution
    """Of the policy that acted [N, n]."""
    log_prob: jax.Array
    """Of the action under that policy [N]."""
    advantage: jax.Array
    """[N], already scaled for the whole rollout."""
    fresh: jax.Array | None
    """True where an episode begins [T, B]; None without a memory."""
    memory: Any
    """What is remembered before the first step [B, s]; None without a memory."""


class CriticBatch(eqx.Module):
    """What one gradient step of the critic sees, as `ActorBatch`."""

    observation: jax.Array
    """[N, critic size]"""
    target: jax.Array
    """Normalised return [N]."""
    fresh: jax.Array | None
    """True where an episode begins [T, B]; None without a memory."""
    memory: Any
    """What is remembered before the first step [B, s]; None without a memory."""


class ActorParts(NamedTuple):
    """Scalars of one minibatch."""

    surrogate: jax.Array
    """Clipped surrogate, to be maximised; in units of the advantage."""
    entropy: jax.Array
    """Of the executed action, nats, summed over dimensions."""
    kl: jax.Array
    """KL from the policy that acted to the current one, nats."""
    clip_fraction: jax.Array
    """Share of samples whose ratio left the trust region."""


def clipped_surrogate(log_prob_n: jax.Array, old_log_prob_n: jax.Array, advantage_n: jax.Array, clip: float) -> jax.Array:
    """min(ratio A, clip(ratio, 1 - clip, 1 + clip) A) for each sample [N]."""
    ratio_n = jnp.exp(log_prob_n - old_log_prob_n)
    return jnp.minimum(ratio_n * advantage_n, jnp.clip(ratio_n, 1.0 - clip, 1.0 + clip) * advantage_n)


def actor_loss(actor: ActorCritic, batch: ActorBatch, key: jax.Array, *, alpha: jax.Array, clip: float) -> tuple[jax.Array, ActorParts]:
    """- surrogate - alpha * entropy, averaged over the minibatch.

    The entropy is that of the executed action and enters state by state. That is a bonus on each visited state, not maximum-entropy
    reinforcement learning, where the entropies of later states would be part of the return.
    """
    distribution = actor.distributions(batch.observation, batch.memory, batch.fresh)
    log_prob_n = distribution.log_prob(batch.raw_action)
    surrogate = clipped_surrogate(log_prob_n, batch.log_prob, batch.advantage, clip).mean()
    entropy = distribution.entropy(key).mean()
    parts = ActorParts(
        surrogate=surrogate,
        entropy=entropy,
        kl=kl_divergence(batch.behaviour, distribution).mean(),
        clip_fraction=(jnp.abs(jnp.exp(log_prob_n - batch.log_prob) - 1.0) > clip).mean(),
    )
    return -surrogate - alpha * entropy, parts


def critic_loss(critic: ActorCritic, batch: CriticBatch, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Half the mean squared error of the normalised value, twice: to be differentiated, and to be logged. Nothing is random here."""
    del key
    loss = 0.5 * jnp.square(critic.values(batch.observation, batch.memory, batch.fresh) - batch.target).mean()
    return loss, loss
