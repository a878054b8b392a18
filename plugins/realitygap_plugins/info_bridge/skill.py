"""Skill `compare-domains`; contract in skills/compare-domains/skill.yaml."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from realitygap.errors import InputError
from realitygap_core import comparison
from realitygap_core.comparison import Measured, Prepared
from realitygap_core.divergences import Divergence
from realitygap_core.opening import summarise_findings
from realitygap_core.recording import Log, Recording
from realitygap_core.statistics import as_json, blocks, effective_sample_size

if TYPE_CHECKING:
    from realitygap.context import RunContext

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Signals:
    """The same channels of both recordings as trajectories [t, d]."""

    sim: list[Floats]
    real: list[Floats]
    channels: list[str]
    units: dict[str, str]
    paired: bool
    """Whether trajectory i of sim and of real is the same log at the same times."""
    period: float
    """Median time between samples, s."""


def compare(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `compare-domains`."""
    rng = np.random.default_rng(run.seed)
    signals = _read(_open(inputs["sim"], run), _open(inputs["real"], run), inputs.get("channels"))
    if seconds := inputs["block"]:
        length = max(2, round(seconds / signals.period))
        signals = _cut(signals, length)
    data = comparison.prepare(signals.sim, signals.real, signals.channels, rng, max_samples=int(inputs["max_samples"]))
    chosen = list(inputs.get("measures") or comparison.MEASURES)
    more = _of_plugins(inputs.get("divergences") or [], run)
    if not signals.paired and (left_out := [m for m in chosen if m in comparison.PAIRED_ONLY]):
        run.warn(f"{', '.join(left_out)} need the same logs at the same times in both, and were left out")
    done = 0

    def step(name: str) -> None:
        nonlocal done
        run.check_cancelled()
        run.progress(done, None, name)
        done += 1

    measures = comparison.compare(data, chosen, rng, paired=signals.paired, units=signals.units, more=more, on_measure=step)
    entropies = comparison.entropies(data, paired=signals.paired)
    information = comparison.mutual_information(data, rng) if signals.paired else {}
    independent = {
        side: sum(min(effective_sample_size(x[:, i]) for i in range(x.shape[1])) for x in trajectories)
        for side, trajectories in (("sim", signals.sim), ("real", signals.real))
    }
    if any(m.minimum_p > 0.05 for m in measures.values()):
        run.warn(
            f"{len(signals.sim)} and {len(signals.real)} trajectories are too few to decide anything at 5 %; give more logs, or set `block`"
        )
    run.figure("divergences", _figure(measures))
    return {
        "measures": {name: m.to_mapping() for name, m in measures.items()},
        "entropies": entropies,
        "mutual_information": information,
        "trajectories": {
            "sim": len(signals.sim),
            "real": len(signals.real),
            "paired": signals.paired,
            "unit": "block" if inputs["block"] else "log",
            "effective_samples": {side: as_json(n) for side, n in independent.items()},
            "stride": data.stride,
            "dithered": list(data.dithered),
            "dropped": list(data.dropped),
        },
        "summary": _summary(measures, data, signals),
    }


def _of_plugins(named: Sequence[str | Mapping[str, Any]], run: RunContext) -> dict[str, Divergence]:
    """Name to the divergence of a plugin, made with its parameters. Raises InputError for what is unknown or wrong."""
    made: dict[str, Divergence] = {}
    for one in named:
        name, given = (one, {}) if isinstance(one, str) else (str(one["name"]), one.get("params", {}))
        if name in comparison.MEASURES:
            raise InputError(f"'{name}' is a measure that is always there", hint=f"-i measures={name}")
        parameters = run.catalog.check("divergence", name, given)
        made[name] = run.catalog.load("divergence", name)(**parameters)
    return made


def _open(path: str, run: RunContext) -> Recording:
    recording = Recording.open(path)
    for line in summarise_findings(recording):
        run.warn(f"{recording.name}: {line}")
    return recording


def _read(sim: Recording, real: Recording, wanted: Sequence[str] | None) -> Signals:
    """The channels that both have, log by log. Raises InputError when they share none, or `wanted` is not among them."""
    both = [c for c in real.channels if c.role != "command" and c.name in {d.name for d in sim.channels if d.role != "command"}]
    for name in wanted or []:
        if name not in {c.name for c in both}:
            raise InputError(f"no channel '{name}' in both recordings", hint=f"shared: {', '.join(c.name for c in both) or 'none'}")
    shared = [c for c in both if not wanted or c.name in wanted]
    if not shared:
        raise InputError("the recordings share no measured channel", where=f"'{sim.name}' and '{real.name}'")
    names = [c.name for c in shared]
    units = {c.name: c.unit for c in shared}
    common = [name for name in real.log_names if name in sim.data]
    paired = bool(common)
    pairs = [(name, name) for name in common]
    # Logs that only one side has would make the sides differ for another reason than the simulator, and are left out.
    sims = [sim.data[a] for a, _ in pairs] if paired else list(sim.data.values())
    reals = [real.data[b] for _, b in pairs] if paired else list(real.data.values())
    period = float(np.median(np.diff(_clock(reals[0], names[0]))))
    if paired:
        aligned = [_aligned(a, b, names) for a, b in zip(sims, reals, strict=True)]
        return Signals(sim=[a for a, _ in aligned], real=[b for _, b in aligned], channels=names, units=units, paired=True, period=period)
    own = [[_on(log, names, _clock(log, names[0])) for log in logs] for logs in (sims, reals)]
    return Signals(sim=own[0], real=own[1], channels=names, units=units, paired=False, period=period)


