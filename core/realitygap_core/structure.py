"""The search for terms that a model lacks: friction, springs, offsets, delays, limits, for any joint, actuator or channel.

Greedy and forward. In each round every candidate term gets its columns beside the Jacobian of the parameters already there; the bounded
linear step of all together predicts how much it explains, real replays check the best few, the winners are refitted. A term is kept
when the Bayesian information criterion with the effective number of samples prefers it (Schwarz 1978, doi:10.1214/aos/1176344136), when
the gap really shrinks, and when the error on what it was not fitted to falls by more than one standard error (see `held_out`). Only the
logs of the given replay are ever looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from realitygap_core.candidates import NEUTRAL, WORDS, Term, candidates
from realitygap_core.fit import FitConfig, Problem, solve
from realitygap_core.gap import ChannelGap, gaps
from realitygap_core.held_out import better, held_out
from realitygap_core.intervals import correlation_time
from realitygap_core.least_squares import bounded_step, reduced
from realitygap_core.parameters import Applier, apply, describe
from realitygap_core.plant import Floats
from realitygap_core.replay import Replay

Report = Callable[[str], None]

_WORTH_A_REFIT = 1.3
"""A term whose removal, by linear prediction, raises the cost by less than this factor is tried without."""
_COARSEST = 4
"""Most steps of the model in one of the search."""
_STEP_ERROR = 0.25
"""What a coarse step may get wrong, as a part of the residual."""


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """How the search goes about its work."""

    max_terms: int = 6
    """Most terms to add."""
    min_improvement: float = 0.02
    """A term that shrinks the weighted RMSE by a smaller part than this is not worth having."""
    verify: int = 5
    """How many candidates of a round are replayed after the linear prediction."""
    refit: int = 2
    """How many of those are refitted."""
    trial: FitConfig = field(default_factory=lambda: FitConfig(max_iterations=2, tolerance=1e-2))
    """The fits that choose among them."""
    fit: FitConfig = field(default_factory=lambda: FitConfig(max_iterations=8, tolerance=1e-2))
    """The fit that the one chosen gets on top."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """A term that the search added."""

    term: str
    """What it is, in words."""
    kind: str
    """Kind of its first parameter."""
    target: str
    """Joint, actuator or channel."""
    parameters: tuple[str, ...]
    """Parameters that it added."""
    improvement: float
    """Part of the weighted RMSE that it took away, when it was added."""
    gap_before: dict[str, ChannelGap]
    """Gap before it was added, after the best refit of what was there; with the step of the search."""
    gap_after: dict[str, ChannelGap]
    """Gap after."""
    bic_gain: float
    """By how much the information criterion fell."""
    confidence: float
    """Posterior probability of the term against its absence, from the criterion: 1 / (1 + exp(-gain / 2))."""

    def as_json(self, values: Mapping[str, float]) -> dict[str, Any]:
        """The finding with the final values of its parameters."""
        kept = {name: values[name] for name in self.parameters if name in values}
        before = ", ".join(f"{name} {gap.rmse:.3g}" for name, gap in self.gap_before.items())
        after = ", ".join(f"{name} {gap.rmse:.3g} {gap.unit}" for name, gap in self.gap_after.items())
        return {
            "term": self.term,
            "kind": self.kind,
            "target": self.target,
            "parameters": kept,
            "improvement": self.improvement,
            "gap_before": {name: gap.as_json() for name, gap in self.gap_before.items()},
            "gap_after": {name: gap.as_json() for name, gap in self.gap_after.items()},
            "confidence": self.confidence,
            "evidence": f"with it the RMSE on the training logs goes from {before} to {after}; "
            f"information criterion better by {self.bic_gain:.0f}",
            "advice": WORDS[self.kind][2],
        }


@dataclass(frozen=True, kw_only=True)
class Structure:
    """What the search ended with."""

    names: tuple[str, ...]
    """Parameters of the final model: those given and those of the terms."""
    values: dict[str, float]
    """Where the last short fit left them."""
    found: tuple[Found, ...]
    """Terms in the order in which they were added."""
    evaluations: int
    """Replays of one plant through all logs."""
    bounds: dict[str, tuple[float, float]]
    """Bounds to fit them in: those given, and those of limits, which follow from the logs."""


@dataclass(frozen=True, kw_only=True)
class _Candidate:
    term: Term
    guess: dict[str, float]
    cost: float
    """Predicted cost with the term."""


def search(
    replay: Replay,
    names: Sequence[str],
    start: Mapping[str, float],
    *,
    weights: Mapping[str, Floats | float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    released: Sequence[str] = (),
    config: SearchConfig | None = None,
    report: Report | None = None,
    check: Callable[[], None] | None = None,
) -> Structure:
    """Fits the parameters `names` from `start` (nominal where a name is missing), then adds terms as long as the logs ask for them.

    Raises:
        CoreError: unknown names.
    """
    settings = config or SearchConfig()
    say = report or (lambda text: None)
    found: list[Found] = []
    evaluations = 0
    coarse_to_fine = [*_coarser(replay), replay]
    problem = Problem(coarse_to_fine[0], tuple(names), bounds=bounds, weights=weights)
    problems = [problem]
    z, converged = solve(problem, problem.unit(start), settings.fit, check=check)
    simple: Floats | None = None
    while len(found) < settings.max_terms:
        if check is not None:
            check()
        while len(coarse_to_fine) > 1 and not _fine_enough(problem, z, coarse_to_fine[-1]):
            del coarse_to_fine[0]
            finer = Problem(coarse_to_fine[0], problem.names, bounds=bounds, weights=weights)
            problems.append(finer)
            z, converged = solve(finer, finer.unit(problem.named(z)), settings.fit, check=check)
            problem = finer
            simple = None
        terms = candidates(problem.replay, problem.names, released)
        if not terms:
            break
        here, ranked, used = _screen(problem, z, terms, settings)
        evaluations += used
        least = problem.resolution * here.size
        if float(here @ here) <= least:
            say("no further term: what is left is below the resolution of the logs")
            break
        predicted = 1.0 - math.sqrt((ranked[0].cost + least) / (float(here @ here) + least))
        if predicted < settings.min_improvement:
            say(f"no further term: the best, {ranked[0].term.label}, would take away {max(predicted, 0):.1%}")
            break
        if not converged:
            # The simpler model gets a whole fit like the wider one, or what it lacks would be iterations.
            z, converged = solve(problem, z, settings.fit, check=check)
            here, simple = problem.residuals(z[None])[0], None
        if simple is None:
            simple = held_out(problem, z, settings.fit.step)
        trials: list[tuple[float, Term, Problem, Floats]] = []
        for candidate in ranked[: settings.refit]:
            wider = Problem(problem.replay, (*problem.names, *candidate.term.names), bounds=candidate.term.bounds(bounds), weights=weights)
            problems.append(wider)
            moved, _ = solve(wider, wider.unit(candidate.guess), settings.trial, check=check)
            residual = wider.residuals(moved[None])[0]
            trials.append((float(residual @ residual), candidate.term, wider, moved))
        _, term, wider, moved = min(trials, key=lambda trial: trial[0])
        moved, ended = solve(wider, moved, settings.fit, check=check)
        errors = held_out(wider, moved, settings.fit.step)
        residual = wider.residuals(moved[None])[0]
        gain = bic_gain(problem.replay, here, residual, len(term.names), least=least)
        improvement = 1.0 - math.sqrt((float(residual @ residual) + least) / (float(here @ here) + least))
        if gain <= 0 or improvement < settings.min_improvement:
            say(f"no further term: the best, {term.label}, would take away {max(improvement, 0):.1%}")
            break
        if not better(simple, errors, 1.0):
            say(f"no further term: with the best, {term.label}, what was left out is not predicted better")
            break
        say(f"{term.label}: takes away {improvement:.0%} of the error")
        if term.origin is None:
            found.append(
                Found(
                    term=term.label,
                    kind=term.kind,
                    target=term.target,
                    parameters=term.names,
                    improvement=improvement,
                    gap_before=_gaps_of(problem.replay, here, problem.weights),
                    gap_after=_gaps_of(problem.replay, residual, problem.weights),
                    bic_gain=gain,
                    confidence=1.0 / (1.0 + math.exp(-min(gain, 60.0) / 2)),
                )
            )
        problem, z, converged, simple = wider, moved, ended, errors
        bounds = term.bounds(bounds)
    evaluations += sum(problem.evaluations for problem in problems)
    problem, z, found, used = _prune(problem, z, found, bounds, settings, say)
    return Structure(
        names=problem.names, values=problem.named(z), found=tuple(found), evaluations=evaluations + used, bounds=dict(bounds or {})
    )


def _coarser(replay: Replay) -> list[Replay]:
    """The same replay with longer steps, longest first: powers of two of the model's, up to the time between samples."""
    factors = [2**power for power in range(int(math.log2(_COARSEST)), 0, -1)]
    return [replay.coarser(factor) for factor in factors if factor * replay.dt <= replay.sample_interval * 1.001]


