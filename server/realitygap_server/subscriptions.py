"""Events for clients that listen (stateless era): `run://ID` changes while somebody listens to it."""

from __future__ import annotations

from typing import Any

import anyio
import mcp.types as t
from mcp.server import ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, ResourceUpdated

from realitygap.errors import InputError
from realitygap_server.jobs import Jobs

_EVERY_S = 1.0
_RUN = "run://"
MOST_FOLLOWED = 20
"""Runs in one subscription."""


class Subscriptions:
    """Serves `subscriptions/listen`. The lists of tools, prompts and resources do not change while a server runs."""

    def __init__(self, jobs: Jobs) -> None:
        self.jobs = jobs
        self.bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self.bus)

    async def listen(self, ctx: ServerRequestContext[Any], params: t.SubscriptionsListenRequestParams) -> t.SubscriptionsListenResult:
        followed = [uri for uri in params.notifications.resource_subscriptions or () if str(uri).startswith(_RUN)]
        async with anyio.create_task_group() as group:
            for uri in followed[:MOST_FOLLOWED]:
                group.start_soon(self._follow, str(uri))
            result = await self._listen(ctx, params)
            group.cancel_scope.cancel()
        return result

    async def _follow(self, uri: str) -> None:
        """Says that a run has changed: another state, another step, or a hundredth further. Of one that has ended it says so once."""
        try:
            run_id = self.jobs.known(uri.removeprefix(_RUN))
        except InputError:
            return
        seen = None
        while True:
            status = await self.jobs.status(run_id)
            now = (status.state, len(status.steps), round(status.progress or 0.0, 2))
            if now != seen and (seen is not None or status.state != "running"):
                await self.bus.publish(ResourceUpdated(uri=uri))
            seen = now
            if status.state != "running":
                return
            await anyio.sleep(_EVERY_S)
