"""Hooks of the plugin `system_id`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realitygap import hookimpl

if TYPE_CHECKING:
    from realitygap.hookspecs import RegisterCommand, RegisterNamed


@hookimpl
def realitygap_register_commands(register: RegisterCommand) -> None:
    from realitygap_plugins.system_id.commands import init_robot

    register(init_robot)


@hookimpl
def realitygap_register_readers(register: RegisterNamed) -> None:
    from realitygap_core.readers import builtin_readers

    for name, reader in builtin_readers().items():
        register(name, reader)
