"""Mappings: columns to channels in SI, checked against the robot; logs imported by them."""

from __future__ import annotations

import contextlib
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import realitygap_core
from realitygap_core.errors import CoreError
from realitygap_core.importing import import_recording
from realitygap_core.mapping import LogMapping, actuator_expects
from realitygap_core.recording import Recording
from realitygap_core.robot import Robot
from realitygap_core.units import ALIASES, UNITS, unit

QUBE = Path(realitygap_core.__file__).parent / "robots" / "qube"

ROBOT = """
<mujoco><worldbody>
  <body name="cart"><joint name="rail" type="slide" axis="1 0 0" range="-1 1"/><geom size="0.1"/>
    <body name="pole"><joint name="pole" type="hinge" axis="0 1 0" range="-90 90"/><geom size="0.1"/></body></body>
  <body name="free"><freejoint name="float"/><geom size="0.1"/></body>
</worldbody>
<actuator><motor name="push" joint="rail"/><position name="servo" joint="pole" kp="10" ctrlrange="-1 1"/>
  <velocity name="spin" joint="pole" kv="1"/><general name="odd" joint="pole" gainprm="3"/></actuator>
<sensor><jointpos name="angle" joint="pole"/><framepos name="where" objtype="body" objname="pole"/></sensor></mujoco>"""


@pytest.fixture(scope="module")
def robot():
    return Robot.from_xml(ROBOT)


def _document(**channels):
    return {"schema": 1, "time": {"column": "t", "unit": "s"}, "channels": channels or {"q": {"role": "sensor", "unit": "rad"}}}


