"""Customers who buy without a pause, over HTTP and over gRPC, and remember every error they met."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx

from tests.journeys.world import Person, World, new_id
from tools.client.shop import ApiError, OrderEvent
from tradewind.catalog.v1 import catalog_service_pb2 as catalog
from tradewind.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from tradewind.orders.v1 import order_service_pb2 as orders
from tradewind.orders.v1.order_service_pb2_grpc import OrderServiceStub

TIMEOUT_SECONDS = 30.0


class CutShort(Exception):
    """A stream ended before the order did. Over HTTP/1.1 nothing else tells of that."""


@dataclass
class Crowd:
    """What became of everybody's errands."""

    world: World
    sku: str
    is_over: bool = False
    outcomes: dict[str, str] = field(default_factory=dict)
    """The state in which each accepted order ended, as its watcher saw it."""
    errors: list[str] = field(default_factory=list)

    async def buys(self, errand: Callable[[Person, "Crowd"], Coroutine[Any, Any, None]], person: Person) -> None:
        """Somebody's errands, one after the other, until it is over. No error ends them."""
        while not self.is_over:
            try:
                await errand(person, self)
            except (grpc.aio.AioRpcError, httpx.HTTPError, ApiError, TimeoutError, CutShort) as error:
                self.errors.append(f"{errand.__name__}: {error!r}")

    async def see(self, order_id: str, events: AsyncIterator[OrderEvent]) -> None:
        """Watch an order to its end, and remember it. Raises CutShort."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            seen = [event async for event in events]
        if not seen or seen[-1].step != seen[-1].state:
            raise CutShort(f"{order_id}: {[event.step for event in seen]}")
        self.outcomes[order_id] = seen[-1].state


async def over_http(person: Person, crowd: Crowd) -> None:
    """Look at a product, order one, watch the order until it ends, look it up."""
    await person.get(f"/v1/products/{crowd.sku}")
    await person.get("/v1/profile")
    await person.get("/v1/preferences")
    order_id = (await person.place({crowd.sku: 1}))["order_id"]
    await crowd.see(order_id, person.shop.watch_by_http(person.token, order_id))
    assert (await person.order(order_id))["state"] == f"ORDER_STATE_{crowd.outcomes[order_id]}"


async def over_grpc(person: Person, crowd: Crowd) -> None:
    """The same over native gRPC, with a declined card."""
    await CatalogServiceStub(person.shop.channel).GetProduct(
        catalog.GetProductRequest(sku=crowd.sku), timeout=TIMEOUT_SECONDS
    )
    request = orders.PlaceOrderRequest(
        request_id=new_id(), items=[orders.ItemToOrder(sku=crowd.sku, quantity=1)], payment_token="tok_decline"
    )
    stub = OrderServiceStub(person.shop.channel)
    placed = await stub.PlaceOrder(request, metadata=person.metadata, timeout=TIMEOUT_SECONDS)
    order_id = placed.order.order_id
    await crowd.see(order_id, person.shop.watch_by_grpc(person.token, order_id))
