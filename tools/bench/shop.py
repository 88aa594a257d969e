"""A shop with full shelves and many customers who buy without a pause."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import grpc

from tools.client.shop import Shop
from tools.demo.story import CATALOGUE
from tools.importer import retail
from tools.importer.upload import Upload
from tools.stack.state import StateDir
from tradewind.orders.v1 import order_pb2
from tradewind.orders.v1.order_service_pb2 import ItemToOrder, PlaceOrderRequest, WatchOrderRequest
from tradewind.orders.v1.order_service_pb2_grpc import OrderServiceStub

CUSTOMERS: Final = 16
LINES_PER_ORDER: Final = 2
STOCKED: Final = 1_000_000
SEED: Final = 20_260_105
TIMEOUT_SECONDS: Final = 30.0
LOOK_AGAIN_SECONDS: Final = 0.1


class NotConfirmedError(Exception):
    """An order came to another end than the benchmark is about."""


@dataclass(frozen=True)
class Customer:
    """Somebody who is logged in, with a connection of their own."""

    orders: OrderServiceStub
    token: str

    async def buy(self, skus: list[str]) -> float:
        """Order one of each and watch until the order is confirmed. Returns the seconds that took."""
        metadata = (("authorization", f"Bearer {self.token}"),)
        items = [ItemToOrder(sku=sku, quantity=1) for sku in skus]
        request = PlaceOrderRequest(request_id=str(uuid.uuid4()), items=items, payment_token="tok_approve")  # noqa: S106 — a test card
        began = time.perf_counter()
        placed = await self.orders.PlaceOrder(request, metadata=metadata, timeout=TIMEOUT_SECONDS)
        watch = WatchOrderRequest(order_id=placed.order.order_id)
        state = placed.order.state
        async for event in self.orders.WatchOrder(watch, metadata=metadata, timeout=TIMEOUT_SECONDS):
            state = event.state
        if state != order_pb2.ORDER_STATE_CONFIRMED:
            raise NotConfirmedError(f"order {placed.order.order_id} ended as {order_pb2.OrderState.Name(state)}")
        return time.perf_counter() - began


@dataclass(frozen=True)
class BenchShop:
    """The shop, its customers, and what it sells."""

    customers: list[Customer]
    skus: list[str]
    mail: Path

    @classmethod
    @asynccontextmanager
    async def open(cls, edge: str, directory: StateDir) -> AsyncIterator[Self]:
        """Behind the edge at that address (HOST:PORT): the demo's catalogue imported and stocked, everybody logged in."""
        shop = Shop(edge)
        # Each their own connection: channels to one target would share it.
        channels = [grpc.aio.insecure_channel(edge, [("grpc.use_local_subchannel_pool", 1)]) for _ in range(CUSTOMERS)]
        try:
            skus = await _stocked(shop, directory)
            tokens = [await _registered(shop, number) for number in range(CUSTOMERS)]
            customers = [Customer(OrderServiceStub(each), token) for each, token in zip(channels, tokens, strict=True)]
            yield cls(customers, skus, directory.mail)
        finally:
            await shop.close()
            for channel in channels:
                await channel.close()

    async def sell(self, count: int) -> list[float]:
        """So many orders by all customers at once; the seconds each took from PlaceOrder to CONFIRMED."""
        baskets = _baskets(self.skus, count)
        seconds: list[float] = []

        async def shop_on(customer: Customer) -> None:
            for basket in baskets:
                seconds.append(await customer.buy(basket))  # noqa: PERF401 — what is noted is read by nobody before

        await asyncio.gather(*map(shop_on, self.customers))
        return seconds

    async def mailed(self, count: int) -> None:
        """Returns when so many mails have arrived: what orders entail is done then."""
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while sum(1 for _ in self.mail.glob("*.eml")) < count:  # noqa: ASYNC110 — nobody tells that a file has come
                await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def _stocked(shop: Shop, directory: StateDir) -> list[str]:
    secrets = directory.secrets("identity")
    email, password = ((secrets / name).read_text() for name in ("staff_email", "staff_password"))
    staff = await shop.log_in(email, password)
    catalogue = retail.read(CATALOGUE)
    await Upload(shop.channel, staff, catalogue, "GBP").run(lambda _: None)
    skus = sorted({product.sku for product in catalogue.products})
    async for answer in shop.adjust_stock(staff, dict.fromkeys(skus, STOCKED)):
        assert answer.accepted
    return skus


async def _registered(shop: Shop, number: int) -> str:
    email, password = f"customer-{number}@example.com", f"correct-{uuid.uuid4().hex}"
    await shop.register(f"Customer {number}", email, password)
    return await shop.log_in(email, password)


def _baskets(skus: list[str], count: int) -> Iterator[list[str]]:
    """What is bought, the same in every run."""
    chance = random.Random(SEED)  # noqa: S311 — no secret
    return iter([chance.sample(skus, LINES_PER_ORDER) for _ in range(count)])
