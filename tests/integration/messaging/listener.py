"""A consuming service that writes down what it hears, unless it was told to fail."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from chassis.database import Database, Transaction
from chassis.messaging.broker import Broker
from chassis.messaging.consumer import Consumer, Fact, Handler, Subscription
from chassis.messaging.dead_letters import DeadLetter, DeadLetters, Position
from tests.conftest import Nats
from tests.integration.messaging.facts import LISTENER, Told, connected, running
from tradewind.orders.v1.order_events_pb2 import OrderConfirmed, OrderPlaced

TABLE = "CREATE TABLE heard (position bigint GENERATED ALWAYS AS IDENTITY, key text, event_id text)"


class Listener:
    """The service; what it has heard is in the table `heard`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.dead_letters = DeadLetters(database)
        self.failing: dict[str, int] = {}
        """How often hearing of an order's version (`order-1/2`) still fails."""

    async def hear(self, tx: Transaction, event: Told, fact: Fact) -> None:
        """The handler."""
        key = f"{event.order_id}/{event.aggregate_version}"
        await tx.execute("INSERT INTO heard (key, event_id) VALUES (%(key)s, %(id)s)", key=key, id=fact.id)
        if self.failing.get(key):
            self.failing[key] -= 1
            raise ValueError("cannot hear")

    async def unresolved(self) -> list[DeadLetter]:
        """Its dead letters that nobody has resolved."""
        return await self.dead_letters.page(None, Position(), 1_000)

    async def redrive(self, event_id: str = "") -> None:
        """Ask for one of them to be tried again, or all."""
        async with self.database.transaction() as tx:
            await self.dead_letters.redrive(tx, event_id)

    async def heard(self) -> list[str]:
        """What took effect, in that order."""
        async with self.database.read() as reader:
            return [row["key"] for row in await reader.all("SELECT key FROM heard ORDER BY position")]

    def has_heard(self, count: int) -> Callable[[], Awaitable[bool]]:
        """Whether it has heard so much."""

        async def check() -> bool:
            return len(await self.heard()) >= count

        return check

    def has_buried(self, count: int) -> Callable[[], Awaitable[bool]]:
        """Whether it has so many dead letters."""

        async def check() -> bool:
            return len(await self.unresolved()) == count

        return check


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Listener]:
    """The service on its database, for the block."""
    database = Database(url)
    await database.open()
    async with database.transaction() as tx:
        await tx.execute(TABLE)
    yield Listener(database)
    await database.close()


def consumer(
    listener: Listener,
    broker: Broker,
    handler: Handler,
    *,
    contiguous: bool = False,
    attempts: int = 8,
    parks: int = 64,
) -> Consumer:
    """A consumer with one handler for everything."""
    facts = {OrderPlaced: handler, OrderConfirmed: handler}
    subscription = Subscription(facts, contiguous=contiguous, attempts=attempts, parks=parks)
    return Consumer(LISTENER, listener.database, broker, [subscription])


@asynccontextmanager
async def hearing(
    listener: Listener, broker_server: Nats, *, contiguous: bool = False, attempts: int = 8, parks: int = 64
) -> AsyncIterator[None]:
    """The listener at work, for the block."""
    async with connected(broker_server, "listener") as broker:
        works = consumer(listener, broker, listener.hear, contiguous=contiguous, attempts=attempts, parks=parks)
        async with running(works.run):
            yield
