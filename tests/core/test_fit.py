"""Fits on pseudo-real logs: recovery, coverage, what cannot be told apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from realitygap_core.errors import CoreError
from realitygap_core.fit import FitConfig, fit, solve
from realitygap_core.intervals import correlation_time
from realitygap_core.least_squares import bounded_step, reduced
from realitygap_core.parameters import apply
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream, Target
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot

PENDULUM = """
<mujoco model="pendulum">
  <option timestep="0.005" integrator="implicitfast"/>
  <worldbody>
    <body name="link">
      <joint name="hinge" axis="0 1 0" damping="0.02"/>
      <inertial pos="0 0 -.25" mass="0.5" diaginertia="0.01 0.01 0.0001"/>
      <geom type="capsule" fromto="0 0 0 0 0 -.5" size=".01" mass="0" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator><motor name="motor" joint="hinge"/></actuator>
</mujoco>
"""
COMMAND = Channel(name="u", role="command", unit="N m", target=Target(kind="actuator", name="motor"))
ANGLE = Channel(name="q", role="sensor", unit="rad", quantity="position", target=Target(kind="joint", name="hinge"))
STREAMS = (Stream(name="c", channels=(COMMAND,)), Stream(name="s", channels=(ANGLE,)))


def commands(seed, seconds):
    t = np.arange(0, seconds, 0.02)
    rng = np.random.default_rng(seed)
    waves = sum(a * np.sin(2 * np.pi * f * t + p) for a, f, p in zip([0.5, 0.4, 0.3], [0.3, 0.9, 2.1], rng.uniform(0, 6, 3), strict=True))
    return t, np.asarray(waves)


def pseudo_real(robot, values, *, seed=0, noise=0.002, seconds=6.0, logs=1):
    """Logs of the plant with `values`, with white noise on the angle."""
    data = {}
    for index in range(logs):
        t, u = commands(100 * seed + index, seconds)
        name = f"log{index}"
        data[name] = Log(
            name=name,
            signals={
                "c": Signal(t_t=t, values_tc=u[:, None], channels=(COMMAND,)),
                "s": Signal(t_t=t, values_tc=np.zeros((len(t), 1)), channels=(ANGLE,)),
            },
        )
    replay = Replay(robot, Recording(name="pseudo", streams=STREAMS, data=data))
    simulated, _ = replay.recordings(apply(robot, {**values, "sensor_noise[hinge]": noise}), rng=np.random.default_rng(seed))
    return simulated


@pytest.fixture(scope="module")
def robot():
    return Robot.from_xml(PENDULUM)


TRUTH = {"inertia_scale[link]": 1.3, "damping[hinge]": 0.035, "gain[motor]": 0.9, "delay[motor]": 0.0173}


def test_parameters_are_recovered_within_two_per_cent_and_the_delay_within_half_a_millisecond(robot):
    replay = Replay(robot, pseudo_real(robot, TRUTH, noise=0.0005))
    found = fit(replay, list(TRUTH), config=FitConfig(tolerance=1e-6))
    assert found.converged
    for name, value in TRUTH.items():
        if name == "delay[motor]":
            assert found.values[name] == pytest.approx(value, abs=5e-4)
        else:
            assert found.values[name] == pytest.approx(value, rel=0.02), name
    assert found.gap["q"].rmse == pytest.approx(0.0005, rel=0.15)
    assert not found.unidentified


@pytest.mark.slow
def test_the_intervals_hold_the_truth_in_most_of_a_batch(robot):
    held = []
    for seed in range(12):
        replay = Replay(robot, pseudo_real(robot, TRUTH, seed=seed))
        found = fit(replay, list(TRUTH), start=TRUTH, config=FitConfig(max_iterations=5))
        held += [estimate.low <= TRUTH[estimate.name] <= estimate.high for estimate in found.estimates]
        gain = found.estimates[list(TRUTH).index("gain[motor]")]
        assert gain.high - gain.low < 0.2 * gain.value, "an interval that says nothing holds anything"
    # 48 intervals of 95 % hold 45.6 on average. The start of each replay is one noisy sample; without its share they held 40.
    assert sum(held) >= 43


def test_what_cannot_be_told_apart_is_named(robot):
    # Torque, mass and damping scaled together move the same: of gain, mass and damping one is free.
    replay = Replay(robot, pseudo_real(robot, {}))
    found = fit(replay, ["gain[motor]", "mass[link]", "damping[hinge]"], config=FitConfig(max_iterations=6))
    assert found.unidentified
    assert {"gain[motor]", "mass[link]"} <= set(found.unidentified[0].parts)
    assert found.unidentified[0].parts["gain[motor]"] * found.unidentified[0].parts["mass[link]"] > 0, "they rise together"
    assert "raising" in found.unidentified[0].text
    assert not any(estimate.identified for estimate in found.estimates if estimate.name in ("gain[motor]", "mass[link]"))


def test_a_parameter_without_influence_gets_an_interval_as_wide_as_its_bounds(robot):
    replay = Replay(robot, pseudo_real(robot, {}))
    found = fit(replay, ["damping[hinge]", "springref[hinge]"])  # without stiffness a rest angle does nothing
    rest = found.estimates[1]
    assert not rest.identified
    assert rest.high - rest.low > 0.8 * 2 * math.pi
    assert found.values["springref[hinge]"] == pytest.approx(0.0, abs=1e-6)


def test_a_value_beyond_the_bounds_ends_on_the_bound_and_says_so(robot):
    replay = Replay(robot, pseudo_real(robot, {"damping[hinge]": 0.08}))
    found = fit(replay, ["damping[hinge]"], bounds={"damping[hinge]": (0.01, 0.04)})
    assert found.values["damping[hinge]"] == pytest.approx(0.04)
    assert found.estimates[0].at_bound


def test_correlated_residuals_widen_the_intervals(robot):
    # A wrong fixed parameter leaves a residual that is all correlation; white noise of equal size allows narrower intervals.
    real = pseudo_real(robot, {"delay[motor]": 0.04})
    wrong = fit(Replay(robot, real), ["damping[hinge]"])
    white = fit(Replay(robot, pseudo_real(robot, {}, noise=wrong.gap["q"].rmse)), ["damping[hinge]"])
    assert wrong.estimates[0].sd > 1.5 * white.estimates[0].sd
    assert wrong.effective_samples < 0.3 * white.effective_samples


def test_impossible_bounds_are_refused(robot):
    replay = Replay(robot, pseudo_real(robot, {}))
    for bounds, message in (((0.2, 0.1), "first smaller"), ((-1.0, 1.0), "beyond what is possible")):
        with pytest.raises(CoreError, match=message):
            fit(replay, ["damping[hinge]"], bounds={"damping[hinge]": bounds})


def test_correlation_time_of_an_autoregressive_process():
    # x_t = 0.9 x_(t-1) + e: 1 + 2 sum 0.9^k = (1 + 0.9) / (1 - 0.9) = 19. White noise: 1. A constant: as long as the record.
    rng = np.random.default_rng(0)
    noise = rng.normal(size=40_000)
    x = np.zeros_like(noise)
    for i in range(1, len(x)):
        x[i] = 0.9 * x[i - 1] + noise[i]
    assert correlation_time(x) == pytest.approx(19, rel=0.15)
    assert correlation_time(noise) == pytest.approx(1, abs=0.15)
    assert correlation_time(np.ones(500)) > 100


def test_the_bounded_step_solves_a_linear_problem_in_one_go():
    # minimise |J z - b|: inside the box where b allows it, else on its edge with the other coordinate re-optimised.
    jacobian = np.array([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
    z = np.array([0.5, 0.5])
    for target in ([0.2, 0.9], [0.9, 1.7]):
        residual = jacobian @ (z - np.array(target))
        q, r, norms = reduced(jacobian)
        end = z + bounded_step(r, q.T @ residual, norms, -z, 1.0 - z, 1e-12)
        if max(target) <= 1:
            np.testing.assert_allclose(end, target, atol=1e-6)
        else:
            # On the edge z2 = 1: minimise (2 (z1 - .9))^2 + (z1 - .9 + 1 - 1.7)^2, so z1 = .9 + .7 / 5 = 1.04, beyond the box: 1.
            np.testing.assert_allclose(end, [1.0, 1.0], atol=1e-6)


class Stuck:
    """A residual that no trial lowers although its Jacobian promises it, with what `solve` asks of a problem."""

    def __init__(self, slope):
        self.slope = slope

    def linearise(self, z, step):
        return np.ones(4), np.full((4, 1), self.slope)

    def residuals(self, z_bk):
        return np.full((len(z_bk), 4), 2.0)


def test_a_fit_that_finds_no_way_down_has_converged_only_where_there_is_none():
    assert solve(Stuck(1.0), np.array([0.5]), FitConfig())[1] is False
    assert solve(Stuck(0.0), np.array([0.5]), FitConfig())[1] is True
