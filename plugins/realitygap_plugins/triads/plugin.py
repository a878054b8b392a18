"""Hooks of the plugin `triads`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realitygap import hookimpl
from realitygap_plugins.triads.checks import check_triads

if TYPE_CHECKING:
    from realitygap.hookspecs import RegisterCheck


@hookimpl
def realitygap_register_checks(register: RegisterCheck) -> None:
    register("TRI", check_triads)
