"""A plant: one simulated robot, its mechanics in an `MjModel` and its command and sensor path beside it.

What happens to a command on its way to `ctrl`, and to a position on its way into a log, is no part of MuJoCo's model but of the robot:

    command   --scale, offset-->  --delay-->  --rate limit-->  ctrl
    quantity  --delay-->  --scale, offset-->  --noise-->  channel
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError, unknown
from realitygap_core.robot import Robot

Floats = NDArray[np.float64]

ACTUATOR_PATH = {"delay": 0.0, "command_offset": 0.0, "command_scale": 1.0, "command_rate": np.inf}
"""Kinds of parameters on the way of a command, with the value that changes nothing."""
CHANNEL_PATH = {"sensor_offset": 0.0, "sensor_scale": 1.0, "sensor_delay": 0.0, "sensor_noise": 0.0}
"""Kinds of parameters on the way of a measurement, with the value that changes nothing."""
PATH_FIELDS = {
    "delay": "delay_u",
    "command_offset": "offset_u",
    "command_scale": "scale_u",
    "command_rate": "rate_u",
    "sensor_offset": "sensor_offset_c",
    "sensor_scale": "sensor_scale_c",
    "sensor_delay": "sensor_delay_c",
    "sensor_noise": "sensor_noise_c",
}
"""Kind of parameter to the field of `SignalPath` that holds it."""


@dataclass(frozen=True, kw_only=True)
class SignalPath:
    """What lies between command and `ctrl`, and between the simulated quantity and the channel of a log. Axes: `u` actuators, `c`
    channels."""

    actuators: tuple[str, ...]
    """Names along `u`, all actuators in model order ('' for one without a name)."""
    channels: tuple[str, ...]
    """Names along `c`; see `channel_names`."""
    delay_u: Floats
    """From command to `ctrl`, s."""
    offset_u: Floats
    """Added to the command after scaling, in the command's unit."""
    scale_u: Floats
    """Times the command."""
    rate_u: Floats
    """Largest change of the command, unit/s; inf for none."""
    sensor_offset_c: Floats
    """Channel = scale * quantity + offset."""
    sensor_scale_c: Floats
    """Channel = scale * quantity + offset."""
    sensor_delay_c: Floats
    """The channel shows what was so long ago, s."""
    sensor_noise_c: Floats
    """Standard deviation of white noise on a sample, in the channel's unit."""

    def channel(self, name: str) -> int:
        """Index of a channel. Raises CoreError with the nearest name."""
        if name not in self.channels:
            raise unknown("channel", name, self.channels)
        return self.channels.index(name)

    def actuator(self, name: str) -> int:
        """Index of an actuator. Raises CoreError with the nearest name."""
        if name not in self.actuators:
            raise unknown("actuator", name, self.actuators)
        return self.actuators.index(name)

    def changed(self, entries: Iterable[tuple[str, str, float]]) -> SignalPath:
        """The path with other values: (kind, actuator or channel, value), in order; kind `latency` sets every delay."""
        arrays: dict[str, Any] = {}
        for kind, target, value in entries:
            field = PATH_FIELDS["delay" if kind == "latency" else kind]
            array = arrays.setdefault(field, getattr(self, field).copy())
            names = self.channels if kind in CHANNEL_PATH else self.actuators
            array[slice(None) if kind == "latency" else names.index(target)] = value
        return replace(self, **arrays) if arrays else self

    def as_values(self) -> dict[str, float]:
        """The entries that change something, by parameter name: `{"delay[motor]": 0.004}`."""
        values: dict[str, float] = {}
        for kind, neutral in (ACTUATOR_PATH | CHANNEL_PATH).items():
            names = self.channels if kind in CHANNEL_PATH else self.actuators
            for name, value in zip(names, getattr(self, PATH_FIELDS[kind]), strict=True):
                if name and value != neutral:
                    values[f"{kind}[{name}]"] = float(value)
        return values


@dataclass(frozen=True, kw_only=True)
class Plant:
    """One simulated robot. The model is this plant's own: stepping and replaying never change it."""

    model: mujoco.MjModel
    """Mechanics with derived constants up to date."""
    path: SignalPath
    """Command and sensor path."""


def channel_names(robot: Robot) -> tuple[str, ...]:
    """What a log of this robot can show: its named sensors, then the joints (their positions) whose name no sensor has."""
    sensors = robot.names("sensor")
    return sensors + tuple(name for name in robot.names("joint") if name not in sensors)


def actuator_names(robot: Robot) -> tuple[str, ...]:
    """Names of all actuators in model order, '' where there is none."""
    return tuple(mujoco.mj_id2name(robot.model, mujoco.mjtObj.mjOBJ_ACTUATOR, i) or "" for i in range(robot.model.nu))


def signal_path(robot: Robot, values: Mapping[str, float] | None = None) -> SignalPath:
    """The signal path that the model file carries, with `values` (`{"delay[motor]": 0.004}`) on top; `latency` sets every delay.

    Raises:
        CoreError: a name that is not of the signal path, or whose target does not exist.
    """
    actuators, channels = actuator_names(robot), channel_names(robot)
    neutral = {PATH_FIELDS[kind]: np.full(len(actuators), value) for kind, value in ACTUATOR_PATH.items()}
    neutral |= {PATH_FIELDS[kind]: np.full(len(channels), value) for kind, value in CHANNEL_PATH.items()}
    entries = []
    for origin, given in ((robot.where, robot.path_values), (None, values or {})):
        for name, value in given.items():
            kind, _, rest = name.partition("[")
            if name != "latency":
                if kind not in PATH_FIELDS or not rest.endswith("]"):
                    known = [*(f"{k}[...]" for k in PATH_FIELDS), "latency"]
                    raise CoreError(f"'{name}' is not a parameter of the signal path", where=origin, hint=f"there are: {', '.join(known)}")
                targets = actuators if kind in ACTUATOR_PATH else channels
                if rest[:-1] not in targets:
                    raise unknown("actuator" if kind in ACTUATOR_PATH else "channel", rest[:-1], filter(None, targets), where=origin)
            entries.append((kind, rest[:-1], value))
    return SignalPath(actuators=actuators, channels=channels, **neutral).changed(entries)
