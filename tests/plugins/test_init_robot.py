"""`skills init-robot`: what it guesses of a log, and that it never destroys or raises."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from skillbench import skill_function

import realitygap_core
from realitygap import schema
from realitygap.context import RunContext
from realitygap.errors import InputError
from realitygap_core.errors import CoreError
from realitygap_core.importing import import_recording
from realitygap_core.parameters import apply
from realitygap_core.readers import read_table
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream, Target
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot
from realitygap_plugins.system_id.columns import angle_unit, clocks, describe
from realitygap_plugins.system_id.commands import init_robot
from realitygap_plugins.system_id.drafting import draft_mapping

replay = skill_function("replay-recording")

QUBE = Path(realitygap_core.__file__).parent / "robots" / "qube"

ARM = """
<mujoco model="arm"><worldbody>
  <body name="upper"><joint name="shoulder_pan" axis="0 0 1"/><geom size="0.1"/>
    <body name="lower"><joint name="elbow_flex" axis="0 1 0" range="-100 100"/><geom size="0.1"/></body></body>
</worldbody>
<actuator>
  <position name="shoulder_pan" joint="shoulder_pan" kp="5"/>
  <position name="elbow_flex" joint="elbow_flex" kp="5"/>
</actuator></mujoco>"""


@pytest.fixture
def robot_file(tmp_path):
    path = tmp_path / "robot.xml"
    path.write_text(ARM)
    return path


def _write_csv(path: Path, columns: dict[str, np.ndarray]) -> Path:
    rows = np.column_stack(list(columns.values()))
    path.write_text(",".join(columns) + "\n" + "".join(",".join(f"{value:.9g}" for value in row) + "\n" for row in rows))
    return path


def _arm_log(path: Path) -> Path:
    """200 Hz in milliseconds, positions in degrees in another order than the model's, commands held over four samples."""
    t = np.arange(400) * 0.005
    pan, flex = 40 * np.sin(3 * t), 60 * np.cos(2 * t)
    held = (np.arange(400) // 4) * 4
    columns = {
        "time_ms": t * 1e3 + 12000,
        "elbow_flex_pos": flex,
        "shoulder_pan_pos": pan,
        "elbow_flex_goal": flex[held],
        "shoulder_pan_goal": pan[held],
        "motor_temp": 30 + t,
        "elbow_flex_speed": np.deg2rad(-120 * np.sin(2 * t)),
    }
    return _write_csv(path, columns)


def test_names_units_clock_and_order_of_a_foreign_log_are_guessed(tmp_path):
    robot = Robot.from_xml(ARM)
    draft = draft_mapping(read_table(_arm_log(tmp_path / "log.csv")), robot, name="log", model="robot.xml")
    assert draft.document["time"] == {"column": "time_ms", "unit": "ms", "guess": True}
    entries = {entry.column: entry.keys for entry in draft.entries}
    assert entries["elbow_flex_goal"]["actuator"] == "elbow_flex"
    assert entries["shoulder_pan_goal"]["actuator"] == "shoulder_pan"
    assert entries["elbow_flex_goal"]["unit"] == "deg"
    assert (entries["elbow_flex_pos"]["joint"], entries["elbow_flex_pos"]["unit"]) == ("elbow_flex", "deg")
    assert (entries["shoulder_pan_pos"]["joint"], entries["shoulder_pan_pos"]["unit"]) == ("shoulder_pan", "deg")
    # The position is in degrees, its derivative is 57.3 times the speed, so the speed is in rad/s.
    assert (entries["elbow_flex_speed"]["quantity"], entries["elbow_flex_speed"]["unit"]) == ("velocity", "rad/s")
    assert draft.unmapped == ("motor_temp",)


def test_velocities_without_a_name_are_found_as_derivatives_and_encoder_steps_tell_the_unit():
    robot = Robot.load(QUBE / "qube.xml")
    log = Recording.open(QUBE / "qube.recording").logs("*ectrl_250Hz_5s*")[0]
    # Named so that nothing gives the columns away.
    table = {"t": log.sensors[0].t_t, "u": log.commands.values_tc[:, 0]}
    table |= {f"x[{index}]": log.sensors[0].values_tc[:, index] for index in (2, 0, 3, 1)}
    draft = draft_mapping({"a": table}, robot, name="qube", model="qube.xml")
    entries = {entry.column: entry for entry in draft.entries}
    assert {column: (entry.keys.get("joint"), entry.keys.get("quantity")) for column, entry in entries.items() if column != "u"} == {
        "x[0]": ("arm", "position"),
        "x[1]": ("pole", "position"),
        "x[2]": ("arm", "velocity"),
        "x[3]": ("pole", "velocity"),
    }
    assert "1/2048 of a turn in rad" in entries["x[0]"].reason
    assert entries["u"].keys["actuator"] == "motor"


@pytest.mark.parametrize(
    ("values", "limits", "unit"),
    [
        (np.sin(np.arange(100.0)) * 1.2, None, "rad"),
        (np.sin(np.arange(100.0)) * 80, None, "deg"),
        (np.sin(np.arange(100.0)) * 5, (-1.0, 1.0), "deg"),
        (np.round(np.sin(np.arange(100.0)) * 100) * (2 * np.pi / 2048), None, "rad"),
        (np.round(np.sin(np.arange(100.0)) * 30) * (360 / 4096), None, "deg"),
        (np.round(np.sin(np.arange(100.0)) * 1000) + 2048, None, "counts"),
    ],
)
def test_the_unit_of_an_angle_follows_from_steps_limits_and_range(values, limits, unit):
    (column,) = describe({"q": values})
    assert angle_unit(column, limits)[0] == unit


@pytest.mark.parametrize(
    ("name", "step", "unit"),
    [("t", 0.004, "s"), ("t", 4.0, "ms"), ("stamp", 4000.0, "us"), ("time", 4e6, "ns"), ("time_us", 1000.0, "us"), ("t (ms)", 20.0, "ms")],
)
def test_the_unit_of_time_follows_from_the_name_or_the_steps(name, step, unit):
    found = clocks(describe({name: np.arange(50) * step, "q": np.sin(np.arange(50.0)), "seq": np.arange(50.0)}))
    assert (found[0].column.name, found[0].unit) == (name, unit)


def test_the_command_writes_a_mapping_that_imports_and_says_what_to_do_next(tmp_path, robot_file):
    log, output = _arm_log(tmp_path / "log.csv"), tmp_path / "mapping.yaml"
    result = CliRunner().invoke(init_robot, [str(robot_file), str(log), "-o", str(output)], catch_exceptions=False)
    assert result.exit_code == 0
    assert "skills run replay-recording" in result.output
    assert "motor_temp" in result.output
    document = schema.read_document(output, "mapping")
    assert document.data["channels"]["elbow_flex_pos"]["guess"] is True
    recording = import_recording(log, document.data, Robot.load(robot_file))
    assert recording.findings == ()
    assert len(recording.channels) == 5


def test_an_existing_mapping_is_not_overwritten_without_force(tmp_path, robot_file):
    log, output = _arm_log(tmp_path / "log.csv"), tmp_path / "mapping.yaml"
    output.write_text("mine")
    with pytest.raises(InputError, match="exists"):
        CliRunner().invoke(init_robot, [str(robot_file), str(log), "-o", str(output)], catch_exceptions=False)
    assert output.read_text() == "mine"
    CliRunner().invoke(init_robot, [str(robot_file), str(log), "-o", str(output), "--force"], catch_exceptions=False)
    assert output.read_text() != "mine"


@pytest.mark.parametrize("columns", [{"a": np.zeros(5)}, {"t": np.arange(5.0), "temp": np.arange(5.0)}])
def test_a_log_that_cannot_be_matched_is_a_clear_error_and_nothing_is_written(tmp_path, robot_file, columns):
    log, output = _write_csv(tmp_path / "log.csv", columns), tmp_path / "mapping.yaml"
    with pytest.raises(InputError):
        CliRunner().invoke(init_robot, [str(robot_file), str(log), "-o", str(output)], catch_exceptions=False)
    assert not output.exists()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("t,q\n", "log 'log' has 0 rows; a draft needs at least 3", "truncated"),
        ("t,q\n0,1\n", "log 'log' has 1 row;", "truncated"),
        ("t,q\n0,1\n1,two\n2,3\n", "looks like the position of a joint", "'q' holds 'two' in row 1"),
        ("t,q\ns,rad\n0,1\n1,2\n", "runs like time", "'t' holds 's' in row 0"),
    ],
)
def test_why_a_column_cannot_be_drafted_is_told_by_row(tmp_path, robot_file, text, message, hint):
    log = tmp_path / "log.csv"
    log.write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        CliRunner().invoke(init_robot, [str(robot_file), str(log), "-o", str(tmp_path / "m.yaml")], catch_exceptions=False)
    assert hint in (caught.value.hint or "")


