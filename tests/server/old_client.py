"""A client of the SDK's first major version, which speaks the handshake era alone: trains a policy through the handle.

Run by `test_clients` in an environment of its own: `python old_client.py SERVER_PYTHON ARGUMENTS_JSON`.
"""

import asyncio
import json
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client


async def main(server: str, arguments: dict) -> None:
    parameters = StdioServerParameters(command=server, args=["-m", "realitygap.cli", "serve"], env=dict(os.environ))
    async with stdio_client(parameters) as (read, write), ClientSession(read, write) as session:
        greeted = await session.initialize()
        names = [tool.name for tool in (await session.list_tools()).tools]
        answer = await session.call_tool("train_policy", {**arguments, "wait_s": 0})
        polls = 0
        while answer.structuredContent["state"] == "running":
            polls += 1
            answer = await session.call_tool("run_status", {"run_id": answer.structuredContent["run_id"], "wait_s": 20})
        plot = next(name for name in answer.structuredContent["artifacts"] if name.endswith(".png"))
        image = await session.call_tool("artifact_read", {"run_id": answer.structuredContent["run_id"], "name": plot})
        told = {
            "protocol": greeted.protocolVersion,
            "tools": names,
            "polls": polls,
            "document": answer.structuredContent,
            "plot": image.content[0].type,
        }
        print(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], json.loads(sys.argv[2])))
