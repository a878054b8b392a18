"""What is wrong with a log: errors by row and channel, and findings with figures for what is kept.

Errors are what no replay can use: a number that is none, time that does not go forward, a clock that contradicts its declared rate.
Gaps and jitter of the clock are facts about the log: they are reported, and the samples stay where their stamps say.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from realitygap_core.errors import CoreError
from realitygap_core.recording import Finding, Log, Signal
from realitygap_core.robot import Robot

GAP_FACTOR = 4.0
"""A step of more than this many median steps is a gap."""
JITTER_SHARE = 0.05
"""Jitter is reported when 1 % of the steps lie farther from the median than this share of it."""
LIKELY_RATES = (0.5, 1e5)
"""Rates outside of this range, Hz, are more likely a wrong time unit; reported unless the rate was declared."""
RATE_TOLERANCE = 0.05
"""Largest relative difference between a declared rate and the median step's."""


def check_signal(
    signal: Signal,
    *,
    recording: str,
    log: str,
    rate_hz: float | None = None,
    stream: str = "",
    on_gap: Literal["report", "error"] = "report",
) -> list[Finding]:
    """Findings of one stream of one log.

    Raises:
        CoreError: no rows, one row of measurements, NaN or infinity, time that stands still or goes back, a rate that contradicts
            `rate_hz`, or a gap when `on_gap` is `error`. The message names recording, log, row (from 0, within the log) and channel.
    """
    place = f"recording '{recording}', log '{log}'"
    t_t = signal.t_t
    if len(t_t) == 0:
        raise CoreError(f"{place}: no rows", hint="the log is empty or truncated; leave it out with `logs`")
    if len(t_t) == 1 and any(channel.role != "command" for channel in signal.channels):
        raise CoreError(
            f"{place}, row 0, channel '{signal.channels[0].name}': the only row; a measurement needs at least two to be a motion",
            hint="the log is truncated; leave it out with `logs`",
        )
    bad = np.flatnonzero(~np.isfinite(t_t))
    if bad.size:
        raise CoreError(f"{place}, row {bad[0]}, channel 't': {_bad(t_t[bad[0]])}", hint="remove the row, or name another time column")
    finite_tc = np.isfinite(signal.values_tc)
    if not finite_tc.all():
        row, column = np.argwhere(~finite_tc)[0]
        count = int((~finite_tc).sum())
        more = f" (and {count - 1} more)" if count > 1 else ""
        raise CoreError(
            f"{place}, row {row}, channel '{signal.channels[column].name}': {_bad(signal.values_tc[row, column])}{more}",
            hint="repair the log, or set `on_missing: drop` in the mapping to drop such rows and count them",
        )
    dt_t = np.diff(t_t)
    back = np.flatnonzero(dt_t <= 0)
    if back.size:
        row = int(back[0]) + 1
        what = f"goes back by {-dt_t[row - 1] * 1e3:.3g} ms" if dt_t[row - 1] < 0 else "stands still"
        raise CoreError(
            f"{place}, row {row}, channel 't': time {what} ({t_t[row]:.6g} s after {t_t[row - 1]:.6g} s)",
            hint="sort or drop such rows before importing, or set `on_backward_time: drop` in the mapping to drop them and count them",
        )
    if len(dt_t) == 0:
        return []
    findings = []
    median = float(np.median(dt_t))
    if rate_hz is not None and abs(median * rate_hz - 1) > RATE_TOLERANCE:
        raise CoreError(
            f"{place}, channel 't': {1 / median:.4g} Hz (median step {median * 1e3:.4g} ms) where {rate_hz:g} Hz is declared",
            hint="check the time unit (s, ms, us, ns) and `rate_hz` in the mapping",
        )
    if rate_hz is None and not LIKELY_RATES[0] <= 1 / median <= LIKELY_RATES[1]:
        message = f"{1 / median:.4g} Hz (median step {median:.4g} s) is no usual rate of a robot's log: check the time unit (s, ms, us, ns)"
        findings.append(Finding(kind="rate", log=log, stream=stream, message=message, figures={"median_step": median}))
    gaps = np.flatnonzero(dt_t > GAP_FACTOR * median)
    if gaps.size:
        row = int(gaps[0]) + 1
        worst = float(dt_t.max())
        message = (
            f"row {row}: {gaps.size} gap{'s' if gaps.size > 1 else ''} in time, the longest {worst * 1e3:.4g} ms "
            f"where the median step is {median * 1e3:.4g} ms"
        )
        if on_gap == "error":
            raise CoreError(f"{place}, {message}", hint="cut the log there, or set `on_gap: report` in the mapping")
        figures = {"count": float(gaps.size), "longest": worst, "median_step": median}
        findings.append(Finding(kind="gap", log=log, stream=stream, row=row, message=message, figures=figures))
    findings += _jitter(dt_t, median, log, stream)
    return findings


