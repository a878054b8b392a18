"""One PPO update as a pure function: rollout in, new learner out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, get_args, get_origin, get_type_hints

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from realitygap_core.errors import CoreError
from realitygap_core.ppo.advantages import gae
from realitygap_core.ppo.distributions import ActionDistribution
from realitygap_core.ppo.losses import ActorBatch, CriticBatch, actor_loss, critic_loss
from realitygap_core.ppo.networks import ActorCritic, Memory, NetworkConfig, joined
from realitygap_core.ppo.normalizer import Normalizer
from realitygap_core.ppo.passes import gradient_passes, make_optimizer, shuffled
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
    learning_rate: float = 1e-3
    """Adam's step at the start."""
    final_learning_rate: float = 1e-4
    """Adam's step at the end; linear in between."""
    target_kl: float | None = 0.02
    """Adapts the step: smaller by a third when an update moved the policy by more than twice this KL [nats], larger when by less
    than half. None: off."""
    max_gradient_norm: float = 0.5
    """The gradient of the actor, and that of the critic, are scaled down to this norm."""
    normalize_advantages: bool = True
    """To mean 0 and deviation 1 over each rollout; alpha is then in units of that deviation."""
    scale_rewards: bool = False
    """Divide rewards by the running deviation of the returns (Engstrom et al. 2020, arXiv 2005.12729); matters where advantages are not
    normalised, and makes alpha independent of the rewards' unit there."""
    network: NetworkConfig = field(default_factory=NetworkConfig)
    """Sizes of actor and critic."""
    temperature: TemperatureConfig = field(default_factory=TemperatureConfig)
    """Weight of the entropy."""
    refresh_every: int = 10
    """Updates between new draws of the domain."""

    @staticmethod
    def from_mapping(values: Mapping[str, Any]) -> PPOConfig:
        """The configuration that `dataclasses.asdict` made plain, also after JSON made lists of its tuples. Raises CoreError."""
        parts = {**values, "network": _made(NetworkConfig, values.get("network", {}))}
        made: PPOConfig = _made(PPOConfig, {**parts, "temperature": _made(TemperatureConfig, values.get("temperature", {}))})
        return made

    def updates(self, num_envs: int) -> int:
        """Number of updates that make up `env_steps`."""
        return max(1, math.ceil(self.env_steps / (num_envs * self.unroll)))

    def validate(self, num_envs: int) -> None:
        """Raises CoreError for values that cannot be trained with."""
        for name in ("unroll", "epochs", "minibatches", "refresh_every"):
            if getattr(self, name) < 1:
                raise CoreError(f"{name} is {getattr(self, name)}, it must be at least 1")
        if self.network.kind != "mlp" and num_envs % self.minibatches:
            raise CoreError(
                f"{num_envs} environments cannot be split into {self.minibatches} minibatches of whole sequences, as a memory needs",
                hint="choose `num_envs` divisible by the number of minibatches",
            )
        if num_envs * self.unroll % self.minibatches:
            raise CoreError(
                f"{num_envs} environments times {self.unroll} steps cannot be split into {self.minibatches} minibatches",
                hint="choose `num_envs` divisible by the number of minibatches",
            )
        if self.env_steps < 1:
            raise CoreError(f"env_steps is {self.env_steps}", hint="give a positive number of environment steps")
        self.network.validate()
        self.temperature.validate(self.network.entropy_range)


def _made(kind: Any, values: Any) -> Any:
    hint = "it was written by another version of this code"
    if not isinstance(values, Mapping):
        raise CoreError(f"this is no {kind.__name__}: {values!r}", hint=hint)
    made = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    hints = get_type_hints(kind)
    wrong = [f"{name} is {value!r}" for name, value in made.items() if name in hints and not _is(value, hints[name])]
    if wrong:
        raise CoreError(f"this is no {kind.__name__}: {wrong[0]}", hint=hint)
    try:
        return kind(**made)
    except TypeError as error:
        raise CoreError(f"this is no {kind.__name__}: {error}", hint=hint) from error


