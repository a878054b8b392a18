"""The ONNX file: onnxruntime gives the actions of JAX, and an implementation of the gates in NumPy agrees with both."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from numpy.typing import NDArray
from taskbench import compiled

from realitygap_core.onnx_export import export_onnx, largest_difference
from realitygap_core.policy import Policy
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.update import PPOConfig, init_learner

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

Floats = NDArray[np.float64]
SIZE = 5
SMALL: dict[str, Any] = {"actor_hidden": (12, 9), "critic_hidden": (4,)}


def policy_of(config: NetworkConfig) -> Policy:
    """Every weight random and of order one, gate biases included, so that a gate in the wrong place shows."""
    learner = init_learner(PPOConfig(network=config), {"policy": SIZE, "critic": SIZE}, 1, 3)
    policy = Policy.from_learner(learner, compiled("cartpole-balance"))
    leaves, structure = jax.tree_util.tree_flatten(policy.actor)
    rng = np.random.default_rng(7)
    actor = jax.tree_util.tree_unflatten(structure, [jnp.asarray(0.6 * rng.standard_normal(leaf.shape), jnp.float32) for leaf in leaves])
    seen = policy.actor.normalizer.update(jnp.asarray(rng.normal(1.0, 3.0, (500, SIZE)), jnp.float32))
    return Policy(actor=eqx.tree_at(lambda a: a.normalizer, actor, seen), contract=policy.contract, provenance={"digest": "d"})


CONFIGS = {
    "tanh": NetworkConfig(**SMALL),
    "relu": NetworkConfig(**SMALL, activation="relu"),
    "elu": NetworkConfig(**SMALL, activation="elu", std="global"),
    "silu, not squashed": NetworkConfig(**SMALL, activation="silu", squash=False),
    "no hidden layer": NetworkConfig(actor_hidden=(), critic_hidden=()),
    "gru": NetworkConfig(**SMALL, kind="gru", memory=7),
    "lstm": NetworkConfig(**SMALL, kind="lstm", memory=7),
    "categorical": NetworkConfig(**SMALL, head="categorical", choices=5),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_onnxruntime_gives_the_actions_of_jax_on_thousands_of_observations_to_1e_5(name: str, tmp_path: Path) -> None:
    policy = policy_of(CONFIGS[name])
    path = export_onnx(policy, tmp_path / "policy.onnx")
    assert largest_difference(policy, path, samples=4096, seed=1) < 1e-5


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def gates(policy: Policy, name: str) -> tuple[Floats, Floats, Floats]:
    """Input weights [in, m], hidden weights [m, m] and bias [m] of one gate, by its place in the documented order."""
    memory = policy.actor.memory
    assert memory is not None
    order = {"gru": "zrn", "lstm": "iofc"}[memory.cell]
    columns = slice(order.index(name) * memory.width, (order.index(name) + 1) * memory.width)
    return tuple(np.asarray(w, np.float64)[..., columns] for w in (memory.input_weight, memory.hidden_weight, memory.bias))  # type: ignore[return-value]


def gru_by_hand(policy: Policy, x: Floats, h: Floats) -> Floats:
    """Cho et al. 2014 with the reset gate after the product."""
    memory = policy.actor.memory
    assert memory is not None
    assert memory.hidden_bias is not None
    (wz, uz, bz), (wr, ur, br), (wn, un, bn) = (gates(policy, name) for name in "zrn")
    z, r = sigmoid(x @ wz + h @ uz + bz), sigmoid(x @ wr + h @ ur + br)
    n = np.tanh(x @ wn + bn + r * (h @ un + np.asarray(memory.hidden_bias, np.float64)))
    return (1 - z) * n + z * h


def lstm_by_hand(policy: Policy, x: Floats, state: Floats) -> Floats:
    """Hochreiter & Schmidhuber 1997 with a forget gate."""
    h, c = np.split(state, 2, axis=-1)
    i, o, f, g = (x @ w + h @ u + b for w, u, b in (gates(policy, name) for name in "iofc"))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return np.concatenate([sigmoid(o) * np.tanh(c), c], axis=-1)


@pytest.mark.parametrize(("kind", "by_hand"), [("gru", gru_by_hand), ("lstm", lstm_by_hand)])
def test_the_gates_in_the_file_are_those_of_the_textbook_over_many_steps(kind: str, by_hand: Any, tmp_path: Path) -> None:
    policy = policy_of(CONFIGS[kind])
    session = ort.InferenceSession(str(export_onnx(policy, tmp_path / "policy.onnx")))
    mean, std = (np.asarray(v, np.float64) for v in (policy.actor.normalizer.mean, policy.actor.normalizer.std))
    weights = [np.asarray(w, np.float64) for w in policy.actor.network.weights]
    biases = [np.asarray(b, np.float64) for b in policy.actor.network.biases]
    rng = np.random.default_rng(5)
    state, ours = np.zeros((64, policy.state_size), np.float32), np.zeros((64, policy.state_size))
    for _ in range(40):
        observation = (mean + std * rng.standard_normal((64, SIZE))).astype(np.float32)
        action, state = session.run(None, {"observation": observation, "state": state})
        ours = by_hand(policy, (observation - mean) / std, ours)
        x = ours[:, :7]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            x = np.tanh(x @ weight + bias)
        assert_allclose(state, ours, atol=1e-5)
        assert_allclose(action, np.tanh(x @ weights[-1] + biases[-1])[:, :1], atol=1e-5)


def test_the_file_carries_the_contract_and_is_the_same_bytes_again(tmp_path: Path) -> None:
    policy = policy_of(CONFIGS["tanh"])
    one, two = (export_onnx(policy, tmp_path / name).read_bytes() for name in ("one.onnx", "two.onnx"))
    assert one == two
    metadata = ort.InferenceSession(one).get_modelmeta().custom_metadata_map
    assert json.loads(metadata["contract"]) == policy.contract


def test_a_wrong_weight_in_the_file_shows_as_a_difference(tmp_path: Path) -> None:
    policy = policy_of(CONFIGS["tanh"])
    other = eqx.tree_at(lambda a: a.network.biases[0], policy.actor, policy.actor.network.biases[0] + 0.01)
    path = export_onnx(Policy(actor=other, contract=policy.contract, provenance={}), tmp_path / "policy.onnx")
    assert largest_difference(policy, path) > 1e-4


def categorical_of(weights: Any, bias: Any) -> Policy:
    """A categorical policy of one action and five choices whose last layer has these weights and bias."""
    policy = policy_of(CONFIGS["categorical"])
    shapes = policy.actor.network.weights[-1].shape, policy.actor.network.biases[-1].shape
    last = [jnp.broadcast_to(jnp.asarray(value, jnp.float32), shape) for value, shape in zip((weights, bias), shapes, strict=True)]
    actor = eqx.tree_at(lambda a: (a.network.weights[-1], a.network.biases[-1]), policy.actor, last)
    return Policy(actor=actor, contract=policy.contract, provenance={})


def test_choices_that_tie_within_rounding_are_no_difference(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).standard_normal((9, 5))
    policy = categorical_of(1e-7 * noise, 1.0)  # logits that differ by a unit in the last place
    assert largest_difference(policy, export_onnx(policy, tmp_path / "policy.onnx")) < 1e-5


def test_a_wrong_choice_is_a_difference_however_small_the_logits(tmp_path: Path) -> None:
    noise = 1e-8 * np.random.default_rng(0).standard_normal((9, 5))
    path = export_onnx(categorical_of(noise[:, ::-1], 0.0), tmp_path / "policy.onnx")
    assert largest_difference(categorical_of(noise, 0.0), path) >= 0.5
