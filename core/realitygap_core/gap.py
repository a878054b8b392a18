"""The reality gap in each channel, and the noise floor under it: how far repeats of the same log are from each other."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from realitygap_core.plant import Floats, Plant
from realitygap_core.recording import Log, Recording
from realitygap_core.replay import Replay


@dataclass(frozen=True, kw_only=True)
class ChannelGap:
    """Difference between simulated and real in one channel, pooled over all samples of the logs."""

    rmse: float
    """Root of the mean square, in `unit`."""
    mae: float
    """Mean of the absolute value, in `unit`."""
    unit: str
    """Unit of the channel."""
    samples: int
    """How many samples were compared."""

    def as_json(self) -> dict[str, Any]:
        """`{"rmse", "mae", "unit", "samples"}`."""
        return asdict(self)


def gaps(replay: Replay, simulated: Mapping[str, Floats], *, log: str | None = None) -> dict[str, ChannelGap]:
    """Gap of each channel between `simulated` [samples] and the recording, over all logs of the replay or over one."""
    found = {}
    for item in replay.observed:
        difference = simulated[item.name] - replay.real[item.name]
        if log is not None:
            difference = difference[replay.log_mask(item.name, log)]
        if difference.size == 0:
            continue
        found[item.name] = ChannelGap(
            rmse=float(np.sqrt(np.mean(difference**2))),
            mae=float(np.mean(np.abs(difference))),
            unit=item.channel.unit,
            samples=int(difference.size),
        )
    return found


def measure(replay: Replay, plant: Plant) -> dict[str, ChannelGap]:
    """Gap of each channel when the logs are replayed through `plant`."""
    return gaps(replay, {name: shown[0] for name, shown in replay.simulate([plant]).items()})


def by_command(recording: Recording) -> list[tuple[Log, ...]]:
    """Logs in groups that were given the same commands at the same times, by content (to a microsecond and seven digits)."""
    groups: dict[str, list[Log]] = {}
    for log in recording.data.values():
        digest = hashlib.sha256()
        commands = log.commands
        digest.update(np.round((commands.t_t - commands.t_t[0]) * 1e6).astype(np.int64).tobytes())
        scale = float(np.max(np.abs(commands.values_tc))) or 1.0
        digest.update((np.round(commands.values_tc / scale * 1e7) + 0.0).tobytes() + f"{scale:.6g}".encode())
        groups.setdefault(digest.hexdigest(), []).append(log)
    return [tuple(group) for group in groups.values()]


def repeats(recording: Recording) -> list[tuple[Log, ...]]:
    """Those groups of `by_command` that have two or more logs."""
    return [group for group in by_command(recording) if len(group) > 1]


def noise_floor(recording: Recording, channels: Sequence[str]) -> dict[str, float] | None:
    """Standard deviation of repeated logs about their mean at equal times, pooled (root mean square) over times and groups; None
    without repeats.

    The sample standard deviation (divided by n - 1) in each group; a group weighs by its degrees of freedom.
    """
    groups = repeats(recording)
    if not groups:
        return None
    floor = {}
    for channel in channels:
        squares, freedom = 0.0, 0.0
        for group in groups:
            t, first = group[0].channel(channel)
            elapsed = t - group[0].commands.t_t[0]
            stack = [first]
            for log in group[1:]:
                other_t, values = log.channel(channel)
                stack.append(np.interp(elapsed, other_t - log.commands.t_t[0], values, left=np.nan, right=np.nan))
            variance_t = np.var(np.stack(stack), axis=0, ddof=1)
            squares += float(np.nansum(variance_t)) * (len(group) - 1)
            freedom += float(np.isfinite(variance_t).sum()) * (len(group) - 1)
        if freedom:
            floor[channel] = float(np.sqrt(squares / freedom))
    return floor
