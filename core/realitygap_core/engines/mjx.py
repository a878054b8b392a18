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

from realitygap_core.applied import Applied
from realitygap_core.errors import CoreError
from realitygap_core.state import PhysicsState

with contextlib.redirect_stdout(sys.stderr):  # it prints what is not installed
    from mujoco import mjx


_LEAST_FRICTION = 1e-10
"""N m or N. Where a joint has a friction constraint at all, MJX takes a loss of exactly zero for an equality and locks the joint."""


_UNREAD = (
    "bvh_aabb", "geom_aabb", "body_sameframe", "geom_sameframe", "site_sameframe", "body_simple", "dof_simplenum", "dof_length",
    "actuator_length0",
)  # fmt: skip
"""What MJX never reads: short cuts for speed, the scale of a sleeping robot's motion, lengths at rest of muscles. Models may differ in
it."""


class MjxEngine:
    """Steps B robots in JAX. Everything is pure: call it inside jit and scan."""

    name = "mjx"
    pure = True

    def __init__(self, model: mujoco.MjModel, *, examples: Sequence[mujoco.MjModel] = ()) -> None:
        """`examples` are models that `step` will be given: MJX leaves out a joint's friction for good where `model` has none.

        Raises:
            CoreError: MJX does not have something in the model; `problem` also tells what would show when a step is traced.
        """
        self.model = model
        widest = copy.copy(model)
        for example in examples:
            np.maximum(widest.dof_frictionloss, example.dof_frictionloss, out=widest.dof_frictionloss)
        try:
            structure = mjx.put_model(widest, impl="jax")
        except (NotImplementedError, ValueError) as error:
            raise CoreError(f"MJX cannot run this model: {_line(error)}", hint="use `engine: mujoco`") from None
        self._data = mjx.make_data(widest, impl="jax")
        self._model = structure.replace(dof_frictionloss=jnp.asarray(model.dof_frictionloss, structure.dof_frictionloss.dtype))
        self._model = self._with({})

    def step(
        self, plants: Mapping[str, jax.Array], state: PhysicsState, ctrl_bsu: jax.Array, applied: Applied | None = None
    ) -> PhysicsState:
        """The state after the physics steps that `ctrl_bsu` [B, substeps, nu] commands, with the forces of `applied` throughout; sensors
        settled.

        `plants` maps a field of `MjModel` (`body_mass`, `opt.gravity`) to its values [B, ...]; other fields are nominal.
        """
        return jax.vmap(self._step)(dict(plants), state, ctrl_bsu, applied)

    def settle(self, plants: Mapping[str, jax.Array], state: PhysicsState) -> PhysicsState:
        """The same state with the sensors that belong to it."""

        def one(fields: dict[str, jax.Array], state: PhysicsState) -> PhysicsState:
            model = self._with(fields)
            return _sensed(model, mjx.forward(_blind(model), self._put(state, None)))

        return jax.vmap(one)(dict(plants), state)

    def close(self) -> None:
        """Nothing to end."""

    def _step(self, fields: dict[str, jax.Array], state: PhysicsState, ctrl_su: jax.Array, applied: Applied | None) -> PhysicsState:
        """One more evaluation than steps, the last for the sensors: one loop, so that the model is compiled once, not twice."""
        model = self._with(fields)
        blind = _blind(model)

        def evaluate(state: PhysicsState, step: tuple[jax.Array, jax.Array]) -> tuple[PhysicsState, None]:
            ctrl_u, last = step
            data = mjx.forward(blind, self._put(state.replace(ctrl=ctrl_u), applied))
            return jax.lax.cond(last, functools.partial(_sensed, model), functools.partial(_integrated, blind), data), None

        substeps = ctrl_su.shape[0]
        start = jax.tree.map(lambda leaf: jnp.asarray(leaf, self._data.qpos.dtype), state)
        commands = jnp.asarray(ctrl_su, start.ctrl.dtype)[jnp.minimum(jnp.arange(substeps + 1), substeps - 1)]
        after: PhysicsState
        after, _ = jax.lax.scan(evaluate, start, (commands, jnp.arange(substeps + 1) == substeps))
        return after

    def _put(self, state: PhysicsState, applied: Applied | None) -> Any:
        data = self._data.replace(time=state.time, qpos=state.qpos, qvel=state.qvel, act=state.act, ctrl=state.ctrl)
        data = data.replace(sensordata=state.sensordata)
        return data if applied is None else data.replace(qfrc_applied=applied.joint, xfrc_applied=applied.body)

    def _with(self, fields: Mapping[str, jax.Array]) -> Any:
        model = self._model
        own = {name: value for name, value in fields.items() if not name.startswith("opt.")}
        options = {name.removeprefix("opt."): value for name, value in fields.items() if name.startswith("opt.")}
        own["dof_frictionloss"] = jnp.maximum(own.get("dof_frictionloss", model.dof_frictionloss), _LEAST_FRICTION)
        if options:
            own["opt"] = model.opt.replace(**options)
        return model.replace(**own)


