"""The process that executes steps, one after another: `python -m realitygap.worker FD [CORE]...`.

It stays warm, because importing a simulator takes seconds. It talks over the socket FD; descriptors 1 and 2 are the log of the
step, so that whatever a skill or a library prints, from Python or from C, ends there. When the supervisor is gone, so is the
worker, with everything that it started.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import faulthandler
import gc
import importlib
import json
import logging
import os
import queue
import random
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realitygap.context import RunContext
from realitygap.errors import Cancelled, InputError
from realitygap.fence import VARIABLE
from realitygap.outputs import SkillDefect, checked
from realitygap.priority import share_as_nice
from realitygap.protocol import Channel, Listener, StepOrder
from realitygap.stepstore import MARKER, manifest_of, names_places
from realitygap.workspace import lock, write_json, write_text

_PR_SET_PDEATHSIG = 1
_LOCK_PATIENCE_S = 5.0
_MOST_TOLD = 1 << 17
"""Characters of outputs that are told with the end of a step; larger ones, and those with paths of the step, are read from their file."""


def main(descriptor: int, *cores: int) -> None:
    """Serves until the other end of the socket closes; `cores` are those it may use, all that there are by default."""
    _die_with_the_parent()
    share_as_nice()
    if cores:
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, cores)
    faulthandler.enable()
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    channel = Channel(socket.socket(fileno=descriptor))
    orders: queue.SimpleQueue[StepOrder] = queue.SimpleQueue()
    stop = threading.Event()
    threading.Thread(target=_listen, args=(channel, orders, stop), daemon=True).start()
    channel.send({"at": "ready"})
    # Every step needs it: a worker that waits for its first one has it then.
    importlib.import_module("jsonschema_rs")
    while True:
        order = orders.get()
        # What the skill starts is marked as belonging to the run.
        os.environ[VARIABLE] = order.run
        with _log_of(Path(order.folder)):
            answer, outputs = execute(order, channel, stop)
        channel.send(answer, **outputs)
        # What the step has left, before the next one makes its own: all of it where that may be arrays.
        gc.collect(2 if "jax" in sys.modules else 1)


def execute(order: StepOrder, channel: Channel, stop: threading.Event) -> tuple[dict[str, Any], dict[str, str]]:
    """Executes one step; gives the message that says how it went, and `outputs` as JSON if they go with it. Raises nothing."""
    began = time.monotonic()
    baseline = Surroundings.take()
    outputs: dict[str, str] = {}
    try:
        done = perform(order, channel, stop, began)
        answer: dict[str, Any] = {"at": "done", "step": order.step, "facts": done.facts}
        if len(done.text) <= _MOST_TOLD and not names_places(done.text):
            outputs = {"outputs": done.text}
    except BaseException as error:  # a skill may raise SystemExit too
        answer = {"at": "failed", "step": order.step, **explain(error), "seconds": time.monotonic() - began}
        if answer["kind"] == "crash":
            traceback.print_exc()
        else:
            logging.getLogger("realitygap").error("%s", error)
        _notify(order, "realitygap_on_step_error", error={name: answer[name] for name in ("message", "where", "hint")})
    for problem in baseline.restore():
        logging.getLogger("realitygap").warning(problem)
    return answer, outputs


def explain(error: BaseException) -> dict[str, Any]:
    """Kind, message, where and hint of a failure."""
    told = {
        "message": str(getattr(error, "message", None) or error),
        "where": getattr(error, "where", None),
        "hint": getattr(error, "hint", None),
    }
    if isinstance(error, Cancelled):
        return {"kind": "cancelled", **told}
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return {"kind": "disk", "message": "the disk is full", "where": error.filename, "hint": "free some space"}
    if isinstance(error, ModuleNotFoundError):
        from realitygap.extras import extra_of, install_line

        extra = extra_of(error.name or "")
        if extra is not None:
            return {"kind": "missing", "message": f"module '{error.name}' is not installed", "where": None, "hint": install_line(extra)}
    if isinstance(error, SkillDefect):
        return {"kind": "crash", "message": str(error), "where": None, "hint": "this is a defect of the skill, not of the input"}
    if hasattr(error, "hint") and (hasattr(error, "where") or hasattr(error, "pointer")):
        where = told["where"] or getattr(error, "pointer", None)
        return {"kind": "input", **told, "where": None if where is None else str(where)}
    text = traceback.format_exception_only(error)[-1].strip()
    return {"kind": "crash", "message": text[:500], "where": _place_of(error), "hint": "the step's log has the traceback"}


def perform(order: StepOrder, channel: Listener, stop: threading.Event, began: float) -> Done:
    """Executes one step in this process: inputs checked, function called, outputs checked and stored.

    Raises SkillDefect for outputs that break the manifest; what the skill raises passes.
    """
    from realitygap.inputs import validate

    folder = Path(order.folder)
    validate(order.inputs, order.input_schema, "input")
    with Kept(Path(order.checkpoint), folder) as kept:
        done = _call(order, channel, stop, began, kept)
    if order.observers:  # a copy: what they do with it is not the skill's
        _notify(order, "realitygap_after_step", outputs=json.loads(done.text), seconds=done.facts["seconds"])
    return done


def _call(order: StepOrder, channel: Listener, stop: threading.Event, began: float, kept: Kept) -> Done:
    """Calls the skill's function, and stores what it gives."""
    from realitygap.components import load_object

    folder = Path(order.folder)
    _seed(order.seed)
    (folder / "artifacts").mkdir(parents=True, exist_ok=True)
    os.chdir(folder)
    run = RunContext(
        folder=folder,
        seed=order.seed,
        skill=order.skill,
        pipeline=order.pipeline,
        checkpoint_folder=kept.files,
        on_progress=lambda done, total, message: _send(
            channel, {"at": "progress", "step": order.step, "done": done, "total": total, "message": message}
        ),
        on_warning=lambda message: _send(channel, {"at": "warning", "step": order.step, "message": message}),
        stop=stop,
    )
    _notify(order, "realitygap_before_step", inputs=order.inputs)
    try:
        function = load_object(order.entry)
    except InputError as error:
        if isinstance(error.__cause__, ModuleNotFoundError):
            raise error.__cause__ from None
        raise SkillDefect(f"the entry '{order.entry}' of skill '{order.skill}' cannot be used: {error.message}") from error
    returned = function(order.inputs, run)
    run.check_cancelled()
    text = checked(order, folder, returned)
    _tidy_metrics(folder)
    write_text(folder / "outputs.json", text + "\n", durable=order.durable)
    facts = {
        **order.facts,
        "run": order.run,
        "step": order.step,
        "skill": order.skill,
        "seconds": round(time.monotonic() - began, 3),
        "finished": time.time(),
        "warnings": run.warnings,
        "figures": run.figures,
        "files": manifest_of(folder),
    }
    write_json(folder / MARKER, facts, durable=order.durable, indent=None)
    return Done(facts=facts, text=text)


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step that was executed and is stored."""

    facts: dict[str, Any]
    text: str
    """The outputs as JSON."""


class Kept:
    """What a step keeps for a later attempt, its checkpoints and its curves; made, or found again, when it is first asked for."""

    def __init__(self, wanted: Path, folder: Path) -> None:
        self._wanted = wanted
        self._folder = folder
        """Of the step."""
        self._held: int | None = None
        self._place: Path | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Kept:
        return self

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._release()
            # Whoever is left of the step writes where nobody goes on from.
            self._place = self._folder / "checkpoints"

    def _release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None

    def files(self) -> Path:
        """The folder of the checkpoints, held by a lock; a private one when another run executes the very same step now."""
        with self._lock:
            if self._place is None:
                self._place = self._take()
        return self._place / "files"

    def _take(self) -> Path:
        place = self._wanted
        self._held = lock(place.with_name(place.name + ".lock"), patience_s=_LOCK_PATIENCE_S)
        if self._held is None:
            place = self._folder / "checkpoints"
        try:
            (place / "files").mkdir(parents=True, exist_ok=True)
            _share_metrics(place, self._folder)
        except BaseException:
            self._release()
            raise
        return place


def _share_metrics(checkpoint: Path, folder: Path) -> None:
    """Curves go on where a killed attempt left them: the step's file is a link to one that stays with the checkpoints."""
    kept, here = checkpoint / "metrics.jsonl", folder / "metrics.jsonl"
    here.unlink(missing_ok=True)
    if not any((checkpoint / "files").iterdir()):
        kept.unlink(missing_ok=True)
    try:
        kept.touch()
        os.link(kept, here)
    except OSError:
        return


