"""Readers of raw logs: every format gives the same tables, and no damaged file gives anything but a clear error."""

from __future__ import annotations

import contextlib

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from realitygap_core.errors import CoreError
from realitygap_core.readers import ExtensionReader, read_table


def _csv(path, text):
    path.write_text(text, encoding="utf-8")
    return read_table(path)


@pytest.mark.parametrize(
    "text",
    [
        "t,q,u\n0,1.5,2\n0.1,2.5,3\n",
        "t;q;u\r\n0;1.5;2\r\n0.1;2.5;3\r\n",
        "t;q;u\n0;1,5;2\n0,1;2,5;3\n",
        "t\tq\tu\n0\t1.5\t2\n0.1\t2.5\t3",
        "# t q u\n0 1.5 2\n0.1 2.5 3\n",
        "t,q,u,\n0,1.5,2,\n0.1,2.5,3,\n",
        "\ufefft, q, u\n\n0, 1.5, 2\n0.1, 2.5, 3\n\n",
        " t , q , u \n 0 , 1.5 , 2 \n 0.1 , 2.5 , 3 \n",
        '"t","q","u"\r\n"0","1.5","2"\r\n"0.1","2.5","3"\r\n',
        "# made by a logger\n# second line\nt,q,u\n0,1.5,2\n0.1,2.5,3\n",
        "# made by numpy\n# t,q,u\n0,1.5,2\n0.1,2.5,3\n",
    ],
)
def test_delimiter_decimal_comma_and_blank_lines_of_a_csv_are_found_out(tmp_path, text):
    table = _csv(tmp_path / "walk.csv", text)["walk"]
    assert list(table) == ["t", "q", "u"]
    assert_allclose(table["t"], [0, 0.1])
    assert_allclose(table["q"], [1.5, 2.5])
    assert_allclose(table["u"], [2, 3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("1,2\n3,4\n", "has no header"),
        ("t,q,t\n1,2,3\n", "two columns are named 't'"),
        ("t,,q\n1,2,3\n", "column 2 has no name"),
        ("t,q\n0,1\n1\n", r"line 3 \(row 1\): 1 cell, the header has 2"),
        ("# note\nt,q\n0,1\n1\n", r"line 4 \(row 1\): 1 cell, the header has 2"),
    ],
)
def test_a_csv_without_a_sound_header_or_with_a_short_row_is_refused_by_line(tmp_path, text, message):
    with pytest.raises(CoreError, match=message):
        _csv(tmp_path / "x.csv", text)


def test_blank_cells_are_nan_text_stays_text_and_long_integers_stay_exact(tmp_path):
    table = _csv(tmp_path / "x.csv", "t,q,s\n1700000000123456789,1,on\n1700000000127456789,,off\n")["x"]
    assert table["t"].tolist() == [1700000000123456789, 1700000000127456789]
    assert_array_equal(table["q"], [1, np.nan])
    assert table["s"].tolist() == ["on", "off"]


def test_a_log_column_splits_rows_and_a_folder_gives_a_log_a_file(tmp_path):
    both = _csv(tmp_path / "x.csv", "log,t\na,0\nb,0\na,1\n")
    assert {name: table["t"].tolist() for name, table in both.items()} == {"a": [0, 1], "b": [0]}
    folder = tmp_path / "logs"
    (folder / "deep").mkdir(parents=True)
    (folder / "one.csv").write_text("t\n0\n1\n")
    (folder / "deep" / "two.csv").write_text("t\n5\n6\n")
    (folder / ".hidden.csv").write_text("nonsense")
    (folder / "notes.md").write_text("nonsense")
    assert {name: table["t"].tolist() for name, table in read_table(folder).items()} == {"deep/two": [5, 6], "one": [0, 1]}


