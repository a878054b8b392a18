"""Environment steps per second inside PPO training on the CPU, rollout and update, beside Stable-Baselines3, one after the other.

    python benchmarks/train_cpu.py --json

The peer runs in a virtual environment of its own, which is made once, at each of several numbers of environments, and the fastest counts.
Both have the same model (that which the task compiles to), physics steps in a control step, network, samples in a rollout, epochs and
minibatches. The returns are those of training, on its physics, each after as many steps as stand beside it: they are no comparison of what
is learnt. `bare` is a loop with physics, networks and gradients alone (bare_loop.py): about what is to be had here, whatever surrounds it.
Two updates of ours, which compile, and one of the peer are left out; our compilation is in `steps_per_second_with_compile`
of the kept results.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Any

from bare_loop import bare
from common import compiled, keep, setting, trained

TASKS = ("cartpole-swingup", "hopper-hop")
PEER = ("torch==2.13.0", "stable-baselines3==2.9.2", "gymnasium==1.4.0", "mujoco==4.0.0")
PEER_ENVS = (1, 8, 32)
"""Numbers of environments that the peer is tried with."""
SETTING = {"hidden": (64, 64), "epochs": 4, "minibatches": 16, "learning_rate": 1e-3, "gamma": 0.99, "lam": 0.95, "clip": 0.2, "seed": 0}
NUM_ENVS, UNROLL = 512, 16


def peer_python(folder: Path) -> Path:
    """The interpreter of the peer's environment, which is made where it is not there yet."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    marker = folder / "installed"
    if not (marker.exists() and marker.read_text() == "\n".join(PEER)):
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEER], check=True, stdout=sys.stderr)
        marker.write_text("\n".join(PEER))
    return python


def ours(name: str, env_steps: int) -> dict[str, Any]:
    """One training of this project."""
    from realitygap_core.ppo.networks import NetworkConfig
    from realitygap_core.ppo.update import PPOConfig

    config = PPOConfig(
        env_steps=env_steps,
        unroll=UNROLL,
        network=NetworkConfig(actor_hidden=SETTING["hidden"], critic_hidden=SETTING["hidden"]),
        **{key: SETTING[key] for key in ("epochs", "minibatches", "learning_rate", "gamma", "lam", "clip")},
    )
    return trained(compiled(name, engine="mujoco"), config, NUM_ENVS, seed=SETTING["seed"])


def peer(name: str, env_steps: int, num_envs: int, python: Path) -> dict[str, Any]:
    """One training of the peer."""
    import mujoco

    task = compiled(name, engine="mujoco")
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.mjb"
        mujoco.mj_saveModel(task.robot.model, str(model))
        given = SETTING | {
            "task": name,
            "model": str(model),
            "substeps": task.substeps,
            "episode_steps": task.episode_steps,
            "num_envs": num_envs,
            "rollout": NUM_ENVS * UNROLL,
            "env_steps": env_steps,
            "torch_threads": 1,
        }
        # One thread: with two this peer is slower on two cores.
        alone = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        done = subprocess.run(
            [python, Path(__file__).with_name("peer_sb3.py"), json.dumps(given)], capture_output=True, text=True, env=alone, check=False
        )
    if done.returncode:
        raise SystemExit(f"the peer failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]), num_envs=num_envs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", choices=TASKS, help="one task (may be repeated); all by default")
    parser.add_argument("--env-steps", type=int, default=500_000, help="environment steps of ours (default 500000)")
    parser.add_argument("--peer-steps", type=int, default=100_000, help="environment steps of each run of the peer (default 100000)")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "realitygap-benchmarks"
    parser.add_argument("--peer-env", type=Path, default=cache / "sb3", help="folder of the peer's environment")
    parser.add_argument("--peer-python", type=Path, help="a Python that has the peer already, in place of an environment made for it")
    parser.add_argument("--json", action="store_true", help="print only the JSON")
    given = parser.parse_args()
    about = setting()
    python = given.peer_python or peer_python(given.peer_env)
    table: dict[str, Any] = {}
    details: dict[str, Any] = {"setting": SETTING | {"num_envs": NUM_ENVS, "unroll": UNROLL}}
    for name in given.task or TASKS:
        mine = ours(name, given.env_steps)
        theirs = [peer(name, given.peer_steps, count, python) for count in PEER_ENVS]
        best = max(theirs, key=lambda run: run["steps_per_second"])
        most = bare(name, compiled(name, engine="mujoco"), SETTING, NUM_ENVS, UNROLL)
        table[name] = {
            "ours": round(mine["steps_per_second"]),
            "peer": round(best["steps_per_second"]),
            "ratio": round(mine["steps_per_second"] / best["steps_per_second"], 2),
            "bare": round(most),
            "return_ours": mine["return"],
            "return_ours_after_steps": given.env_steps,
            "return_peer": best["return"],
            "return_peer_after_steps": given.peer_steps,
            "physics_dt": mine["physics_dt"],
            "substeps": mine["substeps"],
        }
        details[name] = {"ours": mine, "peer": theirs, "env_steps": given.env_steps, "peer_steps": given.peer_steps}
    path = None if given.task else keep("train_cpu", table, {"details": details, **about})
    if given.json:
        print(json.dumps(table, indent=2))
        return
    for name, row in table.items():
        print(f"{name}: {row['ours']} steps/s, peer {row['peer']} steps/s, {row['ratio']} times; a bare loop {row['bare']}")
    print(f"written to {path}" if path else "not kept: only all tasks together are")


if __name__ == "__main__":
    main()
