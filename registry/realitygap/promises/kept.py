"""What a plugin promises, one function a promise. Each gives what is wrong, one line each, and nothing where the promise is kept."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from realitygap.promises import units
from realitygap.promises.examination import Examination

_RELATIVE, _ABSOLUTE = 1e-6, 1e-12
"""How far a number may be from what an example expects."""


def schema(one: Examination) -> Iterator[str]:
    """plugin.yaml and every skill.yaml are what their schemas and the rules on names say."""
    yield from _shown(one, lambda rule: rule.startswith(("RG0", "RG1", "RG2", "RG4", "RG5")) and rule not in ("RG202", "RG502"))


def guide(one: Examination) -> Iterator[str]:
    """Every skill has a SKILL.md that conforms to Agent Skills and agrees with its skill.yaml."""
    yield from _shown(one, lambda rule: rule.startswith("RG3"))


def triads(one: Examination) -> Iterator[str]:
    """Every skill declares a group, and every group balances."""
    yield from _shown(one, lambda rule: rule.startswith("TRI"))


def rules(one: Examination) -> Iterator[str]:
    """No rule of a plugin finds anything, its own among them."""
    yield from _shown(one, lambda rule: not rule.startswith(("RG", "TRI")))


def entry(one: Examination) -> Iterator[str]:
    """What the manifests name can be imported and called, and the hooks register what plugin.yaml declares."""
    static = list(_shown(one, lambda rule: rule in ("RG202", "RG502")))
    yield from static or one.report.contract


def examples(one: Examination) -> Iterator[str]:
    """Every skill has an example, each runs, and gives what it expects."""
    for skill in one.skills:
        if not skill.examples and skill.name not in one.without_example:
            yield f"{skill.name} has no example: add one under `examples` in {skill.manifest}, or name the skill in `without_example`"
    by_name = {skill.name: skill for skill in one.skills}
    for (name, number), (first, *_) in one.report.attempts.items():
        if first["error"]:
            yield f"{_label(first)}: {_told(first['error'])}"
            continue
        for output, wanted in by_name[name].examples[number].get("expect", {}).items():
            if not matches(first["outputs"].get(output), wanted):
                yield f"{_label(first)}: output '{output}' is {_short(first['outputs'].get(output))}, not {_short(wanted)}"


def determinism(one: Examination) -> Iterator[str]:
    """Runs with the same inputs and seed give the same outputs and artifacts, bit for bit; not asked of skills with `cache: false`."""
    varying = {skill.name for skill in one.skills if not skill.cache}
    for (name, _), attempts in one.report.attempts.items():
        first = attempts[0]
        if name in varying or first["error"]:
            continue
        seen: dict[str, str] = {}
        for again in attempts[1:]:
            if again["error"]:
                seen["error"] = f"{_label(first)}: ran once, and not when it ran again: {_told(again['error'])}"
                continue
            for kind in ("outputs", "artifacts"):
                for key in sorted({*first[kind], *again[kind]}):
                    before, after = first[kind].get(key), again[kind].get(key)
                    if json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True):
                        values = f": {_short(before)}, then {_short(after)}" if kind == "outputs" else ""
                        seen.setdefault(key, f"{_label(first)}: {kind[:-1]} '{key}' differs between runs with the same seed{values}")
        yield from seen.values()


def no_writes_outside(one: Examination) -> Iterator[str]:
    """A run writes into its own folder, or where the user says (`effects: workspace`); `effects: none` writes no artifact either."""
    silent = {skill.name for skill in one.skills if skill.effects == "none"}
    seen: dict[str, None] = {}
    for attempts in one.report.attempts.values():
        for ran in attempts:
            written = [*ran["written"], *(path for path in ran["left"] if path not in ran["written"])]
            seen |= dict.fromkeys(f"{_label(ran)}: writes {path}, outside of its run" for path in written)
            kept = ran.get("artifacts", ()) if ran["skill"] in silent else ()
            seen |= dict.fromkeys(f"{_label(ran)}: writes {name}, and skill.yaml says `effects: none`" for name in kept)
    yield from seen


def honest_units(one: Examination) -> Iterator[str]:
    """Every number says its unit, and none contradicts its name."""
    yield from units.problems(one.skills, one.record)


def matches(given: Any, wanted: Any) -> bool:
    """Whether an output is what an example expects: numbers to six digits, of a mapping the keys that are expected, the rest equal."""
    if isinstance(wanted, Mapping):
        return isinstance(given, Mapping) and all(name in given and matches(given[name], part) for name, part in wanted.items())
    if isinstance(wanted, list):
        return isinstance(given, list) and len(given) == len(wanted) and all(map(matches, given, wanted))
    if isinstance(wanted, bool) or isinstance(given, bool):
        return given is wanted
    if isinstance(wanted, int | float) and isinstance(given, int | float):
        return math.isclose(given, wanted, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return bool(given == wanted)


def _shown(one: Examination, wanted: Callable[[str], bool]) -> Iterator[str]:
    for found in one.findings:
        if wanted(found.rule):
            hint = f" ({found.hint})" if found.hint else ""
            yield f"{found.path}:{found.line}: {found.rule} {found.message}{hint}"


def _label(ran: Mapping[str, Any]) -> str:
    return f"{ran['skill']}, example {ran['number'] + 1}"


def _told(error: Mapping[str, Any]) -> str:
    place = f"{error['where']}: " if error.get("where") else ""
    return f"{place}{error['message']}" + (f" ({error['hint']})" if error.get("hint") else "")


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
