"""One PPO update as a pure function: rollout in, new learner out."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax

from realitygap_core.errors import CoreError
from realitygap_core.ppo.advantages import gae
from realitygap_core.ppo.distributions import ActionDistribution
from realitygap_core.ppo.losses import Minibatch, ppo_loss
from realitygap_core.ppo.networks import ActorCritic, NetworkConfig
from realitygap_core.ppo.normalizer import Normalizer
from realitygap_core.ppo.temperature import Temperature, TemperatureConfig, target_entropy, update_temperature


@dataclass(frozen=True, kw_only=True)
class PPOConfig:
    """How a training goes about its work."""

    env_steps: int = 1_000_000
    """Environment steps of the whole training; rounded up to whole updates."""
    unroll: int = 32
    """Control steps of every environment between two updates."""
    epochs: int = 4
    """Passes over each rollout."""
    minibatches: int = 16
    """Gradient steps a pass."""
    gamma: float = 0.99
    """Discount a control step."""
    lam: float = 0.95
    """Of generalised advantage estimation."""
    clip: float = 0.2
    """Largest change of the probability ratio that still pays."""
    value_weight: float = 0.5
    """Of the value error beside the surrogate."""
    learning_rate: float = 1e-3
    """Adam's step at the start."""
    final_learning_rate: float = 1e-4
    """Adam's step at the end; linear in between."""
    target_kl: float | None = 0.02
    """Adapts the step: smaller by a third when an update moved the policy by more than twice this KL [nats], larger when by less
    than half. None: off."""
    max_gradient_norm: float = 0.5
    """Gradients are scaled down to this global norm."""
    normalize_advantages: bool = True
    """To mean 0 and deviation 1 over each rollout; alpha is then in units of that deviation."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Sizes of actor and critic."""
    temperature: TemperatureConfig = field(default_factory=TemperatureConfig)
    """Weight of the entropy."""
    refresh_every: int = 4
    """Updates between new draws of the domain."""

    def updates(self, num_envs: int) -> int:
        """Number of updates that make up `env_steps`."""
        return max(1, math.ceil(self.env_steps / (num_envs * self.unroll)))

    def validate(self, num_envs: int) -> None:
        """Raises CoreError for values that cannot be trained with."""
        for name in ("unroll", "minibatches", "refresh_every"):
            if getattr(self, name) < 1:
                raise CoreError(f"{name} is {getattr(self, name)}, it must be at least 1")
        if num_envs * self.unroll % self.minibatches:
            raise CoreError(
                f"{num_envs} environments times {self.unroll} steps cannot be split into {self.minibatches} minibatches",
                hint="choose `num_envs` divisible by the number of minibatches",
            )
        if self.env_steps < 1:
            raise CoreError(f"env_steps is {self.env_steps}", hint="give a positive number of environment steps")
        self.temperature.validate(squash=self.network.squash)


class Learner(eqx.Module):
    """Everything that learns, and the keys it draws from: a pytree of arrays that is saved and restored as a whole."""

    network: ActorCritic
    optimizer: Any
    """State of Adam."""
    policy_normalizer: Normalizer
    critic_normalizer: Normalizer
    return_normalizer: Normalizer
    """Of the returns [1]; the critic's outputs are in its units."""
    temperature: Temperature
    step_scale: jax.Array
    """Factor on Adam's step, from the adaptive KL."""
    key: jax.Array
    """Of actions, permutations and entropy samples."""
    updates_done: jax.Array
    """int32"""


class Rollout(eqx.Module):
    """What one unroll gathered: T steps of B environments."""

    policy_tbn: jax.Array
    critic_tbm: jax.Array
    next_critic_tbm: jax.Array
    """Critic observation that was really reached, before any reset."""
    raw_action_tbn: jax.Array
    mean_tbn: jax.Array
    log_std_tbn: jax.Array
    log_prob_tb: jax.Array
    reward_tb: jax.Array
    terminated_tb: jax.Array
    truncated_tb: jax.Array


def strip_weak_types(tree: Any) -> Any:
    """Arrays with their types made explicit, so that the first call and all later ones are one compilation; copies, so that they can
    be donated."""
    return jax.tree.map(lambda x: jnp.array(x, dtype=x.dtype, copy=True) if eqx.is_array(x) else x, tree)


