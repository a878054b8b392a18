"""A policy as one ONNX file that reproduces the actions of JAX, for any computer with onnxruntime.

    observation [batch, size]  --normalise-->  --recurrent layer-->  --layers-->  --squash-->  action [batch, n]
    state       [batch, s]     ------------------^      `-------------------------------->  next_state [batch, s]

The action is the deterministic one (the mode). `state` and `next_state` are there with a memory only; begin with zeros. The contract of
the policy travels in the file's metadata under `contract`, as JSON, so the two cannot be parted.

Needs the package `onnx` (extra `onnx`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError
from realitygap_core.policy import Actor, Policy
from realitygap_core.ppo.distributions import ActionDistribution, Categorical
from realitygap_core.ppo.normalizer import LIMIT
from realitygap_core.ppo.recurrent import Recurrent

OPSET = 17
"""Understood by onnxruntime since 1.12 (2022): computers on robots are seldom new."""
IR_VERSION = 8
_TIE = 1e-4
"""Logits that differ by less, of the largest one, are as large as each other: single precision orders them either way."""
Floats = NDArray[np.float32]


def export_onnx(policy: Policy, path: Path) -> Path:
    """Writes `policy` to `path`.

    Raises:
        CoreError: the package `onnx` is missing.
    """
    try:
        import onnx
    except ImportError as error:
        raise CoreError("writing ONNX needs the package 'onnx'", hint='pip install "realitygap[onnx]"') from error
    model = onnx.helper.make_model(
        _graph(policy.actor), opset_imports=[onnx.helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="realitygap"
    )
    metadata = {"contract": json.dumps(policy.contract), "digest": str(policy.provenance.get("digest", ""))}
    onnx.helper.set_model_props(model, metadata)
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString(deterministic=True))
    return path


def largest_difference(policy: Policy, path: Path, *, samples: int = 4096, seed: int = 0) -> float:
    """Largest |action of the file - action of JAX| over random observations, a third of them far outside what the policy has seen; with a
    memory the two run side by side, each with its own state. Of choices, one that is as likely as the likeliest within rounding is no
    difference.

    Raises:
        CoreError: the package `onnxruntime` is missing.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise CoreError("checking an ONNX file needs the package 'onnxruntime'", hint='pip install "realitygap[onnx]"') from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    mean, std = np.asarray(policy.actor.normalizer.mean), np.asarray(policy.actor.normalizer.std)
    batch, steps = (samples, 1) if policy.state_size == 0 else (max(1, samples // 32), 32)
    state = policy.initial_state(batch)
    theirs: Floats = np.zeros(state.shape, np.float32)
    largest = 0.0
    for _ in range(steps):
        spread = rng.choice([0.3, 1.0, 20.0], (batch, 1))
        observation = (mean + std * spread * rng.standard_normal((batch, len(mean)))).astype(np.float32)
        distribution, state = policy.actor.step(observation, state)
        feed = {"observation": observation} | ({"state": theirs} if policy.state_size else {})
        given, *rest = session.run(None, feed)
        theirs = rest[0] if rest else theirs
        largest = max(largest, float(np.max(_apart(given, distribution))))
    return largest


def _apart(given_bn: Floats, distribution: ActionDistribution) -> Floats:
    """|given - mode| [B, n]; 0 for a choice that ties with the mode."""
    apart_bn: Floats = np.abs(given_bn - np.asarray(distribution.mode()))
    if not isinstance(distribution, Categorical):
        return apart_bn
    logits_bnk = np.asarray(distribution.logits)
    choices = logits_bnk.shape[-1]
    index_bn = np.clip(np.rint((given_bn + 1) / 2 * (choices - 1)), 0, choices - 1).astype(np.intp)
    less_bn = logits_bnk.max(-1) - np.take_along_axis(logits_bnk, index_bn[..., None], axis=-1)[..., 0]
    tied_bn = less_bn < _TIE * np.abs(logits_bnk).max()
    tie_bn: Floats = np.abs(given_bn - np.asarray(distribution.execute(index_bn)))
    return np.asarray(np.where(tied_bn, tie_bn, apart_bn))


class _Graph:
    """Collects nodes and weights; every method takes and gives names of values."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.weights: list[Any] = []

    def constant(self, name: str, value: Any, dtype: Any = np.float32) -> str:
        from onnx import numpy_helper

        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def node(self, kind: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, list(inputs), output.split(","), name=output, **attributes))
        return output.split(",")[-1]


def _graph(actor: Actor) -> Any:
    from onnx import TensorProto, helper

    graph, config = _Graph(), actor.config
    inputs, outputs = [("observation", actor.normalizer.mean.shape[0])], [("action", actor.log_std.shape[0])]
    x = _normalised(graph, actor)
    if actor.memory is not None:
        x = _remembered(graph, actor.memory, x)
        inputs.append(("state", actor.memory.state_size))
        outputs.append(("next_state", actor.memory.state_size))
    x = _layers(graph, actor, x)
    if config.head == "categorical":
        _choice(graph, x, int(actor.log_std.shape[0]), config.choices)
    else:
        graph.node("Tanh" if config.squash else "Identity", [x], "action")

    def described(pairs: list[tuple[str, int]]) -> list[Any]:
        return [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", size]) for name, size in pairs]

    return helper.make_graph(graph.nodes, "policy", described(inputs), described(outputs), graph.weights)


def _normalised(graph: _Graph, actor: Actor) -> str:
    mean = graph.constant("mean", actor.normalizer.mean)
    std = graph.constant("std", actor.normalizer.std)
    centred = graph.node("Sub", ["observation", mean], "centred")
    scaled = graph.node("Div", [centred, std], "scaled")
    return graph.node("Clip", [scaled, graph.constant("low", -LIMIT), graph.constant("high", LIMIT)], "normalised")


def _layers(graph: _Graph, actor: Actor, x: str) -> str:
    """The multilayer perceptron; of its last layer only what the deterministic action needs."""
    config, n = actor.config, actor.log_std.shape[0]
    kept = slice(None, n) if config.head == "gaussian" else slice(None)  # the means come before the deviations
    last = len(actor.network.weights) - 1
    for index, (weight, bias) in enumerate(zip(actor.network.weights, actor.network.biases, strict=True)):
        w, b = (np.asarray(weight)[:, kept], np.asarray(bias)[kept]) if index == last else (weight, bias)
        x = graph.node("Gemm", [x, graph.constant(f"weight_{index}", w), graph.constant(f"bias_{index}", b)], f"layer_{index}")
        if index < last:
            x = _activated(graph, config.activation, x, f"hidden_{index}")
    return x


def _activated(graph: _Graph, activation: str, x: str, name: str) -> str:
    if activation == "silu":
        return graph.node("Mul", [x, graph.node("Sigmoid", [x], f"{name}_gate")], name)
    return graph.node({"tanh": "Tanh", "relu": "Relu", "elu": "Elu"}[activation], [x], name)


def _remembered(graph: _Graph, memory: Recurrent, x: str) -> str:
    """ONNX's GRU or LSTM over a sequence of one step. Its gates are in the order of `Recurrent`; its weights are the transposed ones."""
    width, lstm = memory.width, memory.cell == "lstm"
    input_weight = graph.constant("input_weight", np.asarray(memory.input_weight).T[None])
    hidden_weight = graph.constant("hidden_weight", np.asarray(memory.hidden_weight).T[None])
    hidden_bias = np.zeros_like(np.asarray(memory.bias))
    if memory.hidden_bias is not None:  # of the new gate alone
        hidden_bias[2 * width :] = np.asarray(memory.hidden_bias)
    bias = graph.constant("gate_bias", np.concatenate([np.asarray(memory.bias), hidden_bias])[None])
    first = graph.constant("first_axis", [0], np.int64)
    sequence = graph.node("Unsqueeze", [x, first], "sequence")
    given = [sequence, input_weight, hidden_weight, bias, ""]
    if not lstm:
        before = graph.node("Unsqueeze", ["state", first], "h")
        graph.node("GRU", [*given, before], ",h_next", hidden_size=width, linear_before_reset=1)
        return graph.node("Squeeze", ["h_next", first], "next_state")
    halves = graph.constant("halves", [width, width], np.int64)
    graph.node("Split", ["state", halves], "h_before,c_before", axis=1)
    before_h, before_c = graph.node("Unsqueeze", ["h_before", first], "h"), graph.node("Unsqueeze", ["c_before", first], "c")
    graph.node("LSTM", [*given, before_h, before_c], ",h_next,c_next", hidden_size=width)
    h = graph.node("Squeeze", ["h_next", first], "h_after")
    c = graph.node("Squeeze", ["c_next", first], "c_after")
    graph.node("Concat", [h, c], "next_state", axis=1)
    return h


def _choice(graph: _Graph, logits: str, n: int, choices: int) -> None:
    """The likeliest of the values that are evenly spaced from -1 to 1, in each dimension."""
    table = graph.node("Reshape", [logits, graph.constant("table_shape", [-1, n, choices], np.int64)], "logits")
    index = graph.node("ArgMax", [table], "index", axis=2, keepdims=0)
    number = graph.node("Cast", [index], "number", to=1)
    spread = graph.node("Mul", [number, graph.constant("spacing", 2.0 / (choices - 1))], "spread")
    graph.node("Add", [spread, graph.constant("smallest", -1.0)], "action")


def describe(contract: Mapping[str, Any]) -> str:
    """One line: what goes in and what comes out."""
    size = sum(len(entry["labels"]) for entry in contract["observations"])
    actions = len(contract["actions"])
    return f"{size} observations to {actions} action{'s' if actions > 1 else ''} at {1 / contract['control_dt']:g} Hz"
