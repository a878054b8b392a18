"""Opening logs for a skill: what is warned of, and that no plugin's reader can stop it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from realitygap_core.opening import open_recording, readers_of
from realitygap_core.readers import ExtensionReader
from realitygap_core.recording import Channel, Log, Recording, Signal, Stream

MAPPING = {"schema": 1, "time": {"column": "t"}, "channels": {"q": {"role": "sensor", "unit": "rad", "guess": True}}}


class BagReader(ExtensionReader):
    extensions = (".bag",)

    def read(self, path: Path) -> dict[str, dict[str, Any]]:
        return {"walk": {"t": np.arange(5) * 0.01, "q": np.arange(5.0)}}


class Shelf:
    """A catalog with a built-in reader, one of a plugin, and one of a plugin that does not import."""

    def names(self, kind: str) -> list[str]:
        assert kind == "reader"
        return ["bag", "broken", "csv"]

    def load(self, kind: str, name: str) -> Callable[..., Any]:
        if name == "broken":
            raise ImportError("no module named 'rosbags'")
        assert name == "bag", "a built-in reader needs no catalog"
        return BagReader


def test_a_plugins_reader_is_used_and_one_that_does_not_load_is_told(tmp_path):
    (tmp_path / "walk.bag").write_text("?")
    warnings: list[str] = []
    recording = open_recording(tmp_path / "walk.bag", MAPPING, catalog=Shelf(), warn=warnings.append)
    assert recording.log_names == ("walk",)
    assert warnings == [
        "the reader 'broken' does not load: ImportError: no module named 'rosbags'",
        "the mapping still marks 1 entries as guesses (q): check them and remove `guess: true`",
    ]
    assert list(readers_of(Shelf(), warnings.append)) == ["bag"]


def test_findings_of_a_raw_log_are_warned_of_one_line_a_kind(tmp_path):
    for name in ("a", "b"):
        stamps = [*range(20), *range(80, 100)]
        (tmp_path / f"{name}.csv").write_text("t,q\n" + "".join(f"{k * 0.01},{k}\n" for k in stamps))
    warnings: list[str] = []
    open_recording(tmp_path, {**MAPPING, "channels": {"q": {"role": "sensor", "unit": "rad"}}}, warn=warnings.append)
    assert warnings == ["gap in 2 of 2 logs; log 'a': row 20: 1 gap in time, the longest 610 ms where the median step is 10 ms"]


def test_a_recording_needs_no_mapping_and_says_so(tmp_path):
    q = Channel(name="q", role="sensor", unit="rad")
    t = np.arange(5) * 0.01
    log = Log(name="a", signals={"s": Signal(t_t=t, values_tc=t[:, None], channels=(q,))})
    path = Recording(name="r", streams=(Stream(name="s", channels=(q,)),), data={"a": log}).save(tmp_path / "r.recording")
    warnings: list[str] = []
    assert open_recording(path, {"nonsense": 1}, warn=warnings.append).log_names == ("a",)
    assert warnings == ["'r.recording' is a recording already; the mapping was not used"]
