"""How much of the machine a session of processes gets beside others.

Linux shares a core between sessions first, then between the processes of each (autogroups, sched(7)): a nice value counts only among
processes of one session. Workers and supervisors have sessions of their own, so that without this a training at nice 10 would get as much
as the server that it is to keep out of the way of.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

_AUTOGROUP = Path("/proc/self/autogroup")
_PATIENCE_S, _PAUSE_S = 1.0, 0.02
"""An ordinary user may set one of these every tenth of a second, all of them together."""


def share_as_nice() -> None:
    """Gives the session that this process leads the nice value of the process; does nothing where there are no autogroups."""
    nice = os.nice(0)
    if nice == 0 or os.getsid(0) != os.getpid():
        return
    deadline = time.monotonic() + _PATIENCE_S
    with contextlib.suppress(OSError):
        while True:
            try:
                _AUTOGROUP.write_text(str(nice), encoding="ascii")
                return
            except BlockingIOError:
                if time.monotonic() > deadline:
                    return
                time.sleep(_PAUSE_S)
