"""What terms need, compiled into the model as named sensors.

A term declares `Need("jointpos", "arm")`; compiling a task adds that sensor to the model, or takes the model's own where it has the same,
and a `SensorLayout` finds its slice of `sensordata`. So every engine and a real robot expose the same thing, and no term knows an address.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType

import mujoco

from realitygap_core.errors import CoreError, unknown

_JOINT, _ACTUATOR, _TENDON, _SITE, _BODY, _FRAME, _WORLD = "joint", "actuator", "tendon", "site", "body", "frame", "world"
_PAIR = "geom pair"

CONTACT_SLOTS = 4
"""Contacts of a pair of geoms that a `contact` sensor tells of, strongest first; each gives how many contacts there are (0 for an empty
slot), normal force, and two tangential forces."""
_FOUND_AND_FORCE = (1 << int(mujoco.mjtConDataField.mjCONDATA_FOUND)) | (1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE))
_STRONGEST_FIRST = 2

_S = mujoco.mjtSensor
TYPES: Mapping[str, tuple[mujoco.mjtSensor, str]] = MappingProxyType(
    {
        "jointpos": (_S.mjSENS_JOINTPOS, _JOINT),
        "jointvel": (_S.mjSENS_JOINTVEL, _JOINT),
        "jointactuatorfrc": (_S.mjSENS_JOINTACTFRC, _JOINT),
        "ballquat": (_S.mjSENS_BALLQUAT, _JOINT),
        "ballangvel": (_S.mjSENS_BALLANGVEL, _JOINT),
        "actuatorpos": (_S.mjSENS_ACTUATORPOS, _ACTUATOR),
        "actuatorvel": (_S.mjSENS_ACTUATORVEL, _ACTUATOR),
        "actuatorfrc": (_S.mjSENS_ACTUATORFRC, _ACTUATOR),
        "tendonpos": (_S.mjSENS_TENDONPOS, _TENDON),
        "tendonvel": (_S.mjSENS_TENDONVEL, _TENDON),
        "framepos": (_S.mjSENS_FRAMEPOS, _FRAME),
        "framequat": (_S.mjSENS_FRAMEQUAT, _FRAME),
        "framexaxis": (_S.mjSENS_FRAMEXAXIS, _FRAME),
        "frameyaxis": (_S.mjSENS_FRAMEYAXIS, _FRAME),
        "framezaxis": (_S.mjSENS_FRAMEZAXIS, _FRAME),
        "framelinvel": (_S.mjSENS_FRAMELINVEL, _FRAME),
        "frameangvel": (_S.mjSENS_FRAMEANGVEL, _FRAME),
        "framelinacc": (_S.mjSENS_FRAMELINACC, _FRAME),
        "frameangacc": (_S.mjSENS_FRAMEANGACC, _FRAME),
        "subtreecom": (_S.mjSENS_SUBTREECOM, _BODY),
        "subtreelinvel": (_S.mjSENS_SUBTREELINVEL, _BODY),
        "subtreeangmom": (_S.mjSENS_SUBTREEANGMOM, _BODY),
        "accelerometer": (_S.mjSENS_ACCELEROMETER, _SITE),
        "velocimeter": (_S.mjSENS_VELOCIMETER, _SITE),
        "gyro": (_S.mjSENS_GYRO, _SITE),
        "magnetometer": (_S.mjSENS_MAGNETOMETER, _SITE),
        "force": (_S.mjSENS_FORCE, _SITE),
        "torque": (_S.mjSENS_TORQUE, _SITE),
        "touch": (_S.mjSENS_TOUCH, _SITE),
        "clock": (_S.mjSENS_CLOCK, _WORLD),
        "contact": (_S.mjSENS_CONTACT, _PAIR),
    }
)
"""Sensor types that a term may need, named as in MJCF, each with what it is attached to. All of them exist on every engine."""

_OBJECTS = {
    _JOINT: mujoco.mjtObj.mjOBJ_JOINT,
    _ACTUATOR: mujoco.mjtObj.mjOBJ_ACTUATOR,
    _TENDON: mujoco.mjtObj.mjOBJ_TENDON,
    _SITE: mujoco.mjtObj.mjOBJ_SITE,
    _BODY: mujoco.mjtObj.mjOBJ_BODY,
    "xbody": mujoco.mjtObj.mjOBJ_XBODY,
    "geom": mujoco.mjtObj.mjOBJ_GEOM,
    _PAIR: mujoco.mjtObj.mjOBJ_GEOM,
    _WORLD: mujoco.mjtObj.mjOBJ_UNKNOWN,
}
_FRAMES = ("xbody", "body", "geom", "site")


@dataclasses.dataclass(frozen=True)
class Need:
    """One sensor that a term reads."""

    type: str
    """A key of `TYPES`, or `named` for a sensor that the model itself defines."""
    object: str = ""
    """Name of the joint, actuator, site, ... it is attached to; for `named` the sensor's own name; empty for `clock`."""
    object_type: str = "xbody"
    """For frame sensors: `xbody` (the body's frame), `body` (its inertial frame), `geom` or `site`."""
    reference: str = ""
    """For frame sensors: body in whose frame the value is expressed; empty for the world. For `contact`: the other geom."""


