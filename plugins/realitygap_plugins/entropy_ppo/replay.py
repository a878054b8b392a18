"""Skill `replay-run`; contract in skills/replay-run/skill.yaml."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from realitygap_core.environment import Environment
from realitygap_core.errors import CoreError
from realitygap_core.events import Event, first_break, read_log
from realitygap_core.policy import Policy
from realitygap_core.ppo.train import train
from realitygap_core.ppo.update import PPOConfig
from realitygap_plugins.entropy_ppo.task import compiled

if TYPE_CHECKING:
    from realitygap.context import RunContext

EVENTS = "events.jsonl"
"""The log of a training, in its policy bundle."""
_HEADER: Mapping[str, type] = {"updates": int, "seed": int, "devices": int, "num_envs": int, "config": dict, "about": dict}
_ABOUT: Mapping[str, type] = {"engine": str, "physics_dt": float, "model_digest": str}
"""What a training is done again from, in the header of its log and in the header's `about`."""
_ORDER = (
    ("before", "the state that the update began with"),
    ("actions", "the actions"),
    ("rewards", "the rewards"),
    ("delta", "what was counted"),
    ("after", "the parameters or the environments after the update"),
)


def replay_run(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Skill `replay-run`."""
    folder = Path(inputs["policy"])
    path = Path(inputs["events"]) if "events" in inputs else folder / EVENTS
    head, log = read_log(path)
    trits = Counter(event.trit for event in log)
    outputs: dict[str, Any] = {
        "events": len(log),
        "complete": len(log) == head.get("updates"),
        "trits": {f"{value:+d}" if value else "0": trits[value] for value in (-1, 0, 1)},
        "replayed": 0,
        "identical": None,
        "first_difference": None,
    }
    broken = first_break(head, log)
    if broken is not None:
        position, reason = broken
        outputs |= {"chain": "broken", "identical": False, "first_difference": {"event": position, "what": reason}}
        return outputs | {"summary": f"The log is not what was written: event {position}: {reason}.\nNothing was re-executed."}
    _check_header(head, path)
    wanted = log[: inputs["updates"]] if "updates" in inputs else log
    replayed, difference = _executed(folder, head, path, wanted, run) if wanted else (0, None)
    outputs |= {
        "chain": "intact",
        "replayed": replayed,
        "identical": difference is None if wanted else None,
        "first_difference": difference,
    }
    return outputs | {"summary": _summary(outputs, folder, surplus=len(log) - head["updates"])}


def _check_header(head: Mapping[str, Any], path: Path) -> None:
    """Raises CoreError for a header from which no training can be done again."""
    about = head.get("about")
    parts = [(head, _HEADER, ""), (about if isinstance(about, dict) else {}, _ABOUT, "about.")]
    odd = [place + name for part, kinds, place in parts for name, kind in kinds.items() if not _is(part.get(name), kind)]
    if odd:
        raise CoreError(
            f"this is no header of a training's log: {', '.join(odd)}",
            where=f"{path}:1",
            hint="give the `events` that train-policy put out",
        )


def _is(value: Any, kind: type) -> bool:
    if kind is int:
        return type(value) is int and value >= 0
    return isinstance(value, (int, float) if kind is float else kind) and not isinstance(value, bool)


def _executed(
    folder: Path, head: Mapping[str, Any], path: Path, wanted: Sequence[Event], run: RunContext
) -> tuple[int, dict[str, Any] | None]:
    """Trains again up to the last of `wanted` events, or to the first that differs: how many were done, and what differed."""
    try:
        config = PPOConfig.from_mapping(head["config"])
    except CoreError as error:
        raise CoreError(error.message, where=f"{path}:1", hint=error.hint) from None
    domain = folder / "domain.yaml"
    about = head["about"]
    _, task = compiled(
        run,
        Policy.load(folder).task_file,
        domain_file=str(domain) if domain.is_file() else None,
        engine=about["engine"],
        physics_dt=about["physics_dt"],
    )
    if task.nominal.digest != about["model_digest"]:
        raise CoreError(
            "the model in the bundle is not the one that was trained on, so the training cannot be done again",
            where=str(folder / "model.xml"),
            hint="put the original model file there, or check the log alone with `-i updates=0`",
        )
    env = Environment(task, num_envs=head["num_envs"], bank_seed=head["seed"])
    done: list[Event] = []
    difference: dict[str, Any] | None = None

    def compare(event: Event) -> None:
        nonlocal difference
        done.append(event)
        what = _difference(wanted[event.index], event)
        if what is not None:
            difference = {"event": event.index, "what": f"{what} differ" if what.endswith("s") else f"{what} differs"}

    try:
        for part, digest in env.identity.items():
            if head.get(part) != digest:
                raise CoreError(
                    f"the {part} in the bundle is not the one that was trained on, so the training cannot be done again",
                    where=str(folder / f"{part}.yaml"),
                    hint="put the original file there, or check the log alone with `-i updates=0`",
                )
        train(
            config,
            env,
            seed=head["seed"],
            progress=lambda steps, _, message: run.progress(len(done), len(wanted), message),
            cancelled=lambda: difference is not None or len(done) == len(wanted) or run.cancelled(),
            observe=compare,
            devices=head["devices"],
            about=about,
        )
    finally:
        env.close()
    run.check_cancelled()
    if difference is None and len(done) < len(wanted):
        difference = {"event": len(done), "what": f"the training is over, while the log goes on for {len(wanted) - len(done)} more"}
    return len(done), difference


def _difference(one: Event, other: Event) -> str | None:
    """The first thing, in the order in which an update does them, that differs; None for the same event."""
    for name, words in _ORDER:
        pair = [event.delta.get(name) if name in ("actions", "rewards") else getattr(event, name) for event in (one, other)]
        if pair[0] != pair[1]:
            return words
    return None


def _summary(outputs: Mapping[str, Any], folder: Path, *, surplus: int) -> str:
    """`surplus`: events more than the training has updates."""
    odd = f", {surplus} more than the training has updates" if surplus > 0 else ", the training's end is missing"
    length = f"{outputs['events']} events" + ("" if outputs["complete"] else odd)
    if outputs["identical"] is None:
        return f"The log is intact: {length}. Nothing was re-executed."
    if outputs["identical"]:
        return f"The log is intact ({length}) and {outputs['replayed']} of its updates came out the same, bit for bit."
    difference = outputs["first_difference"]
    if difference["event"] == outputs["replayed"]:
        return f"The log is intact ({length}), but not of this training: at event {difference['event']} {difference['what']}."
    return (
        f"The log is intact ({length}), but the training came out differently: at event {difference['event']} {difference['what']}.\n"
        f"{_cause(folder)}"
    )


def _cause(folder: Path) -> str:
    versions = Policy.load(folder).provenance.get("versions", {})
    others = [f"{name} {importlib.metadata.version(name)} here, {then} then" for name, then in versions.items()]
    others = [text for text in others if text.split()[1] != text.split()[3]]
    if others:
        return f"Versions differ: {'; '.join(others)}."
    return "All versions are those of the training; another kind of processor or accelerator rounds differently."
