"""The hooks of this plugin."""

from __future__ import annotations

from typing import Any

from realitygap import hookimpl
from realitygap_acme.checks import numbers_have_units


@hookimpl
def realitygap_register_checks(register: Any) -> None:
    register("ACME", numbers_have_units)


@hookimpl
def realitygap_register_components(register: Any) -> None:
    from realitygap_acme.terms import joint_speed

    register("observation", "joint_speed", joint_speed)