def test_all_formats_give_the_same_tables(tmp_path):
    t, q = np.arange(4) * 0.5, np.arange(8, dtype=np.float32).reshape(4, 2)
    np.savez(tmp_path / "x.npz", **{"group/a/t": t, "group/a/q": q})
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["group/a/t"], file["group/a/q"] = t, q
    for name in ("x.npz", "x.h5"):
        table = read_table(tmp_path / name)["group/a"]
        assert sorted(table) == ["q[0]", "q[1]", "t"]
        assert_array_equal(table["q[1]"], [1, 3, 5, 7])
        assert_array_equal(table["t"], t)
    pq.write_table(pa.table({"t": t, "q": q.tolist()}), tmp_path / "x.parquet")
    table = read_table(tmp_path / "x.parquet")["x"]
    assert_array_equal(table["q[1]"], [1, 3, 5, 7])
    assert_array_equal(table["t"], t)


def test_in_hdf5_a_log_is_the_shallowest_group_with_a_dataset(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["data/demo_0/actions"] = np.zeros((3, 1))
        file["data/demo_0/obs/joint_pos"] = np.ones(3)
        file["data/demo_1/actions"] = np.zeros((2, 1))
    tables = read_table(tmp_path / "x.h5")
    assert {name: sorted(table) for name, table in tables.items()} == {
        "data/demo_0": ["actions[0]", "obs/joint_pos"],
        "data/demo_1": ["actions[0]"],
    }


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_a_dataset_whose_data_lies_in_another_file_is_refused_by_name(tmp_path, kind):
    secret, inside = tmp_path / "secret", tmp_path / "inside"
    inside.mkdir()
    with h5py.File(inside / "x.h5", "w") as file:
        if kind == "external":
            secret.write_bytes(np.arange(4.0).tobytes())
            file.create_dataset("demo/q", (4,), "f8", external=[(str(secret), 0, 32)])
        else:
            with h5py.File(secret, "w") as other:
                other["q"] = np.arange(4.0)
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource(str(secret), "q", (4,))
            file.create_virtual_dataset("demo/q", layout)
        file["demo/t"] = np.arange(4.0)
    with pytest.raises(CoreError, match=r"dataset 'demo/q' of 'x\.h5' is kept outside of it") as caught:
        read_table(inside / "x.h5")
    assert caught.value.hint == "copy the data into the file, as a plain dataset"


def test_timestamps_of_parquet_become_seconds(tmp_path):
    stamps = pa.array(np.array([0, 4_000_000], dtype="datetime64[ns]"))
    pq.write_table(pa.table({"t": stamps, "ok": [True, None]}), tmp_path / "x.parquet")
    table = read_table(tmp_path / "x.parquet")["x"]
    assert_allclose(table["t"], [0, 0.004])
    assert_array_equal(table["ok"], [1, np.nan])


def test_pickled_objects_are_never_loaded(tmp_path):
    np.savez(tmp_path / "x.npz", **{"a/t": np.array([{"a": 1}], dtype=object)})
    with pytest.raises(CoreError, match=r"'x\.npz', column 'a/t': holds Python objects"):
        read_table(tmp_path / "x.npz")


@pytest.mark.parametrize("values", [np.zeros(3, dtype=complex), np.zeros(3, dtype=[("a", float)])])
@pytest.mark.parametrize("suffix", [".npz", ".h5"])
def test_arrays_that_are_no_numbers_are_named_and_the_file_is_not_called_damaged(tmp_path, suffix, values):
    path = tmp_path / f"x{suffix}"
    if suffix == ".npz":
        np.savez(path, q=values)
    else:
        with h5py.File(path, "w") as file:
            file["q"] = values
    with pytest.raises(CoreError, match=r"'x\.\w+', column 'q': holds .*, not real numbers"):
        read_table(path)


def test_dates_and_durations_become_seconds_and_missing_ones_nan(tmp_path):
    steps = np.array([0, 250, -1], dtype="timedelta64[ms]")
    steps[2] = np.timedelta64("NaT")
    np.savez(tmp_path / "x.npz", step=steps, date=np.datetime64("1970-01-01", "ms") + steps)
    pq.write_table(pa.table({"step": pa.array(steps)}), tmp_path / "x.parquet")
    for file, column in (("x.npz", "step"), ("x.npz", "date"), ("x.parquet", "step")):
        assert_array_equal(read_table(tmp_path / file)["x"][column], [0, 0.25, np.nan])


def test_two_columns_of_one_name_in_a_parquet_file_are_named(tmp_path):
    pq.write_table(pa.Table.from_arrays([pa.array([0.0]), pa.array([1.0])], names=["q", "q"]), tmp_path / "x.parquet")
    with pytest.raises(CoreError, match=r"'x\.parquet': two columns are named 'q'"):
        read_table(tmp_path / "x.parquet")


def test_text_that_is_not_utf_8_is_told_as_that(tmp_path):
    (tmp_path / "x.csv").write_bytes("t,q°\n0,1\n".encode("latin-1"))
    with pytest.raises(CoreError, match="is not UTF-8 text: byte 0xb0") as caught:
        read_table(tmp_path / "x.csv")
    assert caught.value.hint == "save it as UTF-8"


def test_two_files_of_a_folder_that_give_one_log_are_both_named(tmp_path):
    (tmp_path / "a.csv").write_text("t\n0\n")
    np.savez(tmp_path / "a.npz", t=np.zeros(1))
    with pytest.raises(CoreError, match=r"log 'a' comes from two files, 'a\.csv' and 'a\.npz'"):
        read_table(tmp_path)


def test_unknown_files_and_formats_are_named(tmp_path):
    (tmp_path / "x.bag").write_text("?")
    with pytest.raises(CoreError, match=r"'x\.bag' has no known format"):
        read_table(tmp_path / "x.bag")
    with pytest.raises(CoreError, match="no reader for the format 'cvs'") as caught:
        read_table(tmp_path / "x.bag", format="cvs")
    assert caught.value.hint == "did you mean 'csv'?"
    with pytest.raises(CoreError, match="no file or folder"):
        read_table(tmp_path / "none.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CoreError, match="no log files"):
        read_table(tmp_path / "empty")


def test_a_reader_that_is_passed_in_is_asked_first(tmp_path):
    class Bag(ExtensionReader):
        extensions = (".bag", ".csv")

        def read(self, path):
            return {"from bag": {"t": np.arange(2.0)}}

    for name in ("x.bag", "x.csv"):
        (tmp_path / name).write_text("?")
        assert list(read_table(tmp_path / name, readers={"bag": Bag})) == ["from bag"]


def _sample(path):
    t = np.arange(50) * 0.01
    if path.suffix == ".npz":
        np.savez_compressed(path, **{"a/t": t, "a/q": t * 2})
    elif path.suffix == ".h5":
        with h5py.File(path, "w") as file:
            file["a/t"], file["a/q"] = t, t * 2
    else:
        pq.write_table(pa.table({"t": t, "q": t * 2}), path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".npz", ".h5", ".parquet"])
def test_a_truncated_file_is_a_clear_error_at_any_length(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    whole = _sample(path)
    for length in range(0, len(whole) - 1, max(1, len(whole) // 40)):
        path.write_bytes(whole[:length])
        with pytest.raises(CoreError, match="truncated, damaged"):
            read_table(path)


@pytest.mark.parametrize("suffix", [".npz", ".parquet", ".csv"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_hostile_bytes_give_tables_or_a_clear_error_and_nothing_else(tmp_path, suffix, data):
    path = tmp_path / f"x{suffix}"
    if suffix == ".csv":
        content = data.draw(st.binary(max_size=200) | st.text(alphabet="t,q;\t\n\r\"'0123456789.-e \x00", max_size=200).map(str.encode))
    else:
        whole = bytearray(_sample(path))
        for _ in range(data.draw(st.integers(1, 5))):
            whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
        content = bytes(whole)
    path.write_bytes(content)
    with contextlib.suppress(CoreError):
        tables = read_table(path)
        assert all(column.ndim == 1 for table in tables.values() for column in table.values())


@given(rows=st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 3), min_size=1, max_size=20))
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_numbers_survive_a_csv_exactly(tmp_path, rows):
    text = "t,q,u\n" + "".join(",".join(repr(value) for value in row) + "\n" for row in rows)
    table = _csv(tmp_path / "x.csv", text)["x"]
    assert_array_equal(np.column_stack([table[name] for name in "tqu"]), rows)