def _tidy_metrics(folder: Path) -> None:
    """Keeps the last row of each name and step, since an attempt that goes on from a checkpoint writes some again."""
    path = folder / "metrics.jsonl"
    if not path.is_file():
        return
    rows: dict[tuple[str, float], str] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        with contextlib.suppress(ValueError, KeyError, TypeError):
            row = json.loads(line)
            rows.pop((row["name"], row["step"]), None)
            rows[row["name"], row["step"]] = line
    path.unlink()
    if rows:
        path.write_text("\n".join(rows.values()) + "\n", encoding="utf-8")


def _seed(seed: int) -> None:
    """Whoever draws from a global generator still gets the same numbers twice."""
    random.seed(seed)
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed(seed % 2**32)


class Surroundings:
    """State of the process that one step must not pass on to the next."""

    def __init__(self) -> None:
        self.folder = os.getcwd()
        self.environment = dict(os.environ)
        self.settings = _jax_settings()

    @staticmethod
    def take() -> Surroundings:
        return Surroundings()

    def restore(self) -> Iterator[str]:
        os.chdir(self.folder)
        if dict(os.environ) != self.environment:
            os.environ.clear()
            os.environ.update(self.environment)
        jax = sys.modules.get("jax")
        if jax is not None:
            # Before the first step jax was not there yet: its defaults are those of its settings' definitions.
            expected = self.settings or {
                "jax_enable_x64": os.environ.get("JAX_ENABLE_X64", "0").lower() in ("1", "true"),
                "jax_debug_nans": False,
            }
            for name, value in expected.items():
                if getattr(jax.config, name) != value:
                    yield f"the step left {name} at {getattr(jax.config, name)}; it is {value} again"
                    jax.config.update(name, value)
                    assert getattr(jax.config, name) == value
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is not None:
            pyplot.close("all")
            sys.modules["matplotlib"].rcdefaults()


