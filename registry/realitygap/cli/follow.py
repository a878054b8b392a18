"""Follows a run from the terminal: a line for each step that is done, progress where somebody looks, the result at the end."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from realitygap.cli.terminal import complain, echo, echo_json, styled, warn
from realitygap.errors import Explained, InputError, one_line
from realitygap.runs import RunHandle
from realitygap.workspace import read_object

_POLL_S = 0.03


def follow(run: RunHandle, *, as_json: bool = False, quiet: bool = False) -> int:
    """Until the run has ended; gives the exit code. Ctrl-C stops the run, which can then be resumed."""
    view = _View(run.folder, silent=as_json, progress=not quiet and sys.stderr.isatty())
    try:
        while run.store.is_running(run.id):
            view.update()
            time.sleep(_POLL_S)
        view.update()
    except KeyboardInterrupt:
        view.clear()
        _interrupt(run)
    view.clear()
    document = run.result()
    # Without a result its supervisor was killed, and what is there is of an attempt before.
    outcome = read_object(run.folder / "outcome.json") if (run.folder / "result.json").exists() else {}
    if run.store.refused(run.id):
        # Nothing came of it: what the user gave was wrong, and no step had been done.
        run.store.remove(run.id)
        document["artifacts"] = {}
    _conclude(run, document, as_json)
    if as_json:
        # Last, so that nothing can go wrong after it.
        echo_json(document)
    return 0 if document["status"] == "done" else int(outcome.get("exit_code", 3))


def _interrupt(run: RunHandle) -> None:
    try:
        run.store.cancel(run.id, as_state="interrupted")
    except InputError:
        return  # it ended in this moment
    run.wait(timeout=5.0)


def _conclude(run: RunHandle, document: dict[str, Any], as_json: bool) -> None:
    error = document["error"]
    if not as_json:
        for warning in document["warnings"]:
            warn(warning)
    if error is not None:
        complain(Explained(error["message"], where=error["where"], hint=error["hint"]))
        if document["status"] == "failed" and run.folder.exists():
            echo(f"  hint: `skills runs resume {run.id}` goes on from the last finished step", err=True)
    report = document["artifacts"].get("report")
    if report and not as_json:
        echo(f"report  {_short(Path(report))}")


class _View:
    """Reads events as they are written."""

    def __init__(self, folder: Path, *, silent: bool, progress: bool) -> None:
        self.folder = folder
        self.silent = silent
        self.progress = progress
        self.width = _id_width(folder)
        self._offset = 0
        self._shown = ""
        self._done = 0
        self._steps = 1

    def update(self) -> None:
        try:
            with (self.folder / "events.jsonl").open("rb") as file:
                file.seek(self._offset)
                data = file.read()
        except OSError:
            return
        complete = data[: data.rfind(b"\n") + 1]
        self._offset += len(complete)
        for line in complete.splitlines():
            try:
                self._event(json.loads(line))
            except ValueError:
                continue
        if self.progress:
            self._show_progress()

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()
            self._shown = ""

    def _event(self, event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "run-started":
            self._done, self._steps = 0, event.get("steps", 1)
        if kind not in ("step-done", "step-cached", "step-failed", "step-skipped"):
            return
        self._done += 1
        # A first step that fails has its error to speak for it.
        if self.silent or (kind == "step-failed" and self._done == 1):
            return
        self.clear()
        rest: list[str] = []
        if kind == "step-failed":
            first = one_line(f"failed: {(event.get('error') or {}).get('message')}")
        elif kind == "step-skipped":
            first = "skipped"
        else:
            first, *rest = (event.get("summary") or "done").splitlines() or ["done"]
        note = styled("  (cached)", "dim") if kind == "step-cached" else ""
        name = styled(str(event["step"]).ljust(self.width), "bold")
        echo(f"{name}  {styled(first, 'red') if kind == 'step-failed' else first}{note}".rstrip())
        for line in rest:
            echo(f"{'':<{self.width}}  {line}")

    def _show_progress(self) -> None:
        parts = []
        for step, now in read_object(self.folder / "progress.json").items():
            share = f"{100 * now['done'] / now['total']:3.0f} %" if now.get("total") else ""
            left = f"{_duration(now['eta'])} left" if now.get("eta") else ""
            parts.append("  ".join(part for part in (step, share, one_line(now.get("message", "")), left) if part))
        text = f"[{min(self._done + 1, self._steps)}/{self._steps}] {'   '.join(parts)}" if parts else ""
        if text == self._shown:
            return
        try:
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
        except OSError:
            columns = 100
        sys.stderr.write(f"\r\x1b[2K{text[: columns - 1]}")
        sys.stderr.flush()
        self._shown = text


def _id_width(folder: Path) -> int:
    plan = read_object(folder / "plan.json")

    def ids(pipeline: dict[str, Any], prefix: str) -> list[str]:
        found: list[str] = []
        for step in pipeline.get("steps", ()):
            name = prefix + step["id"] + (".0" if step.get("foreach") is not None else "")
            found += ids(step["pipeline"], f"{name}.") if step.get("pipeline") else [name]
        return found

    return max((len(name) for name in ids(plan.get("pipeline", {}), "")), default=0)


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _short(path: Path) -> str:
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