def _is(value: Any, hint: Any) -> bool:
    """Whether a value is of the type that a field of a configuration is declared with."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin is Literal:
        return value in parts
    if origin is tuple:
        kinds = parts[:1] * len(value) if isinstance(value, tuple) and parts[-1] is ... else parts
        return isinstance(value, tuple) and len(value) == len(kinds) and all(map(_is, value, kinds))
    if parts:  # a union
        return any(_is(value, part) for part in parts)
    return isinstance(value, (int, float) if hint is float else hint) and (hint is bool or not isinstance(value, bool))


class Learner(eqx.Module):
    """Everything that learns, and the keys it draws from: a pytree of arrays that is saved and restored as a whole."""

    network: ActorCritic
    optimizer: Any
    """States of Adam: the actor's and the critic's."""
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
    behaviour_tbn: ActionDistribution
    """Of the policy that acted."""
    log_prob_tb: jax.Array
    reward_tb: jax.Array
    terminated_tb: jax.Array
    truncated_tb: jax.Array
    memory: Memory
    """What was remembered before the first step [B, s]."""


def strip_weak_types(tree: Any) -> Any:
    """Arrays with their types made explicit, so that the first call and all later ones are one compilation; copies, so that they can
    be donated."""
    return jax.tree.map(lambda x: jnp.array(x, dtype=jax.dtypes.canonicalize_dtype(x.dtype), copy=True) if eqx.is_array(x) else x, tree)


def init_learner(config: PPOConfig, observation_sizes: dict[str, int], action_size: int, seed: int) -> Learner:
    """The learner before the first step."""
    policy_size, critic_size = observation_sizes["policy"], observation_sizes["critic"]
    network = ActorCritic(policy_size, critic_size, action_size, config.network, np.random.default_rng(seed))
    learner = Learner(
        network=network,
        optimizer=tuple(make_optimizer(config.max_gradient_norm).init(eqx.filter(side, eqx.is_array)) for side in network.apart()),
        policy_normalizer=Normalizer(policy_size),
        critic_normalizer=Normalizer(critic_size),
        return_normalizer=Normalizer(1),
        temperature=Temperature(config.temperature),
        step_scale=jnp.ones((), jnp.float32),
        key=jax.random.fold_in(jax.random.PRNGKey(seed), 2),
        updates_done=jnp.zeros((), jnp.int32),
    )
    stripped: Learner = strip_weak_types(learner)
    return stripped


def act(
    learner: Learner, observation: dict[str, jax.Array], memory: Memory, key: jax.Array
) -> tuple[jax.Array, jax.Array, ActionDistribution, jax.Array, Memory]:
    """Samples: raw action [B, n], executed action [B, n], the distribution, log probability [B], what is remembered."""
    policy_bn = learner.policy_normalizer.normalize(observation["policy"])
    critic_bm = learner.critic_normalizer.normalize(observation["critic"])
    distribution, memory = learner.network.step(policy_bn, critic_bm, memory)
    raw = distribution.sample(key)
    return raw, distribution.execute(raw), distribution, distribution.log_prob(raw), memory


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


class _Prepared(eqx.Module):
    """What the gradient steps need of a rollout."""

    actor: ActorBatch
    """[T, B, ...]"""
    critic: CriticBatch
    """[T, B, ...]"""
    step: jax.Array
    """Of Adam."""
    returns: Normalizer
    explained: jax.Array
    """Share of the returns' variance that the critic explained."""
    policy_tbn: jax.Array
    """Normalised observations."""
    order: jax.Array
    """Samples of each minibatch [epochs, minibatches, samples]."""
    noise_key: jax.Array
    entropy_key: jax.Array
    key: jax.Array
    """To go on with."""