def _jax_settings() -> dict[str, Any]:
    jax = sys.modules.get("jax")
    names = ("jax_enable_x64", "jax_debug_nans", "jax_default_matmul_precision", "jax_disable_jit")
    return {} if jax is None else {name: getattr(jax.config, name) for name in names}


def _notify(order: StepOrder, hook: str, **arguments: Any) -> None:
    """Calls the observers, which are loaded only when a plugin declares one of the hooks; a failing one stops nothing."""
    if not order.observers:
        return
    log = logging.getLogger("realitygap")
    try:
        for failure in _host().notify(hook, run=order.run, step=order.step, skill=order.skill, **arguments):
            log.warning("%s", failure)
    except Exception:
        log.warning("an observer failed:\n%s", traceback.format_exc())


_hosts: list[Any] = []


def _host() -> Any:
    if not _hosts:
        from realitygap.discovery import Registry

        _hosts.append(Registry.discover().host)
    return _hosts[0]


def _send(channel: Listener, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        channel.send(message)


def _listen(channel: Channel, orders: queue.SimpleQueue[StepOrder], stop: threading.Event) -> None:
    with contextlib.suppress(OSError):
        for message in channel:
            if message["do"] == "step":
                stop.clear()
                orders.put(StepOrder.from_json(message["order"]))
            elif message["do"] == "cancel":
                stop.set()
    # The supervisor is gone: nobody waits for a result, and a second attempt may begin at any moment.
    os.killpg(os.getpgrp(), signal.SIGKILL)


@contextlib.contextmanager
def _log_of(folder: Path) -> Iterator[None]:
    """Descriptors 1 and 2 are the step's log for a while."""
    folder.mkdir(parents=True, exist_ok=True)
    before = os.dup(1), os.dup(2)
    log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        _redirect(log, log)
        yield
    finally:
        _redirect(*before)
        for descriptor in (log, *before):
            os.close(descriptor)


def _redirect(out: int, error: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os.dup2(out, 1)
    os.dup2(error, 2)


def _die_with_the_parent() -> None:
    parent = os.getppid()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _place_of(error: BaseException) -> str | None:
    """File and line where an exception came from."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
