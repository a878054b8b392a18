"""The search for missing terms: finds what was planted, invents nothing."""

from __future__ import annotations

import numpy as np
import pytest

from realitygap_core.candidates import candidates
from realitygap_core.domain import Domain
from realitygap_core.fit import FitConfig, Problem, fit
from realitygap_core.identification import identify, posterior
from realitygap_core.parameters import apply
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream, Target
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot
from realitygap_core.selection import identifiable
from realitygap_core.structure import SearchConfig

# A cart with a pendulum: gravity fixes the scale of the forces only in part, as on a real bench.
CART = """
<mujoco model="bench">
  <option timestep="0.005" integrator="implicitfast"/>
  <worldbody>
    <body name="cart">
      <joint name="slide" type="slide" axis="1 0 0" damping="0.8"/>
      <inertial pos="0 0 0" mass="0.6" diaginertia="0.001 0.001 0.001"/>
      <body name="pole">
        <joint name="swing" axis="0 1 0" damping="0.002"/>
        <inertial pos="0 0 -.2" mass="0.2" diaginertia="0.003 0.003 0.0001"/>
      </body>
    </body>
  </worldbody>
  <actuator><motor name="push" joint="slide" ctrlrange="-5 5"/></actuator>
</mujoco>
"""
COMMAND = Channel(name="u", role="command", unit="N", target=Target(kind="actuator", name="push"))
CHANNELS = (
    Channel(name="x", role="sensor", unit="m", quantity="position", target=Target(kind="joint", name="slide")),
    Channel(name="angle", role="sensor", unit="rad", quantity="position", target=Target(kind="joint", name="swing")),
)
STREAMS = (Stream(name="c", channels=(COMMAND,)), Stream(name="s", channels=CHANNELS))

PLANTED = {
    "stiffness": {"stiffness[slide]": 2.5, "springref[slide]": -0.15},
    "frictionloss": {"frictionloss[slide]": 0.5},
    "delay": {"delay[push]": 0.023},
    "command_offset": {"command_offset[push]": 0.35},
    "force_limit": {"force_limit[push]": 1.6},
}
ORDINARY = {"inertia_scale[pole]": 1.15, "damping[slide]": 0.95}
"""Errors of the model's own parameters, which are no missing terms."""


def bench(robot, values, *, noise=(0.0005, 0.002), seed=0, seconds=8.0):
    data = {}
    for index in range(2):
        rng = np.random.default_rng([seed, index])
        t = np.arange(0, seconds, 0.02)
        u = sum(a * np.sin(2 * np.pi * f * t + p) for a, f, p in zip([1.2, 1.0, 0.8], [0.35, 1.1, 2.3], rng.uniform(0, 6, 3), strict=True))
        zeros = np.zeros((len(t), 2))
        signals = {
            "c": Signal(t_t=t, values_tc=np.asarray(u)[:, None], channels=(COMMAND,)),
            "s": Signal(t_t=t, values_tc=zeros, channels=CHANNELS),
        }
        data[f"log{index}"] = Log(name=f"log{index}", signals=signals)
    replay = Replay(robot, Recording(name="bench", streams=STREAMS, data=data))
    noisy = {**values, "sensor_noise[slide]": noise[0], "sensor_noise[swing]": noise[1]}
    return replay.recordings(apply(robot, noisy), rng=np.random.default_rng(seed))[0]


@pytest.fixture(scope="module")
def robot():
    return Robot.from_xml(CART)


@pytest.mark.slow
@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_term_is_found_and_nothing_else(robot, kind):
    found = identify(Replay(robot, bench(robot, {**ORDINARY, **PLANTED[kind]})))
    assert [term.kind for term in found.found] == [kind]
    for name, value in PLANTED[kind].items():
        assert found.fit.values[name] == pytest.approx(value, rel=0.1), name
    assert found.found[0].confidence > 0.95
    # What is left is the noise that was put in.
    assert found.fit.gap["x"].rmse == pytest.approx(0.0005, rel=0.3)


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_invented_when_only_ordinary_parameters_are_wrong(robot, seed):
    found = identify(Replay(robot, bench(robot, ORDINARY, seed=seed)))
    assert found.found == ()
    assert found.fit.gap["angle"].rmse == pytest.approx(0.002, rel=0.3)


def test_two_terms_are_both_found(robot):
    planted = {**PLANTED["stiffness"], **PLANTED["delay"]}
    found = identify(Replay(robot, bench(robot, planted)))
    assert {term.kind for term in found.found} == {"stiffness", "delay"}
    assert found.fit.values["delay[push]"] == pytest.approx(0.023, abs=0.001)


def test_auto_leaves_out_what_cannot_be_told_apart_and_says_why(robot):
    selection = identifiable(Replay(robot, bench(robot, {})))
    # Masses, gain and dampings times a common factor move the same, and a pendulum's period does not know its mass.
    scaling = {"mass[cart]", "mass[pole]", "gain[push]"}
    assert scaling - set(selection.names)
    assert set(selection.left_out) >= scaling - set(selection.names)
    assert "com_z[pole]" in selection.names or "inertia_scale[pole]" in selection.names
    assert selection.left_out["inertia_scale[cart]"] == "moves nothing that the logs show"
    assert set(selection.tied) >= scaling - set(selection.names)
    assert "inertia_scale[cart]" not in selection.tied


