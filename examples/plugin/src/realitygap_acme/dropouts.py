"""Skill `count-dropouts`; contract in skills/count-dropouts/skill.yaml."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from itertools import pairwise
from statistics import median
from typing import Any

from realitygap import InputError, RunContext


def count(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    """Counts the places where the clock of a log jumps by more than `factor` usual periods."""
    times = read_clock(inputs["log"], inputs["time"])
    steps = [after - before for before, after in pairwise(times)]
    period = median(steps)
    gaps = [
        {"row": row, "time": times[row - 2], "missing": round(step / period) - 1}
        for row, step in enumerate(run.track(steps, "looking for gaps"), start=2)
        if step > inputs["factor"] * period
    ]
    lost = sum(gap["missing"] for gap in gaps)
    share = lost / (lost + len(times))
    return {
        "dropouts": gaps,
        "lost": lost,
        "share": share,
        "period": period,
        "summary": f"{lost} samples lost in {len(gaps)} places, {share:.2%} of the log; usual period {period * 1000:.3g} ms.",
    }


def read_clock(path: str, column: str) -> list[float]:
    """The times of a CSV log, s. Raises InputError with the row for a missing column, a value that is no number, or time that goes back."""
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        if column not in (reader.fieldnames or ()):
            raise InputError(f"no column '{column}'", where=path, hint=f"there are: {', '.join(reader.fieldnames or ()) or 'none'}")
        times: list[float] = []
        for row, record in enumerate(reader, start=2):
            try:
                times.append(float(record[column]))
            except (TypeError, ValueError):
                raise InputError(f"'{record[column]}' is no number", where=f"{path}, row {row}, column '{column}'") from None
            if len(times) > 1 and times[-1] <= times[-2]:
                raise InputError("time does not go forward", where=f"{path}, row {row}", hint="sort the log, or drop the row")
    if len(times) < 3:
        raise InputError(f"{len(times)} rows are too few to know the usual period", where=path)
    return times