def _fine_enough(problem: Problem, z: Floats, exact: Replay) -> bool:
    """Whether what the step of the problem's replay gets wrong is small beside the residual."""
    residual = problem.residuals(z[None])[0]
    wrong = problem.weighted(exact.simulate([apply(exact.robot, problem.named(z))]))[0] - residual
    return float(wrong @ wrong) <= _STEP_ERROR**2 * float(residual @ residual)


def _prune(
    problem: Problem,
    z: Floats,
    found: list[Found],
    bounds: Mapping[str, tuple[float, float]] | None,
    config: SearchConfig,
    say: Report,
) -> tuple[Problem, Floats, list[Found], int]:
    """Takes out terms that later ones made superfluous: (problem, its optimum, terms, replays used).

    The linear step to the model without the term tells which ones are worth a refit.
    """
    before = problem.evaluations
    used = 0
    for item in list(found):
        names = problem.names
        residual, jacobian = problem.linearise(z, config.fit.step)
        gone = np.array([name in item.parameters for name in names])
        values = problem.named(z)
        absent = problem.unit({**values, item.parameters[0]: NEUTRAL[item.kind]})
        forced = residual + jacobian[:, gone] @ (absent - z)[gone]
        none = Term(kind=item.kind, target=item.target, names=(), probes=(), low=(), high=())
        cost, step, _ = _linear_gain(forced, jacobian[:, ~gone], np.empty((len(forced), 0)), z[~gone], none)
        there = absent.copy()
        there[~gone] = np.clip(z[~gone] + step, 0.0, 1.0)
        # Replays too: with the others moved, and as they are. The effect of a limit that hardly acts is far from linear.
        stay = np.where(gone, absent, z)
        cost = min(cost, *np.sum(problem.residuals(np.stack([there, stay])) ** 2, axis=1).tolist())
        if cost > _WORTH_A_REFIT * float(residual @ residual):
            continue
        kept = tuple(name for name in names if name not in item.parameters)
        smaller = Problem(problem.replay, kept, bounds=bounds, weights=problem.weights)
        fitted, _ = solve(smaller, smaller.unit(values), config.fit)
        without = smaller.residuals(fitted[None])[0]
        if (
            bic_gain(problem.replay, without, residual, len(item.parameters), least=problem.resolution * len(residual)) <= 0
            or _worse_by(without, residual) < config.min_improvement
        ):
            say(f"{item.term}: superfluous beside the others, taken out again")
            used += problem.evaluations - before
            problem, z, before = smaller, fitted, 0
            found = [other for other in found if other is not item]
        else:
            used += smaller.evaluations
    return problem, z, found, used + problem.evaluations - before