def _clock(log: Log, channel: str) -> Floats:
    return log.channel(channel)[0]


def _on(log: Log, names: Sequence[str], t: Floats) -> Floats:
    """The channels [t, d] at the times `t`, interpolated where a channel has another clock; samples that are missing are left out."""
    columns = []
    for name in names:
        stamps, values = log.channel(name)
        known = np.isfinite(values)
        columns.append(np.interp(t, stamps[known], values[known]))
    return np.stack(columns, axis=1)


def _aligned(sim: Log, real: Log, names: Sequence[str]) -> tuple[Floats, Floats]:
    """Both logs [t, d] at the stamps of the real one, over the time that both cover."""
    clock, other = _clock(real, names[0]), _clock(sim, names[0])
    t = clock[(clock >= other[0] - 1e-9) & (clock <= other[-1] + 1e-9)]
    if len(t) < 2:
        raise InputError(f"log '{real.name}' covers different times in the two recordings", where=f"log '{real.name}'")
    return _on(sim, names, t), _on(real, names, t)


def _cut(signals: Signals, length: int) -> Signals:
    sim, real = blocks(signals.sim, length), blocks(signals.real, length)
    if not sim or not real:
        raise InputError(f"no log is as long as a block of {length * signals.period:g} s", hint="choose a shorter `block`")
    return Signals(sim=sim, real=real, channels=signals.channels, units=signals.units, paired=signals.paired, period=signals.period)


_TITLES = {
    "gaussian_w2": "Gaussian W2",
    "gaussian_kl": "Gaussian KL",
    "knn_kl": "nearest-neighbour KL",
    "sliced_w2": "sliced W2",
    "mmd2": "MMD^2",
    "energy": "energy distance",
    "nrmse": "NRMSE",
}


def _summary(measures: Mapping[str, Measured], data: Prepared, signals: Signals) -> str:
    joint = [(name, m) for name, m in measures.items() if "[" not in name]
    verdicts = [m.verdict for _, m in joint]
    first = (
        "sim and real differ"
        if "differs" in verdicts
        else "undecided: too few trajectories"
        if "undecided" in verdicts
        else "no difference found between sim and real"
    )
    counted = f"{len(signals.sim)} {'pairs of ' if signals.paired else 'and ' + str(len(signals.real)) + ' '}trajectories"
    lines = [f"{first} ({sum(v == 'differs' for v in verdicts)} of {len(verdicts)} joint measures at 5 %, {counted})"]
    lines += [
        f"{_TITLES[n]} {m.value:.3g} {m.unit} (null {m.null:.2g}, p {m.p_value:.2g})" for n, m in joint if n in ("gaussian_w2", "energy")
    ]
    errors = [f"{name[6:-1]} {m.value:.2g}" for name, m in measures.items() if name.startswith("nrmse[")]
    if errors:
        lines.append(f"error over the real signal's own spread: {', '.join(errors)}")
    return "\n".join(lines[:3]) if len(lines) <= 3 else "\n".join([lines[0], "; ".join(lines[1:-1]), lines[-1]])


def _figure(measures: Mapping[str, Measured]) -> Any:
    """Each measure over the 95 % quantile of its null: right of 1 it says more than chance does."""
    from matplotlib.figure import Figure

    shown = {
        n: m for n, m in measures.items() if n.split("[")[0] not in comparison.PAIRED_ONLY and m.null_high > 0 and np.isfinite(m.value)
    }
    figure = Figure(figsize=(6.4, 0.9 + 0.28 * max(1, len(shown))), layout="constrained")
    axis = figure.subplots()
    for row, m in enumerate(reversed(shown.values())):
        value, null = max(m.value / m.null_high, 1e-3), max(m.null / m.null_high, 1e-3)
        ends = [max(x / m.null_high, 1e-3) if np.isfinite(x) else value for x in (m.low, m.high)]
        axis.plot(ends, [row, row], color="C0", linewidth=1.2)
        axis.plot(value, row, "o", color="C0" if m.verdict == "differs" else "C7", label="value, 95 % interval" if row == 0 else None)
        axis.plot(null, row, "|", color="C1", markersize=12, label="null" if row == 0 else None)
        axis.annotate(
            f"{m.value:.3g} {m.unit}, p {m.p_value:.2g}", (1.02, row), xycoords=("axes fraction", "data"), va="center", fontsize=7
        )
    axis.axvline(1.0, color="C1", linewidth=1, label="95 % of the null")
    axis.set_yticks(range(len(shown)), list(reversed(shown)), fontsize=8)
    axis.set_xscale("log")
    axis.set_xlabel("measure over the 95 % quantile of its null")
    if shown:
        axis.legend(fontsize=7, loc="upper center", ncols=3, bbox_to_anchor=(0.5, 1.0 + 0.9 / (len(shown) + 2)))
    return figure
