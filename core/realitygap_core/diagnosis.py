"""Which kind of mismatch is left between a model and the logs of a robot, in which channel, and how large.

Hypotheses are nested: the model with its parameters uncertain as their priors say (nothing else is wrong), and that model with one more
thing
free: a sensor's offset or scale, the delay of the commands, one parameter away from its prior, a term that the model does not have, or
all priors too narrow by one factor.
Each is fitted jointly with all uncertain parameters (Gauss-Newton on the replay, maximum a posteriori), so that a fault is not explained
away by a parameter nor
taken for one, and scored by

    BIC = sum over channels (n_eff / n) SSE / sigma^2 + prior terms + faults * log(n_eff)

with sigma and the effective number of samples of the residual that the best hypothesis leaves: a residual that is correlated in time,
which is
what model error looks like, counts for few samples, and the verdict is then honestly weak. The best one is accepted if it beats the model
without it by `margin`, becomes part of the model, and the next is looked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from realitygap_core.fit import Problem
from realitygap_core.hypotheses import Believed, Hypothesis, Kind, channel_of, hypotheses, mechanics
from realitygap_core.information import resolution
from realitygap_core.parameters import ParameterInfo, enumerate_parameters, split
from realitygap_core.replay import Replay
from realitygap_core.statistics import correlated_sample_size, ljung_box

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class DiagnosisConfig:
    """How a diagnosis goes about its work."""

    default_spread: float = 0.05
    """Relative standard deviation of a parameter for which no interval is given."""
    margin: float = 6.0
    """How much smaller the BIC of a fault must be than without it; 6 is strong evidence (Kass and Raftery 1995)."""
    max_faults: int = 2
    """Most faults that are looked for one after another."""
    shortlist: int = 5
    """Hypotheses that are fitted in full; the rest are scored by their linearisation."""
    iterations: int = 3
    """Gauss-Newton steps of each fit."""
    least_samples: float = 10.0
    """Fewest effective samples that a channel of a log counts for."""
    delays: tuple[float, ...] = (0.002, 0.005, 0.01, 0.02, 0.04)
    """Start values of a delay, s beyond the believed one: from zero alone a fit ends in a local minimum."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One kind of mismatch, or that there is none, or that the logs cannot tell."""

    kind: Kind
    """Which kind."""
    channel: str | None
    """The channel that is wrong (observation), or in which it shows most."""
    parameter: str | None
    """The parameter in which the mismatch is expressed."""
    magnitude: float
    """How far it is from what was believed, in `unit`; for overconfidence the factor by which the intervals are too narrow."""
    low: float
    """Lower end of the 95 % interval of the magnitude."""
    high: float
    """Upper end."""
    unit: str
    """Unit of the magnitude."""
    confidence: float
    """Posterior probability of this hypothesis among all that were tried."""
    evidence: str
    """What speaks for it, with figures."""
    advice: str
    """What to do."""


@dataclass
class _Fitted:
    """A hypothesis at its best fit."""

    z: Floats
    """Point of the unit box, all parameters."""
    residual: Floats
    """[samples of all channels], in the channels' units."""
    columns: Floats
    """Jacobian [samples, all parameters], as far as known."""
    covariance: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    """Of the free parameters."""


@dataclass
class _Stage:
    """The outcome of looking for one more fault."""

    best: Hypothesis | None
    fitted: _Fitted
    without: float
    verdict: Verdict | None = None


