"""The main job, driven by the SDK's client through the handle as an assistant would: start, poll, read the result, look at a plot."""

from __future__ import annotations

import os
import sys
from typing import Any

import anyio
import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.types import ImageContent

PROMISED = {
    "gap_nominal", "gap_identified", "noise_floor", "parameters", "entropy_before", "entropy_after", "success_rate", "success_interval",
    "diagnosis", "triads", "policy", "report",
}  # fmt: skip
PATIENCE_S = 840


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_assistant_closes_the_gap_through_run_handles(main_job: Any) -> None:
    # In the home of the main job: what precedes the training is a hit there, so this costs a short training alone.
    environment = {**os.environ, "REALITYGAP_HOME": str(main_job.home)}
    parameters = StdioServerParameters(command=sys.executable, args=["-m", "realitygap.cli", "serve"], env=environment)

    async def talk() -> None:
        async with Client(parameters) as client:

            async def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
                answer = await client.call_tool(tool, arguments)
                assert not answer.is_error, answer.content
                document: dict[str, Any] = answer.structured_content or {}
                return document

            # A short training: whether the policy succeeds is another test's business.
            document = await call("entropy_sim2real", {"env_steps": 20_000, "trials": 8, "wait_s": 1})
            run_id = document["run_id"]
            assert document["state"] == "running"
            seen = [document["progress"]["fraction"] or 0.0]
            with anyio.fail_after(PATIENCE_S):
                while document["state"] == "running":
                    follow = document["next_steps"][0]
                    assert follow["tool"] == "run_status"
                    document = await call("run_status", {**follow["arguments"], "wait_s": 20})
                    if document["state"] == "running":
                        seen.append(document["progress"]["fraction"] or 0.0)
            assert seen == sorted(seen)
            assert document["state"] == "done"
            assert set(document["outputs"]) | set(document.get("omitted", {})) >= PROMISED
            outputs = document["outputs"]
            for channel, gap in outputs["gap_identified"].items():
                assert gap["rmse"] < outputs["gap_nominal"][channel]["rmse"]
            low, high = outputs["success_interval"]
            assert 0 <= low <= outputs["success_rate"] <= high <= 1
            assert outputs["entropy_after"] < outputs["entropy_before"]

            plot = next(name for name in document["artifacts"] if name.endswith(".png"))
            (image,) = (await client.call_tool("artifact_read", {"run_id": run_id, "name": plot})).content
            assert isinstance(image, ImageContent)

            # The same call again is answered at once, from the cache.
            again = await call("entropy_sim2real", {"env_steps": 20_000, "trials": 8, "wait_s": 50})
            assert again["state"] == "done"
            assert again["outputs"]["parameters"] == outputs["parameters"]

    anyio.run(talk)
