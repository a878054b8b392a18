"""The peer: Stable-Baselines3's PPO on the embedded tasks, through Gymnasium, in an environment of its own (see train_cpu.py).

    python peer_sb3.py '{"task": "cartpole-swingup", "model": "model.xml", "substeps": 2, ...}'

Each task is written here a second time, in plain Python on C MuJoCo, as a user of Gymnasium would: same MJCF with the same solver settings
and physics step, same number of physics steps in a control step, same observations, rewards, ends and beginnings. Prints one JSON object.
"""

from __future__ import annotations

import json
import math
import sys
import time
from typing import Any

import gymnasium
import mujoco
import numpy as np
import stable_baselines3
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor


class Task(gymnasium.Env[Any, Any]):
    """What both tasks share."""

    observation_size: int

    def __init__(self, model: str, substeps: int, episode_steps: int) -> None:
        self.model = mujoco.MjModel.from_binary_path(model)
        self.data = mujoco.MjData(self.model)
        self.substeps, self.episode_steps, self.steps = substeps, episode_steps, 0
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (self.model.nu,), np.float32)
        self.observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (self.observation_size,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        mujoco.mj_resetData(self.model, self.data)
        self.begin()
        self.steps = 0
        mujoco.mj_forward(self.model, self.data)
        return self.observe(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.data.ctrl[:] = action
        mujoco.mj_step(self.model, self.data, self.substeps)
        self.steps += 1
        reward, failed = self.judge(action)
        return self.observe(), reward, failed, not failed and self.steps >= self.episode_steps, {}


class CartpoleSwingup(Task):
    observation_size = 5

    def begin(self) -> None:
        self.data.qpos[:] = self.np_random.uniform(-0.2, 0.2), self.np_random.uniform(3.04, 3.24)

    def observe(self) -> Any:
        (x, angle), (speed, turning) = self.data.qpos, self.data.qvel
        return np.array([x, math.sin(angle), math.cos(angle), 0.5 * speed, 0.2 * turning], np.float32)

    def judge(self, action: Any) -> tuple[float, bool]:
        (x, angle), turning = self.data.qpos, self.data.qvel[1]
        reward = (1 + math.cos(angle)) / 2 * (1 + 0.1 ** ((x / 2) ** 2)) / 2 * (1 + 0.1 ** ((turning / 5) ** 2)) / 2
        return reward * (4 + max(0.0, 1 - float(action[0]) ** 2)) / 5, False


class HopperHop(Task):
    observation_size = 12

    def __init__(self, model: str, substeps: int, episode_steps: int) -> None:
        super().__init__(model, substeps, episode_steps)
        self.foot = self.model.geom("foot").id

    def begin(self) -> None:
        self.data.qpos[2:] += self.np_random.uniform(-0.05, 0.05, 4)
        self.data.qvel[:] = self.np_random.uniform(-0.05, 0.05, 6)

    def observe(self) -> Any:
        contact = self.data.ncon > 0 and bool(np.any(self.data.contact.geom[:, 1] == self.foot))
        return np.concatenate([self.data.qpos[1:], 0.2 * np.clip(self.data.qvel, -20, 20), [contact]], dtype=np.float32)

    def judge(self, action: Any) -> tuple[float, bool]:
        height, pitch, speed = float(self.data.qpos[1]), float(self.data.qpos[2]), float(self.data.qvel[0])
        reward = 2 * min(max(speed / 2, 0), 1) + min(max((height - 1.1) / 0.3 + 1, 0), 1) + 0.5 * (1 + math.cos(pitch)) / 2
        return 0.02 * (reward - 0.02 * float(np.square(action).sum())), height < 0.75 or math.cos(pitch) < math.cos(1)


TASKS = {"cartpole-swingup": CartpoleSwingup, "hopper-hop": HopperHop}


class Clock(BaseCallback):
    """Time at the end of each rollout: the first, which warms everything up, is left out."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[tuple[float, float, int]] = []

    def _on_rollout_start(self) -> None:
        self.times.append((time.perf_counter(), time.process_time(), self.num_timesteps))

    def _on_step(self) -> bool:
        return True


def main() -> None:
    given = json.loads(sys.argv[1])
    torch.set_num_threads(given["torch_threads"])
    make = TASKS[given["task"]]
    envs = VecMonitor(DummyVecEnv([lambda: make(given["model"], given["substeps"], given["episode_steps"])] * given["num_envs"]))
    hidden = list(given["hidden"])
    learner = PPO(
        "MlpPolicy",
        envs,
        n_steps=given["rollout"] // given["num_envs"],
        batch_size=given["rollout"] // given["minibatches"],
        n_epochs=given["epochs"],
        learning_rate=given["learning_rate"],
        gamma=given["gamma"],
        gae_lambda=given["lam"],
        clip_range=given["clip"],
        policy_kwargs={"net_arch": {"pi": hidden, "vf": hidden}, "activation_fn": torch.nn.Tanh},
        seed=given["seed"],
        device="cpu",
    )
    clock = Clock()
    learner.learn(given["env_steps"], callback=clock)
    end = (time.perf_counter(), time.process_time(), learner.num_timesteps)
    begin = clock.times[1] if len(clock.times) > 1 else clock.times[0]
    returns = [episode["r"] for episode in learner.ep_info_buffer or []]
    print(
        json.dumps(
            {
                "steps_per_second": (end[2] - begin[2]) / (end[0] - begin[0]),
                "steps_per_cpu_second": (end[2] - begin[2]) / (end[1] - begin[1]),
                "return": float(np.mean(returns)) if returns else None,
                "versions": {"stable-baselines3": stable_baselines3.__version__, "torch": torch.__version__, "mujoco": mujoco.__version__},
            }
        )
    )


if __name__ == "__main__":
    main()
