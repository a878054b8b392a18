"""Skills that the conformance suite of the protocol calls. They run as any other skill: from a manifest, in a worker, as a run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from realitygap import InputError
from realitygap.context import RunContext


def simple_text(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    return {"summary": "This is a simple text response for testing."}


def error_handling(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    raise InputError("This tool intentionally returns an error for testing")


def with_progress(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    for _ in run.track(range(4), "counting"):
        time.sleep(1.2)  # the server tells of progress once a second
    return {"summary": "Four of four."}


def slow_compute(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    end = time.monotonic() + inputs["seconds"]
    while time.monotonic() < end:
        run.check_cancelled()
        time.sleep(0.02)
    return {"summary": f"{inputs['label']} took {inputs['seconds']} s"}


def failing_job(inputs: Mapping[str, Any], run: RunContext) -> dict[str, Any]:
    time.sleep(1.0)
    raise InputError("this job fails on purpose")
