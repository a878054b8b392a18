"""Which of a model's own parameters the logs can identify: those that matter and can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from realitygap_core.fit import FitConfig, Problem
from realitygap_core.parameters import ParameterInfo, enumerate_parameters
from realitygap_core.replay import Replay
from realitygap_core.robot import Robot

_ALWAYS = ("mass", "inertia_scale", "damping", "gain")
_IF_PRESENT = (
    "com_x",
    "com_y",
    "com_z",
    "frictionloss",
    "armature",
    "stiffness",
    "springref",
    "velocity_gain",
    "force_limit",
    "delay",
    "command_offset",
)
_INFLUENCE = 0.01
"""A parameter that moves the channels by less than this part of their spread, over a quarter of its range, has no influence."""
_DISTINCT = 0.05
"""A parameter whose effect is to all but this part (of its norm) a combination of others' effects cannot be told apart from them."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Parameters to fit, and what was left out."""

    names: tuple[str, ...]
    """To fit, in the order of `enumerate_parameters`."""
    left_out: dict[str, str]
    """Parameter to the reason, in plain words."""
    tied: tuple[str, ...] = ()
    """Those left out because a combination of the others does the same."""


def own_parameters(robot: Robot) -> dict[str, ParameterInfo]:
    """The mechanical parameters that the model already uses: masses, dampings, gains, and every other term whose nominal value is not
    neutral."""
    found = {}
    parameters = enumerate_parameters(robot)
    for name, info in parameters.items():
        used = np.isfinite(info.nominal) and info.nominal != 0
        if info.kind == "springref":
            used = parameters[f"stiffness[{info.target}]"].nominal > 0
        if info.kind in _ALWAYS or (info.kind in _IF_PRESENT and used):
            found[name] = info
    return found


def identifiable(replay: Replay, names: Sequence[str] | None = None, *, limit: int = 12) -> Selection:
    """Chooses among `names` (None: `own_parameters`) by pivoted elimination on the Jacobian at the nominal model.

    The most influential parameter first; then always the one whose effect differs most from what the chosen ones can do together.
    Effects are compared over each parameter's range. A dropped parameter keeps its nominal value.
    """
    candidates = list(names) if names is not None else list(own_parameters(replay.robot))
    problem = Problem(replay, candidates)
    _, jacobian = problem.linearise(problem.unit({}), FitConfig().step)
    columns = jacobian / np.sqrt(len(jacobian))
    size = np.linalg.norm(columns, axis=0)
    left_out = {name: "moves nothing that the logs show" for name, norm in zip(candidates, size, strict=True) if norm * 0.25 < _INFLUENCE}
    open_ = [index for index, name in enumerate(candidates) if name not in left_out]
    rest = columns.copy()
    chosen: list[int] = []
    while open_ and len(chosen) < limit:
        shares = [float(np.linalg.norm(rest[:, index]) / size[index]) for index in open_]
        # Among those that are still distinct, the one with the largest effect of its own; of equals, up to rounding, the first of the
        # model: masses and lengths before dampings and gains, one of which stays as it is where logs cannot tell the scale of all forces.
        distinct = [(index, share) for index, share in zip(open_, shares, strict=True) if share > _DISTINCT]
        if not distinct:
            break
        pick = max(distinct, key=lambda pair: round(pair[1] * min(float(size[pair[0]]), 1.0), 6))[0]
        direction = rest[:, pick] / np.linalg.norm(rest[:, pick])
        rest = rest - np.outer(direction, direction @ rest)
        chosen.append(pick)
        open_.remove(pick)
    tied = tuple(candidates[index] for index in open_) if len(chosen) < limit else ()
    reason = "cannot be told apart from a combination of the others" if tied else "there are enough others that say more"
    left_out |= {candidates[index]: reason for index in open_}
    order = {name: place for place, name in enumerate(enumerate_parameters(replay.robot))}
    return Selection(names=tuple(sorted((candidates[i] for i in chosen), key=order.__getitem__)), left_out=left_out, tied=tied)