def _worse_by(without: Floats, residual: Floats) -> float:
    """Part of the RMSE without the term that it takes away."""
    return 1.0 - math.sqrt(float(residual @ residual) / float(without @ without))


def _gaps_of(replay: Replay, residual: Floats, weights: Mapping[str, Floats | float]) -> dict[str, ChannelGap]:
    simulated, at = {}, 0
    for name, real in replay.real.items():
        simulated[name] = real + residual[at : at + len(real)] * weights[name]
        at += len(real)
    return gaps(replay, simulated)


def _screen(problem: Problem, z: Floats, terms: Sequence[Term], config: SearchConfig) -> tuple[Floats, list[_Candidate], int]:
    """(residual now, candidates with starting values, best first, replays used beside those of `problem`)."""
    replay = problem.replay
    now = problem.named(z)
    union = (*problem.names, *dict.fromkeys(name for term in terms for name in term.names))
    neutral = {name: describe(replay.robot, name).nominal for name in union}
    applier = Applier(replay.robot, union)

    def residuals(rows: Sequence[Mapping[str, float]]) -> Floats:
        table = np.array([[row.get(name, now.get(name, neutral[name])) for name in union] for row in rows])
        return problem.weighted(replay.simulate(applier.plants(table)))

    probes = [(term, probe) for term in terms for probe in term.probes]
    here, jacobian = problem.linearise(z, config.fit.step)
    shown = residuals([probe for _, probe in probes])
    columns: dict[int, list[Floats]] = {}
    for (term, _), row in zip(probes, shown, strict=True):
        columns.setdefault(id(term), []).append(row - here)
    predicted = []
    for term in terms:
        cost, step, coefficients = _linear_gain(here, jacobian, np.stack(columns[id(term)], axis=1), z, term)
        predicted.append((cost, term, step, coefficients))
    predicted.sort(key=lambda item: item[0])
    shares = (1.0, 0.4)
    guesses = [
        (
            term,
            dict(zip(problem.names, problem.values(np.clip(z + share * step, 0, 1)).tolist(), strict=True))
            | term.values(share * coefficients),
        )
        for _, term, step, coefficients in predicted[: config.verify]
        for share in shares
    ]
    rows = residuals([guess for _, guess in guesses])
    linear = {id(term): cost for cost, term, _, _ in predicted}
    costs = np.sum(rows**2, axis=1)
    ranked: dict[int, _Candidate] = {}
    for index in np.argsort(costs):
        term, guess = guesses[index]
        # A refit reaches at least the better of what a replay showed and what the linear model promises.
        ranked.setdefault(id(term), _Candidate(term=term, guess=guess, cost=min(float(costs[index]), linear[id(term)])))
    # First what is most promising; then, as a second opinion, what real replays liked best.
    ordered = sorted(ranked.values(), key=lambda candidate: candidate.cost)
    liked = next((candidate for candidate in ranked.values() if candidate is not ordered[0]), None)
    if liked is not None:
        ordered.remove(liked)
        ordered.insert(1, liked)
    return here, ordered, len(probes) + len(guesses)


