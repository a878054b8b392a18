"""Layers with a memory: GRU (Cho et al. 2014, arXiv 1406.1078) and LSTM (Hochreiter & Schmidhuber 1997), for batches and sequences.

The gates lie side by side in the last axis, in the order of ONNX, so that an export is a transposition:

    gru    z, r, n       z = s(x + h),  r = s(x + h),  n = tanh(x_n + r (h_n + hidden_bias)),  h' = (1 - z) n + z h
    lstm   i, o, f, c    c' = s(f) c + s(i) tanh(c_gate),  h' = s(o) tanh(c')

where x stands for `input @ input_weight + bias` and h for `h @ hidden_weight` of that gate. The GRU is the one with the reset gate after
the product (`linear_before_reset = 1`).
"""

from __future__ import annotations

from typing import Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

Cell = Literal["gru", "lstm"]

GATES: dict[str, int] = {"gru": 3, "lstm": 4}
_FORGET = 2


def orthogonal(rng: np.random.Generator | None, shape: tuple[int, int], gain: float = 1.0) -> jax.Array:
    """A matrix of `shape` with orthonormal rows or columns, times `gain`; zeros without `rng`, where the values come from elsewhere.

    Made on the host: JAX would compile a decomposition for every shape.
    """
    if rng is None:
        return jnp.zeros(shape, jnp.float32)
    q, r = np.linalg.qr(rng.standard_normal((max(shape), min(shape))))
    q = q * np.sign(np.diag(r))
    return jnp.asarray(gain * (q if shape[0] >= shape[1] else q.T), jnp.float32)


class Recurrent(eqx.Module):
    """One recurrent layer of width m. Its state is one array: h [..., m] of a GRU, h and c side by side [..., 2 m] of an LSTM."""

    input_weight: jax.Array
    """[in, gates * m]"""
    hidden_weight: jax.Array
    """[m, gates * m]"""
    bias: jax.Array
    """[gates * m]"""
    hidden_bias: Any
    """[m], inside the reset gate of a GRU; an LSTM has none."""
    cell: Cell = eqx.field(static=True)

    def __init__(self, size: int, width: int, cell: Cell, rng: np.random.Generator | None) -> None:
        """Orthogonal gate by gate; the forget gate of an LSTM starts open, with bias 1 (Jozefowicz et al. 2015)."""
        gates = GATES[cell]
        self.input_weight = jnp.concatenate([orthogonal(rng, (size, width)) for _ in range(gates)], axis=1)
        self.hidden_weight = jnp.concatenate([orthogonal(rng, (width, width)) for _ in range(gates)], axis=1)
        self.bias = jnp.zeros(gates * width, jnp.float32)
        if cell == "lstm":
            self.bias = self.bias.at[_FORGET * width : (_FORGET + 1) * width].set(1.0)
        self.hidden_bias = jnp.zeros(width, jnp.float32) if cell == "gru" else None
        self.cell = cell

    @property
    def width(self) -> int:
        """m"""
        return int(self.hidden_weight.shape[0])

    @property
    def state_size(self) -> int:
        """Numbers that the layer remembers: m of a GRU, 2 m of an LSTM."""
        return self.width * (2 if self.cell == "lstm" else 1)

    def step(self, x: jax.Array, state: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Input [..., in] and state [..., s] to output [..., m] and the next state [..., s]."""
        return self._advance(x @ self.input_weight + self.bias, state)

    def sequence(self, x_tbn: jax.Array, state_bs: jax.Array, fresh_tb: jax.Array) -> tuple[jax.Array, jax.Array]:
        """A whole unroll: outputs [T, B, m], and the state after each step [T, B, s], before any reset.

        Args:
            x_tbn: inputs.
            state_bs: state before the first step.
            fresh_tb: True where an episode begins with this input, so that the state before it is zero.
        """

        def one(state_bs: jax.Array, item: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
            gates_bg, fresh_b = item
            output_bm, state_bs = self._advance(gates_bg, forget(state_bs, fresh_b))
            return state_bs, (output_bm, state_bs)

        # One large product for all steps; only what depends on the state is left in the scan.
        _, (outputs_tbm, states_tbs) = jax.lax.scan(one, state_bs, (x_tbn @ self.input_weight + self.bias, fresh_tb))
        return outputs_tbm, states_tbs

    def _advance(self, gates: jax.Array, state: jax.Array) -> tuple[jax.Array, jax.Array]:
        width = self.width
        h = state[..., :width]
        hidden = h @ self.hidden_weight
        if self.cell == "gru":
            z, r = jnp.split(jax.nn.sigmoid(gates[..., : 2 * width] + hidden[..., : 2 * width]), 2, axis=-1)
            n = jnp.tanh(gates[..., 2 * width :] + r * (hidden[..., 2 * width :] + self.hidden_bias))
            h = (1.0 - z) * n + z * h
            return h, h
        i, o, f, c_gate = jnp.split(gates + hidden, 4, axis=-1)
        c = jax.nn.sigmoid(f) * state[..., width:] + jax.nn.sigmoid(i) * jnp.tanh(c_gate)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return h, jnp.concatenate([h, c], axis=-1)


def forget(state_bs: jax.Array, fresh_b: jax.Array) -> jax.Array:
    """The state [B, s] with zeros where an episode begins anew [B]."""
    return jnp.where(fresh_b[:, None], 0.0, state_bs)