def test_a_missing_stamp_does_not_hide_the_clock_and_its_row_is_named(tmp_path, robot_file):
    log = _arm_log(tmp_path / "log.csv")
    lines = log.read_text().splitlines()
    lines[8] = "," + lines[8].split(",", 1)[1]
    log.write_text("\n".join(lines) + "\n")
    result = CliRunner().invoke(init_robot, [str(robot_file), str(log), "-o", str(tmp_path / "m.yaml")], catch_exceptions=False)
    assert result.exit_code == 0
    assert "the log does not import yet: recording 'log', log 'log', row 7, channel 't': not a number (NaN)" in result.output


URDF = """<?xml version="1.0"?>
<robot name="crane">
  <link name="base"><inertial><mass value="1"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial></link>
  <link name="boom">
    <inertial><origin xyz="0 0 -0.3"/><mass value="2"/><inertia ixx="0.1" ixy="0" ixz="0" iyy="0.1" iyz="0" izz="0.01"/></inertial>
  </link>
  <joint name="slew" type="revolute">
    <parent link="base"/><child link="boom"/><axis xyz="0 1 0"/>
    <limit lower="-3" upper="3" effort="10" velocity="5"/><dynamics damping="0.3"/>
  </joint>
</robot>
"""


def test_a_urdf_and_a_csv_go_from_the_draft_to_a_replay_whose_gap_is_the_noise(tmp_path):
    # The log is the model's own answer to a torque, with encoder noise of 1 mrad: drafted without a hint, replayed to that noise.
    model = tmp_path / "crane.urdf"
    model.write_text(URDF)
    robot = Robot.load(model)
    t = np.arange(601) * 0.01
    command = Channel(name="u", role="command", unit="N m", target=Target(kind="actuator", name="slew"))
    angle = Channel(name="q", role="sensor", unit="rad", quantity="position", target=Target(kind="joint", name="slew"))
    signals = {
        "c": Signal(t_t=t, values_tc=3 * np.sin(2 * t)[:, None], channels=(command,)),
        "s": Signal(t_t=t, values_tc=np.zeros((601, 1)), channels=(angle,)),
    }
    streams = (Stream(name="c", channels=(command,)), Stream(name="s", channels=(angle,)))
    empty = Recording(name="crane", streams=streams, data={"a": Log(name="a", signals=signals)})
    plant = apply(robot, {"sensor_noise[slew]": 0.001})
    real = Replay(robot, empty).recordings(plant, rng=np.random.default_rng(0))[0].log("a")
    columns = {"time (s)": t, "slew angle (deg)": np.rad2deg(real.channel("q")[1]), "slew torque cmd (Nm)": real.channel("u")[1]}
    log, output = _write_csv(tmp_path / "log.csv", columns), tmp_path / "mapping.yaml"
    result = CliRunner().invoke(init_robot, [str(model), str(log), "-o", str(output)], catch_exceptions=False)
    assert "one torque motor (N m or N) was added for each of slew" in result.output
    document = schema.read_document(output, "mapping").data
    drafted = {name: {key: value for key, value in entry.items() if key != "guess"} for name, entry in document["channels"].items()}
    assert drafted == {
        "slew_torque_cmd": {"column": "slew torque cmd (Nm)", "role": "command", "unit": "N m", "actuator": "slew", "hold": "zoh"},
        "slew_angle": {"column": "slew angle (deg)", "role": "sensor", "unit": "deg", "joint": "slew", "quantity": "position"},
    }
    assert all(entry["guess"] for entry in document["channels"].values())
    run = RunContext(folder=tmp_path / "step")
    outputs = replay({"recording": str(log), "model": str(model), "mapping": str(output)}, run)
    assert outputs["gap"]["slew_angle"]["rmse"] < 0.003
    assert any("guesses" in warning for warning in run.warnings)


