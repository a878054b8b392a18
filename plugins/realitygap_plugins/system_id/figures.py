"""Figures of replay and identification."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realitygap_core.gap import ChannelGap
from realitygap_core.replay import Replay

_REAL, _COLOURS = "#1a1a1a", ("#c44e52", "#4c72b0", "#55a868")


def overlay(replay: Replay, shown: Mapping[str, Mapping[str, NDArray[np.float64]]], log: str) -> Any:
    """Real and simulated channels of one log against time, a panel a channel."""
    from matplotlib.figure import Figure

    names = replay.channels
    figure = Figure(figsize=(9, 2.1 * len(names) + 0.5), layout="constrained")
    axes = figure.subplots(len(names), 1, sharex=True, squeeze=False)
    for axis, item in zip(axes[:, 0], replay.observed, strict=True):
        mask = replay.log_mask(item.name, log)
        t = replay.times(item.name)[mask]
        axis.plot(t, replay.real[item.name][mask], color=_REAL, linewidth=1.2, label="real")
        for colour, (label, values) in zip(_COLOURS, shown.items(), strict=False):
            axis.plot(t, values[item.name][mask], color=colour, linewidth=1.0, label=label)
        axis.set_ylabel(f"{item.name} [{item.channel.unit}]" if item.channel.unit else item.name)
        axis.grid(alpha=0.25)
    axes[0, 0].legend(loc="upper right", fontsize=8, ncols=3)
    axes[0, 0].set_title(log, fontsize=9)
    axes[-1, 0].set_xlabel("time [s]")
    return figure


def bars(gaps: Mapping[str, Mapping[str, ChannelGap]], floor: Mapping[str, float] | None) -> Any:
    """RMSE a channel, one bar a set, the noise floor as a line, on a logarithmic axis."""
    from matplotlib.figure import Figure

    names = list(next(iter(gaps.values())))
    figure = Figure(figsize=(1.6 + 1.3 * len(names), 3.2), layout="constrained")
    axis = figure.subplots()
    places, width = np.arange(len(names)), 0.8 / len(gaps)
    for index, (label, gap) in enumerate(gaps.items()):
        heights = [gap[name].rmse for name in names]
        axis.bar(places + (index - (len(gaps) - 1) / 2) * width, heights, width, label=label, color=_COLOURS[index % len(_COLOURS)])
    if floor:
        kept = [(place, floor[name]) for place, name in zip(places, names, strict=True) if floor.get(name)]
        axis.hlines([y for _, y in kept], [x - 0.45 for x, _ in kept], [x + 0.45 for x, _ in kept], color=_REAL, label="noise floor")
    axis.set_yscale("log")
    first = next(iter(gaps.values()))
    axis.set_xticks(places, [f"{name}\n[{first[name].unit}]" if first[name].unit else name for name in names])
    axis.set_ylabel("RMSE")
    axis.legend(fontsize=8)
    return figure


def intervals(estimates: Mapping[str, Mapping[str, Any]], nominal: Mapping[str, float]) -> Any:
    """Each identified value with its interval relative to the nominal one where there is one, else to itself."""
    from matplotlib.figure import Figure

    names = list(estimates)[::-1]
    figure = Figure(figsize=(7, 0.8 + 0.3 * len(names)), layout="constrained")
    axis = figure.subplots()
    for row, name in enumerate(names):
        entry = estimates[name]
        scale = abs(nominal.get(name) or 0.0)
        unit = scale if np.isfinite(scale) and scale > 0 else abs(entry["value"]) or 1.0
        axis.plot([entry["low"] / unit, entry["high"] / unit], [row, row], color=_COLOURS[1])
        axis.plot(entry["value"] / unit, row, "o", color=_COLOURS[1], markersize=4)
    axis.axvline(1.0, color=_REAL, linewidth=0.6)
    axis.set_yticks(range(len(names)), names, fontsize=8)
    axis.set_xscale("symlog", linthresh=2.0)
    axis.set_xlabel("value / nominal (own size where the nominal is zero)")
    axis.grid(alpha=0.25)
    return figure
