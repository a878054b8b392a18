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

from realitygap_core import stopwatches
from realitygap_core.command_timing import Command
from realitygap_core.errors import CoreError
from realitygap_core.observed import Observed, observed_channels
from realitygap_core.plant import Floats, Plant
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream
from realitygap_core.robot import Robot, repeatable
from realitygap_core.segments import Segment, segments_of

_DIVERGED = 1e6
"""A state beyond this is no motion of a robot."""
_BATCH_BYTES = 256 * 2**20
"""Largest state array of one call of the engine."""
_PADDING = 1.1
"""Rollouts whose lengths differ by less than this factor run in one batch."""


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
                taken.
            window: seconds between restarts from the recorded state; None for open loop over the whole log. A restart takes measured
                velocities.
            threads: of the rollout pool; None for one a core.

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
        self._velocity, self._window = initial_velocity or recording.initial_velocity, window
        self.segments = tuple(
            segment
            for log in self.recording.data.values()
            for segment in segments_of(robot, log, self._start_channels, self._velocity, window, self.dt)
        )
        if not self.segments:
            raise CoreError(f"recording '{recording.name}' has no log with at least two samples", where=recording.name)
        self._commands = {log.name: Command(robot, log) for log in self.recording.data.values()}
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
    def sample_interval(self) -> float:
        """Shortest of the channels' median times between two samples, s."""
        return min(float(np.median(np.diff(layout.t))) for layout in self._samples if len(layout.t) > 1)

    def coarser(self, factor: int) -> Replay:
        """The same logs through the same robot with `factor` times its step."""
        return Replay(
            self.robot.stepping(factor * self.dt),
            self.recording,
            channels=self.channels,
            initial_velocity=self._velocity,
            window=self._window,
            threads=self.threads,
        )

    @property
    def start_addresses(self) -> tuple[tuple[str, int], ...]:
        """(channel, address in qpos) of the measured positions that a replay starts from."""
        return tuple((item.name, item.address) for item in self._start_channels if item.source == "qpos")

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

        Raises:
            CoreError: plants of different structure (one with a parameter `com_*`, one without): a body whose centre of mass may move has
                more entries in the mass matrix.
        """
        if len({(plant.model.nM, plant.model.nC) for plant in plants}) > 1:
            raise CoreError("plants with and without free centres of mass cannot run in one batch", hint="simulate them one by one")
        shifts = np.zeros((len(plants), len(self.segments), self.robot.model.nq)) if start_shifts is None else start_shifts
        out = {item.name: np.empty((len(plants), len(layout.real))) for item, layout in zip(self.observed, self._samples, strict=True)}
        stopwatches.switch_off()
        with _stateless(plants), rollout.Rollout(nthread=self.threads) as pool:
            datas = [mujoco.MjData(plants[0].model) for _ in range(self.threads)]
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
        # A rollout that breaks down repeats its last state; then time stands still.
        broken = ~(np.diff(states[:, :, 0], axis=1) > 0.5 * self.dt)
        states[:, 1:, 1:][broken] = sensors[broken] = _DIVERGED
        for values in (states[:, :, 1:], sensors):
            np.nan_to_num(values, copy=False, nan=_DIVERGED, posinf=_DIVERGED, neginf=-_DIVERGED)
            np.clip(values, -_DIVERGED, _DIVERGED, out=values)
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
        for address, item in segment.position_from.items():
            index = item.path_index
            qpos[address] = (qpos[address] - plant.path.sensor_offset_c[index]) / plant.path.sensor_scale_c[index]
        return qpos

    def _initial_qvel(self, plant: Plant, segment: Segment) -> Floats:
        qvel = segment.qvel.copy()
        for address, item in segment.velocity_from.items():
            if (index := item.path_index) >= 0:
                # The slope of a position knows nothing of its offset.
                offset = plant.path.sensor_offset_c[index] if item.source == "qvel" else 0.0
                qvel[address] = (qvel[address] - offset) / plant.path.sensor_scale_c[index]
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
def _stateless(plants: Sequence[Plant]) -> Iterator[None]:
    """Steps that depend on the state alone; the flags are put back."""
    before = [int(plant.model.opt.disableflags) for plant in plants]
    for plant in plants:
        plant.model.opt.disableflags |= repeatable(plant.model)
    try:
        yield
    finally:
        for plant, flags in zip(plants, before, strict=True):
            plant.model.opt.disableflags = flags
