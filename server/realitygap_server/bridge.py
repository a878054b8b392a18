"""The registry as an MCP server: skills are tools, runs are followed by handle tools. Code of a skill never runs in this process."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any

import anyio
import mcp.types as t
from mcp import MCPError
from mcp.server import Server, ServerRequestContext
from mcp.types import INVALID_PARAMS

from realitygap.discovery import Registry
from realitygap.errors import Explained
from realitygap.pipeline import output_schema
from realitygap_server import arguments as checking
from realitygap_server.answers import answer, refusal
from realitygap_server.handles import Handles
from realitygap_server.jobs import Jobs, Report
from realitygap_server.tools import LONGEST_WAIT_S, WAIT_S, SkillTool, faults, skill_tool

INSTRUCTIONS = """\
realitygap measures the gap between a simulated robot and the real one, closes it, and proves it.

Each tool is a skill. `entropy_sim2real` does the whole job, and runs on an embedded example without arguments; the others are its
steps. A long skill answers with its result or, after wait_s seconds, with a run_id: ask run_status(run_id, wait_s=50) until its state
is not `running`. The same call again takes finished steps from the cache. Paths in answers are on the machine of the server and can be
given to other tools; artifact_read shows files and plots. `summary` says the answer first, with units; then read the outputs that the
tool's description names."""

log = logging.getLogger("realitygap.server")


class Bridge:
    """One server over one registry and one workspace. The tools are those of the moment it was made."""

    def __init__(self, registry: Registry | None = None, workspace: Path | None = None) -> None:
        self.registry = registry or Registry.discover()
        self.jobs = Jobs(self.registry, workspace)
        self.handles = Handles(self.jobs)
        self.closing = False
        """Whether the client has gone. What it started goes on; what a client that is there cancels is stopped."""
        self.server: Server[Any] = Server(
            "realitygap",
            version=metadata.version("realitygap"),
            title="realitygap",
            instructions=INSTRUCTIONS,
            on_list_tools=self.list_tools,
            on_call_tool=self.call_tool,
        )

    def close(self) -> None:
        self.closing = True

    @cached_property
    def skills(self) -> dict[str, SkillTool]:
        """Tools of the skills by tool name, in order. One that some client could not take is left out, and stderr says why."""
        found: dict[str, SkillTool] = {}
        for name, skill in sorted(self.registry.skills.items()):
            try:
                one = skill_tool(name, skill, outputs=output_schema(skill, self.registry))
                reasons = faults(one.tool)
            except Exception as error:  # one bad manifest must not cost the others
                log.exception("skill '%s' cannot become a tool", name)
                reasons = [type(error).__name__]
            else:
                if one.tool.name in found or one.tool.name in self.handles.tools:
                    reasons.append(f"another tool is called '{one.tool.name}'")
                if not reasons:
                    found[one.tool.name] = one
            for reason in reasons:
                log.warning("skill '%s' is left out: %s", name, reason)
        return found

    async def list_tools(self, ctx: ServerRequestContext[Any], params: t.PaginatedRequestParams | None) -> t.ListToolsResult:
        # All at once: many clients read only the first page.
        return t.ListToolsResult(tools=[one.tool for one in self.skills.values()] + [tool for tool, _ in self.handles.tools.values()])

    async def call_tool(self, ctx: ServerRequestContext[Any], params: t.CallToolRequestParams) -> t.CallToolResult:
        given = dict(params.arguments or {})
        skill = self.skills.get(params.name)
        other = self.handles.tools.get(params.name)
        if skill is None and other is None:
            raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name}")
        report = self._reporter(ctx)
        try:
            schema = skill.tool.input_schema if skill is not None else other[0].input_schema if other is not None else {}
            if wrong := checking.problems(given, schema):
                return refusal(f"{params.name} was not called, because its arguments are wrong:\n- " + "\n- ".join(wrong))
            if skill is not None:
                return await self.run(skill, given, report)
            assert other is not None
            return await other[1](given, report)
        except Explained as error:
            return refusal(error.message, hint=error.hint, where=error.where)
        except Exception:
            # The text of a crash may hold anything; it stays on this side.
            log.exception("tool %s crashed", params.name)
            return refusal(
                f"{params.name} failed inside the server; this is a defect, not your arguments", hint="the server's stderr has the details"
            )

    async def run(self, one: SkillTool, given: Mapping[str, Any], report: Report | None) -> t.CallToolResult:
        """Starts a run and waits for its end, a long one for at most `wait_s` seconds."""
        inputs = {name: value for name, value in given.items() if not (one.takes_wait and name == "wait_s")}
        wait_s = float(given.get("wait_s", WAIT_S)) if one.takes_wait else LONGEST_WAIT_S
        name = one.skill.name if self.registry.skills.get(one.skill.name) is one.skill else one.skill.qualified_name
        run_id = await self.jobs.start(name, inputs)
        try:
            document = await self.handles.document(run_id, wait_s, report)
        except anyio.get_cancelled_exc_class():
            if not self.closing:
                with anyio.CancelScope(shield=True):
                    await self._stop(run_id)
            raise
        return answer(document, failed=document["state"] in ("failed", "interrupted"))

    async def _stop(self, run_id: str) -> None:
        try:
            await self.jobs.cancel(run_id)
        except Explained as error:
            log.info("run %s was not stopped: %s", run_id, error.message)

    def _reporter(self, ctx: ServerRequestContext[Any]) -> Report:
        async def report(fraction: float, message: str) -> None:
            await ctx.session.report_progress(fraction, 1.0, message or None)

        return report
