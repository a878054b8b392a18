"""The loss of one minibatch: clipped surrogate, value error, entropy (Schulman et al. 2017, arXiv 1707.06347, equations 7 and 9)."""

from __future__ import annotations

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp

from realitygap_core.ppo.distributions import ActionDistribution, kl_divergence
from realitygap_core.ppo.networks import ActorCritic


class Minibatch(eqx.Module):
    """What one gradient step sees; N samples, observations already normalised."""

    policy_observation: jax.Array
    """[N, policy size]"""
    critic_observation: jax.Array
    """[N, critic size]"""
    raw_action: jax.Array
    """Sample before squashing [N, n]."""
    behaviour: ActionDistribution
    """Of the policy that acted, mean and log_std [N, n]."""
    log_prob: jax.Array
    """Of the action under that policy [N]."""
    advantage: jax.Array
    """[N], already scaled for the whole rollout."""
    value_target: jax.Array
    """Normalised return [N]."""


class LossParts(NamedTuple):
    """Scalars of one minibatch."""

    surrogate: jax.Array
    """Clipped surrogate, to be maximised; in units of the advantage."""
    value: jax.Array
    """Mean squared error of the normalised value, times one half."""
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


def ppo_loss(
    network: ActorCritic, batch: Minibatch, alpha: jax.Array, key: jax.Array, *, clip: float, value_weight: float
) -> tuple[jax.Array, LossParts]:
    """- surrogate + value_weight * value error - alpha * entropy, averaged over the minibatch.

    The entropy is that of the executed action and enters state by state. That is a bonus on each visited state, not maximum-entropy
    reinforcement learning, where the entropies of later states would be part of the return.
    """
    distribution = network.distribution(batch.policy_observation)
    log_prob_n = distribution.log_prob(batch.raw_action)
    surrogate = clipped_surrogate(log_prob_n, batch.log_prob, batch.advantage, clip).mean()
    value = 0.5 * jnp.square(network.value(batch.critic_observation) - batch.value_target).mean()
    entropy = distribution.entropy(key).mean()
    parts = LossParts(
        surrogate=surrogate,
        value=value,
        entropy=entropy,
        kl=kl_divergence(batch.behaviour, distribution).mean(),
        clip_fraction=(jnp.abs(jnp.exp(log_prob_n - batch.log_prob) - 1.0) > clip).mean(),
    )
    return -surrogate + value_weight * value - alpha * entropy, parts
