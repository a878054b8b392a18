"""Completions of the arguments of prompts and resource templates: skills, runs, components, embedded assets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import mcp.types as t
from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.types import INVALID_PARAMS

from realitygap_server.guides import Guides
from realitygap_server.jobs import Jobs
from realitygap_server.prompts import PROMPTS
from realitygap_server.resources import ARTIFACT, COMPONENT, GUIDE, REPORT, RUN

MOST_VALUES = 100
"""In one answer, as the protocol has it."""
_TEMPLATES: Mapping[str, Mapping[str, str]] = {
    GUIDE: {"name": "skill", "path": "guide file"},
    RUN: {"run_id": "run"},
    REPORT: {"run_id": "run"},
    ARTIFACT: {"run_id": "run", "name": "artifact"},
    COMPONENT: {"kind": "kind", "name": "component"},
}


class Completions:
    """Answers `completion/complete`."""

    def __init__(self, jobs: Jobs, guides: Guides) -> None:
        self.jobs = jobs
        self.guides = guides

    async def complete(self, ctx: ServerRequestContext[Any], params: t.CompleteRequestParams) -> t.CompleteResult:
        what = _what(params)
        chosen = dict((params.context.arguments if params.context else None) or {})
        found = [one for one in await self._values(what, chosen) if one.startswith(params.argument.value)]
        return t.CompleteResult(completion=t.Completion(values=found[:MOST_VALUES], total=len(found), has_more=len(found) > MOST_VALUES))

    async def _values(self, what: str, chosen: Mapping[str, str]) -> Iterable[str]:
        registry = self.guides.registry
        if what == "skill":
            return self.guides.names()
        if what == "guide file":
            return ("SKILL.md", "skill.yaml")
        if what == "run":
            return await self.jobs.ids()
        if what == "artifact":
            return await self._artifacts(chosen.get("run_id", ""))
        if what == "kind":
            return registry.catalog.kinds()
        if what == "component":
            kinds = [chosen["kind"]] if chosen.get("kind") else registry.catalog.kinds()
            return sorted({name for kind in kinds for name in registry.catalog.names(kind)})
        return sorted(registry.assets.get(what, ()))

    async def _artifacts(self, run_id: str) -> Iterable[str]:
        if not run_id:
            return ()
        known = self.jobs.known(run_id)
        return () if self.jobs.store.is_running(known) else sorted((await self.jobs.result(known))["artifacts"])


def _what(params: t.CompleteRequestParams) -> str:
    """What the argument is completed with; empty for nothing. Raises MCPError for what there is not."""
    if isinstance(params.ref, t.PromptReference):
        prompt = PROMPTS.get(params.ref.name)
        if prompt is None:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {params.ref.name}")
        arguments = {one.name: one.completes for one in prompt.arguments}
    else:
        arguments = dict(_TEMPLATES.get(params.ref.uri, {}))
        if not arguments:
            raise MCPError(INVALID_PARAMS, f"Unknown resource template: {params.ref.uri}")
    if params.argument.name not in arguments:
        raise MCPError(INVALID_PARAMS, f"Unknown argument: {params.argument.name}")
    return arguments[params.argument.name]
