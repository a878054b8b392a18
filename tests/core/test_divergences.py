"""Divergences against closed forms and brute force; tests against their stated level."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import optimize, stats
from scipy.signal import lfilter
from scipy.spatial.distance import cdist

from realitygap_core import comparison, divergences
from realitygap_core.errors import CoreError


def plain(measure: str, x: np.ndarray, y: np.ndarray, seed: int = 0) -> float:
    """A measure of two samples, each one trajectory: sim `x`, real `y`, as they are."""
    data = comparison.Prepared(units=(x, y), raw=(x, y), n_sim=1, channels=("a",) * x.shape[1], stride=1, dithered=(), dropped=())
    statistic, _, _ = comparison._statistics(measure, data, np.random.default_rng(seed), {})[measure]
    return statistic(np.array([True, False]), np.array([False, True]))


def test_gaussian_w2_of_scales_equals_the_difference_of_standard_deviations():
    one = np.eye(1)
    # N(0, 1) and N(0, 9): |3 - 1| = 2.
    assert_allclose(divergences.gaussian_w2_of_moments(np.zeros(1), one, np.zeros(1), 9 * one), 2.0)
    assert_allclose(divergences.gaussian_w2_of_moments(np.zeros(1), 0.01 * one, np.zeros(1), 0.09 * one), 0.2)
    # Commuting covariances: sqrt(|m|^2 + |S^1/2 - T^1/2|_F^2) = sqrt(9 + 16 + 1 + 4).
    s, t = np.diag([1.0, 4.0]), np.diag([4.0, 16.0])
    assert_allclose(divergences.gaussian_w2_of_moments(np.zeros(2), s, np.array([3.0, 4.0]), t), math.sqrt(25 + 1 + 4))


def test_gaussian_w2_equals_the_transport_cost_of_the_optimal_linear_map():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3, 3))
    s, t = a @ a.T + np.eye(3), b @ b.T + np.eye(3)
    # The optimal map is x -> A x with A = S^-1/2 (S^1/2 T S^1/2)^1/2 S^-1/2; its cost is tr((I - A) S (I - A)').
    root = divergences._root(s)
    inverse = np.linalg.inv(root)
    mapping = inverse @ divergences._root(root @ t @ root) @ inverse
    assert_allclose(mapping @ s @ mapping.T, t)
    cost = np.trace((np.eye(3) - mapping) @ s @ (np.eye(3) - mapping).T)
    assert_allclose(divergences.gaussian_w2_of_moments(np.zeros(3), s, np.zeros(3), t), math.sqrt(cost))


def test_gaussian_kl_equals_its_monte_carlo_value():
    rng = np.random.default_rng(1)
    s, t = np.array([[1.0, 0.3], [0.3, 0.5]]), np.array([[1.5, -0.2], [-0.2, 0.8]])
    p, q = stats.multivariate_normal([0.2, -0.1], s), stats.multivariate_normal([0, 0], t)
    x = p.rvs(200_000, random_state=rng)
    ratio = p.logpdf(x) - q.logpdf(x)
    exact = divergences.gaussian_kl_of_moments(np.array([0.2, -0.1]), s, np.zeros(2), t)
    assert_allclose(exact, ratio.mean(), atol=4 * ratio.std() / math.sqrt(len(x)))


def test_the_bias_correction_of_the_gaussian_kl_centres_the_null():
    rng = np.random.default_rng(2)
    values = [plain("gaussian_kl", rng.normal(size=(300, 6)), rng.normal(size=(300, 6))) for _ in range(200)]
    bias = divergences.gaussian_kl_bias(6, 300, 300)
    assert abs(np.mean(values)) < 0.15 * bias


def test_knn_kl_of_shifted_gaussians_is_near_its_closed_form():
    rng = np.random.default_rng(3)
    values = [divergences.knn_kl(rng.normal(size=(1500, 2)), rng.normal(size=(1500, 2)) + np.array([1.0, 0.0])) for _ in range(8)]
    # KL(N(0, I) || N(m, I)) = |m|^2 / 2.
    assert_allclose(np.mean(values), 0.5, atol=0.08)


def test_knn_kl_equals_brute_force():
    rng = np.random.default_rng(4)
    x, y, k = rng.normal(size=(40, 3)), rng.normal(size=(50, 3)) + 0.5, 3
    within, across = np.sort(cdist(x, x), axis=1)[:, k], np.sort(cdist(x, y), axis=1)[:, k - 1]
    assert_allclose(divergences.knn_kl(x, y, k), 3 * np.mean(np.log(across / within)) + math.log(50 / 39))
    with pytest.raises(CoreError, match="repeat exactly"):
        divergences.knn_kl(np.zeros((20, 1)), y[:, :1])


@pytest.mark.parametrize(("n", "m"), [(6, 6), (4, 7)])
def test_one_dimensional_w2_equals_the_linear_programme_of_transport(n, m):
    rng = np.random.default_rng(5)
    x, y = np.sort(rng.normal(size=n)), np.sort(rng.normal(size=m) + 1)
    cost = (x[:, None] - y[None]) ** 2
    equal = np.concatenate([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    plan = optimize.linprog(cost.ravel(), A_eq=equal, b_eq=np.concatenate([np.full(n, 1 / n), np.full(m, 1 / m)]), bounds=(0, None))
    assert_allclose(divergences.w2_squared_1d(x, y), plan.fun, atol=1e-9)


def test_sliced_w2_of_a_shift_is_the_shift_over_root_d():
    rng = np.random.default_rng(6)
    x = rng.normal(size=(200, 3))
    # W2 along a direction is |u . shift|, and E (u . shift)^2 = |shift|^2 / d; 64 directions.
    along = divergences.directions(3, 4000, rng)
    assert_allclose(np.linalg.norm(along, axis=1), 1)
    assert_allclose(np.sqrt(np.mean((3 * along[:, 0]) ** 2)), 3 / math.sqrt(3), rtol=0.03)
    drawn = divergences.directions(3, 64, np.random.default_rng(3))
    assert_allclose(plain("sliced_w2", x, x + np.array([3.0, 0.0, 0.0]), seed=3), np.sqrt(np.mean((3 * drawn[:, 0]) ** 2)))


def test_mmd_and_energy_equal_their_double_sums():
    rng = np.random.default_rng(7)
    x, y = rng.normal(size=(7, 2)), rng.normal(size=(9, 2)) + 1
    h = np.median([math.dist(a, b) for a, b in itertools.combinations([*x, *y], 2)])
    e = math.dist

    def k(a, b):
        return math.exp(-float(np.sum((a - b) ** 2)) / (2 * h * h))

    def within(f, z):
        return np.mean([f(a, b) for a, b in itertools.permutations(z, 2)])

    def across(f):
        return np.mean([f(a, b) for a in x for b in y])

    assert_allclose(plain("mmd2", x, y), within(k, x) + within(k, y) - 2 * across(k))
    assert_allclose(plain("energy", x, y), 2 * across(e) - within(e, x) - within(e, y))


def test_mmd_with_the_median_bandwidth_sees_a_shift_in_twenty_dimensions():
    rng = np.random.default_rng(8)
    same = [plain("mmd2", rng.normal(size=(200, 20)), rng.normal(size=(200, 20))) for _ in range(20)]
    assert plain("mmd2", rng.normal(size=(200, 20)), rng.normal(size=(200, 20)) + 0.5) > 10 * max(same)


def test_channel_statistics_equal_scipy():
    rng = np.random.default_rng(9)
    x, y = rng.normal(size=60), rng.normal(size=45) + 0.4
    assert_allclose(divergences.kolmogorov_smirnov(x, y), stats.ks_2samp(x, y).statistic)
    # Shifted by a constant, all mass travels that far.
    assert_allclose(divergences.wasserstein1(x, x + 0.7), 0.7)


def test_samples_that_are_no_numbers_are_refused_at_their_place():
    with pytest.raises(CoreError) as caught:
        divergences.knn_kl([[0.0, 1.0], [1.0, math.nan]], np.zeros((3, 2)))
    assert caught.value.where == "row 1, column 1"


# The tests on whole trajectories


def ar1(rng: np.random.Generator, rho: float, shape: tuple[int, ...]) -> np.ndarray:
    noise = rng.standard_normal(shape) * math.sqrt(1 - rho**2)
    noise[:, 0] /= math.sqrt(1 - rho**2)
    return lfilter([1], [1, -rho], noise, axis=1)


def test_measures_of_several_trajectories_equal_those_of_their_samples_together():
    rng = np.random.default_rng(10)
    logs = [rng.normal(size=(20 + i, 2)) + (i >= 3) for i in range(6)]
    data = comparison.prepare(logs[:3], logs[3:], ["a", "b"], rng)
    x, y = (np.concatenate(data.side(side)) for side in (False, True))
    measured = comparison.compare(data, ["gaussian_w2", "gaussian_kl", "knn_kl", "mmd2", "energy", "ks"], rng, paired=False)
    for name in ("mmd2", "energy"):
        assert_allclose(measured[name].value, plain(name, x, y))
    moments = (y.mean(0), np.cov(y.T), x.mean(0), np.cov(x.T))
    assert_allclose(measured["gaussian_w2"].value, divergences.gaussian_w2_of_moments(*moments))
    bias = 2 * 5 / 4 * (1 / len(x) + 1 / len(y))
    assert_allclose(measured["gaussian_kl"].value, divergences.gaussian_kl_of_moments(*moments) - bias)
    assert_allclose(measured["knn_kl"].value, divergences.knn_kl(y, x))
    assert_allclose(measured["ks[a]"].value, stats.ks_2samp(x[:, 0], y[:, 0]).statistic)


def test_identical_ar1_processes_are_told_apart_five_times_in_a_hundred():
    rng = np.random.default_rng(11)
    rejected = dict.fromkeys(("energy", "mmd2", "gaussian_w2"), 0)
    repeats = 150
    for _ in range(repeats):
        logs = list(ar1(rng, 0.9, (16, 50, 2)))
        data = comparison.prepare(logs[:8], logs[8:], ["a", "b"], rng, max_samples=200)
        measured = comparison.compare(data, list(rejected), rng, paired=True)
        for name in rejected:
            rejected[name] += measured[name].p_value <= 0.05
    # 150 tests at 5 %: the binomial stays within 1 and 16 with probability 0.999.
    assert all(1 <= count <= 16 for count in rejected.values()), rejected


def test_few_pairs_are_undecided_however_far_apart():
    rng = np.random.default_rng(12)
    sim, real = [rng.normal(size=(30, 1)) for _ in range(4)], [rng.normal(size=(30, 1)) + 50 for _ in range(4)]
    measured = comparison.compare(comparison.prepare(sim, real, ["a"], rng), ["energy"], rng, paired=True)["energy"]
    # Four pairs: 16 swaps, the observed one and its mirror: 0.125.
    assert measured.p_value == measured.minimum_p == 0.125
    assert measured.verdict == "undecided"


def test_a_single_trajectory_has_no_interval():
    rng = np.random.default_rng(13)
    data = comparison.prepare([rng.normal(size=(30, 1))], [rng.normal(size=(30, 1))], ["a"], rng)
    row = comparison.compare(data, ["energy"], rng, paired=True)["energy"].to_mapping()
    assert row["low"] is None
    assert row["high"] is None


def test_the_interval_of_unpaired_sides_of_unequal_size_holds_the_truth():
    rng = np.random.default_rng(14)
    is_real = np.arange(24) >= 20
    repeats, held = 400, 0
    for _ in range(repeats):
        values = np.concatenate([rng.normal(size=20), 1 + 3 * rng.normal(size=4)])

        def shift(sim: np.ndarray, real: np.ndarray, values: np.ndarray = values) -> float:
            return float(values[real].mean() - values[sim].mean())

        groups = comparison._leave_one_out(shift, is_real, paired=False)
        low, high = comparison.jackknife_interval(shift(~is_real, is_real), *groups)
        held += low <= 1 <= high
    # 95 % of 400 is 380, with a standard deviation of 4.4. As one sample of 24 it holds 91 %.
    assert held >= 366
