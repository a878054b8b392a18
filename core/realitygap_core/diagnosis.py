"""Which kind of mismatch is left between a model and the logs of a robot, in which channel, and how large.

Hypotheses are nested: the model with its parameters uncertain as their priors say (nothing else is wrong), and that model with one more
thing free: a sensor's offset, scale or delay, the delay of the commands, one parameter away from its prior, a term that the model does
not have, or all priors too narrow by one factor. Each is fitted jointly with all that is uncertain (`joint_fit`), so that a fault is
neither explained away by a parameter nor taken for one, and scored by

    BIC = sum over channels (n_eff / n) SSE / sigma^2 + prior terms + faults * log(n_eff)

with sigma and the effective number of samples of the residual that the best hypothesis leaves: a residual that is correlated in time,
which is what model error looks like, counts for few samples, and the verdict is then honestly weak. The best one is accepted if it beats
the model without it by `margin`, becomes part of the model, and the next is looked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from realitygap_core.hypotheses import DELAYS, Believed, Hypothesis, Kind, channel_of, hypotheses, mechanics
from realitygap_core.joint_fit import Fitted, JointFit
from realitygap_core.parameters import enumerate_parameters, split
from realitygap_core.replay import Replay
from realitygap_core.statistics import ljung_box
from realitygap_core.verdict import ADVICE, Verdict

Floats = NDArray[np.float64]

_SAME = 0.9999
"""Two parameters whose effects on the residual have at least this cosine cannot be told apart."""


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


@dataclass
class _Stage:
    """The outcome of looking for one more fault."""

    best: Hypothesis | None
    fitted: Fitted
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
        self.has_intervals = any(b.low is not None and b.high is not None for b in (believed or {}).values())
        infos = enumerate_parameters(replay.robot)
        beliefs = dict(believed or mechanics(infos))
        self.hypotheses = hypotheses(replay, infos, beliefs)
        names = [*beliefs, *dict.fromkeys(n for h in self.hypotheses for n in h.names if n not in beliefs)]
        self.fit = JointFit(
            replay, names, beliefs, infos, default_spread=self.config.default_spread, least_samples=self.config.least_samples
        )
        self.before = self.after = np.zeros(0)
        """Residuals, in the channels' units, of the model as believed and with what was found; `fit.parts` says which rows are whose."""

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
            accepted.append(stage.best)
            if stage.best.kind == "overconfidence":
                self.fit.tight = self.fit.widened(stage.verdict.magnitude)
            current = stage.fitted
            if self._at_floor(current):
                break
        self.after = current.residual
        rest = self._rest(current, alone, found)
        return sorted([*found, *([rest] if rest else [])], key=lambda v: -v.confidence)

    def _start(self) -> Fitted:
        """The model as believed, fitted within its priors."""
        self.report("fitting the model within what is believed of it")
        fit = self.fit
        residual = fit.residuals(fit.base[None])[0]
        free = fit.free(())[0].tolist()
        columns = np.zeros((len(residual), len(fit.base)))
        columns[:, free] = fit.columns(fit.base, residual, free)
        return self._settled(fit.improve(Fitted(z=fit.base.copy(), residual=residual, columns=columns), (), 2, refresh=free))

    def _settled(self, fitted: Fitted) -> Fitted:
        """The fit with all columns taken anew."""
        return replace(fitted, columns=self.fit.columns(fitted.z, fitted.residual, range(len(fitted.z))))

    # One stage

    def _stage(self, current: Fitted, accepted: Sequence[Hypothesis]) -> _Stage:
        rivals = [h for h in self._distinct(current) if not any(set(h.names) == set(a.names) for a in accepted)]
        short = self._shortlist(current, accepted, rivals)
        fits: dict[int, Fitted] = {}
        for index, hypothesis in enumerate(short):
            self.report(f"trying {hypothesis.label}")
            faults = [*accepted, hypothesis]
            own = [self.fit.names.index(n) for n in hypothesis.names]
            fits[index] = self.fit.improve(self._entry(current, hypothesis), faults, self.config.iterations, refresh=own)
        # The noise is that of the best explanation, by the likelihood with its own noise.
        best_fit = min([current, *fits.values()], key=self.fit.own_noise_score)
        weights, effective = self.fit.noise(best_fit.residual)
        price = math.log(max(effective, 8.0))
        # No fault is as likely beforehand as some fault; the faults share their half, or one of many would win by chance.
        odds = 2 * math.log(max(1, len(rivals)))
        current = self.fit.improve(current, accepted, 2, weights)
        free, precision = self.fit.free(accepted)
        without = self.fit.score(current.residual, current.z, weights, free, precision)
        scores = []
        for index, hypothesis in enumerate(short):
            faults = [*accepted, hypothesis]
            own = [self.fit.names.index(n) for n in hypothesis.names]
            fits[index] = self.fit.improve(fits[index], faults, 2 if fits[index] is best_fit else 1, weights, refresh=own)
            scores.append(
                self.fit.score(fits[index].residual, fits[index].z, weights, *self.fit.free(faults)) + odds + price * len(hypothesis.names)
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
        return _Stage(best=hypothesis, fitted=self._settled(fitted), without=probabilities[0], verdict=verdict)

    def _distinct(self, current: Fitted) -> list[Hypothesis]:
        """The hypotheses without terms that do what a parameter of the model does: back-EMF beside damping of the same joint, say."""
        length = np.linalg.norm(current.columns, axis=0)
        unit = current.columns / np.where(length > 0, length, 1.0)
        present = [self.fit.names.index(h.names[0]) for h in self.hypotheses if h.kind == "dynamics"]

        def same(hypothesis: Hypothesis) -> bool:
            alike = np.abs(unit[:, present].T @ unit[:, self.fit.names.index(hypothesis.names[0])])
            return bool(np.any(alike > _SAME))

        return [h for h in self.hypotheses if h.kind != "structure" or len(h.names) > 1 or not same(h)]

    def _shortlist(self, current: Fitted, accepted: Sequence[Hypothesis], rivals: Sequence[Hypothesis]) -> list[Hypothesis]:
        """The hypotheses with the largest gain by the linearisation, and the best of each kind."""
        weights, _ = self.fit.noise(current.residual)
        gains = []
        for hypothesis in rivals:
            free, precision = self.fit.free([*accepted, hypothesis])
            step, _ = self.fit.step(current, weights, free, precision)
            predicted = current.residual + current.columns[:, free] @ step
            moved = current.z.copy()
            moved[free] += step
            gains.append(self.fit.own_noise_score(replace(current, residual=predicted)))
        order = sorted(range(len(rivals)), key=lambda i: gains[i])
        first_of_kind = {rivals[i].kind: i for i in reversed(order)}
        chosen = dict.fromkeys([*first_of_kind.values(), *order[: self.config.shortlist]])
        return [rivals[i] for i in sorted(chosen, key=lambda i: gains[i])[: self.config.shortlist + len(first_of_kind)]]

    def _entry(self, current: Fitted, hypothesis: Hypothesis) -> Fitted:
        """Where the fit of a hypothesis starts; a delay from the best of several."""
        if split(hypothesis.names[0])[0] not in DELAYS:
            return current
        index = self.fit.names.index(hypothesis.names[0])
        points = np.repeat(current.z[None], len(self.config.delays), axis=0)
        points[:, index] = np.clip(points[:, index] + np.array(self.config.delays) / float(self.fit.problem.width[index]), 0.0, 1.0)
        rows = self.fit.residuals(points)
        best = min(range(len(rows)), key=lambda i: self.fit.own_noise_score(replace(current, residual=rows[i])))
        if self.fit.own_noise_score(replace(current, residual=rows[best])) >= self.fit.own_noise_score(current):
            return current
        columns = current.columns.copy()
        columns[:, [index]] = self.fit.columns(points[best], rows[best], [index])
        return Fitted(z=points[best], residual=rows[best], columns=columns)

    def _inflated(self, current: Fitted, accepted: Sequence[Hypothesis], weights: Floats, price: float) -> tuple[float, float, Fitted]:
        """The factor by which all priors are too narrow, its score, and the fit with it."""
        tight = self.fit.tight
        wide = {n for a in accepted for n in a.names}
        count = sum(1 for n, sd in zip(self.fit.names, tight, strict=False) if sd > 0 and n not in wide)
        best = (1.0, math.inf, current)
        for factor in (2.0, 4.0, 8.0, 16.0):
            self.fit.tight = self.fit.widened(factor)
            fitted = self.fit.improve(current, accepted, 1, weights)
            score = self.fit.score(fitted.residual, fitted.z, weights, *self.fit.free(accepted)) + 2 * count * math.log(factor) + price
            self.fit.tight = tight
            if score < best[1]:
                best = (factor, score, fitted)
        return best

    # Words

    def _verdict(
        self,
        hypothesis: Hypothesis,
        fitted: Fitted,
        before: Fitted,
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
        same_kind = confidence + sum(p for label, p in rivals if label.split(":")[0] == hypothesis.kind)
        if same_kind < 0.6:
            evidence = f"most likely {hypothesis.label}, but not clearly; {evidence}"
        kind: Kind = hypothesis.kind if same_kind >= 0.6 else "undecided"
        if hypothesis.kind == "overconfidence":
            shifts = np.abs((fitted.z - self.fit.base) / np.where(self.fit.tight > 0, self.fit.tight, np.inf))[: len(self.fit.names)]
            worst = int(np.argmax(shifts))
            evidence += (
                f"; {self.fit.names[worst]} is {shifts[worst]:.1f} of its standard deviations away, {int(np.sum(shifts > 2))} beyond two"
            )
            return Verdict(
                kind=kind,
                channel=most,
                parameter=None,
                magnitude=factor,
                low=None,
                high=None,
                unit="1",
                confidence=confidence,
                evidence=evidence,
                advice=ADVICE[kind],
            )
        index = self.fit.names.index(hypothesis.names[0])
        name, info = self.fit.names[index], self.fit.problem.infos[index]
        free, precision = self.fit.free(faults)
        fresh = fitted.columns.copy()
        fresh[:, free] = self.fit.columns(fitted.z, fitted.residual, free.tolist())
        covariance = self.fit.step(replace(fitted, columns=fresh), weights, free, precision)[1]
        place = int(np.flatnonzero(free == index)[0])
        sd = math.sqrt(max(float(covariance[place, place]), 0.0))
        base, value, low, high = (
            self.fit.value(index, at)
            for at in (self.fit.base[index], fitted.z[index], fitted.z[index] - 1.96 * sd, fitted.z[index] + 1.96 * sd)
        )
        target = split(name)[1]
        channel = channel_of(self.replay, target) if hypothesis.kind == "observation" else most
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
            advice=ADVICE[kind].format(name=name, value=value, unit=info.unit),
        )

    def _rms(self, residual: Floats) -> dict[str, float]:
        return {
            c: math.sqrt(sum(float(np.sum(residual[r] ** 2)) for r in logs) / sum(map(len, logs))) for c, logs in self.fit.parts.items()
        }

    def unit_of(self, channel: str) -> str:
        """Unit of a channel that is compared."""
        return next(item.channel.unit for item in self.replay.observed if item.name == channel)

    def _leftover(self, current: Fitted) -> tuple[str, float, float, float]:
        """The channel whose residual is largest over its noise, that residual and noise (rms), and the p-value of its whiteness."""
        left = self._rms(current.residual)
        floors = {c: max(self.floor.get(c, 0.0), _white_noise([current.residual[r] for r in logs])) for c, logs in self.fit.parts.items()}
        floors = {c: max(f, self.fit.resolution[c] / math.sqrt(12)) for c, f in floors.items()}
        worst = max(left, key=lambda c: left[c] / floors[c])
        rows = [r for r in self.fit.parts[worst] if len(r) > 20]
        # Over several logs the smallest p-value is small by chance: Bonferroni.
        whiteness = min(1.0, len(rows) * min((ljung_box(current.residual[r])[1] for r in rows), default=1.0))
        return worst, left[worst], floors[worst], whiteness

    def _at_floor(self, current: Fitted) -> bool:
        """Whether nothing is left that could be a fault: the residual is white, or within the spread of repeated logs."""
        worst, left, floor, whiteness = self._leftover(current)
        return whiteness > 0.01 or (worst in self.floor and left <= floor)

    def _rest(self, current: Fitted, alone: float, found: Sequence[Verdict]) -> Verdict | None:
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
                low=None,
                high=None,
                unit=self.unit_of(worst),
                # It can be no more certain than the faults that it comes after.
                confidence=(1 - whiteness) * min([v.confidence for v in found], default=alone),
                evidence=f"{figures}, correlated in time; "
                + (f"left after {len(found)} accepted" if found else "no single fault that was tried explains it"),
                advice=ADVICE["undecided"],
            )
        if found:
            return None
        return Verdict(
            kind="none",
            channel=None,
            parameter=None,
            magnitude=0.0,
            low=None,
            high=None,
            unit="1",
            confidence=alone,
            evidence=f"no fault improves the BIC by {self.config.margin:g}; {figures}",
            advice=ADVICE["none"],
        )


def _white_noise(series: Sequence[Floats]) -> float:
    """Standard deviation of the white part of residuals, from their third differences (which remove what is smooth); sum of squares 20."""
    squares = [np.mean(np.diff(x, 3) ** 2) / 20 for x in series if len(x) > 8]
    return math.sqrt(float(np.mean(squares))) if squares else 0.0


def _softmax(scores: Sequence[float]) -> list[float]:
    """Posterior probabilities from BIC-like scores."""
    shifted = np.exp(-0.5 * (np.asarray(scores) - min(scores)))
    return [float(p) for p in shifted / shifted.sum()]
