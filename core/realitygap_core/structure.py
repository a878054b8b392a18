"""The search for terms that a model lacks: friction, springs, offsets, delays, limits, for any joint, actuator or channel.

Greedy and forward. In each round every candidate term gets its columns beside the Jacobian of the parameters already there; the bounded
linear step of all together predicts how much it explains, real replays check the best few, the winners are refitted. A term is kept
when the Bayesian information criterion with the effective number of samples prefers it (Schwarz 1978, doi:10.1214/aos/1176344136) and
the gap really shrinks. Only the logs of the given replay are ever looked at.

A spring with a rest angle has no effect to differentiate at stiffness 0: its columns are two springs that pull to either side, whose
mixture is one spring in between.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import lsq_linear

from realitygap_core.fit import FitConfig, Problem, correlation_time, solve
from realitygap_core.gap import ChannelGap, gaps
from realitygap_core.parameters import Applier, describe, enumerate_parameters, is_position_servo
from realitygap_core.plant import Floats
from realitygap_core.replay import Replay

Report = Callable[[str], None]

NEUTRAL = {
    "frictionloss": 0.0,
    "damping": 0.0,
    "armature": 0.0,
    "stiffness": 0.0,
    "command_offset": 0.0,
    "command_scale": 1.0,
    "delay": 0.0,
    "force_limit": math.inf,
    "command_rate": math.inf,
    "sensor_offset": 0.0,
}
"""Kinds of single parameters that are candidate terms, with the value at which the term is not there."""

_WORTH_A_REFIT = 1.3
"""A term whose removal, by linear prediction, raises the cost by less than this factor is tried without."""

_WORDS = {
    "frictionloss": ("Coulomb friction", "joint", "add `frictionloss` to the joint"),
    "damping": ("viscous damping", "joint", "add `damping` to the joint"),
    "armature": ("rotor inertia", "joint", "add `armature` to the joint"),
    "stiffness": (
        "spring with rest position",
        "joint",
        "add `stiffness` and `springref` to the joint; look for a cable, a hose or a return spring",
    ),
    "command_offset": ("command offset", "actuator", "calibrate the zero of the driver, or keep the offset in the signal path"),
    "command_scale": ("command scale", "actuator", "check the driver's gain and the supply"),
    "delay": ("command delay", "actuator", "keep the delay in the signal path and train under it"),
    "force_limit": ("force limit", "actuator", "set `forcerange`"),
    "command_rate": ("command rate limit", "actuator", "keep the limit in the signal path"),
    "sensor_offset": ("sensor offset", "channel", "calibrate the zero of the sensor"),
}


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
class Term:
    """One candidate."""

    kind: str
    """A key of `NEUTRAL`; `stiffness` stands for the spring with its rest position."""
    target: str
    """Joint, actuator or channel."""
    names: tuple[str, ...]
    """Parameters that it adds."""
    probes: tuple[dict[str, float], ...]
    """Values at which each of its columns is measured."""
    low: tuple[float, ...]
    """Least multiple of each probe."""
    high: tuple[float, ...]
    """Largest multiple of each probe."""
    origin: float | None = None
    """Nominal value of a parameter that the model already has; None for a term that it lacks."""

    def values(self, coefficients: Floats) -> dict[str, float]:
        """Values of the term's parameters at multiples of its probes."""
        if self.kind == "stiffness" and self.origin is None:
            total = float(np.sum(coefficients))
            stiffness, reference = self.names
            if total <= 0:
                return {stiffness: 0.0, reference: self.probes[0][reference]}
            mixed = sum(c * probe[reference] for c, probe in zip(coefficients, self.probes, strict=True)) / total
            return {stiffness: total * self.probes[0][stiffness], reference: float(mixed)}
        (name,) = self.names
        probe, neutral = self.probes[0][name], NEUTRAL[self.kind] if self.origin is None else self.origin
        if math.isinf(neutral):  # a limit: the probe is 10 % below what the logs reach
            return {name: probe / 0.9 * (1.0 - 0.1 * float(coefficients[0]))}
        return {name: neutral + float(coefficients[0]) * (probe - neutral)}


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
    """Gap before it was added, after the best refit of what was there."""
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
            "advice": _WORDS[self.kind][2],
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


