"""Where a run stands: its state, its steps, its events, its result document."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from realitygap.errors import RunFailed
from realitygap.workspace import read_json

RunState = Literal["running", "done", "failed", "cancelled", "interrupted"]
FINAL = ("done", "failed", "cancelled", "interrupted")


@dataclass(frozen=True, kw_only=True)
class StepStatus:
    """Where one step stands."""

    id: str
    skill: str
    state: Literal["running", "done", "cached", "failed", "skipped", "interrupted"]
    seconds: float | None = None
    summary: str = ""
    message: str = ""
    """Of the error, if it failed."""


@dataclass(frozen=True, kw_only=True)
class RunStatus:
    """Where a run stands."""

    id: str
    skill: str
    state: RunState
    folder: Path
    created: float
    """Seconds since 1970."""
    seconds: float | None
    """Wall time so far, or in all."""
    progress: float | None
    """Of the whole run, 0 to 1; None when nothing is known."""
    message: str
    """What the running step says of itself, or the error."""
    eta: float | None
    """Seconds that the running step still needs, by its progress; None when unknown."""
    steps: list[StepStatus] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    result: Mapping[str, Any] | None = field(default=None, repr=False)
    """The document of a run that has ended, where one was read for the rest."""

    @staticmethod
    def ended(folder: Path, about: Mapping[str, Any], result: Mapping[str, Any], steps: list[StepStatus], total: int) -> RunStatus:
        """Of a run that has ended: from what `run.json` holds, its result, where its steps stand, and how many there were to be."""
        finished = sum(step.state in ("done", "cached") for step in steps)
        share = min(1.0, finished / max(total, len(steps), 1)) if steps else None
        return RunStatus(
            id=folder.name,
            skill=about["skill"],
            state=result["status"],
            folder=folder,
            created=about["created"],
            seconds=result["seconds"],
            progress=1.0 if result["status"] == "done" else share,
            message=(result["error"] or {}).get("message") or "",
            eta=None,
            steps=steps,
            warnings=result["warnings"],
            result=result,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "run": self.id,
            "skill": self.skill,
            "state": self.state,
            "folder": str(self.folder),
            "created": self.created,
            "seconds": self.seconds,
            "progress": self.progress,
            "message": self.message,
            "eta": self.eta,
            "steps": [{name: value for name, value in vars(step).items() if value not in (None, "")} for step in self.steps],
            "warnings": self.warnings,
        }


def result_document(
    run_id: str | None,
    skill: str,
    status: str,
    *,
    seconds: float = 0.0,
    cached: bool = False,
    outputs: Mapping[str, Any] | None = None,
    artifacts: Mapping[str, str] | None = None,
    warnings: list[str] | None = None,
    error: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The document that `skills run --json` prints."""
    return {
        "run": run_id,
        "skill": skill,
        "status": status,
        "seconds": round(seconds, 3),
        "cached": cached,
        "outputs": dict(outputs or {}),
        "artifacts": dict(artifacts or {}),
        "warnings": list(warnings or []),
        "error": None if error is None else {name: error.get(name) for name in ("message", "where", "hint")},
    }


_RESULT = result_document("", "", "", error={})


def read_about(folder: Path) -> dict[str, Any]:
    """`run.json`: id, skill, when it was created, seed, versions. Raises RunFailed where it is damaged."""
    path = folder / "run.json"
    about = read_json(path)
    if isinstance(about, dict) and isinstance(about.get("skill"), str) and isinstance(about.get("created"), (int, float)):
        return about
    raise RunFailed("damaged: it does not say what was run", where=str(path), hint=f"`skills runs` works again without the folder {folder}")


def created(folder: Path) -> float:
    """When a run was made, seconds since 1970; for one whose `run.json` is damaged, when its folder was written."""
    try:
        return float(read_about(folder)["created"])
    except RunFailed:
        return folder.stat().st_mtime


def read_result(folder: Path) -> dict[str, Any] | None:
    """`result.json`, None before the end of the run. Raises RunFailed where it is damaged."""
    path = folder / "result.json"
    try:
        result = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        result = None
    if isinstance(result, dict):
        whole = {**result, "error": result.get("error") or {}}
        if all(isinstance(whole.get(name), type(value)) for name, value in _RESULT.items()) and result["status"] in FINAL:
            return result
    raise RunFailed("damaged: it is not the result of a run", where=str(path), hint=f"`skills runs resume {folder.name}` makes it anew")


def read_events(folder: Path) -> Iterator[dict[str, Any]]:
    """The events of a run, oldest first; a last line that a kill cut short is passed over."""
    try:
        lines = (folder / "events.jsonl").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            yield event


def apply(event: Mapping[str, Any], steps: dict[str, StepStatus], warnings: list[str], state: RunState) -> None:
    kind, name = event.get("event"), event.get("step")
    if kind == "warning":
        warnings.append(str(event.get("message")))
    if not isinstance(name, str) or not isinstance(kind, str) or not kind.startswith("step-"):
        return
    became = kind.removeprefix("step-")
    if became == "started":
        became = "running" if state == "running" else "interrupted"
    steps[name] = StepStatus(
        id=name,
        skill=str(event.get("skill", "")),
        state=became,  # type: ignore[arg-type]
        seconds=event.get("seconds"),
        summary=str(event.get("summary") or ""),
        message=str((event.get("error") or {}).get("message") or ""),
    )


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a run has ended."""

    state: RunState
    error: dict[str, Any] | None
    refused: bool
    """Whether its inputs were wrong, before any step was done."""

    @classmethod
    def of(cls, run_id: str, error: dict[str, Any] | None, *, stopped: str | None, settled: bool, finished: int) -> Ending:
        """From the first failure, what the run was asked to stop as, whether all steps were settled, and how many were finished."""
        disk = error is not None and error["kind"] == "disk"
        state: Any = stopped or ("done" if error is None and settled else "interrupted" if disk else "failed")
        if error is None and state == "failed":
            error = {"kind": "crash", "message": "the run ended before all steps were done", "where": None, "hint": None}
        if state == "interrupted" or disk:
            resume = f"skills runs resume {run_id}"
            error = error or {"kind": "stopped", "message": "the run was interrupted", "where": None, "hint": None}
            error = {**error, "hint": f"{error['hint']}, then {resume}" if error.get("hint") else resume}
        elif state == "cancelled":
            error = error or {"kind": "stopped", "message": "the run was cancelled", "where": None, "hint": None}
        refused = state == "failed" and error is not None and error["kind"] in ("input", "missing") and finished == 0
        return cls(state=state, error=error, refused=refused)

    def outcome(self) -> dict[str, Any]:
        """Of a run that is not done: exit code of the command line, and what the code stands for."""
        kind = self.error["kind"] if self.error else None
        code = {"cancelled": 130, "interrupted": 130}.get(self.state, 2 if self.refused else 3)
        return {"exit_code": 3 if kind == "disk" else code, "refused": self.refused, "kind": kind}
