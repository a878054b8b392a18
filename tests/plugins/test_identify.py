"""Skills replay-recording and identify-parameters, as the registry calls them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from skillbench import skill_function

from realitygap.context import RunContext
from realitygap.errors import InputError
from realitygap_core.domain import Domain
from realitygap_core.errors import CoreError
from realitygap_core.parameters import apply
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream, Target
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot
from realitygap_plugins.system_id.plants import split_logs

replay, identify = skill_function("replay-recording"), skill_function("identify-parameters")

ROBOTS = Path(__file__).parents[2] / "core" / "realitygap_core" / "robots"
QUBE = {"recording": str(ROBOTS / "qube" / "qube.recording"), "model": str(ROBOTS / "qube" / "qube.xml")}
PENDULUM = """
<mujoco model="bench">
  <option timestep="0.005" integrator="implicitfast"/>
  <worldbody><body name="link">
    <joint name="hinge" axis="0 1 0" damping="0.02"/>
    <inertial pos="0 0 -.25" mass="0.5" diaginertia="0.01 0.01 0.0001"/>
  </body></worldbody>
  <actuator><motor name="motor" joint="hinge"/></actuator>
</mujoco>
"""


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A model file and a recording of its twin with friction: two commands, each given twice, with noise."""
    folder = tmp_path_factory.mktemp("bench")
    (folder / "bench.xml").write_text(PENDULUM)
    robot = Robot.load(folder / "bench.xml")
    command = Channel(name="u", role="command", unit="N m", target=Target(kind="actuator", name="motor"))
    angle = Channel(name="q", role="sensor", unit="rad", quantity="position", target=Target(kind="joint", name="hinge"))
    streams = (Stream(name="c", channels=(command,)), Stream(name="s", channels=(angle,)))
    t = np.arange(0, 6, 0.02)
    data = {}
    for index, name in enumerate(("a1", "a2", "b1", "b2")):
        u = 0.5 * np.sin((1.5 + index // 2) * t) + 0.4 * np.sin(7 * t + index // 2)
        data[name] = Log(
            name=name,
            signals={
                "c": Signal(t_t=t, values_tc=u[:, None], channels=(command,)),
                "s": Signal(t_t=t, values_tc=np.zeros((len(t), 1)), channels=(angle,)),
            },
        )
    empty = Recording(name="bench", streams=streams, data=data)
    real, _ = Replay(robot, empty).recordings(
        apply(robot, {"frictionloss[hinge]": 0.05, "sensor_noise[hinge]": 0.002}), rng=np.random.default_rng(0)
    )
    return {"recording": str(real.save(folder / "bench.recording")), "model": str(folder / "bench.xml")}


def test_replay_measures_the_gap_beside_the_noise_floor_and_writes_both_recordings(bench, tmp_path):
    outputs = replay(bench, RunContext(folder=tmp_path))
    assert outputs["gap"]["q"]["rmse"] > 10 * outputs["noise_floor"]["q"]
    assert outputs["noise_floor"]["q"] == pytest.approx(0.002, rel=0.15)
    assert outputs["gap"]["q"]["unit"] == "rad"
    real, simulated = Recording.open(outputs["real"]), Recording.open(outputs["simulated"])
    difference = np.concatenate([simulated.log(n).channel("q")[1] - real.log(n).channel("q")[1] for n in real.log_names])
    assert np.sqrt(np.mean(difference**2)) == pytest.approx(outputs["gap"]["q"]["rmse"])
    assert {path.stem for path in (tmp_path / "artifacts" / "figures").glob("*.svg")} == {"replay", "gap"}


def test_identify_finds_the_friction_and_its_outputs_close_the_gap(bench, tmp_path):
    outputs = identify(bench, RunContext(folder=tmp_path / "identify"))
    assert outputs["train_logs"] == ["a1", "b1"]
    assert outputs["test_logs"] == ["a2", "b2"]
    assert [finding["kind"] for finding in outputs["structure"]] == ["frictionloss"]
    assert outputs["parameters"]["frictionloss[hinge]"]["value"] == pytest.approx(0.05, rel=0.1)
    assert outputs["gap_test"]["q"]["rmse"] < 2 * outputs["noise_floor"]["q"] < outputs["gap_nominal"]["q"]["rmse"]
    for entry in outputs["parameters"].values():
        assert entry["low"] <= entry["value"] <= entry["high"]
    domain = Domain.from_mapping(yaml.safe_load(Path(outputs["domain"]).read_text()))
    assert set(domain.names) == set(outputs["parameters"])
    # The same gap by way of the parameters and by way of the model file.
    logs = {"logs": outputs["test_logs"]}
    by_values = replay({**bench, **logs, "parameters": outputs["parameters"]}, RunContext(folder=tmp_path / "values"))
    by_model = replay({**bench, **logs, "model": outputs["model"]}, RunContext(folder=tmp_path / "model"))
    assert by_values["gap"]["q"]["rmse"] == pytest.approx(outputs["gap_test"]["q"]["rmse"], rel=1e-9)
    assert by_model["gap"]["q"]["rmse"] == pytest.approx(outputs["gap_test"]["q"]["rmse"], rel=1e-3)


def test_a_fit_file_sets_names_and_bounds(bench, tmp_path):
    file = tmp_path / "fit.yaml"
    file.write_text("damping[hinge]: [0.01, 0.5]\ngain[motor]: {low: 0.5, high: 2.0, start: 0.8}\n")
    outputs = identify({**bench, "fit": str(file), "max_terms": 0}, RunContext(folder=tmp_path))
    assert list(outputs["parameters"]) == ["damping[hinge]", "gain[motor]"]
    assert outputs["structure"] == []


def test_a_wrong_name_in_a_fit_file_is_shown_with_its_line(bench, tmp_path):
    file = tmp_path / "fit.yaml"
    file.write_text("damping[hinge]: [0.01, 0.5]\ndamping[hing]: [0.01, 0.5]\n")
    with pytest.raises((InputError, CoreError)) as caught:
        identify({**bench, "fit": str(file)}, RunContext(folder=tmp_path))
    assert "fit.yaml:2" in str(caught.value.where)
    assert "damping[hinge]" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("damping[hinge]: [0.01, 0.5]\ngain[motor]: [2.0, 0.5]\n", 2, "not in order"),
        ("damping[hinge]:\n  low: 0.01\n  high: 0.5\n  begin: 0.1\n", 4, "unknown key 'begin'"),
        ("parameters:\n  damping[hinge]: [0.01]\n", 2, "the bounds of 'damping\\[hinge\\]' are"),
        ("- damping[hinge]\n- 'gain[motor]': [0.5, 2.0]\n", 2, "is not a name"),
        ("damping[hinge]: {low: 0.01, high: 0.5, start: fast}\n", 1, "not a number"),
        ("gain[motor]:\ndamping[hinge]: [-1.0, 0.5]\n", 2, "beyond what is possible"),
    ],
)
def test_what_is_wrong_in_a_fit_file_is_shown_with_its_line(bench, tmp_path, text, line, message):
    file = tmp_path / "fit.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        identify({**bench, "fit": str(file)}, RunContext(folder=tmp_path))
    assert f"fit.yaml:{line}" in str(caught.value.where)


