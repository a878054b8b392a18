"""The gap and the noise floor, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from realitygap_core.gap import by_command, gaps, measure, noise_floor, repeats
from realitygap_core.parameters import apply
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream, Target
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot

XML = """
<mujoco><option timestep="0.01" gravity="0 0 0"/><worldbody><body name="b"><joint name="x" type="slide" axis="1 0 0"/>
<geom size=".1" mass="1"/></body></worldbody><actuator><motor name="m" joint="x"/></actuator></mujoco>
"""
COMMAND = Channel(name="u", role="command", unit="N", target=Target(kind="actuator", name="m"))
POSITION = Channel(name="x", role="sensor", unit="m", quantity="position", target=Target(kind="joint", name="x"))


def recording(**logs):
    """Logs by name, each (commands, positions); stamps 0, 1, 2, ... s."""
    data = {}
    for name, (commands, positions) in logs.items():
        t = np.arange(len(positions), dtype=float)
        data[name] = Log(
            name=name,
            signals={
                "c": Signal(t_t=t, values_tc=np.array(commands, float)[:, None], channels=(COMMAND,)),
                "s": Signal(t_t=t, values_tc=np.array(positions, float)[:, None], channels=(POSITION,)),
            },
        )
    return Recording(name="r", streams=(Stream(name="c", channels=(COMMAND,)), Stream(name="s", channels=(POSITION,))), data=data)


def test_rmse_and_mae_are_pooled_over_all_samples_of_all_logs():
    # The model stays at the start: 0 0 0 and 1 1 1 1 1. Differences 0 -3 0 and 0 0 0 0 4: squares sum to 25, absolutes to 7, of 8 samples.
    robot = Robot.from_xml(XML)
    logs = recording(a=([0, 0, 0], [0, 3, 0]), b=([0] * 5, [1, 1, 1, 1, -3]))
    gap = measure(Replay(robot, logs), apply(robot, {}))["x"]
    assert gap.rmse == pytest.approx(np.sqrt(25 / 8))
    assert gap.mae == pytest.approx(7 / 8)
    assert (gap.unit, gap.samples) == ("m", 8)


def test_the_gap_of_one_log_is_of_its_samples_only():
    robot = Robot.from_xml(XML)
    replay = Replay(robot, recording(a=([0, 0, 0], [0, 3, 0]), b=([0] * 5, [1, 1, 1, 1, -3])))
    shown = {name: values[0] for name, values in replay.simulate([apply(robot, {})]).items()}
    assert gaps(replay, shown, log="a")["x"].rmse == pytest.approx(np.sqrt(3))
    assert gaps(replay, shown, log="b")["x"].mae == pytest.approx(4 / 5)


def test_repeats_are_found_by_the_content_of_their_commands():
    logs = recording(a=([1, 2], [0, 0]), b=([1, 2.1], [0, 0]), c=([1, 2], [5, 5]), d=([1, 2, 3], [0, 0, 0]), e=([-1, -2], [0, 0]))
    assert [[log.name for log in group] for group in repeats(logs)] == [["a", "c"]]
    assert [[log.name for log in group] for group in by_command(logs)] == [["a", "c"], ["b"], ["d"], ["e"]]


def test_the_noise_floor_is_the_pooled_standard_deviation_of_repeats():
    # At the times: (0, 2) has variance 2, (1, 1) has 0, so 1 on average; the group of three, (0, 3, 6) everywhere, has 9 with two degrees
    # of freedom. Pooled over degrees of freedom and times: (1 * 2 + 9 * 2 * 2) / (1 * 2 + 2 * 2) = 38 / 6.
    logs = recording(
        a=([1, 2], [0, 1]), b=([1, 2], [2, 1]), c=([5, 5], [0, 0]), d=([5, 5], [3, 3]), e=([5, 5], [6, 6]), alone=([9, 9], [100, -100])
    )
    assert noise_floor(logs, ["x"]) == {"x": pytest.approx(np.sqrt(38 / 6))}


def test_without_repeats_there_is_no_noise_floor():
    assert noise_floor(recording(a=([1, 2], [0, 0]), b=([2, 1], [0, 0])), ["x"]) is None


def test_a_shorter_repeat_says_nothing_about_the_time_after_its_end():
    logs = recording(a=([1, 2], [0, 0]), b=([1, 2], [2, 2]))
    t = np.arange(4.0)
    signals = {**logs.data["a"].signals, "s": Signal(t_t=t, values_tc=np.array([[0.0], [0.0], [50.0], [90.0]]), channels=(POSITION,))}
    longer = Recording(name="r", streams=logs.streams, data={"a": Log(name="a", signals=signals), "b": logs.data["b"]})
    assert noise_floor(longer, ["x"]) == {"x": pytest.approx(np.sqrt(2))}
