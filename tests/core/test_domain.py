"""Domains: exact entropies, supports, correlations, and errors that name the place."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import integrate, stats

from realitygap_core.domain import Domain, nearest_correlation
from realitygap_core.errors import CoreError
from realitygap_core.marginals import KINDS, Marginal, marginal

MARGINALS = {
    "uniform": {"distribution": "uniform", "low": -0.3, "high": 0.5},
    "log_uniform": {"distribution": "log_uniform", "low": 1e-6, "high": 1e-3},
    "gaussian": {"distribution": "gaussian", "mean": 2.0, "std": 0.3},
    "truncated_gaussian": {"distribution": "truncated_gaussian", "mean": 0.0, "std": 1.0, "low": -0.5, "high": 2.0},
    "truncated far in the tail": {"distribution": "truncated_gaussian", "mean": 0.0, "std": 1.0, "low": 12.0, "high": 13.0},
    "log_gaussian": {"distribution": "log_gaussian", "median": 0.02, "log_std": 0.4},
    "cut log_gaussian": {"distribution": "log_gaussian", "median": 0.02, "log_std": 0.4, "low": 0.015, "high": 0.05},
    "beta": {"distribution": "beta", "alpha": 2.5, "beta": 7.0, "low": 1.0, "high": 4.0},
}
each_marginal = pytest.mark.parametrize("entry", MARGINALS.values(), ids=list(MARGINALS))


def made(entry: dict) -> Marginal:
    return marginal(entry, "/parameters/x")


def quadrature(m: Marginal, of) -> float:
    """Integral of p(x) of(x) by adaptive quadrature in x, on pieces between quantiles."""
    edges = np.unique(
        np.concatenate([[m.support[0]], m.quantile([1e-9, 1e-4, 0.01, 0.2, 0.5, 0.8, 0.99, 1 - 1e-4, 1 - 1e-9]), [m.support[1]]])
    )
    edges = edges[np.isfinite(edges)]

    def integrand(x: float) -> float:
        log_p = float(m.log_density(x))
        return math.exp(log_p) * of(x, log_p) if math.isfinite(log_p) else 0.0

    return sum(integrate.quad(integrand, a, b, epsabs=1e-12)[0] for a, b in itertools.pairwise(edges))


@each_marginal
def test_density_integrates_to_one_and_entropy_equals_quadrature(entry):
    m = made(entry)
    assert_allclose(quadrature(m, lambda x, log_p: 1.0), 1.0, atol=1e-7)
    assert_allclose(m.entropy(), quadrature(m, lambda x, log_p: -log_p), atol=1e-6)


@each_marginal
def test_normal_scores_go_there_and_back_and_draws_have_the_stated_density(entry):
    m = made(entry)
    z = np.linspace(-3, 3, 13)
    assert_allclose(m.to_normal(m.from_normal(z)), z, atol=1e-5)
    x = m.from_normal(np.random.default_rng(0).standard_normal(4000))
    assert np.all((x >= m.support[0]) & (x <= m.support[1]))
    # An independent check of the sampler: the histogram of the probability integral transform of the density's own integral.
    grid = np.sort(np.concatenate([m.quantile(np.linspace(1e-6, 1 - 1e-6, 4001))]))
    mass = np.concatenate([[0], np.cumsum(np.diff(grid) * np.exp((m.log_density(grid[1:]) + m.log_density(grid[:-1])) / 2))])
    assert stats.kstest(np.interp(x, grid, mass), "uniform").pvalue > 1e-3


def test_entropies_equal_hand_computed_values():
    assert_allclose(made({"distribution": "uniform", "low": 0, "high": 2}).entropy(), math.log(2))
    assert_allclose(made({"distribution": "gaussian", "mean": 5, "std": 1}).entropy(), 0.5 * math.log(2 * math.pi * math.e))
    # Beta(1, 1) is the uniform; Beta(5.94, 5.94) on [-pi/2, pi/2] is the known optimum of the inclined plane at alpha 0.5: 0.5874.
    assert_allclose(made({"distribution": "beta", "alpha": 1, "beta": 1, "low": 0, "high": 2}).entropy(), math.log(2))
    plane = {"distribution": "beta", "alpha": 5.940, "beta": 5.940, "low": -math.pi / 2, "high": math.pi / 2}
    assert_allclose(made(plane).entropy(), 0.5874, atol=1e-4)


def correlated(rho: float, convention: str = "normal_scores") -> dict:
    return {
        "schema": 1,
        "model": "qube",
        "parameters": {
            "mass[pole]": {"distribution": "log_gaussian", "median": 0.024, "log_std": 0.1, "unit": "kg"},
            "damping[arm]": {"distribution": "log_uniform", "low": 1e-6, "high": 1e-4},
            "gravity": {"distribution": "fixed", "value": 9.81},
            "latency": {"distribution": "truncated_gaussian", "mean": 0.0, "std": 0.01, "low": 0.0, "high": 0.03},
        },
        "correlation": {
            "convention": convention,
            "pairs": [{"names": ["mass[pole]", "damping[arm]"], "value": rho}, {"names": ["damping[arm]", "latency"], "value": -rho / 2}],
        },
    }


def test_joint_entropy_is_the_mean_of_minus_log_density():
    domain = Domain.from_mapping(correlated(0.6))
    draws = domain.sample(np.random.default_rng(1), 40_000)
    log_p = domain.log_density(draws)
    assert_allclose(-log_p.mean(), domain.entropy(), atol=4 * log_p.std() / math.sqrt(log_p.size))
    # det R = 1 - 0.6^2 - 0.3^2 = 0.55
    assert_allclose(domain.entropy() - sum(domain.entropies().values()), 0.5 * math.log(0.55))
    assert_allclose(domain.entropy(["mass[pole]", "latency"]), domain.entropies()["mass[pole]"] + domain.entropies()["latency"])
    assert "gravity" not in domain.entropies()


@pytest.mark.parametrize(("convention", "measured"), [("spearman", stats.spearmanr), ("normal_scores", None)])
def test_draws_have_the_stated_correlation_and_stay_in_range(convention, measured):
    domain = Domain.from_mapping(correlated(0.6, convention))
    draws = domain.sample(np.random.default_rng(2), 20_000)
    mass, damping = draws["mass[pole]"], draws["damping[arm]"]
    if measured is None:
        scores = [domain.parameters[n].to_normal(draws[n]) for n in ("mass[pole]", "damping[arm]")]
        assert_allclose(np.corrcoef(scores)[0, 1], 0.6, atol=0.015)
    else:
        assert_allclose(measured(mass, damping).statistic, 0.6, atol=0.015)
    assert np.all((damping >= 1e-6) & (damping <= 1e-4))
    assert np.all((draws["latency"] >= 0) & (draws["latency"] <= 0.03))
    assert np.all(draws["gravity"] == 9.81)


def test_log_density_of_two_gaussians_equals_the_bivariate_normal():
    parameters = {name: {"distribution": "gaussian", "mean": 1.0, "std": 2.0} for name in "ab"}
    document = {"schema": 1, "parameters": parameters, "correlation": {"names": ["a", "b"], "matrix": [[1, 0.7], [0.7, 1]]}}
    points = np.random.default_rng(3).normal(size=(5, 2))
    expected = stats.multivariate_normal([1, 1], [[4, 2.8], [2.8, 4]])
    domain = Domain.from_mapping(document)
    assert_allclose(domain.log_density({"a": points[:, 0], "b": points[:, 1]}), expected.logpdf(points))
    assert_allclose(domain.entropy(), expected.entropy())


def test_log_density_outside_the_support_is_minus_infinity_also_with_a_copula():
    domain = Domain.from_mapping(correlated(0.6))
    inside = {"mass[pole]": 0.02, "damping[arm]": 1e-5, "gravity": 9.81, "latency": 0.01}
    assert np.isfinite(domain.log_density(inside)).all()
    assert domain.log_density({**inside, "latency": -0.001})[0] == -np.inf


def test_interval_holds_the_central_mass():
    domain = Domain.from_mapping({"schema": 1, "parameters": {"gravity": {"distribution": "gaussian", "mean": 9.8, "std": 0.1}}})
    assert_allclose(domain.interval("gravity"), [9.8 - 0.1959964, 9.8 + 0.1959964], atol=1e-6)


def test_an_impossible_correlation_is_repaired_with_a_warning():
    names = ["a", "b", "c"]
    document = {
        "schema": 1,
        "parameters": {name: {"distribution": "uniform", "low": 0, "high": 1} for name in names},
        "correlation": {"names": names, "matrix": [[1, 0.9, -0.9], [0.9, 1, 0.9], [-0.9, 0.9, 1]]},
    }
    with pytest.warns(UserWarning, match="no distribution has it"):
        domain = Domain.from_mapping(document)
    assert len(domain.warnings) == 1
    assert np.linalg.eigvalsh(domain.correlation)[0] > 0
    assert np.isfinite(domain.entropy())
    # By symmetry the nearest one has entries r, r, -r at the edge of what is possible: 1 - 2 r = 0.
    assert_allclose(np.abs(domain.correlation[np.triu_indices(3, 1)]), 0.5, atol=1e-3)


@given(st.integers(2, 6), st.integers(0, 10_000))
def test_nearest_correlation_is_a_correlation_matrix(n, seed):
    raw = np.random.default_rng(seed).uniform(-1, 1, (n, n))
    raw = (raw + raw.T) / 2
    np.fill_diagonal(raw, 1)
    fixed = nearest_correlation(raw)
    assert_allclose(np.diag(fixed), 1)
    assert np.max(np.abs(fixed)) <= 1 + 1e-9
    np.linalg.cholesky(fixed)


def test_a_document_survives_writing_and_reading():
    domain = Domain.from_mapping(correlated(0.6, "spearman"))
    text = json.dumps(domain.to_mapping())
    again = Domain.from_mapping(json.loads(text))
    assert again.parameters == domain.parameters
    assert_allclose(again.correlation, domain.correlation)
    a, b = (d.sample(np.random.default_rng(0), 4) for d in (domain, again))
    assert all(np.array_equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("change", "pointer", "message"),
    [
        ({"schema": 2}, "/schema", "schema 2"),
        ({"parameter": {}}, "/parameter", "no key of a domain"),
        ({"parameters": {}}, "/parameters", "at least one"),
        ({"parameters": {"a": "3"}}, "/parameters/a", "needs a number or a mapping"),
        (
            {"parameters": {"a": {"distribution": "unifrom", "low": 0, "high": 1}}},
            "/parameters/a/distribution",
            "no distribution 'unifrom'",
        ),
        ({"parameters": {"a": {"distribution": "uniform", "low": 0}}}, "/parameters/a", "needs `high`"),
        ({"parameters": {"a/b": {"distribution": "uniform", "low": 1, "high": 0}}}, "/parameters/a~1b/high", "not above"),
        ({"parameters": {"a": {"distribution": "uniform", "low": math.nan, "high": 0}}}, "/parameters/a/low", "finite"),
        ({"parameters": {"a": {"distribution": "uniform", "low": "1", "high": 2}}}, "/parameters/a/low", "finite"),
        ({"parameters": {"a": {"distribution": "gaussian", "mean": 0, "std": 0}}}, "/parameters/a/std", "positive"),
        ({"parameters": {"a": {"distribution": "log_uniform", "low": 0, "high": 1}}}, "/parameters/a/low", "positive"),
        ({"parameters": {"a": {"distribution": "gaussian", "mean": 0, "std": 1, "low": 3}}}, "/parameters/a/low", "no key of a gaussian"),
        ({"correlation": {"pairs": [{"names": ["mass[pole]", "mas"], "value": 0}]}}, "/correlation/pairs/0/names/1", "no parameter 'mas'"),
        ({"correlation": {"pairs": [{"names": ["mass[pole]", "gravity"], "value": 0}]}}, "/correlation/pairs/0/names/1", "fixed"),
        ({"correlation": {"pairs": [{"names": ["mass[pole]", "latency"], "value": 2}]}}, "/correlation/pairs/0/value", "lies in"),
        ({"correlation": {"names": ["latency"], "matrix": [[2]]}}, "/correlation/matrix/0/0", "lies in"),
        ({"correlation": {"names": ["latency", "mass[pole]"], "matrix": [[1, 0.1], [0.2, 1]]}}, "/correlation/matrix/1/0", "symmetric"),
        ({"correlation": {}}, "/correlation", "either"),
    ],
)
def test_a_wrong_document_is_refused_at_the_place(change, pointer, message):
    with pytest.raises(CoreError, match=message) as caught:
        Domain.from_mapping({**correlated(0.5), **change})
    assert caught.value.pointer == pointer


def test_a_plain_number_is_a_fixed_value():
    domain = Domain.from_mapping(
        {"schema": 1, "parameters": {"gravity": 9.81, "mass[a]": {"distribution": "uniform", "low": 1, "high": 2}}}
    )
    assert domain.free == ("mass[a]",)
    assert domain.entropy() == 0.0
    assert domain.sample(np.random.default_rng(0), 3)["gravity"].tolist() == [9.81] * 3


def test_the_schema_and_the_reader_agree_on_the_distributions_and_their_keys():
    import realitygap

    path = Path(realitygap.__file__).parent / "schemas" / "domain.schema.json"
    schema = json.loads(path.read_text())
    validator = jsonschema.Draft202012Validator(schema)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["$defs"]["marginal"]["properties"]["distribution"]["enum"]) == set(KINDS)
    validator.validate(correlated(0.5))
    validator.validate(Domain.from_mapping(correlated(0.5)).to_mapping())
    for entry in (*MARGINALS.values(), {"distribution": "fixed", "value": 1}):
        validator.validate({"schema": 1, "parameters": {"mass[x]": {**entry, "unit": "kg"}}})
        for key in entry:
            without = {k: v for k, v in entry.items() if k != key}
            wrong = {"schema": 1, "parameters": {"mass[x]": without}}
            optional = entry["distribution"] == "log_gaussian" and key in ("low", "high")
            assert validator.is_valid(wrong) == optional
            if not optional:
                with pytest.raises(CoreError):
                    Domain.from_mapping(wrong)
        assert not validator.is_valid({"schema": 1, "parameters": {"mass[x]": {**entry, "wrong": 1}}})
