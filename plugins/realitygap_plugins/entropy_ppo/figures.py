"""The figures of a training."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from realitygap_core.ppo.train import TrainResult

_LABELS = {
    "return": "return",
    "success": "share solved",
    "policy_entropy": "entropy of the action [nats]",
    "temperature": "temperature",
}
_REWARD = "reward/"


def training(result: TrainResult) -> Any:
    """Return, success, entropy with the target of a tuned temperature, temperature."""
    fig, axes = _grid(2, 2)
    steps = _millions(result)
    for axis, (name, label) in zip(axes.flat, _LABELS.items(), strict=True):
        axis.plot(steps, result.curves[name], color="#2563eb", linewidth=1.4)
        axis.set_ylabel(label)
        axis.grid(alpha=0.25)
    if result.header["config"]["temperature"]["mode"] == "auto":  # a fixed or scheduled temperature has no target
        axes[1, 0].plot(steps, result.curves["target_entropy"], color="#9ca3af", linestyle="--", linewidth=1, label="target")
        axes[1, 0].legend(frameon=False)
    axes[0, 1].set_ylim(-0.02, 1.02)
    if min(result.curves["temperature"]) > 0:  # a fixed one may be 0
        axes[1, 1].set_yscale("log")
    return fig


def rewards(result: TrainResult) -> Any | None:
    """What each reward contributes over the training, beside their sum; None for a task that does not tell them apart."""
    parts = {name.removeprefix(_REWARD): np.array(curve) for name, curve in result.curves.items() if name.startswith(_REWARD)}
    if not parts:
        return None
    fig, axes = _grid(1, 1)
    steps, axis = _millions(result), axes[0, 0]
    axis.plot(steps, sum(parts.values()), color="#111827", linewidth=1.8, label="sum")
    for name, curve in sorted(parts.items(), key=lambda item: -abs(item[1][-1])):
        axis.plot(steps, curve, linewidth=1.2, label=name)
    axis.axhline(0.0, color="#9ca3af", linewidth=0.8)
    axis.set_ylabel("weighted reward per second")
    axis.grid(alpha=0.25)
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return fig


def _grid(rows: int, columns: int) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    fig, axes = pyplot.subplots(rows, columns, figsize=(8, 5), sharex=True, squeeze=False, layout="constrained")
    for axis in axes[-1]:
        axis.set_xlabel("environment steps [million]")
    return fig, axes


def _millions(result: TrainResult) -> NDArray[np.float64]:
    return np.array(result.curves["env_steps"]) / 1e6
