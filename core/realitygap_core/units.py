"""Units of a log's columns and the SI units that recordings store."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from realitygap_core.errors import CoreError, nearest


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A unit: `si = factor * value + zero`."""

    si: str
    """Name of the SI unit."""
    factor: float
    """SI units in one of this unit."""
    quantity: str
    """What it measures, as a channel's `quantity`."""
    zero: float = 0.0
    """SI value at 0 of this unit; not 0 only for temperatures."""


def _unit(si: str, factor: float, quantity: str, zero: float = 0.0) -> Unit:
    return Unit(si=si, factor=factor, quantity=quantity, zero=zero)


_TURN = 2 * math.pi

UNITS: dict[str, Unit] = {
    "rad": _unit("rad", 1.0, "position"),
    "mrad": _unit("rad", 1e-3, "position"),
    "deg": _unit("rad", math.pi / 180, "position"),
    "rev": _unit("rad", _TURN, "position"),
    "rad/s": _unit("rad/s", 1.0, "velocity"),
    "mrad/s": _unit("rad/s", 1e-3, "velocity"),
    "deg/s": _unit("rad/s", math.pi / 180, "velocity"),
    "rev/s": _unit("rad/s", _TURN, "velocity"),
    "rpm": _unit("rad/s", _TURN / 60, "velocity"),
    "rad/s^2": _unit("rad/s^2", 1.0, "acceleration"),
    "deg/s^2": _unit("rad/s^2", math.pi / 180, "acceleration"),
    "m": _unit("m", 1.0, "position"),
    "cm": _unit("m", 1e-2, "position"),
    "mm": _unit("m", 1e-3, "position"),
    "um": _unit("m", 1e-6, "position"),
    "m/s": _unit("m/s", 1.0, "velocity"),
    "cm/s": _unit("m/s", 1e-2, "velocity"),
    "mm/s": _unit("m/s", 1e-3, "velocity"),
    "km/h": _unit("m/s", 1 / 3.6, "velocity"),
    "m/s^2": _unit("m/s^2", 1.0, "acceleration"),
    "g": _unit("m/s^2", 9.80665, "acceleration"),
    "N m": _unit("N m", 1.0, "torque"),
    "mN m": _unit("N m", 1e-3, "torque"),
    "N cm": _unit("N m", 1e-2, "torque"),
    "N mm": _unit("N m", 1e-3, "torque"),
    "kgf cm": _unit("N m", 0.0980665, "torque"),
    "N": _unit("N", 1.0, "force"),
    "mN": _unit("N", 1e-3, "force"),
    "kN": _unit("N", 1e3, "force"),
    "V": _unit("V", 1.0, "voltage"),
    "mV": _unit("V", 1e-3, "voltage"),
    "A": _unit("A", 1.0, "current"),
    "mA": _unit("A", 1e-3, "current"),
    "W": _unit("W", 1.0, "power"),
    "Pa": _unit("Pa", 1.0, "pressure"),
    "kPa": _unit("Pa", 1e3, "pressure"),
    "bar": _unit("Pa", 1e5, "pressure"),
    "K": _unit("K", 1.0, "temperature"),
    "degC": _unit("K", 1.0, "temperature", 273.15),
    "T": _unit("T", 1.0, "magnetic field"),
    "uT": _unit("T", 1e-6, "magnetic field"),
    "s": _unit("s", 1.0, "time"),
    "ms": _unit("s", 1e-3, "time"),
    "us": _unit("s", 1e-6, "time"),
    "ns": _unit("s", 1e-9, "time"),
    "1": _unit("1", 1.0, "ratio"),
    "%": _unit("1", 1e-2, "ratio"),
}
"""Units by their name in mappings; other spellings are in `ALIASES`."""

ALIASES = {
    "radian": "rad", "radians": "rad", "degree": "deg", "degrees": "deg", "°": "deg", "turn": "rev", "turns": "rev", "revolutions": "rev",
    "rad/sec": "rad/s", "rads": "rad/s", "°/s": "deg/s", "dps": "deg/s", "RPM": "rpm", "rev/min": "rpm",
    "rad/s2": "rad/s^2", "rad/s²": "rad/s^2", "deg/s2": "deg/s^2", "m/s2": "m/s^2", "m/s²": "m/s^2",
    "Nm": "N m", "N*m": "N m", "N·m": "N m", "N.m": "N m", "mNm": "mN m", "Ncm": "N cm", "Nmm": "N mm", "N*mm": "N mm",
    "kgfcm": "kgf cm", "kgf*cm": "kgf cm",
    "meter": "m", "metre": "m", "meters": "m", "metres": "m", "volt": "V", "volts": "V", "ampere": "A", "amp": "A", "amps": "A",
    "newton": "N", "sec": "s", "second": "s", "seconds": "s", "msec": "ms", "µs": "us", "usec": "us", "nsec": "ns",
    "°C": "degC", "celsius": "degC", "kelvin": "K", "percent": "%", "none": "1", "": "1", "-": "1",
}  # fmt: skip

QUANTITIES = (
    "position", "velocity", "acceleration", "torque", "force", "voltage", "current", "power", "pressure", "temperature", "magnetic field",
    "ratio", "time",
)  # fmt: skip
"""Values of a channel's `quantity`."""

SI_OF_QUANTITY = {
    "position": "rad", "velocity": "rad/s", "acceleration": "rad/s^2", "torque": "N m", "force": "N", "voltage": "V", "current": "A",
    "power": "W", "pressure": "Pa", "temperature": "K", "magnetic field": "T", "ratio": "1", "time": "s",
}  # fmt: skip
"""SI unit that `counts` become for a quantity; on a sliding joint m, m/s and m/s^2 take the place of the angles."""

TIME_UNITS = ("s", "ms", "us", "ns")


def unit(name: str, *, pointer: str | None = None) -> Unit:
    """The unit of that name or spelling.

    Raises:
        CoreError: unknown; the hint holds the nearest name.
    """
    canonical = ALIASES.get(name, name)
    if canonical in UNITS:
        return UNITS[canonical]
    # Units are told apart by case (mN, MN), but a typo in the case or in the dots and spaces is still a typo.
    plain = {_plain(known): known for known in ["counts", *ALIASES, *UNITS]}
    close = plain.get(nearest(_plain(name), plain) or "")
    listed = ", ".join([*UNITS, "counts"])
    raise CoreError(f"no unit '{name}'", pointer=pointer, hint=f"did you mean '{close}'?" if close else f"there are: {listed}")


def _plain(name: str) -> str:
    return re.sub(r"[\s*.·_]", "", name).lower()
