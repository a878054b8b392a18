"""realitygap: skills that measure the gap between a simulated robot and the real one, close it, and prove it.

For authors of plugins: `hookimpl`, `RunContext`, `InputError`. Everything here is imported on use,
because `skills list` must not pay for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from realitygap.context import RunContext as RunContext
    from realitygap.errors import Cancelled as Cancelled
    from realitygap.errors import InputError as InputError
    from realitygap.hookspecs import hookimpl as hookimpl

API_VERSION = 1
"""Version of the hook specifications and of the manifest formats: the newest that a plugin may ask for."""
OLDEST_API_VERSION = 1
"""The oldest that still works. It rises when a hook goes that was deprecated before (docs/hooks.md)."""

_HOMES = {"RunContext": "context", "InputError": "errors", "Cancelled": "errors", "hookimpl": "hookspecs"}

__all__ = ["API_VERSION", "OLDEST_API_VERSION", "Cancelled", "InputError", "RunContext", "hookimpl"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'realitygap' has no attribute '{name}'")
    return getattr(import_module(f"realitygap.{_HOMES[name]}"), name)
