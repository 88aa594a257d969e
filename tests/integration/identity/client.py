"""Identity as its callers reach it: started in this process, trusting the keys it publishes itself."""

import asyncio
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest

from chassis.contract import status
from chassis.process.operations import Route
from chassis.process.runtime import Runtime, Service
from chassis.testing import ManualClock, RunningService, Tokens, running
from services.identity import store
from services.identity.__main__ import service as wiring
from tradewind.identity.v1 import identity_service_pb2 as pb
from tradewind.identity.v1 import user_pb2
from tradewind.identity.v1.identity_service_pb2_grpc import IdentityServiceStub

PASSWORD = "correct horse battery staple"
STAFF_EMAIL = "staff@tradewind.example"
STAFF_PASSWORD = "tall ships and a star"
JWKS = "/.well-known/jwks.json"


class OwnKeys(Tokens):
    """Lets the service check tokens against what it publishes."""

    route: Route

    async def fetch(self) -> bytes:
        """The published keys, read as the operations port reads them: on a thread."""
        return await asyncio.to_thread(self.route)

    async def wire(self, runtime: Runtime) -> Service:
        """The service's own wiring."""
        service = await wiring(runtime)
        self.route = service.http_routes[JWKS]
        return service


@dataclass
class Identity:
    """The running service, and short words for its calls."""

    service: RunningService
    keys: OwnKeys
    clock: ManualClock

    def stub(self, token: str = "") -> IdentityServiceStub:
        """The service as the user of `token` reaches it."""
        return IdentityServiceStub(self.service.channel(token=token))

    async def register(self, email: str = "ada@example.com", password: str = PASSWORD) -> user_pb2.Profile:
        """Open an account."""
        return (await self.stub().RegisterUser(registration(email=email, password=password))).profile

    async def log_in(self, email: str = "ada@example.com", password: str = PASSWORD) -> user_pb2.TokenPair:
        """Open a session."""
        request = pb.LoginRequest(request_id=request_id(), email=email, password=password)
        return (await self.stub().Login(request)).tokens

    async def refresh(self, refresh_token: str) -> user_pb2.TokenPair:
        """Exchange a refresh token."""
        request = pb.RefreshSessionRequest(request_id=request_id(), refresh_token=refresh_token)
        return (await self.stub().RefreshSession(request)).tokens

    async def log_out(self, refresh_token: str) -> None:
        """End a session."""
        await self.stub().Logout(pb.LogoutRequest(request_id=request_id(), refresh_token=refresh_token))

    async def staff(self) -> IdentityServiceStub:
        """The service as the first staff account reaches it."""
        return self.stub((await self.log_in(STAFF_EMAIL, STAFF_PASSWORD)).access_token)

    async def sweep(self) -> None:
        """Do now what every replica does once an hour."""
        async with self.service.database.read() as reader:
            await store.sweep(reader, self.clock.now())

    async def until_blocked(self, *, sessions: int) -> None:
        """Return when that many transactions wait for rows others hold."""
        waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        async with self.service.database.read() as reader:
            while len(await reader.all(waiting)) < sessions:
                pass

    async def rows(self, table: str) -> list[dict[str, Any]]:
        """All of a table."""
        async with self.service.database.read() as reader:
            return await reader.all(f"SELECT * FROM {table}")  # noqa: S608 — a name from a test


async def refusals(*calls: Any) -> Counter[str]:
    """The reasons of the calls that were refused, all made at once; "" stands for an answer."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    return Counter(
        status.from_rpc_error(outcome).reason if isinstance(outcome, grpc.aio.AioRpcError) else ""
        for outcome in outcomes
    )


def request_id() -> str:
    """An id nobody has used."""
    return str(uuid.uuid4())


def registration(**fields: Any) -> pb.RegisterUserRequest:
    """A request for an account that would be opened, but for `fields`."""
    good = {"email": "ada@example.com", "password": PASSWORD, "display_name": "Ada"}
    return pb.RegisterUserRequest(**{"request_id": request_id(), **good, **fields})


def write_secrets(folder: Path, monkeypatch: pytest.MonkeyPatch, **secrets: str) -> None:
    """Give the processes that start from now on these secrets beside those of a usual installation."""
    usual = {"signing_key_secret": "5e" * 32, "staff_email": STAFF_EMAIL, "staff_password": STAFF_PASSWORD}
    for name, secret in {**usual, **secrets}.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(secret)
    monkeypatch.setenv("TRADEWIND_SECRETS_DIR", str(folder))


@asynccontextmanager
async def identity_on(database_url: str, clock: ManualClock | None = None, **settings: Any) -> AsyncIterator[Identity]:
    """One replica of identity on this database, with settings of its own."""
    keys, clock = OwnKeys(), clock or ManualClock(datetime.now(UTC))
    it = running(keys.wire, "services.identity", database_url=database_url, tokens=keys, clock=clock, **settings)
    async with it as service:
        yield Identity(service, keys, clock)