def _csv(tmp_path, text, name="log.csv"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_units_signs_scales_and_offsets_become_si(tmp_path):
    path = _csv(tmp_path, "ms,deg,counts,rpm,c\n1000,90,0,60,20\n1010,180,1024,120,30\n")
    document = {
        "schema": 1,
        "time": {"column": "ms", "unit": "ms"},
        "channels": {
            # si(sign * scale * raw + offset): -(90) + 10 = -80 deg.
            "a": {"column": "deg", "role": "sensor", "unit": "deg", "sign": -1, "offset": 10},
            "b": {"column": "counts", "role": "sensor", "unit": "counts", "scale": 2 * np.pi / 4096, "quantity": "position"},
            "c": {"column": "rpm", "role": "state", "unit": "rpm"},
            "d": {"column": "c", "role": "sensor", "unit": "degC"},
        },
    }
    recording = import_recording(path, document)
    signal = recording.log("log").sensors[0]
    assert_allclose(signal.t_t, [0, 0.01])
    assert_allclose(signal.column("a"), np.deg2rad([-80, -170]))
    assert_allclose(signal.column("b"), [0, np.pi / 2])
    assert_allclose(signal.column("c"), [2 * np.pi, 4 * np.pi])
    assert_allclose(signal.column("d"), [293.15, 303.15])
    assert [channel.unit for channel in signal.channels] == ["rad", "rad", "rad/s", "K"]
    assert [channel.quantity for channel in signal.channels] == ["position", "position", "velocity", "temperature"]


def test_nanoseconds_since_1970_keep_their_steps(tmp_path):
    start = 1_763_692_000_000_000_001
    path = _csv(tmp_path, "t,q\n" + "".join(f"{start + 4_000_003 * k},0\n" for k in range(5)))
    document = _document() | {"time": {"column": "t", "unit": "ns"}}
    assert_allclose(import_recording(path, document).log("log").sensors[0].t_t, np.arange(5) * 0.004000003, rtol=1e-12)


def test_every_alias_names_a_unit_and_an_unknown_one_comes_with_the_nearest():
    assert all(unit(alias) is UNITS[name] for alias, name in ALIASES.items())
    with pytest.raises(CoreError, match="no unit 'rads/s'") as caught:
        unit("rads/s", pointer="/x")
    assert caught.value.hint == "did you mean 'rad/s'?"
    assert caught.value.pointer == "/x"


@pytest.mark.parametrize(
    ("written", "meant"),
    [("RAD", "rad"), ("nm", "N m"), ("Deg", "deg"), ("rad / s", "rad/s"), ("mN.m", "mN m"), ("RADIANS", "radians")],
)
def test_a_unit_in_another_spelling_comes_with_the_one_that_was_meant(written, meant):
    with pytest.raises(CoreError, match="no unit") as caught:
        unit(written)
    assert caught.value.hint == f"did you mean '{meant}'?"


def test_newton_millimetres_are_a_unit():
    assert unit("Nmm") is unit("N mm")
    assert (unit("Nmm").si, unit("Nmm").factor) == ("N m", 1e-3)


def test_t_commands_go_with_t_plus_1_states(tmp_path):
    np.savez(tmp_path / "x.npz", **{"a/t": np.arange(5) * 0.1, "a/q": np.arange(5.0), "a/u": np.arange(4.0)})
    document = _document(u={"role": "command", "unit": "V"}, q={"role": "sensor", "unit": "rad"})
    log = import_recording(tmp_path / "x.npz", document).log("a")
    assert_array_equal(log.commands.t_t, np.arange(4) * 0.1)
    assert len(log.sensors[0].t_t) == 5
    # The same in a CSV: the last row has no command.
    path = _csv(tmp_path, "t,q,u\n0,0,1\n1,0,2\n2,0,\n")
    log = import_recording(path, document).log("log")
    assert (len(log.commands.t_t), len(log.sensors[0].t_t)) == (2, 3)


def test_a_measurement_shorter_than_its_clock_is_an_error(tmp_path):
    np.savez(tmp_path / "x.npz", **{"a/t": np.arange(5) * 0.1, "a/q": np.arange(4.0)})
    with pytest.raises(CoreError, match="log 'a', channel 'q': 4 rows where time column 't' has 5"):
        import_recording(tmp_path / "x.npz", _document())


def test_commands_and_sensors_may_have_their_own_clocks(tmp_path):
    np.savez(
        tmp_path / "x.npz",
        **{"a/t": 5 + np.arange(4) * 0.1, "a/tc": 4.9 + np.arange(3) * 0.2, "a/q": np.arange(4.0), "a/u": np.arange(3.0)},
    )
    document = _document(u={"role": "command", "unit": "V"}, q={"role": "sensor", "unit": "rad"})
    log = import_recording(tmp_path / "x.npz", document | {"command_time": {"column": "tc"}}).log("a")
    # Both count from the earlier first stamp, 4.9 s.
    assert_allclose(log.commands.t_t, [0, 0.2, 0.4], atol=1e-12)
    assert_allclose(log.sensors[0].t_t, [0.1, 0.2, 0.3, 0.4], atol=1e-12)


def test_backward_time_and_missing_values_are_errors_by_row_or_dropped_and_counted(tmp_path):
    path = _csv(tmp_path, "t,q\n0,0\n1,1\n0.5,2\n0.7,3\n2,\n3,5\n")
    document = _document()
    with pytest.raises(CoreError, match="log 'log', row 4, channel 'q': not a number"):
        import_recording(path, document)
    with pytest.raises(CoreError, match="row 2, channel 't': time goes back by 500 ms"):
        import_recording(path, document | {"on_missing": "drop"})
    recording = import_recording(path, document | {"on_missing": "drop", "on_backward_time": "drop"})
    # Rows 2 and 3 lie before row 1; row 4 is blank.
    assert_array_equal(recording.log("log").sensors[0].column("q"), [0, 1, 5])
    assert {finding.kind: (finding.row, finding.figures["count"]) for finding in recording.findings if finding.kind != "jitter"} == {
        "missing": (4, 1.0),
        "dropped": (2, 2.0),
    }


def test_text_where_a_number_belongs_is_an_error_by_row(tmp_path):
    path = _csv(tmp_path, "t,q\n0,1\n1,abc\n")
    with pytest.raises(CoreError, match="row 1, column 'q': 'abc' is not a number"):
        import_recording(path, _document())


def test_a_missing_column_or_log_comes_with_the_nearest_and_its_place(tmp_path):
    path = _csv(tmp_path, "t,left_knee\n0,1\n1,2\n")
    with pytest.raises(CoreError, match="no column 'left_kne' for channel 'q'") as caught:
        import_recording(path, _document(q={"column": "left_kne", "role": "sensor", "unit": "rad"}))
    assert (caught.value.pointer, caught.value.hint) == ("/channels/q/column", "did you mean 'left_knee'?")
    with pytest.raises(CoreError, match="matches 'walk'") as caught:
        import_recording(path, _document(q={"column": "left_knee", "role": "sensor", "unit": "rad"}) | {"logs": "walk"})
    assert caught.value.pointer == "/logs"


def test_a_wrong_time_unit_contradicts_the_declared_rate(tmp_path):
    path = _csv(tmp_path, "t,q\n" + "".join(f"{4 * k},{k}\n" for k in range(10)))
    with pytest.raises(CoreError, match=r"0\.25 Hz .* where 250 Hz is declared"):
        import_recording(path, _document() | {"time": {"column": "t", "unit": "s", "rate_hz": 250}})
    assert [finding.kind for finding in import_recording(path, _document()).findings] == ["rate"]
    right = import_recording(path, _document() | {"time": {"column": "t", "unit": "ms", "rate_hz": {"lo*": 250}}})
    assert right.findings == ()


def test_values_outside_the_joints_range_are_found(tmp_path, robot):
    path = _csv(tmp_path, "t,q,u\n" + "".join(f"{k * 0.01},{k},{k / 10}\n" for k in range(20)))
    document = _document(q={"role": "sensor", "unit": "rad", "joint": "pole"}, u={"role": "command", "unit": "rad", "actuator": "servo"})
    found = {finding.channel: finding for finding in import_recording(path, document, robot).findings}
    # The joint ends at pi / 2 (1 is inside, 2 is not), the servo's command at 1.0 (with 4 % of room: 1.1 is the first outside).
    assert (found["q"].kind, found["q"].row) == ("range", 2)
    assert (found["u"].kind, found["u"].row) == ("range", 11)


@pytest.mark.parametrize(
    ("channel", "message", "pointer", "hint"),
    [
        ({"joint": "pol"}, "no joint 'pol'", "/channels/x/joint", "did you mean 'pole'?"),
        ({"sensor": "angel"}, "no sensor 'angel'", "/channels/x/sensor", "did you mean 'angle'?"),
        ({"joint": "float"}, "is not a hinge or slide", "/channels/x/joint", None),
        ({"joint": "rail"}, "is a slide, its unit cannot be rad", "/channels/x/joint", None),
        ({"joint": "pole", "unit": "mm"}, "is a hinge, its unit cannot be m", "/channels/x/joint", None),
        ({"sensor": "where", "index": 3, "unit": "m"}, "has 3 components", "/channels/x/index", None),
        ({"actuator": "servo"}, "a sensor belongs to a joint or a sensor", "/channels/x/actuator", None),
        ({"role": "command", "joint": "pole"}, "a command belongs to an actuator", "/channels/x/joint", None),
        ({"joint": "pole", "sensor": "angle"}, "names joint and sensor", "/channels/x/sensor", None),
        (
            {"role": "command", "actuator": "push"},
            "is a position, but actuator 'push' of the model is a plain motor",
            "/channels/x/actuator",
            None,
        ),
        ({"role": "command", "unit": "N m", "actuator": "servo"}, "is a position servo", "/channels/x/actuator", None),
        ({"unit": "degre"}, "no unit 'degre'", "/channels/x/unit", "did you mean 'degree'?"),
        ({"unit": "counts"}, "is in counts", "/channels/x/unit", None),
        ({"unit": "V", "quantity": "position"}, "'V' is a unit of voltage, not of position", "/channels/x/unit", None),
        ({"quantity": "positon"}, "no quantity 'positon'", "/channels/x/quantity", "did you mean 'position'?"),
        ({"role": "sensr"}, "`role` cannot be 'sensr'", "/channels/x/role", "did you mean 'sensor'?"),
        ({"sign": 2}, "sign is 1 or -1", "/channels/x/sign", None),
        ({"scale": 0}, "scale is 0", "/channels/x/scale", None),
        ({"scale": float("nan")}, "finite number", "/channels/x/scale", None),
        ({"colum": "q"}, "unknown key 'colum'", "/channels/x/colum", "did you mean 'column'?"),
        ({"hold": "zho"}, "`hold` cannot be 'zho'", "/channels/x/hold", "did you mean 'zoh'?"),
    ],
)
def test_what_contradicts_the_model_or_itself_is_an_error_with_its_place(robot, channel, message, pointer, hint):
    document = _document(x={"role": "sensor", "unit": "rad"} | channel)
    with pytest.raises(CoreError, match=message) as caught:
        LogMapping.parse(document, robot)
    assert caught.value.pointer == pointer
    if hint:
        assert caught.value.hint == hint


def test_what_an_actuators_command_is_follows_from_its_gains(robot):
    expected = {name: actuator_expects(robot.model, robot.id("actuator", name)) for name in robot.names("actuator")}
    assert expected == {"push": "torque", "servo": "position", "spin": "velocity", "odd": None}


def test_counts_on_a_sliding_joint_become_metres(robot):
    document = _document(x={"role": "sensor", "unit": "counts", "scale": 1e-5, "quantity": "position", "joint": "rail"})
    assert LogMapping.parse(document, robot).channels[0].channel.unit == "m"


_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "s", "rad", "sensor", "command", "../x", "q"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["column", "unit", "guess", "rate_hz", "velocity", "x"]), inner, max_size=3)
    ),
    max_leaves=5,
)
_TOP = ("name", "format", "log_column", "logs", "time", "command_time", "initial", "on_missing", "on_gap", "provenance", "channels")
_CHANNEL = ("column", "role", "unit", "quantity", "sign", "scale", "offset", "joint", "sensor", "index", "hold", "time", "stream", "guess")


