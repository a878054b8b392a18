"""Skills `randomize-domain` and `adapt-domain`; contracts in skills/*/skill.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from realitygap.errors import InputError
from realitygap_core.bank import require_known
from realitygap_core.domain import Domain
from realitygap_core.marginals import Fixed, LogUniform, Marginal, Uniform
from realitygap_core.parameters import ParameterInfo, check, enumerate_parameters
from realitygap_core.robot import Robot
from realitygap_plugins.randomizer import adapt as adapting
from realitygap_plugins.randomizer.prior import automatic, make_prior

if TYPE_CHECKING:
    from pathlib import Path

    from realitygap.context import RunContext


def randomize(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `randomize-domain`."""
    robot = Robot.load(inputs["model"])
    named = inputs["parameters"]
    names = automatic(robot) if named == "auto" else list(named)
    domain = make_prior(robot, names, inputs["width"], model=robot.name)
    sample = domain.sample(np.random.default_rng(run.seed), int(inputs["draws"]))
    run.figure("marginals", _figure({"prior": domain}))
    entropy = domain.entropy()
    return {
        "domain": str(_write(domain, run.artifact("domain.yaml"))),
        "entropy": entropy,
        "entropies": domain.entropies(),
        "parameters": {name: _row(m) for name, m in domain.parameters.items()},
        "draws": [{name: float(values[i]) for name, values in sample.items()} for i in range(len(next(iter(sample.values()))))],
        "summary": f"{len(names)} parameters of {robot.name} randomised, entropy {entropy:.2f} nats\n{', '.join(names)}",
    }