@dataclasses.dataclass(frozen=True)
class SensorLayout:
    """Where each named sensor lies in `sensordata`."""

    slices: Mapping[str, slice]
    """Sensor name to its slice of `sensordata`, in model order."""
    names: Mapping[Need, str]
    """Need of a term to the name of the sensor that meets it."""

    def name(self, need: Need | str) -> str:
        """The name of a sensor. Raises CoreError for one that was never asked for."""
        if isinstance(need, Need):
            if need not in self.names:
                raise CoreError(
                    f"sensor {need.type} of '{need.object}' is read but not declared in `needs`", hint="add it to the term's `needs`"
                )
            return self.names[need]
        if need not in self.slices:
            raise unknown("sensor", need, self.slices)
        return need

    def __getitem__(self, need: Need | str) -> slice:
        return self.slices[self.name(need)]


def add(spec: mujoco.MjSpec, needs: Iterable[Need]) -> dict[Need, str]:
    """Adds to `spec` a named sensor for every need that it does not already meet; returns need to sensor name.

    Raises:
        CoreError: unknown sensor type, or a `named` sensor or an object that the model does not have.
    """
    names: dict[Need, str] = {}
    for need in needs:
        if need in names:
            continue
        if need.type == "named":
            known = [sensor.name for sensor in spec.sensors if sensor.name]
            if need.object not in known:
                raise unknown("sensor", need.object, known)
            names[need] = need.object
            continue
        names[need] = _existing(spec, need) or _added(spec, need)
    return names


def layout(model: mujoco.MjModel, names: Mapping[Need, str]) -> SensorLayout:
    """The layout of a compiled model; unnamed sensors have no entry."""
    slices = {}
    for index in range(model.nsensor):
        sensor = model.sensor(index)
        if sensor.name:
            start = int(sensor.adr[0])
            slices[sensor.name] = slice(start, start + int(sensor.dim[0]))
    return SensorLayout(MappingProxyType(slices), MappingProxyType(dict(names)))


def _type(need: Need) -> tuple[mujoco.mjtSensor, mujoco.mjtObj]:
    if need.type not in TYPES:
        raise unknown("sensor type", need.type, [*TYPES, "named"])
    kind, attached = TYPES[need.type]
    if attached != _FRAME:
        return kind, _OBJECTS[attached]
    if need.object_type not in _FRAMES:
        raise unknown("frame type", need.object_type, _FRAMES)
    return kind, _OBJECTS[need.object_type]


def _existing(spec: mujoco.MjSpec, need: Need) -> str | None:
    """The model's own sensor that measures exactly this, raw: no cutoff, no delay."""
    kind, object_type = _type(need)
    if need.type == "contact":
        return None
    for sensor in spec.sensors:
        same = sensor.type == kind and sensor.objtype == object_type and sensor.objname == need.object and sensor.refname == need.reference
        if same and sensor.cutoff == 0 and sensor.name:
            return str(sensor.name)
    return None


def _added(spec: mujoco.MjSpec, need: Need) -> str:
    kind, object_type = _type(need)
    taken = {sensor.name for sensor in spec.sensors}
    name = "/".join(part for part in (need.type, need.object, need.reference) if part)
    while name in taken:
        name += "'"
    sensor = spec.add_sensor(name=name, type=kind, objtype=object_type, objname=need.object)
    if need.type == "contact":
        sensor.reftype, sensor.refname = mujoco.mjtObj.mjOBJ_GEOM, need.reference
        sensor.intprm = [_FOUND_AND_FORCE, _STRONGEST_FIRST, CONTACT_SLOTS]
    elif need.reference:
        sensor.reftype, sensor.refname = mujoco.mjtObj.mjOBJ_XBODY, need.reference
    return name