def test_a_position_command_to_a_torque_motor_is_told(tmp_path):
    robot = Robot.from_xml(ARM.replace("position name", "motor name").replace(' kp="5"', ""))
    draft = draft_mapping(read_table(_arm_log(tmp_path / "log.csv")), robot, name="log", model="robot.xml")
    assert any("change the actuator in the model" in note for note in draft.notes)


columns_of_logs = st.dictionaries(
    st.text("tq_[]0. #:,'{", min_size=1, max_size=6),
    st.lists(st.one_of(st.floats(), st.sampled_from([0.0, 1.0, 2.0, 3.0])), max_size=6).map(lambda x: np.asarray(x, dtype=float)),
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(table=columns_of_logs)
def test_any_table_is_drafted_or_refused_and_nothing_else(table):
    with contextlib.suppress(CoreError), np.errstate(all="ignore"):
        draft = draft_mapping({"log": table}, Robot.from_xml(ARM), name="x", model="m.xml")
        assert yaml.safe_load(draft.text) == draft.document


def test_a_hostile_column_name_cannot_break_the_draft(tmp_path, robot_file):
    t = np.arange(50) * 0.01
    names = ['shoulder_pan: {"x', "elbow_flex # [0]"]
    draft = draft_mapping(
        {"log": {"t": t, names[0]: np.sin(t), names[1]: np.cos(t)}}, Robot.load(robot_file), name="on", model="a b: c.xml"
    )
    path = tmp_path / "mapping.yaml"
    path.write_text(draft.text)
    assert schema.read_document(path, "mapping").data == draft.document
