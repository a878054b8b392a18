"""MuJoCo's stopwatches. Its Python package reads the clock around every stage of every step, about a microsecond a step: a third of a
step of a cart-pole, an eighth of one of a hopper. In C they are off unless a program asks for them, and nothing here reads them."""

from __future__ import annotations

import ctypes

import mujoco


def switch_off() -> None:
    """Puts C's default back: no stopwatch, so `MjData.timer` counts calls but no time, in the whole process.

    Stays as it is where somebody has set a clock of their own (`mujoco.set_mjcb_time`; one that native code has set is not seen), or where
    the library does not show the variable. `mujoco.set_mjcb_time(None)` switches them on again.
    """
    try:
        if mujoco.get_mjcb_time() is not None:
            return
        clock = ctypes.c_void_p.in_dll(ctypes.CDLL(mujoco._callbacks.__file__), "mjcb_time")
    except (AttributeError, OSError, ValueError):
        return
    clock.value = None
