"""What is ended is gone: also a process that takes its time to give back its memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = """
import os, socket, subprocess, sys
from pathlib import Path
from realitygap import fence
from realitygap.pool import Worker
from realitygap.protocol import Channel

RUN = f"a-run-of-{os.getpid()}"
HOLD = "import time; held = bytearray(b'x') * (500 << 20); print(os.getpid(), flush=True); time.sleep(100)"
LEAD = f"import os, subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import os;' + {HOLD!r}]); time.sleep(100)"
given = dict(stdout=subprocess.PIPE, env={**os.environ, fence.VARIABLE: RUN}, start_new_session=True, text=True)

def begun(code):
    leader = subprocess.Popen([sys.executable, "-c", code], **given)
    return leader, int(leader.stdout.readline())

def kill_the_worker():
    leader, child = begun(LEAD)
    yield child
    Worker("light", 0, leader, Channel(socket.socketpair()[0])).kill()

def sweep():
    _, child = begun("import os;" + HOLD)
    yield child
    fence.sweep(())

def fence_off():
    _, child = begun("import os;" + HOLD)
    yield child
    fence.fence(RUN, Path("."))

for _ in range(2):
    acting = globals()[sys.argv[1]]()
    child = next(acting)
    began = fence.start_time(child)
    assert began is not None
    next(acting, None)
    assert fence.start_time(child) != began, "it is still there"
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize("way", ["kill_the_worker", "sweep", "fence_off"])
def test_nothing_of_a_run_is_left_when_its_end_has_been_told(way: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM, way], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
