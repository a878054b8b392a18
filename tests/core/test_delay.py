"""Delays: held commands at the resolution of physics steps, interpolated observations, both against plain Python."""

from __future__ import annotations

from collections import deque

import jax.numpy as jnp
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from realitygap_core.delay import Delay, capacity, held, lengthen, push

# Subnormal numbers are zero to XLA.
values = st.lists(st.floats(-5, 5, width=32, allow_subnormal=False), min_size=1, max_size=12)


def delayed_by_deque(commands: list[float], substeps: int, steps: int) -> list[float]:
    """The independent implementation: a queue of physics steps, filled with the first command."""
    queue: deque[float] = deque([commands[0]] * (steps + 1), maxlen=steps + 1)
    out = []
    for command in commands:
        for _ in range(substeps):
            queue.append(command)
            out.append(queue[0])
    return out


def run_held(commands: list[float], substeps: int, steps: float, slots: int) -> np.ndarray:
    ring = Delay(capacity=slots).init(jnp.array([commands[0]], jnp.float32))
    out = []
    for command in commands:
        ring = push(ring, jnp.array([command], jnp.float32))
        out.append(np.asarray(held(ring, jnp.array([steps], jnp.float32), substeps=substeps))[:, 0])
    return np.concatenate(out)


@settings(max_examples=40, deadline=None)
@given(commands=values, substeps=st.integers(1, 5), steps=st.integers(0, 17))
def test_a_held_command_equals_a_deque_of_physics_steps_for_any_whole_delay(commands: list[float], substeps: int, steps: int) -> None:
    slots = capacity(steps * 1.0, substeps * 1.0)
    got = run_held(commands, substeps, steps, slots)
    assert_allclose(got, np.array(delayed_by_deque(commands, substeps, steps), np.float32), rtol=0, atol=0)


@settings(max_examples=30, deadline=None)
@given(commands=values, substeps=st.integers(1, 5), tenths=st.integers(0, 90))
def test_a_fractional_delay_applies_the_mean_command_over_the_physics_step(commands: list[float], substeps: int, tenths: int) -> None:
    # The command in time: finely sampled, ten samples a physics step, shifted by `tenths` samples; each physics step applies its mean.
    fine = np.array(delayed_by_deque(commands, substeps * 10, tenths)).reshape(-1, 10).mean(axis=1)
    got = run_held(commands, substeps, tenths / 10, capacity(tenths / 10, substeps * 1.0))
    assert_allclose(got, fine, atol=2e-3)  # a delay within 1e-3 of a whole number of steps counts as whole


def test_a_delay_of_25_ms_at_50_hz_and_1_ms_steps_switches_at_the_fifth_step_of_the_second_control_step() -> None:
    got = run_held([0.0, 1.0, 1.0, 1.0], 20, 0.025 / 0.001, capacity(0.025, 0.02))
    # The command of 1 is given at step 20 and arrives at step 45.
    assert_allclose(got, np.where(np.arange(80) >= 45, 1.0, 0.0))


def test_each_actuator_has_its_own_delay() -> None:
    ring = jnp.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])
    assert_allclose(held(ring, jnp.array([0.0, 3.0]), substeps=2), [[1, 30], [1, 20]])


def test_a_delay_of_a_control_step_and_a_quarter_mixes_two_slots() -> None:
    buffer = jnp.array([[4.0], [8.0], [0.0]])
    assert_allclose(Delay(capacity=3).read(buffer, jnp.array(1.25)), [0.75 * 8 + 0.25 * 0])


@settings(max_examples=30, deadline=None)
@given(samples=values, quarters=st.integers(0, 12))
def test_an_observation_delay_equals_interpolation_of_the_past(samples: list[float], quarters: int) -> None:
    delay, steps = Delay(capacity=5), quarters / 4
    buffer = delay.init(jnp.array([samples[0]], jnp.float32))
    for now, sample in enumerate(samples):
        buffer, got = delay(buffer, jnp.array([sample], jnp.float32), jnp.array(steps))
        past = np.interp(now - steps, np.arange(len(samples)), samples)  # holds the first value before the beginning
        assert_allclose(got, [past], atol=1e-5)


def test_before_the_first_write_every_slot_holds_the_first_value() -> None:
    assert_allclose(Delay(capacity=4).init(jnp.array([7.0, 8.0])), [[7, 8]] * 4)


def test_lengthening_repeats_the_oldest_value() -> None:
    assert_allclose(lengthen(jnp.array([[[1.0], [2.0]]]), 4)[0, :, 0], [1, 2, 2, 2])
    assert lengthen(jnp.zeros((1, 3, 1)), 2).shape == (1, 3, 1)
