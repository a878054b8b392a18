"""Signal paths of many plants as stacked arrays, and what they do to commands and sensors inside an environment.

    command     --scale, offset-->  --delay-->  --rate limit-->       ctrl
    sensordata  --delay-->  --scale, offset-->  --noise-->            what the policy sees

Delaying before the rate limit lets one buffer of commands a control step do.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import mujoco
import numpy as np
from numpy.typing import NDArray

from realitygap_core import delay
from realitygap_core.plant import SignalPath
from realitygap_core.sensors import SensorLayout

Array = jax.Array


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, kw_only=True)
class Paths:
    """Signal paths of K plants (inside the environment's functions: of one). Axes: `u` entries of ctrl, `s` entries of sensordata."""

    delay_u: Array
    """From command to ctrl, s."""
    scale_u: Array
    """Times the command."""
    offset_u: Array
    """Added to the scaled command, in its unit."""
    rate_u: Array
    """Largest change of the command, unit/s; inf for none."""
    sensor_delay_s: Array
    """The sensor shows what was so long ago, s."""
    sensor_scale_s: Array
    """Times the quantity."""
    sensor_offset_s: Array
    """Added to the scaled quantity."""
    sensor_noise_s: Array
    """Standard deviation of the noise on a sample."""
    rate_limited: bool = dataclasses.field(metadata={"static": True})
    """Whether any command has a finite rate."""
    noisy: bool = dataclasses.field(metadata={"static": True})
    """Whether any sensor has noise."""
    sensors_late: bool = dataclasses.field(metadata={"static": True})
    """Whether any sensor has a delay."""

    def at(self, index: Array) -> Paths:
        """The path of plant `index`, or paths [B] of indices [B]."""
        taken: Paths = jax.tree.map(lambda leaf: leaf[index], self)
        return taken


def stack(paths: Sequence[SignalPath], model: mujoco.MjModel, layout: SensorLayout) -> Paths:
    """Stacked paths of plants of one model. A channel named after a joint acts on the sensor of that joint's position."""
    controls = [slice(int(a), int(a) + int(n)) for a, n in zip(model.actuator_ctrladr, model.actuator_ctrlnum, strict=True)]
    columns = [_columns(name, model, layout) for name in paths[0].channels]

    def commands(values_ku: list[NDArray[np.float64]], neutral: float) -> NDArray[np.float32]:
        result = np.full((len(paths), model.nu), neutral, np.float32)
        for index, control in enumerate(controls):
            result[:, control] = np.array([values[index] for values in values_ku])[:, None]
        return result

    def sensors(values_kc: list[NDArray[np.float64]], neutral: float) -> NDArray[np.float32]:
        result = np.full((len(paths), model.nsensordata), neutral, np.float32)
        for index, column in enumerate(columns):
            values_k = np.array([values[index] for values in values_kc], np.float32)
            changed = values_k != neutral
            result[np.ix_(changed, column)] = values_k[changed, None]
        return result

    rate, noise = commands([p.rate_u for p in paths], np.inf), sensors([p.sensor_noise_c for p in paths], 0)
    late = sensors([p.sensor_delay_c for p in paths], 0)
    return Paths(
        delay_u=jnp.asarray(commands([p.delay_u for p in paths], 0)),
        scale_u=jnp.asarray(commands([p.scale_u for p in paths], 1)),
        offset_u=jnp.asarray(commands([p.offset_u for p in paths], 0)),
        rate_u=jnp.asarray(rate),
        sensor_delay_s=jnp.asarray(late),
        sensor_scale_s=jnp.asarray(sensors([p.sensor_scale_c for p in paths], 1)),
        sensor_offset_s=jnp.asarray(sensors([p.sensor_offset_c for p in paths], 0)),
        sensor_noise_s=jnp.asarray(noise),
        rate_limited=bool(np.isfinite(rate).any()),
        noisy=bool(noise.any()),
        sensors_late=bool(late.any()),
    )


def _columns(channel: str, model: mujoco.MjModel, layout: SensorLayout) -> list[int]:
    if channel in layout.slices:
        return list(range(model.nsensordata))[layout.slices[channel]]
    # A joint's channel: its position sensors, whatever they are called; a term may have added one beside the model's own.
    positions = np.flatnonzero(model.sensor_type == mujoco.mjtSensor.mjSENS_JOINTPOS)
    return [int(model.sensor_adr[i]) for i in positions if model.joint(model.sensor_objid[i]).name == channel]


def command(path: Paths, command_u: Array) -> Array:
    """What enters the delay [u] when `command_u` is given."""
    return path.scale_u * command_u + path.offset_u


def controls(path: Paths, ring_cu: Array, extra_delay: Array, last_ctrl_u: Array, *, physics_dt: float, substeps: int) -> Array:
    """The ctrl of each physics step [substeps, u] of the control step that begins now.

    Args:
      ring_cu: what entered the delay, newest first; the newest was given now.
      extra_delay: delay on top of the path's, s.
      last_ctrl_u: ctrl of the physics step before, from which a rate limit goes on.
    """
    wanted_su = delay.held(ring_cu, (path.delay_u + extra_delay) / physics_dt, substeps=substeps)
    if not path.rate_limited:
        return wanted_su
    largest_u = path.rate_u * physics_dt

    def follow(ctrl_u: Array, wanted_u: Array) -> tuple[Array, Array]:
        ctrl_u = ctrl_u + jnp.clip(wanted_u - ctrl_u, -largest_u, largest_u)
        return ctrl_u, ctrl_u

    return jax.lax.scan(follow, last_ctrl_u, wanted_su)[1]


def measure(path: Paths, ring_cs: Array, key: Array, *, control_dt: float) -> Array:
    """What the robot measures now [s], from a buffer of true sensordata, newest first."""
    value_s = ring_cs[0]
    if path.sensors_late:
        value_s = delay.Delay(capacity=ring_cs.shape[0]).read(ring_cs, path.sensor_delay_s / control_dt)
    value_s = path.sensor_scale_s * value_s + path.sensor_offset_s
    if path.noisy:
        value_s = value_s + path.sensor_noise_s * jax.random.normal(key, value_s.shape, value_s.dtype)
    return value_s
