"""SI units of parameters and channels."""

from __future__ import annotations

import mujoco
import numpy as np

from realitygap_core.parameter_kinds import IMU_TILT, SIZES, TARGETS, is_hinge, is_position_servo
from realitygap_core.robot import Robot


def parameter_unit(robot: Robot, kind: str, target: str) -> str:
    """SI unit of the parameter `kind[target]`; '1' for a ratio."""
    target_kind, model = TARGETS[kind], robot.model
    if target_kind == "joint":
        hinge = is_hinge(model, model.joint(target).id)
        units = {
            "damping": ("N m s/rad", "N s/m"),
            "frictionloss": ("N m", "N"),
            "armature": ("kg m^2", "kg"),
            "stiffness": ("N m/rad", "N/m"),
            "springref": ("rad", "m"),
            "zero_offset": ("rad", "m"),
        }
        return units[kind][0 if hinge else 1]
    if target_kind == "actuator" and kind not in ("delay", "command_scale"):
        return _actuator_unit(model, kind, model.actuator(target).id)
    if kind in ("sensor_offset", "sensor_noise"):
        return channel_unit(robot, target)
    units_of = {
        "mass": "kg",
        "com_x": "m",
        "com_y": "m",
        "com_z": "m",
        "friction_spin": "m",
        "friction_roll": "m",
        "contact_time": "s",
        **dict.fromkeys((*SIZES, "pseudo_inertia_tx", "pseudo_inertia_ty", "pseudo_inertia_tz"), "m"),
        **dict.fromkeys((*IMU_TILT, "gravity_tilt_x", "gravity_tilt_y"), "rad"),
        "gravity": "m/s^2",
        "latency": "s",
        "delay": "s",
        "sensor_delay": "s",
    }
    return units_of.get(kind, "1")


def command_unit(robot: Robot, name: str) -> str:
    """Unit of an actuator's command: of a position for a servo, of a force for a plain motor, else `command` (volts, ...)."""
    return _actuator_unit(robot.model, "command", robot.actuator(name).id)


def _actuator_unit(model: mujoco.MjModel, kind: str, actuator: int) -> str:
    joint = int(model.actuator_trnid[actuator, 0]) if model.actuator_trntype[actuator] == mujoco.mjtTrn.mjTRN_JOINT else -1
    hinge = joint < 0 or is_hinge(model, joint)
    force, position = ("N m", "rad") if hinge else ("N", "m")
    servo = is_position_servo(model, actuator)
    plain = not servo and model.actuator_gainprm[actuator, 0] == 1.0 and not np.any(model.actuator_biasprm[actuator, 1:3])
    command = position if servo else force if plain else "command"
    return {
        "command": command,
        "gain": f"{force}/{command}",
        "velocity_gain": f"{force} s/{position}",
        "force_limit": force,
        "command_offset": command,
        "command_rate": f"{command}/s",
    }[kind]


def channel_unit(robot: Robot, name: str) -> str:
    """SI unit of a channel of the robot (see `channel_names`); '1' where the kind of sensor does not tell."""
    model = robot.model
    if name in robot.names("sensor"):
        sensor = model.sensor(name).id
        kind = mujoco.mjtSensor(model.sensor_type[sensor])
        hinge = int(model.sensor_objtype[sensor]) != mujoco.mjtObj.mjOBJ_JOINT or is_hinge(model, int(model.sensor_objid[sensor]))
        sensors = mujoco.mjtSensor
        units = {
            sensors.mjSENS_JOINTPOS: "rad" if hinge else "m",
            sensors.mjSENS_JOINTVEL: "rad/s" if hinge else "m/s",
            sensors.mjSENS_JOINTACTFRC: "N m" if hinge else "N",
            sensors.mjSENS_FRAMEPOS: "m",
            sensors.mjSENS_FRAMELINVEL: "m/s",
            sensors.mjSENS_FRAMEANGVEL: "rad/s",
            sensors.mjSENS_GYRO: "rad/s",
            sensors.mjSENS_VELOCIMETER: "m/s",
            sensors.mjSENS_ACCELEROMETER: "m/s^2",
            sensors.mjSENS_FRAMELINACC: "m/s^2",
            sensors.mjSENS_FORCE: "N",
            sensors.mjSENS_TOUCH: "N",
            sensors.mjSENS_TORQUE: "N m",
            sensors.mjSENS_SUBTREECOM: "m",
            sensors.mjSENS_CLOCK: "s",
        }
        return units.get(kind, "1")
    return "rad" if is_hinge(model, model.joint(name).id) else "m"