class Diagnosis:
    """One diagnosis: a replay, what is believed, the hypotheses. `verdicts()` does the work."""

    def __init__(
        self,
        replay: Replay,
        believed: Mapping[str, Believed] | None = None,
        *,
        noise_floor: Mapping[str, float] | None = None,
        config: DiagnosisConfig | None = None,
        report: Callable[[str], None] = lambda text: None,
    ) -> None:
        """`believed` are identified parameters with intervals; without them the model's mechanics, each to `default_spread`.

        `noise_floor` is the spread of repeated logs by channel, where there are repeats. `report` is told what is being done; what it
        raises goes up.

        Raises:
            CoreError: a parameter that the robot does not have.
        """
        self.replay, self.config, self.report = replay, config or DiagnosisConfig(), report
        self.floor = dict(noise_floor or {})
        self.has_intervals = bool(believed)
        infos = enumerate_parameters(replay.robot)
        beliefs = dict(believed or mechanics(infos))
        self.hypotheses = hypotheses(replay, infos, beliefs)
        names = [*beliefs, *dict.fromkeys(n for h in self.hypotheses for n in h.names if n not in beliefs)]
        self.names = tuple(names)
        bounds = {n: _bounds(infos[n], beliefs[n]) for n in beliefs if n in infos}
        spread = dict.fromkeys(replay.channels, 1.0)
        self.problem = Problem(replay, names, bounds=bounds, weights=spread)
        self.infos = self.problem.infos
        self.base = self.problem.unit({n: b.value for n, b in beliefs.items()})
        self.tight = np.array([self._sd(i, beliefs[n]) if n in beliefs else 0.0 for i, n in enumerate(names)])
        self.parts = _parts(replay)
        self.before = self.after = np.zeros(0)
        """Residuals, in the channels' units, of the model as believed and with what was found; `parts` says which rows are whose."""
        self.resolution = {c: max(resolution(replay.real[c]), 1e-9 * float(np.ptp(replay.real[c])) + 1e-12) for c in replay.channels}

    def verdicts(self) -> list[Verdict]:
        """Most certain first. `none` stands alone; an `undecided` without parameter is what is left after the others."""
        accepted: list[Hypothesis] = []
        found: list[Verdict] = []
        current = self._start()
        self.before = current.residual
        alone = 0.0
        for _ in range(self.config.max_faults):
            self.report(f"looking for a fault beyond {len(accepted)} found")
            stage = self._stage(current, accepted)
            alone = stage.without
            if stage.best is None or stage.verdict is None:
                break
            found.append(stage.verdict)
            if stage.best.kind == "overconfidence":
                self.tight = self.tight * stage.verdict.magnitude
            else:
                accepted.append(stage.best)
            current = stage.fitted
            if self._at_floor(current):
                break
        self.after = current.residual
        rest = self._rest(current, alone, found)
        return sorted([*found, *([rest] if rest else [])], key=lambda v: -v.confidence)

    # Fits

    def _sd(self, index: int, belief: Believed) -> float:
        """Standard deviation of the prior in the unit box."""
        width = float(self.problem.width[index])
        log = bool(self.problem.log[index])
        if belief.low is not None and belief.high is not None and belief.high > belief.low:
            low, high = (max(x, 1e-300) for x in (belief.low, belief.high)) if log else (belief.low, belief.high)
            distance = math.log(high / low) if log else high - low
            return max(distance / (2 * 1.96) / width, 1e-6)
        relative = self.config.default_spread
        return max(relative if log else relative * abs(belief.value), 1e-9) / width if log or belief.value else 0.01

    def _free(self, faults: Sequence[Hypothesis]) -> tuple[NDArray[np.intp], Floats]:
        """Indices of the free parameters and their prior precisions in the unit box, wide for those of a fault."""
        sd = self.tight.copy()
        for name in {n for h in faults for n in h.names}:
            sd[self.names.index(name)] = 0.5
        free = np.flatnonzero(sd > 0)
        return free, 1 / sd[free] ** 2

    def _residuals(self, z_bk: Floats) -> Floats:
        return self.problem.residuals(np.clip(z_bk, 0.0, 1.0))

    def _columns(self, z: Floats, residual: Floats, which: Sequence[int]) -> Floats:
        step = np.array([1e-4 if z[i] + 1e-4 <= 1 else -1e-4 for i in which])
        points = np.repeat(z[None], len(which), axis=0)
        points[np.arange(len(which)), list(which)] += step
        return np.asarray(((self._residuals(points) - residual) / step[:, None]).T)

    def _noise(self, residual: Floats) -> tuple[Floats, float]:
        """Weight of each sample, n_eff / (n sigma^2), and the effective number of samples over all channels."""
        weights = np.empty_like(residual)
        total = 0.0
        for channel, logs in self.parts.items():
            n = sum(len(rows) for rows in logs)
            square = sum(float(np.sum(residual[rows] ** 2)) for rows in logs) / n
            sigma2 = max(square, self.resolution[channel] ** 2 / 12)
            # At least a few a log: an error that drifts would else count for so little that a fit gives the channel up.
            effective = sum(max(self.config.least_samples, correlated_sample_size(residual[rows])) for rows in logs)
            for rows in logs:
                weights[rows] = effective / n / sigma2
            total += effective
        return weights, total

    def _score(self, residual: Floats, z: Floats, weights: Floats, free: NDArray[np.intp], precision: Floats) -> float:
        return float(np.sum(weights * residual**2) + np.sum(precision * (z - self.base)[free] ** 2))

    def _step(self, at: _Fitted, weights: Floats, free: NDArray[np.intp], precision: Floats) -> tuple[Floats, Floats]:
        """Gauss-Newton step of the free parameters, within the box, and the covariance of the linearisation."""
        jacobian = at.columns[:, free]
        hessian = (jacobian * weights[:, None]).T @ jacobian + np.diag(precision)
        gradient = (jacobian * weights[:, None]).T @ at.residual + precision * (at.z - self.base)[free]
        covariance = np.linalg.pinv(hessian, hermitian=True)
        step = -covariance @ gradient
        # A parameter that is pushed through a bound stays on it, and the others take the step that is then best.
        held = ((at.z[free] <= 0) & (step < 0)) | ((at.z[free] >= 1) & (step > 0))
        if np.any(held) and not np.all(held):
            move = ~held
            step = np.zeros_like(step)
            step[move] = -np.linalg.pinv(hessian[np.ix_(move, move)], hermitian=True) @ gradient[move]
        return step, np.asarray(covariance, dtype=np.float64)

    def _improve(
        self, at: _Fitted, faults: Sequence[Hypothesis], iterations: int, weights: Floats | None = None, refresh: Sequence[int] = ()
    ) -> _Fitted:
        """Gauss-Newton from `at`. `refresh` are the columns that are taken anew at every step; the others stay. Without `weights` they
        follow the residual.
        """
        free, precision = self._free(faults)
        for _ in range(iterations):
            w = self._noise(at.residual)[0] if weights is None else weights
            step, _ = self._step(at, w, free, precision)
            before = self._score(at.residual, at.z, w, free, precision)
            tried: list[tuple[float, Floats, Floats]] = []
            for factors in ((1.0,), (0.5, 0.2)):
                points = np.repeat(at.z[None], len(factors), axis=0)
                for row, factor in enumerate(factors):
                    points[row, free] = np.clip(at.z[free] + factor * step, 0.0, 1.0)
                rows = self._residuals(points)
                tried += [(self._score(r, z, w, free, precision), z, r) for r, z in zip(rows, points, strict=True)]
                if min(s for s, _, _ in tried) < before:
                    break
            score, z, residual = min(tried, key=lambda item: item[0])
            if score >= before - 1e-3:
                break
            columns = at.columns.copy()
            if len(refresh):
                columns[:, list(refresh)] = self._columns(z, residual, refresh)
            at = _Fitted(z=z, residual=residual, columns=columns)
            if before - score < 0.1:
                break
        w = self._noise(at.residual)[0] if weights is None else weights
        return replace(at, covariance=self._step(at, w, free, precision)[1])

    def _start(self) -> _Fitted:
        """The model as believed, fitted within its priors."""
        self.report("fitting the model within what is believed of it")
        residual = self._residuals(self.base[None])[0]
        everything = range(len(self.names))
        free, _ = self._free(())
        columns = np.zeros((len(residual), len(self.names)))
        columns[:, free] = self._columns(self.base, residual, free.tolist())
        at = _Fitted(z=self.base.copy(), residual=residual, columns=columns)
        at = self._improve(at, (), 2, refresh=free.tolist())
        return replace(at, columns=self._columns(at.z, at.residual, everything))

    # One stage

    def _stage(self, current: _Fitted, accepted: Sequence[Hypothesis]) -> _Stage:
        rivals = [h for h in self.hypotheses if not any(set(h.names) == set(a.names) for a in accepted)]
        short = self._shortlist(current, accepted, rivals)
        fits: dict[int, _Fitted] = {}
        for index, hypothesis in enumerate(short):
            self.report(f"trying {hypothesis.label}")
            faults = [*accepted, hypothesis]
            own = [self.names.index(n) for n in hypothesis.names]
            fits[index] = self._improve(self._entry(current, hypothesis), faults, self.config.iterations, refresh=own)
        # The noise is that of the best explanation, by the likelihood with its own noise.
        best_fit = min([current, *fits.values()], key=self._own_noise_score)
        weights, effective = self._noise(best_fit.residual)
        price = math.log(max(effective, 8.0))
        # No fault is as likely beforehand as some fault; the faults share their half, or one of many would win by chance.
        odds = 2 * math.log(max(1, len(rivals)))
        current = self._improve(current, accepted, 2, weights)
        free, precision = self._free(accepted)
        without = self._score(current.residual, current.z, weights, free, precision)
        scores = []
        for index, hypothesis in enumerate(short):
            faults = [*accepted, hypothesis]
            own = [self.names.index(n) for n in hypothesis.names]
            fits[index] = self._improve(fits[index], faults, 2 if fits[index] is best_fit else 1, weights, refresh=own)
            scores.append(
                self._score(fits[index].residual, fits[index].z, weights, *self._free(faults)) + odds + price * len(hypothesis.names)
            )
        candidates = list(zip(short, scores, [fits[i] for i in range(len(short))], strict=True))
        factor = 1.0
        if self.has_intervals and not any(a.kind == "overconfidence" for a in accepted):
            factor, score, fitted = self._inflated(current, accepted, weights, price)
            score += odds
            candidates.append((Hypothesis(kind="overconfidence", names=(), label="intervals that are too narrow"), score, fitted))
        probabilities = _softmax([without, *(c[1] for c in candidates)])
        if not candidates or min(c[1] for c in candidates) > without - self.config.margin:
            return _Stage(best=None, fitted=current, without=probabilities[0])
        order = int(np.argmin([c[1] for c in candidates]))
        hypothesis, score, fitted = candidates[order]
        rivals_text = [(c[0].label, p) for c, p in zip(candidates, probabilities[1:], strict=True) if p > 0.02 and c[0] is not hypothesis]
        verdict = self._verdict(
            hypothesis,
            fitted,
            current,
            [*accepted, hypothesis],
            weights,
            probabilities[order + 1],
            without - score,
            factor,
            rivals_text,
            effective,
        )
        return _Stage(best=hypothesis, fitted=self._settled(fitted, [*accepted, hypothesis]), without=probabilities[0], verdict=verdict)

    def _settled(self, fitted: _Fitted, faults: Sequence[Hypothesis]) -> _Fitted:
        """The accepted fit with all columns taken anew."""
        return replace(fitted, columns=self._columns(fitted.z, fitted.residual, range(len(self.names))))

    def _own_noise_score(self, at: _Fitted) -> float:
        return sum(
            sum(map(len, logs)) * math.log(max(sum(float(np.sum(at.residual[r] ** 2)) for r in logs), 1e-300))
            for logs in self.parts.values()
        )

    def _shortlist(self, current: _Fitted, accepted: Sequence[Hypothesis], rivals: Sequence[Hypothesis]) -> list[Hypothesis]:
        """The hypotheses with the largest gain by the linearisation, and the best of each kind."""
        weights, _ = self._noise(current.residual)
        gains = []
        for hypothesis in rivals:
            free, precision = self._free([*accepted, hypothesis])
            step, _ = self._step(current, weights, free, precision)
            predicted = current.residual + current.columns[:, free] @ step
            moved = current.z.copy()
            moved[free] += step
            gains.append(self._own_noise_score(replace(current, residual=predicted)))
        order = sorted(range(len(rivals)), key=lambda i: gains[i])
        first_of_kind = {rivals[i].kind: i for i in reversed(order)}
        chosen = dict.fromkeys([*first_of_kind.values(), *order[: self.config.shortlist]])
        return [rivals[i] for i in sorted(chosen, key=lambda i: gains[i])[: self.config.shortlist + len(first_of_kind)]]

    def _entry(self, current: _Fitted, hypothesis: Hypothesis) -> _Fitted:
        """Where the fit of a hypothesis starts; a delay from the best of several."""
        if hypothesis.kind != "latency":
            return current
        index = self.names.index(hypothesis.names[0])
        points = np.repeat(current.z[None], len(self.config.delays), axis=0)
        points[:, index] = np.clip(points[:, index] + np.array(self.config.delays) / float(self.problem.width[index]), 0.0, 1.0)
        rows = self._residuals(points)
        best = min(range(len(rows)), key=lambda i: self._own_noise_score(replace(current, residual=rows[i])))
        if self._own_noise_score(replace(current, residual=rows[best])) >= self._own_noise_score(current):
            return current
        columns = current.columns.copy()
        columns[:, [index]] = self._columns(points[best], rows[best], [index])
        return _Fitted(z=points[best], residual=rows[best], columns=columns)

    def _inflated(self, current: _Fitted, accepted: Sequence[Hypothesis], weights: Floats, price: float) -> tuple[float, float, _Fitted]:
        """The factor by which all priors are too narrow, its score, and the fit with it."""
        tight = self.tight
        wide = {n for a in accepted for n in a.names}
        count = sum(1 for n, sd in zip(self.names, tight, strict=True) if sd > 0 and n not in wide)
        best = (1.0, math.inf, current)
        for factor in (2.0, 4.0, 8.0, 16.0):
            self.tight = np.minimum(tight * factor, np.maximum(tight, 0.5))
            fitted = self._improve(current, accepted, 1, weights)
            score = self._score(fitted.residual, fitted.z, weights, *self._free(accepted)) + 2 * count * math.log(factor) + price
            if score < best[1]:
                best = (factor, score, fitted)
        self.tight = tight
        return best

    # Words

    def _verdict(
        self,
        hypothesis: Hypothesis,
        fitted: _Fitted,
        before: _Fitted,
        faults: Sequence[Hypothesis],
        weights: Floats,
        confidence: float,
        gain: float,
        factor: float,
        rivals: Sequence[tuple[str, float]],
        effective: float,
    ) -> Verdict:
        improved = self._rms(before.residual), self._rms(fitted.residual)
        most = max(improved[0], key=lambda c: math.log(max(improved[0][c], 1e-300) / max(improved[1][c], 1e-300)))
        evidence = f"error of {most} {improved[0][most]:.3g} -> {improved[1][most]:.3g} {self.unit_of(most)}; BIC better by {gain:.1f}"
        evidence += f" on {effective:.0f} effective samples"
        if rivals:
            evidence += "; also possible: " + ", ".join(f"{label} ({p:.0%})" for label, p in sorted(rivals, key=lambda x: -x[1])[:3])
        if hypothesis.kind == "overconfidence":
            shifts = np.abs((fitted.z - self.base) / np.where(self.tight > 0, self.tight, np.inf))
            worst = int(np.argmax(shifts))
            evidence += (
                f"; {self.names[worst]} is {shifts[worst]:.1f} of its standard deviations away, {int(np.sum(shifts > 2))} beyond two"
            )
            return Verdict(
                kind="overconfidence",
                channel=most,
                parameter=None,
                magnitude=factor,
                low=factor / 2,
                high=factor * 2,
                unit="1",
                confidence=confidence,
                evidence=evidence,
                advice=_ADVICE["overconfidence"],
            )
        index = self.names.index(hypothesis.names[0])
        name, info = self.names[index], self.infos[index]
        free, precision = self._free(faults)
        covariance = self._step(replace(fitted, columns=self._fresh(fitted, free)), weights, free, precision)[1]
        sd = math.sqrt(max(float(covariance[list(free).index(index), list(free).index(index)]), 0.0))
        base, value, low, high = (
            float(self.problem.values(np.clip(self._with(fitted.z, index, at), 0, 1))[index])
            for at in (self.base[index], fitted.z[index], fitted.z[index] - 1.96 * sd, fitted.z[index] + 1.96 * sd)
        )
        target = split(name)[1]
        channel = channel_of(self.replay, target) if hypothesis.kind == "observation" else most
        kind: Kind = hypothesis.kind
        same_kind = confidence + sum(p for label, p in rivals if label.split(":")[0] == hypothesis.kind)
        advice = _ADVICE[kind].format(name=name, value=value, unit=info.unit)
        if same_kind < 0.6:
            evidence = f"most likely {hypothesis.label}, but not clearly; {evidence}"
            kind, advice = "undecided", _ADVICE["undecided"]
        return Verdict(
            kind=kind,
            channel=channel,
            parameter=name,
            magnitude=value - base,
            low=low - base,
            high=high - base,
            unit=info.unit,
            confidence=confidence,
            evidence=f"{name} {base:.4g} -> {value:.4g} {info.unit}; {evidence}",
            advice=advice,
        )

    def _fresh(self, fitted: _Fitted, free: NDArray[np.intp]) -> Floats:
        columns = fitted.columns.copy()
        columns[:, free] = self._columns(fitted.z, fitted.residual, free.tolist())
        return columns

    @staticmethod
    def _with(z: Floats, index: int, at: float) -> Floats:
        moved = z.copy()
        moved[index] = at
        return moved

    def _rms(self, residual: Floats) -> dict[str, float]:
        return {c: math.sqrt(sum(float(np.sum(residual[r] ** 2)) for r in logs) / sum(map(len, logs))) for c, logs in self.parts.items()}

    def unit_of(self, channel: str) -> str:
        return next(item.channel.unit for item in self.replay.observed if item.name == channel)

    def _leftover(self, current: _Fitted) -> tuple[str, float, float, float]:
        """The channel whose residual is largest over its noise, that residual and noise (rms), and the p-value of its whiteness."""
        left = self._rms(current.residual)
        floors = {c: max(self.floor.get(c, 0.0), _white_noise([current.residual[r] for r in logs])) for c, logs in self.parts.items()}
        floors = {c: max(f, self.resolution[c] / math.sqrt(12)) for c, f in floors.items()}
        worst = max(left, key=lambda c: left[c] / floors[c])
        rows = [r for r in self.parts[worst] if len(r) > 20]
        # Over several logs the smallest p-value is small by chance: Bonferroni.
        whiteness = min(1.0, len(rows) * min((ljung_box(current.residual[r])[1] for r in rows), default=1.0))
        return worst, left[worst], floors[worst], whiteness

    def _at_floor(self, current: _Fitted) -> bool:
        """Whether nothing is left that could be a fault: the residual is white, or within the spread of repeated logs."""
        worst, left, floor, whiteness = self._leftover(current)
        return whiteness > 0.01 or (worst in self.floor and left <= floor)

    def _rest(self, current: _Fitted, alone: float, found: Sequence[Verdict]) -> Verdict | None:
        """What is left after the last accepted fault: nothing, or something that no hypothesis explains."""
        worst, left, floor, whiteness = self._leftover(current)
        floor_text = "noise floor of repeated logs" if worst in self.floor else "noise that its residual shows"
        figures = f"error left in {worst} {left:.3g} {self.unit_of(worst)}, {left / floor:.1f} times the {floor_text}"
        if left > 2.0 * floor and whiteness < 0.01:
            return Verdict(
                kind="undecided",
                channel=worst,
                parameter=None,
                magnitude=left,
                low=floor,
                high=left,
                unit=self.unit_of(worst),
                # It can be no more certain than the faults that it comes after.
                confidence=(1 - whiteness) * min([v.confidence for v in found], default=alone),
                evidence=f"{figures}, correlated in time; "
                + (f"left after {len(found)} accepted" if found else "no single fault that was tried explains it"),
                advice=_ADVICE["undecided"],
            )
        if found:
            return None
        return Verdict(
            kind="none",
            channel=None,
            parameter=None,
            magnitude=0.0,
            low=0.0,
            high=0.0,
            unit="1",
            confidence=alone,
            evidence=f"no fault improves the BIC by {self.config.margin:g}; {figures}",
            advice=_ADVICE["none"],
        )


