"""Open-loop replay: the simulator gets the recorded commands and the recorded start, and shows what the robot's channels would have shown.

Time is exact: a command reaches `ctrl` through the plant's signal path with any real delay (its mean over each physics step, so that
the result is smooth in the delay), and the simulated quantity is read at the stamps of the recording, interpolated between physics steps.

    command stamps   |u0      |u1      |u2          held or linear, as the channel says
    physics steps    | | | | | | | | | | | |        ctrl = mean over a step of the command `delay` ago
    sensor stamps    x0       x1         x2         jitter is kept
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import mujoco
import numpy as np
from mujoco import rollout
from numpy.typing import NDArray

from realitygap_core.errors import CoreError
from realitygap_core.parameters import is_position_servo
from realitygap_core.plant import Floats, Plant, SignalPath, channel_names
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream
from realitygap_core.robot import Robot

_DIVERGED = 1e6
"""A state beyond this is no motion of a robot."""
_BATCH_BYTES = 256 * 2**20
"""Largest state array of one call of the engine."""
_PADDING = 1.1
"""Rollouts whose lengths differ by less than this factor run in one batch."""


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


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A piece of a log that is replayed from a recorded state."""

    log: str
    """Name of the log."""
    start: float
    """Time of the recorded state, s."""
    steps: int
    """Physics steps to its last sample."""
    qpos: Floats
    """Recorded positions [nq] at the start; the model's own where nothing is recorded."""
    qvel: Floats
    """Velocities [nv] at the start."""


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


