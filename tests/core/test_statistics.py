"""Intervals cover what they claim, tests reject as often as they claim."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import stats
from scipy.signal import lfilter

from realitygap_core import statistics
from realitygap_core.errors import CoreError


def ar1(rng: np.random.Generator, rho: float, shape: tuple[int, ...]) -> np.ndarray:
    """Stationary AR(1) with unit variance along the last axis."""
    noise = rng.standard_normal(shape) * math.sqrt(1 - rho**2)
    noise[..., 0] /= math.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=-1)


@given(st.integers(0, 200), st.integers(0, 200), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_equals_scipy(a, b, confidence):
    n = max(a + b, 1)
    ours = statistics.wilson(min(a, n), n, confidence)
    theirs = stats.binomtest(min(a, n), n).proportion_ci(confidence, method="wilson")
    assert_allclose(ours, theirs, atol=1e-9)


def test_wilson_of_48_of_50():
    assert_allclose(statistics.wilson(48, 50), (0.865, 0.989), atol=5e-4)
    assert statistics.wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(CoreError, match="impossible"):
        statistics.wilson(3, 2)


def test_jackknife_of_a_mean_is_the_t_interval():
    x = np.random.default_rng(1).normal(size=9)
    without = [np.delete(x, i).mean() for i in range(9)]
    expected = stats.t.interval(0.95, 8, loc=x.mean(), scale=stats.sem(x))
    assert_allclose(statistics.jackknife_interval(x.mean(), without), expected)


def test_paired_relabellings_are_all_swaps():
    ways = statistics.relabellings(2, 2, np.random.default_rng(0), paired=True)
    rows = {tuple(row) for row in ways.is_real.tolist()}
    # Pairs (0, 2) and (1, 3): the real one of each pair is either.
    assert rows == {(0, 0, 1, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 1, 0, 0)}
    assert ways.is_real[0].tolist() == [False, False, True, True]
    assert ways.minimum_p == 0.5


def test_unpaired_relabellings_are_all_splits_and_start_with_the_observed_one():
    ways = statistics.relabellings(3, 2, np.random.default_rng(0), paired=False)
    assert len({tuple(r) for r in ways.is_real.tolist()}) == math.comb(5, 2)
    assert ways.is_real[0].tolist() == [False] * 3 + [True] * 2
    assert ways.minimum_p == 0.1
    sampled = statistics.relabellings(30, 30, np.random.default_rng(0), paired=False, limit=100)
    assert sampled.is_real.shape == (100, 60)
    assert not sampled.exhaustive
    assert sampled.is_real[0].tolist() == [False] * 30 + [True] * 30
    assert (sampled.is_real.sum(axis=1) == 30).all()


@pytest.mark.parametrize("paired", [True, False])
def test_trajectory_permutation_rejects_about_five_percent_of_identical_ar1_logs_and_sample_permutation_nearly_all(paired):
    rng = np.random.default_rng(2)
    rejected, naive = 0, 0
    repeats = 300
    for _ in range(repeats):
        logs = ar1(rng, 0.9, (16, 50))
        ways = statistics.relabellings(8, 8, rng, paired=paired, limit=256)
        means = logs.mean(axis=1)
        rejected += statistics.permutation_p_value(np.abs(np.where(ways.is_real, means, -means).sum(axis=1))) <= 0.05
        naive += stats.ttest_ind(logs[:8].ravel(), logs[8:].ravel()).pvalue <= 0.05
    assert 0.02 <= rejected / repeats <= 0.085
    assert naive / repeats > 0.5


def test_permutation_p_value_counts_the_observed_statistic():
    assert statistics.permutation_p_value([3.0, 1.0, 2.0, 0.0]) == 0.25
    assert statistics.permutation_p_value([3.0, 3.0 + 1e-13, 3.0 - 1e-13, 0.0]) == 0.75


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_effective_sample_size_of_ar1_tends_to_its_closed_form(rho):
    series = ar1(np.random.default_rng(3), rho, (40_000,))
    assert_allclose(statistics.effective_sample_size(series) / 40_000, (1 - rho) / (1 + rho), rtol=0.15)
    assert statistics.effective_sample_size(np.ones(10)) == 1.0


def test_ljung_box_is_level_on_white_noise_and_finds_correlation():
    rng = np.random.default_rng(4)
    p = [statistics.ljung_box(rng.standard_normal(300))[1] for _ in range(400)]
    assert 0.02 <= np.mean(np.array(p) <= 0.05) <= 0.09
    assert statistics.ljung_box(ar1(rng, 0.5, (300,)))[1] < 1e-6
    # n 6, one lag: rho(1) of 1 2 3 4 5 6 is 0.5, Q = 6 * 8 * 0.25 / 5 = 2.4.
    assert_allclose(statistics.ljung_box([1, 2, 3, 4, 5, 6], 1)[0], 2.4)


def test_blocks_cut_without_overlap():
    cut = statistics.blocks([np.arange(7), np.arange(10, 13)], 3)
    assert [b.tolist() for b in cut] == [[0, 1, 2], [3, 4, 5], [10, 11, 12]]


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
def test_correlated_sample_size_of_ar1_tends_to_its_closed_form(rho):
    series = ar1(np.random.default_rng(5), rho, (20_000,))
    assert_allclose(statistics.correlated_sample_size(series) / 20_000, (1 - rho**2) / (1 + rho**2), rtol=0.2)


def test_an_oscillating_residual_counts_for_few_samples():
    t = np.arange(2000)
    residual = np.sin(0.3 * t) + 0.1 * np.random.default_rng(6).standard_normal(2000)
    assert statistics.correlated_sample_size(residual) < 20


def test_jackknife_of_a_difference_of_means_is_the_welch_interval():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=20), 3 * rng.normal(size=5)
    without = [[np.delete(x, i).mean() - y.mean() for i in range(20)], [x.mean() - np.delete(y, i).mean() for i in range(5)]]
    expected = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    assert_allclose(statistics.jackknife_interval(x.mean() - y.mean(), *without), (expected.low, expected.high))
    assert statistics.jackknife_interval(1.0, [1.0, 1.0]) == (1.0, 1.0)
    assert math.isnan(statistics.jackknife_interval(1.0, [1.0, 2.0], [1.0])[0])