def candidates(replay: Replay, names: Sequence[str], released: Sequence[str] = ()) -> list[Term]:
    """Every term for every joint, actuator and position channel that the parameters `names` and the model do not have yet.

    `released` are parameters of the model that were left at their nominal value and may be searched after all.
    """
    robot = replay.robot
    terms = [_release(replay, name) for name in released if name not in names]
    taken = {*names, *released}
    moved = {item.address for item in replay.observed if item.source == "qpos"}
    for name, info in enumerate_parameters(robot).items():
        if info.kind not in NEUTRAL or name in taken or info.nominal != NEUTRAL[info.kind]:
            continue
        if (
            info.kind == "command_scale"
            and f"gain[{info.target}]" in names
            and not is_position_servo(robot.model, robot.id("actuator", info.target))
        ):
            continue  # the same thing
        if info.kind == "sensor_offset" and not any(
            item.source == "qpos" and item.path_index >= 0 and _channel_name(replay, item.path_index) == info.target
            for item in replay.observed
        ):
            continue
        term = _term(replay, name, moved)
        if term is not None:
            terms.append(term)
    return terms


def _release(replay: Replay, name: str) -> Term:
    info = describe(replay.robot, name)
    step = 1e-3 * info.nominal if info.scale == "log" else 1e-4 * (info.high - info.low)
    low, high = (info.low - info.nominal) / step, (info.high - info.nominal) / step
    return Term(
        kind=info.kind,
        target=info.target,
        names=(name,),
        probes=({name: info.nominal + step},),
        low=(low,),
        high=(high,),
        origin=info.nominal,
    )


def _channel_name(replay: Replay, index: int) -> str:
    from realitygap_core.plant import channel_names

    return channel_names(replay.robot)[index]


def _term(replay: Replay, name: str, moved: set[int]) -> Term | None:
    info = describe(replay.robot, name)
    neutral = NEUTRAL[info.kind]
    if info.kind == "stiffness":
        rest = f"springref[{info.target}]"
        middle, reach = _travel(replay, info.target)
        probe = 1e-4 * info.high
        probes = ({name: probe, rest: middle - reach}, {name: probe, rest: middle + reach})
        return Term(kind=info.kind, target=info.target, names=(name, rest), probes=probes, low=(0.0, 0.0), high=(1e4, 1e4))
    if math.isinf(neutral):
        largest = _largest_force(replay, info.target) if info.kind == "force_limit" else _largest_rate(replay, info.target)
        if largest is None:
            return None
        return Term(kind=info.kind, target=info.target, names=(name,), probes=({name: 0.9 * largest},), low=(0.0,), high=(9.5,))
    step = replay.dt if info.kind == "delay" else 1e-4 * (info.high - info.low)
    low, high = (info.low - neutral) / step, (info.high - neutral) / step
    return Term(kind=info.kind, target=info.target, names=(name,), probes=({name: neutral + step},), low=(low,), high=(high,))


def _travel(replay: Replay, joint: str) -> tuple[float, float]:
    """(middle, reach) of rest positions to consider: what the joint was seen to travel, doubled, at least a radian (or 0.1 m) to each
    side."""
    model = replay.robot.model
    joint_id = replay.robot.id("joint", joint)
    address = int(model.jnt_qposadr[joint_id])
    seen = [replay.real[item.name] for item in replay.observed if item.source == "qpos" and item.address == address]
    least = 1.0 if replay.robot.model.jnt_type[joint_id] == 3 else 0.1
    if not seen:
        return float(model.qpos0[address]), least
    low, high = float(min(v.min() for v in seen)), float(max(v.max() for v in seen))
    return (low + high) / 2, max(high - low, least)


def _commands(replay: Replay, actuator: str) -> list[tuple[Floats, Floats]]:
    found = []
    for log in replay.recording.data.values():
        commands = log.commands
        for index, channel in enumerate(commands.channels):
            if channel.target is not None and channel.target.name == actuator:
                found.append((commands.t_t, commands.values_tc[:, index]))
    return found


def _largest_force(replay: Replay, actuator: str) -> float | None:
    """Largest force that the command asks for; of a servo, from the recorded distance to the command."""
    model, index = replay.robot.model, replay.robot.id("actuator", actuator)
    gain = abs(float(model.actuator_gainprm[index, 0]))
    commands = _commands(replay, actuator)
    if not commands or gain == 0:
        return None
    if not is_position_servo(model, index):
        return gain * max(float(np.abs(values).max()) for _, values in commands)
    joint = int(model.actuator_trnid[index, 0])
    shown = next((item for item in replay.observed if item.source == "qpos" and item.address == model.jnt_qposadr[joint]), None)
    if shown is None:
        return None
    largest = 0.0
    for log in replay.recording.data.values():
        t, position = log.channel(shown.name)
        for commanded_t, values in _commands(replay, actuator):
            if commanded_t is log.commands.t_t:
                largest = max(largest, gain * float(np.nanmax(np.abs(np.interp(t, commanded_t, values) - position))))
    return largest or None


