"""diagnose-transfer: verdicts of the promised form, from a model file and logs on disk."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from skillbench import skill_function

from realitygap.context import RunContext
from realitygap.errors import InputError
from realitygap_core.errors import CoreError
from realitygap_core.parameters import apply
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream, Target
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot

diagnose = skill_function("diagnose-transfer")

PENDULUM = """
<mujoco model="pendulum">
  <option timestep="0.01" integrator="implicitfast"/>
  <worldbody>
    <body name="rod">
      <joint name="hinge" type="hinge" axis="0 1 0" damping="0.05"/>
      <geom type="capsule" fromto="0 0 0 0 0 -0.4" size="0.01" mass="0.5" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator><motor name="motor" joint="hinge"/></actuator>
  <sensor><jointpos name="angle" joint="hinge"/></sensor>
</mujoco>
"""


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "pendulum.xml"
    path.write_text(PENDULUM)
    return str(path)


@pytest.fixture
def run(tmp_path: Path) -> RunContext:
    return RunContext(folder=tmp_path / "step", seed=0)


def logs(model: str, values: dict[str, float], folder: Path) -> str:
    """Two logs of a pendulum with `values` under a multi-sine torque, saved; a second command channel is left to nothing."""
    t = np.arange(601) / 100
    command = (Channel(name="u", role="command", unit="N m", target=Target(kind="actuator", name="motor")),)
    sensor = (Channel(name="theta", role="sensor", unit="rad", quantity="position", target=Target(kind="sensor", name="angle")),)
    data = {}
    for index in range(2):
        torque = (
            0.3 * np.sin(2 * np.pi * (0.7 + 0.4 * index) * t) + 0.3 * np.sin(2 * np.pi * (1.9 + 0.3 * index) * t + 1) - 0.3 * math.sin(1)
        )
        signals = {
            "commands": Signal(t_t=t, values_tc=torque[:, None], channels=command),
            "sensors": Signal(t_t=t, values_tc=np.zeros((len(t), 1)), channels=sensor),
        }
        data[f"log{index}"] = Log(name=f"log{index}", signals=signals)
    streams = (Stream(name="commands", channels=command), Stream(name="sensors", channels=sensor))
    empty = Recording(name="pendulum", streams=streams, data=data)
    robot = Robot.load(model)
    plant = apply(robot, {"sensor_noise[angle]": 0.001, **values})
    return str(Replay(robot, empty).recordings(plant, rng=np.random.default_rng(3))[0].save(folder / "p.recording"))


@pytest.mark.slow
def test_a_planted_delay_is_reported_with_channel_size_unit_and_advice(model, run, tmp_path):
    outputs = diagnose({"recording": logs(model, {"delay[motor]": 0.015, "damping[hinge]": 0.052}, tmp_path), "model": model}, run)
    first = outputs["verdicts"][0]
    assert {"kind", "channel", "magnitude", "low", "high", "unit", "confidence", "evidence", "advice"} <= set(first)
    assert (first["kind"], first["channel"], first["unit"]) == ("latency", "theta", "s")
    assert first["low"] < 0.015 < first["high"]
    assert abs(first["magnitude"] - 0.015) < 0.0005
    assert "delay" in first["advice"]
    confidences = [v["confidence"] for v in outputs["verdicts"] if v["kind"] not in ("none", "undecided")]
    assert confidences == sorted(confidences, reverse=True)
    assert outputs["summary"].startswith("latency in theta")
    assert outputs["logs"] == ["log0", "log1"]
    json.dumps(outputs, allow_nan=False)
    assert (run.folder / "artifacts" / "figures" / "prediction-errors.svg").is_file()


@pytest.mark.slow
def test_identified_parameters_that_are_right_leave_nothing(model, run, tmp_path):
    truth = {"damping[hinge]": 0.08, "frictionloss[hinge]": 0.02}
    parameters = {n: {"value": v, "low": v * 0.98, "high": v * 1.02, "unit": "N m s/rad"} for n, v in truth.items()}
    outputs = diagnose({"recording": logs(model, truth, tmp_path), "model": model, "parameters": parameters, "logs": ["log1"]}, run)
    assert [v["kind"] for v in outputs["verdicts"]] == ["none"]
    assert outputs["logs"] == ["log1"]


def test_findings_of_the_logs_are_warned_of(model, run, tmp_path):
    recording = Recording.open(logs(model, {}, tmp_path))
    with_gap = {}
    for name, log in recording.data.items():
        keep = np.r_[0:200, 260:601]
        with_gap[name] = Log(
            name=name,
            signals={s: Signal(t_t=x.t_t[keep], values_tc=x.values_tc[keep], channels=x.channels) for s, x in log.signals.items()},
        )
    path = Recording(name="gappy", streams=recording.streams, data=with_gap).save(tmp_path / "gappy.recording")
    diagnose({"recording": str(path), "model": model, "logs": ["log0"], "max_steps": 100}, run)
    assert [w for w in run.warnings if "gap in time" in w] == [
        "gap in 2 of 2 logs; log 'log0': row 200: 1 gap in time, the longest 610 ms where the median step is 10 ms"
    ]


def test_that_no_log_was_held_out_is_warned_of(model, run, tmp_path):
    outputs = diagnose({"recording": logs(model, {}, tmp_path), "model": model, "logs": [], "max_steps": 100}, run)
    assert outputs["logs"]
    assert any("no log was held out" in warning for warning in run.warnings)


def test_wrong_parameters_and_logs_are_refused_before_any_work(model, run, tmp_path):
    recording = logs(model, {}, tmp_path)
    with pytest.raises(CoreError, match="no parameter 'damping\\[hige\\]'"):
        diagnose({"recording": recording, "model": model, "parameters": {"damping[hige]": {"value": 1.0}}}, run)
    with pytest.raises(InputError, match="has no value"):
        diagnose({"recording": recording, "model": model, "parameters": {"damping[hinge]": {"low": 1.0}}}, run)
    with pytest.raises(CoreError, match="no log matches"):
        diagnose({"recording": recording, "model": model, "logs": ["walk*"]}, run)
