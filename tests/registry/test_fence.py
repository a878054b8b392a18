"""What is ended is gone: also a process that takes its time to give back its memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from realitygap import fence

RUN = f"a-run-of-{os.getpid()}"
_HOLD = "import time; held = bytearray(b'x') * (800 << 20); print('ready', flush=True); time.sleep(100)"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    "end",
    [lambda folder: fence.fence(RUN, folder), lambda folder: fence.sweep(())],
    ids=["after the supervisor", "by the supervisor"],
)
def test_nothing_of_a_run_is_left_when_its_end_has_been_told(end: Callable[[Path], object], tmp_path: Path) -> None:
    for _ in range(3):
        environment = {**os.environ, fence.VARIABLE: RUN}
        with subprocess.Popen([sys.executable, "-c", _HOLD], stdout=subprocess.PIPE, env=environment, start_new_session=True) as child:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            began = fence.start_time(child.pid)
            assert began is not None
            end(tmp_path)
            assert fence.start_time(child.pid) != began
