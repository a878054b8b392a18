"""Files of a run, in windows that join without loss: tables as rows, others as text."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realitygap.errors import InputError
from realitygap_server import artifacts, tables
from realitygap_server.sizes import beginning, cost


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


def test_a_table_whose_rows_no_answer_has_room_for_is_read_as_text(tmp_path: Path) -> None:
    wide = ",".join(f"joint_{i}" for i in range(30_000))
    texts = {
        "wide.csv": f"{wide}\n" + ",".join("1" * 30_000) + "\n",
        "long.csv": "a,b\n" + ",".join(["x" * 400] * 200) + "\n1,2\n",
        "list.jsonl": json.dumps(list(range(50_000))) + "\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
        for offset in (0, 1, 7):
            assert tables.read(tmp_path / name, offset=offset, limit=20_000) is None, name
        assert every_text(tmp_path / name, 20_000) == text


def test_of_a_row_that_is_much_longer_than_the_others_the_beginning_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("[1]\n" + json.dumps(list(range(50_000))) + "\n[2]\n")
    _, (first, second, third) = every_row(path, 20_000)
    assert (first, third) == ([1], [2])
    assert second.startswith("[0, 1, 2, ")
    assert cost(second) <= artifacts.LARGEST_WINDOW


def every_text(path: Path, limit: int) -> str:
    text, offset = "", 0
    while True:
        window = artifacts.read(path, offset=offset, limit=limit)
        assert isinstance(window, artifacts.Text)
        assert cost(window.text) <= limit
        text += window.text
        if window.next_offset is None:
            return text
        assert window.next_offset > offset
        offset = window.next_offset


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=400), st.integers(100, 300))
def test_windows_of_a_text_join_and_none_is_longer_as_json_than_its_limit(
    tmp_path_factory: pytest.TempPathFactory, text: str, limit: int
) -> None:
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(text.encode())
    assert every_text(path, limit) == text
    path.write_bytes(("\x1b" * 50 + "字" * 50 + text).encode())
    assert every_text(path, limit) == "\x1b" * 50 + "字" * 50 + text


@given(st.text(max_size=60), st.integers(20, 200))
def test_the_beginning_of_a_text_is_as_long_as_its_limit_allows(text: str, limit: int) -> None:
    kept = beginning(text, limit)
    assert text.startswith(kept)
    assert cost(kept) <= limit
    assert kept == text or cost(text[: len(kept) + 1]) > limit


def test_a_parquet_file_whose_rows_no_answer_has_room_for_is_refused(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pa.table({f"joint_{i}": [0.0] for i in range(3000)}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="3000 columns"):
        tables.read(tmp_path / "a.parquet", offset=0, limit=20_000)


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
