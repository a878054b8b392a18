"""Which parameters of the plant a policy's outcome depends on, read from trials on random plants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from realitygap_core.statistics import wilson

Floats = NDArray[np.float64]
SIGNIFICANT = 0.05


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Of the outcome to one parameter."""

    parameter: str
    correlation: float
    """Spearman's rank correlation with the return: +1 when more of it always means a higher return."""
    p_value: float
    """Of no correlation, two-sided, times the number of parameters asked (Holm 1979)."""
    low_success: tuple[float, float, float]
    """Success rate and its Wilson interval on the third of the plants with the smallest values."""
    high_success: tuple[float, float, float]
    """The same on the third with the largest."""

    @property
    def verdict(self) -> str:
        """`rises`, `falls` with the parameter, or `undecided` where the trials are too few to tell."""
        return "undecided" if not self.p_value < SIGNIFICANT else "rises" if self.correlation > 0 else "falls"


def sensitivities(plants: Mapping[str, Floats], returns_n: Floats, success_n: Sequence[bool] | NDArray[np.bool_]) -> list[Sensitivity]:
    """The parameters [n] of the trials' plants, the one that matters most first.

    One at a time: an effect of two parameters together shows only as far as each has one of its own. Constant parameters are left out.
    """
    solved = np.asarray(success_n, bool)
    varied = {name: values for name, values in plants.items() if np.ptp(values) > 0}
    if len(returns_n) < 4 or np.ptp(returns_n) == 0:
        tests = dict.fromkeys(varied, (0.0, 1.0))
    else:
        tests = {name: tuple(map(float, stats.spearmanr(values, returns_n))) for name, values in varied.items()}  # type: ignore[misc]
    order = sorted(tests, key=lambda name: tests[name][1])
    found, before = [], 0.0
    for place, name in enumerate(order):
        before = max(before, min(1.0, (len(order) - place) * tests[name][1]))
        rank = np.argsort(varied[name], kind="stable")
        third = max(1, len(rank) // 3)
        low, high = (_rate(solved[part]) for part in (rank[:third], rank[-third:]))
        found.append(Sensitivity(parameter=name, correlation=tests[name][0], p_value=before, low_success=low, high_success=high))
    return found


def _rate(solved_n: NDArray[np.bool_]) -> tuple[float, float, float]:
    return (float(solved_n.mean()), *wilson(int(solved_n.sum()), len(solved_n)))
