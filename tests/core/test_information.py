"""Entropy and mutual information against closed forms and independent brute force."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import special, stats
from scipy.spatial.distance import cdist

from realitygap_core import information
from realitygap_core.errors import CoreError


@pytest.mark.parametrize("d", [1, 2, 4])
def test_knn_entropy_of_a_gaussian_is_near_its_closed_form(d):
    rng = np.random.default_rng(0)
    values = [information.knn_entropy(rng.normal(size=(1500, d))) for _ in range(5)]
    assert_allclose(np.mean(values), d / 2 * math.log(2 * math.pi * math.e), atol=0.03 * d)


def test_knn_entropy_equals_brute_force_and_shifts_by_log_of_a_scale():
    x = np.random.default_rng(1).normal(size=(60, 2))
    k = 4
    distance = np.sort(cdist(x, x), axis=1)[:, k]
    expected = special.psi(60) - special.psi(k) + math.log(math.pi) + 2 * np.mean(np.log(distance))
    assert_allclose(information.knn_entropy(x, k), expected)
    assert_allclose(information.knn_entropy(3 * x, k), expected + 2 * math.log(3))
    with pytest.raises(CoreError, match="minus infinity"):
        information.knn_entropy(np.zeros((20, 1)))


def test_gaussian_entropy_equals_scipy_and_is_minus_infinity_when_flat():
    x = np.random.default_rng(2).normal(size=(200, 3))
    assert_allclose(information.gaussian_entropy(x), stats.multivariate_normal(cov=np.cov(x.T)).entropy())
    assert information.gaussian_entropy(np.stack([x[:, 0], 2 * x[:, 0]], axis=1)) == -math.inf


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.95])
def test_mutual_information_of_a_bivariate_gaussian_is_its_closed_form(rho):
    rng = np.random.default_rng(3)
    exact = -0.5 * math.log(1 - rho**2)
    pairs = [rng.multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=2000).T for _ in range(5)]
    assert_allclose(np.mean([information.gaussian_copula_mi(x, y) for x, y in pairs]), exact, atol=0.03)
    assert_allclose(np.mean([information.ksg_mi(x, y) for x, y in pairs]), exact, atol=0.05)


def test_mutual_information_does_not_see_scale_offset_or_a_monotone_bend():
    rng = np.random.default_rng(4)
    x = rng.normal(size=500)
    y = x + 0.5 * rng.normal(size=500)
    assert_allclose(information.gaussian_copula_mi(x, 3 * y + 5), information.gaussian_copula_mi(x, y))
    assert_allclose(information.gaussian_copula_mi(np.exp(x), y), information.gaussian_copula_mi(x, y))
    # R^2 does see them.
    assert information.r_squared(x, y) > 0.5 > 0 > information.r_squared(x, 3 * y + 5)


def test_ksg_equals_brute_force():
    rng = np.random.default_rng(5)
    x, y, k = rng.normal(size=(50, 1)), rng.normal(size=(50, 2)), 3
    dx, dy = cdist(x, x, "chebyshev"), cdist(y, y, "chebyshev")
    radius = np.sort(np.maximum(dx, dy), axis=1)[:, k]
    # Points strictly within the radius, the point itself left out.
    n_x, n_y = ((d < radius[:, None]).sum(1) - 1 for d in (dx, dy))
    expected = special.psi(k) + special.psi(50) - np.mean(special.psi(n_x + 1) + special.psi(n_y + 1))
    assert_allclose(information.ksg_mi(x, y, k), expected)


def test_r_squared_and_nrmse_by_hand():
    # Real 0 2 4 (mean 2, SST 8, std sqrt(8/3)), predicted 0 2 2: SSE 4.
    assert information.r_squared([0, 2, 2], [0, 2, 4]) == 0.5
    assert_allclose(information.nrmse([0, 2, 2], [0, 2, 4]), math.sqrt((4 / 3) / (8 / 3)))
    assert math.isnan(information.nrmse([0, 1], [1, 1]))


def test_resolution_finds_an_encoder_step_and_dither_fills_it():
    rng = np.random.default_rng(6)
    step = 2 * math.pi / 2048
    x = np.round(rng.normal(0, 0.05, 3000) / step) * step
    assert_allclose(information.resolution(x), step, rtol=1e-6)
    assert information.resolution(rng.normal(size=3000)) == 0.0
    filled = information.dither(x, [step], rng)
    assert np.max(np.abs(filled[:, 0] - x)) <= step / 2
    # At the sensor's resolution the entropy is that of the smooth signal.
    assert_allclose(information.knn_entropy(filled), stats.norm(scale=0.05).entropy(), atol=0.06)


def test_paired_estimators_refuse_unequal_numbers():
    with pytest.raises(CoreError, match="3 and 4"):
        information.ksg_mi(np.arange(3.0), np.arange(4.0))
