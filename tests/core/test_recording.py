"""Recordings on disk and in memory: what is kept, what is refused and how it is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

import realitygap_core
from realitygap_core.errors import CoreError
from realitygap_core.recording import Channel, Finding, Log, Recording, Signal, Stream, Target
from realitygap_core.recording_checks import check_derivatives, check_signal

QUBE = Path(realitygap_core.__file__).parent / "robots" / "qube" / "qube.recording"

U = Channel(name="u", role="command", unit="V", quantity="voltage", target=Target(kind="actuator", name="motor"))
Q = Channel(name="q", role="sensor", unit="rad", quantity="position", target=Target(kind="joint", name="arm"))
V = Channel(name="v", role="state", unit="rad/s", quantity="velocity", target=Target(kind="joint", name="arm"))


def _signal(t, *columns, channels=None):
    return Signal(
        t_t=np.asarray(t, dtype=float),
        values_tc=np.column_stack([np.asarray(column, dtype=float) for column in columns]),
        channels=channels or (Q, V)[: len(columns)],
    )


def _recording(names=("a", "b/c")):
    t = np.arange(5) * 0.01
    logs = {}
    for number, name in enumerate(names):
        signals = {"commands": _signal(t[:-1], t[:-1] + number, channels=(U,)), "states": _signal(t, t / 3, t * number)}
        logs[name] = Log(name=name, signals=signals, meta={"kp": number})
    streams = (Stream(name="commands", channels=(U,), rate_hz=100.0), Stream(name="states", channels=(Q, V)))
    finding = Finding(kind="jitter", log="a", message="some", row=3, figures={"share": 0.5})
    return Recording(name="test", streams=streams, data=logs, findings=(finding,), provenance={"licence": "CC0"})


def test_saving_and_opening_gives_back_the_same(tmp_path):
    recording = _recording()
    opened = Recording.open(recording.save(tmp_path / "x.recording"))
    assert opened.streams == recording.streams
    assert opened.findings == recording.findings
    assert opened.provenance == recording.provenance
    for name, log in recording.data.items():
        assert opened.log(name).meta == log.meta
        for stream, signal in log.signals.items():
            assert_array_equal(opened.log(name).signals[stream].t_t, signal.t_t)
            assert_array_equal(opened.log(name).signals[stream].values_tc, signal.values_tc)


def test_values_are_stored_in_single_precision_only_where_that_loses_nothing(tmp_path):
    t = np.arange(3.0)
    stream = Stream(name="states", channels=(Q, V))
    log = Log(name="a", signals={"states": _signal(t, [0.5, 0.25, 1.0], [0.1, 0.2, 0.3])})
    Recording(name="x", streams=(stream,), data={"a": log}).save(tmp_path / "x.recording")
    schema = pq.read_schema(tmp_path / "x.recording" / "states.parquet")
    assert str(schema.field("q").type) == "float"
    assert str(schema.field("v").type) == "double"


def test_an_existing_folder_is_kept_unless_overwriting_is_asked_for(tmp_path):
    path = _recording().save(tmp_path / "x.recording")
    with pytest.raises(CoreError, match="exists"):
        _recording(("z",)).save(path)
    assert Recording.open(path).log_names == ("a", "b/c")
    _recording(("z",)).save(path, overwrite=True)
    assert Recording.open(path).log_names == ("z",)
    assert [item.name for item in tmp_path.iterdir()] == ["x.recording"]


def test_a_failed_save_leaves_nothing_behind(tmp_path):
    recording = replace(_recording(), provenance={"bad": object()})
    with pytest.raises(TypeError):
        recording.save(tmp_path / "x.recording")
    assert list(tmp_path.iterdir()) == []


def test_logs_are_chosen_by_glob_and_a_pattern_without_a_match_names_the_nearest():
    recording = _recording(("walk_1", "walk_2", "jump", "odd[1]"))
    assert [log.name for log in recording.logs("walk*")] == ["walk_1", "walk_2"]
    assert [log.name for log in recording.logs(["jump", "walk_2"])] == ["walk_2", "jump"]
    assert [log.name for log in recording.logs("odd[1]")] == ["odd[1]"]
    assert len(recording.logs()) == 4
    with pytest.raises(CoreError, match="no log is chosen"):
        recording.logs([])
    with pytest.raises(CoreError, match="no log matches 'walk_3'") as caught:
        recording.logs("walk_3")
    assert "walk_" in caught.value.hint
    with pytest.raises(CoreError, match="no log 'jmp'"):
        recording.log("jmp")


def test_commands_of_several_clocks_are_joined_on_the_union_of_their_times():
    other = replace(U, name="w", hold="linear")
    log = Log(
        name="a",
        signals={"x": _signal([0.0, 1.0, 2.0], [1.0, 2.0, 3.0], channels=(U,)), "y": _signal([0.0, 1.5], [0.0, 3.0], channels=(other,))},
    )
    # u is held, w is interpolated: at 1.0 it is 2.0, after its last sample it stays 3.0.
    assert_allclose(log.commands.t_t, [0, 1, 1.5, 2])
    assert_allclose(log.commands.values_tc, [[1, 0], [2, 2], [2, 3], [3, 3]])


def test_a_held_command_changes_at_its_stamp_and_not_before():
    signal = _signal([0.0, 0.1, 0.2], [1.0, 2.0, 3.0], channels=(U,))
    assert_allclose(signal.at(np.array([-1.0, 0.0, 0.0999, 0.1, 0.3 - 0.2, 0.15, 9.0]))[:, 0], [1, 1, 1, 2, 2, 2, 3])


@pytest.mark.parametrize(
    ("t", "q", "message"),
    [
        ([0, 1, 2, 3], [0, np.nan, 0, 0], "recording 'r', log 'l', row 1, channel 'q': not a number"),
        ([0, 1, 2, 3], [0, 0, np.inf, 0], "row 2, channel 'q': infinite"),
        ([0, 1, np.nan, 3], [0, 0, 0, 0], "row 2, channel 't': not a number"),
        ([0, 0.02, 0.016, 0.03], [0, 0, 0, 0], "row 2, channel 't': time goes back by 4 ms"),
        ([0, 1, 1, 2], [0, 0, 0, 0], "row 2, channel 't': time stands still"),
        ([], [], "no rows"),
        ([0], [0], "recording 'r', log 'l', row 0, channel 'q': the only row"),
    ],
)
def test_what_no_replay_can_use_is_an_error_by_log_row_and_channel(t, q, message):
    signal = Signal(t_t=np.asarray(t, dtype=float), values_tc=np.asarray(q, dtype=float).reshape(-1, 1), channels=(Q,))
    with pytest.raises(CoreError, match=message):
        check_signal(signal, recording="r", log="l")


def test_a_gap_is_reported_with_its_row_and_length_or_refused_on_demand():
    t = np.concatenate([np.arange(50) * 0.01, 0.49 + 0.3 + np.arange(1, 50) * 0.01])
    found = check_signal(_signal(t, t), recording="r", log="l")
    # Step 50 lasts 0.31 s, the others 10 ms.
    assert [(finding.kind, finding.row) for finding in found] == [("gap", 50)]
    assert_allclose(found[0].figures["longest"], 0.31)
    with pytest.raises(CoreError, match="row 50: 1 gap in time"):
        check_signal(_signal(t, t), recording="r", log="l", on_gap="error")


def test_jitter_is_reported_with_figures_and_kept():
    rng = np.random.default_rng(0)
    t = np.arange(500) * 0.01 + rng.uniform(-0.002, 0.002, 500)
    found = check_signal(_signal(t, t), recording="r", log="l")
    assert [finding.kind for finding in found] == ["jitter"]
    assert found[0].figures["share"] > 0.5
    assert check_signal(_signal(np.arange(500) * 0.01, np.zeros(500)), recording="r", log="l") == []


def test_a_single_command_is_enough_for_a_log():
    assert check_signal(_signal([0.0], [1.0], channels=(U,)), recording="r", log="l") == []


@pytest.mark.parametrize(("step", "kinds"), [(10.0, ["rate"]), (1e-6, ["rate"]), (0.01, []), (1.0, [])])
def test_a_rate_that_no_robot_is_logged_at_is_reported(step, kinds):
    t = np.arange(20) * step
    assert [finding.kind for finding in check_signal(_signal(t, t), recording="r", log="l")] == kinds
    # Who declares it means it.
    assert check_signal(_signal(t, t), recording="r", log="l", rate_hz=1 / step) == []


def test_opening_tells_what_the_clocks_show_once_and_keeps_what_the_import_told(tmp_path):
    t = np.concatenate([np.arange(50) * 0.01, 0.49 + 0.3 + np.arange(1, 50) * 0.01])
    kept = Finding(kind="sign", log="a", channel="v", message="turned round")
    signals = {"commands": _signal(t, t, channels=(U,)), "states": _signal(t, t, t)}
    streams = (Stream(name="commands", channels=(U,)), Stream(name="states", channels=(Q, V)))
    recording = Recording(name="gappy", streams=streams, data={"a": Log(name="a", signals=signals)}, findings=(kept,))
    opened = Recording.open(recording.save(tmp_path / "gappy.recording"))
    assert [finding.kind for finding in opened.findings] == ["sign", "gap"]
    again = Recording.open(opened.save(tmp_path / "again.recording"))
    assert again.findings == opened.findings


def test_a_clock_that_contradicts_its_declared_rate_is_an_error():
    t = np.arange(100) * 0.004
    assert check_signal(_signal(t, t), recording="r", log="l", rate_hz=250) == []
    with pytest.raises(CoreError, match=r"250 Hz .* where 500 Hz is declared"):
        check_signal(_signal(t, t), recording="r", log="l", rate_hz=500)


@pytest.mark.parametrize(("factor", "kinds"), [(1.0, []), (180 / np.pi, ["unit"]), (-1.0, ["sign"]), (np.pi / 180, ["unit"])])
def test_a_velocity_that_is_not_the_derivative_of_its_position_is_found(factor, kinds):
    t = np.arange(400) * 0.01
    position, velocity = np.sin(3 * t), 3 * np.cos(3 * t)
    log = Log(name="l", signals={"s": _signal(t, position, factor * velocity)})
    assert [finding.kind for finding in check_derivatives(log)] == kinds


def _files(tmp_path):
    return _recording().save(tmp_path / "x.recording")


def test_a_missing_stream_channel_or_row_is_named(tmp_path):
    path = _files(tmp_path)
    table = pq.read_table(path / "states.parquet")
    pq.write_table(table.drop_columns(["v"]), path / "states.parquet")
    with pytest.raises(CoreError, match="stream 'states': no channel 'v'"):
        Recording.open(path)
    pq.write_table(table.slice(0, len(table) - 2), path / "states.parquet")
    with pytest.raises(CoreError, match=r"log 'b/c', stream 'states': 3 rows where recording\.json says 5"):
        Recording.open(path)
    (path / "states.parquet").unlink()
    with pytest.raises(CoreError, match=r"lacks the file 'states\.parquet'"):
        Recording.open(path)


def test_a_truncated_stream_is_an_error_at_any_length(tmp_path):
    path = _files(tmp_path)
    whole = (path / "states.parquet").read_bytes()
    for length in range(0, len(whole), 37):
        (path / "states.parquet").write_bytes(whole[:length])
        with pytest.raises(CoreError, match=r"'states\.parquet' of recording 'x\.recording' is truncated or damaged"):
            Recording.open(path)


@settings(max_examples=25, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_header_but_a_sound_one_is_a_clear_error(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("h")
    (folder / "recording.json").write_text(json.dumps(content))
    with pytest.raises(CoreError):
        Recording.open(folder)


@pytest.mark.parametrize("key", ["name", "streams", "logs"])
def test_a_header_that_lacks_a_part_is_damaged(tmp_path, key):
    path = _files(tmp_path)
    content = json.loads((path / "recording.json").read_text())
    del content[key]
    (path / "recording.json").write_text(json.dumps(content))
    with pytest.raises(CoreError, match="is damaged"):
        Recording.open(path)


def test_a_stream_cannot_lead_out_of_the_folder(tmp_path):
    path = _files(tmp_path)
    text = (path / "recording.json").read_text()
    (path / "recording.json").write_text(text.replace('"name": "states"', '"name": "../states"'))
    with pytest.raises(CoreError, match="is no name for a stream"):
        Recording.open(path)


def test_the_shipped_qube_logs_are_sound_and_complete():
    recording = Recording.open(QUBE)
    assert len(recording.log_names) == 20
    assert recording.findings == ()
    chirps = recording.logs("*chrip*")
    assert len(chirps) == 6
    for log in chirps:
        # T commands, T + 1 states.
        assert (len(log.commands.t_t), len(log.sensors[0].t_t)) == (2500, 2501)
        assert log.sensors[0].names == ("theta", "alpha", "theta_dot", "alpha_dot")
    assert (QUBE.parent / "LICENSE.txt").is_file()
