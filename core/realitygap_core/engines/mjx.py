"""MJX: the same interface as pure JAX functions, for accelerators, for gradients, and for tests of parity."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import mujoco
import numpy as np

from realitygap_core.errors import CoreError
from realitygap_core.state import PhysicsState

with contextlib.redirect_stdout(sys.stderr):  # it prints what is not installed
    from mujoco import mjx


_LEAST_FRICTION = 1e-10
"""N m or N. Where a joint has a friction constraint at all, MJX takes a loss of exactly zero for an equality and locks the joint."""


class MjxEngine:
    """Steps B robots in JAX. Everything is pure: call it inside jit and scan."""

    name = "mjx"
    pure = True

    def __init__(self, model: mujoco.MjModel, *, examples: Sequence[mujoco.MjModel] = ()) -> None:
        """`examples` are models that `step` will be given: MJX leaves out a joint's friction for good where `model` has none.

        Raises:
            CoreError: MJX cannot run the model.
        """
        trouble = problem(model)
        if trouble:
            raise CoreError(f"MJX cannot run this model: {trouble}", hint="use `engine: mujoco`")
        self.model = model
        widest = copy.copy(model)
        for example in examples:
            np.maximum(widest.dof_frictionloss, example.dof_frictionloss, out=widest.dof_frictionloss)
        structure = mjx.put_model(widest, impl="jax")
        self._data = mjx.make_data(widest, impl="jax")
        self._model = structure.replace(dof_frictionloss=jnp.asarray(model.dof_frictionloss, structure.dof_frictionloss.dtype))
        self._model = self._with({})

    def step(self, plants: Mapping[str, jax.Array], state: PhysicsState, ctrl_bsu: jax.Array) -> PhysicsState:
        """The state after the physics steps that `ctrl_bsu` [B, substeps, nu] commands, sensors settled.

        `plants` maps a field of `MjModel` (`body_mass`, `opt.gravity`) to its values [B, ...]; other fields are nominal.
        """
        return jax.vmap(self._step)(dict(plants), state, ctrl_bsu)

    def settle(self, plants: Mapping[str, jax.Array], state: PhysicsState) -> PhysicsState:
        """The same state with the sensors that belong to it."""

        def one(fields: dict[str, jax.Array], state: PhysicsState) -> PhysicsState:
            return state.replace(sensordata=_forward(self._with(fields), self._put(state)).sensordata)

        return jax.vmap(one)(dict(plants), state)

    def close(self) -> None:
        """Nothing to end."""

    def _step(self, fields: dict[str, jax.Array], state: PhysicsState, ctrl_su: jax.Array) -> PhysicsState:
        model = self._with(fields)

        def advance(data: Any, ctrl_u: jax.Array) -> tuple[Any, None]:
            return mjx.step(model, data.replace(ctrl=ctrl_u)), None

        data, _ = jax.lax.scan(advance, self._put(state), ctrl_su)
        data = _forward(model, data)
        return PhysicsState(time=data.time, qpos=data.qpos, qvel=data.qvel, act=data.act, ctrl=data.ctrl, sensordata=data.sensordata)

    def _put(self, state: PhysicsState) -> Any:
        return self._data.replace(time=state.time, qpos=state.qpos, qvel=state.qvel, act=state.act, ctrl=state.ctrl)

    def _with(self, fields: Mapping[str, jax.Array]) -> Any:
        model = self._model
        own = {name: value for name, value in fields.items() if not name.startswith("opt.")}
        options = {name.removeprefix("opt."): value for name, value in fields.items() if name.startswith("opt.")}
        own["dof_frictionloss"] = jnp.maximum(own.get("dof_frictionloss", model.dof_frictionloss), _LEAST_FRICTION)
        if options:
            own["opt"] = model.opt.replace(**options)
        return model.replace(**own)


def _forward(model: Any, data: Any) -> Any:
    """`mjx.forward`, which returns before the sensors of forces and accelerations where a model has no constraints (mujoco-mjx 3.17)."""
    data = mjx.forward(model, data)
    return mjx.sensor_acc(model, data) if data._impl.efc_J.size == 0 else data


def problem(model: mujoco.MjModel) -> str | None:
    """Why MJX cannot run `model`, or None. Only shapes are traced: nothing is compiled."""
    try:
        device_model = mjx.put_model(model, impl="jax")
        jax.eval_shape(mjx.step, device_model, mjx.make_data(model, impl="jax"))
    except (NotImplementedError, ValueError) as error:
        return " ".join(str(error).split())
    return None


@functools.cache
def fields() -> frozenset[str]:
    """Names of the array fields that MJX takes from a model, those of its options as `opt.NAME`."""
    own = {field.name for field in dataclasses.fields(mjx.Model)}
    options = {f"opt.{field.name}" for field in dataclasses.fields(mjx.Option)}
    return frozenset(own | options)


def stack(nominal: mujoco.MjModel, models: Iterable[mujoco.MjModel]) -> dict[str, np.ndarray[Any, Any]]:
    """The fields in which any of `models` differs from `nominal`, stacked [K, ...]; what `MjxEngine.step` takes after a gather.

    Raises:
        CoreError: a model differs in a field that MJX does not have, or that is not a number (a shape, a flag).
    """
    plants = list(models)
    differing = {name for plant in plants for name in differences(nominal, plant)}
    for name in sorted(differing):
        if name not in fields():
            raise CoreError(f"a draw of the domain changes '{name}', which MJX does not have", hint="use `engine: mujoco`")
        if not np.issubdtype(np.asarray(value(nominal, name)).dtype, np.floating):
            raise CoreError(f"a draw of the domain changes '{name}', which is part of the structure", hint="use `engine: mujoco`")
    return {name: np.stack([np.asarray(value(plant, name)) for plant in plants]) for name in sorted(differing)}


def value(model: mujoco.MjModel, name: str) -> Any:
    """The field of a model, `opt.` for its options."""
    return getattr(model.opt, name.removeprefix("opt.")) if name.startswith("opt.") else getattr(model, name)


@functools.cache
def _compared() -> tuple[str, ...]:
    model = mujoco.MjModel.from_xml_string("<mujoco/>")
    own = tuple(name for name in dir(model) if not name.startswith("_") and isinstance(getattr(model, name), np.ndarray))
    options = tuple(f"opt.{name}" for name in dir(model.opt) if isinstance(getattr(model.opt, name), (np.ndarray, float)))
    ignored = ("text_data", "names", "paths", "numeric_data")
    return tuple(name for name in own if name not in ignored) + options


def differences(nominal: mujoco.MjModel, model: mujoco.MjModel) -> list[str]:
    """Array fields and options in which two models of the same structure differ."""
    return [name for name in _compared() if not np.array_equal(value(nominal, name), value(model, name))]