@settings(max_examples=200, deadline=None)
@given(top=st.dictionaries(st.sampled_from(_TOP), _ANY, max_size=2), channel=st.dictionaries(st.sampled_from(_CHANNEL), _ANY, max_size=3))
def test_any_document_is_parsed_or_refused_and_nothing_else(top, channel):
    document = _document(x={"role": "sensor", "unit": "rad"} | channel) | top
    with contextlib.suppress(CoreError):
        assert LogMapping.parse(document).channels


def test_the_shipped_recording_is_what_its_mapping_makes_of_the_published_file(tmp_path):
    shipped = Recording.open(QUBE / "qube.recording")
    document = yaml.safe_load((QUBE / "mapping.yaml").read_text())
    # The published layout, rebuilt from what is shipped: `<group>/<stamp>/{t,state,u}`.
    arrays = {}
    for name, log in shipped.data.items():
        arrays |= {f"{name}/t": log.sensors[0].t_t, f"{name}/state": log.sensors[0].values_tc, f"{name}/u": log.commands.values_tc}
    np.savez(tmp_path / "qube.npz", **arrays)
    again = import_recording(tmp_path / "qube.npz", deepcopy(document), Robot.load(QUBE / "qube.xml"))
    assert again.streams == shipped.streams
    assert again.log_names == shipped.log_names
    for name, log in shipped.data.items():
        assert_array_equal(again.log(name).commands.values_tc, log.commands.values_tc)
        assert_array_equal(again.log(name).sensors[0].values_tc, log.sensors[0].values_tc)