def _largest_rate(replay: Replay, actuator: str) -> float | None:
    """Largest steady rate of the command: the 99th percentile, so that single steps do not count."""
    rates = [np.abs(np.diff(values)) / np.diff(t) for t, values in _commands(replay, actuator)]
    largest = max((float(np.percentile(rate, 99)) for rate in rates if len(rate)), default=0.0)
    return largest or None


def search(
    replay: Replay,
    names: Sequence[str],
    start: Mapping[str, float],
    *,
    weights: Mapping[str, float] | None = None,
    bounds: Mapping[str, tuple[float, float]] | None = None,
    released: Sequence[str] = (),
    config: SearchConfig | None = None,
    report: Report | None = None,
    check: Callable[[], None] | None = None,
) -> Structure:
    """Adds terms to the parameters `names` (at `start`, best already fitted) as long as the logs ask for them.

    Raises:
        CoreError: unknown names.
    """
    settings = config or SearchConfig()
    say = report or (lambda text: None)
    current, values = tuple(names), {name: float(start[name]) for name in names}
    found: list[Found] = []
    evaluations = 0
    while len(found) < settings.max_terms:
        if check is not None:
            check()
        problem = Problem(replay, current, bounds=bounds, weights=weights)
        terms = candidates(replay, current, released)
        if not terms:
            break
        here, ranked, used = _screen(replay, problem, values, terms, settings)
        evaluations += used
        if float(here @ here) <= _EXACT**2 * here.size:
            say("no further term: there is no error left to explain")
            break
        predicted = 1.0 - math.sqrt(ranked[0].cost / float(here @ here))
        if predicted < settings.min_improvement:
            say(f"no further term: the best, {_label(ranked[0].term)}, would take away {max(predicted, 0):.1%}")
            break
        best: tuple[float, Term, Problem, Floats] | None = None
        for candidate in ranked[: settings.refit]:
            wider = Problem(replay, (*current, *candidate.term.names), bounds=_with_rest(bounds, candidate.term), weights=weights)
            z, _ = solve(wider, wider.unit(candidate.guess), settings.trial, check=check)
            residual = wider.residuals(z[None])[0]
            if best is None or float(residual @ residual) < best[0]:
                if best is not None:
                    evaluations += best[2].evaluations
                best = (float(residual @ residual), candidate.term, wider, z)
            else:
                evaluations += wider.evaluations
        if best is None:
            break
        _, term, wider, z = best
        z, _ = solve(wider, z, settings.fit, check=check)
        residual = wider.residuals(z[None])[0]
        fitted = dict(zip(wider.names, wider.values(z).tolist(), strict=True))
        evaluations += wider.evaluations
        gain = bic_gain(replay, here, residual, len(term.names))
        improvement = 1.0 - math.sqrt(float(residual @ residual) / float(here @ here))
        label = _label(term)
        if gain <= 0 or improvement < settings.min_improvement:
            say(f"no further term: the best, {label}, would take away {max(improvement, 0):.1%}")
            break
        say(f"{label}: takes away {improvement:.0%} of the error")
        if term.origin is None:
            found.append(
                Found(
                    term=label,
                    kind=term.kind,
                    target=term.target,
                    parameters=term.names,
                    improvement=improvement,
                    gap_before=_gaps_of(replay, here, problem.weights),
                    gap_after=_gaps_of(replay, residual, problem.weights),
                    bic_gain=gain,
                    confidence=1.0 / (1.0 + math.exp(-min(gain, 60.0) / 2)),
                )
            )
        current, values = (*current, *term.names), fitted
        bounds = _with_rest(bounds, term)
    current, values, found, used = _prune(replay, current, values, found, weights, bounds, settings, say)
    evaluations += used
    return Structure(names=current, values=values, found=tuple(found), evaluations=evaluations, bounds=dict(bounds or {}))


