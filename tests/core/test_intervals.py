"""Intervals for errors that are correlated in time: coverage on a linear model through the same functions as a fit's."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.stats import binom

from realitygap_core.intervals import blocks_of, covariance_of, freedom, half_width

DRAWS, SAMPLES = 300, 1200


def half_widths(jacobian, residual, t, *, least):
    """As `fit.conclude`, for one channel in one segment."""
    owner = np.zeros(len(t), dtype=np.intp)
    blocks, effective = blocks_of([residual], [t], [owner], np.zeros(1), float(len(t)), least=least, most=60)
    covariance, _ = covariance_of(jacobian, residual, blocks, effective)
    return half_width(np.sqrt(np.diag(covariance)), 0.95, freedom(blocks, jacobian.shape[1])), blocks


@pytest.mark.parametrize("k", [1, 8])
def test_intervals_of_95_per_cent_hold_the_truth_as_often_under_autoregressive_errors(k):
    rng = np.random.default_rng(k)
    t = np.arange(SAMPLES, dtype=float)
    held = np.zeros(k)
    ratio = []
    for _ in range(DRAWS):
        # Smooth random regressors, correlated in time as a model's sensitivities are; so large that the prior of the box does nothing.
        jacobian = 100.0 * lfilter([1.0], [1.0, -0.99], rng.normal(size=(SAMPLES, k)), axis=0)
        error = lfilter([1.0], [1.0, -0.9], rng.normal(size=SAMPLES))
        off = np.linalg.lstsq(jacobian, error, rcond=None)[0]
        residual = error - jacobian @ off
        half, blocks = half_widths(jacobian, residual, t, least=max(12, 2 * k))
        held += np.abs(off) <= half
        plain = 1.96 * np.sqrt(np.diag(np.linalg.inv(jacobian.T @ jacobian)) * np.mean(residual**2))
        ratio.append(float(np.mean(plain / half)))
        assert len(np.unique(blocks)) >= 12
    # The counts of each parameter are binomial. Two chances in a thousand to fail by luck, over all parameters.
    low, high = binom.ppf(0.001 / k, DRAWS, 0.95), binom.ppf(1 - 0.001 / k, DRAWS, 0.95)
    assert np.all((low <= held) & (held <= high)), (held / DRAWS, low / DRAWS, high / DRAWS)
    assert np.mean(ratio) < 0.5, "independent errors would allow half of it"


def test_few_blocks_make_the_interval_wider_by_students_quantile_and_the_blocks_that_the_parameters_use_up():
    # Four blocks of one sample each, residuals 1, -1, 1, -1, one regressor of 10: H = 400, gradients 10, -10, 10, -10.
    jacobian, residual = np.full((4, 1), 10.0), np.array([1.0, -1.0, 1.0, -1.0])
    blocks = np.arange(4)
    assert freedom(blocks, 1) == 3
    covariance, bayes = covariance_of(jacobian, residual, blocks, 4.0)
    # Sandwich with 4 / (4 - 1): 400 * 4 / 3 / (400 + 12)^2 = 0.0031420; the floor is 1 / (400 + 12) = 0.0024272.
    assert covariance[0, 0] == pytest.approx(400 * 4 / 3 / 412**2)
    assert bayes[0, 0] == pytest.approx(1 / 412)
    # Student's 97.5 % quantile with 3 degrees of freedom is 3.182446.
    assert half_width(np.array([2.0]), 0.95, 3)[0] == pytest.approx(2 * 3.182446, rel=1e-6)


def test_what_the_sensor_cannot_resolve_keeps_the_interval_open():
    # A residual of nothing would give an interval of no width; a resolution of 0.5 (variance 0.25) is what 4 samples average.
    jacobian, residual = np.full((4, 1), 10.0), np.zeros(4)
    covariance, _ = covariance_of(jacobian, residual, np.arange(4), 4.0, least_variance=0.25)
    assert covariance[0, 0] == pytest.approx(1 / (400 / 0.25 + 12))
