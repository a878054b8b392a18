"""Actor and critic: multilayer perceptrons, with a recurrent layer before them where the policy has a memory."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.ppo.distributions import ActionDistribution, Categorical, Gaussian, entropy_limits
from realitygap_core.ppo.recurrent import Recurrent, forget, orthogonal

Activation = Literal["tanh", "elu", "silu", "relu"]

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {"tanh": jnp.tanh, "elu": jax.nn.elu, "silu": jax.nn.silu, "relu": jax.nn.relu}


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes and kinds of actor and critic."""

    kind: Literal["mlp", "gru", "lstm"] = "mlp"
    """`gru` and `lstm` put a recurrent layer before the hidden ones, in actor and critic alike."""
    memory: int = 64
    """Width of that recurrent layer."""
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
    head: Literal["gaussian", "categorical"] = "gaussian"
    """`categorical`: each action dimension takes one of `choices` values."""
    choices: int = 11
    """Values of an action dimension with the categorical head, evenly spaced from -1 to 1 (Tang & Agrawal 2020, arXiv 1901.10500)."""

    def validate(self) -> None:
        """Raises CoreError for sizes that no network has."""
        if self.kind != "mlp" and self.memory < 1:
            raise CoreError(f"a recurrent layer of width {self.memory}", hint="give `memory` of at least 1, for example 64")
        if self.head == "categorical" and self.choices < 2:
            raise CoreError(f"a categorical head with {self.choices} values", hint="give `choices` of at least 2, for example 11")

    @property
    def entropy_range(self) -> tuple[float, float]:
        """Infimum and supremum of the entropy of the executed action, nats per dimension."""
        return entropy_limits(self.head, squash=self.squash, choices=self.choices)

    @property
    def outputs(self) -> int:
        """Numbers that the actor puts out for one action dimension."""
        if self.head == "categorical":
            return self.choices
        return 2 if self.std == "state" else 1


class Memory(NamedTuple):
    """What actor and critic remember of the episode so far; None where they have no memory."""

    actor: Any
    """Array [B, s], or None."""
    critic: Any
    """Array [B, s], or None."""

    def reset(self, done_b: jax.Array) -> Memory:
        """Zero where an episode has ended: a fresh start."""
        kept: Memory = jax.tree.map(lambda state_bs: forget(state_bs, done_b), self)
        return kept


def action_distribution(out: jax.Array, log_std_n: jax.Array, config: NetworkConfig) -> ActionDistribution:
    """The distribution of the action [..., n] from what the actor puts out [..., n * config.outputs]."""
    if config.head == "categorical":
        return Categorical(out.reshape(*out.shape[:-1], log_std_n.shape[0], config.choices))
    if config.std == "state":
        mean, log_std = jnp.split(out, 2, axis=-1)
        log_std = log_std_n + log_std
    else:
        mean, log_std = out, jnp.broadcast_to(log_std_n, out.shape)
    return Gaussian(mean, jnp.clip(log_std, *config.log_std_range), config.squash)


