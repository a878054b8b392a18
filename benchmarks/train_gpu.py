"""Environment steps per second inside PPO training on MJX, rollout and update, at thousands of environments: for a machine with a GPU.

    python benchmarks/train_gpu.py --json

Without a GPU JAX runs on the CPU, where MJX is no way to train; then this asks for `--any-device`, and keeps nothing. `--num-envs` and
`--updates` make it small.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import jax
from common import compiled, keep, setting, trained

TASKS = ("cartpole-swingup", "hopper-hop", "cheetah-run", "quadruped-velocity")
NUM_ENVS = (4096, 8192)
UNROLL = 20


def measure(name: str, num_envs: int, updates: int) -> dict[str, Any]:
    from realitygap_core.ppo.networks import NetworkConfig
    from realitygap_core.ppo.update import PPOConfig

    wide = (256, 256)
    config = PPOConfig(env_steps=num_envs * UNROLL * updates, unroll=UNROLL, network=NetworkConfig(actor_hidden=wide, critic_hidden=wide))
    measured = trained(compiled(name, engine="mjx"), config, num_envs)
    used = (jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use")
    return {**measured, "device_memory_mib": None if used is None else round(used / 2**20)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", help="an embedded task (may be repeated)")
    parser.add_argument("--num-envs", action="append", type=int, help="environments (may be repeated)")
    parser.add_argument("--updates", type=int, default=12, help="updates timed, and two before them (default 12)")
    parser.add_argument("--any-device", action="store_true", help="also where JAX has no GPU")
    parser.add_argument("--json", action="store_true", help="print only the JSON")
    given = parser.parse_args()
    if jax.default_backend() == "cpu" and not given.any_device:
        raise SystemExit("JAX sees no GPU here: install its GPU build, or pass --any-device to try the script")
    about = setting()
    results = {
        name: {str(count): measure(name, count, given.updates + 2) for count in given.num_envs or NUM_ENVS} for name in given.task or TASKS
    }
    whole = not (given.task or given.num_envs or given.any_device)
    path = keep("train_gpu", results, {"device": jax.devices()[0].device_kind, **about}) if whole else None
    if given.json:
        print(json.dumps(results, indent=2))
        return
    for name, rows in results.items():
        for count, row in rows.items():
            print(f"{name}, {count} environments: {row['steps_per_second']:.0f} steps/s, {row['compile_s']:.0f} s of compiling")
    print(f"written to {path}" if path else "not kept: only all tasks together on a GPU are")


if __name__ == "__main__":
    main()