def make_optimizer(config: PPOConfig) -> optax.GradientTransformation:
    """Adam behind a clip of the global gradient norm; the step size is applied in `update`, where it is adapted."""
    return optax.chain(optax.clip_by_global_norm(config.max_gradient_norm), optax.scale_by_adam(eps=1e-5))


def init_learner(config: PPOConfig, observation_sizes: dict[str, int], action_size: int, seed: int) -> Learner:
    """The learner before the first step."""
    network_key, key = jax.random.split(jax.random.PRNGKey(seed))
    policy_size, critic_size = observation_sizes["policy"], observation_sizes["critic"]
    network = ActorCritic(policy_size, critic_size, action_size, config.network, network_key)
    learner = Learner(
        network=network,
        optimizer=make_optimizer(config).init(eqx.filter(network, eqx.is_array)),
        policy_normalizer=Normalizer(policy_size),
        critic_normalizer=Normalizer(critic_size),
        return_normalizer=Normalizer(1),
        temperature=Temperature(config.temperature),
        step_scale=jnp.ones((), jnp.float32),
        key=key,
        updates_done=jnp.zeros((), jnp.int32),
    )
    stripped: Learner = strip_weak_types(learner)
    return stripped


def act(learner: Learner, policy_bn: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array, ActionDistribution, jax.Array]:
    """Samples: raw action [B, n], executed action [B, n], the distribution, log probability [B]."""
    distribution = learner.network.distribution(learner.policy_normalizer.normalize(policy_bn))
    raw = distribution.sample(key)
    return raw, distribution.execute(raw), distribution, distribution.log_prob(raw)


def gaussian_entropy(batch_bn: jax.Array) -> jax.Array:
    """Entropy [nats] of the Gaussian with the covariance of `batch_bn` [B, n]: an upper bound of that of the batch. A ridge of 1e-6
    keeps it finite."""
    n = batch_bn.shape[-1]
    centred_bn = batch_bn - batch_bn.mean(0)
    covariance = centred_bn.T @ centred_bn / batch_bn.shape[0] + 1e-6 * jnp.eye(n, dtype=batch_bn.dtype)
    log_volume: jax.Array = jnp.linalg.slogdet(covariance)[1]
    return 0.5 * (log_volume + n * math.log(2.0 * math.pi * math.e))


def learning_rate(config: PPOConfig, fraction: jax.Array) -> jax.Array:
    """Adam's step, before the adaptive factor, when `fraction` of the training is done."""
    return config.learning_rate + (config.final_learning_rate - config.learning_rate) * fraction