def test_without_a_log_held_out_the_gap_on_test_logs_is_null_and_that_is_warned_of(bench, tmp_path):
    file = tmp_path / "fit.yaml"
    file.write_text("damping[hinge]: [0.01, 0.5]\n")
    run = RunContext(folder=tmp_path)
    outputs = identify({**bench, "fit": str(file), "max_terms": 0, "train_logs": ["a1"], "test_logs": []}, run)
    assert outputs["gap_test"] is None
    assert outputs["test_logs"] == []
    assert any("no log was held out" in warning for warning in run.warnings)
    with pytest.raises(CoreError, match="no log is chosen"):
        identify({**bench, "train_logs": []}, RunContext(folder=tmp_path))
    with pytest.raises(CoreError, match="no log is chosen"):
        replay({**bench, "logs": []}, RunContext(folder=tmp_path))


def test_a_log_cannot_be_for_training_and_for_testing(bench, tmp_path):
    with pytest.raises(InputError, match="training log and a test log"):
        identify({**bench, "train_logs": ["a*"], "test_logs": ["a2"]}, RunContext(folder=tmp_path))


def test_an_unknown_parameter_is_refused_with_the_nearest(bench, tmp_path):
    with pytest.raises(CoreError) as caught:
        replay({**bench, "parameters": {"damping[hing]": 0.1}}, RunContext(folder=tmp_path))
    assert "damping[hinge]" in str(caught.value.hint)


def test_the_embedded_qube_is_replayed_on_its_open_loop_chirps(tmp_path):
    outputs = replay(QUBE, RunContext(folder=tmp_path))
    assert len(outputs["logs"]) == 6
    assert all("chrip" in log for log in outputs["logs"])
    assert outputs["gap"]["theta"]["rmse"] == pytest.approx(0.502, abs=0.005)
    assert outputs["gap"]["alpha"]["rmse"] == pytest.approx(0.409, abs=0.005)
    assert outputs["noise_floor"]["theta"] == pytest.approx(0.009, abs=0.001)


def test_the_qube_trains_on_the_first_chirp_of_each_sign():
    train, test, _ = split_logs(Recording.open(QUBE["recording"]))
    assert [name[-19:] for name in train] == ["2021-04-14_18-52-33", "2021-04-14_18-56-57"]
    assert len(test) == 4
