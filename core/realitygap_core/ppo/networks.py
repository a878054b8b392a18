"""Actor and critic as multilayer perceptrons."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from realitygap_core.ppo.distributions import ActionDistribution

Activation = Literal["tanh", "elu", "silu", "relu"]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {"tanh": jnp.tanh, "elu": jax.nn.elu, "silu": jax.nn.silu, "relu": jax.nn.relu}


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes and kinds of actor and critic."""

    actor_hidden: tuple[int, ...] = (64, 64)
    """Widths of the actor's hidden layers."""
    critic_hidden: tuple[int, ...] = (128, 128)
    """Widths of the critic's hidden layers."""
    activation: Activation = "tanh"
    """Nonlinearity of both."""
    std: Literal["global", "state"] = "state"
    """`global`: one learned deviation a dimension; `state`: the actor gives it for each observation."""
    initial_std: float = 0.7
    """Standard deviation of the Gaussian before squashing at the start."""
    log_std_range: tuple[float, float] = (-5.0, 1.0)
    """Clamp of the logarithm of that deviation."""
    squash: bool = True
    """Execute tanh of the Gaussian sample; without it the action is unbounded."""


def action_distribution(out: jax.Array, log_std_n: jax.Array, config: NetworkConfig) -> ActionDistribution:
    """The distribution of the action [..., n] from what the actor puts out: [..., 2 n] for `std: state`, else [..., n]."""
    if config.std == "state":
        mean, log_std = jnp.split(out, 2, axis=-1)
        log_std = log_std_n + log_std
    else:
        mean, log_std = out, jnp.broadcast_to(log_std_n, out.shape)
    return ActionDistribution(mean, jnp.clip(log_std, *config.log_std_range), config.squash)


class MLP(eqx.Module):
    """Fully connected layers, orthogonal initialisation (gain sqrt 2 inside; Saxe et al. 2014, arXiv 1312.6120)."""

    weights: tuple[jax.Array, ...]
    """One [in, out] matrix a layer."""
    biases: tuple[jax.Array, ...]
    """One [out] vector a layer."""
    activation: Activation = eqx.field(static=True)
    """Between layers; the last one is linear."""

    def __init__(self, sizes: tuple[int, ...], activation: Activation, final_gain: float, key: jax.Array) -> None:
        gains = [2.0**0.5] * (len(sizes) - 2) + [final_gain]
        keys = jax.random.split(key, len(gains))
        shapes = list(itertools.pairwise(sizes))
        self.weights = tuple(
            jax.nn.initializers.orthogonal(gain)(k, shape, jnp.float32) for gain, k, shape in zip(gains, keys, shapes, strict=True)
        )
        self.biases = tuple(jnp.zeros(shape[1], jnp.float32) for shape in shapes)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        """[..., in] to [..., out]."""
        activate = ACTIVATIONS[self.activation]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = activate(x @ weight + bias)
        return x @ self.weights[-1] + self.biases[-1]


class ActorCritic(eqx.Module):
    """Separate actor and critic; the critic may see more (asymmetric actor-critic, Pinto et al. 2017, arXiv 1710.06542).

    Both take normalised observations.
    """

    actor: MLP
    critic: MLP
    log_std: jax.Array
    """[n]; with `std: state` the offset of what the actor gives."""
    config: NetworkConfig = eqx.field(static=True)

    def __init__(self, policy_size: int, critic_size: int, action_size: int, config: NetworkConfig, key: jax.Array) -> None:
        actor_key, critic_key = jax.random.split(key)
        outputs = action_size * (2 if config.std == "state" else 1)
        self.actor = MLP((policy_size, *config.actor_hidden, outputs), config.activation, 0.01, actor_key)
        self.critic = MLP((critic_size, *config.critic_hidden, 1), config.activation, 1.0, critic_key)
        self.log_std = jnp.full(action_size, jnp.log(config.initial_std), jnp.float32)
        self.config = config

    def distribution(self, observation_bn: jax.Array) -> ActionDistribution:
        """The distribution of the action [..., n] given the normalised policy observation."""
        return action_distribution(self.actor(observation_bn), self.log_std, self.config)

    def value(self, observation_bm: jax.Array) -> jax.Array:
        """Value [...], in units of the normalised return, given the normalised critic observation."""
        return self.critic(observation_bm)[..., 0]
