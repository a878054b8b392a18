"""From the inputs of `train-policy` to the configuration of the learner."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from realitygap_core.ppo.networks import NetworkConfig
from realitygap_core.ppo.temperature import TemperatureConfig
from realitygap_core.ppo.update import PPOConfig

_TRAINING = ("env_steps", "unroll", "learning_rate", "gamma", "scale_rewards")
_NETWORK = {"network": "kind", "memory": "memory", "std": "std", "head": "head", "choices": "choices"}
_TEMPERATURE = {"temperature_mode": "mode", "temperature": "initial", "final_temperature": "final"}


def learner_config(inputs: Mapping[str, Any]) -> PPOConfig:
    """The configuration. The default target of the entropy goes from explorative to precise, in the units of the head."""
    given: dict[str, Any] = {field: inputs[name] for name, field in _NETWORK.items() if name in inputs}
    hidden: dict[str, Any] = {name: tuple(inputs["hidden"]) for name in ("actor_hidden", "critic_hidden") if "hidden" in inputs}
    network = NetworkConfig(**given, **hidden)
    _, most = network.entropy_range
    start, end = (0.6 * most, 0.3 * most) if network.head == "categorical" else (0.2, -1.0)
    temperature = TemperatureConfig(
        **{field: inputs[name] for name, field in _TEMPERATURE.items() if name in inputs},
        target_entropy_per_dim=inputs.get("target_entropy", start),
        final_target_entropy_per_dim=inputs.get("final_target_entropy", end),
    )
    training = {name: inputs[name] for name in _TRAINING if name in inputs}
    return PPOConfig(**training, network=network, temperature=temperature)
