"""Channels of a recording, resolved in a model: which simulated quantity each one shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import mujoco

from realitygap_core.plant import channel_names
from realitygap_core.recording import Channel, Recording
from realitygap_core.robot import Robot


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A channel of the recording, resolved in the model."""

    channel: Channel
    """As recorded."""
    path_index: int
    """Its place along `c` of the plant's signal path."""
    source: Literal["qpos", "qvel", "sensor"]
    """Where the simulated quantity is found."""
    address: int
    """Index into that array."""

    @property
    def name(self) -> str:
        """Name of the channel."""
        return self.channel.name


def observed_channels(robot: Robot, recording: Recording) -> tuple[Observed, ...]:
    """The channels that the model can show: measurements of hinge and slide joints and scalar sensors.

    Raises:
        CoreError: a channel names a joint or a sensor that the model lacks.
    """
    found = []
    for channel in recording.channels:
        if channel.role == "command" or channel.target is None:
            continue
        resolved = _resolve(robot, channel)
        if resolved is not None:
            found.append(resolved)
    return tuple(found)


def _resolve(robot: Robot, channel: Channel) -> Observed | None:
    assert channel.target is not None
    model, name = robot.model, channel.target.name
    names = channel_names(robot)
    if channel.target.kind == "sensor":
        sensor = robot.id("sensor", name)
        kind, joint = mujoco.mjtSensor(model.sensor_type[sensor]), int(model.sensor_objid[sensor])
        if kind == mujoco.mjtSensor.mjSENS_JOINTPOS:
            return Observed(channel=channel, path_index=names.index(name), source="qpos", address=int(model.jnt_qposadr[joint]))
        if kind == mujoco.mjtSensor.mjSENS_JOINTVEL:
            return Observed(channel=channel, path_index=names.index(name), source="qvel", address=int(model.jnt_dofadr[joint]))
        if model.sensor_dim[sensor] != 1:
            return None
        return Observed(channel=channel, path_index=names.index(name), source="sensor", address=int(model.sensor_adr[sensor]))
    if channel.target.kind != "joint":
        return None
    joint = robot.id("joint", name)
    if model.jnt_type[joint] not in (int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)):
        return None
    if channel.quantity in ("position", ""):
        same = _sensor_of(model, mujoco.mjtSensor.mjSENS_JOINTPOS, joint)
        return Observed(channel=channel, path_index=names.index(same or name), source="qpos", address=int(model.jnt_qposadr[joint]))
    if channel.quantity == "velocity":
        same = _sensor_of(model, mujoco.mjtSensor.mjSENS_JOINTVEL, joint)
        index = names.index(same) if same else -1
        return Observed(channel=channel, path_index=index, source="qvel", address=int(model.jnt_dofadr[joint]))
    return None


def _sensor_of(model: mujoco.MjModel, kind: mujoco.mjtSensor, joint: int) -> str | None:
    for sensor in range(model.nsensor):
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_SENSOR, sensor)
        if name and model.sensor_type[sensor] == kind and model.sensor_objid[sensor] == joint:
            return str(name)
    return None
