"""Domains made from models, and adapted to what was identified without ever being narrower than it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from skillbench import skill_function

from realitygap.context import RunContext
from realitygap.errors import Explained
from realitygap_core.domain import Domain
from realitygap_core.errors import CoreError
from realitygap_core.marginals import Gaussian, LogGaussian, LogUniform, TruncatedGaussian, Uniform
from realitygap_core.parameters import apply_many
from realitygap_core.robot import Robot
from realitygap_plugins.randomizer import adapt as adapting

randomize, adapt = skill_function("randomize-domain"), skill_function("adapt-domain")

ARM = """
<mujoco model="arm">
  <worldbody>
    <body name="upper">
      <joint name="shoulder" type="hinge" axis="0 1 0" damping="0.1" frictionloss="0.02"/>
      <geom name="rod" type="capsule" fromto="0 0 0 0.3 0 0" size="0.02" mass="0.5"/>
    </body>
  </worldbody>
  <actuator><position name="servo" joint="shoulder" kp="20" kv="0.5"/></actuator>
  <sensor><jointpos name="angle" joint="shoulder"/></sensor>
</mujoco>
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "arm.xml"
    path.write_text(ARM)
    return str(path)


@pytest.fixture
def run(tmp_path: Path) -> RunContext:
    return RunContext(folder=tmp_path / "step", seed=3)


def read(path: str) -> Domain:
    return Domain.from_mapping(yaml.safe_load(Path(path).read_text()))


def test_randomize_takes_what_the_model_has_and_its_draws_are_plants(model, run):
    outputs = randomize({"model": model, "parameters": "auto", "width": 0.25, "draws": 5}, run)
    domain = read(outputs["domain"])
    expected = {
        "mass[upper]",
        "damping[shoulder]",
        "frictionloss[shoulder]",
        "gain[servo]",
        "velocity_gain[servo]",
        "latency",
        "friction[rod]",
    }
    assert set(domain.names) == expected
    assert_allclose(domain.parameters["mass[upper]"].support, (0.5 / 1.25, 0.5 * 1.25))
    assert domain.parameters["latency"].support[0] == 0.0
    assert_allclose(outputs["entropy"], domain.entropy())
    # Width w in log x: log(2 log(1 + w)) + log(nominal), by hand for the mass.
    assert_allclose(outputs["entropies"]["mass[upper]"], np.log(2 * np.log(1.25)) + np.log(0.5))
    assert len(outputs["draws"]) == 5
    assert set(outputs["draws"][0]) == expected
    draws = domain.sample(np.random.default_rng(0), 8)
    apply_many(Robot.load(model), domain.names, np.stack([draws[n] for n in domain.names], axis=1))
    assert (run.folder / "artifacts" / "figures" / "marginals.svg").is_file()


def test_randomize_gives_a_range_to_what_is_nominally_zero(model, run):
    domain = read(randomize({"model": model, "parameters": ["sensor_offset[angle]"], "width": 0.5}, run)["domain"])
    low, high = domain.parameters["sensor_offset[angle]"].support
    assert low < 0 < high


def test_randomize_draws_the_same_for_a_seed(model, run, tmp_path):
    again = RunContext(folder=tmp_path / "again", seed=3)
    other = RunContext(folder=tmp_path / "other", seed=4)
    first, second, third = (randomize({"model": model}, r)["draws"] for r in (run, again, other))
    assert first == second != third


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["mass[uper]"], "no parameter 'mass\\[uper\\]'"),
        (["mass[upper]", "mass[upper]"], "named twice"),
        (["latency", "delay[servo]"], "sets every delay"),
        (["force_limit[servo]"], "no nominal value"),
    ],
)
def test_randomize_refuses_what_cannot_be(model, run, names, message):
    with pytest.raises(CoreError, match=message):
        randomize({"model": model, "parameters": names}, run)
    assert not (run.folder / "artifacts" / "domain.yaml").exists()


