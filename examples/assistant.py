"""An assistant with the server, as Markdown: finds the tools, runs the whole job, polls, looks, reads the diagnosis, trains again, proves.

    python examples/assistant.py > docs/transcript.md

Every line about an answer comes from a real call over stdio, and the calls are those that answers propose. `--env-steps` and `--trials`
shorten the second training and its proof: then the whole takes two minutes, and the policy need not balance anything.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.types import ImageContent

FIRST_LOOK = {"env_steps": 20_000, "trials": 8}
LONGEST_TEXT = 600
HEAD = """\
# An assistant at work

Made by `python examples/assistant.py` from real calls. Answers are shortened to what the assistant goes by; `...` stands for more.
"""


class Talk:
    """Calls tools and writes down what came of it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.lines = [HEAD]

    def say(self, text: str) -> None:
        self.lines.append(f"{text}\n")

    def show(self, tool: str, arguments: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        self.say(f"`{tool}` `{json.dumps(arguments)}`")
        self.say(f"```json\n{json.dumps(_clipped(told), indent=1, ensure_ascii=False)}\n```")

    async def call(self, tool: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The document of an answer. Ends the program where the tool refuses."""
        answer = await self.client.call_tool(tool, dict(arguments))
        if answer.is_error:
            raise SystemExit(f"{tool}: {answer.content}")
        return answer.structured_content or {}

    async def finish(self, tool: str, arguments: Mapping[str, Any], *outputs: str) -> dict[str, Any]:
        """Starts a long skill, polls as its answers say until it has ended, and writes down both answers, of the last these outputs."""
        arguments = {**arguments, "wait_s": 0}
        document = await self.call(tool, arguments)
        follow = document["next_steps"][0]
        self.show(tool, arguments, {name: document[name] for name in ("run_id", "state", "poll_after_s")} | {"next_steps": [follow]})
        while document["state"] == "running":
            follow = document["next_steps"][0]
            document = await self.call(follow["tool"], follow["arguments"])
        if document["state"] != "done":
            raise SystemExit(f"{tool}: {document['error']}")
        self.say("It asks again while the state is `running`. Then:")
        told = {"state": document["state"], "outputs": {name: _brief(document["outputs"][name]) for name in outputs}}
        self.show(follow["tool"], follow["arguments"], told | {"next_steps": [step["tool"] for step in document["next_steps"]]})
        return document

    async def look(self, document: Mapping[str, Any], ending: str) -> None:
        """Looks at a figure of a run."""
        name = next(name for name in sorted(document["artifacts"]) if name.endswith(ending))
        arguments = {"run_id": document["run_id"], "name": name}
        (image,) = (await self.client.call_tool("artifact_read", arguments)).content
        assert isinstance(image, ImageContent)
        self.show("artifact_read", arguments, {"type": image.type, "mimeType": image.mime_type, "data": "..."})


def proposed(document: Mapping[str, Any], tool: str) -> dict[str, Any]:
    """The arguments with which an answer proposes to call a tool next."""
    arguments: dict[str, Any] = next(step["arguments"] for step in document["next_steps"] if step["tool"] == tool)
    return arguments


async def work(training: Mapping[str, Any], proof: Mapping[str, Any]) -> str:
    server = StdioServerParameters(command=sys.executable, args=["-m", "realitygap.cli", "serve"], env=dict(os.environ))
    async with Client(server) as client:
        talk = Talk(client)
        talk.say("The user: *My policy swings the pendulum up in simulation and fails on the bench. Here are logs of the bench.*")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        whole = "entropy_sim2real"
        does = (tools[whole].description or "").splitlines()[0]
        talk.say(f"The assistant lists {len(tools)} tools. `{whole}` says of itself: *{does}* It reads its guide.")
        arguments: dict[str, Any] = {"skill": whole, "limit": LONGEST_TEXT}
        talk.show("guide_read", arguments, await talk.call("guide_read", arguments))
        talk.say("It runs the whole job on the logs, with a short training for a first look.")
        first = await talk.finish(whole, FIRST_LOOK, "gap_nominal", "gap_identified", "noise_floor", "success_rate")
        lacking = ", ".join(finding["term"] for finding in first["outputs"]["structure"])
        talk.say(f"The user's model lacked this: {lacking}. With it the error on logs that were not fitted is a fraction of what it was.")
        talk.say("It looks at a plot before it believes that.")
        await talk.look(first, "identify/figures/gap.png")
        talk.say("What is left between the corrected model and the bench? That is an output which it now reads; its first verdict:")
        arguments = {"run_id": first["run_id"], "output": "diagnosis"}
        verdicts = json.loads((await talk.call("run_result", arguments))["json"])
        seen = ("kind", "channel", "magnitude", "unit", "confidence", "evidence", "advice")
        talk.show("run_result", arguments, {name: _brief(verdicts[0][name]) for name in seen})
        talk.say(
            "That is small beside what was found. The policy was trained on the corrected model and fails there too, so what it lacks is "
            "training. The answer of the run proposed the call, with the model and the domain; the assistant adds more steps."
        )
        trained = await talk.finish("train_policy", {**proposed(first, "train_policy"), **training}, "env_steps", "entropy")
        await talk.look(trained, "figures/training.png")
        talk.say("A curve proves nothing. It has the policy judged on plants that training did not see.")
        judged = await talk.finish(
            "validate_transfer", {**proposed(trained, "validate_transfer"), **proof}, "success_rate", "success_interval"
        )
        talk.say(f"It tells the user: *{judged['summary'].splitlines()[0]}*, and where the report is.")
    return shortened("\n".join(talk.lines))


def shortened(text: str) -> str:
    """Without the paths of this machine: they are long, and another's differ."""
    return re.sub(r"(?<![\w.:/])/[\w./-]{12,}/([\w.-]+)", r".../\1", text)


def shape(text: str) -> str:
    """What stays true of a transcript when figures other than the number of tools, run ids and the length of the trainings change."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\w-]+", "RUN", text)
    return re.sub(r"(lists \d+ tools)|-?\d+(\.\d+)?(e-?\d+)?", lambda found: found[1] or "0", text)


def _brief(value: Any) -> Any:
    """Of an error in a channel its root mean square alone."""
    if isinstance(value, Mapping):
        return {name: _brief(part) for name, part in value.items() if name not in ("mae", "samples")}
    return round(value, 4) if isinstance(value, float) else [_brief(part) for part in value] if isinstance(value, list) else value


def _clipped(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _clipped(part) for name, part in value.items()}
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return value[:LONGEST_TEXT] + "..."
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--env-steps", type=int, default=1_000_000, help="of the second training")
    parser.add_argument("--trials", type=int, default=256, help="of the proof")
    arguments = parser.parse_args()
    print(asyncio.run(work({"env_steps": arguments.env_steps}, {"trials": arguments.trials})), end="")


if __name__ == "__main__":
    main()
