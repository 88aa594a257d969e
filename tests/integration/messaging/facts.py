"""Two services that exist for these tests alone: one tells of orders, the other listens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeAlias

import nats

from chassis.contract.manifest import Manifest
from chassis.database import Database
from chassis.messaging.broker import Broker
from tests.conftest import Nats
from tests.waiting import eventually
from tradewind.orders.v1 import order_events_pb2

PLACED = "tradewind.orders.v1.OrderPlaced"
CONFIRMED = "tradewind.orders.v1.OrderConfirmed"

TELLER = Manifest("orders", "tests", "Tells of orders.", 1, publishes=frozenset({PLACED, CONFIRMED}))
LISTENER = Manifest("listener", "tests", "Listens.", 2, consumes=frozenset({PLACED, CONFIRMED}))


Told: TypeAlias = order_events_pb2.OrderPlaced | order_events_pb2.OrderConfirmed


def placed(order_id: str, version: int = 1) -> order_events_pb2.OrderPlaced:
    """The fact that an order was placed."""
    return order_events_pb2.OrderPlaced(order_id=order_id, aggregate_version=version)


def confirmed(order_id: str, version: int = 2) -> order_events_pb2.OrderConfirmed:
    """The fact that it was confirmed."""
    return order_events_pb2.OrderConfirmed(order_id=order_id, aggregate_version=version)


async def tell(database: Database, *facts: Told) -> None:
    """Commit facts in one transaction."""
    async with database.transaction() as tx:
        for fact in facts:
            tx.publish(fact)


async def unpublished(database: Database) -> int:
    """How many facts wait in the outbox."""
    async with database.read() as reader:
        count: int = (await reader.one("SELECT count(*) AS facts FROM outbox WHERE published_at IS NULL"))["facts"]
    return count


@asynccontextmanager
async def connected(nats_server: Nats, service: str) -> AsyncIterator[Broker]:
    """A connection, once it stands."""
    broker = nats_server.connection(service)
    broker.open()
    await eventually(broker.is_connected)
    yield broker
    await broker.close()


@asynccontextmanager
async def running(*works: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Background work, for the block."""
    tasks = [asyncio.ensure_future(work()) for work in works]
    yield
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True)
class Stored:
    """A message in a stream."""

    subject: str
    headers: dict[str, str]
    payload: bytes


async def stored(nats_server: Nats, stream: str = "ORDERS") -> list[Stored]:
    """Everything in a stream, in its order."""
    client = await nats.connect(nats_server.admin_url)
    jetstream = client.jetstream()
    state = (await jetstream.stream_info(stream)).state
    messages = [await jetstream.get_msg(stream, seq) for seq in range(max(1, state.first_seq), state.last_seq + 1)]
    await client.close()
    return [Stored(str(each.subject), each.headers or {}, each.data or b"") for each in messages]