def check_derivatives(log: Log) -> list[Finding]:
    """Findings on velocities that are not the derivative of the position of the same joint: a wrong unit or sign of one of the two.

    A least-squares line through zero of velocity over the differences of position; a factor near 180/pi, pi/180 or -1 with a good
    correlation is reported.
    """
    findings = []
    for signal in log.signals.values():
        by_joint: dict[str, dict[str, int]] = {}
        for index, channel in enumerate(signal.channels):
            if channel.target is not None and channel.target.kind == "joint" and channel.role != "command":
                by_joint.setdefault(channel.target.name, {}).setdefault(channel.quantity, index)
        for joint, found in by_joint.items():
            if "position" not in found or "velocity" not in found or len(signal.t_t) < 20:
                continue
            slope, correlation = derivative_slope(
                signal.t_t, signal.values_tc[:, found["position"]], signal.values_tc[:, found["velocity"]]
            )
            if abs(correlation) < 0.8:
                continue
            name = signal.channels[found["velocity"]].name
            figures = {"slope": slope, "correlation": correlation}
            for factor in (180 / np.pi, np.pi / 180):
                if abs(abs(slope) / factor - 1) < 0.3:
                    message = (
                        f"channel '{name}' is {abs(slope):.3g} times the derivative of the position of joint '{joint}': "
                        "one of them is in degrees"
                    )
                    findings.append(Finding(kind="unit", log=log.name, channel=name, message=message, figures=figures))
            if slope < 0:
                message = f"channel '{name}' has the opposite sign of the derivative of the position of joint '{joint}'"
                findings.append(Finding(kind="sign", log=log.name, channel=name, message=message, figures=figures))
    return findings


def derivative_slope(
    t_t: NDArray[np.float64], position_t: NDArray[np.float64], velocity_t: NDArray[np.float64], *, max_lag: int = 10
) -> tuple[float, float]:
    """Slope and correlation of `velocity_t` over the central differences of `position_t`, both smoothed over five samples.

    A filtered velocity lags: of the shifts by 0 to `max_lag` samples the one with the largest correlation counts. Slope 0 and correlation 0
    when either does not move.
    """
    kernel = np.ones(5) / 5
    rate_t = np.convolve(np.gradient(position_t, t_t), kernel, mode="valid")
    speed_t = np.convolve(velocity_t, kernel, mode="valid")
    slope = correlation = 0.0
    for lag in range(min(max_lag + 1, len(rate_t) // 2)):
        rate, speed = rate_t[: len(rate_t) - lag], speed_t[lag:]
        power, norm = float(rate @ rate), float(speed @ speed)
        if power <= 0 or norm <= 0:
            break
        product = float(rate @ speed)
        if abs(product) / np.sqrt(power * norm) > abs(correlation):
            slope, correlation = product / power, float(product / np.sqrt(power * norm))
    return slope, correlation


def _jitter(dt_t: NDArray[np.float64], median: float, log: str, stream: str) -> list[Finding]:
    dt_t = np.where(dt_t > GAP_FACTOR * median, median, dt_t)  # a gap is told as such
    away_t = np.abs(dt_t - median)
    share = float(np.mean(away_t > JITTER_SHARE * median))
    if share <= 0.01:
        return []
    row = int(np.argmax(away_t)) + 1
    figures = {"share": share, "shortest": float(dt_t.min()), "longest": float(dt_t.max()), "median_step": median}
    message = (
        f"clock jitter: {share:.0%} of the steps are more than {JITTER_SHARE:.0%} off the median {median * 1e3:.4g} ms "
        f"(from {dt_t.min() * 1e3:.3g} to {dt_t.max() * 1e3:.3g} ms, worst at row {row})"
    )
    return [Finding(kind="jitter", log=log, stream=stream, row=row, message=message, figures=figures)]


def _bad(value: float) -> str:
    return "not a number (NaN)" if np.isnan(value) else "infinite"


def check_ranges(log: Log, robot: Robot) -> list[Finding]:
    """Findings on values that the model cannot have: positions outside a joint's range, commands outside an actuator's.

    A wrong unit, sign or zero shows up here first. Room of 2 % of the range is given to a soft limit.
    """
    findings = []
    model = robot.model
    for signal in log.signals.values():
        for index, channel in enumerate(signal.channels):
            target = channel.target
            if target is None or (target.kind == "joint" and channel.quantity != "position") or target.kind == "sensor":
                continue
            element = robot.id(target.kind, target.name)
            limited, limits = (
                (model.jnt_limited[element], model.jnt_range[element])
                if target.kind == "joint"
                else (model.actuator_ctrllimited[element], model.actuator_ctrlrange[element])
            )
            if not limited:
                continue
            low, high = float(limits[0]), float(limits[1])
            room = 0.02 * (high - low)
            column_t = signal.values_tc[:, index]
            outside = (column_t < low - room) | (column_t > high + room)
            if outside.any():
                row = int(np.argmax(outside))
                message = (
                    f"channel '{channel.name}' leaves the range of {target.kind} '{target.name}', {low:.4g} to {high:.4g} {channel.unit}, "
                    f"in {outside.mean():.0%} of the rows (from {column_t.min():.4g} to {column_t.max():.4g}): check unit, sign and zero"
                )
                figures = {"share": float(outside.mean()), "smallest": float(column_t.min()), "largest": float(column_t.max())}
                findings.append(Finding(kind="range", log=log.name, channel=channel.name, row=row, message=message, figures=figures))
    return findings