def adapt(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `adapt-domain`."""
    identified = _read(inputs["identified"], run)
    intervals = _intervals(inputs.get("parameters") or {}, identified)
    adapted = adapting.adapt(identified, intervals, inputs["widen"])
    prior, added = _prior(inputs, identified, run)
    names = [name for name in identified.free if name in prior.parameters and not isinstance(prior.parameters[name], Fixed)]
    before, after = prior.entropy(names), adapted.entropy(names)
    table = {name: _compare(prior.parameters[name], adapted.parameters[name], intervals.get(name)) for name in names}
    # Bounds of a search are no belief, and a value at one of them was reported with the fit.
    for name in names if inputs.get("prior") else []:
        if name not in added and (far := _far(name, identified.medians()[name], prior.parameters[name])):
            run.warn(far)
    full, robust = _robust(adapted, inputs)
    if inputs.get("model"):
        require_known(full, Robot.load(inputs["model"]))
    run.figure("marginals", _figure({"before": prior, "after": adapted}, names))
    if added:
        run.warn(f"no prior for {', '.join(added)}: it was taken from the bounds of the search")
    gained = f"entropy {before:.2f} nats before, {after:.2f} after, over {len(names)} parameters: {before - after:.2f} nats less"
    extra = f"\nfor robustness also: {', '.join(robust)}" if robust else ""
    return {
        "domain": str(_write(full, run.artifact("domain.yaml"))),
        "entropy_before": before,
        "entropy_after": after,
        "parameters": table,
        "robustness": robust,
        "summary": gained + extra,
    }


def _read(path: str, run: RunContext) -> Domain:
    document = run.document(path, "domain")
    with document.locating():
        domain = Domain.from_mapping(document.data)
    for note in domain.warnings:
        run.warn(note)
    return domain


def _write(domain: Domain, path: Path) -> Path:
    path.write_text(yaml.safe_dump(domain.to_mapping(), sort_keys=False, allow_unicode=True, width=120), encoding="utf-8")
    return path


def _intervals(parameters: Mapping[str, Any], identified: Domain) -> dict[str, adapting.Interval]:
    """The 95 % intervals that `identify-parameters` put out, for the parameters of the domain; null ends are left to the domain."""
    found = {}
    for name, entry in parameters.items():
        if name not in identified.parameters or not isinstance(entry, Mapping):
            continue
        low, high = entry.get("low"), entry.get("high")
        if isinstance(low, (int, float)) and isinstance(high, (int, float)):
            found[name] = (float(low), float(high))
    return found


def _prior(inputs: Mapping[str, Any], identified: Domain, run: RunContext) -> tuple[Domain, list[str]]:
    """The domain before, and the names that a given prior lacked."""
    given = _read(inputs["prior"], run) if inputs.get("prior") else None
    prior = dict(given.parameters) if given else {}
    missing = [name for name in identified.free if name not in prior or isinstance(prior[name], Fixed)]
    bounds = adapting.from_supports(identified)
    if inputs.get("model") and any(name not in bounds for name in missing):
        robot = Robot.load(inputs["model"])
        check(robot, {name: value for name, value in identified.medians().items() if name in missing and name not in bounds})
        infos = enumerate_parameters(robot)
        bounds.update({name: _searched(infos[name]) for name in missing if name not in bounds and name in infos})
    if unbounded := [name for name in missing if name not in bounds]:
        raise InputError(
            f"nothing says what '{unbounded[0]}' was before",
            where=str(inputs["identified"]),
            hint="give `prior`, or `model` for its search bounds",
        )
    prior.update({name: bounds[name] for name in missing})
    if given is None or missing:
        return Domain(parameters=prior, model=identified.model), missing if given else []
    return given, []


def _far(name: str, value: float, before: Marginal) -> str | None:
    """The warning for a value that the prior hardly held possible, or None."""
    low, high = adapting.central(before)
    # Zero friction is not far from a prior that begins at zero.
    if (0.0 if before.support[0] == 0 else low) <= value <= high:
        return None
    return (
        f"{name} was identified at {value:.4g} {before.unit}".rstrip()
        + f", outside the central 95 % of its prior, {low:.4g} to {high:.4g}: check the model, the logs and the mapping, or widen the prior"
    )


def _searched(info: ParameterInfo) -> Marginal:
    if info.scale == "log" and info.low > 0:
        return LogUniform(low=info.low, high=info.high, unit=info.unit)
    return Uniform(low=info.low, high=info.high, unit=info.unit)


def _robust(adapted: Domain, inputs: Mapping[str, Any]) -> tuple[Domain, dict[str, Any]]:
    """Latency and sensor noise on top, which no open-loop log can show in full; not part of the entropies."""
    before = dict(adapted.parameters)
    if latency := float(inputs.get("latency") or 0.0):
        adapted = adapting.with_latency(adapted, latency)
    noises = {f"sensor_noise[{c}]": Uniform(low=0.0, high=float(std)) for c, std in (inputs.get("sensor_noise") or {}).items() if std > 0}
    if noises:
        adapted = adapting.with_independent(adapted, noises)
    changed = {name: m for name, m in adapted.parameters.items() if before.get(name) != m}
    return adapted, {name: _row(m) for name, m in changed.items()}


def _row(m: Marginal) -> dict[str, Any]:
    low, high = adapting.central(m)
    return {"distribution": m.kind, "median": float(m.from_normal(0.0)), "low": low, "high": high, "unit": m.unit}


def _compare(before: Marginal, after: Marginal, identified: adapting.Interval | None) -> dict[str, Any]:
    row = _row(after)
    return {
        **row,
        "before": {key: value for key, value in _row(before).items() if key != "unit"},
        "identified_low": identified[0] if identified else None,
        "identified_high": identified[1] if identified else None,
        "entropy_before": before.entropy(),
        "entropy_after": after.entropy(),
    }


def _figure(domains: Mapping[str, Domain], names: list[str] | None = None) -> Any:
    """Densities of up to twelve parameters, each domain in its colour, over the widest central 99.9 %."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, NullFormatter

    shown = (names or list(next(iter(domains.values())).free))[:12]
    columns = min(3, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(3.6 * columns, 2.2 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis, name in zip(axes, shown, strict=False):
        marginals = {label: domain.parameters[name] for label, domain in domains.items() if name in domain.parameters}
        edges = [adapting.central(m, 0.999) for m in marginals.values()]
        low, high = min(e[0] for e in edges), max(e[1] for e in edges)
        log = low > 0 and high > 20 * low
        grid = np.geomspace(low, high, 400) if log else np.linspace(low, high, 400)
        for label, m in marginals.items():
            # On a logarithmic axis the density is that of log x, so that equal areas are equal probabilities.
            density = np.exp(m.log_density(grid)) * (grid if log else 1.0)
            line = axis.plot(grid, density, label=label)[0]
            axis.fill_between(grid, density, alpha=0.2, color=line.get_color())
        axis.set_title(name, fontsize=9)
        axis.set_xlabel(next(iter(marginals.values())).unit, fontsize=8)
        axis.set_yticks([])
        axis.set_ylim(bottom=0)
        if log:
            axis.set_xscale("log")
            axis.xaxis.set_minor_formatter(NullFormatter())
        else:
            axis.xaxis.set_major_locator(MaxNLocator(4))
        axis.tick_params(labelsize=7)
        axis.xaxis.get_offset_text().set_size(7)
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    if len(domains) > 1:
        axes[0].legend(fontsize=8)
    return figure