def _prepare(learner: Learner, rollout: Rollout, *, config: PPOConfig, total_updates: int) -> _Prepared:
    key, entropy_key, shuffle_key = jax.random.split(learner.key, 3)
    order_key, noise_key = jax.random.split(shuffle_key)
    network, returns = learner.network, learner.return_normalizer
    policy_tbn = learner.policy_normalizer.normalize(rollout.policy_tbn)
    critic_tbm = learner.critic_normalizer.normalize(rollout.critic_tbm)
    next_critic_tbm = learner.critic_normalizer.normalize(rollout.next_critic_tbm)
    # An episode begins after a step that ended one; before the first step of the unroll that is part of the memory.
    done_tb = rollout.terminated_tb | rollout.truncated_tb
    fresh_tb = jnp.concatenate([jnp.zeros_like(done_tb[:1]), done_tb[:-1]])

    values_tb, next_values_tb = (
        returns.denormalize(value_tb[..., None])[..., 0]
        for value_tb in network.values_around(critic_tbm, next_critic_tbm, rollout.memory.critic, fresh_tb)
    )
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
    if config.scale_rewards:  # the advantages of rewards divided by a constant are the advantages divided by it
        advantages_tb = advantages_tb / new_returns.std[0]
    if config.normalize_advantages:
        advantages_tb = (advantages_tb - advantages_tb.mean()) / (advantages_tb.std() + 1e-8)
    recurrent = config.network.kind != "mlp"
    fresh = fresh_tb if recurrent else None
    samples = done_tb.shape[1] if recurrent else done_tb.size
    return _Prepared(
        actor=ActorBatch(
            observation=policy_tbn,
            raw_action=rollout.raw_action_tbn,
            behaviour=rollout.behaviour_tbn,
            log_prob=rollout.log_prob_tb,
            advantage=advantages_tb,
            fresh=fresh,
            memory=rollout.memory.actor,
        ),
        critic=CriticBatch(
            observation=critic_tbm,
            target=new_returns.normalize(returns_tb[..., None])[..., 0],
            fresh=fresh,
            memory=rollout.memory.critic,
        ),
        step=learning_rate(config, _fraction(learner, total_updates)) * learner.step_scale,
        returns=new_returns,
        explained=explained,
        policy_tbn=policy_tbn,
        order=shuffled(order_key, samples=samples, epochs=config.epochs, minibatches=config.minibatches),
        noise_key=noise_key,
        entropy_key=entropy_key,
        key=key,
    )


def _fraction(learner: Learner, total_updates: int) -> jax.Array:
    return learner.updates_done.astype(jnp.float32) / max(total_updates - 1, 1)


def _passes(loss: Any, side: ActorCritic, state: Any, samples: Any, steps: Any, config: PPOConfig, mesh: Mesh | None) -> Any:
    step, order, key = steps
    return gradient_passes(loss, side, state, samples, order, key, step=step, max_gradient_norm=config.max_gradient_norm, mesh=mesh)


def _actor_passes(
    actor: ActorCritic, state: Any, samples: ActorBatch, alpha: jax.Array, steps: Any, *, config: PPOConfig, mesh: Mesh | None
) -> Any:
    return _passes(partial(actor_loss, alpha=alpha, clip=config.clip), actor, state, samples, steps, config, mesh)


def _critic_passes(critic: ActorCritic, state: Any, samples: CriticBatch, steps: Any, *, config: PPOConfig, mesh: Mesh | None) -> Any:
    return _passes(critic_loss, critic, state, samples, steps, config, mesh)


