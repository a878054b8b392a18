"""The whole trainer on a robot: it learns to balance the cart-pole."""

from __future__ import annotations

import math
import statistics

import pytest
from taskbench import compiled

from realitygap_core.environment import Environment
from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.train import train
from realitygap_core.ppo.update import PPOConfig


@pytest.mark.slow
def test_sixty_thousand_steps_teach_the_cart_pole_to_balance() -> None:
    success = {"term": "joint_reached", "params": {"joint": "hinge", "tolerance": 0.2}, "hold_s": 4}
    config = PPOConfig(env_steps=60_000, network=NetworkConfig(actor_hidden=(32,), critic_hidden=(64,)))
    returns = []
    for seed in range(3):
        env = Environment(compiled("cartpole-balance", episode_s=4, success=success), num_envs=64)
        result = train(config, env, seed=seed)
        env.close()
        # Upright in the middle pays 1.5 a second, 6 an episode; untrained, the pole has fallen within a second.
        assert next(value for value in result.curves["return"] if math.isfinite(value)) < 1.5
        returns.append(result.return_iqm)
    # Of ten seeds so few steps gave 3.5 to 5.6; half of what is possible is more than twice what is not learned.
    assert statistics.median(returns) > 3.0
