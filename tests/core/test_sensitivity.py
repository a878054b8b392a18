"""What the outcome depends on: a parameter that decides is found, one that does not is left undecided."""

from __future__ import annotations

import numpy as np
import pytest

from realitygap_core.sensitivity import sensitivities


def test_the_parameter_that_decides_comes_first_and_success_at_its_ends_is_counted_by_hand() -> None:
    rng = np.random.default_rng(0)
    damping = np.linspace(0, 1, 90)
    plants = {"mass[pole]": rng.uniform(1, 2, 90), "damping[arm]": damping, "gravity": np.full(90, 9.81)}
    found = sensitivities(plants, -(damping**3), damping < 0.5)
    assert [one.parameter for one in found] == ["damping[arm]", "mass[pole]"]  # a constant is left out
    first = found[0]
    assert (first.correlation, first.verdict) == (pytest.approx(-1), "falls")
    assert first.low_success[0] == 1.0  # the lowest 30 lie below 1/3
    assert first.high_success[0] == 0.0
    assert found[1].verdict == "undecided"


def test_holms_correction_keeps_the_rate_of_false_alarms_over_all_parameters() -> None:
    alarms = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        plants = {f"p{index}": rng.normal(size=40) for index in range(8)}
        alarms += any(one.verdict != "undecided" for one in sensitivities(plants, rng.normal(size=40), rng.random(40) < 0.5))
    # At most 5 %, give or take three standard deviations of 200 tries; without the correction it is a third.
    assert alarms <= 200 * 0.05 + 3 * np.sqrt(200 * 0.05 * 0.95)


def test_returns_that_are_all_the_same_say_nothing() -> None:
    found = sensitivities({"a": np.arange(10.0)}, np.ones(10), np.ones(10, bool))
    assert [(one.correlation, one.p_value, one.verdict) for one in found] == [(0.0, 1.0, "undecided")]