class Replay:
    """Some logs of a recording, ready to be replayed through plants of a robot again and again.

    With `window` each log is cut into pieces of so many seconds that start from the recorded state (multiple shooting); without, the
    whole log is one piece.
    """

    def __init__(
        self,
        robot: Robot,
        recording: Recording,
        *,
        logs: str | Sequence[str] | None = None,
        channels: Sequence[str] | None = None,
        initial_velocity: Literal["zero", "measured"] | None = None,
        window: float | None = None,
        threads: int | None = None,
    ) -> None:
        """Resolves channels, lays out clocks.

        Args:
            robot: the model; plants given later must be of it.
            recording: real or simulated logs with targets in the model.
            logs: glob patterns; None for all.
            channels: names to compare; None for every channel that the model can show.
            initial_velocity: None as the recording says; `measured` needs a velocity channel, else the slope of the first positions is
            taken. window: seconds between restarts from the recorded state; None for open loop over the whole log. A restart takes measured
            velocities. threads: of the rollout pool; None for one a core.

        Raises:
            CoreError: nothing to compare, a target or log that does not exist, a log without commands.
        """
        self.robot = robot
        self.recording = recording.select(logs)
        every = observed_channels(robot, recording)
        if channels is not None:
            for name in channels:
                recording.channel(name)
            every = tuple(item for item in every if item.name in channels)
        if not every:
            raise CoreError(
                f"no channel of recording '{recording.name}' belongs to a joint or sensor of model '{robot.name}'",
                where=robot.where,
                hint="map the log's columns to the model with a mapping file",
            )
        self.observed = every
        self._start_channels = observed_channels(robot, recording)
        self.threads = threads or len(os.sched_getaffinity(0))
        self.dt = float(robot.model.opt.timestep)
        velocity = initial_velocity or recording.initial_velocity
        self.segments = tuple(
            segment
            for log in self.recording.data.values()
            for segment in _segments(robot, log, self._start_channels, velocity, window, self.dt)
        )
        if not self.segments:
            raise CoreError(f"recording '{recording.name}' has no log with at least two samples", where=recording.name)
        self._commands = {log.name: _Command(robot, log) for log in self.recording.data.values()}
        self._samples = [_lay_out(item, self.segments, self.recording) for item in self.observed]
        self._groups = _groups([segment.steps for segment in self.segments])

    @property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels that are compared."""
        return tuple(item.name for item in self.observed)

    @property
    def real(self) -> dict[str, Floats]:
        """Recorded values by channel, all segments one after another [samples of the channel]."""
        return {item.name: layout.real for item, layout in zip(self.observed, self._samples, strict=True)}

    @property
    def start_addresses(self) -> tuple[tuple[str, int], ...]:
        """(channel, address in qpos) of the measured positions that a replay starts from."""
        return tuple((item.name, item.address) for item in self._start_channels if item.source == "qpos")

    @property
    def simulated_seconds(self) -> float:
        """Seconds of physics that one plant costs."""
        return float(sum(segment.steps for segment in self.segments) * self.dt)

    def segment_of(self, channel: str) -> NDArray[np.intp]:
        """Index of the segment of each sample of a channel [samples]."""
        return self._samples[self.channels.index(channel)].segment

    def times(self, channel: str) -> Floats:
        """Stamps of a channel's samples [samples], s."""
        return self._samples[self.channels.index(channel)].t

    def log_mask(self, channel: str, log: str) -> NDArray[np.bool_]:
        """Which samples of a channel belong to a log."""
        of_log = np.array([segment.log == log for segment in self.segments])
        return np.asarray(of_log[self.segment_of(channel)])

    def simulate(self, plants: Sequence[Plant], start_shifts: Floats | None = None) -> dict[str, Floats]:
        """What each plant shows, by channel [plants, samples], at the stamps of `real` and without noise.

        `start_shifts` [plants, segments, nq] is added to the recorded starts. A motion that diverges is held at 1e6 from there on.
        """
        shifts = np.zeros((len(plants), len(self.segments), self.robot.model.nq)) if start_shifts is None else start_shifts
        out = {item.name: np.empty((len(plants), len(layout.real))) for item, layout in zip(self.observed, self._samples, strict=True)}
        with _warm_start_off(plants), rollout.Rollout(nthread=self.threads) as pool:
            datas = [mujoco.MjData(self.robot.model) for _ in range(self.threads)]
            for group in self._groups:
                steps = max(self.segments[index].steps for index in group) + 1
                row_bytes = (
                    8 * steps * (mujoco.mj_stateSize(self.robot.model, mujoco.mjtState.mjSTATE_FULLPHYSICS) + self.robot.model.nsensordata)
                )
                chunk = max(1, int(_BATCH_BYTES // (row_bytes * len(group))))
                for first in range(0, len(plants), chunk):
                    part = slice(first, first + chunk)
                    self._simulate_chunk(pool, datas, plants[part], shifts[part], first, group, steps, out)
        return out

    def _simulate_chunk(
        self,
        pool: rollout.Rollout,
        datas: list[mujoco.MjData],
        plants: Sequence[Plant],
        shifts: Floats,
        first: int,
        group: list[int],
        steps: int,
        out: dict[str, Floats],
    ) -> None:
        model = self.robot.model
        size = mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_FULLPHYSICS)
        initial = np.zeros((len(plants) * len(group), size))
        control = np.empty((len(initial), steps, model.nu))
        cache: dict[tuple[int, bytes], Floats] = {}
        for p, plant in enumerate(plants):
            path = plant.path
            key = np.concatenate([path.delay_u, path.offset_u, path.scale_u, path.rate_u]).tobytes()
            for g, index in enumerate(group):
                segment, row = self.segments[index], p * len(group) + g
                initial[row, 0] = segment.start
                initial[row, 1 : 1 + model.nq] = self._initial_qpos(plant, segment) + shifts[p, index]
                initial[row, 1 + model.nq : 1 + model.nq + model.nv] = self._initial_qvel(plant, segment)
                if (index, key) not in cache:
                    cache[index, key] = self._commands[segment.log].ctrl(path, segment, steps, self.dt)
                control[row] = cache[index, key]
        models = [plant.model for plant in plants for _ in group]
        states, sensors = pool.rollout(models, datas, initial, control)
        states = np.concatenate([initial[:, None], states], axis=1)
        np.nan_to_num(states, copy=False, nan=_DIVERGED, posinf=_DIVERGED, neginf=-_DIVERGED)
        np.clip(states[:, :, 1:], -_DIVERGED, _DIVERGED, out=states[:, :, 1:])
        for item, layout in zip(self.observed, self._samples, strict=True):
            offset = {"qpos": 1, "qvel": 1 + model.nq, "sensor": 0}[item.source] + item.address
            # A rollout's sensors are those of the state before each step: row k belongs to row k of `states`, with the start in front.
            values = sensors[:, :, offset] if item.source == "sensor" else states[:, :, offset]
            for g, index in enumerate(group):
                part = slice(*layout.bounds[index])
                elapsed = layout.t[part] - self.segments[index].start
                for p, plant in enumerate(plants):
                    out[item.name][first + p, part] = _measure(plant, item, values[p * len(group) + g], elapsed, self.dt)

    def _initial_qpos(self, plant: Plant, segment: Segment) -> Floats:
        qpos = segment.qpos.copy()
        for item in self._start_channels:
            if item.source == "qpos":
                qpos[item.address] = (qpos[item.address] - plant.path.sensor_offset_c[item.path_index]) / plant.path.sensor_scale_c[
                    item.path_index
                ]
        return qpos

    def _initial_qvel(self, plant: Plant, segment: Segment) -> Floats:
        qvel = segment.qvel.copy()
        for item in self._start_channels:
            if item.source == "qvel" and item.path_index >= 0 and qvel[item.address] != 0:
                qvel[item.address] = (qvel[item.address] - plant.path.sensor_offset_c[item.path_index]) / plant.path.sensor_scale_c[
                    item.path_index
                ]
        return qvel

    def recordings(self, plant: Plant, *, rng: np.random.Generator | None = None, name: str | None = None) -> tuple[Recording, Recording]:
        """(simulated, real): the replayed logs with the compared channels only, on the same stamps; commands are copied.

        With `rng` the channels get the plant's sensor noise. Only for a replay without windows.
        """
        shown = self.simulate([plant])
        if rng is not None:
            for item in self.observed:
                if item.path_index >= 0 and (sd := plant.path.sensor_noise_c[item.path_index]) > 0:
                    shown[item.name] = shown[item.name] + rng.normal(0.0, sd, shown[item.name].shape)
        title = name or f"{self.recording.name} through {self.robot.name}"
        return self._recording({n: v[0] for n, v in shown.items()}, title), self._recording(self.real, self.recording.name)

    def _recording(self, values: dict[str, Floats], name: str) -> Recording:
        streams, keep = [], {}
        for stream in self.recording.streams:
            channels = tuple(c for c in stream.channels if c.role == "command" or c.name in values)
            if channels:
                keep[stream.name] = channels
                streams.append(Stream(name=stream.name, channels=channels, rate_hz=stream.rate_hz))
        data = {}
        for log in self.recording.data.values():
            data[log.name] = Log(
                name=log.name,
                signals={stream: self._signal(log, stream, channels, values) for stream, channels in keep.items()},
                meta=log.meta,
            )
        return Recording(name=name, streams=tuple(streams), data=data, initial_velocity=self.recording.initial_velocity)

    def _signal(self, log: Log, stream: str, channels: tuple[Channel, ...], values: dict[str, Floats]) -> Signal:
        signal = log.signals[stream]
        measured = next((c.name for c in channels if c.name in values), None)
        t = signal.t_t if measured is None else self.times(measured)[self.log_mask(measured, log.name)]
        rows = np.isin(signal.t_t, t)
        columns = [
            values[c.name][self.log_mask(c.name, log.name)] if c.name in values else signal.values_tc[rows, signal.names.index(c.name)]
            for c in channels
        ]
        return Signal(t_t=signal.t_t[rows], values_tc=np.column_stack(columns), channels=channels)


@dataclass(frozen=True, kw_only=True)
class _Layout:
    """Where the samples of a channel lie: segments one after another."""

    t: Floats
    real: Floats
    segment: NDArray[np.intp]
    bounds: tuple[tuple[int, int], ...]


def _lay_out(item: Observed, segments: Sequence[Segment], recording: Recording) -> _Layout:
    times, values, owners, bounds, count = [], [], [], [], 0
    for index, segment in enumerate(segments):
        t, value = recording.data[segment.log].channel(item.name)
        last = index + 1 == len(segments) or segments[index + 1].log != segment.log
        end = np.inf if last else segments[index + 1].start
        inside = (t >= segment.start - 1e-9) & (t < end - 1e-9 if not last else np.ones(len(t), dtype=bool)) & np.isfinite(value)
        times.append(t[inside])
        values.append(value[inside])
        owners.append(np.full(int(inside.sum()), index))
        bounds.append((count, count + int(inside.sum())))
        count += int(inside.sum())
    return _Layout(t=np.concatenate(times), real=np.concatenate(values), segment=np.concatenate(owners), bounds=tuple(bounds))


def _measure(plant: Plant, item: Observed, values: Floats, elapsed: Floats, dt: float) -> Floats:
    """The channel at times since the start, from the quantity at physics steps: delayed, interpolated, scaled, offset."""
    index = item.path_index
    if index >= 0 and plant.path.sensor_delay_c[index] > 0:
        elapsed = np.maximum(elapsed - plant.path.sensor_delay_c[index], 0.0)
    place = elapsed / dt
    # A stamp on a physics step, up to rounding, shows that step.
    place = np.where(np.abs(place - np.round(place)) < 1e-6, np.round(place), place)
    low = np.minimum(place.astype(np.intp), len(values) - 2)
    fraction = place - low
    shown = values[low] + fraction * (values[low + 1] - values[low])
    if index < 0:
        return np.asarray(shown)
    return np.asarray(plant.path.sensor_scale_c[index] * shown + plant.path.sensor_offset_c[index])


def _segments(
    robot: Robot, log: Log, channels: Sequence[Observed], velocity: Literal["zero", "measured"], window: float | None, dt: float
) -> Iterator[Segment]:
    tracks = [(item, *log.channel(item.name)) for item in channels]
    tracks = [(item, t[np.isfinite(v)], v[np.isfinite(v)]) for item, t, v in tracks]
    if any(len(t) < 2 for _, t, _ in tracks):
        return
    start, end = max(t[0] for _, t, _ in tracks), max(t[-1] for _, t, _ in tracks)
    moments = np.array([start]) if window is None else np.arange(start, end - 0.5 * window, window)
    # Restarts lie on stamps of the first channel, so that the recorded state is not an interpolated one.
    clock = tracks[0][1]
    moments = np.unique(clock[np.clip(np.searchsorted(clock, moments - 1e-9), 0, len(clock) - 2)])
    for index, moment in enumerate(moments):
        stop = end if index + 1 == len(moments) else float(moments[index + 1])
        qpos = np.array(robot.model.qpos0)
        qvel = np.zeros(robot.model.nv)
        for item, t, values in tracks:
            if item.source == "qpos":
                qpos[item.address] = np.interp(moment, t, values)
                if velocity == "measured" or window is not None:
                    qvel[_dof_of(robot, item.address)] = _slope(t, values, float(moment))
        for item, t, values in tracks:
            # A velocity of role `state` was filtered and lags behind; the slope of the positions does not.
            trusted = velocity == "measured" or (window is not None and item.channel.role == "sensor")
            if item.source == "qvel" and trusted:
                qvel[item.address] = np.interp(moment, t, values)
        steps = max(1, int(np.ceil((stop - moment) / dt - 1e-6)))
        yield Segment(log=log.name, start=float(moment), steps=steps, qpos=qpos, qvel=qvel)


def _dof_of(robot: Robot, qpos_address: int) -> int:
    joint = int(np.flatnonzero(robot.model.jnt_qposadr == qpos_address)[0])
    return int(robot.model.jnt_dofadr[joint])


def _slope(t: Floats, values: Floats, moment: float) -> float:
    """Velocity at `moment` from a parabola through the seven nearest samples, where no velocity is recorded."""
    middle = int(np.clip(np.searchsorted(t, moment), 3, max(3, len(t) - 4)))
    near = slice(max(0, middle - 3), middle + 4)
    degree = min(2, len(t[near]) - 1)
    return float(np.polyder(np.poly1d(np.polyfit(t[near] - moment, values[near], degree)))(0.0))


def _groups(steps: Sequence[int]) -> list[list[int]]:
    """Indices of segments in groups of nearly equal length, each one batch."""
    groups: list[list[int]] = []
    for index in sorted(range(len(steps)), key=lambda i: steps[i]):
        if groups and steps[index] <= steps[groups[-1][0]] * _PADDING:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups


@contextlib.contextmanager
def _warm_start_off(plants: Sequence[Plant]) -> Iterator[None]:
    """The solver starts cold at every step, so that a log in pieces equals the log in one; the flag is put back."""
    flag = int(mujoco.mjtDisableBit.mjDSBL_WARMSTART)
    before = [int(plant.model.opt.disableflags) for plant in plants]
    for plant in plants:
        plant.model.opt.disableflags |= flag
    try:
        yield
    finally:
        for plant, flags in zip(plants, before, strict=True):
            plant.model.opt.disableflags = flags


class _Command:
    """The recorded commands of one log as a function of continuous time, and its mean over physics steps."""

    def __init__(self, robot: Robot, log: Log) -> None:
        commands = log.commands
        self.t = commands.t_t
        self.columns: list[tuple[int, Floats, bool]] = []
        for index, channel in enumerate(commands.channels):
            if channel.target is None:
                continue
            if channel.target.kind != "actuator":
                raise CoreError(
                    f"command '{channel.name}' is mapped to the {channel.target.kind} '{channel.target.name}'",
                    where=f"log '{log.name}'",
                    hint="a command belongs to an actuator",
                )
            self.columns.append((robot.id("actuator", channel.target.name), commands.values_tc[:, index], channel.hold == "linear"))
        if not self.columns:
            raise CoreError(f"no command of log '{log.name}' belongs to an actuator of model '{robot.name}'", where=robot.where)
        model = robot.model
        self.servo = [is_position_servo(model, actuator) for actuator in range(model.nu)]
        self.joint = [
            int(model.actuator_trnid[actuator, 0]) if model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_JOINT else -1
            for actuator in range(model.nu)
        ]
        self.model = model

    def ctrl(self, path: SignalPath, segment: Segment, steps: int, dt: float) -> Floats:
        """`ctrl` [steps, nu] for physics steps that begin at the segment's start."""
        out = np.zeros((steps, len(self.servo)))
        for actuator, servo in enumerate(self.servo):
            if servo and self.joint[actuator] >= 0:
                # A servo without recorded command holds where it is.
                out[:, actuator] = segment.qpos[self.model.jnt_qposadr[self.joint[actuator]]] * self.model.actuator_gear[actuator, 0]
        edges: Floats = segment.start + dt * np.arange(steps + 1, dtype=np.float64)
        for actuator, values, linear in self.columns:
            # Before the first command a motor is off, and a servo holds the first command.
            before = float(values[0]) if self.servo[actuator] else 0.0
            scale, offset, rate, delay = (float(a[actuator]) for a in (path.scale_u, path.offset_u, path.rate_u, path.delay_u))
            if np.isfinite(rate):
                if segment.start > self.t[0]:
                    before = float(values[np.searchsorted(self.t, segment.start, side="right") - 1])
                means = _rate_limited(self._means(edges, values, linear, before), rate * dt / scale, before)
                if delay > 0:
                    means = np.diff(np.interp(edges - delay, edges, np.concatenate([[0.0], np.cumsum(means)]) * dt, left=0.0)) / dt
                    outside = np.clip((segment.start + delay - edges[:-1]) / dt, 0.0, 1.0)
                    means = means + outside * before
            else:
                means = self._means(edges - delay, values, linear, before)
            out[:, actuator] = scale * means + offset
        return out

    def _means(self, edges: Floats, values: Floats, linear: bool, before: float) -> Floats:
        """Mean of the command over each interval between edges [steps + 1], from its exact integral."""
        t = self.t
        widths = np.diff(t)
        pieces = widths * (values[:-1] + values[1:]) / 2 if linear else widths * values[:-1]
        integral = np.concatenate([[0.0], np.cumsum(pieces)])
        index = np.clip(np.searchsorted(t, edges, side="right") - 1, 0, len(t) - 1)
        since = edges - t[index]
        at = integral[index] + since * values[index]
        if linear:
            slopes = np.concatenate([(values[1:] - values[:-1]) / widths, [0.0]])
            at = at + np.where(since > 0, 0.5 * slopes[index] * since**2, 0.0)
        at = np.where(edges < t[0], (edges - t[0]) * before, at)
        return np.asarray(np.diff(at) / np.diff(edges))


def _rate_limited(values: Floats, largest: float, before: float) -> Floats:
    """Each value at most `largest` from the one before it."""
    out = np.empty_like(values)
    now = before
    for index, wanted in enumerate(values.tolist()):
        now += min(max(wanted - now, -largest), largest)
        out[index] = now
    return out