def _finish(
    learner: Learner, rollout: Rollout, prepared: _Prepared, actor: Any, critic: Any, *, config: PPOConfig, total_updates: int
) -> tuple[Learner, dict[str, jax.Array]]:
    actor_network, actor_state, parts, actor_norms = actor
    critic_network, critic_state, value_loss, critic_norms = critic
    fraction = _fraction(learner, total_updates)
    kl_last = parts.kl[-1].mean()
    # Measured on the policy that acted, once an update: inside the epochs the samples are stale.
    action_size = rollout.raw_action_tbn.shape[-1]
    entropy = rollout.behaviour_tbn.entropy(prepared.entropy_key).mean()
    temperature = update_temperature(learner.temperature, config.temperature, entropy / action_size, fraction)
    scale = learner.step_scale
    if config.target_kl is not None:
        factor = jnp.where(kl_last > 2.0 * config.target_kl, 1.0 / 1.5, jnp.where(kl_last < 0.5 * config.target_kl, 1.5, 1.0))
        scale = jnp.clip(scale * factor, 0.1, 3.0)

    observation_entropy = gaussian_entropy(prepared.policy_tbn.reshape(-1, prepared.policy_tbn.shape[-1]))
    metrics = {
        "policy_entropy": entropy,
        "observation_entropy": observation_entropy,
        "entropy_difference": entropy - observation_entropy,
        "temperature": learner.temperature.alpha,
        "target_entropy": target_entropy(config.temperature, fraction) * action_size,
        "kl": kl_last,
        "clip_fraction": parts.clip_fraction.mean(),
        "value_loss": value_loss.mean(),
        "surrogate": parts.surrogate.mean(),
        "explained_variance": prepared.explained,
        "gradient_norm": actor_norms.mean(),
        "value_gradient_norm": critic_norms.mean(),
        "learning_rate": prepared.step,
        "reward": rollout.reward_tb.mean(),
    }
    updated = Learner(
        network=joined(actor_network, critic_network),
        optimizer=(actor_state, critic_state),
        policy_normalizer=learner.policy_normalizer.update(rollout.policy_tbn),
        critic_normalizer=learner.critic_normalizer.update(rollout.critic_tbm),
        return_normalizer=prepared.returns,
        temperature=temperature,
        step_scale=scale,
        key=prepared.key,
        updates_done=learner.updates_done + 1,
    )
    return updated, metrics


def update(
    learner: Learner, rollout: Rollout, *, config: PPOConfig, total_updates: int, mesh: Mesh | None = None
) -> tuple[Learner, dict[str, jax.Array]]:
    """One update. Pure; `update_jit` is it compiled. With a `mesh` the samples of each minibatch are split over its devices.

    Returns the new learner and scalars: what was measured of the policy that acted, and what the update did.
    """
    prepared = _prepare(learner, rollout, config=config, total_updates=total_updates)
    (actor, critic), (actor_state, critic_state) = learner.network.apart(), learner.optimizer
    steps = (prepared.step, prepared.order, prepared.noise_key)
    acting = _actor_passes(actor, actor_state, prepared.actor, learner.temperature.alpha, steps, config=config, mesh=mesh)
    judging = _critic_passes(critic, critic_state, prepared.critic, steps, config=config, mesh=mesh)
    return _finish(learner, rollout, prepared, acting, judging, config=config, total_updates=total_updates)


update_jit = jax.jit(update, static_argnames=("config", "total_updates", "mesh"), donate_argnums=0)
"""`update`, compiled once for each configuration and shape in a process; the learner that goes in is used up."""
_prepare_jit = jax.jit(_prepare, static_argnames=("config", "total_updates"))
_actor_passes_jit = jax.jit(_actor_passes, static_argnames=("config", "mesh"))
_critic_passes_jit = jax.jit(_critic_passes, static_argnames=("config", "mesh"))
_finish_jit = jax.jit(_finish, static_argnames=("config", "total_updates"))


def update_in_threads(learner: Learner, rollout: Rollout, *, config: PPOConfig, total_updates: int) -> tuple[Learner, dict[str, jax.Array]]:
    """`update` with the actor's and the critic's gradient steps at the same time, on two threads, for networks so small that one step of
    one is no work for two cores. The result is that of `update` up to rounding."""
    prepared = _prepare_jit(learner, rollout, config=config, total_updates=total_updates)
    (actor, critic), (actor_state, critic_state) = learner.network.apart(), learner.optimizer
    steps = (prepared.step, prepared.order, prepared.noise_key)
    with ThreadPoolExecutor(1) as thread:
        judging = thread.submit(_critic_passes_jit, critic, critic_state, prepared.critic, steps, config=config, mesh=None)
        acting = _actor_passes_jit(actor, actor_state, prepared.actor, learner.temperature.alpha, steps, config=config, mesh=None)
        updated: tuple[Learner, dict[str, jax.Array]] = _finish_jit(
            learner, rollout, prepared, acting, judging.result(), config=config, total_updates=total_updates
        )
    return updated
