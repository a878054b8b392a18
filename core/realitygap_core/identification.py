"""Identification from beginning to end: own parameters, missing terms, intervals, and the posterior as a domain."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from realitygap_core.candidates import NEUTRAL
from realitygap_core.domain import nearest_correlation
from realitygap_core.fit import Estimate, Fit, FitConfig, channel_scales, fit
from realitygap_core.parameters import describe
from realitygap_core.replay import Replay
from realitygap_core.selection import Selection, identifiable
from realitygap_core.structure import Found, SearchConfig, search

_LEAST_SD = 1e-6
_NORMAL_95 = 1.959963984540054
_LAST = FitConfig(max_iterations=4, tolerance=1e-3)
"""The fit after the search, which ends near its optimum."""
_ONLY = FitConfig(max_iterations=10, tolerance=1e-3)
"""The fit without a search before it."""


@dataclass(frozen=True, kw_only=True)
class Identified:
    """The model that explains the training logs."""

    fit: Fit
    """Values, intervals, what is left."""
    found: tuple[Found, ...]
    """Terms that the nominal model lacks, in the order in which they were found."""
    left_out: dict[str, str]
    """Parameters that keep their nominal value, and why."""
    bounds: dict[str, tuple[float, float]]
    """Bounds that the fit used where they are not the parameter's own: the user's, and those of the search for terms."""
    evaluations: int
    """Replays of one plant through the training logs, all stages together."""


def identify(
    replay: Replay,
    *,
    names: Sequence[str] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    start: Mapping[str, float] | None = None,
    terms: SearchConfig | None = None,
    report: Callable[[str], None] | None = None,
    check: Callable[[], None] | None = None,
) -> Identified:
    """Fits `names` (None: the identifiable ones among the model's own), then searches for terms, then fits all.

    Args:
        replay: the training logs; nothing else is looked at.
        names: parameters to fit; all of them are kept, identifiable or not.
        bounds: (low, high) by name.
        start: values to begin at.
        terms: settings of the search; `max_terms=0` leaves it out.
        report: gets a line a stage.
        check: called between replays; may raise to stop.

    Raises:
        CoreError: unknown names, impossible bounds.
    """
    say = report or (lambda text: None)
    settings = terms or SearchConfig()
    weights = channel_scales(replay)
    auto = names is None
    selection = identifiable(replay) if names is None else Selection(names=tuple(names), left_out={})
    say(f"fitting {len(selection.names)} parameters: {', '.join(selection.names)}")
    evaluations = 0
    found: tuple[Found, ...] = ()
    current, values, reached = selection.names, dict(start or {}), dict(bounds or {})
    if settings.max_terms > 0:
        structure = search(
            replay, current, values, weights=weights, bounds=bounds, released=selection.tied, config=settings, report=report, check=check
        )
        evaluations = structure.evaluations
        found, current, values, reached = structure.found, structure.names, structure.values, structure.bounds
    say(f"final fit of {len(current)} parameters")
    last = _LAST if settings.max_terms > 0 else _ONLY
    final = fit(replay, current, start=values, bounds=reached, weights=weights, config=last, check=check)
    evaluations += final.evaluations
    left_out = {name: reason for name, reason in selection.left_out.items() if name not in current}
    if auto and (vague := _vague(replay, final)):
        # What the logs do not fix goes back to its nominal value, so that the others' intervals mean something.
        kept = tuple(name for name in current if name not in vague)
        again = fit(replay, kept, start=final.values, bounds=reached, weights=weights, config=_LAST, check=check)
        evaluations += again.evaluations
        if again.cost <= 1.05 * final.cost:
            left_out |= dict.fromkeys(vague, "the logs say next to nothing about it")
            final = again
    found = tuple(item for item in found if all(name in final.values for name in item.parameters))
    return Identified(fit=final, found=found, left_out=left_out, bounds=dict(reached), evaluations=evaluations)


def _vague(replay: Replay, result: Fit) -> set[str]:
    """Parameters to give up: own ones that are not identified, and whole terms of which no part is."""
    by_name = {estimate.name: estimate for estimate in result.estimates}
    given_up = set()
    for name, estimate in by_name.items():
        info = describe(replay.robot, name)
        added = info.kind in NEUTRAL and info.nominal == NEUTRAL[info.kind]
        if not estimate.identified and info.kind != "springref" and (not added or _holds_neutral(estimate, NEUTRAL[info.kind])):
            given_up.add(name)
            if info.kind == "stiffness" and f"springref[{info.target}]" in by_name:
                given_up.add(f"springref[{info.target}]")
    return given_up if len(given_up) < len(by_name) else set()


def _holds_neutral(estimate: Estimate, neutral: float) -> bool:
    return estimate.low <= neutral <= estimate.high


def posterior(
    replay: Replay, result: Fit, *, model: str | None = None, bounds: Mapping[str, tuple[float, float]] | None = None
) -> dict[str, Any]:
    """The posterior as a domain document (schema 1): truncated Gaussian marginals, log-Gaussian for log parameters, normal-score
    correlations."""
    parameters: dict[str, Any] = {}
    sds = []
    for estimate in result.estimates:
        info = describe(replay.robot, estimate.name)
        low, high = (bounds or {}).get(estimate.name, (info.low, info.high))
        sd = max(estimate.sd, _LEAST_SD * (math.log(high / low) if estimate.log else high - low))
        sds.append(sd)
        # The interval is Student's: few blocks make it wider than 1.96 deviations, and so must be what is drawn from. An end on a bound
        # is cut off, so the wider side tells.
        ends = np.array([estimate.low, estimate.value, estimate.high])
        sd = max(sd, float(np.max(np.diff(np.log(ends) if estimate.log else ends))) / _NORMAL_95)
        if estimate.log:
            entry = {"distribution": "log_gaussian", "median": estimate.value, "log_std": sd, "low": low, "high": high}
        else:
            entry = {"distribution": "truncated_gaussian", "mean": estimate.value, "std": sd, "low": low, "high": high}
        parameters[estimate.name] = entry | ({"unit": estimate.unit} if estimate.unit else {})
    document: dict[str, Any] = {"schema": 1}
    if model is not None:
        document["model"] = model
    document["description"] = "posterior of the identification: Laplace approximation with a sandwich covariance"
    document["parameters"] = parameters
    if len(sds) > 1:
        correlation = nearest_correlation(np.clip(result.covariance / np.outer(sds, sds), -0.999, 0.999), 1e-4)
        document["correlation"] = {
            "convention": "normal_scores",
            "names": list(parameters),
            "matrix": [[float(x) for x in row] for row in correlation],
        }
    return document
