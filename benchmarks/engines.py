"""Physics steps per second of C MuJoCo on the thread pool and of MJX on JAX's default device, on embedded robots from their first keyframe.

    python benchmarks/engines.py --json

Both step the same number of robots by the same commands; the time is the least of several calls, compilation of MJX apart.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from common import compiled, keep, setting

TASKS = ("pendulum-swingup", "cartpole-swingup", "qube-swingup", "hopper-hop", "quadruped-velocity")
STEPS = 10


def seconds(function: Callable[[], Any], calls: int = 5) -> float:
    """The least time of one call."""
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        jax.block_until_ready(function())
        times.append(time.perf_counter() - began)
    return min(times)


def measure(name: str, batch: int) -> dict[str, Any]:
    from realitygap_core.engines.mjx import MjxEngine
    from realitygap_core.engines.mujoco import MujocoEngine
    from realitygap_core.state import PhysicsState

    model = compiled(name, engine="mujoco").robot.model
    rest = {"time": (), "qvel": (model.nv,), "act": (model.na,), "ctrl": (model.nu,), "sensordata": (model.nsensordata,)}
    begun = model.key_qpos[0] if model.nkey else model.qpos0
    state = PhysicsState(qpos=np.tile(begun, (batch, 1)), **{field: np.zeros((batch, *shape)) for field, shape in rest.items()})
    span = np.where(model.actuator_ctrllimited[:, None], model.actuator_ctrlrange, [-1.0, 1.0])
    ctrl = np.random.default_rng(0).uniform(*span.T, (batch, STEPS, model.nu))

    c_engine, mjx_engine = MujocoEngine(model), MjxEngine(model)
    c_s = seconds(lambda: c_engine.step([model] * batch, state, ctrl))
    c_engine.close()
    step = jax.jit(mjx_engine.step)
    began = time.perf_counter()
    jax.block_until_ready(step({}, state, ctrl))
    first_s = time.perf_counter() - began
    mjx_s = seconds(lambda: step({}, state, ctrl))
    steps = batch * STEPS
    return {
        "mujoco": round(steps / c_s),
        "mjx": round(steps / mjx_s),
        "ratio": round(mjx_s / c_s, 1),
        "mjx_compile_s": round(first_s - mjx_s, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", help="an embedded task (may be repeated)")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--json", action="store_true", help="print only the JSON")
    given = parser.parse_args()
    about = setting()
    results = {name: measure(name, given.batch) for name in given.task or TASKS}
    path = None if given.task else keep("engines", results, {"batch": given.batch, "device": jax.default_backend(), **about})
    if given.json:
        print(json.dumps(results, indent=2))
        return
    for name, row in results.items():
        print(f"{name}: C MuJoCo {row['mujoco']}, MJX {row['mjx']} physics steps/s, C is {row['ratio']} times as fast")
    print(f"written to {path}" if path else "not kept: only all tasks together are")


if __name__ == "__main__":
    main()
