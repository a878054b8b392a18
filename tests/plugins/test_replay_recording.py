"""Skill replay-recording: what it says of the logs it was given."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from skillbench import skill_function

from realitygap.context import RunContext
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream, Target

replay = skill_function("replay-recording")

ROTOR = """
<mujoco model="rotor"><option timestep="0.005" gravity="0 0 0"/>
  <worldbody><body><joint name="axle" axis="0 0 1" damping="1"/><geom size="0.1" mass="1"/></body></worldbody>
  <actuator><motor name="motor" joint="axle"/></actuator></mujoco>"""
U = Channel(name="u", role="command", unit="N m", target=Target(kind="actuator", name="motor"))
Q = Channel(name="q", role="sensor", unit="rad", quantity="position", target=Target(kind="joint", name="axle"))


def recording(amplitudes: dict[str, float], t: np.ndarray) -> Recording:
    """Logs of a rotor that no torque drives and that swings all the same: its error is the swing."""
    logs = {}
    for index, (name, amplitude) in enumerate(amplitudes.items()):
        command = np.full((len(t), 1), 1e-9 * index)  # no two commands are alike
        measured = amplitude * np.sin(5 * t)[:, None]
        signals = {"c": Signal(t_t=t, values_tc=command, channels=(U,)), "s": Signal(t_t=t, values_tc=measured, channels=(Q,))}
        logs[name] = Log(name=name, signals=signals)
    return Recording(name="rotor", streams=(Stream(name="c", channels=(U,)), Stream(name="s", channels=(Q,))), data=logs)


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "rotor.xml"
    path.write_text(ROTOR)
    return str(path)


def summary(logs: Recording, model: str, folder: Path) -> tuple[str, list[str]]:
    run = RunContext(folder=folder / "step")
    return replay({"recording": str(logs.save(folder / "rotor.recording")), "model": model}, run)["summary"], run.warnings


def test_a_log_that_holds_most_of_the_error_is_named(model, tmp_path):
    # Squares 1, 1 and 16: the third has 16 of 18.
    told, _ = summary(recording({"a": 0.1, "b": 0.1, "c": 0.4}, np.arange(300) * 0.01), model, tmp_path)
    assert "89% of the squared error is in log 'c'" in told


def test_logs_that_share_the_error_are_not(model, tmp_path):
    told, _ = summary(recording({"a": 0.1, "b": 0.1, "c": 0.1}, np.arange(300) * 0.01), model, tmp_path)
    assert "squared error" not in told


def test_findings_of_the_logs_are_warned_of(model, tmp_path):
    t = np.arange(300) * 0.01 + np.where(np.arange(300) >= 100, 0.5, 0.0)
    _, warnings = summary(recording({"a": 0.1, "b": 0.1}, t), model, tmp_path)
    assert warnings == ["gap in 2 of 2 logs; log 'a': row 100: 1 gap in time, the longest 510 ms where the median step is 10 ms"]