def _linear_gain(here: Floats, jacobian: Floats, columns: Floats, z: Floats, term: Term) -> tuple[float, Floats, Floats]:
    """(predicted cost, step of the parameters, multiples of the probes) of the best bounded linear combination."""
    matrix = np.concatenate([jacobian, columns], axis=1)
    q, r, norms = reduced(matrix)
    x = bounded_step(r, q.T @ here, norms, np.concatenate([-z, term.low]), np.concatenate([1.0 - z, term.high]), 1e-4)
    left = here + matrix @ x
    return float(left @ left), x[: len(z)], x[len(z) :]


def bic_gain(replay: Replay, before: Floats, after: Floats, added: int, *, least: float) -> float:
    """Fall of the Bayesian information criterion from residuals `before` to `after` [n] with `added` parameters more; positive is better.

    The samples count as many as the residual after the fit has independent ones: channels with more of the remaining error weigh more
    in its correlation time, as they do in the cost. `least` is the sum of squares that the resolution of the logs alone makes.
    """
    weighted, at = 0.0, 0
    for name in replay.channels:
        owners = replay.segment_of(name)
        rows = after[at : at + len(owners)]
        at += len(owners)
        for segment in np.unique(owners):
            mine = rows[owners == segment]
            weighted += correlation_time(mine) * float(mine @ mine)
    energy = max(float(after @ after), 1e-300)
    effective = max(len(after) * energy / weighted, 2.0) if weighted > 0 else float(len(after))
    return effective * math.log((float(before @ before) + least) / (energy + least)) - added * math.log(effective)
