"""A robot that is a C MuJoCo simulation: what a `Link` looks like, and a rehearsal before the hardware. Needs mujoco.

    python simulated_link.py policy.onnx model.xml --seconds 10

Time is that of the simulation: the runner's clock is the simulated one, and its sleep steps the physics.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping

import mujoco
import numpy as np


class SimulatedLink:
    """Hinges and slides by name, the model's sensors, gravity in the base's axes; commands by actuator. Begins at the first keyframe."""

    def __init__(self, model: mujoco.MjModel, qpos: np.ndarray | None = None, qvel: np.ndarray | None = None) -> None:
        self.model, self.data = model, mujoco.MjData(model)
        if model.nkey:
            mujoco.mj_resetDataKeyframe(model, self.data, 0)
        if qpos is not None:
            self.data.qpos[:] = qpos
        if qvel is not None:
            self.data.qvel[:] = qvel
        mujoco.mj_forward(model, self.data)
        self.stopped = 0

    def read(self) -> dict[str, float | list[float]]:
        model = self.model
        measured: dict[str, float | list[float]] = {}
        for joint in (model.joint(index) for index in range(model.njnt)):
            if joint.type[0] == mujoco.mjtJoint.mjJNT_FREE:
                measured["projected_gravity"] = (-self.data.xmat[joint.bodyid[0], 6:]).tolist()
            elif joint.type[0] != mujoco.mjtJoint.mjJNT_BALL:
                measured[f"jointpos/{joint.name}"] = float(self.data.qpos[joint.qposadr[0]])
                measured[f"jointvel/{joint.name}"] = float(self.data.qvel[joint.dofadr[0]])
        for sensor in (model.sensor(index) for index in range(model.nsensor)):
            start = int(sensor.adr[0])
            value = self.data.sensordata[start : start + int(sensor.dim[0])].tolist()
            kind = mujoco.mjtSensor(int(sensor.type[0])).name.removeprefix("mjSENS_").lower()
            of = mujoco.mj_id2name(model, int(sensor.objtype[0]), int(sensor.objid[0]))
            measured |= {f"named/{sensor.name}": value, f"{kind}/{of}": value}
        return measured

    def write(self, command: Mapping[str, float]) -> None:
        for name, value in command.items():
            self.data.ctrl[self.model.actuator(name).id] = value

    def stop(self) -> None:
        self.stopped += 1
        self.data.ctrl[:] = 0

    def clock(self) -> float:
        """Simulated time, s."""
        return float(self.data.time)

    def sleep(self, seconds: float) -> None:
        """Steps the physics for so long."""
        for _ in range(round(seconds / self.model.opt.timestep)):
            mujoco.mj_step(self.model, self.data)
        mujoco.mj_forward(self.model, self.data)


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when the time was up, 1 when something ended the run before."""
    from policy_file import PolicyFile
    from runner import Runner

    parser = argparse.ArgumentParser(description="Rehearses a policy on a simulation of its robot.")
    parser.add_argument("policy", help="policy.onnx, as export-policy writes it")
    parser.add_argument("model", help="the robot as MJCF")
    parser.add_argument("--seconds", type=float, default=10.0, help="simulated time")
    parser.add_argument(
        "--ask", type=float, nargs="+", metavar="VALUE", help="what the policy is asked for: vx vy wz, ...; zeros by default"
    )
    given = parser.parse_args(arguments)
    link = SimulatedLink(mujoco.MjModel.from_xml_path(given.model))
    runner = Runner(PolicyFile(given.policy), link, delays="contract", watchdog_s=5.0, clock=link.clock, sleep=link.sleep)
    if given.ask is not None:
        try:
            runner.observer.ask(given.ask)
        except ValueError as error:
            parser.error(f"--ask: {error}")
    outcome = runner.run(given.seconds)
    print(outcome)
    print({name.removeprefix("jointpos/"): value for name, value in link.read().items() if name.startswith("jointpos/")})
    return 0 if outcome.reason == "done" else 1


if __name__ == "__main__":
    sys.exit(main())