_ADVICE: dict[Kind, str] = {
    "observation": "correct the sensor or its mapping: {name} = {value:.4g} {unit}; then identify again",
    "latency": "set {name} = {value:.4g} {unit} in the model and identify again: a delay that is left out spoils every other parameter",
    "dynamics": "identify again with {name} free; a value near {value:.4g} {unit} explains these logs",
    "structure": "add {name} to the model, about {value:.4g} {unit}, and identify again; no value of the present parameters replaces it",
    "overconfidence": "widen the parameters' intervals by this factor before training on them (`widen` of adapt-domain)",
    "undecided": "record logs that excite what is in doubt, or let identify-parameters search for structure",
    "none": "the model explains these logs as far as they can tell; go on to training",
}


def _bounds(info: ParameterInfo, belief: Believed) -> tuple[float, float]:
    """The search bounds, wide enough for what is believed."""
    values = [x for x in (belief.value, belief.low, belief.high) if x is not None and math.isfinite(x)]
    low, high = min([info.low, *values]), max([info.high, *values])
    return max(low, info.physical_low), min(high, info.physical_high)


def _parts(replay: Replay) -> dict[str, list[NDArray[np.intp]]]:
    """Rows of the residual by channel and segment."""
    parts: dict[str, list[NDArray[np.intp]]] = {}
    start = 0
    for name in replay.channels:
        owner = replay.segment_of(name)
        parts[name] = [start + np.flatnonzero(owner == s) for s in np.unique(owner)]
        start += len(owner)
    return parts


def _white_noise(series: Sequence[Floats]) -> float:
    """Standard deviation of the white part of residuals, from their third differences (which remove what is smooth); sum of squares 20."""
    squares = [np.mean(np.diff(x, 3) ** 2) / 20 for x in series if len(x) > 8]
    return math.sqrt(float(np.mean(squares))) if squares else 0.0


def _softmax(scores: Sequence[float]) -> list[float]:
    """Posterior probabilities from BIC-like scores."""
    shifted = np.exp(-0.5 * (np.asarray(scores) - min(scores)))
    return [float(p) for p in shifted / shifted.sum()]
