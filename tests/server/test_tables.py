"""Tables among the files of a run, in windows of rows that join without loss."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realitygap_server import tables


def every_row(path: Path, limit: int) -> tuple[list[str], list[Any]]:
    rows: list[Any] = []
    offset: int | None = 0
    columns: list[str] = []
    while offset is not None:
        window = tables.read(path, offset=offset, limit=limit)
        assert window is not None
        assert window.offset == offset
        columns, rows, offset = window.columns, rows + window.rows, window.next_offset
    return columns, rows


cells = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12).map(lambda text: "t" + text)


@given(st.lists(st.tuples(cells, st.integers(-9, 99_999)), max_size=20), st.integers(100, 300))
def test_windows_of_a_csv_join_to_its_rows(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int]], limit: int) -> None:
    path = tmp_path_factory.mktemp("csv") / "trials.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("reason", "count"), *rows])
    assert every_row(path, limit) == (["reason", "count"], [list(row) for row in rows])


def test_a_number_that_json_does_not_have_stays_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b,c,d,e\n1,2.5e3,nan,1e999,true\n")
    window = tables.read(path, offset=0, limit=1000)
    assert window is not None
    assert window.rows == [[1, 2500.0, "nan", "1e999", "true"]]


def test_lines_of_json_are_rows(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    values = [{"step": i, "value": i / 2} for i in range(50)]
    path.write_text("\n".join(json.dumps(value) for value in values) + "\n")
    assert every_row(path, 200) == ([], values)
    path.write_text('{"value": NaN}\n')
    assert every_row(path, 200) == ([], [{"value": "NaN"}])


def test_a_file_that_is_not_what_its_name_says_is_no_table(tmp_path: Path) -> None:
    for name, data in (("a.csv", b"\xff\xfe\x00"), ("a.jsonl", b"{oh"), ("a.parquet", b"PAR0")):
        (tmp_path / name).write_bytes(data)
        assert tables.read(tmp_path / name, offset=0, limit=1000) is None, name
    assert not tables.is_table(tmp_path / "a.txt")


def test_parquet_is_read_in_windows_by_another_process(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "stream.parquet"
    times = [0.01 * i for i in range(1200)]
    angles = [float("nan") if i == 3 else i / 7 for i in range(1200)]
    parquet.write_table(pa.table({"time": times, "angle": angles}), path, row_group_size=400)
    first = tables.read(path, offset=0, limit=100_000)
    assert first is not None
    assert (first.columns, len(first.rows), first.next_offset) == (["time", "angle"], tables.MOST_ROWS, tables.MOST_ROWS)
    assert first.rows[3] == [times[3], "nan"]
    last = tables.read(path, offset=1190, limit=100_000)
    assert last is not None
    assert (last.rows, last.next_offset) == ([[times[i], angles[i]] for i in range(1190, 1200)], None)
    beyond = tables.read(path, offset=5000, limit=1000)
    assert beyond is not None
    assert (beyond.rows, beyond.next_offset) == ([], None)
