"""The gradient steps of an update: passes over the samples of a rollout in shuffled minibatches, for the actor or for the critic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh

from realitygap_core.ppo.losses import ActorBatch, CriticBatch
from realitygap_core.ppo.networks import ActorCritic
from realitygap_core.ppo.parallel import spread

_MOST_INDEX_BITS = 22
"""Of the 32 of a word; the others are random."""
Batch = TypeVar("Batch", ActorBatch, CriticBatch)


def make_optimizer(max_gradient_norm: float) -> optax.GradientTransformation:
    """Adam behind a clip of the gradient's norm; the step size, which adapts, is applied afterwards."""
    return optax.chain(optax.clip_by_global_norm(max_gradient_norm), optax.scale_by_adam(eps=1e-5))


def gradient_passes(
    loss: Callable[[ActorCritic, Batch, jax.Array], tuple[jax.Array, Any]],
    network: ActorCritic,
    state: Any,
    samples: Batch,
    order: jax.Array,
    key: jax.Array,
    *,
    step: jax.Array,
    max_gradient_norm: float,
    mesh: Mesh | None,
) -> tuple[ActorCritic, Any, Any, jax.Array]:
    """Passes over the samples, each in as many steps of Adam as it has minibatches.

    Args:
        loss: of network, minibatch and key; gives what to minimise and what to log.
        network: the side that learns.
        state: of the optimizer.
        samples: observations and what belongs to them [T, B, ...], memories [B, s]. Without a memory every step of every environment is a
            sample; with one every environment's sequence is, and time stays whole.
        order: which samples make up each minibatch [epochs, minibatches, samples], from `shuffled`.
        key: for `loss`.
        step: size of a step of Adam.
        max_gradient_norm: limit of the gradient's norm.
        mesh: devices over which the samples of each minibatch are split.

    Returns: network, optimizer's state, what `loss` logs [epochs, minibatches], norms of the gradients [epochs, minibatches].
    """
    recurrent = samples.memory is not None
    axis = 1 if recurrent else 0
    timed = eqx.tree_at(lambda batch: batch.memory, samples, None, is_leaf=lambda x: x is None)
    if not recurrent:
        timed = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), timed)
    optimizer = make_optimizer(max_gradient_norm)

    def take(index: jax.Array) -> Batch:
        batch = spread(jax.tree.map(lambda x: jnp.take(x, index, axis=axis, mode="clip"), timed), mesh, axis)
        memory = spread(jax.tree.map(lambda x: x[index], samples.memory), mesh, 0)
        taken: Batch = eqx.tree_at(lambda b: b.memory, batch, memory, is_leaf=lambda x: x is None)
        return taken

    def gradient_step(carry: tuple[ActorCritic, Any], item: tuple[jax.Array, jax.Array]) -> tuple[tuple[ActorCritic, Any], Any]:
        current, before = carry
        index, noise_key = item
        gradient, logged = jax.grad(loss, has_aux=True)(current, take(index), noise_key)
        direction, after = optimizer.update(gradient, before)
        return (jax.tree.map(lambda p, d: p - step * d, current, direction), after), (logged, optax.tree.norm(gradient))

    def epoch(carry: tuple[ActorCritic, Any], item: tuple[jax.Array, jax.Array]) -> tuple[tuple[ActorCritic, Any], Any]:
        indices, noise_key = item
        return jax.lax.scan(gradient_step, carry, (indices, jax.random.split(noise_key, len(indices))))

    (network, state), (logged, norms) = jax.lax.scan(epoch, (network, state), (order, jax.random.split(key, len(order))))
    return network, state, logged, norms


def shuffled(key: jax.Array, *, samples: int, epochs: int, minibatches: int) -> jax.Array:
    """Every sample once in each pass, in an order of its own: indices [epochs, minibatches, samples / minibatches].

    Sorts words of random bits above the sample's own index: one array without a payload, which XLA sorts on a CPU in a fifteenth of the
    time of `jax.random.permutation`. Of samples with the same random bits the first comes first; there are 2^10 values of them and more,
    so that which minibatch a sample is in is as good as independent of the others.
    """
    width = (samples - 1).bit_length()
    if width > _MOST_INDEX_BITS:
        orders = jax.lax.map(lambda one: jax.random.permutation(one, samples), jax.random.split(key, epochs))
    else:
        words = (jax.random.bits(key, (epochs, samples)) << width) | jnp.arange(samples, dtype=jnp.uint32)
        orders = (jnp.sort(words, axis=1) & ((1 << width) - 1)).astype(jnp.int32)
    indices: jax.Array = orders.reshape(epochs, minibatches, -1)
    return indices
