"""The share of the machine that a session gets beside others."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from realitygap import priority

TOLD = """
import os, sys
from pathlib import Path
from realitygap import priority
priority._AUTOGROUP = Path(sys.argv[1])
os.nice(int(sys.argv[2]))
priority.share_as_nice()
"""


def told(file: Path, nice: int, *, leads: bool) -> str:
    subprocess.run([sys.executable, "-c", TOLD, str(file), str(nice)], start_new_session=leads, check=True)
    return file.read_text(encoding="ascii")


def test_a_session_gets_the_nice_value_of_the_process_that_leads_it(tmp_path: Path) -> None:
    file = tmp_path / "autogroup"
    file.write_text("")
    assert told(file, 7, leads=True) == str(min(19, os.nice(0) + 7))


def test_a_session_led_by_another_and_one_that_is_not_nice_are_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "autogroup"
    file.write_text("")
    assert told(file, 7, leads=False) == ""
    assert os.nice(0) > 0 or told(file, 0, leads=True) == ""


def test_a_kernel_that_has_no_shares_or_asks_for_patience_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run([sys.executable, "-c", TOLD, str(tmp_path / "no" / "autogroup"), "7"], start_new_session=True, check=True)
    asked = []

    class Busy:
        def write_text(self, text: str, encoding: str) -> None:
            asked.append(text)
            if len(asked) < 3:
                raise BlockingIOError

    monkeypatch.setattr(priority, "_AUTOGROUP", Busy())
    monkeypatch.setattr(os, "nice", lambda _: 5)
    monkeypatch.setattr(os, "getsid", lambda _: os.getpid())
    priority.share_as_nice()
    assert asked == ["5"] * 3
