"""Names of the hooks, for those who must not import pluggy; a test holds them against `hookspecs`."""

from __future__ import annotations

HOOKS = (
    "realitygap_after_step",
    "realitygap_before_step",
    "realitygap_on_step_error",
    "realitygap_register_checks",
    "realitygap_register_commands",
    "realitygap_register_components",
    "realitygap_register_executors",
    "realitygap_register_readers",
)

REMOVED: dict[str, str] = {}
"""Hooks that there were: name to when each went and what to implement instead, for the message to an author who still has it."""