def _prune(
    replay: Replay,
    names: tuple[str, ...],
    values: dict[str, float],
    found: list[Found],
    weights: Mapping[str, float] | None,
    bounds: Mapping[str, tuple[float, float]] | None,
    config: SearchConfig,
    say: Report,
) -> tuple[tuple[str, ...], dict[str, float], list[Found], int]:
    """Takes out terms that later ones made superfluous: (names, values, terms, replays used).

    The linear step to the model without the term tells which ones are worth a refit.
    """
    used = 0
    problem = Problem(replay, names, bounds=bounds, weights=weights)
    for item in list(found):
        if problem.names != names:
            used += problem.evaluations
            problem = Problem(replay, names, bounds=bounds, weights=weights)
        z = problem.unit(values)
        residual, jacobian = problem.linearise(z, config.fit.step)
        gone = np.array([name in item.parameters for name in names])
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
        smaller = Problem(replay, kept, bounds=bounds, weights=weights)
        z, _ = solve(smaller, smaller.unit(values), config.fit)
        without = smaller.residuals(z[None])[0]
        used += smaller.evaluations
        if bic_gain(replay, without, residual, len(item.parameters)) <= 0 or _worse_by(without, residual) < config.min_improvement:
            say(f"{item.term}: superfluous beside the others, taken out again")
            names, values = kept, dict(zip(kept, smaller.values(z).tolist(), strict=True))
            found = [other for other in found if other is not item]
    return names, values, found, used + problem.evaluations


_EXACT = 1e-9
"""Root mean square of the weighted residual below which a log is explained exactly, as one that this very model made is."""


def _worse_by(without: Floats, residual: Floats) -> float:
    """Part of the RMSE without the term that it takes away."""
    return 1.0 - math.sqrt(float(residual @ residual) / float(without @ without))


def _label(term: Term) -> str:
    return term.names[0] if term.origin is not None else f"{_WORDS[term.kind][0]} of {_WORDS[term.kind][1]} {term.target}"


def _with_rest(bounds: Mapping[str, tuple[float, float]] | None, term: Term) -> dict[str, tuple[float, float]]:
    """Bounds of the term's parameters that follow from the logs rather than from the model."""
    wider = dict(bounds or {})
    if term.kind in ("force_limit", "command_rate"):
        largest = term.probes[0][term.names[0]] / 0.9
        wider.setdefault(term.names[0], (0.05 * largest, 1.05 * largest))
    return wider


def _gaps_of(replay: Replay, residual: Floats, weights: Mapping[str, float]) -> dict[str, ChannelGap]:
    simulated, at = {}, 0
    for name, real in replay.real.items():
        simulated[name] = real + residual[at : at + len(real)] * weights[name]
        at += len(real)
    return gaps(replay, simulated)


def _screen(
    replay: Replay, problem: Problem, values: Mapping[str, float], terms: Sequence[Term], config: SearchConfig
) -> tuple[Floats, list[_Candidate], int]:
    """(residual now, candidates with starting values, best first, replays used)."""
    z = problem.unit(values)
    now = dict(zip(problem.names, problem.values(z).tolist(), strict=True))
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
    return here, ordered, len(problem.names) + 1 + len(probes) + len(guesses)


def _linear_gain(here: Floats, jacobian: Floats, columns: Floats, z: Floats, term: Term) -> tuple[float, Floats, Floats]:
    """(predicted cost, step of the parameters, multiples of the probes) of the best bounded linear combination."""
    matrix = np.concatenate([jacobian, columns], axis=1)
    norms = np.maximum(np.linalg.norm(matrix, axis=0), 1e-300)
    q, r = np.linalg.qr(matrix / norms)
    k = matrix.shape[1]
    low = np.concatenate([-z, term.low]) * norms
    high = np.concatenate([1.0 - z, term.high]) * norms
    tall = np.concatenate([r, 1e-2 * np.eye(k)])
    target = np.concatenate([-(q.T @ here), np.zeros(k)])
    x = lsq_linear(tall, target, bounds=(np.minimum(low, -1e-300), np.maximum(high, 1e-300)), method="bvls").x / norms
    left = here + matrix @ x
    return float(left @ left), x[: len(z)], x[len(z) :]


def bic_gain(replay: Replay, before: Floats, after: Floats, added: int) -> float:
    """Fall of the Bayesian information criterion from residuals `before` to `after` [n] with `added` parameters more; positive is better.

    The samples count as many as the residual after the fit has independent ones: channels with more of the remaining error weigh more
    in its correlation time, as they do in the cost.
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
    return effective * math.log(max(float(before @ before), 1e-300) / energy) - added * math.log(effective)