def update(learner: Learner, rollout: Rollout, *, config: PPOConfig, total_updates: int) -> tuple[Learner, dict[str, jax.Array]]:
    """One update. Pure; `update_jit` is it compiled.

    Returns the new learner and scalars: what was measured of the policy that acted, and what the update did.
    """
    key, entropy_key, shuffle_key = jax.random.split(learner.key, 3)
    fraction = learner.updates_done.astype(jnp.float32) / max(total_updates - 1, 1)
    alpha = learner.temperature.alpha
    network, returns = learner.network, learner.return_normalizer

    policy_tbn = learner.policy_normalizer.normalize(rollout.policy_tbn)
    critic_tbm = learner.critic_normalizer.normalize(rollout.critic_tbm)
    next_critic_tbm = learner.critic_normalizer.normalize(rollout.next_critic_tbm)
    behaviour = ActionDistribution(rollout.mean_tbn, rollout.log_std_tbn, config.network.squash)

    values_tb = returns.denormalize(network.value(critic_tbm)[..., None])[..., 0]
    next_values_tb = returns.denormalize(network.value(next_critic_tbm)[..., None])[..., 0]
    advantages_tb = gae(
        rollout.reward_tb,
        values_tb,
        next_values_tb,
        terminated_tb=rollout.terminated_tb,
        truncated_tb=rollout.truncated_tb,
        gamma=config.gamma,
        lam=config.lam,
    )
    returns_tb = advantages_tb + values_tb
    explained = 1.0 - jnp.var(returns_tb - values_tb) / (jnp.var(returns_tb) + 1e-8)
    new_returns = returns.update(returns_tb[..., None])
    if config.normalize_advantages:
        advantages_tb = (advantages_tb - advantages_tb.mean()) / (advantages_tb.std() + 1e-8)

    flat: Minibatch = jax.tree.map(
        lambda x: x.reshape(-1, *x.shape[2:]),
        Minibatch(
            policy_observation=policy_tbn,
            critic_observation=critic_tbm,
            raw_action=rollout.raw_action_tbn,
            behaviour=behaviour,
            log_prob=rollout.log_prob_tb,
            advantage=advantages_tb,
            value_target=new_returns.normalize(returns_tb[..., None])[..., 0],
        ),
    )
    samples = flat.log_prob.shape[0]
    optimizer = make_optimizer(config)
    step = learning_rate(config, fraction) * learner.step_scale
    loss = partial(ppo_loss, clip=config.clip, value_weight=config.value_weight)

    def gradient_step(carry: tuple[ActorCritic, Any], item: tuple[jax.Array, jax.Array]) -> tuple[tuple[ActorCritic, Any], Any]:
        current, state = carry
        index, noise_key = item
        batch = jax.tree.map(lambda x: x[index], flat)
        gradient, parts = jax.grad(loss, has_aux=True)(current, batch, alpha, noise_key)
        direction, state = optimizer.update(gradient, state)
        moved = jax.tree.map(lambda p, d: p - step * d, current, direction)
        return (moved, state), (*parts, optax.tree.norm(gradient))

    def epoch(carry: tuple[ActorCritic, Any], epoch_key: jax.Array) -> tuple[tuple[ActorCritic, Any], Any]:
        permutation_key, noise_key = jax.random.split(epoch_key)
        index = jax.random.permutation(permutation_key, samples).reshape(config.minibatches, -1)
        return jax.lax.scan(gradient_step, carry, (index, jax.random.split(noise_key, config.minibatches)))

    (network, optimizer_state), parts = jax.lax.scan(epoch, (network, learner.optimizer), jax.random.split(shuffle_key, config.epochs))
    surrogate, value_loss, _, kl, clip_fraction, gradient_norm = parts
    kl_last = kl[-1].mean()

    # Measured on the policy that acted, once an update: inside the epochs the samples are stale.
    action_size = rollout.raw_action_tbn.shape[-1]
    entropy = behaviour.entropy(entropy_key).mean()
    temperature = update_temperature(learner.temperature, config.temperature, entropy / action_size, fraction)
    scale = learner.step_scale
    if config.target_kl is not None:
        factor = jnp.where(kl_last > 2.0 * config.target_kl, 1.0 / 1.5, jnp.where(kl_last < 0.5 * config.target_kl, 1.5, 1.0))
        scale = jnp.clip(scale * factor, 0.1, 3.0)

    observation_entropy = gaussian_entropy(policy_tbn.reshape(-1, policy_tbn.shape[-1]))
    metrics = {
        "policy_entropy": entropy,
        "observation_entropy": observation_entropy,
        "entropy_difference": entropy - observation_entropy,
        "temperature": alpha,
        "target_entropy": target_entropy(config.temperature, fraction) * action_size,
        "kl": kl_last,
        "clip_fraction": clip_fraction.mean(),
        "value_loss": value_loss.mean(),
        "surrogate": surrogate.mean(),
        "explained_variance": explained,
        "gradient_norm": gradient_norm.mean(),
        "learning_rate": step,
        "reward": rollout.reward_tb.mean(),
    }
    updated = Learner(
        network=network,
        optimizer=optimizer_state,
        policy_normalizer=learner.policy_normalizer.update(rollout.policy_tbn),
        critic_normalizer=learner.critic_normalizer.update(rollout.critic_tbm),
        return_normalizer=new_returns,
        temperature=temperature,
        step_scale=scale,
        key=key,
        updates_done=learner.updates_done + 1,
    )
    return updated, metrics


update_jit = jax.jit(update, static_argnames=("config", "total_updates"), donate_argnums=0)
"""`update`, compiled once for each configuration and shape in a process; the learner that goes in is used up."""
