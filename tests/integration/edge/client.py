"""A caller of an edge that runs in front of services that only listen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import httpx

from chassis.testing import Tokens
from tests.integration.edge.upstream import Upstream, running_edge

USER = "0190b6a0-0000-7000-8000-000000000001"


@dataclass
class EdgeClient:
    """A running edge, from outside."""

    http: httpx.AsyncClient
    channel: grpc.aio.Channel
    upstream: Upstream
    tokens: Tokens
    log: Path

    def customer(self) -> dict[str, str]:
        """The header of somebody who is logged in."""
        return {"authorization": f"Bearer {self.tokens.customer(USER)}"}

    async def place(self, body: bytes | str) -> httpx.Response:
        """Send a body to PlaceOrder."""
        return await self.http.post("/v1/orders", headers=self.customer(), content=body)


@asynccontextmanager
async def running_client(directory: Path, tokens: Tokens) -> AsyncIterator[EdgeClient]:
    """An edge, and connections to it."""
    async with running_edge(directory, tokens) as (server, upstream):
        address = server.program.address
        async with (
            httpx.AsyncClient(base_url=f"http://{address}", trust_env=False) as http,
            grpc.aio.insecure_channel(address, [("grpc.enable_http_proxy", 0)]) as channel,
        ):
            yield EdgeClient(http, channel, upstream, tokens, server.program.log)


def reason(answer: httpx.Response) -> str:
    """What programs go by."""
    return str(answer.json()["details"][0]["reason"])
