"""The commands of a task as one vector: what the policy sees first, then what only terms read."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.sensors import Need
from realitygap_core.terms.term import Command, View


class CommandSet:
    """One or more commands, each drawn on its own clock."""

    def __init__(self, commands: Sequence[Command], control_dt: float) -> None:
        """Raises CoreError when two commands share a label."""
        self.labels: tuple[str, ...] = tuple(label for one in commands for label in one.labels)
        self.hidden: tuple[str, ...] = tuple(label for one in commands for label in one.hidden)
        self.every_s: float = min(one.every_s for one in commands)
        self.needs: tuple[Need, ...] = tuple(need for one in commands for need in one.needs)
        order = (*self.labels, *self.hidden)
        if len(set(order)) != len(order):
            raise CoreError("two commands have an entry of the same name", pointer="/command")
        self._parts = [(one, np.array([order.index(label) for label in (*one.labels, *one.hidden)])) for one in commands]
        self._steps = [max(1, round(one.every_s / control_dt)) if np.isfinite(one.every_s) else 0 for one in commands]

    def sample(self, key: jax.Array) -> jax.Array:
        """A fresh draw of all commands [labels + hidden]."""
        value = jnp.zeros(len(self.labels) + len(self.hidden))
        for number, (one, index) in enumerate(self._parts):
            value = value.at[index].set(one.sample(jax.random.fold_in(key, number) if number else key))
        return value

    def begin(self, view: View, value: jax.Array) -> jax.Array:
        """The command at the start of an episode, from its draw."""
        return self._updated(view, value)

    def advance(self, view: View, step: jax.Array, key: jax.Array) -> jax.Array:
        """The command that holds from the end of control step `step` on; `view.command` held during it."""
        value, fresh = view.command, self.sample(key)
        for (_, index), every in zip(self._parts, self._steps, strict=True):
            if every:
                value = value.at[index].set(jnp.where(step % every == 0, fresh[index], value[index]))
        return self._updated(view, value)

    def _updated(self, view: View, value: jax.Array) -> jax.Array:
        for one, index in self._parts:
            if one.update is not None:
                value = value.at[index].set(one.update(view, value[index]))
        return value