cells = st.one_of(
    st.floats(width=32),
    st.integers(-(10**30), 10**30),
    st.sampled_from(["", "nan", "inf", "two", "1,5", "0x1f", "\x00", "-", "1e999", "2024-01-01", "\u221e"]),
)


@settings(deadline=None)
@given(rows=st.lists(st.tuples(cells, cells, cells), max_size=8), unit_of_time=st.sampled_from(["s", "ms", "us", "ns"]), drop=st.booleans())
def test_any_cells_of_a_csv_are_imported_or_refused_by_row_and_nothing_else(tmp_path_factory, rows, unit_of_time, drop):
    text = "t;q;u\n" + "".join(";".join(str(cell) for cell in row) + "\n" for row in rows)
    document = _document(q={"role": "sensor", "unit": "deg"}, u={"role": "command", "unit": "V"})
    document |= {"time": {"column": "t", "unit": unit_of_time}}
    if drop:
        document |= {"on_missing": "drop", "on_backward_time": "drop"}
    refused, logs = "", []
    try:
        logs = list(import_recording(_csv(tmp_path_factory.mktemp("cells"), text), document).data.values())
    except CoreError as error:
        refused = error.message
    assert logs or "row" in refused
    for signal in (signal for log in logs for signal in log.signals.values()):
        assert np.isfinite(signal.values_tc).all()
        assert (np.diff(signal.t_t) > 0).all()


def test_a_raw_log_without_a_mapping_says_how_to_get_one(tmp_path):
    with pytest.raises(CoreError, match="is a raw log and needs a mapping") as caught:
        import_recording(_csv(tmp_path, "t\n0\n"))
    assert "init-robot" in caught.value.hint
    assert "the guide of import-recording" in caught.value.hint
