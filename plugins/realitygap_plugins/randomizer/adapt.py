"""From what was identified to what to train under: widened, never narrower than the identification's own 95 % intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from realitygap_core.domain import Domain
from realitygap_core.errors import CoreError
from realitygap_core.marginals import Fixed, Gaussian, LogGaussian, LogUniform, Marginal, TruncatedGaussian, Uniform

Interval = tuple[float, float]


def central(m: Marginal, mass: float = 0.95) -> Interval:
    """The central interval of a marginal."""
    low, high = m.quantile([(1 - mass) / 2, (1 + mass) / 2])
    return float(low), float(high)


def covers(m: Marginal, wanted: Interval) -> bool:
    """Whether the central 95 % holds `wanted` and is no narrower.

    Zero is a bound that no friction loss or delay can pass, and no continuous distribution has a bound of its support inside its central
    95 %. So a lower end that is zero, or nearly (a twentieth of the upper end), counts as held where the support begins at zero.
    """
    low, high = central(m)
    slack = 1e-9 * max(abs(wanted[0]), abs(wanted[1]), 1e-300)
    at_zero = m.support[0] == 0 and wanted[0] <= 0.05 * wanted[1]
    low_held = at_zero or low <= wanted[0] + slack
    needed = wanted[1] - (max(wanted[0], low) if at_zero else wanted[0])
    return low_held and high >= wanted[1] - slack and high - low >= needed - 2 * slack


def widened(m: Marginal, factor: float, wanted: Interval) -> Marginal:
    """`m` with its spread times `factor`, and then as much wider as it takes for its central 95 % to hold `wanted`.

    A support that ends where the search of the identification ended is moved out by the width of `wanted`, except at zero, which is
    physical. Kinds other than Gaussian ones become uniform (in log x for a log-uniform).
    """
    if isinstance(m, Fixed):
        return m
    # From here on the interval is the hull of both, so that a widening never moves it inwards.
    held = min(wanted[0], central(m)[0]), max(wanted[1], central(m)[1])
    if isinstance(m, (Gaussian, TruncatedGaussian, LogGaussian)):
        return _widened_gaussian(m, factor, held)
    if isinstance(m, LogUniform):
        middle, half = (math.log(held[0]) + math.log(held[1])) / 2, (math.log(held[1]) - math.log(held[0])) / 2 * factor / 0.95
        return LogUniform(low=math.exp(middle - half), high=math.exp(middle + half), unit=m.unit)
    middle, half = (held[0] + held[1]) / 2, (held[1] - held[0]) / 2 * factor / 0.95
    # What was never negative stays so: it may be a mass or a delay.
    low = max(0.0, middle - half) if m.support[0] >= 0 else middle - half
    high = middle + half if low > 0 or m.support[0] < 0 else max(middle + half, held[1] + 0.05 * held[1])
    return Uniform(low=low, high=high, unit=m.unit)


def _widened_gaussian(m: Gaussian | TruncatedGaussian | LogGaussian, factor: float, held: Interval) -> Marginal:
    width = held[1] - held[0]
    roomy: Gaussian | TruncatedGaussian | LogGaussian = m
    if isinstance(m, TruncatedGaussian):
        roomy = replace(m, low=m.low if m.low == 0 else min(m.low, held[0] - width), high=max(m.high, held[1] + width))
    elif isinstance(m, LogGaussian):
        # In log x a range is a ratio: the support moves out by the ratio of the interval.
        ratio = held[1] / held[0] if held[0] > 0 else 10.0
        low = m.low if m.low is None or m.low == 0 else min(m.low, held[0] / ratio)
        roomy = replace(m, low=low, high=None if m.high is None else max(m.high, held[1] * ratio))
    lower = upper = factor
    while not covers(_scaled(roomy, upper), held):
        lower, upper = upper, upper * 1.5
        if upper > 1e3 * factor:
            # Against a bound a Gaussian moves away from it as it widens, and can miss the interval at every width; a uniform cannot.
            low = max(0.0, held[0] - 0.05 * width) if roomy.support[0] >= 0 else held[0] - 0.05 * width
            return Uniform(low=low, high=held[1] + 0.05 * (held[1] - low), unit=m.unit)
    for _ in range(40 if upper > factor else 0):
        middle = math.sqrt(lower * upper)
        lower, upper = (lower, middle) if covers(_scaled(roomy, middle), held) else (middle, upper)
    # A hair more, so that rounding in a document cannot undo it.
    return _scaled(roomy, upper * (1 + 1e-6) if upper > factor else upper)


def _scaled(m: Gaussian | TruncatedGaussian | LogGaussian, factor: float) -> Marginal:
    """`m` with its spread, in its own coordinate, times `factor`."""
    return replace(m, log_std=m.log_std * factor) if isinstance(m, LogGaussian) else replace(m, std=m.std * factor)


def adapt(identified: Domain, intervals: Mapping[str, Interval], factor: float) -> Domain:
    """The identified domain, each free marginal `widened` by `factor` to hold its interval in `intervals` (else its own central 95 %).

    The copula is kept. Raises `CoreError` for a factor below 1 or an interval that is empty.
    """
    if not factor >= 1:
        raise CoreError(f"a widening of {factor:g} would narrow the domain", hint="give 1 or more")
    parameters: dict[str, Marginal] = {}
    for name, m in identified.parameters.items():
        wanted = intervals.get(name, central(m))
        if not wanted[0] <= wanted[1]:
            raise CoreError(f"the interval [{wanted[0]:g}, {wanted[1]:g}] of '{name}' is empty", where=name)
        parameters[name] = widened(m, factor, wanted)
    return replace(identified, parameters=parameters)


def with_latency(domain: Domain, extra: float) -> Domain:
    """The domain with up to `extra` seconds of latency more: uniform over [0, extra], or each delay that it has moved out by `extra`."""
    delays = [name for name in domain.parameters if name == "latency" or name.startswith("delay[")]
    if not delays:
        return with_independent(domain, {"latency": Uniform(low=0.0, high=extra, unit="s")})
    parameters = dict(domain.parameters)
    for name in delays:
        m = parameters[name]
        low, high = m.support if isinstance(m, Fixed) else central(m)
        margin = 0.03 * (high + extra - low)
        parameters[name] = Uniform(low=max(0.0, low - margin), high=high + extra + margin, unit=m.unit or "s")
    return replace(domain, parameters=parameters)


def with_independent(domain: Domain, extra: Mapping[str, Marginal]) -> Domain:
    """The domain with more parameters, independent of the rest. One that is there already is replaced."""
    parameters = {**domain.parameters, **extra}
    if domain.correlation is None:
        return replace(domain, parameters=parameters)
    size = len(domain.parameters)
    correlation = np.eye(len(parameters))
    correlation[:size, :size] = domain.correlation
    for name in extra:
        if name in domain.parameters:
            at = list(parameters).index(name)
            correlation[at, :] = correlation[:, at] = 0.0
            correlation[at, at] = 1.0
    return replace(domain, parameters=parameters, correlation=correlation)


def from_supports(identified: Domain) -> dict[str, Marginal]:
    """What was believed before the identification: uniform over each bounded support, which is where the search looked; in log x for log
    ones.

    Parameters without a bounded support are left out.
    """
    prior: dict[str, Marginal] = {}
    for name in identified.free:
        m = identified.parameters[name]
        low, high = m.support
        if not (math.isfinite(low) and math.isfinite(high)):
            continue
        log = isinstance(m, (LogGaussian, LogUniform)) and low > 0
        prior[name] = LogUniform(low=low, high=high, unit=m.unit) if log else Uniform(low=low, high=high, unit=m.unit)
    return prior