spread = st.floats(1e-3, 1.0)
marginals = st.one_of(
    st.builds(lambda m, s: Gaussian(mean=m, std=s), st.floats(-2, 2), spread),
    st.builds(lambda m, s: TruncatedGaussian(mean=m, std=s, low=0.0, high=3.0), st.floats(-0.2, 3), spread),
    st.builds(lambda m, s: TruncatedGaussian(mean=m, std=s, low=-3.0, high=3.0), st.floats(-3, 3), spread),
    st.builds(lambda m, s: LogGaussian(median=m, log_std=s, low=0.01, high=10.0), st.floats(0.01, 10), spread),
    st.builds(lambda m, w: LogUniform(low=m, high=m * (1 + w)), st.floats(0.01, 10), spread),
    st.builds(lambda m, w: Uniform(low=m, high=m + w), st.floats(0, 2), spread),
)


@settings(deadline=None, max_examples=150)
@given(marginals, st.floats(1, 4), st.floats(0, 1), st.floats(0, 1))
def test_an_adapted_marginal_holds_the_identified_interval_and_is_no_narrower_than_before(m, factor, below, above):
    low, high = adapting.central(m)
    reach = high - low
    wanted = low - below * reach, high + above * reach
    if isinstance(m, (LogGaussian, LogUniform)):
        wanted = low / (1 + below), high * (1 + above)
    elif m.support[0] == 0:
        wanted = max(0.0, wanted[0]), wanted[1]
    wide = adapting.widened(m, factor, wanted)
    new = adapting.central(wide)
    tolerance = 1e-6 * reach
    assert new[1] >= wanted[1] - tolerance
    assert new[0] <= wanted[0] + tolerance or (wanted[0] <= 0.05 * wanted[1] and wide.support[0] == 0)
    assert new[1] - new[0] >= reach - tolerance or wide.support[0] == 0
    if m.support[0] >= 0:
        assert wide.support[0] >= 0


AT_ZERO = {"distribution": "truncated_gaussian", "mean": 0.001, "std": 0.004, "low": 0.0, "high": 0.5, "unit": "N m"}
IDENTIFIED = {
    "schema": 1,
    "model": "arm",
    "parameters": {
        "mass[upper]": {"distribution": "log_gaussian", "median": 0.52, "log_std": 0.02, "low": 0.1, "high": 2.0, "unit": "kg"},
        "frictionloss[shoulder]": {
            "distribution": "truncated_gaussian",
            "mean": 0.001,
            "std": 0.004,
            "low": 0.0,
            "high": 0.5,
            "unit": "N m",
        },
        "delay[servo]": {"distribution": "truncated_gaussian", "mean": 0.004, "std": 0.0005, "low": 0.0, "high": 0.05, "unit": "s"},
        "gravity": 9.81,
    },
    "correlation": {"names": ["mass[upper]", "frictionloss[shoulder]"], "matrix": [[1, 0.6], [0.6, 1]]},
}


@pytest.fixture
def identified(tmp_path: Path) -> str:
    path = tmp_path / "identified.yaml"
    path.write_text(yaml.safe_dump(IDENTIFIED))
    return str(path)


def test_adapt_holds_the_intervals_of_the_identification_and_learns_something(identified, run):
    intervals = {
        "mass[upper]": {"value": 0.52, "low": 0.48, "high": 0.57, "unit": "kg"},
        "frictionloss[shoulder]": {"value": 0.001, "low": 0.0, "high": 0.012, "unit": "N m"},
        "delay[servo]": {"value": 0.004, "low": None, "high": None, "unit": "s"},
    }
    outputs = adapt({"identified": identified, "parameters": intervals, "widen": 1.5}, run)
    domain = read(outputs["domain"])
    low, high = domain.interval("mass[upper]")
    assert low <= 0.48 < 0.57 <= high
    # An end at zero is held by the support: friction loss cannot be negative.
    assert domain.parameters["frictionloss[shoulder]"].support[0] == 0.0
    assert domain.interval("frictionloss[shoulder]")[1] >= 0.012
    assert outputs["entropy_after"] < outputs["entropy_before"]
    table = outputs["parameters"]
    assert set(table) == {"mass[upper]", "frictionloss[shoulder]", "delay[servo]"}
    # The copula is kept: the joint entropy is the sum of the parameters' + 1/2 log(1 - 0.6^2).
    assert_allclose(outputs["entropy_after"], sum(row["entropy_after"] for row in table.values()) + 0.5 * np.log(1 - 0.36))
    # Before: log-uniform over the mass' bounds, uniform over the others'.
    assert_allclose(table["frictionloss[shoulder]"]["entropy_before"], np.log(0.5))
    assert_allclose(table["mass[upper]"]["entropy_before"], 0.5 * np.log(0.1 * 2.0) + np.log(np.log(20)))
    assert (run.folder / "artifacts" / "figures" / "marginals.svg").is_file()


