"""A robot model: an MJCF or URDF file, read through `MjSpec`, checked, compiled, its parts found by name.

Everything else in the core starts from a `Robot`: parameters edit a fresh copy of its spec, tasks compile sensors into one, mappings look
up the joints and actuators that a log's columns belong to.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mujoco
import numpy as np

from realitygap_core.errors import CoreError, unknown

NUMERIC_PREFIX = "realitygap/"
"""Custom numerics of this prefix carry the command and sensor path inside the model file, for example `realitygap/delay[motor]`."""

_KINDS = {
    "body": mujoco.mjtObj.mjOBJ_BODY,
    "joint": mujoco.mjtObj.mjOBJ_JOINT,
    "geom": mujoco.mjtObj.mjOBJ_GEOM,
    "site": mujoco.mjtObj.mjOBJ_SITE,
    "actuator": mujoco.mjtObj.mjOBJ_ACTUATOR,
    "sensor": mujoco.mjtObj.mjOBJ_SENSOR,
    "tendon": mujoco.mjtObj.mjOBJ_TENDON,
}


@dataclass(frozen=True, kw_only=True)
class Robot:
    """One robot model, checked and compiled. Make it with `Robot.load` or `Robot.from_xml`; treat it as read-only."""

    name: str
    """The model's own name, else the file's stem."""
    path: Path | None
    """The file it came from; None for a model made from text or from a spec."""
    spec: mujoco.MjSpec = field(repr=False)
    """The editable description. Never edit it in place: `fresh_spec()` gives a copy."""
    model: mujoco.MjModel = field(repr=False)
    """The compiled nominal model, without native delays."""
    path_values: Mapping[str, float]
    """Values of the command and sensor path that the file carries, by parameter name: `{"delay[motor]": 0.004}`."""
    notes: tuple[str, ...] = ()
    """What was changed or should be known about the model, one sentence each."""

    @staticmethod
    def load(path: str | os.PathLike[str]) -> Robot:
        """The robot in an MJCF or URDF file.

        Raises:
            CoreError: no such file, it does not parse or compile (the compiler's message, with file and line), a body has an impossible
                inertia, or the file carries a native delay that cannot be converted.
        """
        file = Path(path)
        if not file.is_file():
            raise CoreError(f"no model file '{file}'", where=str(file), hint="give the path of an MJCF or URDF file")
        try:
            spec = mujoco.MjSpec.from_file(str(file))
        except Exception as error:  # mujoco raises ValueError, and others for unreadable bytes
            raise _compiler_error(error, str(file)) from None
        urdf = _is_urdf(file)
        return _checked(spec, path=file, name=_name(spec, file.stem), urdf=urdf)

    @staticmethod
    def from_xml(text: str, *, name: str = "model") -> Robot:
        """The robot in a string of MJCF or URDF, without includes or assets. Raises as `load`."""
        try:
            spec = mujoco.MjSpec.from_string(text)
        except Exception as error:
            raise _compiler_error(error, name) from None
        return _checked(spec, path=None, name=_name(spec, name), urdf=bool(re.search(r"<robot[\s>]", text)))

    @staticmethod
    def from_spec(spec: mujoco.MjSpec, *, name: str | None = None, path: Path | None = None) -> Robot:
        """The robot of a spec, which is copied. Raises as `load`."""
        return _checked(spec.copy(), path=path, name=name or _name(spec, "model"), urdf=False)

    def fresh_spec(self) -> mujoco.MjSpec:
        """A copy of the spec that the caller may edit and compile."""
        return self.spec.copy()

    def stepping(self, timestep: float) -> Robot:
        """The same robot with another step of physics, s."""
        spec = self.fresh_spec()
        spec.option.timestep = timestep
        return Robot.from_spec(spec, name=self.name, path=self.path)

    def names(self, kind: str) -> tuple[str, ...]:
        """Names of all `body`, `joint`, `geom`, `site`, `actuator`, `sensor` or `tendon` elements that have one, in model order."""
        if kind not in _KINDS:
            raise unknown("kind of model element", kind, _KINDS)
        count = {
            "body": self.model.nbody,
            "joint": self.model.njnt,
            "geom": self.model.ngeom,
            "site": self.model.nsite,
            "actuator": self.model.nu,
            "sensor": self.model.nsensor,
            "tendon": self.model.ntendon,
        }[kind]
        found = (mujoco.mj_id2name(self.model, _KINDS[kind], index) for index in range(count))
        return tuple(name for name in found if name)

    def id(self, kind: str, name: str, *, pointer: str | None = None) -> int:
        """Index in the compiled model of the element `name` of `kind` (as in `names`).

        Raises:
            CoreError: no such element; the hint holds the nearest name. `pointer` is the place in the caller's document.
        """
        names = self.names(kind)
        if name not in names:
            raise unknown(kind, name, names, where=self.where, pointer=pointer)
        return int(mujoco.mj_name2id(self.model, _KINDS[kind], name))

    def joint(self, name: str, *, pointer: str | None = None) -> Any:
        """MuJoCo's named view of a joint (`.id`, `.qposadr`, `.dofadr`, `.type`, ...). Raises CoreError with the nearest name."""
        return self.model.joint(self.id("joint", name, pointer=pointer))

    def actuator(self, name: str, *, pointer: str | None = None) -> Any:
        """MuJoCo's named view of an actuator. Raises CoreError with the nearest name."""
        return self.model.actuator(self.id("actuator", name, pointer=pointer))

    def body(self, name: str, *, pointer: str | None = None) -> Any:
        """MuJoCo's named view of a body. Raises CoreError with the nearest name."""
        return self.model.body(self.id("body", name, pointer=pointer))

    def geom(self, name: str, *, pointer: str | None = None) -> Any:
        """MuJoCo's named view of a geom. Raises CoreError with the nearest name."""
        return self.model.geom(self.id("geom", name, pointer=pointer))

    def site(self, name: str, *, pointer: str | None = None) -> Any:
        """MuJoCo's named view of a site. Raises CoreError with the nearest name."""
        return self.model.site(self.id("site", name, pointer=pointer))

    def sensor(self, name: str, *, pointer: str | None = None) -> Any:
        """MuJoCo's named view of a sensor. Raises CoreError with the nearest name."""
        return self.model.sensor(self.id("sensor", name, pointer=pointer))

    @property
    def where(self) -> str:
        """What error messages call this model: its path, else its name."""
        return str(self.path) if self.path is not None else self.name

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of everything that the compiled model holds: includes, meshes, custom numerics; not comments or paths."""
        return model_digest(self.model)


def model_digest(model: mujoco.MjModel) -> str:
    """SHA-256 (hex) of the content of a compiled model: every array and option, not the visual settings and not the paths of its files."""
    digest = hashlib.sha256()
    for owner, target in (("", model), ("opt.", model.opt)):
        for attribute in sorted(dir(target)):
            if attribute.startswith("_") or attribute in ("paths", "npaths", "vis", "stat", "signature"):
                continue
            value = getattr(target, attribute)
            if isinstance(value, np.ndarray):
                digest.update(f"{owner}{attribute} {value.dtype} {value.shape}\n".encode())
                digest.update(np.ascontiguousarray(value).tobytes())
            elif isinstance(value, (bool, int, float, bytes)):
                digest.update(f"{owner}{attribute} {value!r}\n".encode())
    return digest.hexdigest()


def repeatable(model: mujoco.MjModel) -> int:
    """Flags (`opt.disableflags`) with which the steps of a model depend on its state alone: no warm start of the solver, so that a rollout
    in pieces equals one long one, and no reset by MuJoCo of states that have broken down, so that they show.

    A model of one tree has one island at most: not to look for it gives the same to the last bit, in up to a tenth less time. But what may
    fall asleep does so by islands.
    """
    disable = mujoco.mjtDisableBit
    flags = int(disable.mjDSBL_WARMSTART) | int(disable.mjDSBL_AUTORESET)
    awake = not model.opt.enableflags & int(mujoco.mjtEnableBit.mjENBL_SLEEP)
    return flags | int(disable.mjDSBL_ISLAND) if model.ntree <= 1 and awake else flags


def _name(spec: mujoco.MjSpec, otherwise: str) -> str:
    return str(spec.modelname) if spec.modelname and spec.modelname != "MuJoCo Model" else otherwise


def _is_urdf(file: Path) -> bool:
    """By content, as MuJoCo does it: the root element of a URDF is `robot`."""
    text = file.read_bytes()[:65536].decode("utf-8", errors="replace")
    root = re.search(r"<([A-Za-z][\w:.-]*)", re.sub(r"<!--.*?-->", "", text, flags=re.S))
    return root is not None and root.group(1) == "robot"


def _checked(spec: mujoco.MjSpec, *, path: Path | None, name: str, urdf: bool) -> Robot:
    where = str(path) if path is not None else name
    notes = _check_inertias(spec, where)
    if urdf:
        notes += _add_motors(spec)
    values = _numeric_values(spec, where)
    notes += _convert_delays(spec, values, where)
    try:
        model = spec.compile()
    except Exception as error:
        raise _compiler_error(error, where) from None
    return Robot(name=name, path=path, spec=spec, model=model, path_values=MappingProxyType(values), notes=tuple(notes))


def _check_inertias(spec: mujoco.MjSpec, where: str) -> list[str]:
    """Refuses what no rigid body can have, by body name; returns notes on what the compiler will change."""
    if spec.compiler.inertiafromgeom == mujoco.mjtInertiaFromGeom.mjINERTIAFROMGEOM_TRUE:
        return []  # the inertials in the file are not used
    notes = []
    for body in spec.bodies:
        if not body.explicitinertial:
            continue
        if not np.isfinite(body.mass) or body.mass < 0:
            raise CoreError(
                f"body '{body.name}' has mass {body.mass:g} kg", where=where, hint="a mass is positive; check the inertial element"
            )
        full = np.asarray(body.fullinertia, dtype=float)
        principal = np.asarray(body.inertia, dtype=float)
        if not np.isnan(full[0]):
            xx, yy, zz, xy, xz, yz = full
            principal = np.linalg.eigvalsh(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
        low, middle, high = np.sort(principal)
        listed = ", ".join(f"{value:.4g}" for value in (low, middle, high))
        if not np.all(np.isfinite(principal)) or low < 0:
            raise CoreError(
                f"body '{body.name}' has a negative moment of inertia about its centre of mass: {listed} kg m^2",
                where=where,
                hint="inertia about a joint exceeds that about the centre of mass by m r^2: subtract it once; check mass and centre",
            )
        # Compiler's own rule, with room for the rounding of printed figures.
        if high > (low + middle) * (1 + 1e-6) + 1e-15:
            if spec.compiler.balanceinertia:
                notes.append(
                    f"body '{body.name}': principal moments {listed} kg m^2 violate the triangle inequality; "
                    f"the compiler's balanceinertia replaces all three by {principal.mean():.4g}"
                )
                continue
            raise CoreError(
                f"body '{body.name}' has impossible moments of inertia about its centre of mass: {listed} kg m^2; "
                "no rigid body has one larger than the sum of the other two",
                where=where,
                hint='correct the inertia in the file (compiler balanceinertia="true" replaces all three by their mean)',
            )
    return notes


def _add_motors(spec: mujoco.MjSpec) -> list[str]:
    """A URDF has no actuators: one torque motor a joint, named like the joint, so that recorded commands have a target."""
    movable = (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
    added = []
    taken = {actuator.name for actuator in spec.actuators}
    driven = {actuator.target for actuator in spec.actuators}
    for joint in spec.joints:
        if joint.type not in movable or not joint.name or joint.name in driven or joint.name in taken:
            continue
        actuator = spec.add_actuator(name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        actuator.set_to_motor()
        added.append(joint.name)
    if not added:
        return []
    return [f"a URDF names no actuators: one torque motor (N m or N) was added for each of {', '.join(added)}"]


def _numeric_values(spec: mujoco.MjSpec, where: str) -> dict[str, float]:
    values = {}
    for numeric in spec.numerics:
        if not numeric.name.startswith(NUMERIC_PREFIX):
            continue
        data = np.asarray(list(numeric.data), dtype=float)
        if data.size != 1 or not np.isfinite(data[0]):
            raise CoreError(f"custom numeric '{numeric.name}' must hold one finite number, it holds {data.tolist()}", where=where)
        values[numeric.name.removeprefix(NUMERIC_PREFIX)] = float(data[0])
    return values


def _convert_delays(spec: mujoco.MjSpec, values: dict[str, float], where: str) -> list[str]:
    """Moves native delays into the signal path: mjx silently ignores them, and the core's own delay works on every engine."""
    notes = []
    for kind, parameter, elements in (("actuator", "delay", spec.actuators), ("sensor", "sensor_delay", spec.sensors)):
        for element in elements:
            interval = float(np.max(np.asarray(getattr(element, "interval", 0.0), dtype=float), initial=0.0))
            if interval > 0:
                raise CoreError(
                    f"sensor '{element.name}' has a native sampling interval of {interval:g} s, which not every engine honours",
                    where=where,
                    hint="remove the attribute; a recording's own clock sets when the sensor is compared",
                )
            delay = float(element.delay)
            element.nsample = 0
            if delay <= 0:
                continue
            key = f"{parameter}[{element.name}]"
            if not element.name or key in values:
                reason = "has no name" if not element.name else f"also has a custom numeric '{NUMERIC_PREFIX}{key}'"
                raise CoreError(
                    f"{kind} '{element.name}' has a native delay of {delay:g} s and {reason}", where=where, hint="keep one of them"
                )
            element.delay = 0.0
            values[key] = delay
            notes.append(f"the native delay of {kind} '{element.name}' ({delay:g} s) became the signal path's '{key}'")
    return notes


def _compiler_error(error: Exception, where: str) -> CoreError:
    """MuJoCo's message in one line, with the line of the file where it names one."""
    text = " ".join(part.strip() for part in str(error).splitlines() if part.strip())
    text = re.sub(r"^(XML )?Error:\s*", "", text)
    line = re.search(r"\bline(?: number=| )(\d+)", text, flags=re.I)
    place = f"{where}:{line.group(1)}" if line else where
    if "decoder" in text:  # MuJoCo goes by the file's name
        return CoreError(f"'{where}' is not a model", where=where, hint="a model is an MJCF or URDF file, named .xml or .urdf")
    return CoreError(f"the model does not compile: {text}", where=place, hint="MuJoCo's own message; correct the file at that place")
