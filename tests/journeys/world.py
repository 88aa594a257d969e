"""A whole stack, and the people who come to its front doors."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import grpc
import httpx
from google.protobuf.message import Message

from chassis.contract import descriptors
from tests.journeys.contract import ask, process_of
from tests.journeys.issuer import Issuer
from tools.client.shop import OrderEvent, Shop
from tools.stack.options import Options
from tools.stack.stack import Stack
from tradewind.inventory.v1 import inventory_service_pb2 as inventory
from tradewind.inventory.v1.inventory_service_pb2_grpc import InventoryServiceStub
from tradewind.operations.v1.saga_service_pb2 import GetSagaRequest, GetSagaResponse

PASSWORD = "correct-horse-battery-staple"
STOCKED = 1_000

T = TypeVar("T")


def new_id() -> str:
    """An id nobody has used."""
    return str(uuid.uuid4())


@dataclass(frozen=True)
class Person:
    """Somebody who is logged in at the edge."""

    shop: Shop
    token: str
    user_id: str
    email: str

    @property
    def headers(self) -> dict[str, str]:
        """Who it is, for HTTP."""
        return {"authorization": f"Bearer {self.token}"}

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """Who it is, for gRPC."""
        return tuple(self.headers.items())

    async def send(self, verb: str, path: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """A request over HTTP; a body gets a request id, unless it brings one."""
        content = {"request_id": new_id(), **body} if body is not None else None
        return await self.shop.http.request(verb, path, json=content, headers=self.headers)

    async def get(self, path: str) -> dict[str, Any]:
        """The answer to a GET."""
        return await self.shop.get(path, self.token)

    async def place(self, items: Mapping[str, int], payment_token: str = "tok_approve") -> dict[str, Any]:
        """An order that was just accepted."""
        return await self.shop.place_order(self.token, dict(items), payment_token)

    async def order(self, order_id: str) -> dict[str, Any]:
        """An order as it stands."""
        found: dict[str, Any] = (await self.get(f"/v1/orders/{order_id}"))["order"]
        return found

    async def outcome(self, order_id: str) -> OrderEvent:
        """The last thing that happens to an order."""
        async with asyncio.timeout(60):
            return [event async for event in self.shop.watch_by_grpc(self.token, order_id)][-1]


@dataclass
class World:
    """A running stack from outside."""

    stack: Stack
    shop: Shop
    issuer: Issuer
    staff: Person
    channels: dict[str, grpc.Channel] = field(default_factory=dict)

    def channel(self, process: str) -> grpc.Channel:
        """A channel to one process, past the edge, for callers on other threads."""
        if process not in self.channels:
            self.channels[process] = grpc.insecure_channel(self.stack.address(process))
        return self.channels[process]

    async def customer(self, name: str = "Ada") -> Person:
        """Somebody new, registered and logged in."""
        email = f"{name.lower()}-{uuid.uuid4().hex[:8]}@example.com"
        await self.shop.register(name, email, PASSWORD)
        return await self.log_in(email, PASSWORD)

    async def log_in(self, email: str, password: str) -> Person:
        """Somebody who has an account."""
        return await _log_in(self.shop, email, password)

    async def sell(self, *, stock: int = STOCKED, price: int = 250) -> str:
        """The SKU of a product nobody has bought yet, on sale and on the shelf."""
        sku = f"SKU-{uuid.uuid4().hex[:8]}".upper()
        money = {"currency_code": "GBP", "minor_units": price}
        answer = await self.staff.send("POST", "/v1/products", {"sku": sku, "name": f"One {sku}", "price": money})
        assert answer.status_code == 200, answer.text
        if stock:
            assert [line.accepted async for line in self.shop.adjust_stock(self.staff.token, {sku: stock})] == [True]
        return sku

    async def ask_staff(self, method: str, request: Message) -> tuple[str, str, Message | None]:
        """Calls a method as staff, straight at the service: the code, the reason, and the answer of a success."""
        found = descriptors.method(method)
        return await ask(self.channel(process_of(found)), found, self.staff.metadata, request)

    async def saga(self, order_id: str) -> GetSagaResponse:
        """An order's saga and its story, as staff see it."""
        name = "tradewind.operations.v1.SagaService/GetSaga"
        code, reason, answer = await self.ask_staff(name, GetSagaRequest(saga_id=order_id))
        assert isinstance(answer, GetSagaResponse), (code, reason)
        return answer

    async def stock(self, sku: str) -> tuple[int, int]:
        """How much lies on the shelf, and how much of it is promised."""
        answer = await InventoryServiceStub(self.shop.channel).GetAvailability(
            inventory.GetAvailabilityRequest(skus=[sku]), timeout=5
        )
        return answer.availability[0].on_hand, answer.availability[0].reserved

    async def start(self, *processes: str) -> None:
        """Starts processes that were stopped; returns when they are healthy and the edge sees them so."""
        await asyncio.gather(*(asyncio.to_thread(self.stack.start, process) for process in processes))
        await self.healthy("edge")

    async def stop(self, *processes: str) -> None:
        """Stops processes, as a deployment would."""
        await asyncio.gather(*(asyncio.to_thread(self.stack.stop, process) for process in processes))

    async def mend(self) -> None:
        """Starts whatever is stopped, and returns when all of it is healthy again."""
        stopped = [process.name for process in self.stack.processes() if process.state == "stopped"]
        vital = [name for name in ("database", "broker") if name in stopped]
        await self.start(*vital)
        await self.start(*(name for name in stopped if name not in vital))
        await self.healthy(*self.stack.instances())

    async def healthy(self, *processes: str) -> None:
        """Returns when processes do their work, and the edge sees all of them do it."""
        for process in (*processes, "edge"):
            await asyncio.to_thread(self.stack.wait_until_healthy, process)


@asynccontextmanager
async def running_world(options: Options) -> AsyncIterator[World]:
    """A stack of its own, for the block."""
    with TemporaryDirectory(prefix="tradewind-world-") as directory:
        stack = Stack(Path(directory), options)
        await asyncio.to_thread(stack.up)
        try:
            async with _visited(stack) as world:
                yield world
        finally:
            await asyncio.to_thread(stack.down)


@asynccontextmanager
async def _visited(stack: Stack) -> AsyncIterator[World]:
    shop = Shop(stack.address("edge"))
    email, password = (stack.secret("identity", name) for name in ("staff_email", "staff_password"))
    world = World(stack, shop, Issuer(stack), await _log_in(shop, email, password))
    try:
        yield world
    finally:
        await shop.close()
        for channel in world.channels.values():
            channel.close()


async def _log_in(shop: Shop, email: str, password: str) -> Person:
    token = await shop.log_in(email, password)
    profile = (await shop.get("/v1/profile", token))["profile"]
    return Person(shop, token, profile["user_id"], email)
