"""Held-out error against leaving out by hand, on a linear problem; the one-standard-error rule."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from realitygap_core.held_out import better, held_out

SAMPLES = 40


class Linear:
    """Residual J z - y of one channel in some logs, with what `held_out` asks of a problem."""

    def __init__(self, logs: int, k: int) -> None:
        rng = np.random.default_rng(logs)
        n = logs * SAMPLES
        self.jacobian = rng.normal(size=(n, k))
        self.y = self.jacobian @ np.full(k, 0.5) + 0.1 * rng.normal(size=n)
        self.resolution = 0.0
        names = [f"log{index}" for index in range(logs)]
        owner = np.repeat(np.arange(logs), SAMPLES)
        self.replay = SimpleNamespace(
            channels=("q",),
            recording=SimpleNamespace(log_names=names),
            times=lambda channel: np.tile(np.arange(SAMPLES, dtype=float), logs),
            log_mask=lambda channel, log: owner == names.index(log),
        )

    def linearise(self, z, step):
        return self.jacobian @ z - self.y, self.jacobian

    def residuals(self, z_bk):
        return z_bk @ self.jacobian.T - self.y


@pytest.mark.parametrize(("logs", "parts"), [(1, 4), (2, 4), (5, 5)])
def test_the_held_out_error_is_that_of_fits_without_each_part(logs, parts):
    problem = Linear(logs, 3)
    whole = np.linalg.lstsq(problem.jacobian, problem.y, rcond=None)[0]
    fold = np.arange(len(problem.y)) * parts // len(problem.y)
    expected = []
    for part in range(parts):
        rest = fold != part
        z = np.linalg.lstsq(problem.jacobian[rest], problem.y[rest], rcond=None)[0]
        expected.append(np.log(np.sqrt(np.mean((problem.jacobian[~rest] @ z - problem.y[~rest]) ** 2))))
    np.testing.assert_allclose(held_out(problem, whole, 1e-5), expected, atol=1e-4)


def test_a_more_complex_model_must_be_better_by_a_standard_error():
    simple = np.zeros(4)
    # Gains 1, 1, 1, -1: mean 0.5, standard error of the mean 1 / 2; gains 1, 1, 1, 0: mean 0.75, error 0.25.
    assert not better(simple, -np.array([1.0, 1.0, 1.0, -1.0]), 1.0)
    assert better(simple, -np.array([1.0, 1.0, 1.0, 0.0]), 1.0)
    assert not better(simple, np.zeros(4), 1.0)


class Sampled(Linear):
    """As `Linear` with a second channel at a quarter of the samples, in a log of its own length."""

    def __init__(self) -> None:
        super().__init__(2, 3)
        lengths = {"q": (40, 24), "slow": (10, 6)}
        self.clock = {
            name: np.concatenate([np.linspace(0, n / 40, count) for n, count in zip((40, 24), counts, strict=True)])
            for name, counts in lengths.items()
        }
        self.owner = {name: np.repeat([0, 1], counts) for name, counts in lengths.items()}
        n = sum(map(sum, lengths.values()))
        rng = np.random.default_rng(5)
        self.jacobian = rng.normal(size=(n, 3))
        self.y = self.jacobian @ np.full(3, 0.5) + 0.1 * rng.normal(size=n)
        names = ["log0", "log1"]
        self.replay = SimpleNamespace(
            channels=tuple(lengths),
            recording=SimpleNamespace(log_names=names),
            times=self.clock.__getitem__,
            log_mask=lambda channel, log: self.owner[channel] == names.index(log),
        )


def test_channels_of_unequal_clocks_are_left_out_over_the_same_time_and_count_the_same():
    problem = Sampled()
    whole = np.linalg.lstsq(problem.jacobian, problem.y, rcond=None)[0]
    # Two logs: each in two halves of its time. A unit is a half of a log in one channel.
    half = {name: (t > np.where(problem.owner[name] == 0, 1.0, 0.6) / 2).astype(int) for name, t in problem.clock.items()}
    fold = np.concatenate([2 * problem.owner[name] + half[name] for name in ("q", "slow")])
    channel = np.repeat([0, 1], [64, 16])
    expected = []
    for part in range(4):
        rest = fold != part
        z = np.linalg.lstsq(problem.jacobian[rest], problem.y[rest], rcond=None)[0]
        error = problem.jacobian @ z - problem.y
        expected += [0.5 * np.log(np.mean(error[(fold == part) & (channel == index)] ** 2)) for index in (0, 1)]
    np.testing.assert_allclose(held_out(problem, whole, 1e-5), expected, atol=1e-3)
