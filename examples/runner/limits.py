"""From actions to commands: the contract's map, its limits, and narrower ones that the person at the robot sets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


class CommandLimits:
    """Commands within [low, high] that change by at most `rate` a second."""

    def __init__(
        self,
        contract: Mapping[str, Any],
        *,
        narrower: Mapping[str, tuple[float, float]] | None = None,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        """`narrower` and `rates` by actuator; they can only take away from the contract.

        Raises:
            ValueError: an unknown actuator, limits that leave nothing, or an action that is no affine map to commands.
        """
        actions = contract["actions"]
        self.actuators: list[str] = [entry["actuator"] for entry in actions]
        unmapped = [entry["actuator"] for entry in actions if entry["scale"] is None]
        if unmapped:
            raise ValueError(f"the contract has no affine map from action to command for {', '.join(unmapped)}")
        for name in {**(narrower or {}), **(rates or {})}:
            if name not in self.actuators:
                raise ValueError(f"no actuator '{name}'; there are: {', '.join(self.actuators)}")
        self._offset = np.array([entry["offset"] for entry in actions])
        self._scale = np.array([entry["scale"] for entry in actions])
        self.low = np.array([max(entry["low"], (narrower or {}).get(entry["actuator"], (-np.inf, 0))[0]) for entry in actions])
        self.high = np.array([min(entry["high"], (narrower or {}).get(entry["actuator"], (0, np.inf))[1]) for entry in actions])
        if np.any(self.low > self.high):
            raise ValueError("these limits leave no command at all")
        own = [np.inf if entry["rate"] is None else entry["rate"] for entry in actions]
        self.rate = np.array([min(rate, (rates or {}).get(name, np.inf)) for name, rate in zip(self.actuators, own, strict=True)])
        self._step = self.rate * float(contract["control_dt"])
        self.reset()

    def reset(self) -> None:
        """Begins at the command nearest to zero, from which a limited rate goes on."""
        self._last: Values = np.clip(np.zeros(len(self.actuators)), self.low, self.high)

    def command(self, action_n: NDArray[np.float32]) -> dict[str, float]:
        """Commands by actuator, in the actuators' units, for an action [n] in [-1, 1]."""
        wanted = np.clip(self._offset + self._scale * action_n.astype(np.float64), self.low, self.high)
        self._last = self._last + np.clip(wanted - self._last, -self._step, self._step)
        return dict(zip(self.actuators, self._last.tolist(), strict=True))
