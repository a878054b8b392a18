"""Hooks and arguments of hooks that will go: said where the hook is specified, and told to the author of each plugin that has one.

@hookspec(warn_on_impl=HookDeprecation(since="0.3", removed_in="0.5", instead="implement realitygap_register_components"))
def realitygap_register_rewards(register): ...

@hookspec(warn_on_impl_args={"step": HookDeprecation(since="0.3", removed_in="0.5", instead="take `steps`")})
def realitygap_before_step(run, step, steps): ...
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any


class HookDeprecation(DeprecationWarning):
    """That a hook, or an argument of one, will go. pytest shows it to the author; a user does not see it."""

    def __init__(self, *told: str, since: str = "", removed_in: str = "", instead: str = "") -> None:
        """`since` and `removed_in` are versions of realitygap; `instead` says what to write, as a command."""
        super().__init__(*(told or (f"deprecated since realitygap {since} and removed in {removed_in}: {instead}",)))
        self.since, self.removed_in, self.instead = since, removed_in, instead


def deprecations(specifications: Any, hook: str, arguments: Collection[str] = ()) -> Iterator[str]:
    """What is to be said of an implementation of a hook that takes these arguments: one line each, without the plugin's name."""
    options = getattr(getattr(specifications, hook, None), "realitygap_spec", None) or {}
    if isinstance(whole := options.get("warn_on_impl"), HookDeprecation):
        yield f"hook {hook} is {whole}"
    for name, one in (options.get("warn_on_impl_args") or {}).items():
        if name in arguments and isinstance(one, HookDeprecation):
            yield f"argument '{name}' of hook {hook} is {one}"
