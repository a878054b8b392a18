"""Engines: one interface to C MuJoCo on a thread pool and to MJX, with the same state, the same sensors, the same time.

Both have `step(plants, state, ctrl_bsu)` and `settle(plants, state)`, and after both `sensordata` belongs to the instant of `qpos`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable

import jax
import mujoco
import numpy as np

from realitygap_core.errors import CoreError, unknown

NAMES = ("auto", "mujoco", "mjx")


@dataclasses.dataclass(frozen=True)
class Choice:
    """Which engine runs a task, and why."""

    engine: str
    """`mujoco` or `mjx`."""
    reason: str
    """One sentence."""


def choose(engine: str, model: mujoco.MjModel, *, device: str | None = None, draw: Callable[[], mujoco.MjModel] | None = None) -> Choice:
    """The engine for `model`: as asked for, or by device: C MuJoCo on a CPU, MJX on a GPU or TPU that can run the model.

    Args:
      engine: `auto`, `mujoco` or `mjx`.
      device: platform that JAX runs on (`cpu`, `gpu`, `tpu`); asked of JAX by default.
      draw: gives the model of one draw of the domain, for what draws differ in and MJX does not have.

    Raises:
        CoreError: unknown engine, a native delay in the model, no device, or `mjx` asked for and the model uses what it does not have.
    """
    if engine not in NAMES:
        raise unknown("engine", engine, NAMES, pointer="/engine")
    check(model)
    place = device or platform()
    if engine == "mujoco":
        return Choice("mujoco", "asked for")
    if engine == "mjx":
        problem = mjx_problem(model, draw)
        if problem:
            raise CoreError(f"MJX cannot run this model: {problem}", pointer="/engine", hint="use `engine: mujoco`")
        return Choice("mjx", "asked for" if place != "cpu" else "asked for; JAX runs on a CPU, where C MuJoCo is many times faster")
    if place == "cpu":
        return Choice("mujoco", "JAX runs on a CPU, where C MuJoCo on a thread pool is the faster engine")
    problem = mjx_problem(model, draw)
    if problem:
        return Choice("mujoco", f"there is a {place}, but MJX cannot run this model: {problem}")
    return Choice("mjx", f"JAX runs on a {place}")


def platform() -> str:
    """What JAX computes on: `cpu`, `gpu` or `tpu`. Raises CoreError where it has been told to use what is not there."""
    try:
        return jax.default_backend()
    except (RuntimeError, AssertionError) as error:  # the latter where JAX was built without the platform
        asked = f" (JAX_PLATFORMS={os.environ['JAX_PLATFORMS']})" if "JAX_PLATFORMS" in os.environ else ""
        message = " ".join(f"JAX finds no device to compute on{asked} {error}".split())
        raise CoreError(message, hint="unset JAX_PLATFORMS, or set it to cpu") from None


def check(model: mujoco.MjModel) -> None:
    """Refuses what some engine would silently ignore. Raises CoreError."""
    if model.nu and np.any(model.actuator_delay > 0):
        raise CoreError("the model has a native actuator delay, which MJX ignores", hint="load it through `Robot`, which converts delays")
    if model.nsensor and np.any(model.sensor_delay > 0):
        raise CoreError("the model has a native sensor delay, which MJX ignores", hint="load it through `Robot`, which converts delays")


def mjx_problem(model: mujoco.MjModel, draw: Callable[[], mujoco.MjModel] | None = None) -> str | None:
    """Why MJX cannot run `model` and what `draw` gives, or None: it is tried on a shape level, without compiling anything."""
    from realitygap_core.engines import mjx

    if problem := mjx.problem(model):
        return problem
    try:
        mjx.stack(model, [] if draw is None else [draw()])
    except CoreError as error:
        return error.message
    return None