def test_adapt_completes_a_prior_that_lacks_parameters_and_says_so(identified, model, run, tmp_path):
    prior = randomize({"model": model, "parameters": ["mass[upper]"], "width": 1.0}, RunContext(folder=tmp_path / "prior"))["domain"]
    outputs = adapt({"identified": identified, "prior": prior}, run)
    assert_allclose(outputs["parameters"]["mass[upper]"]["entropy_before"], read(prior).entropy())
    assert any("frictionloss[shoulder]" in warning for warning in run.warnings)


def test_adapt_warns_of_a_value_that_its_prior_hardly_held_possible(identified, run, tmp_path):
    prior = tmp_path / "prior.yaml"
    marginals = {
        # 0.52 kg lies above the central 95 %, 0.4025 to 0.4975 kg; 1 mN m of friction is not far from a prior that begins at 0.
        "mass[upper]": {"distribution": "uniform", "low": 0.4, "high": 0.5, "unit": "kg"},
        "frictionloss[shoulder]": {"distribution": "uniform", "low": 0.0, "high": 0.5, "unit": "N m"},
        "delay[servo]": {"distribution": "uniform", "low": 0.001, "high": 0.02, "unit": "s"},
    }
    prior.write_text(yaml.safe_dump({"schema": 1, "parameters": marginals}))
    adapt({"identified": identified, "prior": str(prior)}, run)
    assert [w.split(": check")[0] for w in run.warnings] == [
        "mass[upper] was identified at 0.52 kg, outside the central 95 % of its prior, 0.4025 to 0.4975"
    ]
    # Without a prior there is no belief to contradict.
    plain = RunContext(folder=tmp_path / "plain")
    adapt({"identified": identified}, plain)
    assert plain.warnings == []


def test_adapt_adds_latency_and_noise_without_touching_the_entropies(identified, run, tmp_path):
    plain = adapt({"identified": identified}, RunContext(folder=tmp_path / "plain"))
    outputs = adapt({"identified": identified, "latency": 0.01, "sensor_noise": {"angle": 0.003}}, run)
    domain = read(outputs["domain"])
    before = read(plain["domain"]).interval("delay[servo]")
    low, high = domain.interval("delay[servo]")
    assert low <= before[0]
    assert high >= before[1] + 0.01
    assert_allclose(domain.parameters["sensor_noise[angle]"].support, (0.0, 0.003))
    assert set(outputs["robustness"]) == {"delay[servo]", "sensor_noise[angle]"}
    assert outputs["entropy_after"] == plain["entropy_after"]


def test_adapt_names_the_line_of_a_wrong_domain(tmp_path, run):
    path = tmp_path / "wrong.yaml"
    path.write_text("schema: 1\nparameters:\n  gravity:\n    distribution: uniform\n    low: 2\n    high: 1\n")
    with pytest.raises(Explained) as caught:
        adapt({"identified": str(path)}, run)
    assert "wrong.yaml:6" in str(caught.value.where)


def test_adapt_refuses_an_unbounded_parameter_without_a_prior(tmp_path, run):
    path = tmp_path / "open.yaml"
    path.write_text("schema: 1\nparameters:\n  gravity: {distribution: gaussian, mean: 9.8, std: 0.1}\n")
    with pytest.raises(Explained, match="what 'gravity' was before"):
        adapt({"identified": str(path)}, run)


def test_adapt_refuses_noise_on_a_channel_that_the_model_lacks(identified, model, run):
    with pytest.raises(CoreError, match=r"sensor_noise\[angel\]") as caught:
        adapt({"identified": identified, "model": model, "sensor_noise": {"angel": 0.01}}, run)
    assert "angle" in str(caught.value.hint)
