"""Imports plugins one by one, and keeps what goes wrong with one away from the others.

A plugin that raises at import, calls `sys.exit`, hangs, or implements a hook that does not exist ends in state `error` with the cause, and
the rest goes on. Strict mode (`selection`) raises instead, which authors of plugins want.

An import that hangs is given up after `REALITYGAP_PLUGIN_TIMEOUT` seconds (30). In the main thread an alarm interrupts it. In any other
thread, where no alarm can be set, it happens in a thread of its own that is left behind: a daemon, so that it keeps nothing alive, holding
the import lock of its own module only.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import io
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

import pluggy

from realitygap import hookspecs
from realitygap.deprecation import HookDeprecation, deprecations
from realitygap.errors import nearest
from realitygap.hooknames import HOOKS, REMOVED
from realitygap.plugin_record import PluginFailed, PluginRecord
from realitygap.selection import Selection

__all__ = ["DEFAULT_TIMEOUT_S", "PluginFailed", "PluginHost", "within"]

DEFAULT_TIMEOUT_S = 30.0


class _Hangs(BaseException):
    """Not an `Exception`, so that a plugin that catches everything does not catch this."""


class PluginHost:
    """The plugins of a registry, loaded on demand."""

    def __init__(
        self,
        records: Iterable[PluginRecord],
        *,
        strict: bool | None = None,
        timeout_s: float | None = None,
        specifications: Any = hookspecs,
    ) -> None:
        self.records = {record.name: record for record in records}
        self.strict = Selection.from_environment().strict if strict is None else strict
        self.timeout_s = _timeout() if timeout_s is None else timeout_s
        self._specifications = specifications
        self._manager = pluggy.PluginManager("realitygap")
        self._manager.add_hookspecs(specifications)

    def load(self, name: str) -> bool:
        """Imports and registers a plugin; False where it is in state `error`, with the cause in its record."""
        record = self.records[name]
        if record.state != "found":
            return record.state == "loaded"
        try:
            with _stdout_to_stderr():
                module = within(self.timeout_s, lambda: import_module(record.module))
                self._register(record, module)
        except _Hangs:
            self._failed(record, f"importing '{record.module}' did not end in {self.timeout_s:g} s", None)
        except KeyboardInterrupt:
            raise
        except SystemExit as error:
            self._failed(record, f"'{record.module}' called sys.exit({error.code!r}) at import", error)
        except BaseException as error:
            self._failed(record, _cause(error), error)
        else:
            record.state = "loaded"
        return record.state == "loaded"

    def implementing(self, hook: str) -> list[PluginRecord]:
        """Plugins that declare a hook and are loaded now, in the order of discovery."""
        return [record for record in self.records.values() if hook in record.hooks and self.load(record.name)]

    def collect(self, hook: str, *, only: str | None = None) -> list[tuple[PluginRecord, tuple[Any, ...]]]:
        """Calls a registration hook plugin by plugin: what each passed to `register`, in order.

        A plugin that raises in the hook is set to `error` and gives nothing.

        Args:
            only: name of the one plugin to call.
        """
        collected: list[tuple[PluginRecord, tuple[Any, ...]]] = []
        for record in self.implementing(hook):
            if only is not None and record.name != only:
                continue
            calls: list[tuple[Any, ...]] = []
            if self._call(record, hook, {"register": _recorder(hook, calls)}):
                collected += [(record, call) for call in calls]
        return collected

    def notify(self, hook: str, **arguments: Any) -> list[str]:
        """Calls an observer hook plugin by plugin; what went wrong, one line each. A failing observer stays loaded."""
        failures = []
        for record in self.implementing(hook):
            before = record.error
            if not self._call(record, hook, arguments):
                failures.append(f"{record.label}: {record.error}")
                record.state, record.error = "loaded", before
        return failures

    def _call(self, record: PluginRecord, hook: str, arguments: dict[str, Any]) -> bool:
        caller = getattr(self._manager.hook, hook)
        for implementation in caller.get_hookimpls():
            if implementation.plugin_name != record.name:
                continue
            try:
                with _stdout_to_stderr():
                    wanted = {name: arguments[name] for name in implementation.argnames}
                    within(self.timeout_s, functools.partial(implementation.function, **wanted))
            except _Hangs:
                self._failed(record, f"hook {hook} did not end in {self.timeout_s:g} s", None)
                return False
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                self._failed(record, f"hook {hook} raised {_cause(error)}", error)
                return False
        return True

    def _register(self, record: PluginRecord, module: Any) -> None:
        with warnings.catch_warnings():
            # pluggy does not know the plugin's name; the warning is given again below, with it.
            warnings.simplefilter("ignore", HookDeprecation)
            self._manager.register(module, name=record.name)
        implemented = {caller.name for caller in self._manager.get_hookcallers(module) or ()}
        unknown = sorted(
            caller.name
            for caller in self._manager.get_hookcallers(module) or ()
            if not caller.has_spec() and not all(one.optionalhook for one in caller.get_hookimpls() if one.plugin_name == record.name)
        )
        if unknown:
            self._manager.unregister(module)
            if unknown[0] in REMOVED:
                raise ValueError(f"implements hook '{unknown[0]}', which is gone: {REMOVED[unknown[0]]}")
            close = nearest(unknown[0], HOOKS)
            raise ValueError(f"implements hook '{unknown[0]}', which does not exist" + (f"; did you mean '{close}'?" if close else ""))
        missing = sorted(set(record.hooks) - implemented)
        if missing:
            self._manager.unregister(module)
            raise ValueError(f"plugin.yaml declares hook '{missing[0]}', which '{record.module}' does not implement with @hookimpl")
        record.notes += [f"implements {name}, which plugin.yaml does not declare" for name in sorted(implemented - set(record.hooks))]
        self._warn_of_deprecated(record, module)

    def _warn_of_deprecated(self, record: PluginRecord, module: Any) -> None:
        """Notes what the module implements although it will go, and warns the author at the place of the implementation."""
        for caller in self._manager.get_hookcallers(module) or ():
            for implementation in caller.get_hookimpls():
                if implementation.plugin_name != record.name:
                    continue
                for text in deprecations(self._specifications, caller.name, implementation.argnames):
                    record.deprecations.append(text)
                    code = getattr(inspect.unwrap(implementation.function), "__code__", None)
                    place = (code.co_filename, code.co_firstlineno) if code else (record.module, 1)
                    warnings.warn_explicit(f"{record.label}: {text}", HookDeprecation, *place)

    def _failed(self, record: PluginRecord, cause: str, error: BaseException | None) -> None:
        import traceback  # what goes well needs none of it

        record.fail(cause, "".join(traceback.format_exception(error)) if error else None)
        plugin = self._manager.get_plugin(record.name)
        if plugin is not None and "hook realitygap_" not in cause:
            self._manager.unregister(plugin)
        if self.strict:
            raise PluginFailed(f"{record.label}: {cause}", hint=record.remedy) from error


def within(seconds: float, action: Callable[[], Any]) -> Any:
    """The result of an action that may hang. Raises `_Hangs` after so many seconds; 0 is no limit."""
    if seconds <= 0:
        return action()
    if threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer"):
        return _with_alarm(seconds, action)
    return _in_thread(seconds, action)


def _with_alarm(seconds: float, action: Callable[[], Any]) -> Any:
    def interrupt(number: int, frame: Any) -> None:
        raise _Hangs

    previous = signal.signal(signal.SIGALRM, interrupt)
    # Whoever uses the alarm already gets it back, later by what was spent here.
    left, interval = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return action()
    finally:
        signal.setitimer(signal.ITIMER_REAL, left, interval)
        signal.signal(signal.SIGALRM, previous)


def _in_thread(seconds: float, action: Callable[[], Any]) -> Any:
    outcome: dict[str, Any] = {}

    def run() -> None:
        try:
            outcome["value"] = action()
        except BaseException as error:
            outcome["error"] = error

    thread = threading.Thread(target=run, name="realitygap-plugin", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise _Hangs
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


@contextlib.contextmanager
def _stdout_to_stderr() -> Iterator[None]:
    """What a plugin prints must not mix with the one document that goes to stdout."""
    with contextlib.redirect_stdout(sys.stderr if sys.stderr is not None else io.StringIO()):
        yield


def _recorder(hook: str, calls: list[tuple[Any, ...]]) -> Callable[..., None]:
    names = {
        "realitygap_register_checks": ("rule_prefix", "function"),
        "realitygap_register_commands": ("command",),
        "realitygap_register_components": ("kind", "name", "factory"),
    }.get(hook, ("name", "factory"))

    def register(*positional: Any, **keywords: Any) -> None:
        if len(positional) > len(names) or set(keywords) != set(names[len(positional) :]):
            raise TypeError(f"register({', '.join(names)}) was called with other arguments")
        calls.append((*positional, *(keywords[name] for name in names[len(positional) :])))

    return register


def _cause(error: BaseException) -> str:
    first = str(error).strip().splitlines()[:1]
    return f"{type(error).__name__}: {first[0]}" if first else type(error).__name__


def _timeout() -> float:
    try:
        return float(os.environ["REALITYGAP_PLUGIN_TIMEOUT"])
    except (KeyError, ValueError):
        return DEFAULT_TIMEOUT_S
