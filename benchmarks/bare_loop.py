"""About what this machine leaves for PPO: a loop with nothing but physics, two networks and their gradients (see train_cpu.py).

MuJoCo's own thread pool steps the model of a task; one compiled call acts, one updates. There are no terms, delays, normalisation, true
last values, domains, statistics, digests or checkpoints, no evaluation of physics for the sensors at the end of a control step (the hopper
has one in five), and the reward means nothing: it is no trainer, and learns nothing of use. Robots that fall begin anew, so that physics
has the contacts that a training has.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
import optax
from mujoco import rollout

from realitygap_core import stopwatches
from realitygap_core.engines.mujoco import cores

FALLEN: dict[str, Callable[[Any], Any]] = {
    "cartpole-swingup": lambda qpos: np.zeros(len(qpos), bool),
    "hopper-hop": lambda qpos: (qpos[:, 1] < 0.75) | (np.abs(qpos[:, 2]) > 1.0),
}
UPDATES = 30


def bare(name: str, task: Any, setting: dict[str, Any], num_envs: int, unroll: int) -> float:
    """Control steps per second, rollout and update; two updates, which compile, are left out."""
    stopwatches.switch_off()
    model, substeps = task.robot.model, task.substeps
    rng = np.random.default_rng(setting["seed"])
    params, optimizer = _networks(model, setting)
    learned = optimizer.init(params)
    update = jax.jit(partial(_update, optimizer=optimizer, setting=setting))
    key, state, age = jax.random.key(setting["seed"]), _begun(model, rng, num_envs), rng.integers(0, task.episode_steps, num_envs)
    data = [mujoco.MjData(model) for _ in range(cores())]
    shape = (num_envs, substeps)
    with rollout.Rollout(nthread=len(data)) as pool:
        for count in range(UPDATES + 2):
            if count == 2:
                began = time.perf_counter()
            rows: list[tuple[Any, ...]] = []
            for _ in range(unroll):
                seen = _seen(model, state)
                action, log_prob, key = _act(params, seen, key)
                action = np.asarray(action)
                ctrl = np.repeat(np.clip(action, -1, 1)[:, None].astype(np.float64), shape[1], axis=1)
                states, sensors = np.empty((*shape, state.shape[1])), np.empty((*shape, model.nsensordata))
                pool.rollout([model] * num_envs, data, state, ctrl, skip_checks=True, nstep=shape[1], state=states, sensordata=sensors)
                state, age = states[:, -1].copy(), age + 1
                done = FALLEN[name](state[:, 1:]) | (age >= task.episode_steps)
                state[done], age[done] = _begun(model, rng, int(done.sum())), 0
                rows.append((seen, action, np.asarray(log_prob), np.cos(state[:, 2]).astype(np.float32), done))
            key, own = jax.random.split(key)
            params, learned = jax.block_until_ready(update(params, learned, [np.stack(x) for x in zip(*rows, strict=True)], own))
    return UPDATES * unroll * num_envs / (time.perf_counter() - began)


def _begun(model: Any, rng: Any, count: int) -> Any:
    state = np.zeros((count, 1 + model.nq + model.nv + model.na))
    state[:, 1 : 1 + model.nq] = model.qpos0 + rng.uniform(-0.05, 0.05, (count, model.nq))
    return state


def _seen(model: Any, state: Any) -> Any:
    return state[:, 1 : 1 + model.nq + model.nv].astype(np.float32)


def _networks(model: Any, setting: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    def layers(key: Any, sizes: tuple[int, ...]) -> list[Any]:
        keys = jax.random.split(key, len(sizes) - 1)
        return [(jax.random.normal(k, (m, n)) / np.sqrt(m), jnp.zeros(n)) for k, m, n in zip(keys, sizes, sizes[1:], strict=False)]

    inner = (model.nq + model.nv, *setting["hidden"])
    actor, critic = jax.random.split(jax.random.key(setting["seed"]))
    params = {"actor": layers(actor, (*inner, model.nu)), "critic": layers(critic, (*inner, 1)), "log_std": jnp.zeros(model.nu)}
    return params, optax.chain(optax.clip_by_global_norm(1.0), optax.adam(setting["learning_rate"]))


def _through(layers: list[Any], x: Any) -> Any:
    for weights, bias in layers[:-1]:
        x = jnp.tanh(x @ weights + bias)
    weights, bias = layers[-1]
    return x @ weights + bias


def _log_prob(params: dict[str, Any], seen: Any, action: Any) -> Any:
    return (-0.5 * ((action - _through(params["actor"], seen)) / jnp.exp(params["log_std"])) ** 2 - params["log_std"]).sum(-1)


@jax.jit
def _act(params: dict[str, Any], seen: Any, key: Any) -> tuple[Any, Any, Any]:
    key, own = jax.random.split(key)
    mean = _through(params["actor"], seen)
    action = mean + jnp.exp(params["log_std"]) * jax.random.normal(own, mean.shape)
    return action, _log_prob(params, seen, action), key


def _update(params: Any, learned: Any, rollout_tb: list[Any], key: Any, *, optimizer: Any, setting: dict[str, Any]) -> tuple[Any, Any]:
    """Schulman et al. 2017, arXiv 1707.06347: epochs of the clipped surrogate over shuffled minibatches."""
    seen, action, log_prob, reward, done = rollout_tb
    value = _through(params["critic"], seen)[..., 0]

    def backwards(carry: Any, row: Any) -> Any:
        advantage, following = carry
        reward_b, done_b, value_b = row
        advantage = (
            reward_b + setting["gamma"] * following * (1 - done_b) - value_b + setting["gamma"] * setting["lam"] * (1 - done_b) * advantage
        )
        return (advantage, value_b), advantage

    _, advantage = jax.lax.scan(backwards, (jnp.zeros_like(value[0]), value[-1]), (reward, done, value), reverse=True)
    flat = [x.reshape(-1, *x.shape[2:]) for x in (seen, action, log_prob, advantage, advantage + value)]

    def loss(params: Any, batch: list[Any]) -> Any:
        seen, action, before, advantage, target = batch
        ratio = jnp.exp(_log_prob(params, seen, action) - before)
        advantage = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
        clipped = jnp.clip(ratio, 1 - setting["clip"], 1 + setting["clip"])
        error = _through(params["critic"], seen)[:, 0] - target
        return -jnp.minimum(ratio * advantage, clipped * advantage).mean() + 0.5 * (error**2).mean()

    def one(carry: Any, batch: list[Any]) -> Any:
        params, learned = carry
        changes, learned = optimizer.update(jax.grad(loss)(params, batch), learned, params)
        return (optax.apply_updates(params, changes), learned), None

    def epoch(carry: Any, key: Any) -> Any:
        order = jax.random.permutation(key, len(flat[0]))
        return jax.lax.scan(one, carry, [x[order].reshape(setting["minibatches"], -1, *x.shape[1:]) for x in flat])

    carry, _ = jax.lax.scan(epoch, (params, learned), jax.random.split(key, setting["epochs"]))
    return carry