def _state(data: Any) -> PhysicsState:
    return PhysicsState(time=data.time, qpos=data.qpos, qvel=data.qvel, act=data.act, ctrl=data.ctrl, sensordata=data.sensordata)


def _blind(model: Any) -> Any:
    """The model without sensors, which only the last evaluation of a control step needs."""
    return model.replace(opt=model.opt.replace(disableflags=model.opt.disableflags | mjx.DisableBit.SENSOR))


def _sensed(model: Any, data: Any) -> PhysicsState:
    """The state with its sensors, after `mjx.forward` (which leaves out those of forces where a model has no constraints)."""
    return _state(mjx.sensor_acc(model, mjx.sensor_vel(model, mjx.sensor_pos(model, data))))


def _integrated(model: Any, data: Any) -> PhysicsState:
    """The state one physics step later, after `mjx.forward`.

    Under `implicitfast` a force at its limit no longer depends on velocity. C MuJoCo leaves such an actuator out of the derivative;
    mujoco-mjx 3.17 does not, and damps a joint that a servo drives with all its force (by 0.1 rad/s a step on a small leg). Nor does it
    limit the command that a damper's derivative is multiplied by.
    """
    match model.opt.integrator:
        case mjx.IntegratorType.EULER:
            return _state(mjx.euler(model, data))
        case mjx.IntegratorType.RK4:
            return _state(mjx.rungekutta4(model, data))
    low, high = model.actuator_forcerange[:, 0], model.actuator_forcerange[:, 1]
    free = ~model.actuator_forcelimited | ((data.actuator_force > low) & (data.actuator_force < high))
    gain, bias = (jnp.where(free[:, None], params, 0) for params in (model.actuator_gainprm, model.actuator_biasprm))
    ctrl = data.ctrl
    if not model.opt.disableflags & mjx.DisableBit.CLAMPCTRL:
        ctrl = jnp.where(model.actuator_ctrllimited, jnp.clip(ctrl, *model.actuator_ctrlrange.T), ctrl)
    after = mjx.implicit(model.replace(actuator_gainprm=gain, actuator_biasprm=bias), data.replace(ctrl=ctrl))
    return _state(after.replace(ctrl=data.ctrl))


def problem(model: mujoco.MjModel) -> str | None:
    """Why MJX cannot run `model`, or None. Only shapes are traced: nothing is compiled."""
    try:
        device_model = mjx.put_model(model, impl="jax")
        jax.eval_shape(mjx.step, device_model, mjx.make_data(model, impl="jax"))
    except (NotImplementedError, ValueError) as error:
        return _line(error)
    return None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


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
    ignored = {"text_data", "names", "paths", "numeric_data", *_UNREAD}
    return tuple(name for name in own if name not in ignored) + options


def differences(nominal: mujoco.MjModel, model: mujoco.MjModel) -> list[str]:
    """Array fields and options in which two models of the same structure differ."""
    return [name for name in _compared() if not np.array_equal(value(nominal, name), value(model, name))]
