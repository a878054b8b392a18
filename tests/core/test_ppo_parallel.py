"""Data parallelism over two forced host devices: the same training as on one, and the work is really split."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from realitygap_core.errors import CoreError
from realitygap_core.ppo.parallel import device_mesh

SCRIPT = """
import dataclasses, json
import jax, numpy as np
from ppobench import SMALL, Regulator
from realitygap_core.ppo import train as training
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.parallel import device_mesh, replicate, split_environments
from realitygap_core.ppo.rollout import Tally, Unroller
from realitygap_core.ppo.update import init_learner, update_jit

out = {"devices": jax.device_count()}
compilations = []
def listen(name, *_, **__):
    if name.endswith("backend_compile_duration"):
        compilations.append(name)
jax.monitoring.register_event_duration_secs_listener(listen)
short = dataclasses.replace(SMALL, env_steps=16 * 8 * 4)
for kind in ("mlp", "gru"):
    config = dataclasses.replace(short, network=NetworkConfig(kind=kind, memory=4, actor_hidden=(8,), critic_hidden=(8,)))
    counts = {1: [], 2: []}
    one, two = (
        training.train(config, Regulator(), seed=3, devices=devices, observe=lambda _, d=devices: counts[d].append(len(compilations)))
        for devices in (1, 2)
    )
    leaves = [jax.tree.leaves(result.learner.network) for result in (one, two)]
    before = jax.tree.leaves(init_learner(config, Regulator.observation_sizes, 1, 3).network)
    out[kind] = {
        "largest": max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in zip(*leaves)),
        "moved": max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in zip(leaves[0], before)),
        "late": [counts[devices][-1] - counts[devices][1] for devices in (1, 2)],
        "returns": [one.curves["return"], two.curves["return"]],
        "spans": sorted({len(leaf.sharding.device_set) for leaf in leaves[1]}),
    }
mesh, env = device_mesh(2), Regulator()
learner = replicate(init_learner(short, env.observation_sizes, 1, 0), mesh)
state, tally = split_environments((env.reset(jax.random.PRNGKey(0)), Tally(16)), mesh, 16)
*_, rollout, _ = Unroller(env, 8)(learner, state, tally, jax.random.PRNGKey(1))
out["rollout"] = len(rollout.policy_tbn.sharding.device_set)
out["shard"] = list(rollout.policy_tbn.addressable_shards[0].data.shape)
text = update_jit.lower(learner, rollout, config=short, total_updates=4, mesh=mesh).compile().as_text()
out["sums over devices"] = text.count("all-reduce")
out["compilations"] = len(compilations)
print(json.dumps(out))
"""


@pytest.mark.slow
def test_two_devices_give_the_training_of_one_and_share_its_work():
    env = os.environ | {
        "XLA_FLAGS": f"{os.environ['XLA_FLAGS']} --xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout.splitlines()[-1])
    assert out["devices"] == 2
    for kind in ("mlp", "gru"):
        assert out[kind]["largest"] < 1e-3 < 0.01 < out[kind]["moved"]
        assert out[kind]["returns"][0] == pytest.approx(out[kind]["returns"][1], abs=1e-3, nan_ok=True)
        assert out[kind]["spans"] == [2]
        assert out[kind]["late"] == [0, 0]  # nothing is compiled after the second update
    assert out["compilations"] > 0
    assert out["rollout"] == 2
    assert out["shard"] == [8, 8, 1]  # 8 steps of 8 of the 16 environments
    assert out["sums over devices"] > 0


def test_more_devices_than_there_are_are_refused():
    with pytest.raises(CoreError, match="devices asked for") as caught:
        device_mesh(999)
    assert "`devices` from 1 to" in caught.value.hint
