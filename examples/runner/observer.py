"""From what the robot measures to what the policy sees, entry by entry of the contract: compute, clip, scale, delay, history.

Noise is for training alone. A delay is the robot's own: it is there already, so by default none is added. Where the robot is faster than
the contract says (a simulation, or a better bus), `delays="contract"` adds the middle of the range that the policy was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Measurement = Mapping[str, float | Sequence[float] | Values]
"""Sensor and what it is of (`jointpos/arm`, `gyro/imu`, `named/torque`), or the name of an observation, to its value in SI units."""

COPIED = ("joint_position", "joint_velocity", "actuator_force", "gyro", "accelerometer", "sensor")
"""Terms whose value is what the sensors show, in order."""


class Observer:
    """Builds the observation vector, tick by tick. Buffers begin filled with the first value, never with zeros."""

    def __init__(self, contract: Mapping[str, Any], *, delays: Literal["robot", "contract"] = "robot") -> None:
        self.entries: list[dict[str, Any]] = list(contract["observations"])
        self._dt = float(contract["control_dt"])
        self._command = np.zeros(len((contract.get("command") or {}).get("labels", ())))
        self._actions = len(contract["actions"])
        self._delays = [sum(entry["delay_s"]) / 2 / self._dt if delays == "contract" else 0.0 for entry in self.entries]
        self.reset()

    @property
    def needs(self) -> list[str]:
        """Keys that a measurement must have."""
        keys = [key for entry in self.entries for key in self._keys(entry)]
        return list(dict.fromkeys(keys))

    def reset(self) -> None:
        """An episode begins."""
        self._tick = 0
        self._buffers: list[list[Values]] = [[] for _ in self.entries]
        self._histories: list[list[Values]] = [[] for _ in self.entries]
        self._last: dict[int, Values] = {}
        self._lost = [0] * len(self.entries)
        self.action: Values = np.zeros(self._actions)

    def ask(self, command_m: Sequence[float]) -> None:
        """What the policy is asked for from now on, such as a velocity, in the order of the contract's `command`."""
        if len(command_m) != len(self._command):
            raise ValueError(f"{len(command_m)} values of a command with {len(self._command)}")
        self._command = np.asarray(command_m, np.float64)

    def observe(self, measured: Measurement) -> NDArray[np.float32]:
        """The observation [size] of this tick.

        Raises:
            KeyError: the measurement lacks a sensor. Of an observation that was trained with losses (`drop` in the contract), the last
                value holds for as many ticks as losses in a row were seen in a million.
            ValueError: a value is not finite, or has the wrong size.
        """
        parts = []
        for index, entry in enumerate(self.entries):
            value = self._value(entry, measured) if self._arrived(index, measured) else self._last[index]
            self._last[index] = value
            if entry["clip"] is not None:
                value = np.clip(value, *entry["clip"])
            if entry["scale"] is not None:
                value = value * np.asarray(entry["scale"])
            value = self._delayed(index, value)
            parts.append(self._stacked(index, value))
        self._tick += 1
        return np.concatenate(parts).astype(np.float32)

    def _arrived(self, index: int, measured: Measurement) -> bool:
        entry = self.entries[index]
        chance, lost = entry.get("drop", 0.0), any(key not in measured for key in self._keys(entry))
        self._lost[index] = self._lost[index] + 1 if lost else 0
        return not lost or index not in self._last or chance ** self._lost[index] < 1e-6

    def _keys(self, entry: Mapping[str, Any]) -> list[str]:
        if entry["term"] in ("last_action", "episode_time", "phase", "command"):
            return []
        if entry["term"] in (*COPIED, "joint_angle_sincos"):
            return [f"{read['sensor']}/{read['of']}" for read in entry["reads"]]
        return [entry["name"]]  # this program does not know how to compute it: the robot's link does

    def _value(self, entry: Mapping[str, Any], measured: Measurement) -> Values:
        term, size = entry["term"], len(entry["labels"]) // entry["history"]
        own: dict[str, Callable[[], Values]] = {
            "last_action": lambda: self.action,
            "episode_time": lambda: np.array([self._tick * self._dt]),
            "phase": lambda: self._phase(**entry["params"]),
            "command": lambda: self._command,
        }
        if term in own:
            return np.array(own[term](), np.float64)
        value = np.concatenate([np.atleast_1d(np.asarray(measured[key], np.float64)) for key in self._keys(entry)])
        if term == "joint_angle_sincos":
            value = np.concatenate([np.sin(value), np.cos(value)])
        if len(value) != size or not np.all(np.isfinite(value)):
            raise ValueError(f"observation '{entry['name']}' is {value.tolist()}; it must be {size} finite numbers")
        return value

    def _phase(self, period_s: float, offsets: Sequence[float] = (0.0,)) -> Values:
        angle_n = 2 * math.pi * (self._tick * self._dt / period_s + np.asarray(offsets))
        return np.concatenate([np.sin(angle_n), np.cos(angle_n)])

    def _delayed(self, index: int, value: Values) -> Values:
        steps = self._delays[index]
        if steps == 0:
            return value
        capacity = math.ceil(steps) + 2
        buffer = self._buffers[index] or [value] * capacity
        self._buffers[index] = buffer = [value, *buffer[:-1]]
        low = math.floor(steps)
        return (1 - (steps - low)) * buffer[low] + (steps - low) * buffer[low + 1]

    def _stacked(self, index: int, value: Values) -> Values:
        count = self.entries[index]["history"]
        before = self._histories[index] or [value] * count
        self._histories[index] = after = [value, *before[:-1]]  # newest first
        return np.concatenate(after)
