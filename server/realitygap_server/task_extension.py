"""The tasks extension of the protocol (SEP-2663): a client that declares it gets a long skill as a task.

A task is a run, and its id is that of the run. Only the stateless era can carry it. Nothing is kept here, so a task outlives the server
as its run does.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.types import HEADER_MISMATCH, INVALID_PARAMS, MISSING_REQUIRED_CLIENT_CAPABILITY
from mcp.types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import Field

from realitygap.errors import InputError
from realitygap.runs import RunStatus
from realitygap_server.answers import answer_about, poll_after, short
from realitygap_server.handles import Handles

EXTENSION = "io.modelcontextprotocol/tasks"
_STATUS = {"running": "working", "cancelled": "cancelled"}
"""Every other state is `completed`: the protocol's `failed` means that no result came about, and a run that failed has one."""
_FIRST_POLL_S = 0.5


class TaskParams(t.RequestParams):
    """Which task."""

    task_id: str


class TaskUpdateParams(TaskParams):
    """Answers to what a task asked. Runs ask nothing, so all are passed over, as the extension says of unknown ones."""

    input_responses: dict[str, Any] = Field(default_factory=dict)


class Tasks:
    """`tasks/get`, `tasks/update` and `tasks/cancel` over the runs of a workspace."""

    def __init__(self, handles: Handles, *, read_only: bool = False) -> None:
        self.handles = handles
        self.read_only = read_only

    def attach(self, server: Server[Any]) -> None:
        server.extensions[EXTENSION] = {}
        server.add_request_handler("tasks/get", TaskParams, self.get)
        server.add_request_handler("tasks/update", TaskUpdateParams, self.update)
        server.add_request_handler("tasks/cancel", TaskParams, self.cancel)

    async def created(self, run_id: str) -> dict[str, Any]:
        """The answer to a call that became a task."""
        return {**about(await self.handles.jobs.status(run_id)), "resultType": "task"}

    async def get(self, ctx: ServerRequestContext[Any], params: TaskParams) -> dict[str, Any]:
        run_id = self._known(ctx, params)
        status = await self.handles.jobs.status(run_id)
        task = about(status)
        if task["status"] == "completed":
            # A run whose inputs were refused stays until it is pruned: the client may ask for the task again.
            result = answer_about(await self.handles.document(run_id, 0, None, keep=True))
            task["result"] = {**result.model_dump(by_alias=True, mode="json", exclude_none=True), "resultType": "complete"}
        return task

    async def update(self, ctx: ServerRequestContext[Any], params: TaskUpdateParams) -> dict[str, Any]:
        self._known(ctx, params)
        return {}

    async def cancel(self, ctx: ServerRequestContext[Any], params: TaskParams) -> dict[str, Any]:
        run_id = self._known(ctx, params)
        if self.read_only:
            raise MCPError(INVALID_PARAMS, "Not offered: the server is read-only")
        jobs = self.handles.jobs
        if jobs.store.is_running(run_id):
            with suppress(InputError):  # it may have ended between the two looks
                await jobs.cancel(run_id)
        return {}

    def _known(self, ctx: ServerRequestContext[Any], params: TaskParams) -> str:
        if not declared(ctx):
            data: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "Missing required client capability", data)
        headers: Mapping[str, str] | None = getattr(ctx.request, "headers", None)
        if headers is not None and headers.get("mcp-name") != params.task_id:
            raise MCPError(HEADER_MISMATCH, "Mcp-Name does not match params.taskId")
        try:
            return self.handles.jobs.known(params.task_id)
        except InputError:
            raise MCPError(INVALID_PARAMS, "Failed to retrieve task: Task not found") from None


def declared(ctx: ServerRequestContext[Any]) -> bool:
    """Whether this request may be answered with a task."""
    capabilities = ctx.session.client_capabilities
    extensions = (capabilities.extensions if capabilities else None) or {}
    return ctx.protocol_version in MODERN_PROTOCOL_VERSIONS and EXTENSION in extensions


def about(status: RunStatus) -> dict[str, Any]:
    """A run as a task, without its result."""
    running = status.state == "running"
    updated = datetime.now(UTC).timestamp() if running else status.created + (status.seconds or 0.0)
    # Soon at first, because most runs are short; then as `poll_after_s` of the handle.
    pause_s = min(poll_after(status), max(_FIRST_POLL_S, (status.seconds or 0.0) / 4))
    task: dict[str, Any] = {
        "taskId": status.id,
        "status": _STATUS.get(status.state, "completed"),
        "createdAt": _iso(status.created),
        "lastUpdatedAt": _iso(updated),
        "ttlMs": None,
        "pollIntervalMs": round(1000 * pause_s),
    }
    if running:
        share = f"{status.progress:.0%}" if status.progress is not None else "begun"
        task["statusMessage"] = f"{share} {short(status.message)}".strip()
    return task


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