def test_the_choice_among_equals_does_not_hang_on_rounding(robot, monkeypatch):
    replay, exact, rng = Replay(robot, bench(robot, {}, seconds=2.0)), Problem.linearise, np.random.default_rng(0)

    def rounded_otherwise(self, z, step, **kwargs):
        residual, jacobian = exact(self, z, step, **kwargs)
        order = rng.permutation(len(jacobian))  # the same sums, rounded in another order
        return residual[order], jacobian[order]

    monkeypatch.setattr(Problem, "linearise", rounded_otherwise)
    assert len({identifiable(replay).names for _ in range(20)}) == 1


def test_a_coarser_replay_is_the_replay_of_the_robot_with_that_step(robot):
    replay = Replay(robot, bench(robot, PLANTED["delay"], seconds=2.0))
    values = PLANTED["delay"]
    exact = replay.simulate([apply(robot, values)])["angle"][0]
    errors = []
    for factor in (4, 2):
        coarse = replay.coarser(factor)
        slow = Robot.from_xml(CART.replace('timestep="0.005"', f'timestep="{factor * 0.005}"'))
        shown = coarse.simulate([apply(coarse.robot, values)])["angle"][0]
        same = Replay(slow, replay.recording).simulate([apply(slow, values)])["angle"][0]
        assert np.array_equal(shown, same)
        errors.append(float(np.sqrt(np.mean((shown - exact) ** 2))))
    assert 0 < 2 * errors[1] < errors[0]  # of first order: three steps too many against one


def test_candidates_do_not_repeat_what_the_model_has(robot):
    replay = Replay(robot, bench(robot, {}, seconds=1.0))
    kinds = {(term.kind, term.target) for term in candidates(replay, ["gain[push]"])}
    assert ("damping", "slide") not in kinds
    assert ("command_scale", "push") not in kinds
    assert {
        ("frictionloss", "slide"),
        ("stiffness", "swing"),
        ("delay", "push"),
        ("sensor_offset", "swing"),
        ("force_limit", "push"),
    } <= kinds


def test_the_posterior_is_a_domain_about_the_estimates(robot):
    replay = Replay(robot, bench(robot, ORDINARY))
    found = identify(replay, names=["inertia_scale[pole]", "damping[slide]", "gain[push]"])
    domain = Domain.from_mapping(posterior(replay, found.fit, model="bench"))
    for estimate in found.fit.estimates:
        low, high = domain.interval(estimate.name)
        assert domain.medians()[estimate.name] == pytest.approx(estimate.value, rel=1e-3)
        assert (high - low) == pytest.approx(estimate.high - estimate.low, rel=0.25)
    assert np.isfinite(domain.entropy())


def test_what_is_drawn_from_is_at_least_as_wide_as_the_published_intervals(robot):
    replay = Replay(robot, bench(robot, ORDINARY))
    # Student's t of few blocks: 2.3 to 2.8 deviations to each side, not 1.96.
    found = fit(replay, ["inertia_scale[pole]", "damping[slide]", "gain[push]"], config=FitConfig(min_blocks=8, max_blocks=8))
    domain = Domain.from_mapping(posterior(replay, found))
    for estimate in found.estimates:
        low, high = domain.interval(estimate.name)
        assert low <= estimate.low * (1 + 1e-6), estimate.name
        assert high >= estimate.high * (1 - 1e-6), estimate.name


def test_the_posterior_keeps_the_bounds_that_the_search_used_for_a_found_limit(robot):
    replay = Replay(robot, bench(robot, PLANTED["force_limit"]))
    found = identify(replay, names=["damping[slide]"], terms=SearchConfig(max_terms=1))
    assert [term.kind for term in found.found] == ["force_limit"]
    low, high = found.bounds["force_limit[push]"]
    # From the logs: the command asks for 3 N at most. The parameter's own bounds end at twice what `ctrlrange` allows, 10 N.
    assert high == pytest.approx(1.05 * max(abs(log.commands.values_tc).max() for log in replay.recording.data.values()))
    entry = posterior(replay, found.fit, bounds=found.bounds)["parameters"]["force_limit[push]"]
    assert (entry["low"], entry["high"]) == (low, high)


@pytest.mark.parametrize("planted", [{}, PLANTED["frictionloss"]])
def test_a_log_without_noise_gives_no_term_that_is_not_there(robot, planted):
    # What is left after the fit is rounding and steps not taken; it must not become an offset of 1e-5 rad.
    found = identify(Replay(robot, bench(robot, {**ORDINARY, **planted}, noise=(0.0, 0.0))))
    assert {name for term in found.found for name in term.parameters} == set(planted)
