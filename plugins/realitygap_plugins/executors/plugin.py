"""Hooks of the plugin `executors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realitygap import hookimpl
from realitygap.executor import LocalExecutor
from realitygap_plugins.executors.ray_executor import RayExecutor

if TYPE_CHECKING:
    from realitygap.hookspecs import RegisterNamed


@hookimpl
def realitygap_register_executors(register: RegisterNamed) -> None:
    register("local", LocalExecutor)
    register("ray", RayExecutor)