class MLP(eqx.Module):
    """Fully connected layers, orthogonal initialisation (gain sqrt 2 inside; Saxe et al. 2014, arXiv 1312.6120)."""

    weights: tuple[jax.Array, ...]
    """One [in, out] matrix a layer."""
    biases: tuple[jax.Array, ...]
    """One [out] vector a layer."""
    activation: Activation = eqx.field(static=True)
    """Between layers; the last one is linear."""

    def __init__(self, sizes: tuple[int, ...], activation: Activation, final_gain: float, rng: np.random.Generator | None) -> None:
        gains = [2.0**0.5] * (len(sizes) - 2) + [final_gain]
        shapes = list(itertools.pairwise(sizes))
        self.weights = tuple(orthogonal(rng, shape, gain) for gain, shape in zip(gains, shapes, strict=True))
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

    Both take normalised observations. With a memory an observation first goes through a recurrent layer of its own.
    """

    actor: MLP
    critic: MLP
    log_std: jax.Array
    """[n]; with `std: state` the offset of what the actor gives. The categorical head does not use it."""
    config: NetworkConfig = eqx.field(static=True)
    actor_memory: Recurrent | None
    critic_memory: Recurrent | None

    def __init__(self, policy_size: int, critic_size: int, action_size: int, config: NetworkConfig, rng: np.random.Generator) -> None:
        self.actor_memory = self.critic_memory = None
        if config.kind != "mlp":
            self.actor_memory = Recurrent(policy_size, config.memory, config.kind, rng)
            self.critic_memory = Recurrent(critic_size, config.memory, config.kind, rng)
            policy_size = critic_size = config.memory
        self.actor = MLP((policy_size, *config.actor_hidden, action_size * config.outputs), config.activation, 0.01, rng)
        self.critic = MLP((critic_size, *config.critic_hidden, 1), config.activation, 1.0, rng)
        self.log_std = jnp.full(action_size, jnp.log(config.initial_std), jnp.float32)
        self.config = config

    def fresh_memory(self, batch: int) -> Memory:
        """What is remembered [batch, s] when episodes begin: nothing, which is zero."""
        layers = (self.actor_memory, self.critic_memory)
        return Memory(*(None if layer is None else jnp.zeros((batch, layer.state_size), jnp.float32) for layer in layers))

    def distribution(self, observation_bn: jax.Array) -> ActionDistribution:
        """The distribution of the action [..., n] given the normalised policy observation (the output of the recurrent layer, if any)."""
        return action_distribution(self.actor(observation_bn), self.log_std, self.config)

    def value(self, observation_bm: jax.Array) -> jax.Array:
        """Value [...], in units of the normalised return, given the normalised critic observation (or the recurrent layer's output)."""
        return self.critic(observation_bm)[..., 0]

    def step(self, policy_bn: jax.Array, critic_bm: jax.Array, memory: Memory) -> tuple[ActionDistribution, Memory]:
        """One control step: the distribution of the action, and what is remembered after it."""
        if self.actor_memory is None or self.critic_memory is None:
            return self.distribution(policy_bn), memory
        policy_bn, actor = self.actor_memory.step(policy_bn, memory.actor)
        _, critic = self.critic_memory.step(critic_bm, memory.critic)
        return self.distribution(policy_bn), Memory(actor, critic)

    def distributions(self, policy: jax.Array, memory: Any, fresh: Any) -> ActionDistribution:
        """Distribution of the action of many samples [..., n]; with a memory [B, s] these are sequences [T, B, n], and `fresh` [T, B] says
        where an episode begins."""
        if self.actor_memory is not None:
            policy, _ = self.actor_memory.sequence(policy, memory, fresh)
        return self.distribution(policy)

    def values(self, critic: jax.Array, memory: Any, fresh: Any) -> jax.Array:
        """Values of many samples, as `distributions`."""
        if self.critic_memory is not None:
            critic, _ = self.critic_memory.sequence(critic, memory, fresh)
        return self.value(critic)

    def values_around(
        self, critic_tbm: jax.Array, next_critic_tbm: jax.Array, memory: Any, fresh_tb: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Values [T, B] before each step and after it; the latter remember the episode also where it ended with that step."""
        if self.critic_memory is None:
            return self.value(critic_tbm), self.value(next_critic_tbm)
        outputs, states = self.critic_memory.sequence(critic_tbm, memory, fresh_tb)
        following, _ = self.critic_memory.step(next_critic_tbm, states)
        return self.value(outputs), self.value(following)

    def apart(self) -> tuple[ActorCritic, ActorCritic]:
        """The actor without the critic, and the critic without the actor; `joined` puts them together."""
        actor = eqx.tree_at(lambda n: (n.critic, n.critic_memory), self, (None, None), is_leaf=lambda x: x is None)
        critic = eqx.tree_at(lambda n: (n.actor, n.actor_memory, n.log_std), self, (None, None, None), is_leaf=lambda x: x is None)
        return actor, critic


def joined(actor: ActorCritic, critic: ActorCritic) -> ActorCritic:
    """What `ActorCritic.apart` took apart."""
    parts = critic.critic, critic.critic_memory
    whole: ActorCritic = eqx.tree_at(lambda n: (n.critic, n.critic_memory), actor, parts, is_leaf=lambda x: x is None)
    return whole
