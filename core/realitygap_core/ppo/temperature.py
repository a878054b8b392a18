"""The weight of the entropy: tuned by dual ascent to a target, fixed, or on a schedule.

Maximising E[R] subject to H(pi) >= target has the Lagrangian E[R] + alpha (H - target), alpha >= 0. The policy maximises it and
alpha minimises it: alpha falls while there is more entropy than asked for and rises while there is less (Haarnoja et al. 2018, arXiv
1812.05905, equation 17, where the expectation of -log pi stands for H).

Dual ascent alone is an integrator: it winds up while the entropy comes down from where training begins, and swings about the target. A
term in proportion to the difference damps it and leaves the point of rest, where H is the target, as it is (Stooke, Achiam & Abbeel
2020, arXiv 2007.03964). In steps instead of sums, so that the clamp of log(alpha) stops the winding up as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import equinox as eqx
import jax
import jax.numpy as jnp

from realitygap_core.errors import CoreError


@dataclass(frozen=True, kw_only=True)
class TemperatureConfig:
    """How the weight of the entropy is found."""

    mode: Literal["auto", "fixed", "schedule"] = "auto"
    """`auto`: dual ascent to the target; `fixed`: `initial` throughout; `schedule`: `initial` to `final`, geometrically, over the
    training."""
    target_entropy_per_dim: float = -0.5
    """Entropy of the executed action to hold, nats per action dimension; for a squashed action below log 2 = 0.693,
    for a categorical one between 0 and the logarithm of its choices."""
    final_target_entropy_per_dim: float | None = None
    """Where given, the target moves there linearly over the training: explore first, be precise later."""
    initial: float = 0.01
    """alpha at the start, in units of the advantage per nat (advantages are normalised, so of their standard deviation). With `fixed` it
    may be 0: no entropy term."""
    final: float = 1e-4
    """alpha at the end, for `schedule`."""
    learning_rate: float = 0.3
    """Step of log(alpha) for one nat per dimension of difference, once an update."""
    proportional: float = 6.0
    """Answer of log(alpha) to a change of that difference by one nat per dimension, at once. 0 is dual ascent alone."""
    log_alpha_range: tuple[float, float] = (-10.0, 2.0)
    """Clamp of log(alpha); staying at it means that the target is not met, which is reported."""

    def validate(self, entropy_range: tuple[float, float]) -> None:
        """Raises CoreError for a target that no action distribution can reach or a coefficient that is not positive.

        `entropy_range` is what the policy's head can have, nats per dimension: a tuned temperature holds a target between, not at, them."""
        low, high = entropy_range
        targets = ("target_entropy_per_dim", "final_target_entropy_per_dim") if self.mode == "auto" else ()
        for name in targets:
            target = getattr(self, name)
            if target is not None and not low < target < high:
                limit = f"the limit is {high:.3f}" if target >= high else f"it is never below {low:g}"
                sensible = -0.5 if math.isinf(low) else 0.5 * high
                raise CoreError(
                    f"{name.removesuffix('_per_dim')} {target:g} nats per dimension cannot be reached: {limit}",
                    hint=f"give one between, for example {sensible:.3g}",
                )
        if self.initial < 0 or self.final <= 0 or (self.initial == 0 and self.mode != "fixed"):
            raise CoreError("the temperature must be positive", hint="give `initial` and `final` above 0; only a fixed one may be 0")


class Temperature(eqx.Module):
    """The dual variable; one a policy."""

    log_alpha: jax.Array
    """Natural logarithm of alpha, scalar."""
    excess: jax.Array
    """Entropy above the target at the last update, nats per dimension; nan before the first, to which there is no change."""

    def __init__(self, config: TemperatureConfig) -> None:
        self.log_alpha = jnp.log(jnp.asarray(config.initial, jnp.float32))
        self.excess = jnp.full((), jnp.nan, jnp.float32)

    @property
    def alpha(self) -> jax.Array:
        """The weight of one nat of entropy beside the advantage."""
        return jnp.exp(self.log_alpha)


def target_entropy(config: TemperatureConfig, fraction: jax.Array) -> jax.Array:
    """Target in nats per dimension when `fraction` in [0, 1] of the training is done."""
    start = config.target_entropy_per_dim
    end = start if config.final_target_entropy_per_dim is None else config.final_target_entropy_per_dim
    return start + (end - start) * fraction


def temperature_loss(log_alpha: jax.Array, entropy_per_dim: jax.Array, target_per_dim: jax.Array) -> jax.Array:
    """log(alpha) (H - target), to be minimised over log(alpha), with H taken as constant: its gradient is H - target.

    In log(alpha) instead of alpha, so that the step does not shrink with alpha itself; the sign is the same.
    """
    return log_alpha * jax.lax.stop_gradient(entropy_per_dim - target_per_dim)


def update_temperature(state: Temperature, config: TemperatureConfig, entropy_per_dim: jax.Array, fraction: jax.Array) -> Temperature:
    """One step, once an update, from the entropy of the policy that gathered the data.

    Args:
        state: before.
        config: mode, target and step.
        entropy_per_dim: measured entropy of the executed action, nats per dimension, scalar.
        fraction: of the training that is done, in [0, 1].
    """
    if config.mode == "fixed":
        return state
    if config.mode == "schedule":
        start, end = jnp.log(jnp.asarray(config.initial, jnp.float32)), jnp.log(jnp.asarray(config.final, jnp.float32))
        log_alpha = start + (end - start) * fraction
    else:
        excess = jax.grad(temperature_loss)(state.log_alpha, entropy_per_dim, target_entropy(config, fraction))
        step = config.learning_rate * excess + config.proportional * jnp.nan_to_num(excess - state.excess)
        log_alpha = jnp.clip(state.log_alpha - step, *config.log_alpha_range)
        state = eqx.tree_at(lambda t: t.excess, state, excess)
    updated: Temperature = eqx.tree_at(lambda t: t.log_alpha, state, log_alpha)
    return updated
