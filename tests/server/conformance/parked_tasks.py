"""Tasks that ask the client something, or never come to a result. Runs of a registry do neither, so these live here alone."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp.server import Server

from realitygap_server.task_extension import EXTENSION, declared

ASKS = {"confirm_delete": ("confirm",), "multi_input": ("first", "second"), "protocol_error_job": ()}
"""Tool to the questions that its task asks; one without questions fails."""
NEEDS_TASKS = ("failing_job",)
"""Skills whose tool serves only clients that declare the extension."""
_SCHEMA = {"type": "object", "properties": {"confirm": {"type": "boolean"}}}


@dataclass(kw_only=True)
class Parked:
    id: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    asks: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Any] = field(default_factory=dict)
    status: str = "input_required"

    def about(self) -> dict[str, Any]:
        now = "2026-07-28T00:00:00.000Z"
        common = {"taskId": self.id, "status": self.status, "createdAt": now, "lastUpdatedAt": now, "ttlMs": 60_000, "pollIntervalMs": 100}
        if self.status == "input_required":
            return {**common, "inputRequests": self.asks}
        if self.status == "failed":
            return {**common, "error": {"code": t.INTERNAL_ERROR, "message": "no result came about"}}
        if self.status == "completed":
            content = [{"type": "text", "text": json.dumps(self.answers)}]
            return {**common, "result": {"content": content, "resultType": "complete"}}
        return common


def tools() -> list[t.Tool]:
    names = (*ASKS, "test_tool_with_task")
    return [t.Tool(name=name, description="A fixture.", input_schema={"type": "object"}) for name in names]


def attach(server: Server[Any]) -> None:
    """Lays the parked tasks over those of the bridge."""
    parked: dict[str, Parked] = {}
    call, get, update, cancel = (server.get_request_handler(name) for name in ("tools/call", "tasks/get", "tasks/update", "tasks/cancel"))
    assert call is not None
    assert get is not None
    assert update is not None
    assert cancel is not None

    def needed(ctx: Any) -> None:
        if not declared(ctx):
            data = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
            raise MCPError(t.MISSING_REQUIRED_CLIENT_CAPABILITY, "Missing required client capability", data)

    async def call_tool(ctx: Any, params: Any) -> Any:
        if params.name in NEEDS_TASKS:
            needed(ctx)
        if params.name == "test_tool_with_task":
            answer = (params.input_responses or {}).get("user_name")
            if not isinstance(answer, t.ElicitResult):
                schema = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
                question = t.ElicitRequest(params=t.ElicitRequestFormParams(message="What is your name?", requested_schema=schema))
                return t.InputRequiredResult(input_requests={"user_name": question})
            # From here on it is a run like any other.
            arguments = {"seconds": 0.2, "label": (answer.content or {}).get("name")}
            params = params.model_copy(update={"name": "slow_compute", "arguments": arguments, "input_responses": None})
        if params.name not in ASKS:
            return await call.handler(ctx, params)
        needed(ctx)
        keys = ASKS[params.name]
        asked = {"mode": "form", "requestedSchema": _SCHEMA}
        task = Parked(asks={key: {"method": "elicitation/create", "params": {**asked, "message": f"{key}?"}} for key in keys})
        parked[task.id] = task
        created = {key: value for key, value in task.about().items() if key != "inputRequests"}
        if not keys:
            task.status = "failed"
            created["status"] = "working"
        return {**created, "resultType": "task"}

    async def get_task(ctx: Any, params: Any) -> Any:
        return parked[params.task_id].about() if params.task_id in parked else await get.handler(ctx, params)

    async def update_task(ctx: Any, params: Any) -> Any:
        task = parked.get(params.task_id)
        if task is None:
            return await update.handler(ctx, params)
        for key, answer in params.input_responses.items():
            if task.asks.pop(key, None) is not None:
                task.answers[key] = answer
        if task.status == "input_required" and not task.asks:
            task.status = "completed"
        return {}

    async def cancel_task(ctx: Any, params: Any) -> Any:
        if params.task_id not in parked:
            return await cancel.handler(ctx, params)
        parked[params.task_id].status = "cancelled"
        return {}

    for name, entry, handler in (
        ("tools/call", call, call_tool),
        ("tasks/get", get, get_task),
        ("tasks/update", update, update_task),
        ("tasks/cancel", cancel, cancel_task),
    ):
        server.add_request_handler(name, entry.params_type, handler)
