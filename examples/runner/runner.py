"""Runs a policy on a robot's computer in real time. Needs onnxruntime and NumPy; neither JAX nor MuJoCo.

    python runner.py policy.onnx --link my_robot:Link --seconds 10 --limit motor=-2:2

Every tick: read the robot, build the observation, infer, limit, command. Ticks lie on a fixed grid of the monotonic clock. A tick that ends
after the next one should have begun is an overrun: it is counted, and the ticks that were missed are left out, never caught up with.

The robot is stopped, whatever happens: at the end, at an exception, at Ctrl-C or SIGTERM, at a value that is not finite, after too many
overruns in a row, and by a watchdog thread when a tick hangs.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from limits import CommandLimits
from observer import Measurement, Observer
from policy_file import PolicyFile


class Link(Protocol):
    """What you write for your robot."""

    def read(self) -> Measurement:
        """The latest measurements in SI units, by the keys of `Observer.needs`. Must not block for longer than a small part of a tick."""
        ...

    def write(self, command: Mapping[str, float]) -> None:
        """Commands by actuator, in the units of the contract."""
        ...

    def stop(self) -> None:
        """Brings the robot into a safe state. Called from another thread by the watchdog, perhaps while `read` hangs, perhaps twice."""
        ...


@dataclass(kw_only=True)
class Outcome:
    """What a run came to."""

    reason: str = "done"
    """`done`, `stopped` (by a signal), `watchdog`, `overruns`, or what was wrong with a measurement."""
    ticks: int = 0
    overruns: int = 0
    """Ticks that ended after the next one should have begun."""
    missed: int = 0
    """Ticks left out because of that."""
    longest_s: float = 0.0
    """Longest time from the beginning of a tick to its command."""


class Watchdog:
    """Calls `stop` when it is not fed for `patience_s`."""

    def __init__(self, patience_s: float, stop: Callable[[], None]) -> None:
        self.tripped = threading.Event()
        self._patience_s, self._stop = patience_s, stop
        self._fed, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def feed(self) -> None:
        self._fed.set()

    def close(self) -> None:
        self._over.set()
        self._fed.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            fed = self._fed.wait(self._patience_s)
            if self._over.is_set():
                return
            if not fed:
                self.tripped.set()
                self._stop()
                return
            self._fed.clear()


class Runner:
    """The loop."""

    def __init__(
        self,
        policy: PolicyFile,
        link: Link,
        *,
        limits: CommandLimits | None = None,
        delays: Literal["robot", "contract"] = "robot",
        watchdog_s: float | None = None,
        overruns_in_a_row: int = 5,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """`watchdog_s` is five ticks by default, at least 0.1 s. `clock` and `sleep` are those of a simulation in a test."""
        self.policy, self.link = policy, link
        self.observer = Observer(policy.contract, delays=delays)
        self.limits = limits or CommandLimits(policy.contract)
        self.period_s = float(policy.contract["control_dt"])
        self._watchdog_s = watchdog_s or max(0.1, 5 * self.period_s)
        self._patience = overruns_in_a_row
        self._clock, self._sleep = clock, sleep
        self._asked_to_stop = threading.Event()

    def ask_to_stop(self) -> None:
        """Ends the run at the next tick; for signal handlers."""
        self._asked_to_stop.set()

    def run(self, seconds: float) -> Outcome:
        """Runs for `seconds`, or until something ends it; the robot is stopped on return."""
        outcome = Outcome()
        for part in (self.policy, self.observer, self.limits):
            part.reset()
        watchdog = Watchdog(self._watchdog_s, self.link.stop)
        try:
            self._loop(outcome, round(seconds / self.period_s), watchdog)
        finally:
            watchdog.close()
            self.link.stop()
        return outcome

    def _loop(self, outcome: Outcome, total: int, watchdog: Watchdog) -> None:
        begin, number, in_a_row = self._clock(), 0, 0
        while number < total:
            self._sleep(max(0.0, begin + number * self.period_s - self._clock()))
            if self._asked_to_stop.is_set():
                outcome.reason = "stopped"
                return
            started = self._clock()
            try:
                self._tick(watchdog)
            except KeyError as error:
                outcome.reason = f"measurement: the link gives no '{error.args[0]}'"
                return
            except ValueError as error:
                outcome.reason = f"measurement: {error}"
                return
            if watchdog.tripped.is_set():
                outcome.reason = "watchdog"
                return
            watchdog.feed()
            outcome.ticks += 1
            outcome.longest_s = max(outcome.longest_s, self._clock() - started)
            late = int((self._clock() - begin) / self.period_s + 1e-9) - number
            in_a_row = in_a_row + 1 if late > 0 else 0
            if late > 0:
                outcome.overruns += 1
                outcome.missed += late - 1
                if in_a_row >= self._patience:
                    outcome.reason = "overruns"
                    return
            number += max(1, late)

    def _tick(self, watchdog: Watchdog) -> None:
        action = self.policy.act(self.observer.observe(self.link.read()))
        command = self.limits.command(action)
        self.observer.action = action.astype(float)
        if not watchdog.tripped.is_set():  # a robot that was stopped stays stopped
            self.link.write(command)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when the time was up, 1 when something ended the run before."""
    parser = argparse.ArgumentParser(description="Runs a policy on a robot in real time.")
    parser.add_argument("policy", help="policy.onnx, as export-policy writes it")
    parser.add_argument("--link", required=True, metavar="MODULE:CLASS", help="the class that talks to your robot")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--limit", action="append", default=[], metavar="ACTUATOR=LOW:HIGH", help="narrower limits of a command")
    parser.add_argument("--rate", action="append", default=[], metavar="ACTUATOR=PER_SECOND", help="largest change of a command")
    parser.add_argument(
        "--ask", type=float, nargs="+", metavar="VALUE", help="what the policy is asked for: vx vy wz, ...; zeros by default"
    )
    parser.add_argument("--delays", choices=["robot", "contract"], default="robot", help="whose delays the observations have")
    parser.add_argument("--watchdog", type=float, default=None, metavar="SECONDS")
    parser.add_argument("--needs", action="store_true", help="print what the link must measure and command, and leave")
    given = parser.parse_args(arguments)
    policy = PolicyFile(given.policy)
    if given.needs:
        print(json.dumps(needs(policy), indent=1))
        return 0
    try:
        limits = CommandLimits(policy.contract, narrower=_pairs(given.limit), rates={k: float(v) for k, v in _split(given.rate)})
    except ValueError as error:
        parser.error(str(error))
    runner = Runner(policy, _link(given.link, parser), limits=limits, delays=given.delays, watchdog_s=given.watchdog)
    if given.ask is not None:
        try:
            runner.observer.ask(given.ask)
        except ValueError as error:
            parser.error(f"--ask: {error}")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: runner.ask_to_stop())
    outcome = runner.run(given.seconds)
    print(json.dumps(dataclasses.asdict(outcome)))
    return 0 if outcome.reason == "done" else 1


def needs(policy: PolicyFile) -> dict[str, Any]:
    """What a link must measure and command, what the policy is asked for, and how often."""
    asked = (policy.contract.get("command") or {}).get("labels")
    return {
        "reads": Observer(policy.contract).needs,
        "writes": {entry["actuator"]: entry["unit"] for entry in policy.contract["actions"]},
        **({"asks": asked} if asked else {}),
        "hz": 1 / policy.contract["control_dt"],
    }


def _link(name: str, parser: argparse.ArgumentParser) -> Link:
    module, _, attribute = name.partition(":")
    sys.path.insert(0, "")
    try:
        link: Link = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, ValueError) as error:
        parser.error(f"--link {name}: {error}")
    return link


def _split(texts: list[str]) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (text.partition("=") for text in texts)]


def _pairs(texts: list[str]) -> dict[str, tuple[float, float]]:
    pairs: dict[str, tuple[float, float]] = {}
    for name, value in _split(texts):
        low, _, high = value.partition(":")
        try:
            pairs[name] = (float(low), float(high))
        except ValueError:
            raise ValueError(f"a limit is ACTUATOR=LOW:HIGH, not '{name}={value}'") from None
    return pairs


if __name__ == "__main__":
    sys.exit(main())
